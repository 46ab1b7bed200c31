"""Two adapters merged on bases that have seen more or less of the pair of skills that is asked."""

import numpy as np

from loratheory.tasks.word_problems import Problems
from paper.studies._shared.run import Row, grid, part
from paper.studies.word_problems import problems, words


def cell(config: problems.Covered) -> list[Row]:
    """Return a row per ordered pair of skills and rule.

    `coverage` is the pair's share of the problems of two steps in pretraining. The others are
    shares solved: `stepwise`, problems of the pair whose whole solution is right; `answered`, those
    answered rightly without steps; `step_1` and `step_2`, problems of one step of the first and of
    the second skill.
    """
    count, met = config.size.asked, problems.coverage(config.seen, config.seed)
    sets = problems.covering(config.seen, config.seed, config.size.problems)
    cases = [problems.Case(pair, "own", 0.5) for pair in problems.PAIRS]
    models = words.trained(sets, config, cases, ("joint", "composed"))
    asked, rng = models.targets(count), np.random.default_rng([config.seed, 20])
    steps = dict[str, list[Problems]]()
    # Single steps are drawn after the targets, from a stream of their own.
    for k, name in enumerate(("step_1", "step_2")):
        steps[name] = [
            problems.drawn(problems.single([case.pair[k]]), count, rng) for case in models.cases
        ]
    return models.compared(
        {"seen": config.seen},
        lambda adapt: {
            **models.accuracies(asked, adapt),
            **{name: models.right(one, adapt).mean(axis=1) for name, one in steps.items()},
        },
        lambda case: {"coverage": round(met[case.pair], 4), "seed": config.seed},
    )


PAPER = grid(problems.Covered, seed=range(3), seen=problems.SEEN[:-1])
PAPER += grid(problems.Covered, seed=range(len(problems.WEIGHTS)), seen=problems.SEEN[-1:])
PART = part(
    "skill_coverage", cell, [problems.Covered(seen=problems.SEEN[0], size=problems.QUICK)], PAPER
)
