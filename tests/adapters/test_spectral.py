"""iso and tsv against dense decompositions, and what they do to spectra."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import LowRank, gaussian, orthonormal, singular_values, with_spectrum


def drawn(seed):
    """Updates in general position, with total width at most min(m, n)."""
    rng = np.random.default_rng(seed)
    k, r = rng.integers(1, 4, 2).tolist()
    m, n = (k * r + rng.integers(0, 5, 2)).tolist()
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, r, scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


@given(seeds)
def test_iso_gives_every_direction_of_the_sum_the_mean_strength(seed):
    updates, weights, scale, _ = drawn(seed)
    dense = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    left, sigma, right = np.linalg.svd(dense, full_matrices=False)
    keep = sum(low.width for low in updates)
    expected = sigma[:keep].mean() * left[:, :keep] @ right[:keep]
    merged = METHODS["iso"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-8 * scale)


def test_iso_of_orthonormal_edits_by_hand():
    """Strengths 1, 2, 3: all become 2; the published code would give 6 / 8 on rank 8."""
    rng = np.random.default_rng(0)
    left, right = orthonormal(rng, 8, 3), orthonormal(rng, 9, 3)
    edits = [LowRank(left[:, [i]] * (i + 1), right[:, [i]].T) for i in range(3)]
    merged = METHODS["iso"].rule(edits, [1.0] * 3, Options())
    np.testing.assert_allclose(singular_values(merged), [2.0] * 3)
    np.testing.assert_allclose(merged.dense(), 2 * left @ right.T, atol=1e-14)


def test_iso_ignores_directions_that_only_rounding_made():
    low = with_spectrum(np.random.default_rng(0), 7, 6, [3.0, 1.0])
    merged = METHODS["iso"].rule([low, low, low], [1.0, 1.0, -1.0], Options())
    assert merged.width == 2
    np.testing.assert_allclose(singular_values(merged), [2.0, 2.0])


def whitened(frames):
    """Nearest matrix with orthonormal columns, by the inverse root of the Gram matrix."""
    values, vectors = np.linalg.eigh(frames.T @ frames)
    return frames @ (vectors / np.sqrt(values)) @ vectors.T


@given(seeds)
def test_tsv_is_the_published_formula(seed):
    updates, weights, scale, _ = drawn(seed)
    parts = [np.linalg.svd(low.dense(), full_matrices=False) for low in updates]
    share = min(updates[0].shape) // len(updates)
    keep = [min(low.width, share) for low in updates]
    left = np.hstack([u[:, :r] for (u, _, _), r in zip(parts, keep, strict=True)])
    right = np.vstack([v[:r] for (_, _, v), r in zip(parts, keep, strict=True)])
    sigma = np.concatenate(
        [w * s[:r] for (_, s, _), w, r in zip(parts, weights, keep, strict=True)]
    )
    if max(np.linalg.cond(left), np.linalg.cond(right)) > 1e4:
        return
    expected = whitened(left) * sigma @ whitened(right.T).T
    merged = METHODS["tsv"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-7 * scale)


def test_tsv_leaves_orthogonal_adapters_alone_and_keeps_every_strength():
    rng = np.random.default_rng(0)
    left, right = orthonormal(rng, 9, 4), orthonormal(rng, 8, 4)
    pair = [LowRank(left[:, :2], right[:, :2].T), LowRank(3 * left[:, 2:], right[:, 2:].T)]
    merged = METHODS["tsv"].rule(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), sum(low.dense() for low in pair), atol=1e-14)
    mixed = [gaussian(rng, 9, 8, 2) for _ in range(2)]
    merged = METHODS["tsv"].rule(mixed, [1.0, 1.0], Options())
    before = np.sort(np.concatenate([singular_values(low) for low in mixed]))
    np.testing.assert_allclose(np.sort(singular_values(merged)), before)


@pytest.mark.parametrize("moved", [False, True])
def test_tsv_of_copies_is_the_adapter_in_whatever_factors(moved):
    low = gaussian(np.random.default_rng(0), 9, 8, 2)
    copy = LowRank(low.up @ [[2.0, 1.0], [0.0, 1.0]], [[0.5, -0.5], [0.0, 1.0]] @ low.down)
    merged = METHODS["tsv"].rule([low, copy if moved else low], [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), low.dense(), atol=1e-12)


def test_tsv_takes_each_adapters_share_of_the_smaller_side():
    rng = np.random.default_rng(0)
    pair = [with_spectrum(rng, 4, 5, [5.0, 4.0, 0.1]), with_spectrum(rng, 4, 5, [3.0, 2.0, 0.2])]
    merged = METHODS["tsv"].rule(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(singular_values(merged), [5.0, 4.0, 3.0, 2.0])
    assert METHODS["tsv"].rule(pair, [1.0, 1.0], Options(rank=1)).width == 1


@pytest.mark.parametrize("name", ["iso", "tsv"])
def test_zero_updates_merge_to_zero(name):
    rng = np.random.default_rng(0)
    for nothing in (gaussian(rng, 3, 4, 0), 0.0 * gaussian(rng, 3, 4, 2)):
        merged = METHODS[name].rule([nothing] * 2, [1.0, 1.0], Options())
        np.testing.assert_array_equal(merged.dense(), np.zeros((3, 4)))
