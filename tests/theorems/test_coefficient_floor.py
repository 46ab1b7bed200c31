"""coefficient_floor: by hand, exactly, by the Gram matrix, by coordinate descent, symmetries."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, from_dense, orthonormal, regauge, with_spectrum
from loratheory.theorems import AssumptionError, covariance_floor
from loratheory.theorems.libraries.coefficient_floor import (
    CONTROLS,
    THEOREM,
    Case,
    adversary,
    attain,
    best,
    best_coefficient,
    bound,
    leak,
    measure,
    merged,
    relative_floor,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def alike(adapters, share, energy=1.0):
    """Rank-one adapters with outputs of their own and rows at the angle that leaks this share."""
    gram = np.full((adapters, adapters), share**0.5) + (1 - share**0.5) * np.eye(adapters)
    rows = np.linalg.cholesky(gram + 1e-14 * np.eye(adapters))
    eye = np.eye(adapters) * energy**0.5
    updates = tuple(LowRank(eye[:, [i]], rows[[i]]) for i in range(adapters))
    return Case(updates, tuple(rows[[i]].T for i in range(adapters)))


def test_hand_example():
    """Own answers 1, foreign 3/5 into another output: c = 1/(1 + 9/25), 2 x 9/34 is lost."""
    case = alike(2, 9 / 25)
    assert best(case) == pytest.approx([25 / 34] * 2, rel=1e-12)
    assert bound(case) == pytest.approx(18 / 34, rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(18 / 34, rel=1e-12)


def floats(matrix):
    return np.array(matrix, float)


def test_projection_on_dependent_answers_in_exact_rationals():
    """The third adapter is the sum of two: an exact pseudo-inverse of a singular Gram matrix."""
    one, two = sp.Matrix([[1, 2, 0], [0, 1, 1]]), sp.Matrix([[2, 0, 1], [1, -1, 0]])
    tasks = [one, two, one + two]
    inputs = [sp.Matrix([1, 0, 2]), sp.Matrix([[1, 0], [1, 1], [0, -1]]), sp.Matrix([0, 1, 1])]
    rows = sp.Matrix([list(task * sp.Matrix.hstack(*inputs)) for task in tasks])
    pairs = zip(tasks, inputs, strict=True)
    wanted = sp.Matrix(list(sp.Matrix.hstack(*(task * x for task, x in pairs))))
    gram, right = rows * rows.T, rows * wanted
    found = gram.pinv() * right
    floor = (rows.T * found - wanted).norm() ** 2
    assert (gram.det(), gram * found) == (0, right)
    assert floor == wanted.norm() ** 2 - right.dot(found) > 0
    case = Case(tuple(from_dense(floats(t)) for t in tasks), tuple(map(floats, inputs)))
    assert bound(case) == pytest.approx(float(floor), rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(float(floor), rel=1e-12)
    assert best(case) == pytest.approx(floats(found)[:, 0], rel=1e-12)


def test_adapters_of_rank_zero_want_nothing():
    case = alike(2, 9 / 25)
    silent = LowRank(np.zeros((2, 1)), np.ones((1, 2)))
    joined = Case((*case.updates, silent), (*case.inputs, np.eye(2)))
    alone = Case((silent,), (np.eye(2),))
    assert bound(alone) == 0.0
    assert THEOREM.check(joined, attain(joined)).tight
    assert THEOREM.check(alone, attain(alone)).tight


@given(seeds)
def test_floor_and_coefficients_follow_from_the_gram_matrix(seed):
    """Another road: dense traces over input covariances and a pseudoinverse."""
    case = drawn(seed)
    dense, inputs = [low.dense() for low in case.updates], case.inputs
    second = [x @ x.T for x in inputs]
    gram = sum(np.array([[np.trace(a @ c @ b.T) for b in dense] for a in dense]) for c in second)
    pairs = list(zip(dense, second, strict=True))
    right = np.array([sum(np.trace(a @ c @ b.T) for b, c in pairs) for a in dense])
    whole = sum(np.trace(b @ c @ b.T) for b, c in pairs)
    expected = whole - right @ np.linalg.pinv(gram, rcond=1e-13, hermitian=True) @ right
    assert bound(case) == pytest.approx(expected, rel=1e-5, abs=1e-7 * THEOREM.scale(case))
    assert gram @ best(case) == pytest.approx(right, rel=1e-6, abs=1e-7 * THEOREM.scale(case))


@pytest.mark.parametrize("seed", range(8))
def test_coordinate_descent_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@given(st.integers(1, 7), st.floats(0.0, 0.95), st.floats(0.1, 10.0))
def test_alike_adapters_lose_the_stated_share(adapters, share, energy):
    case = alike(adapters, share, energy)
    c, lost = best_coefficient(adapters, share), relative_floor(adapters, share)
    assert bound(case) == pytest.approx(lost * adapters * energy, rel=1e-7, abs=1e-7 * energy)
    assert best(case) == pytest.approx([c] * adapters, rel=1e-6)


def test_the_sum_is_best_without_leak_and_the_mean_where_all_answer_alike():
    assert best_coefficient(5, 0) == 1
    assert relative_floor(5, 0) == 0
    assert best_coefficient(5, 1) == 1 / 5
    assert relative_floor(5, 1) == 4 / 5
    assert relative_floor(9, leak(3, 24)) == 1 / 2


def test_unrelated_adapters_of_flat_spectrum_lose_what_rank_and_width_say():
    rng, n, r, k = np.random.default_rng(1), 60, 4, 8
    updates = tuple(with_spectrum(rng, 60, n, [1.0] * r) for _ in range(k))
    case = Case(updates, tuple(np.linalg.qr(low.down.T)[0] for low in updates))
    found = bound(case) / (k * r)
    assert found == pytest.approx(relative_floor(k, leak(r, n)), abs=0.02)
    assert np.mean(best(case)) == pytest.approx(best_coefficient(k, leak(r, n)), abs=0.03)


@given(seeds)
def test_no_matrix_per_adapter_does_worse(seed):
    """Any linear map beats numbers: the covariance floor without a limit on the rank."""
    case = drawn(seed)
    wide = covariance_floor.Case(case.updates, case.inputs, min(case.updates[0].shape))
    assert covariance_floor.bound(wide) * len(case.updates) <= bound(case) + room(case)


@settings(max_examples=30)
@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_order_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = [LowRank(left @ low.up, low.down @ right.T) for low in case.updates]
    moved[0] = regauge(moved[0], orthonormal(rng, moved[0].width, moved[0].width))
    inputs = tuple(right @ x for x in case.inputs)
    other = Case(tuple(moved[::-1]), inputs[::-1])
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-8, abs=room(other))


@given(seeds)
def test_one_adapter_and_equal_ones_cost_nothing(seed):
    case = drawn(seed)
    alone = Case(case.updates[:1], case.inputs[:1])
    same = Case(case.updates[:1] * 3, case.inputs[:1] * 3)
    assert bound(alone) <= room(alone)
    assert best(alone) == pytest.approx([1.0], rel=1e-9)
    assert bound(same) <= room(same)
    assert best(same) == pytest.approx([1 / 3] * 3, rel=1e-9)
    assert measure(same, merged(same, np.array([2.0, -1.0, 0.0]))) <= room(same)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, found = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, found)
    assert not THEOREM.judge(case, found).holds
