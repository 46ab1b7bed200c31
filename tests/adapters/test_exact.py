"""sum, mean, cat, task and svd against dense arithmetic and NumPy's SVD."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import LowRank, gaussian


def drawn(seed):
    """Updates of differing widths, some of width 0, and weights of either sign."""
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 7, 3).tolist()
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, int(rng.integers(0, 4)), scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


def dense_sum(updates, weights):
    return np.einsum("k,kmn->mn", weights, np.stack([low.up @ low.down for low in updates]))


@given(seeds)
def test_sum_cat_task_and_mean_are_the_dense_arithmetic(seed):
    updates, weights, scale, _ = drawn(seed)
    ones = [1.0] * len(updates)
    for name, used, share in (
        ("sum", ones, 1),
        ("cat", weights, 1),
        ("task", weights, 1),
        ("mean", ones, 1 / len(updates)),
    ):
        merged = METHODS[name].rule(updates, used, Options()).dense()
        np.testing.assert_allclose(merged, share * dense_sum(updates, used), atol=1e-12 * scale)


@given(seeds)
def test_svd_is_the_dense_truncation_of_the_weighted_sum(seed):
    updates, weights, scale, rng = drawn(seed)
    rank = int(rng.integers(1, 6))
    merged = METHODS["svd"].rule(updates, weights, Options(rank=rank))
    sigma = np.linalg.svd(dense_sum(updates, weights), compute_uv=False)
    lost = np.linalg.norm(dense_sum(updates, weights) - merged.dense())
    assert merged.width <= rank
    assert lost == pytest.approx(np.linalg.norm(sigma[rank:]), rel=1e-9, abs=1e-12 * scale)


def test_a_merge_within_the_rank_is_left_as_it_is():
    low = LowRank(np.eye(3)[:, :2], np.eye(2, 4))
    np.testing.assert_array_equal(METHODS["svd"].rule([low], [1.0], Options(rank=2)).up, low.up)
    assert METHODS["svd"].rule([low], [1.0], Options(rank=1)).width == 1


def test_the_weighted_sum_cancels_by_hand():
    low = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 0.0]]))
    merged = METHODS["cat"].rule([low, low], [0.7, -0.2], Options()).dense()
    np.testing.assert_allclose(merged, [[1.5, 0.0], [3.0, 0.0]], atol=1e-15)
