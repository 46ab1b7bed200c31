"""KnOTS and Core Space coordinates against dense stacks, without losing anything."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import knots_basis
from loratheory.adapters._entrywise import SPACES
from loratheory.lowrank import LowRank, gaussian, regauge, with_spectrum


def drawn(seed):
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 8, 3).tolist()
    return [
        gaussian(rng, m, n, int(rng.integers(0, 4)), 10.0 ** rng.integers(-3, 4)) for _ in range(k)
    ]


@given(seeds)
def test_knots_singular_values_are_those_of_the_dense_stack(seed):
    updates = drawn(seed)
    stack = np.concatenate([low.dense() for low in updates], axis=1)
    expected = np.linalg.svd(stack, compute_uv=False)
    left, sigma = knots_basis(updates)
    padded = np.zeros_like(expected)
    padded[: len(sigma)] = sigma
    np.testing.assert_allclose(padded, expected, atol=1e-10 * (1e-300 + expected[0]))
    np.testing.assert_allclose(left.T @ left, np.eye(len(sigma)), atol=1e-12)


@given(seeds)
def test_knots_coordinates_are_sigma_times_the_right_vectors(seed):
    """Row norms over all adapters are the singular values: the coordinates are S V'."""
    updates = drawn(seed)
    cores = np.concatenate([core.dense() for core in SPACES["knots"](updates).cores], axis=1)
    sigma = knots_basis(updates)[1]
    np.testing.assert_allclose(
        cores @ cores.T, np.diag(sigma**2), atol=1e-11 * (1e-300 + max(sigma, default=0) ** 2)
    )


@pytest.mark.parametrize("space", ["full", "knots", "core"])
@given(seed=seeds)
def test_no_update_loses_anything_in_any_space(space, seed):
    updates = drawn(seed)
    room = 1e-11 * sum(np.linalg.norm(low.dense()) for low in updates) + 1e-300
    coordinates = SPACES[space](updates)
    for low, core in zip(updates, coordinates.cores, strict=True):
        back = coordinates.update(core.dense())
        np.testing.assert_allclose(back.dense(), low.dense(), atol=room)


@pytest.mark.parametrize(("space", "shape"), [("knots", (4, 60)), ("core", (4, 4))])
def test_coordinates_are_as_small_as_promised(space, shape):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 50, 60, 2) for _ in range(2)]
    assert {core.shape for core in SPACES[space](updates).cores} == {shape}
    twice = [updates[0], updates[0] * 2.0]
    assert SPACES[space](twice).cores[0].shape[0] == 2


def test_the_full_space_comes_back_at_the_rank_asked_for():
    rng = np.random.default_rng(0)
    low = with_spectrum(rng, 5, 4, [3.0, 2.0, 1.0])
    back = SPACES["full"]([low]).update(low.dense(), 2)
    assert back.width == 2
    assert np.linalg.norm(back.dense() - low.dense()) == pytest.approx(1.0)
    assert SPACES["full"]([low]).update(low.dense(), 9).width == 4


def test_the_knots_basis_is_the_same_in_every_gauge_and_the_core_basis_is_not():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 9, 8, 2) for _ in range(2)]
    moved = [regauge(low, rng.standard_normal((2, 2))) for low in updates]
    seen = {}
    for space in ("knots", "core"):
        one, other = (np.abs(SPACES[space](x).left) for x in (updates, moved))
        seen[space] = np.linalg.norm(one - other)
    assert seen["knots"] < 1e-10
    assert seen["core"] > 0.1


def test_updates_of_width_zero_have_empty_coordinates():
    nothing = LowRank(np.zeros((3, 0)), np.zeros((0, 4)))
    for space in ("knots", "core"):
        coordinates = SPACES[space]([nothing, nothing])
        assert coordinates.update(coordinates.cores[0].dense()).shape == (3, 4)
