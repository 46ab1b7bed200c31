"""averaging_survival: by hand, by bisection on real merges, symmetries, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.merging.averaging_survival import (
    THEOREM,
    Case,
    attain,
    bound,
    coefficient,
    margin_needed,
    measure,
)
from loratheory.toy import Merge


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def one_competitor(deficit, margin, weight):
    """Logits of (new, old) before and after an edit."""
    before, after = np.array([0.0, deficit]), np.array([margin, 0.0])
    return Case(np.ones(3), before, after, np.zeros(2), weight)


def test_hand_example():
    """Exact: deficit 2, margin 7 at weight 1/3 leaves 7/3 - 4/3 = 1; interference 1/4 adds."""
    exact = Fraction(1, 3) * 7 - Fraction(2, 3) * 2 + Fraction(1, 4)
    case = replace(one_competitor(2.0, 7.0, 1 / 3), others=np.array([0.25, 0.0]))
    assert exact == Fraction(5, 4)
    assert bound(case) == pytest.approx(float(exact), rel=1e-14)


@given(seeds)
def test_margin_matches_dense_weights(seed):
    """Another road: dense arrays, three adapters, entry by entry."""
    rng = np.random.default_rng(seed)
    t, d = rng.integers(2, 7, 2).tolist()
    base, *updates = rng.standard_normal((4, t, d))
    key, weights = rng.standard_normal(d), rng.uniform(-1, 2, 3).tolist()
    merged = base + sum(w * u for w, u in zip(weights, updates, strict=True))
    lead = min((merged @ key)[0] - (merged @ key)[i] for i in range(1, t))
    others = (weights[1] * updates[1] + weights[2] * updates[2]) @ key
    case = Case(key, base @ key, (base + updates[0]) @ key, others, weights[0])
    assert bound(case) == pytest.approx(lead, abs=1e-11)
    low = [LowRank(u, np.eye(d)) for u in (base, *updates)]
    assert THEOREM.check(case, Merge(low[0], tuple(low[1:]), tuple(weights))).tight


@given(st.integers(1, 6), st.floats(0.1, 10.0), st.sampled_from(["sum", "mean", "factor_mean"]))
def test_one_percent_decides_survival(adapters, deficit, rule):
    need, weight = margin_needed(adapters, deficit, rule), coefficient(adapters, rule)
    for change in (0.01, -0.01):
        case = one_competitor(deficit, need + change * deficit, weight)
        assert (measure(case, attain(case)) > 0) == (change > 0)


def test_margins_needed_are_those_of_the_statement():
    assert [margin_needed(k, 1) for k in (1, 2, 5)] == pytest.approx([0, 1, 4])
    assert [margin_needed(k, 2.0, "factor_mean") for k in (1, 2, 3)] == pytest.approx([0, 6, 16])
    assert margin_needed(7, 3.0, "sum") == 0


@given(seeds)
def test_bisection_on_the_merged_weights_finds_the_threshold(seed):
    """No formula: the coefficient at which the measured lead changes sign."""
    rng = np.random.default_rng(seed)
    deficit, margin = rng.uniform(0.1, 5.0, 2).tolist()
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        case = one_competitor(deficit, margin, middle)
        low, high = (low, middle) if measure(case, attain(case)) > 0 else (middle, high)
    assert margin == pytest.approx(deficit * (1 - high) / high, rel=1e-9)


@given(seeds)
def test_a_fact_without_deficit_survives_every_weight_up_to_one(seed):
    rng = np.random.default_rng(seed)
    case = one_competitor(-rng.exponential(), rng.exponential() + 1e-9, 1 - rng.random())
    assert bound(case) > 0


def test_beyond_one_a_fact_without_deficit_can_be_lost():
    assert bound(one_competitor(-1.0, 0.1, 3.0)) == pytest.approx(-1.7)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5))
def test_no_convex_merge_keeps_two_replacements(shares):
    assume(sum(shares) > 0)
    weights = [share / sum(shares) for share in shares]
    leads = sorted(bound(one_competitor(1.0, 1.0, w)) for w in weights)
    assert leads[-2] <= 1e-12


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    order = np.r_[0, 1 + rng.permutation(len(case.base) - 1)]
    parts = [factor * part[order] for part in (case.base, case.edited, case.others)]
    turn = orthonormal(rng, len(case.key), len(case.key))
    other = Case(turn @ case.key, *parts, case.coefficient)
    room = 1e-11 * THEOREM.scale(other)
    assert bound(other) == pytest.approx(factor * bound(case), rel=1e-9, abs=room)
    assert measure(other, attain(other)) == pytest.approx(factor * bound(case), abs=room)


@given(seeds)
def test_weights_zero_and_one_give_base_and_edited_model(seed):
    case = replace(drawn(seed), others=np.zeros(len(drawn(seed).base)))
    room = 1e-11 * THEOREM.scale(case)
    for weight, logits in ((0.0, case.base), (1.0, case.edited)):
        lead = logits[0] - logits[1:].max()
        assert bound(replace(case, coefficient=weight)) == pytest.approx(lead, abs=room)


@given(seeds)
def test_orthogonal_row_spaces_do_not_interfere(seed):
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, 6, 4)
    other = LowRank(rng.standard_normal((3, 2)), frame[:, 2:].T)
    assert np.abs(other @ (frame[:, :2] @ rng.standard_normal(2))).max() < 1e-13


def test_no_adapters_are_refused():
    with pytest.raises(ValueError, match="give at least 1"):
        coefficient(0)
