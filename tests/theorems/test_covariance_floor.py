"""covariance_floor: by hand, exact rationals, RegMean, other roads, the data-free worst case."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, gaussian, orthonormal
from loratheory.theorems import AssumptionError, merge_floor
from loratheory.theorems.merging.covariance_floor import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    data_free,
    measure,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-10 * THEOREM.scale(case)


def test_hand_example():
    """Tasks 1 and 3 on inputs of power 4 and 1: the weighted mean 7/5, not 2."""
    one = np.ones((1, 1))
    case = Case((LowRank(one, one), LowRank(one, 3 * one)), (2 * one, one), 1)
    mean = Fraction(4 * 1 + 1 * 3, 5)
    floor = (4 * (mean - 1) ** 2 + (mean - 3) ** 2) / 2
    assert floor == Fraction(8, 5)
    assert bound(case) == pytest.approx(float(floor), rel=1e-14)
    assert attain(case).dense() == pytest.approx(float(mean), rel=1e-14)
    nothing = replace(case, rank=0)
    assert bound(nothing) == pytest.approx((4 + 9) / 2, rel=1e-14)


@given(seeds)
def test_the_formula_with_moment_matrices(seed):
    """Dense, by the statement's own letters: C, its root, the weighted mean."""
    case = drawn(seed)
    moments = [x @ x.T for x in case.inputs]
    dense = [low.dense() for low in case.updates]
    mean = sum(d @ c for d, c in zip(dense, moments, strict=True)) @ np.linalg.pinv(
        sum(moments), rcond=1e-10
    )
    off = [np.trace((mean - d) @ c @ (mean - d).T) for d, c in zip(dense, moments, strict=True)]
    values, axes = np.linalg.eigh(sum(moments))
    root = (axes * np.sqrt(np.clip(values, 0, None))) @ axes.T
    tail = np.linalg.svd(mean @ root)[1][case.rank :]
    expected = float(sum(off) + np.sum(tail**2)) / len(dense)
    assert bound(case) == pytest.approx(expected, rel=1e-6, abs=1e4 * room(case))


@given(seeds)
def test_white_inputs_give_the_merge_floor(seed):
    case = drawn(seed)
    white = data_free(case)
    plain = merge_floor.Case(case.updates, case.rank)
    assert bound(white) == pytest.approx(merge_floor.bound(plain), rel=1e-9, abs=room(white))
    best = attain(white)
    assert merge_floor.measure(plain, best) == pytest.approx(bound(white), abs=room(white))


@given(seeds)
def test_no_covariance_floor_is_above_the_data_free_one(seed):
    case = drawn(seed)
    largest = max(float(np.linalg.norm(x, 2)) ** 2 for x in case.inputs)
    worst = data_free(case, largest)
    assert bound(case) <= bound(worst) * (1 + 1e-9) + room(case)
    guarantee = merge_floor.attain(merge_floor.Case(case.updates, case.rank))
    assert measure(case, guarantee) <= bound(worst) * (1 + 1e-9) + room(worst)


def test_data_can_be_worth_everything():
    """Two tasks on inputs that do not overlap: floor 0, data-free floor half of their energy."""
    pair = tuple(LowRank(np.eye(2)[:, [i]], np.eye(2)[[i]]) for i in range(2))
    case = Case(pair, tuple(np.eye(2)[:, [i]] for i in range(2)), 2)
    assert bound(case) == pytest.approx(0.0, abs=1e-15)
    assert bound(data_free(case)) == pytest.approx(0.5)


@given(seeds)
def test_without_a_limit_it_is_regmean(seed):
    rng = np.random.default_rng(seed)
    updates = tuple(gaussian(rng, 4, 5, 2) for _ in range(2))
    inputs = tuple(rng.standard_normal((5, 9)) for _ in range(2))
    moments = [x @ x.T for x in inputs]
    top = sum(low.dense() @ c for low, c in zip(updates, moments, strict=True))
    regmean = np.linalg.solve(sum(moments), top.T).T
    np.testing.assert_allclose(attain(Case(updates, inputs, 4)).dense(), regmean, atol=1e-9)


@given(seeds)
def test_alternating_least_squares_gets_there(seed):
    case = drawn(seed)
    found = THEOREM.adversary(case, np.random.default_rng(seed))
    assert measure(case, found) >= bound(case) - room(case)
    full = replace(case, rank=8)
    assert measure(full, THEOREM.adversary(full, np.random.default_rng(1))) == pytest.approx(
        bound(full), rel=1e-3, abs=room(full)
    )


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    updates = tuple(LowRank(left @ a.up, a.down @ right.T) for a in reversed(case.updates))
    other = Case(updates, tuple(factor * right @ x for x in reversed(case.inputs)), case.rank)
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-6, abs=room(other))


@given(seeds)
def test_more_samples_of_the_same_moments_change_nothing(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    mixed = tuple(x @ orthonormal(rng, x.shape[1] + 3, x.shape[1]).T for x in case.inputs)
    assert bound(replace(case, inputs=mixed)) == pytest.approx(
        bound(case), rel=1e-8, abs=room(case)
    )


def test_wide_layers_need_no_dense_matrix():
    case = drawn(0, 4096)
    assert max(case.updates[0].shape) > 1000
    assert THEOREM.check(case, attain(case)).tight
    assert frobenius(attain(case)) >= 0


def test_more_rank_than_allowed_is_refused():
    case, witness = CONTROLS[0].example()
    with pytest.raises(AssumptionError, match="rank"):
        THEOREM.check(case, witness)
    assert THEOREM.judge(case, witness).slack == pytest.approx(-1.0)
