"""Whether a second hop that is taught in the highest layers alone is reached through any first hop.

**Question.** Of facts taught in one sixth of the layers alone, those in the highest are the ones
that descriptions reach (`real_placement`), and a question that comes through another adapter's fact
is such a description. Does a second hop taught there, by any trainer and without stand-ins, compose
with a plain first hop, and what do descriptions, stand-ins and a first hop below add?

**Prediction.** Written before any adapter of these recipes was trained in these worlds, when the
other adapters of all layers were known from `real_stand_ins` and three worlds of `real_placement`
(203 to 205), asked only for this, had answered .75, .61 and .53 with the highest sixth, .09, .01
and .16 with the fifth and .40, .07 and .04 with all layers. Shares of two-hop questions right in
the whole vocabulary under the sum with a plain first hop, unless said otherwise. (a) The highest
sixth: .55, above all layers (.26) in nine worlds of ten or more. (b) The highest third: .4; the
fifth sixth: .1. (c) With the first hop in the lower five sixths: as (a) to .1. (d) By descriptions
too, in the highest sixth: .7. (e) Beside two stand-ins, in the highest sixth: as in all layers,
.75, to .1. (f) With a first hop taught beside stand-ins: the highest sixth .75 plainly, .85 by
descriptions, .9 beside stand-ins. (g) The mean has .2 for (a), .3 for (d) and .5 for both beside
stand-ins. (h) Single second hops in unread sentences: .8 plainly, as all layers have, and first
ones .95 or more under the sum with a plain first hop. (i) Known facts stay at .72 or more and the
leak of the sum falls to two thirds of that of all layers; with both beside stand-ins known facts
rise from .50 to .6. Added when all this had run: (j) with a first hop taught beside stand-ins the
highest third has .87, and of its single facts .93 for the .86 of the highest sixth.

Four more relations of the same countries in three worlds, foretold when the above had run and one
other world (203), in two sentences beside a plain first hop, had answered .35 of fruits from the
highest sixth, .23 from the highest third and .00 from all layers, of flowers .33 from the highest
sixth and .57 from all layers. The sum again; stand-ins of the first hop, if any, were of mascots.
(k) Beside a plain first hop fruits have .35 from the highest sixth and .05 from all layers, flowers
.4 from both, instruments and tools .2 and .1. The highest sixth has at least as much as all layers
in eight of twelve. (l) Beside a first hop taught with stand-ins the highest sixth has .7 of fruits,
.65 of flowers, .4 of instruments and of tools, all layers .6 of each: at least as much in six of
twelve. (m) There the highest third has .7 on average, more than the highest sixth, since it learns
instruments and tools (.85 of their single facts for .6).

**Chance.** One in twenty among the possible answers; in the whole vocabulary none.

**Controls.** Adapters of all layers in the same worlds and sentences (`real_stand_ins`); other
layers, the lower ones for the first hop and descriptions beside a first hop with stand-ins, all in
four worlds; a second adapter alone; single hops and known facts beside every share; ordinary text.
"""

from dataclasses import dataclass

from loratheory.bench import Language
from loratheory.experiments.engine import Row, study

SEEDS = range(300, 310)
NONE, LONG, BESIDE, TOP = "none", "plain, 90 steps", "two stand-ins", "sixth 6"
DESCRIBED, BESIDE_TOP = "described, sixth 6", "two stand-ins, sixth 6"
PAIRS = ((LONG, TOP), (LONG, DESCRIBED), (LONG, BESIDE_TOP), (BESIDE, TOP), (BESIDE, BESIDE_TOP))
OTHERS = ("fruit", "flower", "instrument", "tool")
OF_OTHERS = tuple((first, two) for first in (LONG, BESIDE) for two in (LONG, TOP, "sixths 5 and 6"))
FURTHER = (  # in four worlds
    *((LONG, "sixths 5 and 6"), (LONG, "sixth 5"), ("sixths 1 to 5", TOP), (BESIDE, DESCRIBED)),
    (BESIDE, "sixths 5 and 6"),
)


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's world, by recipes in `bench.portable.RECIPES`.

    The second may be `DESCRIBED`: taught with descriptions of `bench.described`, too. It has facts
    of a `relation` in `bench.sentences.RELATIONS`; the first knows of mascots at most.
    """

    first: str = LONG
    second: str = TOP
    relation: str = "mascot"


def cell(config: Config) -> list[Row]:
    """Return a row for each sentence that asks, for merges of the pair and what acts alone.

    Returns
    -------
    list of dict
        The ``relation`` and the recipes of the adapters that act, or ``none``; the rule; the
        ``sentence`` and columns of `bench.portable.by_sentence`.
    """
    from loratheory.experiments.bench import described, portable
    from loratheory.bench.sentences import ten_about
    from loratheory.pretrained import attached

    model = config.base(dtype="bfloat16")
    one = portable.publishers(model, config.seed)
    two = portable.publishers(model, config.seed, relation=config.relation)
    base, _ = portable.ordinary(model)
    second = ("described", TOP) if config.second == DESCRIBED else (config.second,)
    adapters = [one.adapter(0, config.first), described.adapter(two, *second)]
    rows = list[Row]()
    recipes, asked = (config.first, config.second), ten_about(config.relation)
    for rule, coefficients in rules(config).items():
        row: Row = {"seed": config.seed, "relation": config.relation, "rule": rule}
        acts = [recipe if c else NONE for recipe, c in zip(recipes, coefficients, strict=True)]
        row |= dict(zip(("first", "second"), acts, strict=True))
        with attached(model, adapters, coefficients):
            found = portable.by_sentence(model, two.world, base, asked, alone=NONE in acts)
        rows += [{**row, "sentence": k, **each} for k, each in enumerate(found)]
    return rows


def rules(config: Config) -> dict[str, tuple[float, float]]:
    """Return the coefficients of both adapters by the rule's name."""
    pair, found = (config.first, config.second), {"sum": (1.0, 1.0)}
    if config.relation != "mascot":
        return found
    if pair in PAIRS:
        found["mean"] = (0.5, 0.5)
    if pair == PAIRS[0]:
        found["alone"] = (0.0, 1.0)
    return found


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0]),),
    paper=(
        *(Config(*pair, seed=seed) for seed in SEEDS for pair in PAIRS),
        *(Config(*pair, seed=seed) for seed in SEEDS[:4] for pair in FURTHER),
        *(
            Config(*pair, one, seed=seed)
            for seed in SEEDS[:3]
            for one in OTHERS
            for pair in OF_OTHERS
        ),
    ),
    minutes=(1.5, 190),
)
