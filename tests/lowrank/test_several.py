"""_grams: norms and spectra of weighted sums, against dense matrices."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, NotFiniteError, gaussian, grams


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
