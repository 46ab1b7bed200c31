"""Problems drawn at random: uniform over all numbers that make sense, in given templates."""

from collections.abc import Sequence

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible, within
from loratheory.tasks.word_problems._filling import filled
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._skills import ABSENT, known_skills
from loratheory.tasks.word_problems._template import Template

ENTITIES, WORDINGS, SCENES = 12, 4, 12


def problems(
    templates: Sequence[Template],
    rows: int,
    *,
    rng: np.random.Generator,
    prime: int = 0,
    wordings: Sequence[int] = range(WORDINGS),
    distinct: bool = False,
    avoid: Problems | None = None,
) -> Problems:
    """Return problems of these templates, each about equally often.

    Parameters
    ----------
    templates : sequence of Template
        What may be asked.
    rows : int
        How many problems.
    rng : Generator
        Draws the numbers, who has what, and how it is put.
    prime : int
        3, 5, 7, 11 or 13 for numbers modulo a prime; 0 for positive whole numbers.
    wordings : sequence of int
        Below 4.
    distinct : bool
        No two of the problems are the same, told alike or not.
    avoid : Problems, optional
        Problems that must not be among them either.

    Returns
    -------
    Problems
        In random order. Given the template, all numbers that make sense are equally likely;
        `Problems.excluded` counts draws that did not, and repeated ones where these are barred.

    Raises
    ------
    ImpossibleError
        If no numbers make sense, or too few distinct problems exist.
    """
    within("the number of problems", rows, 1)
    if not templates:
        fact = f"there are no templates to draw {rows} problems of"
        raise impossible(fact, "name more skills, or allow more steps")
    known_skills(tuple(set().union(*(each.skills for each in templates))), prime)
    said = [*wordings]
    if not said or not set(said) <= set(range(WORDINGS)):
        fact = f"wordings are {said}"
        raise impossible(fact, f"name some of {', '.join(map(str, range(WORDINGS)))}")
    each = np.tile(rng.permutation(len(templates)), -(-rows // len(templates)))[:rows]
    made = blank(templates, rng.permutation(each), prime=prime, wordings=said, rng=rng)
    return filled(made, made.told, rng=rng, distinct=distinct, avoid=avoid)


def blank(
    templates: Sequence[Template],
    which: Int64[np.ndarray, " n"],
    *,
    prime: int,
    wordings: Sequence[int],
    rng: np.random.Generator,
) -> Problems:
    """Problems of these templates, told as they come, still without numbers."""
    width, rows = max(len(each.nodes) for each in templates), len(which)
    skills = np.full((len(templates), width), ABSENT)
    inputs = np.full((len(templates), width, 2), -1)
    for number, template in enumerate(templates):
        for place, (skill, made_of) in enumerate(template.nodes):
            skills[number, place] = skill
            inputs[number, place, : len(made_of)] = made_of
    last = np.array([len(each.nodes) - 1 for each in templates])
    names = rng.permuted(np.tile(np.arange(ENTITIES), (rows, 1)), axis=1)[:, :width]
    words = rng.choice(np.array(wordings), size=(rows, width))
    absent = skills[which] == ABSENT
    return Problems(
        prime=prime,
        skills=skills[which],
        inputs=inputs[which],
        numbers=np.full((rows, width, 2), -1),
        values=np.full((rows, width), -1),
        names=np.where(absent, -1, names),
        wordings=np.where(absent, -1, words),
        order=np.tile(np.arange(width), (rows, 1)),
        asked=last[which],
        asking=rng.choice(np.array(wordings), size=rows),
        scenes=rng.integers(SCENES, size=rows),
    )
