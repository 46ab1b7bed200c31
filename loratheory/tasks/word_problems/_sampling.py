"""Problems drawn at random: templates from a pool, numbers until they make sense.

Given the template, all numbers that make sense are equally likely; every draw that does not make
sense is counted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible, within
from loratheory.tasks.word_problems._problems import Key, Problems, keys
from loratheory.tasks.word_problems._skills import (
    ABSENT,
    FAULTS,
    GIVEN,
    MOST_STEPS,
    Template,
    applied,
    code,
    known_skills,
    proposed,
    templates,
)

ENTITIES, WORDINGS, SCENES = 12, 4, 12
_ROUNDS, _LOOKS, _ROWS, _TRIES = 200, 30, 4096, 64


@dataclass(frozen=True)
class Pool:
    """The templates from which problems are drawn, and the wordings in which they are told.

    Numbers are counted modulo `prime`, or are positive whole numbers where it is 0.
    """

    templates: tuple[Template, ...]
    prime: int = 0
    wordings: tuple[int, ...] = tuple(range(WORDINGS))

    def drawn(self, rows: int, *, rng: np.random.Generator, **how: Any) -> Problems:
        """Return `rows` problems by `problems`, to which further arguments go."""
        return problems(
            self.templates, rows, rng=rng, prime=self.prime, wordings=self.wordings, **how
        )


def pool(skills: Sequence[str], *, steps: int | Sequence[int] = 2, prime: int = 0) -> Pool:
    """Return the pool of all templates made of these skills that have problems, in all wordings.

    Templates have 1 to 4 steps. In positive whole numbers, where `prime` is 0, those are left out
    for which two thousand draws find no problem, such as "a third of a, less a". Raises
    `ImpossibleError` if a skill is unknown or no template is left.
    """
    known_skills(tuple(skills), prime)
    counts = [steps] if isinstance(steps, int) else [*steps]
    for count in counts:
        within("steps", count, 1, MOST_STEPS)
    suited = [
        each
        for count in sorted(set(counts))
        for each in (templates if prime else _whole)(tuple(skills), count)
    ]
    if not suited:
        fact = f"no template with {' and '.join(map(str, counts))} steps has problems"
        raise impossible(fact, "allow other steps, or name more skills")
    return Pool(tuple(suited), prime)


@cache
def _whole(skills: tuple[str, ...], steps: int) -> tuple[Template, ...]:
    """The templates that have problems in whole numbers: some two thousand draws find one."""
    every = templates(skills, steps)
    rng, left = np.random.default_rng(0), np.arange(len(every))
    made = blank(every, left, prime=0, wordings=np.zeros(1, int), rng=rng)
    for _ in range(_LOOKS):
        if len(left):
            left = np.delete(left, one_round(made, left, made.present, Counter(), rng)[0])
    without = {*left.tolist()}
    return tuple(each for k, each in enumerate(every) if k not in without)


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
    """Return `rows` problems of these templates, each about equally often, in random order.

    Numbers are counted modulo a prime of `PRIMES`, or are positive and whole where it is 0;
    wordings are below 4. If `distinct`, no two problems have the same key, see `keys`; none has the
    key of one to `avoid`. `Problems.excluded` counts draws that make no sense, and those barred as
    repeated. Raises `ImpossibleError` if no numbers make sense, or too few distinct problems exist.
    """
    within("the number of problems", rows, 1)
    if not templates:
        fact = f"there are no templates to draw {rows} problems of"
        raise impossible(fact, "name more skills, or allow more steps")
    known_skills(tuple(set().union(*(each.skills for each in templates))), prime)
    allowed = allowed_wordings(wordings)
    each = np.tile(rng.permutation(len(templates)), -(-rows // len(templates)))[:rows]
    made = blank(templates, rng.permutation(each), prime=prime, wordings=allowed, rng=rng)
    return filled(made, rng=rng, distinct=distinct, avoid=avoid)


def allowed_wordings(wordings: Sequence[int]) -> Int64[np.ndarray, " w"]:
    """The wordings that may be chosen from; refused if there is none, or no such wording."""
    if not {*wordings} or not {*wordings} <= {*range(WORDINGS)}:
        fact = f"wordings are {[*wordings]}"
        raise impossible(fact, f"name some of {', '.join(map(str, range(WORDINGS)))}")
    return np.array([*wordings], dtype=np.int64)


def blank(
    templates: Sequence[Template],
    which: Int64[np.ndarray, " n"],
    *,
    prime: int,
    wordings: Int64[np.ndarray, " w"],
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
    words = rng.choice(wordings, size=(rows, width))
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
        asking=rng.choice(wordings, size=rows),
        scenes=rng.integers(SCENES, size=rows),
    )


def filled(
    problems: Problems,
    *,
    rng: np.random.Generator,
    distinct: bool = False,
    avoid: Problems | None = None,
) -> Problems:
    """The problems with new numbers, and what follows from them.

    Draws until all make sense; none is one to `avoid`, and no two are the same if they are to be
    distinct.
    """
    numbers, values = problems.numbers.copy(), problems.values.copy()
    left, lost = np.arange(len(problems)), Counter(problems.excluded)
    barred = distinct or avoid is not None
    seen = set() if avoid is None else set(keys(avoid))
    for _ in range(_ROUNDS):
        good, drawn = one_round(problems, left, problems.present, lost, rng)
        if barred:
            fresh = _fresh(keys(drawn), seen, distinct=distinct)
            lost["the same as another"] += len(good) - len(fresh)
            good, drawn = good[fresh], drawn[fresh]
        numbers[left[good]], values[left[good]] = drawn.numbers, drawn.values
        left = np.delete(left, good)
        if not len(left):
            excluded = {reason: count for reason, count in lost.items() if count}
            return replace(problems, numbers=numbers, values=values, excluded=excluded)
    fact = (
        f"{_ROUNDS} draws found no {'new ' * barred}numbers for {len(left)} of {len(problems)}"
        f" problems, such as of the template {problems[left[:1]].templates[0]}"
    )
    remedy = (
        "ask for fewer, for a larger prime, or draw from `pool`, which leaves such templates out"
    )
    raise impossible(fact, remedy)


def one_round(
    problems: Problems,
    left: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    lost: Counter[str],
    rng: np.random.Generator,
) -> tuple[Int64[np.ndarray, " g"], Problems]:
    """The places in `left` that some draws of this round suit, and the first such draw of each.

    What was drawn before the first suitable draw is counted in `lost`, what came after it is not.
    """
    tries = min(max(_ROWS // len(left), 1), _TRIES)
    drawn, fault = _drawn(problems, np.repeat(left, tries), open_, rng)
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
    problems: Problems,
    rows: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    rng: np.random.Generator,
) -> tuple[Problems, Int64[np.ndarray, " k"]]:
    """These rows with new numbers, and the first fault of each."""
    part = problems[rows]
    numbers, values = part.numbers.copy(), part.values.copy()
    fault, every = np.zeros(len(rows), dtype=np.int64), np.arange(len(rows))
    for quantity, skills in enumerate(part.skills.T):
        both = part.inputs[:, quantity, 1] >= 0
        # One number comes with a quantity, two with a rate, none with a step of two quantities.
        count = np.where(both, 0, 1 + (skills == code("rate")))[:, None]
        fresh = proposed(np.maximum(skills, GIVEN), part.prime, rng=rng)
        new = open_[rows, quantity] & (skills != ABSENT)
        numbers[new, quantity] = np.where(np.arange(2) < count, fresh, -1)[new]
        given = skills == GIVEN
        values[given, quantity] = numbers[given, quantity, 0]
        x, y = (values[every, k] for k in part.inputs[:, quantity].T)
        one, two = numbers[:, quantity].T
        result, wrong = applied(skills, x, np.where(both, y, one), two, part.prime)
        made = skills > GIVEN
        values[made, quantity] = result[made]
        fault = np.where((fault == 0) & made, wrong, fault)
    return replace(part, numbers=numbers, values=values), fault
