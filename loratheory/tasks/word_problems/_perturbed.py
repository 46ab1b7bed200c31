"""Variants of problems: other words, names, order or numbers, or quantities that are not needed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible, within
from loratheory.tasks.word_problems._problems import EMPTY, Problems, padded
from loratheory.tasks.word_problems._sampling import (
    ENTITIES,
    WORDINGS,
    allowed_wordings,
    filled,
    one_round,
)
from loratheory.tasks.word_problems._skills import FORMS, code, known_skills, possible

_ROUNDS = 200


def reworded(
    problems: Problems, *, rng: np.random.Generator, wordings: Sequence[int] = range(WORDINGS)
) -> Problems:
    """Return the problems with every sentence in another of these wordings; answers stay.

    Raises `ImpossibleError` if a sentence is already in the only wording allowed.
    """
    allowed = np.unique(allowed_wordings(wordings))
    used = (*problems.wordings[problems.present], *problems.asking)
    if len(allowed) == 1 and allowed[0] in used:
        fact = f"some sentences are in wording {allowed[0]} already"
        raise impossible(fact, "allow another wording")
    words = np.concatenate([problems.wordings, problems.asking[:, None]], axis=1)
    luck = rng.random((*words.shape, len(allowed)))
    luck[words[:, :, None] == allowed] = -1
    words = allowed[luck.argmax(axis=2)]
    return replace(problems, wordings=words[:, :-1], asking=words[:, -1])


def renamed(problems: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems with each name replaced by another; within a problem names differ."""
    shift = rng.integers(1, ENTITIES, size=(len(problems), 1))
    names = np.where(problems.present, (problems.names + shift) % ENTITIES, -1)
    return replace(problems, names=names)


def reordered(problems: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems with sentences in another order, in which steps may precede their inputs.

    Every order but the present one is equally likely. Answers stay; solutions follow the new order
    where they can.
    """
    order, left = problems.order.copy(), np.arange(len(problems))
    while len(left):
        luck = np.where(problems.present[left], rng.random((len(left), order.shape[1])), 2.0)
        order[left] = luck.argsort(axis=1, kind="stable")
        left = left[(order[left] == problems.order[left]).all(axis=1)]
    return replace(problems, order=order)


def renumbered(problems: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems with other numbers, and the answers that follow from them.

    Templates, names, words and order stay; in each problem at least one number differs. Draws that
    make no sense are counted. Raises `ImpossibleError` if a problem allows no other numbers.
    """
    numbers, values = problems.numbers.copy(), problems.values.copy()
    left, excluded = np.arange(len(problems)), problems.excluded
    for _ in range(_ROUNDS // 2):
        part = replace(problems[left], excluded=excluded)
        new = filled(part, rng=rng)
        numbers[left], values[left], excluded = new.numbers, new.values, new.excluded
        left = left[(numbers[left] == problems.numbers[left]).all(axis=(1, 2))]
        if not len(left):
            return replace(problems, numbers=numbers, values=values, excluded=excluded)
    fact = f"{len(left)} problems came up with the numbers they had {_ROUNDS // 2} times"
    raise impossible(fact, "take problems with more numbers, or a larger prime")


def distracted(
    problems: Problems,
    count: int,
    *,
    rng: np.random.Generator,
    skills: Sequence[str] | None = None,
    wordings: Sequence[int] = range(WORDINGS),
) -> Problems:
    """Return the problems with `count` more quantities on which the answers do not depend.

    Answers, solutions, templates and keys stay. A new quantity is told anywhere after its input, in
    one of these wordings. Half of them are given; half are steps from one quantity and numbers by
    one of these skills, by default any. If no skill takes one quantity, all are given. Raises
    `ImpossibleError` if there are not enough names.
    """
    within("distractors", count, 0)
    named = possible(problems.prime) if skills is None else tuple(skills)
    known_skills(named, problems.prime)
    most = int(problems.present.sum(axis=1).max(initial=0)) + count
    if most > ENTITIES:
        fact = f"{most} quantities would need names, and there are {ENTITIES}"
        raise impossible(fact, f"add {max(ENTITIES - most + count, 0)} distractors or fewer")
    steps = [code(skill) for skill in named if any(form[0] == 1 for form in FORMS[skill])]
    for _ in range(count):
        problems = _one_more(problems, steps, rng, [*wordings])
    return problems


def _one_more(
    problems: Problems, steps: Sequence[int], rng: np.random.Generator, wordings: Sequence[int]
) -> Problems:
    """The problems with one more quantity each, in a new last column."""
    rows, last = np.arange(len(problems)), problems.skills.shape[1]
    wide = padded(problems, last + 1)
    made = {name: getattr(wide, name).copy() for name in EMPTY}
    luck = rng.random((len(rows), ENTITIES))
    in_use = np.where(problems.present, problems.names, problems.names[:, :1])
    np.put_along_axis(luck, in_use, -1.0, axis=1)
    made["names"][:, last] = luck.argmax(axis=1)
    made["wordings"][:, last] = rng.choice(np.array(wordings), size=len(rows))
    new = np.tile(np.arange(last + 1) == last, (len(rows), 1))
    left, lost = rows, Counter(problems.excluded)
    for _ in range(_ROUNDS):
        luck = rng.random((len(left), last))
        base = np.where(problems.present[left], luck, -1.0).argmax(axis=1)
        # As many chances to be given as to be a step.
        chosen = rng.choice(np.array([*steps, *[0] * max(len(steps), 1)]), size=len(left))
        made["skills"][left, last] = chosen
        made["inputs"][left, last, 0] = np.where(chosen > 0, base, -1)
        trial = replace(wide, skills=made["skills"].copy(), inputs=made["inputs"].copy())
        good, drawn = one_round(trial, left, new, lost, rng)
        made["numbers"][left[good]], made["values"][left[good]] = drawn.numbers, drawn.values
        left = np.delete(left, good)
        if not len(left):
            order = _inserted(problems, made["inputs"][:, last, 0], rng)
            return replace(wide, **made, order=order, excluded={**lost})
    fact = f"{_ROUNDS} draws found no distractor for {len(left)} problems"
    raise impossible(fact, "allow more skills, or take problems with smaller numbers")


def _inserted(
    problems: Problems, base: Int64[np.ndarray, " n"], rng: np.random.Generator
) -> Int64[np.ndarray, "n q"]:
    """The orders with one more quantity, anywhere behind what it is made of."""
    places = problems.order.argsort(axis=1)
    place = np.where(base >= 0, places[np.arange(len(base)), base], -1)
    luck = rng.random(len(base))
    behind = place + 0.5 + np.floor(luck * (problems.present.sum(axis=1) - place))
    return np.concatenate([places, behind[:, None]], axis=1).argsort(axis=1, kind="stable")
