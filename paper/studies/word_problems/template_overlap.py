"""Two adapters of a skill each that share solution templates, asked problems that need both."""

from math import nan

import numpy as np

from paper.studies._shared.run import Row, grid, part
from paper.studies.word_problems import words
from paper.studies.word_problems.problems import (
    MEASURED,
    QUICK,
    Overlapping,
    margin,
    overlapping,
    pretraining,
)

COEFFICIENTS = {"mean": 0.5, "sum": 1.0}


def train(config: Overlapping) -> words.Trained:
    """Return the adapters, from the cache or trained."""
    sets = pretraining(config.seed, config.size.problems)
    return words.trained(sets, config, overlapping(config.pairs))


def cell(config: Overlapping) -> list[Row]:
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
        row["predicted"] = float(np.sign(margin(float(row["share"]), coefficient)) + 1) / 2
    return table


QUICK_RUN = [Overlapping(size=QUICK, pairs=MEASURED[:1])]
PAPER = grid(Overlapping, seed=range(3))
PART = part("template_overlap", cell, QUICK_RUN, PAPER)
