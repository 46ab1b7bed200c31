"""The parts of the study; `prediction.md` has the questions and the predictions."""

from paper.studies._shared.run import study
from paper.studies.lm_methods.libraries import PART as LIBRARIES
from paper.studies.lm_methods.two_hop import PART as TWO_HOP

STUDY = study(__name__, TWO_HOP, LIBRARIES, minutes=(7, 75))
