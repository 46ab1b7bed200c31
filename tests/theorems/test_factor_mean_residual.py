"""factor_mean_residual: by hand, in exact integers, by another road, gauges, what tools do."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, gaussian, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.merging.factor_mean_residual import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    factor_mean,
    measure,
    residual,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case)


def uniform(adapters, spent=0):
    return Case(tuple(adapters), (1 / len(adapters),) * len(adapters), spent)


def test_hand_example():
    # ups 1, 3 and downs 2, 6: mean of products 10, product of means 8, covariance 1 * 2
    pair = [LowRank(np.array([[u]]), np.array([[v]])) for u, v in ((1.0, 2.0), (3.0, 6.0))]
    case = uniform(pair)
    assert residual(case).dense() == pytest.approx(2.0, rel=1e-14)
    assert bound(case) == pytest.approx(4.0, rel=1e-14)
    assert measure(case, attain(replace(case, rank=1))) <= 1e-28


@given(seeds)
@settings(max_examples=25)
def test_the_identity_and_the_rank_in_exact_rationals(seed):
    rng = np.random.default_rng(seed)
    k, r = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    ups = [sympy.Matrix(rng.integers(-4, 5, (5, r))) for _ in range(k)]
    downs = [sympy.Matrix(rng.integers(-4, 5, (r, 5))) for _ in range(k)]
    raw = [sympy.Rational(int(x)) for x in rng.integers(1, 6, k)]
    weights = [x / sum(raw) for x in raw]
    mean = sum((w * u * v for w, u, v in zip(weights, ups, downs, strict=True)), sympy.zeros(5))
    up = sum((w * u for w, u in zip(weights, ups, strict=True)), sympy.zeros(5, r))
    down = sum((w * v for w, v in zip(weights, downs, strict=True)), sympy.zeros(r, 5))
    missing = mean - up * down
    floats = [
        LowRank(np.asarray(u, dtype=float), np.asarray(v, dtype=float))
        for u, v in zip(ups, downs, strict=True)
    ]
    case = Case(tuple(floats), tuple(float(w) for w in weights), rank=0)
    np.testing.assert_allclose(residual(case).dense(), np.asarray(missing, float), atol=1e-12)
    assert missing.rank() <= (k - 1) * r
    assert bound(case) == pytest.approx(float(sum(x**2 for x in missing)), rel=1e-11)


@given(seeds)
def test_bound_matches_the_dense_difference_of_the_two_means(seed):
    case = drawn(seed)
    ups = sum(w * low.up for w, low in zip(case.weights, case.adapters, strict=True))
    downs = sum(w * low.down for w, low in zip(case.weights, case.adapters, strict=True))
    mean = sum(w * low.dense() for w, low in zip(case.weights, case.adapters, strict=True))
    sigma = np.linalg.svd(mean - ups @ downs, compute_uv=False)
    expected = (sigma[case.rank :] ** 2).sum()
    assert bound(case) == pytest.approx(expected, rel=1e-9, abs=room(case))


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@pytest.mark.parametrize(("k", "r"), [(1, 2), (2, 1), (2, 3), (4, 2)])
def test_a_correction_of_rank_k_minus_one_times_r_repairs_it_and_no_less_does(k, r):
    rng = np.random.default_rng(k)
    case = uniform([gaussian(rng, 12, 10, r) for _ in range(k)], (k - 1) * r)
    assert rank(residual(case), 1e-10) == (k - 1) * r
    assert measure(case, attain(case)) <= room(case)
    if k > 1:
        assert bound(replace(case, rank=case.rank - 1)) > 1e-6


@given(seeds)
def test_two_adapters_miss_a_quarter_of_the_product_of_differences(seed):
    rng = np.random.default_rng(seed)
    one, two = gaussian(rng, 6, 5, 2), gaussian(rng, 6, 5, 2)
    expected = (one.up - two.up) @ (one.down - two.down) / 4
    np.testing.assert_allclose(residual(uniform([one, two])).dense(), expected, atol=1e-13)


@pytest.mark.parametrize("shared", ["up", "down"])
def test_one_shared_factor_makes_the_factor_mean_exact(shared):
    rng = np.random.default_rng(1)
    base = gaussian(rng, 6, 5, 2)
    adapters = [replace(gaussian(rng, 6, 5, 2), **{shared: getattr(base, shared)}) for _ in "abc"]
    assert bound(uniform(adapters)) <= room(uniform(adapters))


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_order_and_a_common_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (m, n), r = case.adapters[0].shape, case.adapters[0].width
    turn, back = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    gauge = 2.0 * np.eye(r) + 0.5 * orthonormal(rng, r, r)
    moved = [regauge(LowRank(turn @ a.up, a.down @ back), gauge) for a in case.adapters]
    other = Case(tuple(reversed(moved)), case.weights[::-1], case.rank)
    expected = factor**2 * bound(case)
    assert bound(other) == pytest.approx(expected, rel=1e-8, abs=room(other))


def test_the_gauge_of_one_adapter_moves_the_factor_mean_by_its_own_size():
    """The same two updates, another merge: the residual belongs to factors, not to updates."""
    rng = np.random.default_rng(2)
    one, two = gaussian(rng, 8, 8, 3), gaussian(rng, 8, 8, 3)
    turned = regauge(two, orthonormal(rng, 3, 3))
    assert frobenius(two - turned) <= 1e-13 * frobenius(two)
    before, after = factor_mean(uniform([one, two])), factor_mean(uniform([one, turned]))
    assert frobenius(before - after) > 0.5 * frobenius(before)


@given(seeds)
def test_over_opposite_gauges_only_a_kth_of_each_update_is_left(seed):
    """Cross terms change sign with the gauge: their mean over it is zero."""
    rng = np.random.default_rng(seed)
    one, two = gaussian(rng, 6, 5, 2), gaussian(rng, 6, 5, 2)
    flipped = LowRank(-two.up, -two.down)
    mean = factor_mean(uniform([one, two])) + factor_mean(uniform([one, flipped]))
    np.testing.assert_allclose(mean.dense() / 2, (one + two).dense() / 4, atol=1e-13)


@given(seeds)
def test_own_products_are_scaled_by_the_squared_weight(seed):
    """What routing before the product does: the weight enters twice, and other pairs mix in."""
    rng = np.random.default_rng(seed)
    weights = tuple(rng.dirichlet(np.ones(3)).tolist())
    adapters = tuple(gaussian(rng, 6, 5, 2) for _ in range(3))
    expected = sum(
        w * v * a.up @ b.down
        for w, a in zip(weights, adapters, strict=True)
        for v, b in zip(weights, adapters, strict=True)
    )
    merged = factor_mean(Case(adapters, weights, 0))
    np.testing.assert_allclose(merged.dense(), expected, atol=1e-13)
    alone = [replace(a, down=a.down * (i == 0)) for i, a in enumerate(adapters)]
    alone = [replace(a, up=a.up * (i == 0)) for i, a in enumerate(alone)]
    merged = factor_mean(Case(tuple(alone), weights, 0))
    np.testing.assert_allclose(merged.dense(), weights[0] ** 2 * adapters[0].dense(), atol=1e-13)


@given(seeds)
def test_root_weights_on_the_factors_keep_own_products_and_add_cross_terms(seed):
    """The rule of ``combination_type="linear"``: exact part plus every foreign pair."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.0, 2)
    one, two = gaussian(rng, 6, 5, 2), gaussian(rng, 6, 5, 2)
    roots = np.sqrt(weights)
    merged = (roots[0] * one.up + roots[1] * two.up) @ (roots[0] * one.down + roots[1] * two.down)
    exact = weights[0] * one.dense() + weights[1] * two.dense()
    cross = math.sqrt(weights[0] * weights[1]) * (one.up @ two.down + two.up @ one.down)
    np.testing.assert_allclose(merged, exact + cross, atol=1e-13)
    # both factors of equal adapters: twice too strong
    twice = (2 * math.sqrt(0.5) * one.up) @ (2 * math.sqrt(0.5) * one.down)
    np.testing.assert_allclose(twice, 2 * one.dense(), atol=1e-13)


@given(seeds)
def test_one_adapter_or_equal_ones_lose_nothing(seed):
    case = drawn(seed)
    alone = uniform(case.adapters[:1])
    assert bound(alone) <= room(alone)
    equal = uniform(case.adapters[:1] * 3)
    assert bound(equal) <= room(equal)


def test_wide_layers_need_no_dense_matrix():
    case = drawn(0, 4096)
    assert max(case.adapters[0].shape) > 1000
    assert THEOREM.check(case, attain(case)).tight


def test_factors_of_different_widths_have_no_mean():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="widths agree"):
        uniform([gaussian(rng, 4, 4, 1), gaussian(rng, 4, 4, 2)])


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
