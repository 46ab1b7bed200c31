"""quantised_floor: by hand, real roundings of several formats, expectation, sharpness, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, balanced, frobenius, gaussian, orthonormal
from loratheory.theorems import AssumptionError, merge_floor
from loratheory.theorems.merging.quantised_floor import (
    BITS,
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    grid_error,
    measure,
    rounding_error,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case)


def root(updates, rank):
    return merge_floor.bound(merge_floor.Case(tuple(updates), rank)) ** 0.5


def test_hand_example():
    """Tasks 0 and 2: root floor 1. Each moved by 1/4 towards the mean 1: root floor 3/4."""
    one = np.ones((1, 1))
    case = Case((LowRank(one, 0 * one), LowRank(one, 2 * one)), 1, 0.25)
    assert case.floor == pytest.approx(1.0, rel=1e-14)
    moved = [float(low.dense()[0, 0]) for low in attain(case)]
    assert moved == pytest.approx([float(Fraction(1, 4)), float(Fraction(7, 4))])
    assert measure(case, attain(case)) == pytest.approx(0.25, rel=1e-13)


@given(seeds)
def test_errors_far_larger_than_the_adapters_obey_it_too(seed):
    """Rounding room is that of what is compared: the error, where it is the largest."""
    case = drawn(seed)
    tiny = replace(case, updates=tuple(low * 1e-40 for low in case.updates), error=1.0)
    found = THEOREM.rival(tiny, np.random.default_rng(seed))
    assert THEOREM.check(tiny, found).holds
    assert THEOREM.scale(tiny) >= 1.0


@given(seeds)
def test_the_merge_of_rounded_adapters_on_the_true_tasks(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    rounded = THEOREM.rival(case, rng)
    merged = merge_floor.attain(merge_floor.Case(rounded, case.rank))
    true = merge_floor.measure(merge_floor.Case(case.updates, case.rank), merged) ** 0.5
    assert true <= case.floor + 2 * case.error + room(case)


@given(seeds)
def test_the_distance_in_one_stacked_space(seed):
    """Unlimited rank: the floor is the distance to the diagonal, by a dense projection."""
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 3, 4, 3) for _ in range(3)]
    stacked = np.stack([low.dense() for low in updates]).reshape(3, -1) / 3**0.5
    off = stacked - np.full((3, 3), 1 / 3) @ stacked
    assert root(updates, 3) == pytest.approx(float(np.linalg.norm(off)))


@pytest.mark.parametrize(
    ("name", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_half_precision_factors_stay_below_their_bound(name, dtype):
    rng = np.random.default_rng(0)
    shelf = [balanced(gaussian(rng, 30, 40, 4)) for _ in range(3)]
    rounded = [low.map(lambda a: torch.asarray(a).to(dtype).double().numpy()) for low in shelf]
    for low, new in zip(shelf, rounded, strict=True):
        share = frobenius(new - low) / frobenius(low)
        assert 1e-3 * rounding_error(4, BITS[name]) < share <= rounding_error(4, BITS[name])
    error = np.sqrt(np.mean([frobenius(a - b) ** 2 for a, b in zip(shelf, rounded, strict=True)]))
    for rank in (0, 4, 12):
        assert abs(root(shelf, rank) - root(rounded, rank)) <= error


def test_a_single_entry_can_meet_the_roundoff_of_bfloat16():
    """1 + 2^-8 is halfway between neighbours: relative error just below 2^-8 per factor."""
    one = np.array([[1 + 2.0**-8 - 1e-12]])
    new = torch.asarray(one).bfloat16().double().numpy()
    share = abs(float(new[0, 0] ** 2 / one[0, 0] ** 2 - 1))
    assert 0.98 * rounding_error(1, 8) < share <= rounding_error(1, 8)


@pytest.mark.parametrize("bits", [4, 8])
@given(seed=seeds)
@settings(max_examples=30)
def test_integer_grids_stay_below_their_bound(bits, seed):
    rng = np.random.default_rng(seed)
    block = 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(int(rng.integers(1, 40)))
    step = np.abs(block).max() / (2 ** (bits - 1) - 1)
    error = float(np.linalg.norm(np.round(block / step) * step - block))
    assert error <= grid_error(len(block), bits) * float(np.linalg.norm(block))


def test_a_half_step_meets_the_grid_bound_up_to_the_largest_entry():
    """One entry on the grid's end, the others half a step off zero."""
    step = 1 / 7
    block = np.r_[1.0, np.full(3, 0.4999999 * step)]
    error = np.linalg.norm(np.round(block / step) * step - block)
    assert error == pytest.approx(3**0.5 / 2 * step, rel=1e-5)
    assert 0.8 * grid_error(4, 4) < error / np.linalg.norm(block) < grid_error(4, 4)


def test_independent_unbiased_errors_raise_the_floor_by_their_share():
    """Signs at random: all 2^4 patterns of k = 2 tasks with two entries, exactly."""
    tasks = np.array([[1.0, 2.0], [3.0, -1.0]])
    patterns = [
        np.array([1 if c >> b & 1 else -1 for b in range(4)]).reshape(2, 2) for c in range(16)
    ]
    floors = [
        root([LowRank(np.eye(1), t[None]) for t in tasks + 0.3 * e], 1) ** 2 for e in patterns
    ]
    exact = root([LowRank(np.eye(1), t[None]) for t in tasks], 1) ** 2
    assert np.mean(floors) == pytest.approx(exact + 0.5 * 2 * 0.09)


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    turned = tuple(LowRank(left @ a.up, a.down @ right) for a in reversed(case.updates))
    other = Case(turned, case.rank, factor * case.error)
    assert measure(other, attain(other)) == pytest.approx(
        factor * measure(case, attain(case)), rel=1e-6, abs=room(other)
    )


@given(seeds)
def test_no_error_no_change(seed):
    case = replace(drawn(seed), error=0.0)
    assert bound(case) == 0.0
    assert measure(case, attain(case)) <= room(case)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, rounded = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, rounded)
    assert THEOREM.judge(case, rounded).slack < -0.1
