"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.coverage.familiarity import PART as FAMILIARITY
from paper.studies.coverage.two_hop_coverage import PART as TWO_HOP_COVERAGE

STUDY = study(__name__, TWO_HOP_COVERAGE, FAMILIARITY, minutes=(1, 28))
