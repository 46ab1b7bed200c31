"""_hops: thresholds in exact arithmetic, regions by the signs of polynomials."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from loratheory.theorems.composition._hops import logits, margin, strength_needed, threshold, window

numbers = st.floats(-3, 3, allow_subnormal=False).filter(lambda x: abs(x) > 1e-3)
shares = st.floats(0, 1)


def test_the_golden_ratio_is_the_exact_border():
    """SymPy expands two hops, finds c^2 + c - 1 and its root; K hops by exact bisection."""
    c = sp.Symbol("c", positive=True)
    target, _, first, last = c * c, sp.Integer(0), 1 - c, c * (1 - c)
    assert sp.solve(sp.Eq(target, first), c) == [(sp.sqrt(5) - 1) / 2]
    assert sp.simplify((first - last) - (1 - c) ** 2) == 0  # the first old answer is the harder one
    assert threshold(2) == pytest.approx(float((sp.sqrt(5) - 1) / 2), rel=4e-16)
    for hops in range(1, 8):
        root = sp.Poly(c**hops + c - 1, c).real_roots()[-1]
        assert threshold(hops) == pytest.approx(float(root.evalf(30)), rel=1e-15)


def test_thresholds_by_hand():
    assert threshold(1) == 0.5
    assert [round(threshold(k), 4) for k in (2, 3, 4, 6)] == [0.6180, 0.6823, 0.7245, 0.7781]
    assert [threshold(k, "B") for k in (1, 2, 5)] == [0.5, 0.5, 0.5]
    assert [threshold(k, "C") for k in (1, 2, 3)] == [0.0, 0.5, threshold(2)]
    assert [threshold(k, "D") for k in (1, 2, 5)] == [0.0, 0.0, 0.0]


def test_averaged_halves_leave_a_half_and_two_quarters():
    assert sorted(logits((0.5, 0.5), "A")) == [0.0, 0.25, 0.25, 0.5]
    assert margin((0.5, 0.5), "A") == -0.25
    assert margin((0.5, 0.5), "B") == 0.0


@pytest.mark.parametrize("pattern", "ABCD")
@given(st.integers(1, 6), st.floats(-1e-3, 1e-3).filter(lambda x: abs(x) > 1e-9))
def test_equal_coefficients_win_exactly_above_the_threshold(pattern, hops, nudge):
    c = threshold(hops, pattern) + nudge
    if c >= 0 and c**hops > 1e-12:
        assert (margin((c,) * hops, pattern) > 0) == (nudge > 0)


@given(numbers, numbers)
def test_two_hop_regions_are_those_of_the_statement(first, second):
    """For every sign; within rounding of the border nothing is claimed."""
    edges = (first * (1 + second) - 1, first * (2 * second - 1), first * second)
    if min(map(abs, edges)) > 1e-9:
        assert (margin((first, second), "A") > 0) == (edges[0] > 0 and edges[1] > 0)
        assert (margin((first, second), "C") > 0) == (edges[1] > 0 and edges[2] > 0)
        assert (margin((first, second), "D") > 0) == (edges[2] > 0)


@given(st.lists(shares, min_size=1, max_size=5))
def test_all_must_exceed_a_half_where_the_old_path_is_edited(weights):
    if min(abs(w - 0.5) for w in weights) > 1e-6 and math.prod(weights) > 1e-9:
        assert (margin(tuple(weights), "B") > 0) == (min(weights) > 0.5)


@given(st.lists(numbers, min_size=1, max_size=5))
def test_all_products_compete_where_the_old_path_is_edited(weights):
    """Brute force over the subsets of hops that keep the old answer."""
    rest = [
        math.prod(1 - w if old else w for w, old in zip(weights, olds, strict=True))
        for olds in itertools.product([False, True], repeat=len(weights))
    ][1:]
    expected = math.prod(weights) - max(0.0, *rest)
    assert margin(tuple(weights), "B") == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.lists(shares, min_size=2, max_size=6), st.sampled_from("AB"))
def test_no_convex_weights_win(weights, pattern):
    total = max(sum(weights), 1.0)
    assert margin(tuple(w / total for w in weights), pattern) <= 1e-12


def test_convex_scan_of_one_weight_finds_no_success():
    """Any real g, not only shares; without an old first fact (.4, .6) does win."""
    for g in np.linspace(-3, 4, 2001).tolist():
        assert margin((g, 1 - g), "A") <= 1e-12
        assert margin((g, 1 - g), "B") <= 1e-12
    assert margin((0.4, 0.6), "C") == pytest.approx(0.08)


def test_negative_pairs_win_below_minus_the_golden_ratio():
    golden = -(math.sqrt(5) + 1) / 2
    assert margin((golden - 1e-6,) * 2) > 0 > margin((golden + 1e-6,) * 2)


def test_averaging_needs_these_strengths():
    found = [strength_needed(k, k) for k in (2, 3, 4)]
    assert found == pytest.approx([math.sqrt(5) - 1, 2.0470, 2.8980], abs=1e-4)
    assert strength_needed(2, 2, rule="factor_mean") == pytest.approx(2 * (math.sqrt(5) - 1))
    assert strength_needed(2, 2, rule="sum") == threshold(2)


def test_the_window_of_two_averaged_edits():
    assert window(2, 2) == pytest.approx((1.0, 2 * math.sqrt(5) - 3))
    assert window(2, 2, "B") == (1.0, 1.0)
    assert window(2, 2, "D") == (1.0, 1.0)
    low, high = window(3, 4)
    assert low == 3.0
    assert high == pytest.approx(8 * 0.6823278038280193 - 1)


def test_a_chain_without_hops_is_refused():
    with pytest.raises(ValueError, match="give at least 1"):
        threshold(0)
