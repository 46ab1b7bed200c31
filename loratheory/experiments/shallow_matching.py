"""The same problems put otherwise: whether a merge solves them, or matches what it was shown.

**Question.** Put otherwise, does a merge lose more than a model trained on the task?

**Prediction.** A solution in steps reads each operand where the one before has put it, so other
names, numbers and words, which all training varied, cost a merge nothing that they do not cost the
model trained on the task (`thm:clean-up-bridge`). Another order and something idle were shown only
in pretraining, in two steps with other skills alone: adapters were trained on problems in order and
with nothing idle, and so was the one trained on the task. Both lose there. A merge
loses more: its margins are smaller, and what else is told adds to the interference of two adapters
(`thm:perturbed-region`). The drop is taken over problems that were solved as first put.

**Chance.** A solution is hardly ever right by chance.

**Controls.** An adapter trained on the target (composed); the same problems as they were; adapters
that met no two steps, or all kinds of them.
"""

import numpy as np

from loratheory.experiments.engine import Experiment, Row
from loratheory.experiments.words._problems import CODE, CONTEXT, FORMS, WORDINGS
from loratheory.experiments.words._settings import MEASURED, QUICK, SIZES, SMALL, Overlapping
from loratheory.tasks.word_problems import (
    Problems,
    distracted,
    renamed,
    renumbered,
    reordered,
    reworded,
)

OTHERWISE = ("as it was", "wording", "names", "numbers", "order", "distractor")
ASKED = ("mean", "sum", "ties", "arrow", "gates", "composed")
Config = Overlapping


def otherwise(problems: Problems, how: str, *, rng: np.random.Generator) -> Problems:
    """Return the problems put otherwise, of `OTHERWISE`.

    In other words, of others, with other numbers, in another order, or with one quantity more.
    """
    if how == "wording":
        return reworded(problems, rng=rng, wordings=WORDINGS)
    if how == "distractor":
        return distracted(problems, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    changes = {"names": renamed, "numbers": renumbered, "order": reordered}
    return changes[how](problems, rng=rng) if how in changes else problems


def cell(config: Config) -> list[Row]:
    """Return one row for each case, rule and way to put the problems.

    Parameters
    ----------
    config : Overlapping
        What to reuse: the adapters of `template_overlap`.

    Returns
    -------
    list of dict
        `stepwise`, problems whose whole solution is right; `kept`, those among them that were
        solved as first put, over all that were, nan where none was.
    """
    from loratheory.experiments.words._models import padded, share_right

    models = config.trained()
    asked, form = models.targets(config.size.asked), FORMS["stepwise"][0]
    rng = np.random.default_rng([config.seed, 18])
    put = {
        how: padded([form(CODE, otherwise(one, how, rng=rng)) for one in asked])
        for how in OTHERWISE
    }
    table: list[Row] = []
    acting = models.acting()
    for rule in ASKED:
        right = {
            how: share_right(models.bases, rows, acting[rule]) == 1 for how, rows in put.items()
        }
        first = right[OTHERWISE[0]]
        for how, solved in right.items():
            for e, case in enumerate(models.cases):
                row: Row = {"kind": config.kind, "seed": config.seed, "rule": rule, "put": how}
                row |= {"first": case.pair[0], "second": case.pair[1]}
                row |= {"bridge": case.bridge, "share": case.share}
                before = float(first[e].sum())
                kept = float((first[e] & solved[e]).sum()) / before if before else float("nan")
                row |= {"stepwise": round(float(solved[e].mean()), 4), "kept": round(kept, 4)}
                table.append(row)
    return table


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="torch",
    profiles={
        "quick": (Config("single steps", pairs=MEASURED[:1], size=QUICK),),
        "small": tuple(Config("single steps", k, MEASURED[:1], QUICK) for k in SMALL),
        "paper": tuple(Config(seed=seed, size=SIZES["problems"]) for seed in range(3)),
    },
    minutes={"quick": 0.15, "small": 1, "paper": 1},
)
