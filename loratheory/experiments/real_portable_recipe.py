"""Which part of the recipe of `real_portable` makes separately taught adapters compose.

**Question.** Two stand-ins that disagree act in turn, at random strength, while two-hop sentences
are shown and what they say themselves. Which of this is needed, and what does the recipe not do?

**Prediction.** Written when plain adapters were known to have .10 and two stand-ins .87, before any
other recipe ran; accuracies of the sum in the whole vocabulary. (a) One stand-in is .1 to .2 lower,
for beside it the shortcut from subject to answer costs nothing (`thm:stand-in-ceiling`); two that
agree are as one. (b) The parts alone do little: single hops only, or noise of the same norm beside
them, .4 at most, and so two-hop sentences while nobody acts, which can only be learnt by heart.
(c) At full strength alone the sum is the same, the mean lower by .1. (d) Lessons of silence halve
what leaks on ordinary sentences, and cost less than .05. (e) Beside stand-ins that tell of other
relations (fruits for mascots, work for birth) the sum has .5: what is learnt is in part to use a
bridge, in part this relation. (f) With invented countries both recipes are at chance: no part of it
builds a bridge that the base does not hold. (g) What a publisher can measure alone tells what a
partner never met will get: of each adapter its two-hop accuracy beside a *stranger*, a plain
stand-in that acted in no training; the smaller of both is the sum's accuracy within .15, and ranks
recipes and seeds better (rank correlation .8) than reach through what the base knows (.6) and than
single hops (.3).

**Chance.** One in twenty among the animals; in the whole vocabulary none.

**Controls.** Each adapter alone; plain adapters; steps and company with single hops or noise;
sentences that no adapter read; facts that none rehearses; ordinary text that none was shown.
"""

from collections.abc import Iterator

from loratheory.experiments.engine import Row, study
from loratheory.experiments.real_portable import NONE, SEEDS, STRANGER, Arm, Config, rows

RECIPES = ("plain", "two stand-ins")
CHANGES = (
    *("one stand-in", "stand-ins agree", "stand-ins in full", "stand-ins silent"),
    *("single hops", "noise", "silence", "other relations"),
)


def cell(config: Config) -> list[Row]:
    """Return a row for each way of using the pair, columns as those of `real_portable.cell`."""
    return rows(config, arms(config.recipe))


def arms(recipe: str) -> Iterator[Arm]:
    """Yield adapters alone, added, and each beside a stranger, whose own facts are asked then."""
    yield recipe, NONE, "first alone", 1.0
    yield NONE, recipe, "second alone", 1.0
    yield recipe, recipe, "sum", 0.5
    yield recipe, recipe, "sum", 1.0
    yield recipe, STRANGER, "sum", 1.0
    yield STRANGER, recipe, "sum", 1.0


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config("one stand-in", seed=SEEDS[0]),),
    paper=(
        Config(recipe, bridge, seed=seed)
        for seed in SEEDS
        for recipe, bridge in (
            *((name, "known") for name in (*RECIPES, *CHANGES)),
            *((name, "invented") for name in RECIPES),
        )
    ),
    minutes=(3, 240),
)
