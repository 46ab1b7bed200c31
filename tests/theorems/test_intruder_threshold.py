"""intruder_threshold: by hand, by the secular equation, by sizes, both thresholds, symmetries."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError, averaging_survival
from loratheory.theorems.merging.intruder_threshold import (
    CONTROLS,
    THEOREM,
    Case,
    Sample,
    bound,
    measure,
    overlap,
    tolerance,
    top_singular_value,
    vanishing_coefficient,
)


def sample(rng, d, trials):
    """Along axes: the law of the base does not change."""
    axis = np.tile(np.eye(1, d), (trials, 1))
    return Sample(rng.standard_normal((trials, d, d)) / d**0.5, axis, axis)


def spiked(rng, d, t, trials):
    drawn = sample(rng, d, trials)
    return np.linalg.svd(drawn.bases + t * drawn.left[:, :, None] * drawn.right[:, None, :])


def test_hand_example():
    """Strength 2: overlap 3/4, value 5/2; merged by a half it is on the threshold."""
    assert overlap(2) == float(Fraction(3, 4))
    assert top_singular_value(2) == 2.5
    assert (overlap(2, 0.5), top_singular_value(2, 0.5)) == (0.0, 2.0)
    assert vanishing_coefficient(2) == 0.5
    assert vanishing_coefficient(0.3) == vanishing_coefficient(0) == 1.0


@pytest.mark.parametrize("t", [0.5, 2.0, 4.0])
def test_values_and_overlaps_at_width_256(t):
    """Three per cent above the threshold, as widths allow."""
    left, sigma, _ = spiked(np.random.default_rng(7), 256, t, 6)
    assert float(sigma[:, 0].mean()) == pytest.approx(top_singular_value(t), rel=0.03)
    found = float((left[:, 0, 0] ** 2).mean())
    assert found == pytest.approx(overlap(t), abs=0.03)


@given(st.floats(1.05, 20.0))
def test_the_laws_solve_the_secular_equation(t):
    """With g(z) = E z / (z² - s²) over the quarter circle: t g = 1, overlap -1 / (t² g')."""
    z = top_singular_value(t)
    g = (z - (z**2 - 4) ** 0.5) / 2
    slope = (1 - z / (z**2 - 4) ** 0.5) / 2
    assert t * g == pytest.approx(1.0, rel=1e-9)
    assert -1 / (t**2 * slope) == pytest.approx(overlap(t), rel=1e-6)


def test_the_spread_falls_like_the_root_of_the_width():
    """A slope with an interval: the law is asymptotic, and this is how it is approached."""
    widths = np.array([16, 48, 144])
    spreads = []
    for d in widths.tolist():
        left = spiked(np.random.default_rng(d), d, 3.0, 60)[0]
        spreads.append(float((left[:, 0, 0] ** 2).std()))
    slope = np.polyfit(np.log(widths), np.log(spreads), 1)[0]
    assert -0.75 < slope < -0.3


@given(st.integers(2, 8), st.floats(1.01, 10.0))
def test_the_mean_hides_an_intruder_up_to_strength_k(adapters, strength):
    hidden = overlap(strength, 1 / adapters) == 0
    assert hidden == (strength / adapters <= 1)
    assert hidden == (1 / adapters <= vanishing_coefficient(strength))


def test_an_intruder_and_its_edit_have_different_thresholds():
    """Mean of two: strength 1.8 is hidden, yet a margin of 3 deficits survives; and conversely."""
    assert overlap(1.8, 0.5) == 0
    assert averaging_survival.margin_needed(2, 1.0) < 3.0
    assert overlap(2.5, 0.5) > 0
    assert averaging_survival.margin_needed(2, 1.0) > 0.5


def test_the_sign_of_the_strength_does_not_matter():
    assert overlap(-3) == overlap(3)
    assert top_singular_value(-3, 0.5) == top_singular_value(1.5)


def test_rotations_of_the_sample_do_not_matter():
    rng = np.random.default_rng(0)
    case = Case(2.0, 1.0, 24)
    drawn = sample(rng, 24, 3)
    left, right = orthonormal(rng, 24, 24), orthonormal(rng, 24, 24)
    turned = Sample(left @ drawn.bases @ right, drawn.left @ left.T, drawn.right @ right)
    assert measure(case, turned) == pytest.approx(measure(case, drawn), rel=1e-9)


def test_limits():
    assert overlap(0) == overlap(1) == 0.0
    assert overlap(1e9) == pytest.approx(1.0)
    assert top_singular_value(1) == 2.0
    assert 0 < tolerance(Case(6.0, 1.0, 64)) < tolerance(Case(1.5, 1.0, 64)) == 0.25


def test_the_merged_strength_is_what_counts():
    """Strength 4 at a coefficient of 0.15 is hidden, at 0.5 it is not."""
    rng = np.random.default_rng(3)
    for coefficient in (0.15, 0.5):
        case = Case(4.0, coefficient, 64)
        assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


def test_nothing_is_said_next_to_the_threshold():
    case = Case(1.1, 1.0, 64)
    drawn = THEOREM.rival(case, np.random.default_rng(0))
    with pytest.raises(AssumptionError, match="merged strength at most"):
        THEOREM.check(case, drawn)
    clear = replace(case, strength=0.5)
    assert THEOREM.check(clear, drawn).holds
    assert bound(clear) == 0.0


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, drawn = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, drawn)
    assert THEOREM.judge(case, drawn).slack < -0.25
