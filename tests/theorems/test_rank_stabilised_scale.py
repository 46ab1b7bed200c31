"""rank_stabilised_scale: by hand, symbolically, real first steps, slopes in the rank, limits."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.expressiveness.rank_stabilised_scale import (
    THEOREM,
    Case,
    attain,
    bound,
    first_step,
    measure,
    stepped,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_rank_two_by_hand():
    # |x|^2 = 25, variance 1/4, scale 1/2: length 25 chi / 16; mean square (25/16)^2 8, |g|^2 = 4
    case = Case(np.array([3.0, 4.0]), np.array([0.0, 2.0]), 2, 0.5, 1.0, 0.5)
    assert bound(case) == pytest.approx((25 / 16) ** 2 * 8 * 4, rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx((25 / 16) ** 2 * 8 * 4, rel=1e-13)


def test_moments_of_the_squared_length_symbolically():
    """From the chi-squared density, for every rank at once."""
    r, z = sympy.symbols("r z", positive=True)
    density = z ** (r / 2 - 1) * sympy.exp(-z / 2) / (2 ** (r / 2) * sympy.gamma(r / 2))
    for power, expected in ((1, r), (2, r * (r + 2))):
        moment = sympy.integrate(z**power * density, (z, 0, sympy.oo), conds="none")
        assert sympy.simplify(sympy.gammasimp(moment) - expected) == 0


@given(seeds)
def test_the_step_is_that_of_the_gradient(seed):
    """Finite differences of a real loss at up = 0, then one step of plain descent."""
    rng = np.random.default_rng(seed)
    down, query, wanted = rng.standard_normal((2, 3)), rng.standard_normal(3), np.ones(2)

    def loss(up):
        return float(((0.7 * up @ (down @ query) - wanted) ** 2).sum())

    slope = np.zeros((2, 2))
    for i, j in np.ndindex(2, 2):
        nudge = np.zeros((2, 2))
        nudge[i, j] = 1e-4
        slope[i, j] = (loss(nudge) - loss(-nudge)) / 2e-4
    case = Case(query, -2 * wanted, 2, 0.7, 0.3, 1.0)
    found = stepped(case, down)
    np.testing.assert_allclose(found.up, -0.3 * 0.7 * slope, rtol=1e-6, atol=1e-9)
    assert (
        loss(found.up / 0.7) < loss(np.zeros((2, 2)))
        or 0.21 * (down @ query) @ (down @ query) * 0.7 > 1
    )


@pytest.mark.parametrize("rank", [1, 4, 64])
def test_real_first_steps_have_that_mean_square(rank):
    rng, trials = np.random.default_rng(rank), 3000
    case = Case(rng.standard_normal(6), rng.standard_normal(3), rank, 0.5, 0.2, 0.4)
    downs = 0.4 * rng.standard_normal((trials, rank, 6))
    moves = np.stack([stepped(case, down) @ case.query for down in downs])
    squares = (moves**2).sum(axis=1)
    assert abs(squares.mean() - bound(case)) <= 6 * squares.std() / trials**0.5
    lengths = np.sqrt(squares)
    unit = 0.2 * 0.4**2 * (case.query @ case.query) * np.linalg.norm(case.gradient)
    mean = unit * first_step(rank, 0.5, 0)
    assert abs(lengths.mean() - mean) <= 6 * lengths.std() / trials**0.5
    assert moves.mean(axis=0) @ case.gradient < 0  # downhill


@pytest.mark.parametrize(("power", "slope"), [(0.0, 1.0), (0.5, 0.0), (1.0, -1.0)])
def test_the_slope_in_the_rank_decides_for_one_half(power, slope):
    rng, ranks = np.random.default_rng(9), np.array([4, 16, 64, 256])
    query, found = rng.standard_normal(32), []
    for rank in ranks.tolist():
        down = rng.standard_normal((200, rank, 32)) / 32**0.5
        found.append(((down @ query) ** 2).sum(axis=1).mean() * 16**2 * rank ** (-2 * power))
    fitted = np.polyfit(np.log(ranks), np.log(found), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)
    laws = [first_step(rank, 16, power) for rank in ranks.tolist()]
    assert np.polyfit(np.log(ranks), np.log(laws), 1)[0] == pytest.approx(slope, abs=1e-12)


@given(st.integers(1, 999), st.floats(0.1, 64.0))
def test_the_stabilised_step_does_not_know_the_rank(rank, coefficient):
    assert first_step(rank, coefficient) == pytest.approx(coefficient**2, rel=1e-12)
    assert first_step(rank, coefficient, 1) == pytest.approx(coefficient**2 / rank, rel=1e-12)
    assert first_step(1) == 1.0


@given(seeds)
def test_every_rule_of_the_same_moments_agrees(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).tight


@given(seeds)
def test_rotation_does_not_matter_and_scale_comes_out(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    turn = orthonormal(rng, *[case.query.shape[0]] * 2)
    other = replace(case, query=2 * turn @ case.query, gradient=3 * case.gradient)
    assert bound(other) == pytest.approx(16 * 9 * bound(case), rel=1e-9)
    assert measure(other, attain(other)) == pytest.approx(16 * 9 * bound(case), rel=1e-9)


@given(seeds)
def test_the_spread_around_the_mean_vanishes_with_the_rank(seed):
    case = drawn(seed)
    for rank in (1, 10, 10**6):
        here = replace(case, rank=rank, strength=rank**-0.5)
        unit = replace(case, rank=1, strength=1.0)
        assert bound(here) / (bound(unit) / 3) == pytest.approx(1 + 2 / rank, rel=1e-9)


def test_a_sign_step_is_rank_free_at_the_usual_scale():
    """What the law does not say: Adam's first step grows as scale times rank."""
    rng = np.random.default_rng(1)
    query, lengths = rng.standard_normal(64), []
    for rank in (8, 512):
        down = rng.standard_normal((rank, 64)) / 8
        first = LowRank(np.sign(down @ query)[None, :] / rank, down)
        lengths.append(float((first @ query)[0]))
    assert lengths[1] == pytest.approx(lengths[0], rel=0.6)
    assert math.isclose(lengths[1], np.linalg.norm(query) / 8 * (2 / math.pi) ** 0.5, rel_tol=0.2)


def test_no_rank_is_refused():
    with pytest.raises(ValueError, match="give a rank of at least 1"):
        first_step(0)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
    assert not THEOREM.judge(*control.example()).holds
