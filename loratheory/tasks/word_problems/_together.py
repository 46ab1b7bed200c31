"""Sets of problems put together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from loratheory.tasks._error import impossible
from loratheory.tasks.word_problems._problems import Problems, columns
from loratheory.tasks.word_problems._skills import ABSENT

_EMPTY = {"skills": ABSENT, "inputs": -1, "numbers": -1, "values": -1, "names": -1, "wordings": -1}


def together(parts: Sequence[Problems]) -> Problems:
    """Return the problems of all parts, one part after another.

    Parameters
    ----------
    parts : sequence of Problems
        At least one, all modulo the same prime.

    Returns
    -------
    Problems
        Excluded draws are added up.
    """
    primes = {part.prime for part in parts}
    if len(primes) != 1:
        fact = f"problems modulo {sorted(primes)} do not mix" if primes else "there are no problems"
        raise impossible(fact, "give at least one set, all of one kind of numbers")
    width = max(part.skills.shape[1] for part in parts)
    wide = [padded(part, width) for part in parts]
    lost: dict[str, int] = {}
    for part in parts:
        for reason, count in part.excluded.items():
            lost[reason] = lost.get(reason, 0) + count
    whole = {name: np.concatenate([getattr(part, name) for part in wide]) for name in columns()}
    return Problems(prime=primes.pop(), **whole, excluded=lost)


def padded(here: Problems, width: int) -> Problems:
    """The same problems, with room for more quantities."""
    more = width - here.skills.shape[1]
    grown: dict[str, Any] = {
        name: np.pad(array, [(0, 0), (0, more), (0, 0)][: array.ndim], constant_values=_EMPTY[name])
        for name, array in ((name, getattr(here, name)) for name in _EMPTY)
    }
    behind = np.tile(np.arange(width - more, width), (len(here), 1))
    return replace(here, **grown, order=np.concatenate([here.order, behind], axis=1))
