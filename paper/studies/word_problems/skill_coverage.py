"""Two adapters merged on bases that have seen more or less of the pair of skills that is asked."""

import numpy as np

from paper.studies._shared.problems import (
    QUICK,
    SEEN,
    WEIGHTS,
    Covered,
    coverage,
    drawn,
    single,
)
from paper.studies._shared.run import Row, part


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


PART = part(
    "skill_coverage",
    cell,
    quick=[Covered(seen=SEEN[0], size=QUICK)],
    paper=[
        *(Covered(seen=seen, seed=seed) for seed in range(3) for seen in SEEN[:-1]),
        *(Covered(seen=SEEN[-1], seed=seed) for seed in range(len(WEIGHTS))),
    ],
)
