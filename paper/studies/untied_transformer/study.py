"""The parts of the study; `prediction.md` says what was asked."""

from paper.studies._shared.run import study
from paper.studies.untied_transformer.plain_transformer import PART as PLAIN_TRANSFORMER
from paper.studies.untied_transformer.untied_transformer import PART as UNTIED_TRANSFORMER

STUDY = study(__name__, UNTIED_TRANSFORMER, PLAIN_TRANSFORMER, minutes=(1, 17))
