"""coefficient_ladder: by hand, by grids, by optimisers, symmetries, limits."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition._hops import margin
from loratheory.theorems.composition._hops import threshold as equal_threshold
from loratheory.theorems.composition.coefficient_ladder import (
    CONTROLS,
    THEOREM,
    Case,
    adversary,
    attain,
    best_lead,
    bound,
    ladder,
    measure,
    product_needed,
    sum_needed,
    two_hop_split,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def test_hand_example():
    """Exact rationals: 2/3 and 1/2 leave 1/3 on every path, so nobody leads; 3/4, 2/3 lead."""
    eye = np.eye(4)
    case = Case(1 / 3, (eye[:, :2], eye[:, :3]), (eye[:, :3],))
    assert attain(case) == pytest.approx((2 / 3, 1 / 2), rel=1e-15)
    first, second = Fraction(2, 3), Fraction(1, 2)
    assert first * second == 1 - first == first * (1 - second)
    assert bound(case) == pytest.approx(0, abs=1e-15)
    assert measure(case, attain(case)) == pytest.approx(0, abs=1e-12)
    assert best_lead(2, 1 / 2) == 1 / 4
    assert ladder(2, 1 / 2) == pytest.approx((3 / 4, 2 / 3), rel=1e-15)


@pytest.mark.parametrize("hops", [2, 3])
def test_no_grid_point_leads_more_than_its_product_allows(hops):
    grid = np.stack(np.meshgrid(*[np.linspace(0.05, 1.4, 28)] * hops), axis=-1).reshape(-1, hops)
    left = np.cumprod(grid, axis=1)
    before = np.concatenate([np.ones((len(grid), 1)), left[:, :-1]], axis=1)
    leads = left[:, -1] - np.maximum((before - left).max(axis=1), 0)
    allowed = np.array([best_lead(hops, p) for p in left[:, -1].tolist()])
    assert (leads <= allowed + 1e-12).all()
    assert (leads > allowed - 0.02).any()


@pytest.mark.parametrize("seed", range(4))
def test_hill_climbing_never_goes_above(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@pytest.mark.parametrize("hops", [1, 2, 3, 6])
def test_a_product_wins_somewhere_above_its_threshold_only(hops):
    need = product_needed(hops)
    assert margin(ladder(hops, need * 1.001)) > 0
    assert margin(ladder(hops, need * 0.999)) < 0
    assert need <= equal_threshold(hops) ** hops + 1e-15


@pytest.mark.parametrize("hops", [1, 2, 3, 5, 8])
def test_sums_below_the_first_number_never_win_and_above_the_second_some_do(hops):
    low, high = sum_needed(hops)
    harmonic = sum(Fraction(1, i) for i in range(1, hops + 2))
    assert high == pytest.approx(float(hops + 1 - harmonic), rel=1e-14)
    assert low <= high <= hops * equal_threshold(hops) + 1e-12
    found = list(ladder(hops, product_needed(hops)))
    found[-1] += 1e-6
    assert margin(found) > 0
    rng = np.random.default_rng(0)
    for shape in rng.dirichlet(np.full(hops, 4.0), 300):
        assert margin((low * shape).tolist()) <= 0


def test_the_cheapest_sum_of_five_hops_is_the_ladder_and_of_eight_is_not():
    """Sequential programming over all coefficients that do not lose."""

    def _cheapest(hops):
        paths = [
            {
                "type": "ineq",
                "fun": lambda c, j=j: np.prod(c) - np.prod(c[:j]) * (1 - c[j]),
            }
            for j in range(hops)
        ]
        start = np.array(ladder(hops, product_needed(hops))) + 0.01
        return minimize(np.sum, start, constraints=paths, bounds=[(1e-3, 3)] * hops).fun

    assert _cheapest(5) == pytest.approx(sum_needed(5)[1], abs=1e-5)
    assert sum_needed(8)[0] < _cheapest(8) < sum_needed(8)[1] - 1e-4


@given(st.floats(0.5, 2.0))
def test_two_hops_split_their_budget_as_stated(budget):
    best = two_hop_split(budget)
    assert sum(best) == pytest.approx(budget, rel=1e-14)
    assert margin(best) == pytest.approx(3 * best[0] - 2, abs=1e-12)
    first = np.linspace(0, budget, 2001)
    others = first * (budget - first)
    others = others - np.maximum(0, np.maximum(1 - first, first * (1 - budget + first)))
    assert others.max() <= margin(best) + 1e-12
    assert others.max() >= margin(best) - 0.01
    assert (margin(best) > 0) == (budget > 7 / 6) or budget == pytest.approx(7 / 6)


def test_a_convex_merge_loses_by_the_square_of_the_golden_section_at_best():
    first, _ = two_hop_split(1)
    assert first == pytest.approx((math.sqrt(5) - 1) / 2, rel=1e-14)
    assert margin(two_hop_split(1)) == pytest.approx(-((1 - first) ** 2), rel=1e-12)


@pytest.mark.parametrize("budget", [0.49, 2.01])
def test_budgets_without_such_a_split_are_refused(budget):
    with pytest.raises(ValueError, match="1/2 to 2"):
        two_hop_split(budget)


@settings(max_examples=25)
@given(seeds)
def test_if_the_largest_is_limited_equal_ones_are_best(seed):
    rng = np.random.default_rng(seed)
    hops = int(rng.integers(1, 5))
    limit = equal_threshold(hops)
    assert margin((limit * rng.uniform(0.5, 1, hops)).tolist()) <= 1e-12


def test_negative_coefficients_win_below_every_limit():
    """Why the limit is one on nonnegative coefficients: two negative ones, product 3."""
    assert margin((-1.0, -3.0)) == 1.0
    assert margin((-1.0, -3.0)) <= best_lead(2, 3.0)


@settings(max_examples=25)
@given(st.floats(0.1, 10.0), seeds)
def test_scaling_and_rotation_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    turn = factor * orthonormal(rng, len(case.keys[0]), len(case.keys[0]))
    turned = replace(case, keys=tuple(turn @ keys for keys in case.keys))
    assert THEOREM.check(turned, attain(turned)).tight


@pytest.mark.parametrize("hops", [1, 2, 4])
def test_whole_edits_lead_by_one_and_more_by_their_product(hops):
    assert ladder(hops, 1.0) == (1.0,) * hops
    assert best_lead(hops, 1.0) == 1.0
    assert margin(ladder(hops, 2.0)) == pytest.approx(2.0, rel=1e-14)


def test_one_hop_is_averaging_survival():
    assert best_lead(1, 0.3) == pytest.approx(0.3 - 0.7)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, found = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, found)
    assert not THEOREM.judge(case, found).holds
