"""steering: the better of two constructions, and a condition number that belongs to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.theorems.expressiveness._steering import growth, inverses, steered


def error(weights, updates, target):
    adapted = [w + u.dense() for w, u in zip(weights, updates, strict=True)]
    return np.linalg.norm(np.linalg.multi_dot([np.eye(len(target)), *adapted[::-1]]) - target, 2)


def test_where_the_sweep_fails_simple_factors_take_over_and_so_does_their_condition():
    weights = (np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0]))
    found = steered(weights, np.zeros((4, 4)), 2)
    assert error(weights, found.updates, np.zeros((4, 4))) <= 1e-14
    assert found.condition == pytest.approx(4.0)


def test_in_a_deep_network_the_sweep_is_taken_with_its_growth_as_condition():
    rng = np.random.default_rng(5)
    weights = tuple(rng.standard_normal((10, 24, 24)) / 24**0.5)
    target = rng.standard_normal((24, 24)) / 24**0.5
    found = steered(weights, target, 3)
    product = np.linalg.multi_dot(weights[::-1])
    size = np.linalg.norm(target) + np.linalg.norm(product)
    assert found.condition == pytest.approx(1 + growth(weights, found.updates) / size)
    assert found.condition < 1e-6 * inverses(weights)
    assert error(weights, found.updates, target) < 2.0**-52 * 24 * size * found.condition


def test_condition_of_the_inverses_by_hand():
    assert inverses((np.diag([2.0, 1.0]), np.diag([3.0, 12.0]))) == pytest.approx(8.0)
    assert inverses((np.diag([2.0, 1.0]), np.zeros((2, 2)))) == pytest.approx(2.0)


def test_a_target_already_reached_is_left_alone_though_rounding_differs():
    rng = np.random.default_rng(1)
    weights = tuple(rng.standard_normal((3, 6, 6)))
    target = weights[2] @ (weights[1] @ weights[0])
    assert all(update.width == 0 for update in steered(weights, target, 2).updates)


@given(seeds)
@settings(max_examples=25)
def test_the_leading_part_of_what_is_missing_is_paid_whatever_the_rank(seed):
    rng = np.random.default_rng(seed)
    d, layers = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    rank = int(rng.integers(0, d + 1))
    weights = tuple(np.eye(d) + 0.3 * rng.standard_normal((layers, d, d)) / d)
    target = rng.standard_normal((d, d))
    product = np.linalg.multi_dot([np.eye(d), *weights[::-1]])
    left = np.append(np.linalg.svd(target - product)[1], np.zeros(d * layers + 1))
    found = steered(weights, target, rank)
    assert error(weights, found.updates, target) == pytest.approx(left[rank * layers], abs=1e-8)
