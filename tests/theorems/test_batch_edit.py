"""batch_edit: by hand, in exact rationals, the published formula, symmetries, limits."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal, rank, regauge
from loratheory.theorems import AssumptionError, edit_budget
from loratheory.theorems.editing.batch_edit import THEOREM, Case, adversary, attain, bound, measure


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_two_edits_at_rank_one_by_hand():
    # unit weights: each value is written by half; the smaller is lost whole at rank one
    case = Case(np.eye(2), np.diag([4.0, 2.0]), np.eye(2), rank=2)
    assert bound(case) == pytest.approx(8 + 2, rel=1e-14)
    np.testing.assert_allclose(attain(case).dense(), np.diag([2.0, 1.0]), atol=1e-14)
    assert bound(replace(case, rank=1)) == pytest.approx(8 + 4, rel=1e-14)
    assert bound(replace(case, rank=0)) == pytest.approx(16 + 4, rel=1e-14)


@pytest.mark.parametrize("louder", [1e2, 1e4, 1e6])
def test_strong_keys_beside_weak_weights_lose_no_digits(louder):
    """More keys than dimensions: what no edit can yield is left, however strong the keys are."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        case = THEOREM.draw(rng, 8)
        case = replace(case, keys=louder * case.keys)
        assert THEOREM.check(case, attain(case)).tight
        assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@given(seeds)
@settings(max_examples=15)
def test_memit_and_its_gradient_in_exact_rationals(seed):
    rng = np.random.default_rng(seed)
    n, facts, m = rng.integers(1, 4, 3).tolist()
    keys = sympy.Matrix(rng.integers(-2, 3, (n, facts)))
    values = sympy.Matrix(rng.integers(-2, 3, (m, facts)))
    root = sympy.Matrix(rng.integers(-2, 3, (n, n)))
    moment = root * root.T + sympy.eye(n)
    edit = values * keys.T * (moment + keys * keys.T).inv()
    assert edit * moment + (edit * keys - values) * keys.T == sympy.zeros(m, n)
    price = (edit * moment * edit.T).trace() + sum(x**2 for x in edit * keys - values)
    arrays = (np.array(part, float) for part in (keys, values, moment))
    case = Case(*arrays, rank=min(m, n))
    assert bound(case) == pytest.approx(float(price), rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(attain(case).dense(), np.array(edit, float), atol=1e-11)


@given(seeds)
def test_bound_matches_the_symmetric_root_and_dense_eigenvalues(seed):
    case = drawn(seed)
    total = case.moment + case.keys @ case.keys.T
    energies, frame = np.linalg.eigh(total)
    weighted = case.values @ case.keys.T @ (frame / np.sqrt(energies)) @ frame.T
    sigma = np.linalg.svd(weighted)[1]
    least = (case.values**2).sum() - (sigma[: case.rank] ** 2).sum()
    assert bound(case) == pytest.approx(least, rel=1e-7, abs=1e-11 * THEOREM.scale(case))


@given(seeds)
def test_no_edit_of_that_rank_is_better(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@given(seeds)
@settings(max_examples=20)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_arrives_at_the_floor():
    case = Case(np.eye(3), np.diag([4.0, 2.0, 1.0]), np.eye(3), rank=2)
    assert measure(case, adversary(case, np.random.default_rng(0))) == pytest.approx(11.0)


@given(st.floats(0.1, 10.0), seeds)
def test_scale_input_basis_mixing_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, facts), m = case.keys.shape, case.values.shape[0]
    basis = 2 * np.eye(n) + orthonormal(rng, n, n) / 2
    mix, moment = orthonormal(rng, facts, facts), basis @ case.moment @ basis.T
    values = factor * orthonormal(rng, m, m) @ case.values @ mix
    other = Case(basis @ case.keys @ mix, values, (moment + moment.T) / 2, case.rank)
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-7)
    best = attain(case)
    gauge = orthonormal(rng, best.width, best.width)
    assert measure(case, regauge(best, gauge)) == pytest.approx(bound(case), rel=1e-7)


@given(seeds)
def test_vanishing_weights_leave_the_edit_budget_and_huge_ones_forbid_editing(seed):
    rng = np.random.default_rng(seed)
    keys, values = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    free = Case(keys, values, 1e-12 * np.eye(5), rank=2)
    budget = edit_budget.bound(edit_budget.Case(keys, values, rank=2))
    assert bound(free) == pytest.approx(budget, rel=1e-6)
    assert bound(Case(keys, values, 1e12 * np.eye(5), 2)) == pytest.approx((values**2).sum())


@given(seeds)
def test_more_rank_never_hurts_and_the_values_rank_is_enough(seed):
    case = drawn(seed)
    assert bound(replace(case, rank=case.rank + 1)) <= bound(case) * (1 + 1e-12)
    full = replace(case, rank=99)
    assert rank(attain(full)) <= np.linalg.matrix_rank(case.values)


def test_weights_that_leave_a_direction_free_are_refused():
    with pytest.raises(ValueError, match="add a positive ridge"):
        Case(np.eye(2), np.eye(2), np.diag([1.0, -0.5]), rank=1)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
