"""Three adapters on a language model, each of which knows one hop of a three-hop question.

**Question.** Adapters that are taught beside stand-ins for their partner compose over two hops
(`real_portable`). Do three, each by a publisher of its own, compose over three?

**Prediction.** Written before any adapter of this study was trained, and left as it was when one
world, 400, had shown that 90 steps teach three-hop sentences to no adapter (single facts under the
sum at .65 or less, three-hop questions at .06 or less): adapters have 270 steps since. Shares of
three-hop questions right in the whole vocabulary, with all three added: (a) Plain adapters answer
.02, of two-hop questions .1. (b) Taught beside stand-ins of the hops next to their own, two-hop
questions are answered as with two adapters (.8 over the first two hops, .7 over the last two),
three-hop questions in .25: the last hop was never asked about an animal that the layers below had
to find. (c) Taught beside sums of stand-ins for both other hops, .6, and still half of the two-hop
questions, which no lesson asked. (d) No two of the three adapters answer more than .1. (e) The mean
has half of what the sum has, at most. (f) Asked hop by hop, in sentences of the lessons, all
recipes have .9. (g) Added before any adapter of these worlds was trained, when a plain second hop
in the highest sixth of the layers had composed over two hops (`real_top_layers`): with the third
hop taught plainly there, three-hop questions have .1 beside plain adapters, .35 for (b) and .5
beside the first two of (c), which no longer need the third to be found below. (h) Added when world
401 had been measured: there (b) composed over the first two hops in .90 and over the last two in
.10, and three quarters of the latter questions were answered with what the third publisher's
lessons had said of the country beside one of its two stand-ins. Six stand-ins between these hops,
those of the second hop about made-up countries, had .47 there in a first look, and .04 over all
three. In new worlds: (b) answers what lessons had said in .6, beside six stand-ins in .4 at most,
near what a guess gets, as six of the twenty fruits were then said of a country; over the last two
hops .4 for .1, over three .05, single facts .95. What each of the last two publishers measures
alone, beside a stand-in and a stranger, was added later, when a look had shown the difference.

**Chance.** One in twenty among the fruits; in the whole vocabulary none.

**Controls.** The base; plain adapters of as many steps; each two of the three without the third;
two-hop questions and single facts beside every share; ordinary text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from loratheory.experiments.bench import Language
from loratheory.experiments.bench.rules import Act, coefficients
from loratheory.experiments.engine import Row, study

SEEDS = range(401, 404)
PLAIN = "plain"
RECIPES = (
    PLAIN,
    "beside neighbours",
    "beside six",
    "plain, third above",
    "beside neighbours, third above",
    "beside both others",
    "beside both others, third above",
)
LEARNED = ("by_heart", "by_heart_chance", "stand_in_2", "stranger_2", "stand_in_3", "stranger_3")


@dataclass(frozen=True)
class Config(Language):
    """Three adapters of a seed's chain, taught by a recipe in `bench.three_hops.RECIPES`."""

    recipe: str = PLAIN


def cell(config: Config) -> list[Row]:
    """Return a row for the base, for merges of all three, and for each two added.

    Returns
    -------
    list of dict
        The ``recipe`` and the ``rule``; the columns of `bench.three_hops.shares`; for the sum,
        where a recipe has them, those of `bench.three_hops.by_heart` and `bench.three_hops.alone`;
        on ordinary sentences ``text`` and ``leak`` as in `bench.portable.measured`; and as
        ``chance`` the share of three-hop questions that a constant answer gets among the fruits.
    """
    from loratheory.experiments.bench import three_hops as bench
    from loratheory.experiments.bench.language import acting
    from loratheory.experiments.bench.portable import ordinary
    from loratheory.pretrained import leak

    model = config.base(dtype="bfloat16")
    made = bench.ThreePublishers(model, config.seed)
    base, _ = ordinary(model)
    library = [made.adapter(hop, config.recipe) for hop in range(3)]
    rows = list[Row]()
    measured = bench.alone(made, config.recipe)
    for name, act, hops in arms(base=config.recipe == PLAIN):
        with acting(model, [library[hop] for hop in hops], act):
            found = bench.shares(model, made.chain)
            found |= dict.fromkeys(LEARNED, nan)
            if name == "sum":
                found |= bench.by_heart(made, config.recipe) | measured
            now, came = ordinary(model)
        row: Row = {"seed": config.seed, "recipe": config.recipe, "rule": name, **found}
        row |= {"text": -float(came.mean()), "leak": leak(base, now)}
        rows.append({**row, "chance": 1 / len(made.chain.hops[2])})
    return rows


def arms(*, base: bool) -> Iterator[tuple[str, Act, tuple[int, ...]]]:
    """Yield the name of a rule, the rule, and the hops whose adapters act."""
    if base:
        yield "base", coefficients(0.0), (0, 1, 2)
    yield "sum", coefficients(1.0), (0, 1, 2)
    yield "mean", coefficients(1 / 3), (0, 1, 2)
    for two in ((0, 1), (0, 2), (1, 2)):
        yield "hops {} and {}".format(*(hop + 1 for hop in two)), coefficients(1.0), two


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0]),),
    paper=(Config(recipe, seed=seed) for seed in SEEDS for recipe in RECIPES),
    minutes=(12, 270),
)
