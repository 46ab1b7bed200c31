"""_gaussian: noise is found to be noise, and what is planted in it is counted."""

import numpy as np
import pytest
from scipy.integrate import quad

from loratheory.pretrained.check import noise
from loratheory.pretrained.check._weights import _distance


@pytest.mark.parametrize("shape", [(300, 300), (200, 600), (600, 200)])
def test_noise_is_noise_at_any_size(shape):
    found = noise(1e3 * np.random.default_rng(0).standard_normal(shape))
    assert found.spikes == 0
    assert found.energy == 0
    assert found.distance < 0.02
    assert found.kurtosis == pytest.approx(3, abs=0.1)
    assert found.top == pytest.approx(found.edge, rel=0.03)
    assert found.spread == pytest.approx(1e3, rel=0.01)


def test_what_is_planted_is_counted_with_its_energy():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((200, 400))
    left, right = np.linalg.qr(rng.standard_normal((200, 2)))[0], np.linalg.qr(
        rng.standard_normal((400, 2)))[0]  # fmt: skip
    found = noise(matrix + 60 * left @ right.T)
    assert found.spikes == 2
    assert found.energy == pytest.approx(2 * 60**2 / (2 * 60**2 + 200 * 400), abs=0.02)
    assert noise(rng.uniform(-1, 1, (50, 50))).kurtosis == pytest.approx(1.8, abs=0.1)


def test_known_singular_values_are_taken():
    matrix = np.random.default_rng(0).standard_normal((40, 90))
    both = noise(matrix), noise(matrix, np.linalg.svd(matrix, compute_uv=False))
    assert np.allclose(*([*vars(found).values()] for found in both))


@pytest.mark.parametrize("ratio", [0.25, 0.6])
def test_quantiles_of_the_law_are_at_no_distance(ratio):
    """The law by quadrature of its density; the quantiles by bisection on a fine table."""
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def density(x):
        return ((high - x) * (x - low)) ** 0.5 / (2 * np.pi * ratio * x)

    points = np.linspace(low, high, 400)
    share = [quad(density, low, x)[0] for x in points]
    assert share[-1] == pytest.approx(1, abs=1e-6)
    middles = (np.arange(100) + 0.5) / 100
    values = np.interp(middles, share, points)
    assert _distance(values, low, high, ratio) == pytest.approx(0.005, abs=1e-3)
    assert _distance(values + 0.3 * (high - low), low, high, ratio) > 0.2
