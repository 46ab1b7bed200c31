"""A LowRank is the matrix that it stands for: algebra and spectra against dense arrays."""

import math
from types import SimpleNamespace

import array_api_strict
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, sides

from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    from_dense,
    gaussian,
    orthonormal,
    truncate,
    with_spectrum,
)
from loratheory.lowrank._array import frame

# LowRank behaves like the matrix that it stands for.


widths = st.integers(0, 8)  # beyond min(m, n) too


def drawn(rng, m, n, r):
    return gaussian(rng, m, n, r, 10.0 ** int(rng.integers(-6, 7)))


def close(ours, dense, scale):
    np.testing.assert_allclose(ours, dense, rtol=1e-11, atol=1e-12 * scale)


@given(sides, sides, widths, widths, st.floats(-3, 3), seeds)
def test_algebra_is_that_of_dense_matrices(m, n, r, s, factor, seed):
    rng = np.random.default_rng(seed)
    one, two = drawn(rng, m, n, r), drawn(rng, m, n, s)
    a, b = one.dense(), two.dense()
    scale = np.abs(a).sum() + np.abs(b).sum()
    close((one + two).dense(), a + b, scale)
    close((one - two).dense(), a - b, scale)
    close((-one).dense(), -a, scale)
    close((factor * one).dense(), factor * a, scale)
    close((one * np.float64(2)).dense(), 2 * a, scale)
    close((one / 4).dense(), a / 4, scale)
    close(one.T.dense(), a.T, scale)
    close(one.rows(slice(0, m // 2)).dense(), a[: m // 2], scale)
    close(one.columns(slice(n // 2, n)).dense(), a[:, n // 2 :], scale)
    assert one.inner(two) == pytest.approx((a * b).sum(), rel=1e-9, abs=1e-11 * scale**2)
    assert (one + two).width == r + s


@given(sides, sides, sides, widths, widths, seeds)
def test_products_are_those_of_dense_matrices(m, n, p, r, s, seed):
    rng = np.random.default_rng(seed)
    one, two = gaussian(rng, m, n, r), gaussian(rng, n, p, s)
    x, many, left = rng.standard_normal(n), rng.standard_normal((n, 3)), rng.standard_normal((2, m))
    close(one @ x, one.dense() @ x, 10)
    close(one @ many, one.dense() @ many, 10)
    close(left @ one, left @ one.dense(), 10)
    close((one @ two).dense(), one.dense() @ two.dense(), 100)
    assert (one @ two).width == min(r, s)


@given(sides, sides, widths, seeds)
def test_the_gauge_does_not_show(m, n, r, seed):
    rng = np.random.default_rng(seed)
    low = gaussian(rng, m, n, r)
    gauge = orthonormal(rng, r, r) * np.linspace(0.5, 2, r)
    close(low.regauged(gauge).dense(), low.dense(), 10)


def test_non_contiguous_and_narrow_types_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    low = LowRank(rng.standard_normal((8, 6))[::2, ::3], rng.standard_normal((5, 4)).T[:2, :])
    close((low + low).dense(), 2 * low.dense(), 10)
    narrow = low.map(lambda a: a.astype(ml_dtypes.bfloat16))
    assert (narrow + narrow).up.dtype == ml_dtypes.bfloat16
    tensors = low.map(lambda a: torch.asarray(a, dtype=torch.float32))
    assert (tensors @ torch.ones(5)).dtype == torch.float32


@pytest.mark.parametrize(("up", "down"), [((3, 2), (3, 4)), ((3,), (3, 4)), ((2, 2, 2), (2, 2))])
def test_factors_that_do_not_chain_are_refused(up, down):
    with pytest.raises(ValueError, match="must be") as refusal:  # past the annotations
        LowRank.__post_init__(SimpleNamespace(up=np.ones(up), down=np.ones(down)))
    assert str(up) in str(refusal.value)


def test_different_shapes_do_not_combine():
    rng = np.random.default_rng(0)
    one, two = gaussian(rng, 3, 4, 1), gaussian(rng, 4, 3, 1)
    for combine in (LowRank.__add__, LowRank.__sub__, LowRank.inner):
        with pytest.raises(ValueError, match=r"\(3, 4\) and \(4, 3\)"):
            combine(one, two)


# Spectra from the small core agree with dense linear algebra.


@given(sides, sides, st.integers(0, 8), seeds)
def test_decomposition_is_exact(m, n, r, seed):
    rng = np.random.default_rng(seed)
    low = gaussian(rng, m, n, r, 10.0 ** int(rng.integers(-6, 7)))
    left, sigma, right = low.svd()
    k = min(m, n, r)
    dense = np.linalg.svd(low.dense(), compute_uv=False)
    assert sigma.shape == (k,)
    np.testing.assert_allclose(sigma, dense[:k], rtol=1e-10, atol=1e-13 * dense[0])
    np.testing.assert_allclose(left.T @ left, np.eye(k), atol=1e-13)
    np.testing.assert_allclose(right @ right.T, np.eye(k), atol=1e-13)
    np.testing.assert_allclose((left * sigma) @ right, low.dense(), atol=1e-13 * (1 + dense[0]))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=4), seeds)
def test_norms_and_ranks_follow_from_the_spectrum(sigma, seed):
    sigma = sorted((0.0 if s < 1e-3 else s for s in sigma), reverse=True)
    low = with_spectrum(np.random.default_rng(seed), 6, 5, sigma)
    assert low.norm == pytest.approx(math.hypot(*sigma), rel=1e-10)
    assert low.spectral_norm == pytest.approx(max(sigma), rel=1e-10)
    assert low.nuclear_norm == pytest.approx(sum(sigma), rel=1e-9, abs=1e-9 * max(sigma))
    assert low.rank_at(1e-9) == sum(s > 1e-9 * max(sigma) for s in sigma)
    if max(sigma) > 0:
        p = np.array([s for s in sigma if s > 0]) / sum(sigma)
        assert low.stable_rank == pytest.approx(math.hypot(*sigma) ** 2 / max(sigma) ** 2, rel=1e-9)
        assert low.effective_rank == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-6)


@given(sides, sides, st.integers(0, 8), st.integers(0, 7), seeds)
def test_truncation_loses_exactly_the_tail(m, n, r, keep, seed):
    low = gaussian(np.random.default_rng(seed), m, n, r)
    lost = np.linalg.norm(low.dense() - truncate(low, keep).dense()) ** 2
    dense = np.linalg.svd(low.dense(), compute_uv=False)
    assert low.tail_energy(keep) == pytest.approx((dense[keep:] ** 2).sum(), abs=1e-11)
    assert lost == pytest.approx(low.tail_energy(keep), abs=1e-11)
    assert truncate(low, keep).width <= keep


@pytest.mark.parametrize("order", ["C", "F"])
def test_factors_are_overwritten_only_where_allowed(order):
    low = gaussian(np.random.default_rng(4), 30, 20, 5).map(lambda a: np.array(a, order=order))
    kept, found = low.map(np.copy), truncate(low, 2)
    np.testing.assert_array_equal(low.up, kept.up)
    np.testing.assert_array_equal(low.down, kept.down)
    np.testing.assert_array_equal(truncate(low, 2, overwrite=True).dense(), found.dense())


def test_cancelling_factors_have_no_norm():
    low = gaussian(np.random.default_rng(0), 50, 40, 3)
    assert (low - low).norm < 1e-13
    assert LowRank(np.zeros((4, 2)), np.ones((2, 3))).rank == 0
    assert LowRank(np.zeros((4, 2)), np.ones((2, 3))).stable_rank == 0
    assert gaussian(np.random.default_rng(0), 4, 3, 0).effective_rank == 0


def test_repeated_values_and_twelve_decades():
    rng = np.random.default_rng(1)
    sigma = [1.0, 1.0, 1e-6, 1e-12]
    ours = with_spectrum(rng, 30, 20, sigma).S
    np.testing.assert_allclose(ours, sigma, rtol=1e-3)


@pytest.mark.parametrize("narrow", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_narrow_types_are_computed_in_double(narrow):
    low = gaussian(np.random.default_rng(2), 20, 10, 3).map(lambda a: a.astype(narrow))
    wide = low.map(lambda a: a.astype(np.float64))
    assert low.S.dtype == np.float64
    np.testing.assert_array_equal(low.S, wide.S)


def test_torch_bfloat16_is_computed_in_double():
    low = gaussian(np.random.default_rng(2), 20, 10, 3)
    tensors = low.map(lambda a: torch.asarray(a).bfloat16())
    wide = tensors.map(lambda a: a.double().numpy())
    np.testing.assert_allclose(tensors.S.numpy(), wide.S, rtol=1e-13)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_by_position(bad):
    low = gaussian(np.random.default_rng(3), 5, 4, 2)
    low.down[1, 3] = bad
    with pytest.raises(
        NotFiniteError, match=r"down holds (nan|inf|-inf) at position \[3, 1\]|\[1, 3\]"
    ):
        _ = low.S


@given(sides, sides, seeds)
def test_dense_matrices_factor_and_come_back(m, n, seed):
    matrix = np.random.default_rng(seed).standard_normal((m, n))
    np.testing.assert_allclose(from_dense(matrix).dense(), matrix, atol=1e-13)
    np.testing.assert_allclose(
        from_dense(matrix, 1).dense(), truncate(from_dense(matrix), 1).dense()
    )


# Frames are those of a thin QR decomposition, whatever the shape.


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
