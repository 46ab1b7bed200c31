"""data_free_floor: by hand, exactly, by sampled inputs, by RegMean on worst inputs, symmetries."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, from_dense, orthonormal, regauge, spectral
from loratheory.theorems import AssumptionError, covariance_floor
from loratheory.theorems.merging.data_free_floor import (
    CONTROLS,
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    half_distance,
    measure,
    merge,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def test_hand_example():
    """Both see e1, where they say 3 and 1; e2 and e3 are private: (3 - 1) / 2."""
    eye = np.eye(3)
    pair = (from_dense(np.array([[3.0, 5.0, 70.0]])), from_dense(np.array([[1.0, 80.0, 7.0]])))
    case = Case(pair, (eye[:, :2], eye[:, [0, 2]]))
    assert bound(case) == pytest.approx(1.0, rel=1e-14)
    assert merge(case).dense() == pytest.approx(np.array([[2.0, 5.0, 7.0]]), rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(1.0, rel=1e-12)


def floats(matrix):
    return np.array(matrix, float)


def test_minimax_merge_in_exact_rationals():
    """Two shared directions of four, turned; private ones at 3-4-5; both errors are √2."""
    axes = sp.Matrix([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    turn = sp.Matrix([[3, 4, 0], [4, -3, 0], [0, 0, 3], [0, 0, 4]]) / 5
    seen, two = (axes[:, :3], axes * turn), sp.Matrix([[1, 0, 2, -1], [3, 1, 0, 1]])
    one = two + sp.Matrix([[2, 2, 5, 1], [-1, 1, 3, -4]]) * axes.T
    weights = sp.Matrix.hstack(*sp.Matrix.hstack(seen[0], -seen[1]).nullspace())
    parts = [seen[0] * weights[:3, :], seen[0][:, 2], seen[1][:, 2]]
    answers = (one + two) / 2 * parts[0], one * parts[1], two * parts[2]
    merged = sp.Matrix.hstack(*answers) * sp.Matrix.hstack(*parts).inv()
    inside = (one - two) * parts[0] * parts[0].pinv() / 2
    errors = inside, (merged - one) * seen[0], (merged - two) * seen[1]
    assert [max((error * error.T).eigenvals()) for error in errors] == [2, 2, 2]
    case = Case((from_dense(floats(one)), from_dense(floats(two))), tuple(map(floats, seen)))
    assert bound(case) == pytest.approx(2**0.5, rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(2**0.5, rel=1e-12)
    assert merge(case).dense() == pytest.approx(floats(merged), rel=1e-12)


@pytest.mark.parametrize("sine", [1e-9, 1e-7, 1e-5])
def test_inputs_that_nearly_meet_are_refused_as_a_large_merge_serves_both(sine):
    """No shared input, however near: a row of size 2/sine errs on neither."""
    rows = np.array([[1.0, 0.0], [(1 - sine**2) ** 0.5, sine]])
    pair = (LowRank(np.eye(1), np.eye(1, 2)), LowRank(-np.eye(1), np.eye(1, 2)))
    case = Case(pair, (rows[:1].T, rows[1:].T))
    both = LowRank(np.eye(1), np.array([[1.0, -2 * rows[1, 0] / sine]]))
    assert measure(case, (both, both)) < 1e-6
    with pytest.raises(AssumptionError, match="clear angles"):
        THEOREM.check(case, (both, both))


def test_oblique_private_inputs_cost_nothing():
    rows = np.array([[1.0, 0.0], [0.6, 0.8]])
    pair = (LowRank(np.eye(1), rows[:1]), LowRank(-np.eye(1), rows[1:]))
    case = Case(pair, (rows[:1].T, rows[1:].T))
    assert bound(case) == 0.0
    assert measure(case, attain(case)) < 1e-12


@given(seeds)
def test_regmean_on_the_least_favourable_inputs_has_the_same_floor(seed):
    """Another road, from below: half the energy each on the worst shared input, with data."""
    case = drawn(seed)
    # shared inputs again, by the null space of the two projectors' sum
    one, two = (frame @ frame.T for frame in case.inputs)
    values, vectors = np.linalg.eigh(one + two)
    shared = vectors[:, values > 2 - 1e-9]
    if not shared.shape[1]:
        assert bound(case) == 0.0
        return
    change = case.updates[0].dense() - case.updates[1].dense()
    worst = shared @ np.linalg.svd(change @ shared)[2][:1].T
    rank = min(case.updates[0].shape)
    with_data = covariance_floor.bound(covariance_floor.Case(case.updates, (worst, worst), rank))
    assert bound(case) == pytest.approx(with_data**0.5, rel=1e-6, abs=1e-3 * room(case) ** 0.5)


@given(seeds)
def test_the_worst_of_many_inputs_is_never_better_than_the_floor(seed):
    """By sampling: some merge, the inputs of either adapter drawn at random and improved."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    merged = THEOREM.rival(case, rng)[0]
    found = 0.0
    for low, frame in zip(case.updates, case.inputs, strict=True):
        wrong = (merged.dense() - low.dense()) @ frame
        x = rng.standard_normal((frame.shape[1], 8))
        for _ in range(300):
            x = wrong.T @ (wrong @ x) + 1e-300
            x = x / np.maximum(np.linalg.norm(x, axis=0), 1e-300)
        found = max(found, float(np.linalg.norm(wrong @ x, axis=0).max()))
    assert found >= bound(case) * (1 - 0.01) - room(case)


@pytest.mark.parametrize("seed", range(6))
def test_descent_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@settings(max_examples=30)
@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_order_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = tuple(LowRank(left @ low.up, low.down @ right.T) for low in case.updates)
    gauge = orthonormal(rng, moved[0].width, moved[0].width)
    other = Case(
        (moved[1], regauge(moved[0], gauge)), (right @ case.inputs[1], right @ case.inputs[0])
    )
    assert bound(other) == pytest.approx(factor * bound(case), rel=1e-9, abs=room(other))
    assert THEOREM.check(other, attain(other)).tight


@given(seeds)
def test_equal_adapters_cost_nothing(seed):
    case = drawn(seed)
    same = Case((case.updates[0],) * 2, case.inputs)
    assert bound(same) <= room(same)
    assert THEOREM.check(same, attain(same)).tight


@given(seeds)
def test_where_nothing_is_known_the_mean_is_best_and_pairs_bound_more_adapters(seed):
    """Three unrelated adapters on all inputs: the mean of the three errs more than any pair."""
    rng = np.random.default_rng(seed)
    low = [from_dense(rng.standard_normal((3, 4))) for _ in range(3)]
    whole = Case((low[0], low[1]), (np.eye(4), np.eye(4)))
    assert bound(whole) == pytest.approx(half_distance(low[0], low[1]), rel=1e-12)
    assert spectral(merge(whole) - (low[0] + low[1]) / 2) < 1e-12
    mean = (low[0] + low[1] + low[2]) / 3
    pairs = [half_distance(low[i], low[j]) for i in range(3) for j in range(i)]
    assert max(spectral(mean - one) for one in low) >= max(pairs) - 1e-12


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, pair = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, pair)
    verdict = THEOREM.judge(case, pair)
    assert not (verdict.holds if control.fails == "holds" else verdict.tight)
