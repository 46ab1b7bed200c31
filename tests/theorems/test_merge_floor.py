"""merge_floor: by hand, exactly, by another road, symmetries, limits."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, from_dense, orthonormal, regauge
from loratheory.theorems.merging.merge_floor import THEOREM, Case, adversary, attain, bound, measure


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    # mean diag(2, 1); each update is diag(1, -1) away from it: 2 + 1^2
    updates = (from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0])))
    assert bound(Case(updates, rank=1)) == pytest.approx(3.0, rel=1e-14)


def test_the_best_critical_adapter_in_exact_rationals():
    """A mean with squared singular values 11 and 1: its rank-one critical points, all of them."""
    mean, off = sp.Matrix([[2, 1], [1, 2], [1, 1]]), sp.Matrix([[1, 0], [2, -1], [0, 3]])
    more = sp.Matrix([[0, -2], [1, 1], [-1, 0]])
    tasks = [mean + off, mean + more, mean - off - more]
    gram = mean.T * mean
    axes = [v / v.norm() for _, _, space in gram.eigenvects() for v in space]
    found = [sum((mean * v * v.T - t).norm() ** 2 for t in tasks) / 3 for v in axes]
    disagreement = sum((t - mean).norm() ** 2 for t in tasks) / 3
    assert min(found) == disagreement + min(sp.roots(gram.charpoly())) == sp.Rational(49, 3)
    case = Case(tuple(from_dense(np.array(t, float)) for t in tasks), rank=1)
    assert bound(case) == pytest.approx(float(min(found)), rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(float(min(found)), rel=1e-12)


@given(seeds)
def test_bound_matches_the_dense_formula(seed):
    """Another road: dense arrays, NumPy's SVD, no factored code."""
    case = drawn(seed)
    dense = np.stack([task.dense() for task in case.updates])
    sigma = np.linalg.svd(dense.mean(axis=0), compute_uv=False)
    expected = dense.var(axis=0).sum() + (sigma[case.rank :] ** 2).sum()
    room = 1e-11 * THEOREM.scale(case)
    assert bound(case) == pytest.approx(expected, rel=1e-9, abs=room)


@given(seeds)
def test_descent_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_order_and_gauge_do_not_matter(factor, seed):
    case = drawn(seed)
    rng = np.random.default_rng(seed)
    turn = orthonormal(rng, case.updates[0].shape[0], case.updates[0].shape[0])
    gauge = np.linalg.qr(rng.standard_normal((case.updates[0].width,) * 2))[0]
    moved = [
        regauge(LowRank(factor * turn @ u.up, u.down), gauge)
        if u.width == len(gauge)
        else LowRank(factor * turn @ u.up, u.down)
        for u in case.updates
    ]
    other = Case(tuple(reversed(moved)), case.rank)
    room = 1e-11 * THEOREM.scale(other)
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-9, abs=room)


@given(seeds)
def test_one_task_at_full_rank_costs_nothing(seed):
    case = drawn(seed)
    alone = Case(case.updates[:1], min(case.updates[0].shape))
    assert bound(alone) <= 1e-12 * THEOREM.scale(alone)
    assert measure(alone, attain(alone)) <= 1e-12 * THEOREM.scale(alone)
