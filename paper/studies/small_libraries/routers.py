"""Routers where two reads are needed: which adapter each read gets, and how much of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.theorems.routing.arrow import accuracy
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import by_hop, rule
from paper.studies._shared.rows import Arm, arm, compared
from paper.studies._shared.run import Row, grid, part
from paper.studies._shared.theory import forecast
from paper.studies.small_libraries.weights import hindsight, weights_at_reads

ROUTERS: tuple[str, ...] = ("uniform", "arrow", "arrow, power", "arrow, peft", "subspace")
ROUTERS += ("norm", "norm, soft", "norm, z", "gates")


@dataclass(frozen=True)
class Config(Small):
    """How many `pairs` of adapters, on disjoint entities, act at once.

    `budget` is the rate of false alarms that gates allow.
    """

    pairs: int = 1
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return a row per router, base and repetition.

    The columns are accuracies; `weight_1` and `weight_2`, the weight of the right adapter at its
    read of the edited questions; `edited`, how often some adapter has more than half of the weight
    on unedited ones; `circuit`, the base's accuracy on unseen two-hop questions; `expected`, how
    often Arrow is right at both reads by theory; `predicted`, the predicted accuracy on `two_hop`.
    """
    library = config.library(pairs=config.pairs)
    # Arrow knows nothing of the keys: it is right by chance at each of two reads.
    theory, expected = forecast(library), accuracy(config.facts, 2 * config.pairs) ** 2
    shape = (config.pairs, len(library.replicas), config.facts, 2)

    def _columns(weights: np.ndarray, edited: object) -> dict[str, Any]:
        found = by_hop("weight", weights.mean(axis=(0, 2)).T)
        found |= {"edited": edited, "circuit": theory.circuit, "expected": expected}
        return found | {"predicted": theory.composed(weights)}

    def _seen(acts: Any) -> dict[str, Any]:
        return _columns(*weights_at_reads(library, acts))

    def _given(name: str, act: Any, weights: np.ndarray, edited: object) -> Arm:
        return arm(name, act=act, **_columns(weights, edited))

    arms = []
    for name, weight in (("base", 0.0), ("sum", 1.0), ("oracle placement", 1.0)):
        arms.append(_given(name, rule(name), np.full(shape, weight), weight))
    for name in ROUTERS:
        act = rule(name, **({"budget": config.budget} if name == "gates" else {}))
        arms.append((name, act, _seen))
    # Chosen by the answers themselves: an upper limit of fixed gates.
    for name, by_read in (("best one", False), ("best by read", True)):
        acts, weights = hindsight(library, by_read=by_read)
        arms.append(_given(name, acts, weights, 1.0))
    return compared(library, {"pairs": config.pairs, "coverage": config.coverage}, arms)


PART = part(
    "routers", cell, (Config(1), Config(4, sets=1)), on_all_bases(grid(Config, pairs=(1, 2, 4)))
)
