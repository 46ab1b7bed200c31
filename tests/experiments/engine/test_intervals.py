"""Intervals by a second route: roots of the score test, and all redrawn samples one by one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from loratheory.experiments.engine import bootstrap_mean, wilson


@given(st.integers(1, 200), st.floats(0.5, 0.99), st.data())
def test_wilson_is_where_the_score_test_turns(trials, confidence, data):
    right = data.draw(st.integers(0, trials))
    low, high = wilson(right, trials, confidence=confidence)
    z, share = norm.ppf((1 + confidence) / 2), right / trials

    def score(p):
        return (share - p) ** 2 * trials - z * z * p * (1 - p)

    if right:
        assert low == pytest.approx(brentq(score, 1e-12, min(share, 1 - 1e-9)), abs=1e-9)
    if right < trials:
        assert high == pytest.approx(brentq(score, max(share, 1e-9), 1 - 1e-12), abs=1e-9)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_wilson_works_cell_by_cell():
    right, trials = np.array([[0, 3], [7, 12]]), np.array([[5, 5], [12, 12]])
    low, high = wilson(right, trials)
    for place in np.ndindex(2, 2):
        known = binomtest(int(right[place]), int(trials[place])).proportion_ci(method="wilson")
        assert (low[place], high[place]) == pytest.approx((known.low, known.high))
    assert (low[0, 0], high[1, 1]) == pytest.approx((0, 1))


def test_redrawn_means_are_those_of_all_samples_one_by_one():
    """Three bases, two sets: 27 times 4 samples, each as likely as the other."""
    values = np.array([[0.0, 1.0], [0.3, 0.6], [0.9, 0.2]])
    means = [
        np.mean([values[b, s] for b, s in product(bases, sets)])
        for bases in product(range(3), repeat=3)
        for sets in product(range(2), repeat=2)
    ]
    mean, low, high = bootstrap_mean(values, confidence=0.8, draws=40_000)
    assert mean == pytest.approx(np.mean(values))
    for found, level in ((low, 0.1), (high, 0.9)):
        assert np.mean(np.array(means) < found - 1e-9) <= level + 0.01
        assert np.mean(np.array(means) <= found + 1e-9) >= level - 0.01


def test_the_interval_of_one_seed_is_always_the_same_and_serves_all_cells():
    values = np.random.default_rng(0).random((8, 4, 3, 2))
    mean, low, high = bootstrap_mean(values)
    assert mean.shape == low.shape == high.shape == (3, 2)
    assert np.all((low < mean) & (mean < high))
    for again in (bootstrap_mean(values), bootstrap_mean(values, seed=0)):
        assert all(np.array_equal(a, b) for a, b in zip((mean, low, high), again, strict=True))
    assert not np.array_equal(bootstrap_mean(values, seed=1)[1], low)
    one = bootstrap_mean(values[:, :, 1, 1])
    assert [float(x) for x in one] == pytest.approx([x[1, 1] for x in (mean, low, high)])
