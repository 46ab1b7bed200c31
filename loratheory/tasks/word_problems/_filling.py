"""Numbers for problems: drawn until they make sense, with every draw that does not counted."""

from collections import Counter
from dataclasses import replace

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks._error import impossible
from loratheory.tasks.word_problems._keys import Key, keys
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._skills import (
    ABSENT,
    FAULTS,
    GIVEN,
    Numbers,
    applied,
    code,
    proposed,
)

_ROUNDS, _LOOKS, _ROWS, _TRIES = 200, 30, 4096, 64


def filled(
    here: Problems,
    open_: Bool[np.ndarray, "n q"],
    *,
    rng: np.random.Generator,
    distinct: bool = False,
    avoid: Problems | None = None,
) -> Problems:
    """Return the problems with new numbers for some quantities, and what follows from them.

    Parameters
    ----------
    here : Problems
        Their numbers elsewhere stay.
    open_ : (n, q) array of bool
        Which quantities are said with new numbers.
    rng : Generator
        Draws until all problems make sense.
    distinct : bool
        Whether no two may be the same.
    avoid : Problems, optional
        Which ones they must not be.

    Returns
    -------
    Problems
        As `problems` describes them.
    """
    numbers, values = here.numbers.copy(), here.values.copy()
    left, lost = np.arange(len(here)), Counter(here.excluded)
    barred = distinct or avoid is not None
    seen = set() if avoid is None else set(keys(avoid))
    for _ in range(_ROUNDS):
        good, drawn = one_round(here, left, open_, lost, rng)
        if barred:
            fresh = _fresh(keys(drawn), seen, distinct=distinct)
            lost["the same as another"] += len(good) - len(fresh)
            good, drawn = good[fresh], drawn[fresh]
        numbers[left[good]], values[left[good]] = drawn.numbers, drawn.values
        left = np.delete(left, good)
        if not len(left):
            told = {reason: count for reason, count in lost.items() if count}
            return replace(here, numbers=numbers, values=values, excluded=told)
    fact = (
        f"{_ROUNDS} draws found no {'new ' * barred}numbers for {len(left)} of {len(here)}"
        f" problems, such as of the template {here[left[:1]].templates[0]}"
    )
    remedy = (
        "ask for fewer, for a larger prime, or draw from `pool`, which leaves such templates out"
    )
    raise impossible(fact, remedy)


def sensible(here: Problems, *, rng: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """Return for which of the problems some two thousand draws find numbers that make sense."""
    left, lost = np.arange(len(here)), Counter[str]()
    for _ in range(_LOOKS):
        if len(left):
            left = np.delete(left, one_round(here, left, here.told, lost, rng)[0])
    return ~np.isin(np.arange(len(here)), left)


def one_round(
    here: Problems,
    left: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    lost: Counter[str],
    rng: np.random.Generator,
) -> tuple[Int64[np.ndarray, " g"], Problems]:
    """The places in `left` that some draws of this round suit, and the first such draw of each."""
    tries = min(max(_ROWS // len(left), 1), _TRIES)
    drawn, fault = _drawn(here, np.repeat(left, tries), open_, rng)
    fault = fault.reshape(-1, tries)
    first, found = (fault == 0).argmax(axis=1), (fault == 0).any(axis=1)
    looked = np.arange(tries) < np.where(found, first, tries)[:, None]
    lost.update(FAULTS[number] for number in fault[looked].tolist())
    good = np.flatnonzero(found)
    return good, drawn[good * tries + first[good]]


def _fresh(found: list[Key], seen: set[Key], *, distinct: bool) -> Int64[np.ndarray, " k"]:
    """The places of keys that are new; they are not new again if all are to be distinct."""
    places = []
    for place, key in enumerate(found):
        if key not in seen:
            places.append(place)
            seen |= {key} if distinct else set()
    return np.array(places, dtype=np.int64)


def _drawn(
    here: Problems,
    rows: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    rng: np.random.Generator,
) -> tuple[Problems, Int64[np.ndarray, " k"]]:
    """These rows with new numbers, and the first fault of each."""
    part = here[rows]
    numbers, values = part.numbers.copy(), part.values.copy()
    fault, every = np.zeros(len(rows), dtype=np.int64), np.arange(len(rows))
    for quantity, skills in enumerate(part.skills.T):
        new = open_[rows, quantity] & (skills != ABSENT)
        said = proposed(np.maximum(skills, GIVEN), part.prime, rng=rng)
        said = np.where(np.arange(2) < _said(skills, part.inputs[:, quantity])[:, None], said, -1)
        numbers[new, quantity] = said[new]
        given = skills == GIVEN
        values[given, quantity] = numbers[given, quantity, 0]
        x, y = (values[every, k] for k in part.inputs[:, quantity].T)
        one, two = numbers[:, quantity].T
        both = part.inputs[:, quantity, 1] >= 0
        found, wrong = applied(skills, x, np.where(both, y, one), two, part.prime)
        made = skills > GIVEN
        values[made, quantity] = found[made]
        fault = np.where((fault == 0) & made, wrong, fault)
    return replace(part, numbers=numbers, values=values), fault


def _said(skills: Int64[np.ndarray, " n"], inputs: Int64[np.ndarray, "n 2"]) -> Numbers:
    """How many numbers are said with a quantity: one, two with a rate, none with two inputs."""
    return np.where(inputs[:, 1] >= 0, 0, 1 + (skills == code("rate")))
