"""The same problems put otherwise: whether a merge solves them, or matches what it was shown."""

from dataclasses import replace

import numpy as np

from loratheory.tasks.word_problems import ENTITIES, Problems, distract, fill
from paper.studies._shared.run import Row, part
from paper.studies.word_problems.problems import CONTEXT, WORDINGS, Overlapping, reordered
from paper.studies.word_problems.template_overlap import PAPER, QUICK_RUN, train

OTHERWISE = ("as it was", "wording", "names", "numbers", "order", "distractor")
ASKED = ("sum", "composed")


def otherwise(problems: Problems, how: str, *, rng: np.random.Generator) -> Problems:
    """Return the problems put in another way, named by `how`, one of `OTHERWISE`.

    This changes the wording, the names, the numbers or the order, or adds an idle quantity.
    """
    changes = {"wording": reworded, "names": renamed, "numbers": renumbered, "order": reordered}
    if how == "distractor":
        return distract(problems, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    return changes[how](problems, rng) if how in changes else problems


def reworded(problems: Problems, rng: np.random.Generator) -> Problems:
    """Return the problems with every sentence in another of `WORDINGS`; answers stay."""
    words = np.concatenate([problems.wordings, problems.asking[:, None]], axis=1)
    luck = rng.random((*words.shape, len(WORDINGS)))
    # The present wording is never drawn again.
    luck[words[:, :, None] == WORDINGS] = -1
    words = luck.argmax(axis=2)
    return replace(problems, wordings=words[:, :-1], asking=words[:, -1])


def renamed(problems: Problems, rng: np.random.Generator) -> Problems:
    """Return the problems with each name replaced by another; within a problem names differ."""
    shift = rng.integers(1, ENTITIES, size=(len(problems), 1))
    names = np.where(problems.present, (problems.names + shift) % ENTITIES, -1)
    return replace(problems, names=names)


def renumbered(problems: Problems, rng: np.random.Generator) -> Problems:
    """Return the problems with at least one other number each, and the answers that follow."""
    numbers, values = problems.numbers.copy(), problems.values.copy()
    left = np.arange(len(problems))
    # Numbers that came out equal are drawn again.
    while len(left):
        new = fill(problems[left], rng=rng)
        numbers[left], values[left] = new.numbers, new.values
        left = left[(numbers[left] == problems.numbers[left]).all(axis=1)]
    return replace(problems, numbers=numbers, values=values)


def cell(config: Overlapping) -> list[Row]:
    """Return a row per way to put the problems, case and rule in `ASKED`.

    The adapters are those of `template_overlap`. `stepwise` is the share of problems whose whole
    solution is right. `kept` is that share among the problems that were solved as first put, nan
    if none was.
    """
    models = train(config)
    asked, rng = models.targets(config.size.asked), np.random.default_rng([config.seed, 18])
    put = {how: [otherwise(one, how, rng=rng) for one in asked] for how in OTHERWISE}
    acting, table = models.acting(), list[Row]()
    for rule in ASKED:
        right = {how: models.right(problems, acting[rule]) for how, problems in put.items()}
        first = right[OTHERWISE[0]]
        for how, solved in right.items():
            # Where nothing was solved at first, nothing can be kept.
            with np.errstate(invalid="ignore"):
                kept = (first & solved).sum(axis=1) / first.sum(axis=1)
            table += models.rows(
                {"seed": config.seed, "rule": rule, "put": how},
                {"stepwise": solved.mean(axis=1), "kept": kept},
                lambda case: {"bridge": case.bridge, "share": case.share},
            )
    return table


PART = part("shallow_matching", cell, QUICK_RUN, PAPER)
