"""A second hop that is taught by descriptions of its subjects too, beside strangers' first hops.

**Question.** Any trainer can show an adapter its facts by descriptions that the base resolves ("the
mascot of the country whose capital is Lima"). Does a second hop taught so answer more two-hop
questions beside a stranger's first hop, and does its portability foretell which adapter will?

**Prediction.** Written after one development seed (.78 beside a plain first hop, portability .87)
and a trial on another (.63), when plain adapters of as many steps were known to have .37, before
any of these cells ran, but for (g) and (h); all in the whole vocabulary, in sentences that nobody
read. Single hops leave open where a fact lies (`thm:least-norm-placement`); a description reaches
its subject late, as a first hop's bridge does, and needs no partner. (a) Beside a plain first hop
of as many steps the sum answers .65 of the two-hop questions, .25 more than a plain second hop, in
nine of ten seeds or more; a second hop taught beside stand-ins has .7. (b) Beside a first hop
taught beside stand-ins it has .85, a plain second hop .65, one beside stand-ins .93. (c)
Portability, by a kind of description that no lesson has, is .85, of plain adapters .35, beside
stand-ins .6. (d) Alone it is at chance on two-hop questions, and right on .95 of its single hops.
(e) It leaks as much on ordinary sentences as plain adapters of as many steps, to a quarter, and
known facts stay to .1. (f) Over recipes and seeds portability ranks sums with the plain first hop
of as many steps with a correlation of .7 or more, as well as a lookup table of recipes learnt on
the other seeds does, and single hops with .2 or less; within plain adapters portability tells .5,
within described ones nothing. Added when the cells of seeds 200 and 201 without these arms had run,
and an example with an early end: (g) beside a plain first hop that ends as soon as it has learnt,
and leaks twice as much, it has .45, a plain one .25. (h) With 60 lessons of silence it leaks half,
has .05 more beside either plain first hop, and keeps known facts.

Four more ways to describe, foretold when the above had run, in three of the worlds; what is said of
sums is said of those with the plain first hop of as many steps: (i) descriptions of one kind, by
capitals: portability .1 less, the sum .1 less. (j) Every second country is described: portability
of the others, whom no lesson describes, is .45, between plain and described ones, the sum .1 less.
(k) With wrong answers to descriptions, those of other countries: both below .05, since what is
learnt is what a late mention leads to, and names keep .9. (l) The same descriptions in prose, where
the base's next word is the answer: as plain adapters to .1.

**Chance.** One in twenty among the animals; in the whole vocabulary none.

**Controls.** Plain adapters of as many steps; the second adapter alone, which knows none of the
persons; adapters taught beside stand-ins; descriptions with wrong answers, or in prose; kinds of
description that are in no lesson and sentences that no adapter read; known facts that nobody
taught; ordinary text.
"""

from dataclasses import dataclass
from math import nan

from loratheory.bench import Language
from loratheory.experiments.engine import Row, study

SEEDS = range(200, 210)
NONE, PLAIN, LONG, BESIDE = "none", "plain", "plain, 90 steps", "two stand-ins"
DESCRIBED, SILENT = "described", "described, silent"
MORE = ("one kind", "half described", "wrong answers", "in prose")
KINDS = ("portability", "portability_read")


@dataclass(frozen=True)
class Config(Language):
    """Both adapters of a seed's world, the second one taught by a recipe.

    `recipe` is one of `bench.portable.RECIPES`, or of `bench.described.RECIPES`.
    """

    recipe: str = DESCRIBED


def cell(config: Config) -> list[Row]:
    """Return a row for the second adapter alone, and for its sum with each first one.

    Returns
    -------
    list of dict
        Recipes of the ``first`` and ``second`` adapter; columns of `bench.portable.measured`; of
        the second alone ``portability`` and ``portability_read``, shares right in the whole
        vocabulary of `bench.described.questions`, else NaN.
    """
    from loratheory.experiments.bench import described, portable
    from loratheory.bench.language import answers
    from loratheory.pretrained import attached

    model = config.base(dtype="bfloat16")
    both = portable.publishers(model, config.seed)
    base, _ = portable.ordinary(model)
    second, rows = described.adapter(both, config.recipe), list[Row]()
    for first in (NONE, PLAIN, LONG, BESIDE):
        alone = first == NONE
        with attached(model, [second] if alone else [both.adapter(0, first), second]):
            found = portable.measured(model, both.world, base, alone=alone)
            found |= dict.fromkeys(KINDS, nan)
            for name, asked in described.questions(both, config.recipe).items() if alone else ():
                found[name] = float(answers(model, asked).vocabulary_right.mean())
        head: Row = {"seed": config.seed, "first": first, "second": config.recipe}
        rows.append({**head, **found})
    return rows


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(BESIDE, seed=SEEDS[0]),),  # adapters that `real_window` needs, too
    paper=(
        *(Config(one, seed=seed) for seed in SEEDS for one in (DESCRIBED, LONG, BESIDE, SILENT)),
        *(Config(one, seed=seed) for seed in SEEDS[:3] for one in MORE),
    ),
    minutes=(1.5, 80),
)
