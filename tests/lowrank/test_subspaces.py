"""Subspaces and their angles, against SciPy and by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from strategies import seeds

from loratheory.lowrank import (
    column_space,
    gaussian,
    largest_cosine,
    orthonormal,
    principal_angles,
    project,
    row_space,
    subspaces_at,
    with_spectrum,
)


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
    rows, columns = row_space(low), column_space(low)
    assert rows.shape == (5, r)
    assert columns.shape == (6, r)
    np.testing.assert_allclose(low.dense() @ project(np.eye(5), rows), low.dense(), atol=1e-12)
    np.testing.assert_allclose(project(low.dense(), columns), low.dense(), atol=1e-12)


def test_strong_directions_come_first_and_weak_ones_can_be_dropped():
    low = with_spectrum(np.random.default_rng(0), 8, 8, [4.0, 1.0, 1e-9])
    assert row_space(low).shape[1] == 3
    assert row_space(low, 1e-6).shape[1] == 2
    assert np.linalg.norm(low.dense() @ row_space(low)[:, 0]) == pytest.approx(4.0)


def test_empty_spaces_meet_nothing():
    p = orthonormal(np.random.default_rng(0), 4, 0)
    assert principal_angles(p, orthonormal(np.random.default_rng(0), 4, 2)).shape == (0,)
    assert largest_cosine(p, p) == 0


def test_too_many_columns_are_refused():
    with pytest.raises(ValueError, match="5 orthonormal columns do not fit"):
        orthonormal(np.random.default_rng(0), 4, 5)
    with pytest.raises(ValueError, match="negative"):
        with_spectrum(np.random.default_rng(0), 4, 4, [1.0, -1.0])
