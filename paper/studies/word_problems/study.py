"""The parts of the study; `prediction.md` has the questions and the predictions."""

from paper.studies._shared.run import study
from paper.studies.word_problems.shallow_matching import PART as SHALLOW_MATCHING
from paper.studies.word_problems.skill_coverage import PART as SKILL_COVERAGE
from paper.studies.word_problems.template_overlap import PART as TEMPLATE_OVERLAP

STUDY = study(__name__, SKILL_COVERAGE, TEMPLATE_OVERLAP, SHALLOW_MATCHING, minutes=(0.85, 41))
