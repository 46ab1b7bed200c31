"""Several matrices: sums, gauges, inner products, angles."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from strategies import seeds, sides

from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    gaussian,
    grams,
    largest_cosine,
    orthonormal,
    principal_angles,
    project,
    subspaces_at,
    total,
    with_spectrum,
)

# One canonical factorisation; sums that stay narrow.


@given(sides, sides, st.integers(1, 8), seeds)
def test_balanced_form_forgets_the_gauge(m, n, r, seed):
    rng = np.random.default_rng(seed)
    low = gaussian(rng, m, n, r)
    gauge = np.linalg.qr(rng.standard_normal((r, r)))[0] * rng.uniform(0.5, 2, r)
    one, two = low.balanced(), low.regauged(gauge).balanced()
    np.testing.assert_allclose(one.dense(), low.dense(), atol=1e-12)
    assert one.width == two.width == low.rank
    np.testing.assert_allclose(one.up, two.up, atol=1e-6)
    np.testing.assert_allclose(one.down, two.down, atol=1e-6)


@given(sides, sides, st.integers(1, 4), seeds)
def test_balanced_factors_share_the_spectrum(m, n, r, seed):
    form = gaussian(np.random.default_rng(seed), m, n, r).balanced()
    inner = form.up.T @ form.up
    np.testing.assert_allclose(inner, form.down @ form.down.T, atol=1e-12)
    np.testing.assert_allclose(inner, np.diag(np.diagonal(inner)), atol=1e-12)
    assert np.all(np.abs(form.up).max(axis=0) == form.up.max(axis=0))


@given(sides, sides, st.integers(1, 9), st.integers(0, 5), seeds)
def test_total_is_the_weighted_sum_and_never_wider_than_the_matrix(m, n, k, r, seed):
    rng = np.random.default_rng(seed)
    updates, weights = [gaussian(rng, m, n, r) for _ in range(k)], rng.normal(size=k).tolist()
    dense = sum(w * u.dense() for w, u in zip(weights, updates, strict=True))
    ours = total(updates, weights)
    np.testing.assert_allclose(ours.dense(), dense, atol=1e-11)
    assert ours.width <= max(min(m, n), r)


def test_narrow_sums_only_concatenate():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 40, 30, 3) for _ in range(5)]
    assert total(updates).width == 15
    np.testing.assert_array_equal(total(updates).up[:, :3], updates[0].up)


@pytest.mark.parametrize("count", [1, 2])
def test_a_sum_has_arrays_of_its_own(count):
    updates = [gaussian(np.random.default_rng(0), 40, 30, 3)] * count
    for weights in (None, [2.0] * count):
        found = total(updates, weights)
        assert not np.shares_memory(found.up, updates[0].up)
        assert not np.shares_memory(found.down, updates[0].down)


def test_weights_act_on_the_exact_numbers():
    """Float32 factors are widened before they are weighted."""
    low = gaussian(np.random.default_rng(0), 40, 30, 3).map(np.float32)
    found = total([low, low], [0.1, 0.2])
    np.testing.assert_array_equal(found.up[:, 3:], 0.2 * low.up.astype(np.float64))


@pytest.mark.parametrize(
    ("updates", "weights", "says"),
    [
        ([], None, "empty sum"),
        ([(3, 4), (4, 3)], None, "do not add"),
        ([(3, 4), (3, 4)], [1.0], "1 weights for 2 updates"),
    ],
)
def test_sums_that_make_no_sense_are_refused(updates, weights, says):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=says):
        total([gaussian(rng, m, n, 1) for m, n in updates], weights)


# _grams: norms and spectra of weighted sums, against dense matrices.


@given(seeds, st.integers(1, 3), st.integers(0, 3))
def test_they_are_those_of_the_dense_sum(seed, k, width):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 9, 12, width, 10.0 ** rng.integers(-3, 4)) for _ in range(k)]
    weights = rng.standard_normal(k).tolist()
    dense = sum(w * low.dense() for w, low in zip(weights, updates, strict=True))
    found, sigma = grams(updates), np.linalg.svd(dense, compute_uv=False)
    room = 1e-12 * sum((w * low.dense() ** 2).sum() for w, low in zip(weights, updates, strict=True)
                       if w > 0) + 1e-12 * (dense**2).sum()  # fmt: skip
    assert found.squared(weights) == pytest.approx((dense**2).sum(), abs=room)
    energies = found.energies(weights)
    assert len(energies) == k * width
    wide = np.zeros(9)
    wide[: min(9, k * width)] = energies[:9]
    assert np.allclose(wide, sigma**2, rtol=1e-9, atol=1e-11 * max((dense**2).sum(), 1e-300))
    assert found.tail(weights, 2) == pytest.approx((sigma[2:] ** 2).sum(), rel=1e-6, abs=1e-9 *
                                                   (dense**2).sum())  # fmt: skip


def test_beyond_the_width_nothing_is_left_and_weight_zero_has_no_width():
    updates = [gaussian(np.random.default_rng(0), 9, 12, 2) for _ in range(3)]
    found = grams(updates)
    assert found.tail([1, 1, 0], 4) == 0.0
    assert found.tail([1, 1, 1e-9], 4) >= 0.0
    assert found.squared([0, 0, 0]) == 0.0


def test_they_stay_in_the_library_they_came_in():
    xp = array_api_strict
    low = gaussian(np.random.default_rng(0), 5, 6, 2)
    strict = grams([low.map(xp.asarray)])
    assert strict.squared([2]) == pytest.approx(grams([low]).squared([2]))
    assert type(strict.energies([1])) is type(xp.asarray(1.0))
    with pytest.raises(NotFiniteError, match="up holds nan"):
        grams([LowRank(np.full((2, 1), np.nan), np.ones((1, 2)))])


# Subspaces and their angles, against SciPy and by construction.


@given(st.lists(st.floats(1e-12, np.pi / 2), min_size=1, max_size=4), seeds)
def test_angles_come_back_as_they_were_made(angles, seed):
    p, q = subspaces_at(np.random.default_rng(seed), 9, angles)
    np.testing.assert_allclose(principal_angles(p, q), sorted(angles), atol=1e-14, rtol=1e-7)
    np.testing.assert_allclose(p.T @ p, np.eye(len(angles)), atol=1e-14)
    assert largest_cosine(p, q) == pytest.approx(np.cos(min(angles)), abs=1e-14)


@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_angles_agree_with_scipy(a, b, seed):
    rng = np.random.default_rng(seed)
    p, q = orthonormal(rng, 7, a), orthonormal(rng, 7, b)
    np.testing.assert_allclose(principal_angles(p, q), subspace_angles(p, q)[::-1], atol=1e-7)


@given(st.integers(0, 4), seeds)
def test_spaces_are_those_of_the_matrix(r, seed):
    low = gaussian(np.random.default_rng(seed), 6, 5, r)
    rows, columns = low.row_space(), low.column_space()
    assert rows.shape == (5, r)
    assert columns.shape == (6, r)
    np.testing.assert_allclose(low.dense() @ project(np.eye(5), rows), low.dense(), atol=1e-12)
    np.testing.assert_allclose(project(low.dense(), columns), low.dense(), atol=1e-12)


def test_strong_directions_come_first_and_weak_ones_can_be_dropped():
    low = with_spectrum(np.random.default_rng(0), 8, 8, [4.0, 1.0, 1e-9])
    assert low.row_space().shape[1] == 3
    assert low.row_space(1e-6).shape[1] == 2
    assert np.linalg.norm(low.dense() @ low.row_space()[:, 0]) == pytest.approx(4.0)


def test_empty_spaces_meet_nothing():
    p = orthonormal(np.random.default_rng(0), 4, 0)
    assert principal_angles(p, orthonormal(np.random.default_rng(0), 4, 2)).shape == (0,)
    assert largest_cosine(p, p) == 0


def test_too_many_columns_are_refused():
    with pytest.raises(ValueError, match="5 orthonormal columns do not fit"):
        orthonormal(np.random.default_rng(0), 4, 5)
    with pytest.raises(ValueError, match="negative"):
        with_spectrum(np.random.default_rng(0), 4, 4, [1.0, -1.0])
