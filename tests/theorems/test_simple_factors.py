"""simple_factors: the identity plus low rank splits, and with it every invertible network."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import LowRank, gaussian
from loratheory.theorems.expressiveness._steering import chain, factor_route

CORES = {
    "nothing": np.zeros((3, 3)),
    "nilpotent": np.eye(3, k=1),
    "a quarter turn": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    "a reflection": np.diag([-1.0, 1.0, 1.0]),
    "an exchange": np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]),
}


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_identity_plus_low_rank_splits_whatever_its_core(core, rank):
    """`1 + down @ up` is the core; where it is singular, so is the matrix."""
    rng = np.random.default_rng(0)
    up = rng.standard_normal((5, 3))
    down = (CORES[core] - np.eye(3)) @ np.linalg.pinv(up)
    steps = chain(LowRank(up, down), -(-3 // rank), rank)
    product = reduce(lambda done, step: done + step.dense() @ done, steps, np.eye(5))
    assert max(step.width for step in steps) <= rank
    np.testing.assert_allclose(product, np.eye(5) + up @ down, atol=1e-12)


@given(seeds)
@settings(max_examples=25)
def test_a_network_of_invertible_layers_gains_any_low_rank_part(seed):
    rng = np.random.default_rng(seed)
    d, layers, rank = int(rng.integers(2, 7)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    weights = tuple(np.eye(d) + 0.2 * rng.standard_normal((d, d)) / d for _ in range(layers))
    paid = gaussian(rng, d, d, min(d, layers * rank), 1.0)
    updates = factor_route(weights, paid, rank)
    assert max(update.width for update in updates) <= rank
    adapted = [w + u.dense() for w, u in zip(weights, updates, strict=True)]
    wanted = reduce(lambda done, w: w @ done, weights) + paid.dense()
    assert np.allclose(reduce(lambda done, w: w @ done, adapted), wanted, atol=1e-9)
