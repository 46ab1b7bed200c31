"""The parts of the study; `prediction.md` has the questions and the predictions."""

from paper.studies._shared.run import study
from paper.studies.lm_training.augmentation import PART as AUGMENTATION
from paper.studies.lm_training.conditions import PART as CONDITIONS
from paper.studies.lm_training.stand_ins import PART as STAND_INS
from paper.studies.lm_training.top_layers import PART as TOP_LAYERS

STUDY = study(__name__, CONDITIONS, STAND_INS, AUGMENTATION, TOP_LAYERS, minutes=(6, 980))
