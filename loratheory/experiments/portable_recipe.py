"""Which part of the recipe of `portable_pairs` makes separately taught adapters compose.

**Question.** Two stand-ins that disagree act in turn, at random strength, while two-hop sentences
are shown. Which of this is needed, and what does the recipe not do?

**Prediction.** Written when 23 cells of a former `portable_pairs` were known (plain .10, two
stand-ins .87), before any ablation ran; accuracies of the sum in the whole vocabulary. (a) One
stand-in is .1 to .2 lower, for beside it the shortcut from subject to answer costs nothing
(`thm:stand-in-ceiling`); two that agree are as one; four as two. (b) The parts alone do little:
single hops only, prose, or noise of the same norm beside them .4 at most, and so the sentences with
silent stand-ins, which can only be learnt by heart. (c) At full strength alone the sum is the same,
the mean lower by .1. (d) Half of the steps cost .1 to .15. (e) Lessons of silence halve what leaks
on ordinary sentences, and cost less than .05. (f) Beside stand-ins that tell of other relations
(fruits for mascots, work for birth) the sum has .5: what is learnt is in part to use a bridge, in
part this relation. (g) With invented countries both recipes are at chance: no part of it builds a
bridge that the base does not hold. (h) What a publisher can measure alone tells what a partner
never met will get: of each adapter its two-hop accuracy beside a *stranger*, a plain stand-in that
acted in no training; the smaller of both is the sum's accuracy within .15, and ranks recipes and
seeds better (rank correlation .8) than reach through what the base knows (.6) and than single hops
(.3).

**Chance.** One in twenty among the animals; in the whole vocabulary none.

**Controls.** Each adapter alone; plain partners; equal steps and company with prose; sentences that
no adapter read; facts that none rehearses; ordinary text that none was shown.
"""

from collections.abc import Iterator

from loratheory.experiments import portable_pairs
from loratheory.experiments.engine import Row, study
from loratheory.experiments.portable_pairs import SEEDS, STRANGER, Arm, Config

RECIPES = ("plain", "two stand-ins")
CHANGES = (
    *("one stand-in", "stand-ins agree", "four stand-ins", "stand-ins in full"),
    *("stand-ins silent", "single hops", "prose", "noise"),
    *("45 steps", "silence", "other relations"),
)


def cell(config: Config) -> list[Row]:
    """Return a row for each way of using the pair, columns as `portable_pairs.cell` has them."""
    return portable_pairs.rows(config, arms(config.recipe))


def arms(recipe: str) -> Iterator[Arm]:
    """Yield adapters alone, added, and each beside a stranger, whose own facts are asked then."""
    yield recipe, "", "first alone", 1.0
    yield "", recipe, "second alone", 1.0
    yield recipe, recipe, "sum", 0.5
    yield recipe, recipe, "sum", 1.0
    yield recipe, STRANGER, "sum", 1.0
    yield STRANGER, recipe, "sum", 1.0


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config("one stand-in", seed=0),),
    paper=(
        Config(recipe, bridge, seed=seed)
        for seed in SEEDS
        for recipe, bridge in (
            *((name, "known") for name in (*RECIPES, *CHANGES)),
            *((name, "invented") for name in RECIPES),
        )
    ),
    minutes=(3, 330),
)
