"""Two adapters merged on bases that have seen more or less of the pair of skills that is asked.

**Question.** How much of a pair must pretraining have shown before a merge composes it?

**Prediction.** Pairs that were a sixth of all problems of two steps are composed by the base itself
and harmed by the sum; having met other pairs teaches a base nothing of the rest; and bases of
single steps compose nothing. So what the base solves rises from nothing at a
share of 0 to nearly all at a third, and passes one half between 4 % and 11 %. Merges add where it
has little: the sum some .2 at 0 and at the smallest shares, nothing by 4 %, and it harms from 11 %
on; the mean adds less and harms less. Joint training does what merges do; training on the pair
reaches all of it on every base that knows problems with these skills. It is the pair's own share
that counts, not how many problems of two steps were met, which is the same in all bases that met
any. A base that never met the words of the skills, though their sums, has no merge that composes,
and training on the pair for as long reaches a third at most; one that never met a problem has none
that solves anything, nor does training on the pair: a step that nobody takes has no vote
(`thm:template-vote`).

**Chance.** A whole solution is hardly ever right by chance; a single step's about once in seven.

**Controls.** The base; each adapter alone; an adapter of both skills (joint); one trained on the
pair itself (composed), which says on each base whether the pair can be learned at all; problems of
one step, which say whether the base knows the skills and whether adapters have learned theirs.
Six seeds for bases that met the pairs: over these each pair has each share once.
"""

import numpy as np

from paper.studies._shared.problems import (
    SEEN,
    WEIGHTS,
    Covered,
    coverage,
    drawn,
    profiles,
    single,
)
from loratheory.experiments.engine import Row, study


def cell(config: Covered) -> list[Row]:
    """Return a row per ordered pair of skills and rule.

    `coverage` is the pair's share of the problems of two steps in pretraining. The others are
    shares solved: `stepwise`, problems of the pair whose whole solution is right; `answered`, those
    answered rightly without steps; `step_1` and `step_2`, problems of one step of the first and of
    the second skill.
    """
    models, count = config.trained(), config.size.asked
    asked, met = models.targets(count), coverage(config.seen, config.seed)
    rng = np.random.default_rng([config.seed, 20])
    steps = {
        f"step_{k + 1}": [drawn(single([case.pair[k]]), count, rng) for case in models.cases]
        for k in (0, 1)
    }
    return models.compared(
        {"seen": config.seen},
        lambda adapt: {
            **models.accuracies(asked, adapt),
            **{name: models.right(one, adapt).mean(axis=1) for name, one in steps.items()},
        },
        lambda case: {"coverage": round(met[case.pair], 4), "seed": config.seed},
    )


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(
        Covered(seen=SEEN[0]),
        [
            *(Covered(seen=seen, seed=seed) for seed in range(3) for seen in SEEN[:-1]),
            *(Covered(seen=SEEN[-1], seed=seed) for seed in range(len(WEIGHTS))),
        ],
    ),
    minutes=(0.2, 32, 1),
)
