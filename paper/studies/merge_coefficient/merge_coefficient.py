"""Facts and their composition in a merge of two adapters, by its coefficient."""

from dataclasses import dataclass, field, replace

from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.run import Row, part
from paper.studies._shared.training import Taught
from paper.studies.merge_coefficient.coefficient import by_coefficient

ALSO = {"overwrite": "other", "overwrite both": "old", "new subject": "nothing"}
"""By case, what the second adapter is taught beside the facts of the questions."""


@dataclass(frozen=True)
class Config(Small):
    """One `case` of `ALSO` on some bases, and coefficients from 0 to `top` in `steps` steps.

    The two cases that overwrite have the same questions and first adapter, and in both the second
    adapter is trained on twice as many facts. A new subject needs spare entities.
    """

    case: str = "overwrite"
    steps: int = 30
    top: float = 1.5
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per base and coefficient, over its edit sets; see `coefficient.switched`."""
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    head: Row = {"case": config.case, "coverage": config.coverage}
    return by_coefficient(library(config), grid, head, {})


def library(config: Config) -> Taught:
    """Return the adapters; `overwrite both` takes its first adapters from `overwrite`."""
    familiarity = "half" if config.case == "new subject" else "real"
    mine = config.library(familiarity=familiarity, also=ALSO[config.case])
    if config.case != "overwrite both":
        return mine
    ((first, _),) = config.library(mine.bases, also=ALSO["overwrite"]).pairs
    return replace(mine, pairs=((first, mine.pairs[0][1]),))


_PLACES = (
    *(("overwrite", coverage) for coverage in (0.0, 0.1, 0.25, 0.5, 0.75)),
    *(("overwrite both", coverage) for coverage in (0.1, 0.25, 0.5)),
    ("new subject", 0.5),
)


PART = part(
    "merge_coefficient",
    cell,
    tuple(Config(case, steps=15) for case in ("overwrite", "overwrite both")),
    on_all_bases(Config(case, coverage=coverage) for case, coverage in _PLACES),
)
