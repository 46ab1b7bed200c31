"""least_change_edit: by hand, in exact rationals, by the KKT system, symmetries, limits."""

import re

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError, edit_budget
from loratheory.theorems.editing.least_change_edit import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_one_key_by_hand():
    # key (1, 1), inputs of energies 1 and 3: k C^-1 k = 4/3, value 2 costs 4 / (4/3) = 3,
    # read by (1, 1/3) / (4/3) = (3/4, 1/4): three quarters go where inputs are quiet
    case = Case(np.ones((2, 1)), np.array([[2.0]]), np.diag([1.0, 3.0]))
    assert bound(case) == pytest.approx(3.0, rel=1e-14)
    np.testing.assert_allclose(attain(case).dense(), [[1.5, 0.5]], rtol=1e-14)
    assert measure(case, attain(case)) == pytest.approx(3.0, rel=1e-14)


def test_descent_at_ten_times_the_size_stays_exact():
    """Seed 167 starts far from the keys' edit, and comes back to where its rounding shows."""
    case = THEOREM.draw(np.random.default_rng(167), 80)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(167))).holds


@given(seeds)
@settings(max_examples=15)
def test_the_kkt_system_agrees_in_exact_rationals(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    root = sympy.Matrix(rng.integers(-2, 3, (n, n)))
    moment, key = root * root.T + sympy.eye(n), sympy.Matrix(rng.integers(-2, 3, (n, 1)))
    key[0] += 5
    system = sympy.BlockMatrix([[moment, key], [key.T, sympy.zeros(1, 1)]]).as_explicit()
    solved = system.LUsolve(sympy.Matrix([0] * n + [3]))[:n, :]
    case = Case(*(np.array(part, float) for part in (key, sympy.Matrix([[3]]), moment)))
    np.testing.assert_allclose(
        attain(case).dense(), np.array(solved.T, float), rtol=1e-10, atol=1e-13
    )
    assert bound(case) == pytest.approx(float((solved.T * moment * solved)[0]), rel=1e-10)


@given(seeds)
def test_rome_is_the_case_of_one_key(seed):
    """The published formula, written out densely."""
    rng = np.random.default_rng(seed)
    key, value = rng.standard_normal(5), rng.standard_normal(4)
    root = rng.standard_normal((5, 9))
    moment = root @ root.T / 9 + 0.1 * np.eye(5)
    dual = np.linalg.inv(moment) @ key
    case = Case(key[:, None], value[:, None], moment)
    np.testing.assert_allclose(attain(case).dense(), np.outer(value, dual) / (key @ dual))
    assert rank(attain(case)) == 1
    assert bound(case) == pytest.approx(value @ value / (key @ dual), rel=1e-9)


@given(seeds)
def test_the_price_is_the_mean_change_over_real_inputs(seed):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((4, 12))
    case = Case(np.eye(4)[:, :2], rng.standard_normal((3, 2)), inputs @ inputs.T / 12)
    changed = attain(case).dense() @ inputs
    assert bound(case) == pytest.approx((changed**2).sum() / 12, rel=1e-8)


@given(seeds)
def test_no_exact_edit_is_cheaper(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@given(seeds)
def test_least_squares_in_the_unseen_directions_arrives_at_the_price(seed):
    case = drawn(seed)
    found = adversary(case, np.random.default_rng(seed))
    assert THEOREM.check(case, found).holds
    assert measure(case, found) == pytest.approx(bound(case), rel=1e-6)


@given(seeds)
def test_white_inputs_give_the_edit_of_least_norm(seed):
    case = drawn(seed)
    white = Case(case.keys, case.values, np.eye(len(case.keys)))
    plain = edit_budget.attain(edit_budget.Case(case.keys, case.values, rank=len(case.keys)))
    assert bound(white) == pytest.approx(frobenius(plain) ** 2, rel=1e-9)


@given(st.floats(0.1, 10.0), seeds)
def test_scale_input_basis_mixing_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, facts), m = case.keys.shape, case.values.shape[0]
    basis = 2 * np.eye(n) + orthonormal(rng, n, n) / 2
    mix = factor * orthonormal(rng, facts, facts)
    keys, moment = basis @ case.keys @ mix, basis @ case.moment @ basis.T
    other = Case(keys, 3 * orthonormal(rng, m, m) @ case.values @ mix, (moment + moment.T) / 2)
    assert bound(other) == pytest.approx(9 * bound(case), rel=1e-7)
    best = attain(case)
    gauge = orthonormal(rng, best.width, best.width)
    assert measure(case, regauge(best, gauge)) == pytest.approx(bound(case), rel=1e-7)


@given(seeds)
def test_keys_in_every_direction_leave_no_choice_and_no_value_costs_nothing(seed):
    rng = np.random.default_rng(seed)
    keys, values = np.eye(3) + 0.1 * rng.standard_normal((3, 3)), rng.standard_normal((2, 3))
    case = Case(keys, values, np.diag([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(attain(case).dense(), values @ np.linalg.inv(keys), atol=1e-12)
    assert bound(Case(keys, 0 * values, case.moment)) == 0.0


@given(seeds)
def test_more_facts_never_cost_less(seed):
    case = drawn(seed)
    fewer = Case(case.keys[:, 1:], case.values[:, 1:], case.moment)
    if fewer.keys.shape[1]:
        assert bound(fewer) <= bound(case) * (1 + 1e-8)


def test_wide_layers_need_no_dense_update():
    rng = np.random.default_rng(4)
    keys, values = rng.standard_normal((300, 3)), rng.standard_normal((4096, 3))
    case = Case(keys, values, np.diag(1 / np.arange(1.0, 301)))
    assert THEOREM.check(case, attain(case)).tight


def test_an_edit_that_misses_a_little_is_refused():
    case = drawn(1)
    with pytest.raises(AssumptionError, match="exactly"):
        THEOREM.check(case, attain(case) * (1 - 1e-6))
    zero = LowRank(np.zeros((case.values.shape[0], 1)), np.zeros((1, len(case.keys))))
    assert not THEOREM.judge(case, zero).holds


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
