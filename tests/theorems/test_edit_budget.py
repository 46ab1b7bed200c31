"""edit_budget: by hand, in exact rationals, by another road, symmetries, limits, consequences."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.editing.edit_budget import THEOREM, Case, adversary, attain, bound, measure


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case)


def exactly(matrix):
    return np.asarray(matrix, dtype=float)


def test_one_key_with_two_targets_by_hand():
    # the mean target 2 is written, 1 and 3 are each missed by 1; without rank all is lost
    case = Case(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), rank=1)
    assert bound(case) == pytest.approx(2.0, rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx(2.0, rel=1e-14)
    assert bound(replace(case, rank=0)) == pytest.approx(10.0, rel=1e-14)


def test_two_edits_at_rank_one_lose_the_smaller_by_hand():
    case = Case(np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([3.0, 1.0]), rank=1)
    assert bound(case) == pytest.approx(1.0, rel=1e-13)


@given(seeds)
@settings(max_examples=25)
def test_contradiction_and_least_squares_in_exact_rationals(seed):
    """With enough rank the floor is the contradiction, a rational number for integer keys."""
    rng = np.random.default_rng(seed)
    n, count, m = (int(x) for x in rng.integers(1, 4, 3))
    keys = sympy.Matrix(rng.integers(-3, 4, (n, count)))
    wanted = sympy.Matrix(rng.integers(-3, 4, (m, count)))
    missed = wanted * (sympy.eye(count) - keys.pinv() * keys)
    case = Case(exactly(keys), exactly(wanted), rank=min(m, n, count))
    expected = float(sum(entry**2 for entry in missed))
    assert bound(case) == pytest.approx(expected, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(attain(case).dense(), exactly(wanted * keys.pinv()), atol=1e-11)


@given(seeds)
def test_bound_matches_the_dense_formula(seed):
    """Another road: NumPy's pseudo-inverse and the eigenvalues of a Gram matrix."""
    case = drawn(seed)
    projector = np.linalg.pinv(case.keys, rcond=1e-12) @ case.keys
    reachable = case.residuals @ projector
    energies = np.linalg.eigvalsh(reachable @ reachable.T)[::-1]
    expected = ((case.residuals - reachable) ** 2).sum() + energies[case.rank :].sum()
    assert bound(case) == pytest.approx(expected, rel=1e-8, abs=room(case))


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_arrives_at_the_floor():
    rng = np.random.default_rng(1)
    residuals = orthonormal(rng, 6, 4) * np.array([4.0, 2.0, 0.5, 0.1])
    case = Case(rng.standard_normal((6, 4)), residuals, rank=2)
    assert measure(case, adversary(case, rng)) == pytest.approx(0.26, rel=1e-9)
    assert bound(case) == pytest.approx(0.26, rel=1e-12)


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_order_and_input_basis_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, count), m = case.keys.shape, case.residuals.shape[0]
    order = rng.permutation(count)
    basis = 2.0 * np.eye(n) + 0.5 * orthonormal(rng, n, n)  # any invertible map of the inputs
    turn = factor * orthonormal(rng, m, m)
    other = Case(basis @ case.keys[:, order], turn @ case.residuals[:, order], case.rank)
    expected = factor**2 * bound(case)
    assert bound(other) == pytest.approx(expected, rel=1e-8, abs=room(other))
    mixed = orthonormal(rng, count, count)  # facts may be mixed among each other too
    other = Case(case.keys @ mixed, case.residuals @ mixed, case.rank)
    assert bound(other) == pytest.approx(bound(case), rel=1e-8, abs=room(case))


@given(seeds)
def test_the_gauge_of_the_update_does_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    best = attain(case)
    gauge = orthonormal(rng, best.width, best.width)
    assert measure(case, regauge(best, gauge)) == pytest.approx(
        measure(case, best), rel=1e-9, abs=1e-11 * THEOREM.condition(case) * THEOREM.scale(case)
    )


@given(seeds)
def test_no_rank_loses_everything_and_one_key_costs_rank_one(seed):
    case = drawn(seed)
    idle = replace(case, rank=0)
    assert bound(idle) == pytest.approx((case.residuals**2).sum(), rel=1e-12)
    assert attain(idle).width == 0
    single = Case(case.keys[:, :1], case.residuals[:, :1], rank=1)
    assert bound(single) <= room(single)


@pytest.mark.parametrize("spent", [0, 1, 2, 3])
def test_exact_edits_of_independent_facts_need_one_rank_each(spent):
    rng = np.random.default_rng(5)
    case = Case(rng.standard_normal((8, 4)), rng.standard_normal((7, 4)), rank=spent)
    assert bound(case) > 1e-3
    enough = replace(case, rank=4)
    assert measure(enough, attain(enough)) <= room(enough)
    assert rank(attain(enough)) == 4


def test_facts_that_share_an_answer_share_a_rank():
    """The price is the rank of the residuals, not the number of facts."""
    rng = np.random.default_rng(6)
    wanted = np.outer(rng.standard_normal(7), rng.standard_normal(4))
    case = Case(rng.standard_normal((8, 4)), wanted, rank=1)
    assert measure(case, attain(case)) <= room(case)


@given(seeds)
def test_a_repeated_key_with_two_answers_fails_at_any_rank(seed):
    rng = np.random.default_rng(seed)
    key, answers = rng.standard_normal((6, 1)), rng.standard_normal((5, 2))
    case = Case(np.concatenate([key, key], axis=1), answers, rank=5)
    half = ((answers[:, 0] - answers[:, 1]) ** 2).sum() / 2
    assert bound(case) == pytest.approx(half, rel=1e-10)


@given(seeds)
def test_no_update_with_the_same_values_is_smaller(seed):
    """Whatever is added without changing the answers at the keys only adds energy."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    best = attain(case)
    unread = np.eye(len(case.keys)) - case.keys @ np.linalg.pinv(case.keys, rcond=1e-12)
    step = frobenius(best) * rng.standard_normal((1, len(case.keys))) @ unread
    extra = LowRank(rng.standard_normal((best.shape[0], 1)), step)
    expected = frobenius(best) ** 2 + frobenius(extra) ** 2
    assert frobenius(best + extra) ** 2 == pytest.approx(expected, rel=1e-9)


def test_wide_layers_need_no_dense_matrix():
    case = drawn(0, 4096)
    assert max(case.keys.shape[0], case.residuals.shape[0]) > 1000
    assert THEOREM.check(case, attain(case)).tight


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
