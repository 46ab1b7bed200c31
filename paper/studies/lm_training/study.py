"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.lm_training.portable import PART as PORTABLE
from paper.studies.lm_training.rehearsal import PART as REHEARSAL
from paper.studies.lm_training.stand_ins import PART as STAND_INS
from paper.studies.lm_training.top_layers import PART as TOP_LAYERS

STUDY = study(__name__, PORTABLE, STAND_INS, REHEARSAL, TOP_LAYERS, minutes=(6, 980))
