"""Training and test problems of a split: distinct, distracted if wanted, and proved apart."""

from collections.abc import Sequence

import numpy as np

from loratheory.tasks._error import within
from loratheory.tasks.word_problems._contamination import proved_disjoint
from loratheory.tasks.word_problems._distracted import distracted
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._structural import Split


def sets(
    parts: Split,
    rows: int,
    *,
    rng: np.random.Generator,
    distractors: int = 0,
    skills: Sequence[str] | None = None,
) -> dict[str, Problems]:
    """Return problems of both parts of a split.

    Parameters
    ----------
    parts : Split
        What is trained and what is held out.
    rows : int
        Problems in all, two at least; a fifth of them, one at least, are held out.
    rng : Generator
        Draws them.
    distractors : int
        Quantities to add to each problem.
    skills : sequence of str, optional
        Of the steps among these; any where not given.

    Returns
    -------
    dict of str to Problems
        "train" and "test", of which all problems are distinct.

    Raises
    ------
    ImpossibleError
        If too few distinct problems exist.
    """
    within("problems in all", rows, 2)
    held = max(rows // 5, 1)
    train = parts.trained.drawn(rows - held, rng=rng, distinct=True)
    test = parts.held_out.drawn(held, rng=rng, distinct=True, avoid=train)
    made = {}
    for name, part, pool in (("train", train, parts.trained), ("test", test, parts.held_out)):
        made[name] = distracted(part, distractors, rng=rng, skills=skills, wordings=pool.wordings)
    proved_disjoint(parts, made["train"], made["test"])
    return made
