"""Quantities that are told and not needed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loratheory.tasks._error import impossible, within
from loratheory.tasks.word_problems._filling import one_round
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sampling import ENTITIES, WORDINGS
from loratheory.tasks.word_problems._skills import FORMS, code, known_skills, possible
from loratheory.tasks.word_problems._together import padded

_ROUNDS = 200


def distracted(
    here: Problems,
    count: int,
    *,
    rng: np.random.Generator,
    skills: Sequence[str] | None = None,
    wordings: Sequence[int] = range(WORDINGS),
) -> Problems:
    """Return the problems with more quantities that their answers do not depend on.

    Parameters
    ----------
    here : Problems
        Their answers and solutions stay.
    count : int
        Quantities to add to each problem.
    rng : Generator
        Draws what they are and where they are told: after what they are made of.
    skills : sequence of str, optional
        Half of them are given, half are steps of one of these skills, all that there are if none
        is named, from a quantity and numbers; all are given if no skill is of that kind.
    wordings : sequence of int
        In which they are told.

    Returns
    -------
    Problems
        No template, no needed quantity and no key differs.

    Raises
    ------
    ImpossibleError
        If there are not enough names.
    """
    within("distractors", count, 0)
    known = possible(here.prime) if skills is None else tuple(skills)
    known_skills(known, here.prime)
    most = int(here.told.sum(axis=1).max(initial=0)) + count
    if most > ENTITIES:
        fact = f"{most} quantities would need names, and there are {ENTITIES}"
        raise impossible(fact, f"add {max(ENTITIES - most + count, 0)} distractors or fewer")
    steps = [code(skill) for skill in known if any(form[0] == 1 for form in FORMS[skill])]
    for _ in range(count):
        here = _one_more(here, steps, rng, [*wordings])
    return here


def _one_more(
    here: Problems, steps: Sequence[int], rng: np.random.Generator, wordings: Sequence[int]
) -> Problems:
    rows, last = np.arange(len(here)), here.skills.shape[1]
    wide = padded(here, last + 1)
    luck = rng.random((len(rows), ENTITIES))
    np.put_along_axis(luck, np.where(here.told, here.names, here.names[:, :1]), -1.0, axis=1)
    names, words, skills = wide.names.copy(), wide.wordings.copy(), wide.skills.copy()
    inputs, numbers, values = wide.inputs.copy(), wide.numbers.copy(), wide.values.copy()
    names[:, last] = luck.argmax(axis=1)
    words[:, last] = rng.choice(np.array(wordings), size=len(rows))
    left, lost = rows, Counter(here.excluded)
    for _ in range(_ROUNDS):
        base = np.where(here.told[left], rng.random((len(left), last)), -1.0).argmax(axis=1)
        chosen = rng.choice(np.array([*steps, *[0] * max(len(steps), 1)]), size=len(left))
        skills[left, last] = chosen
        inputs[left, last, 0] = np.where(chosen > 0, base, -1)
        trial = replace(wide, skills=skills.copy(), inputs=inputs.copy())[left]
        new = np.zeros(trial.skills.shape, dtype=bool)
        new[:, last] = True
        good, drawn = one_round(trial, np.arange(len(left)), new, lost, rng)
        numbers[left[good]], values[left[good]] = drawn.numbers, drawn.values
        left = np.delete(left, good)
        if not len(left):
            break
    else:
        fact = f"{_ROUNDS} draws found no distractor for {len(left)} problems"
        raise impossible(fact, "allow more skills, or take problems with smaller numbers")
    order = _inserted(here, inputs[:, last, 0], rng)
    return replace(
        wide, skills=skills, inputs=inputs, numbers=numbers, values=values, names=names,
        wordings=words, order=order, excluded={**lost},
    )  # fmt: skip


def _inserted(here: Problems, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The orders with one more quantity, anywhere behind what it is made of."""
    rows = np.arange(len(here))
    place = np.where(base >= 0, here.order.argsort(axis=1)[rows, base], -1)
    told = here.told.sum(axis=1)
    behind = place + 0.5 + np.floor(rng.random(len(rows)) * (told - place))
    at = np.concatenate([here.order.argsort(axis=1), behind[:, None]], axis=1)
    return at.argsort(axis=1, kind="stable")
