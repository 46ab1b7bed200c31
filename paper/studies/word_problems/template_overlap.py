"""Two adapters of a skill each that share solution templates, asked problems that need both."""

from math import nan

import numpy as np

from paper.studies._shared.run import Row, grid, part
from paper.studies.word_problems import problems, words

COEFFICIENTS = {"mean": 0.5, "sum": 1.0}


def train(config: problems.Overlapping) -> words.Trained:
    """Return the adapters, from the cache or trained."""
    sets = problems.pretraining(config.seed, config.size.problems)
    return words.trained(sets, config, problems.overlapping(config.pairs))


def cell(config: problems.Overlapping) -> list[Row]:
    """Return a row per case and rule.

    `stepwise` is the share of problems whose whole solution is right, `answered` the share answered
    rightly without steps; `predicted` is 1 if the vote on the first step is won, 0 if it is lost,
    1/2 at the border, NaN for other rules.
    """
    models = train(config)
    asked = models.targets(config.size.asked)
    table = models.compared(
        {"kind": config.kind, "seed": config.seed},
        lambda adapt: models.accuracies(asked, adapt),
        lambda case: {"bridge": case.bridge, "share": case.share},
    )
    for row in table:
        coefficient = COEFFICIENTS.get(str(row["rule"]), nan)
        row["predicted"] = float(np.sign(problems.margin(float(row["share"]), coefficient)) + 1) / 2
    return table


QUICK_RUN = [problems.Overlapping(size=problems.QUICK, pairs=problems.MEASURED[:1])]
PAPER = grid(problems.Overlapping, seed=range(3))
PART = part("template_overlap", cell, QUICK_RUN, PAPER)
