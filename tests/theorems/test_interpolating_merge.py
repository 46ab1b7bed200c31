"""interpolating_merge: by hand, in exact rationals, by another road, gauges, limits, conflicts."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError, verify
from loratheory.theorems.merging.interpolating_merge import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    conflict,
    measure,
    misfit,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def lines(*rows, answers=None):
    """Adapters of rank one, each with an output of its own unless told."""
    outputs = np.eye(len(rows)) if answers is None else np.array(answers)
    return tuple(LowRank(outputs[:, [i]], np.array([row])) for i, row in enumerate(rows))


def test_hand_example():
    """Rows (1, 0) and (3/5, 4/5): exactly the inverse of the matrix with these rows as columns."""
    pair = lines([1.0, 0.0], [0.6, 0.8])
    # Δ* q1 = e1 and Δ* q2 = e2, so Δ* = [q1 q2]^-1 = [[1, -3/4], [0, 5/4]]
    exact = 1 + Fraction(9, 16) + Fraction(25, 16)
    assert bound(Case(pair)) == pytest.approx(float(exact) ** 0.5, rel=1e-14)
    np.testing.assert_allclose(attain(Case(pair)).dense(), [[1, -0.75], [0, 1.25]], atol=1e-14)


def test_rivals_at_ten_times_the_size_still_do_what_each_adapter_does():
    assert verify(THEOREM, cases=60, seed=7, size=80).ok


def test_adapters_of_rank_zero_ask_for_nothing():
    """As before any training."""
    pair, silent = lines([1.0, 0.0], [0.6, 0.8]), LowRank(np.zeros((2, 1)), np.ones((1, 2)))
    joined, alone = Case((*pair, silent)), Case((silent,))
    assert bound(joined) == pytest.approx(bound(Case(pair)), rel=1e-14)
    assert bound(alone) == 0.0
    for case in (joined, alone):
        assert THEOREM.check(case, attain(case)).tight


@given(seeds)
@settings(max_examples=15)
def test_the_formula_with_projectors_in_exact_rationals(seed):
    """No SVD and no basis: projectors A^T (A A^T)^-1 A over the rationals."""
    rng = np.random.default_rng(seed)
    downs = [sympy.Matrix(rng.integers(-3, 4, (r, 4))) for r in (1, 2)]
    ups = [sympy.Matrix(rng.integers(-3, 4, (3, r))) for r in (1, 2)]
    stack = sympy.Matrix.vstack(*downs)
    if stack.rank() < 3 or any(u.rank() < u.shape[1] for u in ups):
        return
    projectors = [d.T * (d * d.T).inv() * d for d in downs]
    updates = [u * d for u, d in zip(ups, downs, strict=True)]
    sum_p = projectors[0] + projectors[1]
    least = (updates[0] + updates[1]) * sum_p.pinv()
    assert all(least * p == d for p, d in zip(projectors, updates, strict=True))
    case = Case(
        tuple(
            LowRank(np.array(u, dtype=float), np.array(d, dtype=float))
            for u, d in zip(ups, downs, strict=True)
        )
    )
    assert bound(case) == pytest.approx(float(least.norm()), rel=1e-9)
    np.testing.assert_allclose(attain(case).dense(), np.array(least, dtype=float), atol=1e-9)


@given(seeds)
def test_it_does_what_each_adapter_does_and_its_rank_adds_up(seed):
    case = drawn(seed)
    merged = attain(case)
    assert misfit(case.updates, merged) ** 0.5 <= room(case)
    assert conflict(case.updates) ** 0.5 <= room(case)
    assert merged.width <= sum(low.width for low in case.updates)
    alone = Case(case.updates[:1])
    assert frobenius(attain(alone) - case.updates[0]) <= room(alone)


@given(seeds)
def test_lapack_finds_the_same_matrix(seed):
    case = drawn(seed)
    found = THEOREM.adversary(case, np.random.default_rng(seed))
    assert frobenius(found - attain(case)) <= room(case)
    assert measure(case, found) == pytest.approx(bound(case), abs=room(case))


@given(seeds)
def test_every_other_exact_merge_is_longer_by_what_it_adds(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    other = THEOREM.rival(case, rng)
    extra = frobenius(other - attain(case))
    expected = np.hypot(bound(case), extra)
    assert measure(case, other) == pytest.approx(expected, rel=1e-9, abs=room(case))


@given(seeds)
def test_conflicting_adapters_leave_the_least_misfit(seed):
    """Two adapters on one row space: half the squared distance, by brute force too."""
    rng = np.random.default_rng(seed)
    reads = orthonormal(rng, 5, 2).T
    pair = tuple(LowRank(rng.standard_normal((3, 2)), reads) for _ in range(2))
    expected = frobenius(pair[0] - pair[1]) ** 2 / 2
    assert conflict(pair) == pytest.approx(expected)
    merged = attain(Case(pair))
    assert misfit(pair, merged) == pytest.approx(expected)
    for size in (1e-6, 1e-3, 1.0):
        nudged = merged + size * LowRank(rng.standard_normal((3, 5)), np.eye(5))
        assert misfit(pair, nudged) >= expected
    with pytest.raises(AssumptionError, match="each row space"):
        THEOREM.check(Case(pair), merged)


@given(seeds)
def test_scaling_rotation_order_and_gauge_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = [
        regauge(
            LowRank(3 * left @ low.up, low.down @ right), np.diag(rng.uniform(0.5, 2, low.width))
        )
        for low in reversed(case.updates)
    ]
    other = Case(tuple(moved))
    assert bound(other) == pytest.approx(3 * bound(case), abs=room(other))
    expected = 3 * left @ attain(case).dense() @ right
    np.testing.assert_allclose(attain(other).dense(), expected, atol=room(other))


def test_orthogonal_row_spaces_are_just_added():
    pair = lines([2.0, 0.0], [0.0, 5.0])
    np.testing.assert_allclose(attain(Case(pair)).dense(), np.diag([2.0, 5.0]), atol=1e-14)
    assert bound(Case(pair)) == pytest.approx(29**0.5)


def test_one_adapter_twice_is_that_adapter_not_its_double():
    pair = lines([1.0, 2.0]) * 2
    assert frobenius(attain(Case(pair)) - pair[0]) < 1e-14
    assert rank(attain(Case(pair)), 1e-10) == 1


def test_wide_layers_need_no_dense_matrix():
    case = drawn(3, 4096)
    assert max(case.updates[0].shape) > 1000
    assert THEOREM.check(case, attain(case)).tight


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_the_mean_is_shorter_and_refused(control):
    case, mean = control.example()
    with pytest.raises(AssumptionError, match="each row space"):
        THEOREM.check(case, mean)
    assert THEOREM.judge(case, mean).slack < 0
