"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.window.two_read_region import PART as TWO_READ_REGION
from paper.studies.window.window import PART as WINDOW

STUDY = study(__name__, WINDOW, TWO_READ_REGION, minutes=(0.02, 0.02))
