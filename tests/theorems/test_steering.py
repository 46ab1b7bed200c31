"""Steering a deep linear network: many digits, no more rank than is owed, its own condition."""

from functools import reduce

import numpy as np
import pytest
from theorems.owed import over

from loratheory.lowrank import LowRank, from_dense, gaussian
from loratheory.theorems.expressiveness._steering import (
    chain,
    factor_route,
    inverses,
    layer_sweep,
    steer,
)

CORES = {
    "nothing": np.zeros((3, 3)),
    "nilpotent": np.eye(3, k=1),
    "a quarter turn": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    "a reflection": np.diag([-1.0, 1.0, 1.0]),
    "an exchange": np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]),
}


def product(layers):
    return reduce(lambda done, layer: layer @ done, layers)


def adapted(weights, updates):
    return product([w + u.dense() for w, u in zip(weights, updates, strict=True)])


def error(weights, updates, target):
    return np.linalg.norm(adapted(weights, updates) - target, 2)


def deep(seed, d, layers, aim="dense"):
    """Gaussian layers of unit gain, and one such layer or another such network as the target."""
    rng = np.random.default_rng(seed)
    depths = layers, 1 if aim == "dense" else layers
    drawn = [[rng.standard_normal((d, d)) / d**0.5 for _ in range(depth)] for depth in depths]
    return tuple(drawn[0]), product(drawn[1])


def swept(weights, target, rank, owed=None):
    return layer_sweep(weights, from_dense(target - product(weights), owed), rank)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_identity_plus_low_rank_splits_whatever_its_core(core, rank):
    """`1 + down @ up` is the core; where it is singular, so is the matrix."""
    up = np.random.default_rng(0).standard_normal((5, 3))
    down = (CORES[core] - np.eye(3)) @ np.linalg.pinv(up)
    steps = chain(LowRank(up, down), -(-3 // rank), rank)
    assert max(step.width for step in steps) <= rank
    whole = adapted([np.eye(5)] * len(steps), steps)
    np.testing.assert_allclose(whole, np.eye(5) + up @ down, atol=1e-12)


@over
def test_a_network_of_invertible_layers_gains_any_low_rank_part(rng):
    d, layers, rank = int(rng.integers(2, 7)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    weights = tuple(np.eye(d) + 0.2 * rng.standard_normal((d, d)) / d for _ in range(layers))
    paid = gaussian(rng, d, d, min(d, layers * rank), 1.0)
    updates = factor_route(weights, paid, rank)
    assert max(update.width for update in updates) <= rank
    assert error(weights, updates, product(weights) + paid.dense()) < 1e-8


@pytest.mark.parametrize("aim", ["dense", "network"])
def test_width_64_depth_16_to_eight_digits(aim):
    weights, target = deep(0, 64, 16, aim)
    updates, size = swept(weights, target, 4), np.linalg.norm(target, 2)
    assert {update.width for update in updates} == {4}
    assert error(weights, updates, target) < 1e-8 * size


@over
def test_only_what_is_missing_is_paid_for(rng):
    d, layers, rank = 7, int(rng.integers(1, 5)), int(rng.integers(1, 4))
    weights, _ = deep(int(rng.integers(99)), d, layers)
    paid = gaussian(rng, d, d, int(rng.integers(0, min(d, layers * rank) + 1)), 1.0)
    goal, updates = product(weights) + paid.dense(), layer_sweep(weights, paid, rank)
    assert sum(update.width for update in updates) == paid.width
    assert error(weights, updates, goal) < 1e-6 * np.linalg.norm(goal, 2)


def test_where_the_sweep_fails_simple_factors_take_over_and_so_does_their_condition():
    weights, nothing = (np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0])), np.zeros((4, 4))
    found = steer(weights, nothing, 2)
    assert error(weights, found.updates, nothing) <= 1e-14
    assert found.condition == pytest.approx(4.0)
    assert inverses((np.diag([2.0, 1.0]), np.diag([3.0, 12.0]))) == pytest.approx(8.0)
    assert inverses((np.diag([2.0, 1.0]), np.zeros((2, 2)))) == pytest.approx(2.0)
