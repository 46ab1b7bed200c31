"""Routers where two reads are needed: which adapter each read gets, and how much of it.

**Question.** Does any router compose two hops, and if not, does it choose the wrong adapter or
give the right one too little?

**Prediction.** A chain composes where the weights that its own adapters get at its two reads, times
their strengths, are in the region of `thm:two-read-region` (column `predicted`, from the weights
measured and the strengths of each adapter alone, times the base's accuracy on unseen chains). So
whatever shares one unit among adapters needs nearly all of it for the right one at each read
(`thm:routing-reach`): uniform weights fail, and so does softmax over unscaled Arrow scores where
they are close (the PEFT form: top-3, temperature 1, prototypes by power iteration). Arrow's top-1
finds the right adapter on a share 1/n + (1 - 1/n)/K of the reads of n facts and K adapters
(`thm:arrow-blind-spot`, column `expected` for both reads), so it falls with the shelf; scores by
subspace and by norm, z-scored or not, find it more often, and the depth oracle always. No router
that keeps one pattern for the pass composes, not even the best one chosen in hindsight, unless it
turns all on (the sum): `best one` against `best by read`, a ceiling for hard gates that may differ
between the reads. One read has no such cure (`thm:single-read-no-go`).

**Chance.** One answer always given (column `chance`); a random top-1 choice finds both adapters on
1/K² of the chains.

**Controls.** The base; the sum; unedited facts and chains under each router; `edited`, the share of
unedited chains' tokens at their reads where some adapter has more than half of the weight.

**Found.** Routers that share one unit fail by what they give: `predicted` from the weights at the
two reads is .06 off on average over seven of them, and orders them rightly (subspace .66, .52 and
.34 of chains with one, two and four pairs, predicted .66, .51 and .32). Arrow's top-1 answers .45,
.21 and .15, more than `expected`, .36, .16 and .09; PEFT's form does not fail where scores are
close, it answers .54, .35 and .21. One pattern a pass chosen in hindsight answers .08 or less, one
a read .84 to .86, the depth oracle as much. Where whole adapters act, weights say nothing: the sum
answers .61, .21 and .05 where .98 were predicted, and gates, .90, .88 and .70, more than the
.80, .66 and .45 that their missed maps predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loratheory.experiments._small import CROWDS, Small
from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.toy.transformer import Adapt


@dataclass(frozen=True)
class Config(Small):
    """Some bases, and a shelf of adapters that all act at once.

    Attributes
    ----------
    pairs : int
        Edits on disjoint entities, an adapter for each hop of each.
    budget : float
        False alarms that gates allow.
    """

    pairs: int = 1
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return the marks of every router, and what it gave the adapters that were needed.

    Parameters
    ----------
    config : Config
        What to train and to ask.

    Returns
    -------
    list of dict
        One row for each router, base and repetition: the marks; `weight_1`, `weight_2`, what the
        right adapter got at its read on the edited chains; `edited`; `circuit`; `expected`, how
        often theory has Arrow right at both reads; `predicted` accuracy on `chains`.
    """
    from loratheory.experiments.reuse import _rules as rules
    from loratheory.experiments.reuse._deciders import deciders
    from loratheory.experiments.reuse._forecast import forecast
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._reads import hindsight, reads
    from loratheory.experiments.reuse._rows import rows
    from loratheory.theorems.routing.arrow_blind_spot import accuracy

    here = config.shelf(pairs=config.pairs)
    theory, shape = forecast(here), (config.pairs, len(here.replicas), config.facts, 2)
    fixed: dict[str, tuple[Sequence[Adapt | None], float]] = {
        "base": ([None] * config.pairs, 0.0),
        "sum": (rules.summed()(here), 1.0),
        "oracle placement": (rules.oracle(here), 1.0),
    }
    found: list[tuple[str, Sequence[Adapt | None], np.ndarray, float | np.ndarray]] = [
        (name, acting, np.full(shape, weight), weight) for name, (acting, weight) in fixed.items()
    ]
    for name, decide in deciders(config.budget).items():
        routed = rules.Routed(here, decide)
        given, edited = reads(here, routed)
        found.append((name, rules.everywhere(routed, here), given, edited))
    for name, by_read in (("best one", False), ("best by read", True)):
        found.append((name, *hindsight(here, by_read=by_read), 1.0))
    expected = accuracy(config.facts, 2 * config.pairs) ** 2
    table: list[Row] = []
    for name, rule, weights, share in found:
        mean = weights.mean(axis=(0, 2))
        table += rows(
            here,
            {"pairs": config.pairs, "coverage": config.coverage, "rule": name},
            marks(here, rule),
            weight_1=mean[:, 0],
            weight_2=mean[:, 1],
            edited=share,
            circuit=theory.circuit,
            expected=expected,
            predicted=theory.composed(weights),
        )
    return table


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(1), Config(4, sets=1)),
        "paper": tuple(Config(pairs, seeds=seeds) for pairs in (1, 2, 4) for seeds in CROWDS),
    },
    minutes={"quick": 1.1, "paper": 8},
)
