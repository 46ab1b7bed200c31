"""_skills: every step against exact fractions or a search, every fault where it belongs."""

from fractions import Fraction

import numpy as np
import pytest
from sums import result

from loratheory.tasks import ImpossibleError
from loratheory.tasks.word_problems._skills import (
    FAULTS,
    FORMS,
    LARGEST,
    PRIMES,
    SKILLS,
    applied,
    code,
    known_skills,
    possible,
    proposed,
)


def stepped(skill, x, y, z, prime):
    columns = [np.array(column) for column in (x, y, z)]
    return applied(np.full(len(x), code(skill)), *columns, prime)


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("prime", [3, 7, 11, 13])
def test_steps_modulo_a_prime_are_what_a_search_finds(skill, prime):
    grid = np.indices((prime,) * 3).reshape(3, -1)
    found, fault = stepped(skill, *grid, prime)
    zero = {
        "divide": grid[1] == 0,
        "percent": grid[1] == 0,
        "multiply": grid[1] == 0,
        "rate": (grid[1] == 0) | (grid[2] == 0),
    }.get(skill, np.zeros(grid.shape[1], bool))
    assert ((fault > 0) == zero).all()
    assert {FAULTS[k] for k in fault[zero]} <= {FAULTS[5], FAULTS[6]}
    by_zero = grid[1] == 0 if skill in ("divide", "rate") else np.zeros_like(zero)
    assert ((fault == 5) == by_zero).all()
    for k in np.flatnonzero(fault == 0)[:: 1 + prime // 4].tolist():
        assert found[k] == result(skill, grid[:, k].tolist(), prime)


@pytest.mark.parametrize("skill", SKILLS)
def test_steps_in_whole_numbers_are_exact_or_faulty(skill):
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(1, 150, size=(3, 3000))
    found, fault = stepped(skill, x, y, z, 0)
    for a, b, c, value, wrong in zip(x, y, z, found, fault, strict=True):
        a, b, c = (Fraction(int(k)) for k in (a, b, c))
        exact = {
            "add": a + b,
            "subtract": a - b,
            "multiply": a * b,
            "divide": a / b,
            "compare": max(a, b) - min(a, b),
            "rate": a / b * c,
            "percent": a * b / 100,
        }[skill]
        part = a / b if skill in ("divide", "rate") else exact
        right = exact > 0 and part.denominator == 1 and exact <= LARGEST
        if skill == "rate":
            right = right and Fraction(c, b).denominator == b
        assert (wrong == 0) == right
        if right:
            assert value == exact


def test_faults_are_named_for_what_is_wrong():
    cases = [
        ("subtract", 5, 5, 0, 1),
        ("divide", 5, 2, 0, 2),
        ("rate", 5, 2, 3, 2),
        ("percent", 7, 50, 0, 2),
        ("compare", 4, 4, 0, 3),
        ("multiply", 5000, 2, 0, 4),
        ("multiply", 3333, 3, 0, 0),
        ("rate", 8, 4, 6, 7),
    ]
    for skill, x, y, z, fault in cases:
        assert stepped(skill, [x], [y], [z], 0)[1].tolist() == [fault]


def test_rows_of_different_skills_do_not_mix():
    skills = np.array([code(skill) for skill in SKILLS])
    found, fault = applied(skills, *np.full((3, 7), [[40], [20], [1]]), 0)
    assert found.tolist() == [60, 20, 800, 2, 20, 2, 8]
    assert not fault.any()


def test_proposals_stay_in_their_ranges_and_reach_their_ends():
    rng = np.random.default_rng(1)
    ranges = {
        0: range(2, 121),
        "add": range(1, 21),
        "subtract": range(1, 21),
        "multiply": range(2, 10),
        "divide": range(2, 10),
        "rate": range(2, 10),
        "percent": range(5, 100, 5),
    }
    for skill, wanted in ranges.items():
        skills = np.full(4000, code(skill) if skill else 0)
        first, second = proposed(skills, 0, rng=rng).T
        assert set(first.tolist()) == {*wanted}
        if skill == "rate":
            assert set(second.tolist()) == {*range(1, 10)}
            assert (first != second).all()
    assert set(proposed(np.zeros(500, dtype=np.int64), 7, rng=rng).ravel().tolist()) == {*range(7)}


def test_every_skill_has_a_form():
    assert tuple(FORMS) == SKILLS
    assert [code(skill) for skill in SKILLS] == [*range(1, 8)]


@pytest.mark.parametrize(
    ("skills", "prime", "says"),
    [
        (("add", "pray"), 7, "unknown skills: 'pray'; choose from add, subtract, multiply"),
        ((), 7, "no skill is named; choose from add"),
        (("add",), 17, "numbers modulo 17 are asked for; choose a prime of (2, 3, 5, 7, 11, 13)"),
        (("percent",), 5, "100 is 0 modulo 5"),
        (("percent",), 2, "100 is 0 modulo 2"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(skills, prime, says):
    with pytest.raises(ImpossibleError) as caught:
        known_skills(skills, prime)
    assert says in str(caught.value)
    known_skills(("add", "rate"), 5)
    for prime in PRIMES:
        known_skills(possible(prime), prime)
        assert {*SKILLS} - {*possible(prime)} == ({"percent"} if prime in (2, 5) else set())
    known_skills(SKILLS, 7)
