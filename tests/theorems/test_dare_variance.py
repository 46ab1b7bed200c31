"""dare_variance: by hand, exact rationals, the library's own masks, gauges, limits."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import LowRank, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.merging.dare_variance import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    factor_variance,
    measure,
    update_variance,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def room(case):
    return 1e-11 * THEOREM.scale(case)


def test_hand_example():
    """Row (1, 2) on (1, 1), half kept: entries 0 or 2, 0 or 4, so variance 1 + 4."""
    low = LowRank(np.ones((1, 1)), np.array([[1.0, 2.0]]))
    outputs = [Fraction(a + b) for a in (0, 2) for b in (0, 4)]
    exact = sum((out - 3) ** 2 for out in outputs) / 4
    assert exact == 5
    assert update_variance(low, np.ones(2), 0.5) == pytest.approx(5.0, rel=1e-14)
    # factors: up is 0 or 2, so outputs are 0 half of the time, else twice the above
    twice = [Fraction(0)] * 4 + [2 * out for out in outputs]
    exact = sum((out - 3) ** 2 for out in twice) / 8
    assert exact == 19
    assert factor_variance(low, np.ones(2), 0.5) == pytest.approx(19.0, rel=1e-14)
    for place, value in (("update", 5.0), ("factors", 19.0)):
        case = Case(low, np.ones(2), 0.5, place)
        assert measure(case, attain(case)) == pytest.approx(value, rel=1e-13)


@given(seeds)
@settings(max_examples=25)
def test_every_mask_of_both_factors_one_by_one(seed):
    """Brute force over all joint masks, without second moments."""
    rng = np.random.default_rng(seed)
    up, down, x = rng.standard_normal((1, 2)), rng.standard_normal((2, 2)), rng.standard_normal(2)
    density = float(rng.uniform(0.1, 1))
    mean = spread = 0.0
    for code in range(64):
        on = np.array([code >> bit & 1 for bit in range(6)], dtype=float)
        chance = float(np.prod(np.where(on > 0, density, 1 - density)))
        out = float(((on[:2] * up / density) @ (on[2:].reshape(2, 2) * down / density) @ x)[0])
        mean, spread = mean + chance * out, spread + chance * out**2
    exact = float((up @ down @ x)[0])
    assert mean == pytest.approx(exact, abs=1e-9)
    found = factor_variance(LowRank(up, down), x, density)
    assert found == pytest.approx(spread - exact**2, rel=1e-8, abs=1e-9)


def test_one_mask_for_both_rows_that_read_is_another_law():
    """Rows (1, 0) and (1, 0), both kept or both dropped: their sum is 4 or 0, each 2 alone."""
    low = LowRank(np.ones((1, 2)), np.array([[1.0, 0.0], [1.0, 0.0]]))
    case = Case(low, np.array([1.0, 0.0]), 0.5, "factors")
    outs = [
        Fraction((a + b) * 2 * down) for a in (0, 1) for b in (0, 1) for down in (0, 2)
    ]  # up entries are 0 or 2
    exact = sum((out - 2) ** 2 for out in outs) / 8
    alike = replace(attain(case), alike=True)
    assert measure(case, alike) == pytest.approx(float(exact), rel=1e-13)
    assert float(exact) > bound(case) + 1
    with pytest.raises(AssumptionError, match="of its own"):
        THEOREM.check(case, alike)
    assert THEOREM.check(replace(case, place="update"), alike).tight


def test_the_librarys_masks_have_this_variance():
    """Two weighted adapters of 4000 equal rows through the rule `dare`, at nine sigmas."""
    rng, rows = np.random.default_rng(0), 4000
    ups, downs = rng.standard_normal((2, 1, 2)), rng.standard_normal((2, 2, 5))
    updates = [LowRank(np.tile(u, (rows, 1)), d) for u, d in zip(ups, downs, strict=True)]
    x, weights, density = rng.standard_normal(5), [0.5, 2.0], 0.3
    merged = METHODS["dare"].rule(updates, weights, Options(density=density, rank=5))
    exact = sum(w * (u @ x)[0] for w, u in zip(weights, updates, strict=True))
    laws = [update_variance(u.rows(slice(0, 1)), x, density) for u in updates]
    expected = sum(w**2 * law for w, law in zip(weights, laws, strict=True))
    outputs = merged @ x - exact
    room = 9 * float((outputs**2).std()) / math.sqrt(rows)
    assert float((outputs**2).mean()) == pytest.approx(expected, abs=room)
    assert abs(float(outputs.mean())) < 9 * math.sqrt(expected / rows)
    assert room < expected / 3


@given(seeds)
def test_rotating_the_gauge_changes_the_variance_of_factors_only(seed):
    rng = np.random.default_rng(seed)
    low = LowRank(rng.standard_normal((4, 3)), rng.standard_normal((3, 5)))
    x, turned = rng.standard_normal(5), regauge(low, orthonormal(rng, 3, 3))
    assert update_variance(turned, x, 0.3) == pytest.approx(update_variance(low, x, 0.3))
    assert factor_variance(turned, x, 0.3) != pytest.approx(factor_variance(low, x, 0.3), rel=1e-6)
    scaled = regauge(low, np.diag(rng.uniform(0.1, 10, 3)))
    assert factor_variance(scaled, x, 0.3) == pytest.approx(factor_variance(low, x, 0.3))


def test_cancelling_factors_make_the_factor_masks_arbitrarily_worse():
    low = LowRank(np.array([[1.0, 1.0]]), np.array([[1.0], [-0.999]]))
    x = np.ones(1)
    ratio = factor_variance(low, x, 0.5) / update_variance(low, x, 0.5)
    assert ratio > 1e6


def test_one_rank_at_low_density_costs_one_over_p_more():
    low = LowRank(np.ones((1, 1)), np.ones((1, 50)))
    x = np.sign(np.random.default_rng(0).standard_normal(50))
    x[:25], x[25:] = 1.0, -1.0  # the exact output is 0
    ratio = factor_variance(low, x, 0.1) / update_variance(low, x, 0.1)
    assert ratio == pytest.approx(10.0)


@given(seeds)
def test_scaling_and_rotation_of_outputs(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m = case.update.shape[0]
    turned = LowRank(3 * orthonormal(rng, m, m) @ case.update.up, case.update.down)
    if case.place == "update":
        other = replace(case, update=turned)
        assert bound(other) == pytest.approx(9 * bound(case), rel=1e-9, abs=room(other))
    louder = replace(case, query=2 * case.query)
    assert bound(louder) == pytest.approx(4 * bound(case), rel=1e-9, abs=room(louder))


def test_keeping_everything_costs_nothing():
    case = replace(drawn(1), density=1.0)
    assert bound(case) == 0.0
    assert measure(case, attain(case)) <= room(case)


def test_masks_destroy_low_rank():
    rng = np.random.default_rng(2)
    low = LowRank(rng.standard_normal((40, 2)), rng.standard_normal((2, 40)))
    masked = low.dense() * (rng.random((40, 40)) < 0.3)
    assert rank(LowRank(masked, np.eye(40)), 1e-9) > 30


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, law = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, law)
    assert abs(THEOREM.judge(case, law).slack) > 0.1
