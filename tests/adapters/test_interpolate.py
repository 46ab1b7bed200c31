"""interpolate: the identities of the interpolating merge, its price, its relatives."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, Options, interpolation_condition
from loratheory.lowrank import LowRank, gaussian, orthonormal, regauge, row_space, subspaces_at

interpolate = METHODS["interpolate"].rule


def drawn(seed):
    """Updates with independent row spaces, and weights."""
    rng = np.random.default_rng(seed)
    k, r = rng.integers(1, 4, 2).tolist()
    n, m = int(k * r + rng.integers(3, 9)), int(rng.integers(r, 9))
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, r, scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


def projector(low):
    """Onto the row space, by the dense pseudo-inverse."""
    return np.linalg.pinv(low.dense(), rcond=1e-10) @ low.dense()


@given(seeds)
def test_it_acts_as_each_adapter_on_the_row_space_of_that_adapter(seed):
    updates, weights, scale, rng = drawn(seed)
    merged, room = interpolate(updates, weights, Options()), interpolation_condition(updates)
    for low, weight in zip(updates, weights, strict=True):
        inputs = low.down.T @ rng.standard_normal((low.width, 4))
        inputs /= np.linalg.norm(inputs)
        np.testing.assert_allclose(
            merged @ inputs, weight * (low @ inputs), atol=1e-10 * scale * room**2
        )


@given(seeds)
def test_it_is_the_sum_times_the_inverse_of_the_summed_projectors(seed):
    """And no other matrix that acts so is smaller: it is zero off all row spaces."""
    updates, weights, scale, _ = drawn(seed)
    total = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    projectors = sum(projector(low) for low in updates)
    merged, room = interpolate(updates, weights, Options()), interpolation_condition(updates)
    expected = total @ np.linalg.pinv(projectors, rcond=1e-10)
    np.testing.assert_allclose(merged.dense(), expected, atol=1e-9 * scale * room**4)


@given(seeds)
def test_regmean_with_data_inside_the_row_spaces_is_the_same_merge(seed):
    """(sum D_j G_j)(sum G_j)^+ for random Gram matrices G_j supported on the row spaces."""
    updates, _, scale, rng = drawn(seed)
    grams = []
    for low in updates:
        data = row_space(low) @ (np.eye(low.width) + 0.3 * rng.random((low.width, low.width)))
        grams.append(data @ data.T)
    top = sum(low.dense() @ gram for low, gram in zip(updates, grams, strict=True))
    merged = interpolate(updates, [1.0] * len(updates), Options()).dense()
    room = np.linalg.cond(np.hstack([row_space(low) for low in updates])) ** 4
    expected = top @ np.linalg.pinv(sum(grams), rcond=1e-9)
    if room < 1e8:
        np.testing.assert_allclose(merged, expected, atol=1e-8 * scale * room)


@given(seeds)
def test_where_no_merge_fits_it_is_the_least_squares_one(seed):
    """Row spaces that must intersect, against NumPy's least squares on all basis inputs."""
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 4, 5, 2) for _ in range(3)]
    inputs = np.hstack([row_space(low) for low in updates])
    outputs = np.hstack([low @ row_space(low) for low in updates])
    expected = np.linalg.lstsq(inputs.T, outputs.T, rcond=1e-10)[0].T
    merged = interpolate(updates, [1.0] * 3, Options()).dense()
    if np.linalg.cond(inputs) < 1e4:
        np.testing.assert_allclose(merged, expected, atol=1e-6)


@given(seeds)
def test_a_ridge_is_relative_to_the_largest_eigenvalue(seed):
    updates, weights, scale, rng = drawn(seed)
    ridge = float(rng.choice([1e-3, 0.1, 1.0]))
    total = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    projectors = sum(projector(low) for low in updates)
    top = np.linalg.eigvalsh(projectors)[-1]
    expected = total @ np.linalg.inv(projectors + ridge * top * np.eye(len(projectors)))
    merged = interpolate(updates, weights, Options(ridge=ridge)).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-9 * scale / ridge)


@pytest.mark.parametrize("angle", [1e-3, 0.1, 1.0, np.pi / 2])
def test_the_condition_number_of_two_lines_at_an_angle(angle):
    """Singular values of two unit vectors: sqrt(1 ± cos)."""
    one, other = subspaces_at(np.random.default_rng(0), 6, [angle])
    pair = [LowRank(np.ones((2, 1)), one.T), LowRank(np.ones((2, 1)), other.T)]
    expected = np.sqrt((1 + np.cos(angle)) / (1 - np.cos(angle)))
    assert interpolation_condition(pair) == pytest.approx(expected, rel=1e-9)


@given(seeds)
def test_the_price_is_bounded_by_the_condition(seed):
    updates, weights, _, _ = drawn(seed)
    merged = interpolate(updates, weights, Options()).dense()
    smallest = np.linalg.svd(np.hstack([row_space(x) for x in updates]), compute_uv=False)[-1]
    parts = [abs(w) * np.linalg.norm(x.dense(), 2) for x, w in zip(updates, weights, strict=True)]
    bound = np.sqrt(len(updates)) * max(parts) / smallest
    assert np.linalg.norm(merged, 2) <= bound * (1 + 1e-9)


def test_copies_in_other_factors_are_recognised():
    rng = np.random.default_rng(0)
    low = gaussian(rng, 7, 9, 3)
    copies = [regauge(low, rng.standard_normal((3, 3))) for _ in range(3)]
    merged = interpolate(copies, [1.0] * 3, Options())
    np.testing.assert_allclose(merged.dense(), low.dense(), atol=1e-12)
    assert merged.width == 3
    assert interpolation_condition(copies) == pytest.approx(1.0)


def test_orthogonal_row_spaces_make_it_the_sum_and_zero_updates_make_it_zero():
    rng = np.random.default_rng(0)
    frame = orthonormal(rng, 8, 4)
    pair = [LowRank(rng.standard_normal((5, 2)), frame[:, i : i + 2].T) for i in (0, 2)]
    merged = interpolate(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), sum(x.dense() for x in pair), atol=1e-13)
    assert interpolate(pair, [1.0, 1.0], Options(rank=1)).width == 1
    nothing = gaussian(rng, 5, 8, 0)
    np.testing.assert_array_equal(
        interpolate([nothing], [1.0], Options()).dense(), np.zeros((5, 8))
    )
    assert interpolation_condition([nothing]) == 1.0
