"""Frames are those of a thin QR decomposition, whatever the shape."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank._frames import frame

sides = st.integers(0, 7)


@given(sides, sides, seeds)
def test_frame_times_triangle_is_the_matrix(m, r, seed):
    matrix = np.random.default_rng(seed).standard_normal((m, r))
    found, k = frame(matrix), min(m, r)
    assert found.triangle.shape == (k, r)
    q = found.times(np.eye(k))
    np.testing.assert_allclose(q @ found.triangle, matrix, atol=1e-13)
    np.testing.assert_allclose(q.T @ q, np.eye(k), atol=1e-13)
    np.testing.assert_allclose(found.triangle, np.triu(found.triangle))


@pytest.mark.parametrize("convert", [torch.asarray, array_api_strict.asarray])
def test_other_libraries_agree(convert):
    matrix = np.random.default_rng(0).standard_normal((7, 3))
    here, there = frame(matrix), frame(convert(matrix))
    product = np.asarray(there.times(there.triangle))
    np.testing.assert_allclose(product, here.times(here.triangle), atol=1e-13)
    np.testing.assert_allclose(
        np.abs(np.asarray(there.triangle)), np.abs(here.triangle), atol=1e-13
    )


def test_the_input_is_left_as_it_was():
    matrix = np.asfortranarray(np.random.default_rng(1).standard_normal((6, 3)))
    before = matrix.copy()
    frame(matrix).times(np.eye(3))
    np.testing.assert_array_equal(matrix, before)
