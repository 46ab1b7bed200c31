"""Several matrices: sums, inner products, angles."""

import array_api_strict
import numpy as np
import pytest
from scipy.linalg import subspace_angles

from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    gaussian,
    in_common_frames,
    largest_cosine,
    orthonormal,
    principal_angles,
    project,
    subspaces_at,
    total,
)

CASES = range(15)


def drawn(seed):
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 10, 3).tolist()
    widths, scales = rng.integers(0, 5, k).tolist(), 10.0 ** rng.integers(-3, 4, k)
    updates = [gaussian(rng, m, n, r, s) for r, s in zip(widths, scales, strict=True)]
    weights = rng.standard_normal(k).tolist()
    dense = np.einsum("k,kmn->mn", weights, np.stack([low.dense() for low in updates]))
    norms = [np.linalg.norm(low.up) * np.linalg.norm(low.down) for low in updates]
    size = float(np.abs(weights) @ norms)
    return updates, weights, dense, size + 1e-300


@pytest.mark.parametrize("widths", [(2, 0, 3), (5, 6), (9, 9), (0, 1), (0, 0)])
@pytest.mark.parametrize("move", [np.asarray, array_api_strict.asarray])
def test_in_common_frames_nothing_changes_but_the_length_of_the_sides(widths, move):
    rng, (m, n) = np.random.default_rng(0), (17, 11)
    updates = [gaussian(rng, m, n, r) for r in widths]
    found = in_common_frames([low.map(move) for low in updates])
    short = [low.map(np.asarray) for low in found]
    assert {low.shape for low in short} == {(min(m, sum(widths)) or m, min(n, sum(widths)) or n)}
    for low, one in zip(short, updates, strict=True):
        for other, two in zip(short, updates, strict=True):
            np.testing.assert_allclose(low.up.T @ other.up, one.up.T @ two.up, atol=1e-13)
            np.testing.assert_allclose(low.down @ other.down.T, one.down @ two.down.T, atol=1e-13)


@pytest.mark.parametrize("seed", CASES)
def test_sums_and_inner_products_are_those_of_dense_matrices(seed):
    updates, weights, dense, size = drawn(seed)
    ours = total(updates, weights)
    np.testing.assert_allclose(ours.dense(), dense, atol=1e-12 * size)
    assert ours.width <= max(min(dense.shape), *(low.width for low in updates))
    np.testing.assert_allclose(
        total(updates).dense(), sum(low.dense() for low in updates), atol=1e-9
    )


def test_narrow_sums_only_concatenate_into_arrays_of_their_own():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 40, 30, 3) for _ in range(5)]
    assert total(updates).width == 15
    np.testing.assert_array_equal(total(updates).up[:, :3], updates[0].up)
    for some in (updates[:1], updates[:2]):
        for weights in (None, [2.0] * len(some)):
            found = total(some, weights)
            assert not np.shares_memory(found.up, updates[0].up)
            assert not np.shares_memory(found.down, updates[0].down)
    low = updates[0].map(np.float32)  # widened before it is weighted
    exact = 0.2 * low.up.astype(np.float64)
    np.testing.assert_array_equal(total([low, low], [0.1, 0.2]).up[:, 3:], exact)
    half = 0.5 * updates[1].up
    np.testing.assert_array_equal(total(updates[:2], [1, 0.5]).up[:, 3:], half)
    wide = total([gaussian(rng, 6, 5, 2) for _ in range(9)])
    assert wide.width <= 5


def test_sums_that_make_no_sense_are_refused():
    rng = np.random.default_rng(0)
    one, other = gaussian(rng, 3, 4, 1), gaussian(rng, 4, 3, 1)
    for updates, weights, says in (
        ([], None, "empty sum"),
        ([one, other], None, "do not add"),
        ([one, one], [1.0], "1 weights for 2 updates"),
    ):
        with pytest.raises(ValueError, match=says):
            total(updates, weights)
    with pytest.raises(NotFiniteError, match="up holds nan"):
        in_common_frames([LowRank(np.full((2, 1), np.nan), np.ones((1, 2)))])


@pytest.mark.parametrize("seed", CASES)
def test_angles_come_back_as_they_were_made_and_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    angles = (np.pi / 2 * 10.0 ** -rng.uniform(0, 12, rng.integers(1, 4))).tolist()
    angles = [*angles, np.pi / 2 - (seed > 0) * 10.0 ** -rng.uniform(1, 12)]  # near a right angle
    p, q = subspaces_at(rng, 9, angles)
    np.testing.assert_allclose(principal_angles(p, q), sorted(angles), atol=1e-14, rtol=1e-12)
    np.testing.assert_allclose(p.T @ p, np.eye(len(angles)), atol=1e-14)
    assert largest_cosine(p, q) == pytest.approx(np.cos(min(angles)), abs=1e-14)
    p, q = (orthonormal(rng, 7, int(k)) for k in rng.integers(1, 6, 2))
    np.testing.assert_allclose(principal_angles(p, q), subspace_angles(p, q)[::-1], atol=1e-7)
    low = gaussian(rng, 6, 5, seed % 5)
    dense = low.dense()
    np.testing.assert_allclose(dense @ project(np.eye(5), low.row_space()), dense, atol=1e-12)
    np.testing.assert_allclose(project(dense, low.column_space()), dense, atol=1e-12)


def test_empty_spaces_meet_nothing():
    p = orthonormal(np.random.default_rng(0), 4, 0)
    assert principal_angles(p, orthonormal(np.random.default_rng(0), 4, 2)).shape == (0,)
    assert largest_cosine(p, p) == 0
