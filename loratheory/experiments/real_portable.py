"""Two adapters that are taught apart, each beside stand-ins for a partner yet unknown, and added.

**Question.** Can two publishers who share sentences, countries and a list of animals, but see
neither each other's adapter nor each other's facts, teach adapters that compose under a plain sum?

**Prediction.** Single-hop lessons leave open where a fact lies (`thm:least-norm-placement`);
two-hop sentences about what stand-ins say settle it. Written after a trial on other seeds (.81 for
.10, in the whole vocabulary), after 23 cells, of seeds 200 to 207, without the stand-ins' own facts
among the lessons (.87 for .10; single hops .6 in unread sentences), and one development seed with
them (.95; single hops .95), before any other ran. (a) Sum of two adapters taught beside two
stand-ins that disagree: .85 or more of the two-hop questions in sentences that nobody read, plain
adapters .1, their layer split .35, those of as many steps .4. One such adapter beside a plain one
lies between. Each alone is at chance. (b) The mean of the two has .7. (c) Single hops are .9 or
more under the sum in sentences that nobody read; where the partner is not kept, that is without
what stand-ins say among the lessons, .6 of the first. (d) They leak a quarter of what plain
adapters do on ordinary sentences. (e) Known facts that nobody taught stay within .1 of the base's.
(f) What a publisher can measure alone, reach, tells the two-hop accuracy of the sums better than
single hops do: over recipes and seeds a rank correlation of .7 or more; within a recipe neither
tells.
Recipes that were added later, after two development seeds (101, 102) and, of one stand-in, after
three seeds of a trial with other arms (.79): (g) Beside three stand-ins, at as many steps, the sum
has .97, .7 of it .95 and the mean .8, for less can be learnt by heart
(`thm:disagreeing-stand-ins`); it leaks less, and unread first hops gain nothing. (h) Beside one
stand-in the sum has .8 and the mean .45: ninety steps learn little by heart, so disagreement adds
.1 here where in small transformers it decides (`number_of_stand_ins`).

**Chance.** One in twenty among the animals; in the whole vocabulary none.

**Controls.** The base; each adapter alone; a plain partner; as many steps; layer split; four
sentences a question that no adapter read, facts that none rehearses, ordinary text that none was
shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from loratheory.bench import Language
from loratheory.bench.rules import coefficients, layer_split
from loratheory.experiments.engine import Row, study

RECIPES = ("plain", "plain, 90 steps", "partner not kept", "two stand-ins")
NUMBERS = ("three stand-ins", "one stand-in")
SEEDS = range(200, 210)
SPLIT, NONE = "layer split", "none"
HEAD = ("first", "second", "rule", "coefficient")


@dataclass(frozen=True)
class Config(Language):
    """The adapters of both hops of a seed's world, by a `recipe` in `bench.portable.RECIPES`.

    `bridge` says whether the base knows the countries: ``known`` or ``invented``.
    """

    recipe: str = "plain"
    bridge: str = "known"


def cell(config: Config) -> list[Row]:
    """Return a row for each use of the pair: together, with a plain partner, and each alone.

    Returns
    -------
    list of dict
        ``first`` and ``second``, the recipes of the adapters that act or ``none``; the rule and its
        coefficient; the columns of `bench.portable.measured`.
    """
    from loratheory.experiments.bench import portable as bench
    from loratheory.bench.language import acting

    model = config.base(dtype="bfloat16")
    both = bench.publishers(model, config.seed, bridge=config.bridge)
    base, _ = bench.ordinary(model)
    rows: list[Row] = []
    for arm in arms(config.recipe):
        *recipes, name, c = arm
        chosen = [both.adapter(hop, recipe) for hop, recipe in enumerate(recipes) if recipe != NONE]
        act = layer_split(both.layers // 2, "below", "above") if name == SPLIT else coefficients(c)
        with acting(model, chosen or [both.adapter(0, "plain")], act):
            found = bench.measured(model, both.world, base, alone=len(chosen) == 1)
        head: Row = {"seed": config.seed, "bridge": config.bridge, "recipe": config.recipe}
        rows.append({**head, **dict(zip(HEAD, arm, strict=True)), **found})
    return rows


def arms(recipe: str) -> Iterator[tuple[str, str, str, float]]:
    """Yield the two recipes, the rule's name, and its coefficient."""
    yield recipe, NONE, "first alone", 1.0
    yield NONE, recipe, "second alone", 1.0
    for c in (0.5, 0.7, 1.0):
        yield recipe, recipe, "sum", c
    yield recipe, recipe, SPLIT, 1.0
    if recipe == "plain":
        yield NONE, NONE, "base", 0.0
    elif recipe not in RECIPES[:2]:
        yield recipe, "plain", "sum", 1.0
        yield "plain", recipe, "sum", 1.0


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0]),),
    paper=(
        *(Config(recipe, seed=seed) for seed in SEEDS for recipe in RECIPES),
        *(Config(recipe, seed=seed) for recipe in NUMBERS for seed in SEEDS),
    ),
    minutes=(1.5, 180),
)
