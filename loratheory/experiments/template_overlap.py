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
1/2 and 1). Joint training is in `skill_composition`.

**Found.** The vote is neither enough nor needed, and templates that both adapters share are no help
at all. Without problems in two steps no merge or router solves any (.00 at best), as predicted; but
lessons that share the pair in the other order do no better (.00), even at a share of 1 where the
vote is won, nor do two steps of other skills (.00). What helps is that each adapter has used its
own skill in two steps. At shares of 1/4, 1/2 and 1 the sum then solves .27, .39 and .33, the first
two against a lost vote, the mean .09, .25 and .30, TIES .19, .34 and .35, the interpolating merge
.30, .41 and .38, Arrow .17, .30 and .24, calibrated gates .04, .12 and .14, block gates next to
nothing. Much of it is the second adapter's: alone it solves .14, .21 and .27, more than gates do,
and at 1/4 than the mean; the first alone .02 at most, the one trained on the target .99. The mean
does not jump at its border. Bases of single steps, the first half of the prediction, were left out
before the run: on them nothing composes (`skill_composition`). At once everything stays at .29,
near the 2/7 of one who knows that zero stays zero and guesses the rest.
"""

import numpy as np

from loratheory.experiments.engine import Experiment, Row
from loratheory.experiments.words._settings import (
    MEASURED,
    QUICK,
    SIZES,
    SMALL,
    Overlapping,
    margin,
)

COEFFICIENTS = {"mean": 0.5, "sum": 1.0}
Config = Overlapping


def predicted(rule: str, share: float, *, habit: bool) -> float:
    """Return 1 where the vote on the first step is won, 0 where it is lost, 1/2 at the border."""
    if rule not in COEFFICIENTS:
        return float("nan")
    return float(np.sign(margin(share, COEFFICIENTS[rule], habit=habit)) + 1) / 2


def cell(config: Config) -> list[Row]:
    """Return one row for each case and rule.

    Parameters
    ----------
    config : Overlapping
        What to train and to reuse.

    Returns
    -------
    list of dict
        `stepwise`, problems whose whole solution is right; `answered`, whose answer is right at
        once; `predicted`, nan where nothing is.
    """
    models, habit = config.trained(), config.kind != "single steps"
    asked = models.targets(config.size.asked)
    table = models.compared(
        {"kind": config.kind, "seed": config.seed},
        lambda adapt: models.accuracies(asked, adapt),
        lambda case: {"bridge": case.bridge, "share": case.share},
    )
    return [
        {**row, "predicted": predicted(str(row["rule"]), float(row["share"]), habit=habit)}
        for row in table
    ]


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config("single steps", pairs=MEASURED[:1], size=QUICK),),
        "small": tuple(Config("single steps", k, MEASURED[:1], QUICK) for k in SMALL),
        "paper": tuple(Config(seed=seed, size=SIZES["problems"]) for seed in range(3)),
    },
    minutes={"quick": 0.5, "small": 3, "paper": 8},
)
