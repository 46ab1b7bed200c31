"""Many adapters at once: what unrelated ones take from a question that two of them answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import Acting, pair_alone, rule
from paper.studies._shared.rows import arm, compared
from paper.studies._shared.run import Row, grid, part
from paper.studies._shared.theory import forecast
from paper.studies._shared.training import Taught, alike
from paper.studies.small_libraries.weights import crosstalk, safe


@dataclass(frozen=True)
class Config(Small):
    """How many `pairs` of adapters of which `rank` act, and the gates' `budget` of false alarms."""

    rank: int = 8
    pairs: int = 1
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies and cross-talk at the two maps of the MLP, see `weights`.
    `crosstalk_in` and `crosstalk_out` are measured medians over facts, `random_in` and `random_out`
    those expected of randomly rotated adapters; `superposed_in` and `superposed_out` have the
    lower bound `floor`. `safe` is the share of questions that theory calls safe, `predicted` the
    predicted accuracy on `two_hop`.
    """
    library = config.library(rank=config.rank, pairs=config.pairs)
    measured, theory = crosstalk(library), forecast(library)
    # Questions that the theory calls unsafe are predicted to fail.
    share, both, even = safe(measured), theory.composed([1, 1]), 1 / library.size
    beside: dict[str, object] = {"safe": share}
    for side in ("in", "out"):
        one = measured[f"layers.0.mlp.{side}"]
        beside[f"crosstalk_{side}"] = np.median(one.measured, axis=(0, 1, 3))
        beside[f"random_{side}"] = np.median(one.random, axis=(0, 1, 3))
        beside[f"superposed_{side}"] = one.superposed
        beside["floor"] = one.floor
    arms = [
        *(arm(name, 0.0) for name in ("base", "hop 1 alone", "hop 2 alone")),
        arm("mean", share * theory.composed([even, even])),
        arm("sum", share * both),
        arm("pair alone", both),
        arm("beside noise", safe(measured, "random") * both, beside_noise),
        arm("gates", both, rule("gates", budget=config.budget)),
        arm("oracle placement", both),
    ]
    head = {name: getattr(config, name) for name in ("facts", "rank", "pairs")}
    return compared(library, head, arms, **beside)


def beside_noise(library: Taught) -> Acting:
    """Apply the rule that adds, to the pair's own adapters, Gaussian ones for all others.

    Each Gaussian adapter has the norm of the adapter that it replaces.
    """
    hops = library.hops
    noise = [alike(x, 8 * (k // hops) + k % hops) for k, x in enumerate(library.adapters)]
    own = pair_alone(library).shares

    def _shares(place: Any, pair: int) -> list[float]:
        # All others act as noise: shares of the pair itself are one or zero.
        right = own(place, pair)
        return [*right, *(1.0 - share for share in right)]

    return Acting(library.having([*library.adapters, *noise]), _shares)


_PLAN = grid(Config, facts=(3, 8), rank=(2, 8, 32), pairs=(1, 4))
_PLAN += [Config(8, 2, facts=8), Config(8, 1, facts=20)]
PART = part(
    "interference", cell, grid(Config, facts=[3], sets=[1], pairs=(1, 4)), on_all_bases(_PLAN)
)
