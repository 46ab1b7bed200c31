"""What in teaching beside stand-ins makes adapters compose, on worlds that no other study has.

**Question.** Adapters taught beside two stand-ins that disagree compose under a plain sum
(`real_portable`). Do they in ten new worlds and ten sentences a question? And which part of the
teaching does it: two-hop sentences, a partner that acts, its disagreeing, or more steps?

**Prediction.** Written before any adapter of these seeds or of the recipes that are new here was
trained, and left as it was when a development seed (101) gave .94 to both beside and .70 to (e)
with both; shares of two-hop questions right in the whole vocabulary under the sum unless said
otherwise. (a) In the four sentences of `real_portable` the main arms repeat what they had there to
.1: plain .13, plain with 90 steps .37 and split .5, both beside .93, the second alone beside .83,
the first alone .65. In the six new sentences each loses at most .1. (b) Thrice the steps, more than
all that stand-ins cost, bring plain adapters to no more than .5, split .55. (c) Two stand-ins that
agree are worth what one is, .7, to .08; two that disagree add .2. Of lessons 60 % or more are known
by heart with one stand-in or two that agree, 35 % or less with two that disagree
(`thm:disagreeing-stand-ins` allows half). (d) Two stand-ins without two-hop sentences: .5. (e)
Two-hop sentences that need no partner: .6 if both adapters have them, .5 if only the second. (f)
The mean of both beside has .54, of plain ones .2 or less. (g) Where the base does not know the
countries nothing composes: .1 or less in every arm. (h) Intervals that redraw seeds and sentences
are half again as wide as those of seeds; the lower end for both beside stays above .8.

Six more ways to teach, foretold when the above had run, in the first of the worlds: (i) stand-ins
in full strength at every step: the sum as beside two stand-ins to .05, the mean .1 lower. (j) At
half strength always: the sum .1 lower, the mean as high to .05. (k) Adapters of rank 2 have .75, of
rank 32 as many as of rank 8 to .05. (l) Beside stand-ins of another relation (fruits for mascots,
places of work for birth) .5: what is learnt is in part to read a bridge, in part this relation. (m)
Beside noise, random updates of the norms that stand-ins have, .3: as plain adapters of as many
steps.

**Chance.** One in twenty among the animals; in the whole vocabulary none.

**Controls.** Plain adapters, early ended and of as many and thrice as many steps; their layer
split; stand-ins that agree; two-hop sentences without a partner, and a partner without them; each
adapter alone; single hops and known facts beside every share; countries that the base does not
know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from loratheory.bench import Language
from loratheory.bench.rules import Act, coefficients, layer_split
from loratheory.experiments.engine import Row, study

SEEDS = range(300, 310)
PLAIN, LONG, LONGER = "plain", "plain, 90 steps", "plain, 270 steps"
BESIDE, UNASKED, KNOWN = "two stand-ins", "no two-hop sentences", "without a partner"
PAIRS = (
    *((one, one) for one in (BESIDE, LONG, "two that agree", UNASKED, KNOWN, "one stand-in")),
    *((LONG, BESIDE), (BESIDE, LONG), (LONG, KNOWN), (PLAIN, PLAIN)),
)
WAYS = ("in full strength", "in halves", "rank 2", "rank 32", "another relation", "noise")
NONE = "none"


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's world, by recipes in `bench.portable.RECIPES`.

    `bridge` says whether the base knows the countries: ``known`` or ``invented``.
    """

    first: str = BESIDE
    second: str = BESIDE
    bridge: str = "known"


def cell(config: Config) -> list[Row]:
    """Return a row for each sentence that asks, for merges of the pair and each adapter alone.

    Returns
    -------
    list of dict
        The recipes of the adapters that act, or ``none``; the rule; the ``sentence``, of which 0 to
        3 are in `real_portable` (of single hops 0 and 1); columns of `bench.portable.by_sentence`;
        ``by_heart``, of an adapter alone the share of its two-hop lessons that it answers, else
        NaN. Adapters are asked alone where both are of one recipe.
    """
    from loratheory.experiments.bench import portable as bench
    from loratheory.bench.language import acting

    model = config.base(dtype="bfloat16")
    both = bench.publishers(model, config.seed, bridge=config.bridge)
    base, _ = bench.ordinary(model)
    recipes, rows = (config.first, config.second), list[Row]()
    for rule, act, hops in arms(both.layers // 2, alike=config.first == config.second):
        named = [one if hop in hops else NONE for hop, one in enumerate(recipes)]
        head: Row = {"seed": config.seed, "bridge": config.bridge}
        head |= {"first": named[0], "second": named[1], "rule": rule}
        adapters = [both.adapter(hop, recipes[hop]) for hop in hops]
        with acting(model, adapters, act):
            alone = len(hops) == 1
            heart = both.by_heart(hops[0], recipes[hops[0]]) if alone else nan
            found = bench.by_sentence(model, both.world, base, alone=alone)
        rows += [{**head, "sentence": k, **one, "by_heart": heart} for k, one in enumerate(found)]
    return rows


def arms(middle: int, *, alike: bool) -> Iterator[tuple[str, Act, tuple[int, ...]]]:
    """Yield the name of a rule, the rule, and the hops whose adapters act."""
    yield "sum", coefficients(1.0), (0, 1)
    if alike:
        yield "mean", coefficients(0.5), (0, 1)
        yield "layer split", layer_split(middle, "below", "above"), (0, 1)
        yield "alone", coefficients(1.0), (0,)
        yield "alone", coefficients(1.0), (1,)


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(PLAIN, PLAIN, seed=SEEDS[0]),),
    paper=(
        *(Config(*pair, seed=seed) for seed in SEEDS for pair in PAIRS),
        *(Config(LONGER, LONGER, seed=seed) for seed in SEEDS),
        *(Config(one, one, "invented", seed=seed) for seed in SEEDS[:3] for one in (BESIDE, LONG)),
        *(Config(way, way, seed=seed) for seed in SEEDS[:4] for way in WAYS),
    ),
    minutes=(1.5, 530),
)
