"""LowRank behaves like the matrix that it stands for."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, sides

from loratheory.lowrank import LowRank, gaussian, orthonormal, regauge

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
    close(regauge(low, gauge).dense(), low.dense(), 10)


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
