"""Routers where two reads are needed: which adapter each read gets, and how much of it.

**Question.** Does any router compose two hops, and if not, does it choose the wrong adapter or
give the right one too little?

**Prediction.** A two-hop question is answered where the weights that its own adapters get at its
two reads, times their strengths, are in the region of `thm:two-read-region` (column `predicted`,
from the weights measured and the strengths of each adapter alone, times the base's accuracy on
unseen questions). So whatever shares one unit among adapters needs nearly all of it for the right
one at each read (`thm:routing-reach`): uniform weights fail, and so does softmax over unscaled
Arrow scores where they are close (the PEFT form: top-3, temperature 1, prototypes by power
iteration). Arrow's top-1 finds the right adapter on a share 1/n + (1 - 1/n)/K of the reads of n
facts and K adapters (`thm:arrow-blind-spot`, column `expected` for both reads), so it falls with
the size of the library; scores by subspace and by norm, z-scored or not, find it more often, and
the depth oracle always. No router that keeps one pattern for the pass composes, not even the best
one chosen in hindsight, unless it turns all on (the sum): `best one` against `best by read`, a
ceiling for hard gates that may differ between the reads. One read cannot be helped so
(`thm:single-read-no-go`).

**Chance.** One answer always given (column `chance`); a random top-1 choice finds both adapters on
1/K² of the two-hop questions.

**Controls.** The base; the sum; unedited facts and questions under each router; `edited`, the share
of unedited questions' tokens at their reads where some adapter has more than half of the weight.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.rules import rule
from loratheory.experiments.engine import Row, study
from loratheory.theorems.routing.arrow import accuracy

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
    theory, expected = bench.forecast(library), accuracy(config.facts, 2 * config.pairs) ** 2
    shape = (config.pairs, len(library.replicas), config.facts, 2)

    def _columns(weights: np.ndarray, edited: object) -> dict[str, Any]:
        one, two = weights.mean(axis=(0, 2)).T
        found = {"weight_1": one, "weight_2": two, "edited": edited, "circuit": theory.circuit}
        return found | {"expected": expected, "predicted": theory.composed(weights)}

    def _seen(acts: Any, _: object) -> dict[str, Any]:
        return _columns(*bench.weights_at_reads(library, acts))

    def _given(name: str, act: Any, weights: np.ndarray, edited: object) -> bench.Arm:
        return bench.arm(name, None, act, lambda *_: _columns(weights, edited))

    arms = []
    for name, weight in (("base", 0.0), ("sum", 1.0), ("oracle placement", 1.0)):
        arms.append(_given(name, rule(name), np.full(shape, weight), weight))
    for name in ROUTERS:
        act = rule(name, **({"budget": config.budget} if name == "gates" else {}))
        arms.append(bench.arm(name, None, act, _seen))
    for name, by_read in (("best one", False), ("best by read", True)):
        acts, weights = bench.hindsight(library, by_read=by_read)
        arms.append(_given(name, acts, weights, 1.0))
    return bench.compared(library, {"pairs": config.pairs, "coverage": config.coverage}, arms)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(1), Config(4, sets=1)),
    paper=on_all_bases(Config(pairs) for pairs in (1, 2, 4)),
    minutes=(0.65, 8),
)
