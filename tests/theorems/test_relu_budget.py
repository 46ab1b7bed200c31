"""relu_budget: by hand, in rationals, mean errors, deeper targets, by climbing, symmetries."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import depth_budget
from loratheory.theorems.expressiveness.relu_budget import (
    THEOREM,
    Case,
    Trial,
    adversary,
    attain,
    bound,
    measure,
    opening_biases,
    rival,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def room(case):
    return 1e-11 * THEOREM.condition(case) * THEOREM.scale(case)


def network(weights, trial, inputs):
    """Plain ReLU layers, a column an input."""
    for weight, low, bias in zip(weights, trial.updates, trial.biases, strict=True):
        inputs = np.maximum((weight + low.up @ low.down) @ inputs + bias[:, None], 0)
    return inputs


def inputs_in_ball(rng, d, radius, count=200):
    points = rng.standard_normal((d, count))
    return radius * points / np.linalg.norm(points, axis=0) * rng.random(count) ** (1 / d)


def test_hand_example():
    # two identity layers of rank 1 pay for 4 and 3 of 4, 3, 2, 1, in a ball of radius 5
    target = np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0])
    case = Case(depth_budget.Case((np.eye(4), np.eye(4)), target, rank=1), radius=5.0)
    assert bound(case) == 10.0
    assert measure(case, attain(case)) == pytest.approx(10.0, rel=1e-12)


@given(seeds)
def test_two_integer_layers_equal_their_target_exactly_in_the_ball(seed):
    """In rationals: targets two rank-one steps away, biases from entry sums instead of norms."""
    rng = np.random.default_rng(seed)
    steps = [rng.integers(-3, 4, (2, 3)).tolist() for _ in range(2)]
    one = [[Fraction(int(i == j)) for j in range(3)] for i in range(3)]
    first, second = (
        [[one[i][j] + u[i] * v[j] for j in range(3)] for i in range(3)] for u, v in steps
    )

    def times(matrix, vector):
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    def relu(vector):
        return [max(Fraction(0), x) for x in vector]

    offset = [Fraction(int(x)) for x in rng.integers(-5, 6, 3)]
    open_up = [sum(map(abs, row)) for row in first]  # the cube |x_i| <= 1 holds the unit ball
    close = [t - c for t, c in zip(offset, times(second, open_up), strict=True)]
    x = [Fraction(int(i), 7) for i in rng.integers(-7, 8, 3)]
    hidden = relu([a + b for a, b in zip(times(first, x), open_up, strict=True)])
    ours = relu([a + b for a, b in zip(times(second, hidden), close, strict=True)])
    wanted = relu([a + t for a, t in zip(times(second, times(first, x)), offset, strict=True)])
    assert ours == wanted


@given(seeds)
def test_mean_squared_error_stays_below_for_any_bias_of_the_target(seed):
    """By another road: plain NumPy layers on many inputs of the ball at once."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    trial = rival(case, rng)
    x = inputs_in_ball(rng, len(trial.input), case.radius)
    target = np.maximum(case.network.target @ x + trial.offset[:, None], 0)
    missed = network(case.network.weights, trial, x) - target
    sigma = bound(case) / case.radius
    assert np.all(np.linalg.norm(missed, axis=0) <= sigma * np.linalg.norm(x, axis=0) + room(case))
    assert np.mean(missed**2) <= sigma**2 * np.mean(x**2) + room(case) * (room(case) + bound(case))


def test_exact_when_the_rank_suffices_and_wrong_outside_the_ball():
    rng = np.random.default_rng(1)
    weights = tuple(orthonormal(rng, 6, 6) for _ in range(3))
    case = Case(depth_budget.Case(weights, orthonormal(rng, 6, 6), rank=2), radius=2.0)
    offset = rng.standard_normal(6)
    updates = attain(case).updates
    trial = Trial(
        updates, opening_biases(case.layers(updates), case.radius, offset), offset, np.zeros(6)
    )
    for size, exact in ((2.0, True), (200.0, False)):
        x = inputs_in_ball(rng, 6, size)
        wanted = np.maximum(case.network.target @ x + offset[:, None], 0)
        error = np.abs(network(weights, trial, x) - wanted).max()
        assert (error < 1e-11) == exact
        assert wanted.min() == 0.0  # the target's own ReLUs do cut


def test_a_target_of_two_layers_is_met_by_two_groups():
    """Four frozen layers, two a target layer; the first group's outputs are the second's inputs."""
    rng = np.random.default_rng(2)
    d, radius = 5, 1.0
    x = wanted = inputs_in_ball(rng, d, radius)
    for _ in range(2):
        weights = tuple(orthonormal(rng, d, d) for _ in range(2))
        target, offset = orthonormal(rng, d, d), rng.standard_normal(d)
        case = Case(depth_budget.Case(weights, target, rank=3), radius)  # ceil(5 / 2)
        updates = attain(case).updates
        trial = Trial(
            updates, opening_biases(case.layers(updates), case.radius, offset), offset, np.zeros(d)
        )
        x = network(weights, trial, x)
        wanted = np.maximum(target @ wanted + offset[:, None], 0)
        radius += np.linalg.norm(offset)
    np.testing.assert_allclose(x, wanted, atol=1e-11)
    assert wanted.max() > 0


@given(seeds)
def test_climbing_never_goes_above(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_climbing_finds_the_bound():
    case = Case(depth_budget.Case((np.eye(3),), np.diag([9.0, 4.0, 2.0]), rank=1), radius=2.0)
    found = [measure(case, adversary(case, np.random.default_rng(s))) for s in range(6)]
    assert bound(case) == 6.0
    assert max(found) == pytest.approx(6.0, rel=1e-2)


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_and_order_of_units_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    order = rng.permutation(len(case.network.target))
    weights = (*case.network.weights[:-1], factor * case.network.weights[-1][order])
    target = factor * case.network.target[order]
    moved = depth_budget.Case(weights, target, case.network.rank)
    other = Case(moved, 2 * case.radius)
    assert bound(other) == pytest.approx(2 * factor * bound(case), rel=1e-9, abs=room(other))
    assert THEOREM.check(other, attain(other)).tight


@given(seeds)
def test_nothing_spent_errs_by_the_whole_distance_and_the_origin_by_nothing(seed):
    case = drawn(seed)
    idle = Case(replace(case.network, rank=0), case.radius)
    error = case.radius * np.linalg.norm(case.network.target - case.network.product, 2)
    assert measure(idle, attain(idle)) == pytest.approx(error, rel=1e-9, abs=room(case))
    best = attain(case)
    assert measure(case, replace(best, input=0 * best.input)) <= room(case)
