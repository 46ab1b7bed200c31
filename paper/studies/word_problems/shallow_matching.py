"""The same problems put otherwise: whether a merge solves them, or matches what it was shown."""

import numpy as np

from loratheory.tasks.word_problems import (
    Problems,
    distracted,
    renamed,
    renumbered,
    reordered,
    reworded,
)
from paper.studies._shared.problems import (
    CONTEXT,
    MEASURED,
    QUICK,
    SIZES,
    WORDINGS,
    Overlapping,
)
from paper.studies._shared.run import Row, part

OTHERWISE = ("as it was", "wording", "names", "numbers", "order", "distractor")
ASKED = ("mean", "sum", "ties", "arrow", "gates", "composed")


def otherwise(problems: Problems, how: str, *, rng: np.random.Generator) -> Problems:
    """Return the problems put in another way, named by `how`, one of `OTHERWISE`.

    This changes the wording, the names, the numbers or the order, or adds an idle quantity.
    """
    if how == "wording":
        return reworded(problems, rng=rng, wordings=WORDINGS)
    if how == "distractor":
        return distracted(problems, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    changes = {"names": renamed, "numbers": renumbered, "order": reordered}
    return changes[how](problems, rng=rng) if how in changes else problems


def cell(config: Overlapping) -> list[Row]:
    """Return a row per way to put the problems, case and rule in `ASKED`.

    The adapters are those of `template_overlap`. `stepwise` is the share of problems whose whole
    solution is right. `kept` is that share among the problems that were solved as first put, nan
    if none was.
    """
    models = config.trained()
    asked, rng = models.targets(config.size.asked), np.random.default_rng([config.seed, 18])
    put = {how: [otherwise(one, how, rng=rng) for one in asked] for how in OTHERWISE}
    acting, table = models.acting(), list[Row]()
    for rule in ASKED:
        right = {how: models.right(problems, acting[rule]) for how, problems in put.items()}
        first = right[OTHERWISE[0]]
        for how, solved in right.items():
            with np.errstate(invalid="ignore"):
                kept = (first & solved).sum(axis=1) / first.sum(axis=1)
            table += models.rows(
                {"kind": config.kind, "seed": config.seed, "rule": rule, "put": how},
                {"stepwise": solved.mean(axis=1), "kept": kept},
                lambda case: {"bridge": case.bridge, "share": case.share},
            )
    return table


PART = part(
    "shallow_matching",
    cell,
    quick=[Overlapping(kind="single steps", size=QUICK, pairs=MEASURED[:1])],
    paper=[Overlapping(seed=seed, size=SIZES["problems"]) for seed in range(3)],
)
