"""layer_sweep: deep Gaussian networks to many digits; each layer spends its share and no more."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import from_dense, gaussian
from loratheory.theorems.expressiveness._steering import growth, layer_sweep, products_after


def product(layers):
    return reduce(lambda done, layer: layer @ done, layers)


def adapted(weights, updates):
    return [w + u.dense() for w, u in zip(weights, updates, strict=True)]


def deep(seed, d, layers, aim):
    """Gaussian layers of unit gain, and one such layer or another such network as the target."""
    rng = np.random.default_rng(seed)
    depths = layers, 1 if aim == "dense" else layers
    drawn = [[rng.standard_normal((d, d)) / d**0.5 for _ in range(depth)] for depth in depths]
    return tuple(drawn[0]), product(drawn[1])


def swept(weights, target, rank, owed=None):
    return layer_sweep(weights, from_dense(target - product(weights), owed), rank)


def relative_error(weights, updates, target):
    error = np.linalg.norm(product(adapted(weights, updates)) - target, 2)
    return error / np.linalg.norm(target, 2)


def published_route(weights, target, rank):
    """Zeng and Lee's construction: layer after layer pays for the next `rank` singular pairs."""
    right = np.linalg.svd(missing := target - product(weights))[2]
    before, updates, after = np.eye(len(target)), [], products_after(weights)
    for index, weight in enumerate(weights):
        axes = right[index * rank : (index + 1) * rank]
        wanted = np.linalg.solve(after[index], missing @ axes.T)
        update = wanted @ np.linalg.solve(before.T, axes.T).T
        before = (weight + update) @ before
        updates.append(update)
    return product([w + u for w, u in zip(weights, updates, strict=True)])


AIMS = pytest.mark.parametrize("aim", ["dense", "network"])


@AIMS
@pytest.mark.parametrize("seed", range(3))
def test_width_64_depth_16_to_eight_digits_where_the_published_route_has_none(aim, seed):
    weights, target = deep(seed, 64, 16, aim)
    updates = swept(weights, target, 4)
    assert {update.width for update in updates} == {4}
    assert relative_error(weights, updates, target) < 1e-8
    old = np.linalg.norm(published_route(weights, target, 4) - target, 2)
    assert old > (1e13 if aim == "dense" else 1e11) * np.linalg.norm(target, 2)


@AIMS
@pytest.mark.parametrize(("d", "layers", "rank"), [(8, 1, 8), (16, 4, 4), (16, 8, 2), (9, 4, 3)])
def test_smaller_networks_keep_more_digits(aim, d, layers, rank):
    weights, target = deep(7, d, layers, aim)
    assert relative_error(weights, swept(weights, target, rank), target) < 1e-10


def test_the_two_agree_where_both_are_accurate():
    weights, target = deep(3, 8, 2, "dense")
    assert np.allclose(published_route(weights, target, 4), target, atol=1e-9)
    assert relative_error(weights, swept(weights, target, 4), target) < 1e-11


def test_spare_rank_is_spread_over_the_layers_not_spent_at_once():
    """Paid in the first half, the product would decay in the second."""
    weights, target = deep(0, 32, 12, "dense")
    updates = swept(weights, target, 32)
    assert [update.width for update in updates] == [3] * 8 + [2] * 4
    assert relative_error(weights, updates, target) < 1e-8


@given(seeds)
@settings(max_examples=25)
def test_only_what_is_missing_is_paid_for(seed):
    rng = np.random.default_rng(seed)
    d, layers, rank = 7, int(rng.integers(1, 5)), int(rng.integers(1, 4))
    weights, _ = deep(seed, d, layers, "dense")
    owed = int(rng.integers(0, min(d, layers * rank) + 1))
    paid = gaussian(rng, d, d, owed, 1.0)
    goal = product(weights) + paid.dense()
    updates = layer_sweep(weights, paid, rank)
    assert sum(update.width for update in updates) == owed
    assert relative_error(weights, updates, goal) < 1e-6


def test_a_target_that_kills_an_input_early_stops_the_sweep_without_a_warning():
    """The zero map and a quarter turn of the identity: finite updates, wrong, for the caller."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    for goal in (np.zeros((2, 2)), turn):
        updates = swept((np.eye(2), np.eye(2)), goal, 1)
        assert all(np.isfinite(update.dense()).all() for update in updates)
        assert max(np.abs(update.dense()).max(initial=0) for update in updates) < 10


def test_growth_by_hand():
    """Frobenius norms of what follows, of the layer itself, and of what went before."""
    weights = (np.array([[2.0]]), np.array([[3.0]]), np.array([[5.0]]))
    idle = swept(weights, np.array([[30.0]]), 1, owed=0)
    assert growth(weights, idle) == 15 * 2 + 5 * 3 * 2 + 5 * 6
    paid = swept(weights, np.array([[60.0]]), 1)  # the first layer becomes 4
    assert growth(weights, paid) == pytest.approx(15 * 4 + 5 * 3 * 4 + 5 * 12)


def test_growth_covers_the_rounding_that_is_left():
    for seed in range(3):
        weights, target = deep(seed, 24, 8, "dense")
        updates = swept(weights, target, 3)
        error = relative_error(weights, updates, target) * np.linalg.norm(target, 2)
        assert error <= 2.0**-52 * 24 * growth(weights, updates)
