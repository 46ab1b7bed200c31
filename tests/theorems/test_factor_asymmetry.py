"""factor_asymmetry: by hand, the trace formulas, exact averages, training, symmetries, limits."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, gaussian, orthonormal, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.expressiveness.factor_asymmetry import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    expected_share,
    measure,
)

sides = st.sampled_from(["down", "up"])


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case)


def test_one_direction_of_two_by_hand():
    # target diag(1, 2), inputs e1 and 3 e2: energies 1 and 36 over two inputs
    target, inputs = LowRank(np.diag([1.0, 2.0]), np.eye(2)), np.diag([1.0, 3.0])
    first, second = np.eye(2)[:, :1], np.eye(2)[:, 1:]
    for side in ("down", "up"):
        assert bound(Case(target, inputs, first, side)) == pytest.approx(18.0, rel=1e-14)
        assert bound(Case(target, inputs, second, side)) == pytest.approx(0.5, rel=1e-14)
    # along (1, 1) a frozen down sees (1, 3): it explains (1 * 1 + 0) and (3 * 6) on |(1, 3)|^2
    both = np.full((2, 1), 0.5**0.5)
    assert bound(Case(target, inputs, both, "up")) == pytest.approx((37 - 18.5) / 2, rel=1e-13)
    assert bound(Case(target, inputs, both, "down")) == pytest.approx((37 - 32.5) / 2, rel=1e-13)


@given(seeds, sides)
@settings(max_examples=15)
def test_normal_equations_in_exact_rationals(seed, side):
    """Frames along the axes keep every number rational."""
    rng = np.random.default_rng(seed)
    target = sympy.Matrix(rng.integers(-3, 4, (3, 3)))
    inputs = sympy.Matrix(rng.integers(-3, 4, (3, 5)))
    sigma = inputs * inputs.T / 5
    energy = (target * sigma * target.T).trace()
    q = sympy.eye(3)[:, :2]
    if side == "up":
        kept = (q.T * target * sigma * target.T * q).trace()
    else:
        cross = q.T * sigma * target.T
        kept = ((q.T * sigma * q).pinv() * cross * cross.T).trace()
    low = LowRank(np.array(target, float), np.eye(3))
    case = Case(low, np.array(inputs, float), np.eye(3)[:, :2], side)
    assert bound(case) == pytest.approx(float(energy - kept), rel=1e-10, abs=1e-10)


@given(seeds)
def test_bound_matches_the_trace_formulas(seed):
    case = drawn(seed)
    target = case.target.dense()
    sigma = case.inputs @ case.inputs.T / case.inputs.shape[1]
    energy, f = np.trace(target @ sigma @ target.T), case.frame
    if case.frozen == "up":
        expected = energy - np.trace(f.T @ target @ sigma @ target.T @ f)
    else:
        cross = f.T @ sigma @ target.T
        expected = energy - np.trace(np.linalg.pinv(f.T @ sigma @ f, rcond=1e-13) @ cross @ cross.T)
    assert bound(case) == pytest.approx(expected, rel=1e-6, abs=1e-9 * THEOREM.scale(case))


@given(seeds)
def test_no_trained_factor_is_better(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@given(seeds)
@settings(max_examples=20)
def test_steepest_descent_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@pytest.mark.parametrize("side", ["down", "up"])
def test_steepest_descent_arrives_at_the_loss(side):
    rng = np.random.default_rng(1)
    case = Case(gaussian(rng, 4, 4, 4), rng.standard_normal((4, 40)), orthonormal(rng, 4, 2), side)
    found = measure(case, adversary(case, rng))
    assert found == pytest.approx(bound(case), rel=1e-6)


@given(seeds)
def test_a_frozen_up_loses_its_share_on_average_whatever_the_inputs(seed):
    """The coordinate blocks of one random basis average exactly as random frames do."""
    rng = np.random.default_rng(seed)
    case = Case(gaussian(rng, 6, 5, 3), rng.standard_normal((5, 7)), np.zeros((6, 2)), "up")
    basis = orthonormal(rng, 6, 6)
    losses = [bound(replace(case, frame=basis[:, k : k + 2])) for k in (0, 2, 4)]
    assert np.mean(losses) == pytest.approx(expected_share(2, 6) * THEOREM.scale(case), rel=1e-9)


@given(seeds)
def test_with_white_inputs_a_frozen_down_loses_the_same_share(seed):
    rng = np.random.default_rng(seed)
    white = np.sqrt(6) * np.eye(6)
    case = Case(gaussian(rng, 6, 6, 4), white, np.zeros((6, 3)), "down")
    basis = orthonormal(rng, 6, 6)
    losses = [bound(replace(case, frame=basis[:, k : k + 3])) for k in (0, 3)]
    assert np.mean(losses) == pytest.approx(expected_share(3, 6) * THEOREM.scale(case), rel=1e-9)


def mean_loss(rng, target, inputs, side):
    frames = [orthonormal(rng, 60, 6) for _ in range(20)]
    return np.mean([bound(Case(target, inputs, frame, side)) for frame in frames])


@pytest.mark.parametrize(("directions", "down_wins"), [(slice(0, 8), True), (slice(52, 60), False)])
def test_training_up_wins_where_inputs_vary_most_and_loses_where_least(directions, down_wins):
    rng = np.random.default_rng(7)
    inputs = np.diag(np.sqrt(60 / np.arange(1.0, 61)))
    target = LowRank(rng.standard_normal((60, 8)), np.eye(60)[directions])
    losses = [mean_loss(rng, target, inputs, side) for side in ("down", "up")]
    energy = THEOREM.scale(Case(target, inputs, np.eye(60)[:, :1], "up"))
    assert losses[1] == pytest.approx(expected_share(6, 60) * energy, rel=0.03)
    assert (losses[0] < 0.75 * losses[1]) if down_wins else (losses[0] > 1.05 * losses[1])


@given(st.floats(0.1, 10.0), seeds)
def test_scale_rotation_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.target.shape
    inner, outer = orthonormal(rng, n, n), orthonormal(rng, m, m)
    turn = outer if case.frozen == "up" else inner
    mix = orthonormal(rng, case.frame.shape[1], case.frame.shape[1])
    target = LowRank(factor * outer @ case.target.up, case.target.down @ inner.T)
    other = Case(target, inner @ case.inputs, turn @ case.frame @ mix, case.frozen)
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-8, abs=room(other))
    best = attain(case)
    gauge = orthonormal(rng, best.width, best.width)
    again = measure(case, regauge(best, gauge))
    assert again == pytest.approx(measure(case, best), rel=1e-8, abs=room(case))


@given(seeds, sides)
def test_a_full_frame_loses_nothing(seed, side):
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, 4, 4)
    case = Case(gaussian(rng, 4, 4, 2), rng.standard_normal((4, 6)), frame, side)
    assert bound(case) <= room(case)
    assert expected_share(4, 4) == 0.0
    assert expected_share(0, 4) == 1.0


def test_wide_layers_need_no_dense_matrix():
    rng = np.random.default_rng(2)
    target, inputs = gaussian(rng, 4096, 4096, 8), rng.standard_normal((4096, 64))
    for side in ("down", "up"):
        case = Case(target, inputs, orthonormal(rng, 4096, 16), side)
        assert THEOREM.check(case, attain(case)).tight


@pytest.mark.parametrize("share", [-1, 5])
def test_frames_that_do_not_fit_are_refused(share):
    with pytest.raises(ValueError, match="give from 0 to 4"):
        expected_share(share, 4)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
