"""Merge two adapters on bases with different pretraining on the target's pair of skills."""

from paper.studies._shared.run import Row, grid, part
from paper.studies.word_problems import problems, words

RULES = ("base", "second alone", "mean", "sum", "joint", "composed")


def cell(config: problems.Covered) -> list[Row]:
    """Return a row per ordered pair of skills and rule.

    `coverage` is the pair's share of the two-step problems in pretraining, `stepwise` the share of
    the pair's problems whose whole solution is right.
    """
    met = problems.coverage(config.seen, config.seed)
    sets = problems.covering(config.seen, config.seed, config.size.problems)
    cases = [problems.Case(pair, "own", 0.5) for pair in problems.PAIRS]
    models = words.trained(sets, config, cases, ("joint", "composed"))
    targets, methods = models.targets(config.size.asked), models.activate()
    table = list[Row]()
    for rule in RULES:
        table += models.rows(
            {"seen": config.seen, "rule": rule},
            {"stepwise": models.right(targets, methods[rule]).mean(axis=1)},
            lambda case: {"coverage": round(met[case.pair], 4), "seed": config.seed},
        )
    return table


PAPER = grid(problems.Covered, seed=range(3), seen=problems.SEEN[:-1])
PAPER += grid(problems.Covered, seed=range(len(problems.WEIGHTS)), seen=problems.SEEN[-1:])
PART = part(
    "skill_coverage", cell, [problems.Covered(seen=problems.SEEN[0], size=problems.QUICK)], PAPER
)
