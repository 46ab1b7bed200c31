"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.small_libraries.capacity import PART as CAPACITY
from paper.studies.small_libraries.gating import PART as GATING
from paper.studies.small_libraries.interference import PART as INTERFERENCE
from paper.studies.small_libraries.routers import PART as ROUTERS

STUDY = study(__name__, GATING, ROUTERS, INTERFERENCE, CAPACITY, minutes=(1.65, 60))
