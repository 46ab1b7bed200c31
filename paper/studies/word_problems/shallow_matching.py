"""Vary the wording of problems, to test whether a merge solves them or matches templates."""

from dataclasses import replace

import numpy as np

from loratheory.tasks.word_problems import ENTITIES, Problems, distract, fill
from paper.studies._shared.run import Row, part
from paper.studies.word_problems.problems import CONTEXT, WORDINGS, Overlapping, reordered
from paper.studies.word_problems.template_overlap import PAPER, QUICK_RUN, train

VARIATIONS = ("as it was", "wording", "names", "numbers", "order", "distractor")
METHODS = ("sum", "composed")


def vary(problems: Problems, how: str, *, rng: np.random.Generator) -> Problems:
    """Return a variation of the problems, named by `how`, one of `VARIATIONS`.

    It changes the wording, the names, the numbers or the order, or adds a distractor.
    """
    changes = {"wording": reworded, "names": renamed, "numbers": renumbered, "order": reordered}
    if how == "distractor":
        return distract(problems, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    return changes[how](problems, rng) if how in changes else problems


def reworded(problems: Problems, rng: np.random.Generator) -> Problems:
    """Change the wording of every sentence to another of `WORDINGS`; answers stay."""
    words = np.concatenate([problems.wordings, problems.asking[:, None]], axis=1)
    luck = rng.random((*words.shape, len(WORDINGS)))
    # The present wording is excluded.
    luck[words[:, :, None] == WORDINGS] = -1
    words = luck.argmax(axis=2)
    return replace(problems, wordings=words[:, :-1], asking=words[:, -1])


def renamed(problems: Problems, rng: np.random.Generator) -> Problems:
    """Replace each name by another name; within a problem names differ."""
    shift = rng.integers(1, ENTITIES, size=(len(problems), 1))
    names = np.where(problems.present, (problems.names + shift) % ENTITIES, -1)
    return replace(problems, names=names)


def renumbered(problems: Problems, rng: np.random.Generator) -> Problems:
    """Change at least one number of each problem, and compute the answers."""
    numbers, values = problems.numbers.copy(), problems.values.copy()
    left = np.arange(len(problems))
    # Problems whose numbers are all equal are drawn again.
    while len(left):
        new = fill(problems[left], rng=rng)
        numbers[left], values[left] = new.numbers, new.values
        left = left[(numbers[left] == problems.numbers[left]).all(axis=1)]
    return replace(problems, numbers=numbers, values=values)


def cell(config: Overlapping) -> list[Row]:
    """Return a row per variation, case and rule in `METHODS`.

    The adapters are the adapters of `template_overlap`. `stepwise` is the share of problems whose
    whole solution is right. `kept` is this share among the problems that are solved without a
    variation, NaN if there are none.
    """
    models = train(config)
    targets, rng = models.targets(config.size.asked), np.random.default_rng([config.seed, 18])
    put = {how: [vary(one, how, rng=rng) for one in targets] for how in VARIATIONS}
    methods, table = models.activate(), list[Row]()
    for rule in METHODS:
        right = {how: models.right(problems, methods[rule]) for how, problems in put.items()}
        first = right[VARIATIONS[0]]
        for how, solved in right.items():
            # The share is NaN if no problem is solved without a variation.
            with np.errstate(invalid="ignore"):
                kept = (first & solved).sum(axis=1) / first.sum(axis=1)
            table += models.rows(
                {"seed": config.seed, "rule": rule, "put": how},
                {"stepwise": solved.mean(axis=1), "kept": kept},
                lambda case: {"bridge": case.bridge, "share": case.share},
            )
    return table


PART = part("shallow_matching", cell, QUICK_RUN, PAPER)
