"""Questions of two, three and four edited hops, their adapters merged with one coefficient."""

from dataclasses import dataclass, field

from loratheory.theorems.composition.two_read_region import threshold
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.run import Row, part
from paper.studies.merge_coefficient.coefficient import by_coefficient


@dataclass(frozen=True)
class Config(Small):
    """Questions of `hops` hops, on bases that pass their block once per hop.

    Coefficients go from 0 to `top` in `steps` steps. The `noise` is that of the bases' training:
    with as much noise as helps two passes, three passes do not learn the third hop.
    """

    hops: int = 2
    steps: int = 24
    top: float = 1.2
    noise: float = 0.3
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)
    coverage: float = field(default=0.75, kw_only=True)
    pretrained: int = field(default=1400, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per base and coefficient, averaged over its edit sets.

    `threshold` is the coefficient from which exact edits compose. The other columns are those of
    `coefficient.switched` without single hops, which `facts` counts together.
    """
    bases = config.bases(hops=config.hops, loops=config.hops, noise=config.noise)
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    names = {"two_hop": "k_hop", "other_two_hop": "other_k_hop"}
    names |= {f"hop_{hop + 1}": "" for hop in range(config.hops)}
    head: Row = {"hops": config.hops, "threshold": threshold(config.hops)}
    return by_coefficient(config.library(bases), grid, head, names)


PART = part(
    "number_of_hops",
    cell,
    (
        Config(2, steps=6, seeds=(0,)),
        Config(3, steps=6, seeds=(0,), sets=1, pretrained=700),
    ),
    on_all_bases(Config(hops) for hops in (2, 3, 4)),
)
