"""factor-mean and factor-linear: what they lose, cross terms, and how the gauge moves them."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, MergeError, Options
from loratheory.lowrank import LowRank, gaussian, regauge


def drawn(seed):
    rng = np.random.default_rng(seed)
    m, n, r, k = rng.integers(1, 5, 4).tolist()
    return [gaussian(rng, m, n, r) for _ in range(k)], rng.standard_normal(k).tolist(), rng


@given(seeds)
def test_factor_mean_misses_the_mean_by_the_factors_covariance(seed):
    """The mean of products less the product of means, from centred factors."""
    updates, _, _ = drawn(seed)
    ups, downs = np.stack([x.up for x in updates]), np.stack([x.down for x in updates])
    covariance = np.mean((ups - ups.mean(0)) @ (downs - downs.mean(0)), axis=0)
    merged = METHODS["factor-mean"].rule(updates, [1.0] * len(updates), Options()).dense()
    np.testing.assert_allclose(np.mean(ups @ downs, axis=0) - merged, covariance, atol=1e-12)


@given(seeds)
def test_factor_linear_is_the_weighted_sum_plus_cross_terms(seed):
    updates, weights, _ = drawn(seed)
    expected = sum(
        np.sqrt(abs(v * w)) * np.sign(w) * (x.up @ y.down)
        for x, v in zip(updates, weights, strict=True)
        for y, w in zip(updates, weights, strict=True)
    )
    merged = METHODS["factor-linear"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "factor"), [("factor-mean", 1.0), ("factor-linear", 9.0)])
def test_three_copies_by_hand(name, factor):
    low = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 1.0]]))
    merged = METHODS[name].rule([low] * 3, [1.0] * 3, Options()).dense()
    np.testing.assert_allclose(merged, factor * low.dense(), rtol=1e-14)


@pytest.mark.parametrize("name", ["factor-mean", "factor-linear"])
def test_turning_the_factors_of_one_adapter_moves_the_merge_by_order_one(name):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 20, 20, 4) for _ in range(2)]
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    moved = [regauge(updates[0], turn), updates[1]]
    np.testing.assert_allclose(moved[0].dense(), updates[0].dense(), atol=1e-13)
    one, other = (METHODS[name].rule(x, [1.0, 1.0], Options()).dense() for x in (updates, moved))
    assert np.linalg.norm(one - other) > 0.3 * np.linalg.norm(one)


def test_different_ranks_are_refused_and_width_zero_counts_as_zero():
    rng = np.random.default_rng(1)
    wide, thin, none = (gaussian(rng, 3, 3, r) for r in (2, 1, 0))
    with pytest.raises(MergeError, match=r"layer\.q has factors of inner sizes \[1, 2\]"):
        METHODS["factor-mean"].rule([wide, thin], [1.0, 1.0], Options("layer.q"))
    merged = METHODS["factor-mean"].rule([wide, none], [1.0, 1.0], Options()).dense()
    np.testing.assert_allclose(merged, wide.dense() / 4, atol=1e-14)
