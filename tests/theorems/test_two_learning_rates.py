"""two_learning_rates: by hand, in exact rationals, slopes in the width, symmetries, limits."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.theorems import AssumptionError
from loratheory.theorems.expressiveness.two_learning_rates import (
    THEOREM,
    Case,
    Training,
    attain,
    bound,
    measure,
    moved_by,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_two_steps_by_hand():
    # a.x = 3 - 2 = 1, |x|_1 = 5: after two steps b = 2 / 2, a.x = 1 + 5 / 10; moved 3/2
    case = Case(np.ones((1, 2)), np.array([3.0, -2.0]), 0.5, 0.1, steps=2)
    assert bound(case) == pytest.approx(1.5, rel=1e-15)
    assert measure(case, attain(case)) == pytest.approx(1.5, rel=1e-15)


def sign(x):
    return (x > 0) - (x < 0)


@given(seeds)
def test_training_in_exact_rationals(seed):
    """Scalar loops over fractions: no array, no closed form."""
    rng = np.random.default_rng(seed)
    n, r, steps = rng.integers(1, 4, 3).tolist()
    x = [Fraction(v) for v in rng.integers(-4, 5, n).tolist()]
    a = [[Fraction(2 * v + 1, 7) for v in rng.integers(-9, 9, n).tolist()] for _ in range(r)]
    b, rates = [Fraction(0)] * r, (Fraction(1, 3), Fraction(1, 8))
    start = [sum(p * q for p, q in zip(row, x, strict=True)) for row in a]
    case = Case(np.array(a, float), np.array(x, float), float(rates[0]), float(rates[1]), steps)
    if 0 in start:  # no row may be orthogonal to the input
        return
    for _ in range(steps):
        reads = [sum(p * q for p, q in zip(row, x, strict=True)) for row in a]
        a = [
            [p + rates[1] * sign(b[k] * q) for p, q in zip(row, x, strict=True)]
            for k, row in enumerate(a)
        ]
        b = [value + rates[0] * sign(read) for value, read in zip(b, reads, strict=True)]
    final = sum(b[k] * sum(p * q for p, q in zip(a[k], x, strict=True)) for k in range(r))
    assert bound(case) == pytest.approx(float(final), rel=1e-12)


@given(seeds)
def test_only_the_sign_of_the_slope_counts(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).tight


def moves(ratio_power, widths):
    """Mean parts of the move at rates 1 and ``n**-ratio_power`` over real draws."""
    rng, parts = np.random.default_rng(4), []
    for n in widths:
        query, rate = rng.choice([-1.0, 1.0], n), float(n**-ratio_power)
        rows = rng.standard_normal((400, n)) / n**0.5
        whole, still = (
            np.mean([bound(Case(row[None], query, 1.0, down, 3)) for row in rows])
            for down in (rate, 0.0)
        )
        parts.append((still, whole - still))
    return np.array(parts)


@pytest.mark.parametrize(("power", "slope"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.5, -0.5)])
def test_the_slope_in_the_width_is_flat_only_at_ratio_n(power, slope):
    widths = [16, 64, 256]
    parts = moves(power, widths)
    up, down = (np.polyfit(np.log(widths), np.log(part), 1)[0] for part in parts.T)
    assert up == pytest.approx(0.0, abs=0.08)
    assert down == pytest.approx(slope, abs=1e-9)
    expected = [moved_by(3, n, 1, 1.0, n**-power) for n in widths]
    np.testing.assert_allclose(parts[:, 1], [e[1] for e in expected], rtol=1e-9)
    np.testing.assert_allclose(parts[:, 0], [e[0] for e in expected], rtol=0.2)


def test_with_one_rate_for_both_one_factor_does_all_the_work():
    small, large = moved_by(10, 4096, 16, 1e-3, 1e-3), moved_by(10, 4096, 16, 1.0, 1 / 4096)
    assert small[1] / small[0] > 40
    assert large[1] / large[0] == pytest.approx(9 / (2 / np.pi) ** 0.5)


@given(seeds)
def test_signs_order_and_rows_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    flips = rng.choice([-1.0, 1.0], case.query.shape[0])
    order = rng.permutation(case.query.shape[0])
    turned = (case.down * flips)[:, order]
    rows = rng.choice([-1.0, 1.0], (len(case.down), 1))
    other = replace(case, down=rows * turned, query=(case.query * flips)[order])
    assert bound(other) == pytest.approx(bound(case), rel=1e-10)
    louder = replace(case, query=5 * case.query)
    assert measure(louder, attain(louder)) == pytest.approx(5 * bound(case), rel=1e-10)


@given(seeds)
def test_no_step_moves_nothing_and_one_step_only_up(seed):
    case = drawn(seed)
    assert bound(replace(case, steps=0)) == 0.0
    one = replace(case, steps=1)
    assert bound(one) == pytest.approx(bound(replace(one, down_rate=0.0)), rel=1e-15)
    expected = case.up_rate * np.abs(case.down @ case.query).sum()
    assert bound(one) == pytest.approx(expected, rel=1e-12)


def test_a_run_of_another_length_is_refused():
    case = replace(drawn(1), steps=4)
    with pytest.raises(AssumptionError, match="one direction"):
        THEOREM.check(case, Training((-1.0,) * 3, 0.0, np.zeros(len(case.down))))


def test_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="give at least one of each"):
        moved_by(0, 4, 1, 1, 1)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
