"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.lm_strangers.pairs import APART, FRESH, RATES, RELATIONS, SETTINGS, STEPS

STUDY = study(__name__, RATES, STEPS, APART, RELATIONS, SETTINGS, FRESH, minutes=(10, 440))
