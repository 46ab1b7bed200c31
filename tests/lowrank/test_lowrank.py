"""A LowRank is the matrix that it stands for: algebra and spectra against dense arrays."""

import math
from functools import partial
from types import SimpleNamespace

import array_api_strict
import ml_dtypes
import numpy as np
import pytest
import torch

from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    from_dense,
    gaussian,
    leading_svd,
    orthonormal,
    total,
    truncate,
    with_spectrum,
)

CASES = range(20)


def drawn(seed, count=2):
    """Matrices of one small shape, widths from 0 to beyond full, over twelve decades."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 7, 2).tolist()
    widths, scale = rng.integers(0, 9, count).tolist(), 10.0 ** int(rng.integers(-6, 7))
    return [gaussian(rng, m, n, r, scale) for r in widths], scale, rng


@pytest.mark.parametrize("seed", CASES)
def test_algebra_is_that_of_dense_matrices(seed):
    (one, two), scale, rng = drawn(seed)
    a, b, (m, n) = one.dense(), two.dense(), one.shape
    factor, x, left = rng.normal(), rng.standard_normal((n, 3)), rng.standard_normal((2, m))
    gauge = orthonormal(rng, one.width, one.width) * np.linspace(0.5, 2, one.width)
    other = gaussian(rng, n, 4, two.width)
    for ours, dense in (
        ((one + two).dense(), a + b),
        ((one - two).dense(), a - b),
        ((-one).dense(), -a),
        ((factor * one).dense(), factor * a),
        ((one * np.float64(2)).dense(), 2 * a),
        ((one / 4).dense(), a / 4),
        (one.T.dense(), a.T),
        (one.rows(slice(0, m // 2)).dense(), a[: m // 2]),
        (one @ x, a @ x),
        (one @ x[:, 0], a @ x[:, 0]),
        (left @ one, left @ a),
        ((one @ other).dense(), a @ other.dense()),
        (one.regauged(gauge).dense(), a),
    ):
        np.testing.assert_allclose(ours, dense, rtol=1e-11, atol=1e-11 * scale)
    assert one.inner(two) == pytest.approx((a * b).sum(), rel=1e-9, abs=1e-11 * scale**2)
    assert (one + two).width == one.width + two.width
    assert (one @ other).width == min(one.width, other.width)


@pytest.mark.parametrize("seed", CASES)
def test_spectra_are_those_of_the_dense_matrix(seed):
    (low,), scale, rng = drawn(seed, 1)
    dense, k = low.dense(), min(*low.shape, low.width)
    sigma = np.linalg.svd(dense, compute_uv=False)
    left, values, right = low.svd()
    for found in (values, low.S, LowRank(low.up, low.down).S):
        np.testing.assert_allclose(found, sigma[:k], rtol=1e-10, atol=1e-13 * scale)
    for frames in (left.T, low.U.T, right, low.Vh):
        np.testing.assert_allclose(frames @ frames.T, np.eye(k), atol=1e-13)
    np.testing.assert_allclose((left * values) @ right, dense, atol=1e-12 * scale)
    rank = np.linalg.matrix_rank(dense)
    assert low.rank == rank == low.row_space().shape[1] == low.column_space().shape[1]
    assert low.norm == pytest.approx(np.linalg.norm(dense), rel=1e-12)
    assert low.spectral_norm == pytest.approx(sigma[0], rel=1e-12)
    share = sigma[sigma > 1e-12 * sigma[0]] / (sigma.sum() or 1.0)
    expected = math.exp(-(share * np.log(share)).sum()) if rank else 0.0
    assert low.effective_rank == pytest.approx(expected, rel=1e-6)
    stable = (sigma**2).sum() / (sigma[0] ** 2 or 1.0)
    assert low.stable_rank == pytest.approx(stable, rel=1e-9)
    keep = int(rng.integers(0, 8))
    short, tail = truncate(low, keep), (sigma[keep:] ** 2).sum()
    assert short.width <= keep
    for lost in (low.tail_energy(keep), np.linalg.norm(dense - short.dense()) ** 2):
        assert lost == pytest.approx(tail, rel=1e-9, abs=1e-22 * scale**2)
    np.testing.assert_array_equal(low.truncated(keep).up, short.up)
    np.testing.assert_allclose(from_dense(dense).dense(), dense, atol=1e-13 * scale)
    np.testing.assert_allclose(from_dense(dense, keep).dense(), short.dense(), atol=1e-12 * scale)


def test_the_spectrum_by_hand():
    low = from_dense(np.diag([3.0, 4.0, 0.0]))
    assert (low.rank, low.norm, low.spectral_norm) == (2, 5.0, 4.0)
    assert low.stable_rank == pytest.approx(25 / 16)
    assert low.tail_energy(1) == pytest.approx(9)
    assert [low.rank_at(0.8), low.rank_at(0.7)] == [1, 2]
    weak = with_spectrum(np.random.default_rng(0), 8, 8, [4.0, 1.0, 1e-9])
    assert [weak.row_space().shape[1], weak.row_space(1e-6).shape[1]] == [3, 2]
    assert np.linalg.norm(weak @ weak.row_space()[:, 0]) == pytest.approx(4.0)
    decades = with_spectrum(np.random.default_rng(1), 30, 20, [1.0, 1.0, 1e-6, 1e-12])
    np.testing.assert_allclose(decades.S, [1.0, 1.0, 1e-6, 1e-12], rtol=1e-3)


def test_cancelling_factors_have_no_norm():
    low, nothing = (
        gaussian(np.random.default_rng(0), 50, 40, 3),
        LowRank(np.zeros((4, 2)), np.ones((2, 3))),
    )
    assert (low - low).norm < 1e-13
    assert nothing.rank == nothing.stable_rank == nothing.effective_rank == 0


@pytest.mark.parametrize("seed", CASES)
def test_balanced_factors_share_the_spectrum_and_forget_the_gauge(seed):
    (low,), scale, rng = drawn(seed, 1)
    form = low.balanced()
    inner, size = form.up.T @ form.up, scale * 10
    np.testing.assert_allclose(form.dense(), low.dense(), atol=1e-12 * size)
    np.testing.assert_allclose(inner, form.down @ form.down.T, atol=1e-12 * size)
    np.testing.assert_allclose(inner, np.diag(np.diagonal(inner)), atol=1e-12 * size)
    assert form.width == low.rank
    assert np.all(np.abs(form.up).max(axis=0) == form.up.max(axis=0))
    gauge = orthonormal(rng, low.width, low.width) * rng.uniform(0.5, 2, low.width)
    again = low.regauged(gauge).balanced()
    np.testing.assert_allclose(again.up, form.up, atol=1e-5 * scale**0.5)


def test_every_kind_of_array_will_do():
    rng = np.random.default_rng(0)
    low = LowRank(rng.standard_normal((8, 6))[::2, ::3], rng.standard_normal((5, 4)).T[:2, :])
    np.testing.assert_allclose((low + low).dense(), 2 * low.dense())
    for kind in (np.float32, np.float16, ml_dtypes.bfloat16):
        narrow = low.map(lambda a, kind=kind: a.astype(kind))
        assert (narrow + narrow).up.dtype == kind
        assert narrow.S.dtype == np.float64
        np.testing.assert_array_equal(narrow.S, narrow.map(lambda a: a.astype(float)).S)
    half = low.map(lambda a: torch.asarray(a).bfloat16())
    wide = half.map(lambda a: a.double().numpy())
    np.testing.assert_allclose(half.S.numpy(), wide.S, rtol=1e-13)
    assert (half @ torch.ones(5, dtype=torch.bfloat16)).dtype == torch.bfloat16
    for move in (torch.asarray, array_api_strict.asarray):
        there = low.map(move)
        np.testing.assert_allclose(np.asarray(there.balanced().up), low.balanced().up)
        assert there.effective_rank == pytest.approx(low.effective_rank)
        np.testing.assert_allclose(np.asarray(truncate(there, 1).dense()), truncate(low, 1).dense())


@pytest.mark.parametrize("move", [np.asarray, torch.asarray, array_api_strict.asarray])
@pytest.mark.parametrize(
    "widths", [(7, 3, 2), (3, 7, 5), (4, 4, 6), (0, 3, 2), (3, 0, 2), (3, 3, 0)]
)
def test_any_shape_and_width_is_decomposed_and_truncated(widths, move):
    m, n, r = widths
    low = gaussian(np.random.default_rng(1), m, n, r)
    kept = low.map(np.copy)
    left, sigma, right = low.map(move).svd()
    product = (np.asarray(left) * np.asarray(sigma)) @ np.asarray(right)
    np.testing.assert_allclose(product, low.dense(), atol=1e-13)
    np.testing.assert_allclose(np.asarray(truncate(low.map(move), 9).dense()), product, atol=1e-13)
    np.testing.assert_array_equal(low.up, kept.up)
    np.testing.assert_array_equal(low.down, kept.down)


HARD = {  # factors that a truncation must not blow up, and by how much their product is smaller
    "steep": lambda rng: LowRank(steep(rng, 200, 10, 1e-12), steep(rng, 90, 10, 1e-12).T),
    "copies": lambda rng: total([gaussian(rng, 200, 90, 5)] * 2),
    "cancelling": lambda rng: (lambda low: low - low * (1 + 1e-13))(gaussian(rng, 200, 90, 5)),
    "scaled": lambda rng: LowRank(
        rng.standard_normal((200, 8)) * np.logspace(-60, 60, 8),
        np.logspace(60, -60, 8)[:, None] * rng.standard_normal((8, 90)),
    ),
    "zero": lambda rng: 0.0 * gaussian(rng, 200, 90, 5),
    "tiny": lambda rng: 1e-150 * gaussian(rng, 200, 90, 5),
}


def steep(rng, m, r, least):
    """Columns whose singular values fall from 1 to `least`."""
    turn = np.linalg.qr(rng.standard_normal((r, r)))[0]
    return orthonormal(rng, m, r) * np.geomspace(1, least, r) @ turn


@pytest.mark.parametrize("kind", HARD)
def test_truncation_is_as_precise_as_the_product_of_the_factors(kind):
    low = HARD[kind](np.random.default_rng(3))
    sizes = float(np.linalg.norm(low.up, axis=0) @ np.linalg.norm(low.down, axis=1))
    left, sigma, right = np.linalg.svd(low.dense(), full_matrices=False)
    for rank in (2, 20):
        best = (left[:, :rank] * sigma[:rank]) @ right[:rank]
        np.testing.assert_allclose(truncate(low, rank).dense(), best, atol=1e-14 * sizes)


@pytest.mark.parametrize("move", [np.asarray, torch.asarray, array_api_strict.asarray])
@pytest.mark.parametrize("shape", [(520, 560), (560, 520)])
def test_the_best_approximation_of_a_large_matrix_is_that_of_its_whole_decomposition(shape, move):
    """Ten directions stand out of noise; the rank cuts among them, after them, and in the noise."""
    rng = np.random.default_rng(0)
    matrix = (
        rng.standard_normal(shape)
        + 9 * with_spectrum(rng, *shape, [20.0 - i for i in range(10)]).dense()
    )
    left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    for rank in (4, 10, 13):
        best = (left[:, :rank] * sigma[:rank]) @ right[:rank]
        assert leading_svd(move(matrix), rank) is not None
        found = from_dense(move(matrix), rank).map(np.asarray)
        np.testing.assert_allclose(found.dense(), best, atol=1e-12 * sigma[0])
        np.testing.assert_allclose(
            found.up.T @ found.up, np.diag(sigma[:rank]), atol=1e-11 * sigma[0]
        )


def test_equal_singular_values_are_all_found():
    """Lanczos' method alone misses copies in a third of these matrices."""
    sigma = [*[1.0] * 3, *np.linspace(0.99, 0.1, 100)]
    for seed in range(12):
        matrix = with_spectrum(np.random.default_rng(seed), 520, 530, sigma).dense()
        np.testing.assert_allclose(from_dense(matrix, 3).S, 1)


def test_a_negative_rank_is_refused():
    low = from_dense(np.diag([3.0, 4.0]))
    for cut in (low.truncated, low.tail_energy, low.svd, partial(from_dense, low.dense())):
        with pytest.raises(ValueError, match="the rank is -1: give 0 or more"):
            cut(-1)


@pytest.mark.parametrize("rank", [0, 2, 5])
def test_a_large_matrix_without_so_many_directions_is_decomposed_whole(rank):
    matrix = with_spectrum(np.random.default_rng(1), 520, 530, [2.0, 1e-3 * 2**0.5]).dense()
    for case in (matrix, 0 * matrix):
        assert leading_svd(case, rank) is None
        np.testing.assert_allclose(
            from_dense(case, rank).dense(), case if rank else 0 * case, atol=1e-14
        )


def test_what_is_no_matrix_is_refused():
    for up, down in (((3, 2), (3, 4)), ((3,), (3, 4)), ((2, 2, 2), (2, 2))):
        with pytest.raises(ValueError, match="must be") as refusal:  # past the annotations
            LowRank.__post_init__(SimpleNamespace(up=np.ones(up), down=np.ones(down)))
        assert str(up) in str(refusal.value)
    rng = np.random.default_rng(0)
    one, two = gaussian(rng, 3, 4, 1), gaussian(rng, 4, 3, 1)
    for combine in (LowRank.__add__, LowRank.__sub__, LowRank.inner):
        with pytest.raises(ValueError, match=r"shape|dimension|align"):
            combine(one, two)
    with pytest.raises(ValueError, match="5 orthonormal columns do not fit"):
        orthonormal(rng, 4, 5)
    for bad in (math.nan, math.inf, -math.inf):
        low = gaussian(rng, 5, 4, 2)
        low.down[1, 3] = bad
        for ask in (lambda low=low: low.S, low.svd, low.balanced):
            with pytest.raises(NotFiniteError, match=rf"down holds {bad} at position \[1, 3\]"):
                ask()


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_entries_of_a_random_product_have_the_standard_deviation_that_was_asked_for(scale):
    dense = gaussian(np.random.default_rng(0), 300, 200, 7, scale).dense()
    np.testing.assert_allclose(dense.std(), scale, rtol=0.1)
