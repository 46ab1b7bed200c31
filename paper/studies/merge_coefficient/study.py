"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.merge_coefficient.merge_coefficient import PART as MERGE_COEFFICIENT
from paper.studies.merge_coefficient.number_of_hops import PART as NUMBER_OF_HOPS

STUDY = study(__name__, MERGE_COEFFICIENT, NUMBER_OF_HOPS, minutes=(1.25, 43))
