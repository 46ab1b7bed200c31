"""Two adapters of a skill each that share solution templates, asked problems that need both.

**Question.** How many of their solutions must two adapters share before a merge solves both?

**Prediction.** All bases know all skills, one step at a time; adapters are taught single steps of
one skill, and a share of problems in two steps. Those begin with what can be computed first, single
steps with what is asked for. Where the base has seen single steps only, that first step has to win
a vote (`thm:template-vote`): with coefficient 1/2 from a share of 1/2 on, with 1 from 1/4 on, and
never where neither adapter has two steps. A base that has met problems in two steps has the right
habit, which adapters of single steps outvote: with 1/2 up to a share of 1/2, with 1 up to 3/4. This
is column `predicted`, for mean and sum; it takes all for memories that are asked by one key, so
models that read how many steps a question has need less than it says. The vote is on the shape:
whether both adapters share the templates, of the pair in the other order (serial) or of other
skills (neutral), or each has two steps of its own skill (own) and the shape alone is shared, makes
little difference. At once, without steps to decode, composing takes a read in each layer
(`thm:two-read-region`): two layers, of which the first also finds the operands, are not expected to
do it, joint training no more than merging.

**Chance.** An answer is right once in seven; a whole solution hardly ever.

**Controls.** The base; each adapter alone; an adapter trained on the target itself (composed); two
steps of other skills, at a share of 1/2 alone; lessons without two steps (all other kinds have 1/4,
1/2 and 1). Joint training is in `skill_coverage`.
"""

import numpy as np

from paper.studies._shared.problems import MEASURED, SIZES, Overlapping, margin, profiles
from loratheory.experiments.engine import Row, study

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


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(
        Overlapping(kind="single steps"),
        [Overlapping(seed=seed, size=SIZES["problems"]) for seed in range(3)],
        pairs=MEASURED[:1],
    ),
    minutes=(0.5, 8, 3),
)
