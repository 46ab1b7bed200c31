"""Predict what a merge of two adapters answers at any coefficients, and why some pairs compose."""

from collections.abc import Mapping
from typing import Any

from paper.studies._shared.run import grid, part, study
from paper.studies.lm_corners import cut
from paper.studies.lm_corners.predict import Config, cell
from paper.studies.lm_strangers.draw import PAIRS
from paper.studies.lm_strangers.pairs import BASES

# On gemma-3-270m fresh stand-ins have twice the rule's rate, with which they compose.
FRESH: Mapping[str, Any] = {"seed": [400], "method": ["fresh stand-ins"], "pair": PAIRS}
STANDARD: Mapping[str, Any] = {"seed": [400], "method": ["standard"], "pair": PAIRS}
CONDITIONS = [
    *grid(Config, **FRESH),
    *grid(Config, **STANDARD),
    *grid(Config, model=BASES[1:], rate=[2.0], **FRESH),
    *grid(Config, model=BASES[1:], **STANDARD),
]
STUDY = study(
    __name__,
    part("lm_corners", cell, (Config(seed=400),), CONDITIONS),
    part("cut", cut.cell, (Config(seed=400),), CONDITIONS),
    minutes=(10, 60),
)
