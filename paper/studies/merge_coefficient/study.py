"""Evaluate facts and their composition in a merge, by its coefficient and the number of hops."""

from dataclasses import dataclass, field, replace

from loratheory.theorems.composition.two_read_region import threshold
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import by_hop
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.training import EditLibrary
from paper.studies.merge_coefficient.coefficient import by_coefficient

ALSO = {"overwrite": "other", "overwrite both": "old", "new subject": "nothing"}
"""By case, the further facts of the second adapter, see `loratheory.tasks.two_hop.edit`."""


@dataclass(frozen=True)
class MergeCoefficient(Small):
    """One `case` of `ALSO` on some bases, and coefficients from 0 to `top` in `steps` steps.

    The two cases that overwrite have the same questions and first adapter, and in both the second
    adapter is trained on twice as many facts. A new subject needs spare entities.
    """

    case: str = "overwrite"
    steps: int = 30
    top: float = 1.5
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)


def merge_coefficient(config: MergeCoefficient) -> list[Row]:
    """Return a row per base and coefficient, over its edit sets; see `coefficient.switched`."""
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    head: Row = {"case": config.case, "coverage": config.coverage}
    return by_coefficient(library(config), grid, head, {})


def library(config: MergeCoefficient) -> EditLibrary:
    """Return the adapters; `overwrite both` takes its first adapters from `overwrite`."""
    familiarity = "half" if config.case == "new subject" else "real"
    mine = config.library(familiarity=familiarity, also=ALSO[config.case])
    if config.case != "overwrite both":
        return mine
    # Both cases share first adapters, so that only the second adapter differs.
    ((first, _),) = config.library(mine.bases, also=ALSO["overwrite"]).pairs
    return replace(mine, pairs=((first, mine.pairs[0][1]),))


_PLAN = grid(MergeCoefficient, case=["overwrite"], coverage=(0.0, 0.1, 0.25, 0.5, 0.75))
_PLAN += grid(MergeCoefficient, case=["overwrite both"], coverage=(0.1, 0.25, 0.5))
_PLAN += [MergeCoefficient("new subject", coverage=0.5)]
MERGE_COEFFICIENT_PART = part(
    "merge_coefficient",
    merge_coefficient,
    grid(MergeCoefficient, steps=[15], case=("overwrite", "overwrite both")),
    on_all_bases(_PLAN),
)


@dataclass(frozen=True)
class NumberOfHops(Small):
    """Questions of `hops` hops, on bases that pass their block once per hop.

    Coefficients go from 0 to `top` in `steps` steps. The `noise` of the bases' training is smaller
    than the default for two hops, at which three passes do not learn the third hop.
    """

    hops: int = 2
    steps: int = 24
    top: float = 1.2
    noise: float = 0.3
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)
    coverage: float = field(default=0.75, kw_only=True)
    pretrained: int = field(default=1400, kw_only=True)


def number_of_hops(config: NumberOfHops) -> list[Row]:
    """Return a row per base and coefficient, averaged over its edit sets.

    `threshold` is the coefficient from which exact edits compose. The other columns are those of
    `coefficient.switched` without single hops, which `facts` combines.
    """
    bases = config.bases(hops=config.hops, loops=config.hops, noise=config.noise)
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    names = {"two_hop": "k_hop", "other_two_hop": "other_k_hop"}
    # Single hops are left out, because `facts` combines them.
    names |= by_hop("hop", [""] * config.hops)
    head: Row = {"hops": config.hops, "threshold": threshold(config.hops)}
    return by_coefficient(config.library(bases), grid, head, names)


NUMBER_OF_HOPS_PART = part(
    "number_of_hops",
    number_of_hops,
    (
        NumberOfHops(2, steps=6, seeds=(0,)),
        NumberOfHops(3, steps=6, seeds=(0,), sets=1, pretrained=700),
    ),
    on_all_bases(grid(NumberOfHops, hops=(2, 3, 4))),
)


STUDY = study(__name__, MERGE_COEFFICIENT_PART, NUMBER_OF_HOPS_PART, minutes=(1.25, 43))
