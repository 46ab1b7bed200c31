"""Two adapters of a skill each that share solution templates, asked problems that need both."""

import numpy as np

from paper.studies._shared.problems import MEASURED, QUICK, SIZES, Overlapping, margin
from paper.studies._shared.run import Row, part

COEFFICIENTS = {"mean": 0.5, "sum": 1.0}


def predicted(rule: str, share: float, *, habit: bool) -> float:
    """Return 1 if the vote on the first step is won, 0 if lost, 1/2 at the border, else nan."""
    if rule not in COEFFICIENTS:
        return float("nan")
    return float(np.sign(margin(share, COEFFICIENTS[rule], habit=habit)) + 1) / 2


def cell(config: Overlapping) -> list[Row]:
    """Return a row per case and rule.

    `stepwise` is the share of problems whose whole solution is right, `answered` the share answered
    rightly without steps, `predicted` what the function of that name returns.
    """
    models, habit = config.trained(), config.kind != "single steps"
    asked = models.targets(config.size.asked)
    table = models.compared(
        {"kind": config.kind, "seed": config.seed},
        lambda adapt: models.accuracies(asked, adapt),
        lambda case: {"bridge": case.bridge, "share": case.share},
    )
    for row in table:
        row["predicted"] = predicted(str(row["rule"]), float(row["share"]), habit=habit)
    return table


PART = part(
    "template_overlap",
    cell,
    quick=[Overlapping(kind="single steps", size=QUICK, pairs=MEASURED[:1])],
    paper=[Overlapping(seed=seed, size=SIZES["problems"]) for seed in range(3)],
)
