"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.lm_strangers.pairs import (
    APART,
    AT_EACH_STEP,
    ON_GEMMA,
    RATES,
    RELATIONS,
    RIVAL,
    RULE_BY_DEPTH,
    SETTINGS,
    STEPS,
    TWICE,
)

STUDY = study(
    __name__,
    RATES,
    STEPS,
    APART,
    RELATIONS,
    SETTINGS,
    AT_EACH_STEP,
    RIVAL,
    TWICE,
    ON_GEMMA,
    RULE_BY_DEPTH,
    minutes=(10, 800),
)
