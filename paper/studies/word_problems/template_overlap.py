"""Merge two adapters that share solution templates; evaluate problems that need both skills."""

from paper.studies._shared.run import Row, grid, part
from paper.studies.word_problems import problems, words


def train(config: problems.Overlapping) -> words.Trained:
    """Return the adapters, from the cache or trained."""
    sets = problems.pretraining(config.seed, config.size.problems)
    return words.trained(sets, config, problems.overlapping(config.pairs))


def cell(config: problems.Overlapping) -> list[Row]:
    """Return a row per case and rule.

    `stepwise` is the share of problems whose whole solution is right, `answered` the accuracy
    without steps.
    """
    models = train(config)
    targets, table = models.targets(config.size.asked), list[Row]()
    for rule, adapt in models.activate().items():
        right = {form: models.right(targets, adapt, form).mean(axis=1) for form in problems.FORMS}
        table += models.rows(
            {"seed": config.seed, "rule": rule},
            right,
            lambda case: {"bridge": case.bridge, "share": case.share},
        )
    return table


QUICK_RUN = [problems.Overlapping(size=problems.QUICK, pairs=problems.MEASURED[:1])]
PAPER = grid(problems.Overlapping, seed=range(3))
PART = part("template_overlap", cell, QUICK_RUN, PAPER)
