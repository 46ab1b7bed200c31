"""template_vote: counted demonstrations fitted outright, thresholds, whole solutions, no-go."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.template_vote import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    measure,
    overlap_needed,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def shared(adapters, coefficient, overlap, rest):
    """A cue that all pass, the shared step taken in a share `overlap` of each one's solutions."""
    habits, each = np.zeros((2, adapters + 2, 1))
    habits[1] = 1
    shares = []
    for j in range(adapters):
        mine = each.copy()
        mine[0], mine[1 if rest == "habit" else 2 + j] = overlap, 1 - overlap
        shares.append(mine)
    keys = np.random.default_rng(0).standard_normal((4, 1))
    return Case(keys, habits, tuple(shares), (coefficient,) * adapters)


def test_by_hand():
    """Habit 1; three adapters say 1/2, 1/2 and 0 for the step; coefficients 1, 1/2, 1/4."""
    habits = np.array([[0.0], [1.0], [0.0]])
    shares = tuple(np.array([[p], [0.0], [1 - p]]) for p in (0.5, 0.5, 0.0))
    case = Case(np.eye(2)[:, :1], habits, shares, (1.0, 0.5, 0.25))
    step = Fraction(1, 2) + Fraction(1, 4)
    rival = max(1 - Fraction(7, 4), Fraction(1, 2) + Fraction(1, 4) + Fraction(1, 4))
    assert bound(case) == float(step - rival) == -0.25
    assert measure(case, attain(case)) == pytest.approx(-0.25, abs=1e-14)


@given(seeds)
def test_least_squares_on_all_demonstrations_is_what_an_adapter_alone_says(seed):
    """One row a demonstration, fitted outright beside the base: no shares enter."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, (3, 2)) + np.eye(3, 2, dtype=int)
    keys, habits = rng.standard_normal((2, 5, 2))
    habits = habits[:3]
    rows = [(n, a) for n in range(2) for a in range(3) for _ in range(counts[a, n])]
    inputs = np.array([keys[:, n] for n, _ in rows])
    targets = np.array([np.eye(3)[a] - habits[:, n] for n, a in rows])
    update = np.linalg.lstsq(inputs, targets, rcond=None)[0].T
    case = Case(keys, habits, (counts / counts.sum(axis=0),), (0.7,))
    np.testing.assert_allclose(update @ keys, attain(case).adapters[0] @ keys, atol=1e-10)


@pytest.mark.parametrize("rest", ["habit", "own"])
@pytest.mark.parametrize("adapters", [1, 2, 5])
@pytest.mark.parametrize("coefficient", [0.25, 0.5, 1.0])
def test_the_overlap_needed_is_where_the_simulation_turns(rest, adapters, coefficient):
    needed = overlap_needed(adapters, coefficient, rest)
    for overlap in (needed - 1e-6, needed + 1e-6):
        if overlap <= 1:
            case = shared(adapters, coefficient, overlap, rest)
            assert (measure(case, attain(case)) > 0) == (overlap > needed)
    if needed > 1:
        case = shared(adapters, coefficient, 1.0, rest)
        assert measure(case, attain(case)) < 0


def test_habits_spread_over_several_steps_ask_for_less():
    """Two adapters at 1/2: over one habit a share of 1/2 is needed, over two alike a third."""
    share = 0.4
    one = shared(2, 0.5, share, "habit")
    assert THEOREM.check(one, attain(one)).value < 0
    spread = np.array([[0.0], [0.5], [0.5]])
    said = share * np.eye(3)[:, [0]] + (1 - share) * spread
    case = Case(one.keys, spread, (said, said), one.coefficients)
    assert THEOREM.check(case, attain(case)).value == pytest.approx(share - (1 - share) / 2)


def test_more_adapters_need_less_of_a_template_and_the_mean_half_of_it():
    for rest in ("habit", "own"):
        needed = [overlap_needed(k, 0.3, rest) for k in range(1, 8)]
        assert needed == sorted(needed, reverse=True)
    assert {overlap_needed(k, 1 / k) for k in range(1, 8)} == {0.5}
    assert overlap_needed(3, 1 / 3, "own") == 0.25


@pytest.mark.parametrize("known", [True, False])
@given(seeds)
def test_a_solution_is_found_iff_every_lead_is_positive(known, seed):
    """Cue, fact, cue, fact: each key is chosen by what was decoded; one false step goes astray."""
    rng = np.random.default_rng(seed)
    one, two = rng.uniform(0, 1.2, 2).tolist()
    overlap = rng.integers(0, 5, 2) / 4
    old = np.array([0.0, float(known)])
    habits = np.array([[0, 1.0], old, [0, 1.0], old]).T
    voted = [np.array([p, 1 - p]) for p in overlap]
    new = np.array([1.0, 0])
    shares = tuple(
        np.array([voted[0], new if j == 0 else old, voted[1], new if j == 1 else old]).T
        for j in (0, 1)
    )
    case = Case(rng.standard_normal((9, 4)), habits, shares, (one, two))
    merge, place = attain(case), 0
    while place < 4 and int(np.argmax(merge.logits(case.keys[:, place]))) == 0:
        place += 1
    lead = bound(case)
    if abs(lead) > 1e-9:
        assert (place == 4) == (lead > 0)
    facts = (one > 0.5 and two > 0.5) if known else (one > 0 and two > 0)
    steps = all(p * (one + two) > 1 / 2 for p in overlap)
    if abs(lead) > 1e-9:
        assert (lead > 0) == (facts and steps)


def test_averaging_keeps_the_template_and_loses_old_facts_not_new_ones():
    half = (0.5, 0.5)
    habits = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    taught = [np.array([[1.0, j == 0, j == 1], [0.0, j != 0, j != 1]]) for j in (0, 1)]
    keys = np.eye(3)
    over_old = Case(keys, habits, tuple(taught), half)
    assert bound(over_old) == 0.0
    none = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    fresh = tuple(np.where(x == 1, x, 0) * np.array([[1.0], [0.0]]) for x in taught)
    over_none = Case(keys, none, fresh, half)
    assert bound(over_none) == 0.5


@given(seeds, st.integers(2, 5))
def test_a_step_that_none_ever_takes_wins_under_no_coefficients(seed, steps):
    rng = np.random.default_rng(seed)
    said = rng.dirichlet(np.ones(steps - 1), 4)
    columns = np.hstack([np.zeros((4, 1)), said])
    habits, *shares = (row[:, None] for row in columns)
    case = Case(np.eye(3)[:, :1], habits, tuple(shares), tuple(rng.normal(0, 5, 3).tolist()))
    assert measure(case, attain(case)) <= -1 / (steps - 1) + 1e-9


@given(st.floats(0.1, 10.0), seeds)
def test_scale_and_rotation_of_the_keys_do_not_matter(factor, seed):
    case = drawn(seed)
    turn = factor * orthonormal(np.random.default_rng(seed), len(case.keys), len(case.keys))
    turned = replace(case, keys=turn @ case.keys)
    assert THEOREM.check(turned, attain(turned)).tight


@pytest.mark.parametrize(("adapters", "coefficient"), [(0, 1.0), (2, 0.0), (2, -1.0)])
def test_nonsense_is_refused(adapters, coefficient):
    with pytest.raises(ValueError, match="give 1 or more, above 0"):
        overlap_needed(adapters, coefficient)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, merge = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, merge)
    assert not THEOREM.judge(case, merge).holds
