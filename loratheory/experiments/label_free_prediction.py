"""Which pairs of skills compose, and whether a measure without labels tells it beforehand.

**Question.** Adapters of five skills are merged for problems of two of them, an ordered pair that
pretraining never showed. Which pairs compose, and does overlap of solutions, likeness of adapters
or any other measure that needs no answers tell which?

**Prediction.** (a) Nothing lies at floor or ceiling. Each adapter alone solves .9 or more of single
steps of its skill, and one trained on the pair .95 of the pair. By itself the base solves .05 to .3
where it has met 10 of the 20 ordered pairs, .25 to .55 where 12. With lessons of its own skill's
two steps alone the sum solves .3 to .6 and .65 to .95, at least .15 more than the base and no less
than the mean; at ten pairs TIES and Arrow are within .15 of the sum. The sum is better than the
better one of both adapters alone by at most .2, so part of what it solves is the lessons', which
practise two steps. Two steps of the own skill are no better than of other skills at 12 pairs (the
difference is below .15). More of the lesson in two steps is better (`thm:template-vote`). Pairs
differ more than rules do. (b) Counted as composed is a pair of adapters of which the best rule
solves half. Of two pairs under one condition (pairs met, two steps and their share) the one that
composes is told by the overlap of templates no better than by a coin (AUC at most .5), for both
know a pair in common only if both have it from pretraining; `shape` is a constant there. The two
baselines from weights, `cosine` and `subspace`, and the likeness of reads and writes and of
responses have AUCs of .35 to .65. Only `agreement`, whether both adapters begin alike, is clearly
above ½, with .55 to .8; what the base or an adapter solves, which takes labels, has .9 or more
(`base`, `alone_1`, `alone_2`). (c) With threshold and measure chosen on other skills and other
bases no forecast has a smaller Brier score than a lookup table of averages by condition, learnt on
the other bases, by more than .02, and none is right about .1 more of the pairs than the more
frequent outcome.

**Chance.** A whole solution is hardly ever right by chance. An AUC of ½; hits as often as the more
frequent outcome.

**Controls.** The base; each adapter alone, also on single steps of its skill; an adapter of twice
the rank trained on the pair itself (composed). A constant and a lookup table by condition. All
lessons have two steps; skills whose pairs are foretold chose no threshold. The number of pairs met,
and the lessons, were chosen on base seeds 101 and 102.
"""

import numpy as np

from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.problems import Unmet, drawn, profiles, single
from loratheory.experiments.bench.reliability import REUSED
from loratheory.experiments.engine import Row, study

RULES = {"base": "base", "alone_1": "first alone", "alone_2": "second alone"}
RULES |= {name: name for name in (*REUSED, "composed")}
"""Columns of shares of problems solved, and whose they are."""


def cell(config: Unmet) -> list[Row]:
    """Return a row per ordered pair of skills that the base has not met, and kind of lessons.

    `bridge` and `share` say what problems of two steps the lessons had. Then come
    `bench.reliability.MEASURES`; the shares `step_1` and `step_2` of problems of one step of its
    own skill that each adapter solves alone; and those of problems that need both skills solved by
    the base, by each adapter alone, by the rules in `REUSED` and by an adapter trained on the pair.
    """
    models, count = config.trained(), config.size.asked
    asked, acting = models.targets(count), models.acting()
    columns, rng = bench.likeness(models, asked), np.random.default_rng([config.seed, 20])
    for k, name in enumerate(("first alone", "second alone")):
        steps = [drawn(single([case.pair[k]]), count, rng) for case in models.cases]
        columns[f"step_{k + 1}"] = models.right(steps, acting[name]).mean(axis=1)
    for column, rule in RULES.items():
        columns[column] = models.right(asked, acting[rule]).mean(axis=1)
    return models.rows(
        {"met": config.met, "seed": config.seed},
        columns,
        lambda case: {"bridge": case.bridge, "share": case.share},
    )


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(Unmet(met=10), [Unmet(seed=seed, met=met) for seed in range(8) for met in (10, 12)]),
    minutes=(0.5, 25, 2),
)
