"""The parts of the study; `prediction.md` has the questions and the predictions."""

from paper.studies._shared.run import study
from paper.studies.expressive_power.expressive_power import PART as EXPRESSIVE_POWER
from paper.studies.expressive_power.training_gap import PART as TRAINING_GAP

STUDY = study(__name__, EXPRESSIVE_POWER, TRAINING_GAP, minutes=(0.2, 1.5))
