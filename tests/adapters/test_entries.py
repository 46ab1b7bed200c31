"""trim, drop, elect: against counts, by hand, and their laws on plain arrays."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters._entrywise import added, drop, elected, trim

rng0 = np.random.default_rng(0)


@given(seeds)
def test_trim_keeps_exactly_the_largest_entries(seed):
    """Against a full argsort, over every density on a grid that floats only nearly represent."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 8, 2).tolist()
    array = rng.standard_normal((m, n)) * 10.0 ** rng.integers(-6, 7)
    kept = int(rng.integers(1, m * n + 1))
    out = trim(iter(np.array_split(array, min(m, 3))), kept / (m * n), rng0)(array)
    order = np.argsort(-np.abs(array), axis=None)
    expected = np.zeros(m * n)
    expected[order[:kept]] = array.flat[order[:kept]]
    np.testing.assert_array_equal(out.ravel(), expected)


def test_trim_keeps_all_equals_at_the_cut_and_never_nothing():
    array = np.array([[1.0, -2.0, 2.0, 0.5]])
    np.testing.assert_array_equal(trim(iter([array]), 0.25, rng0)(array), [[0, -2, 2, 0]])
    np.testing.assert_array_equal(trim(iter([array]), 0.01, rng0)(array), [[0, -2, 2, 0]])
    lone = np.array([[3.0, 1.0]])
    np.testing.assert_array_equal(trim(iter([lone]), 0.01, rng0)(lone), [[3, 0]])


def test_drop_is_unbiased_with_the_variance_of_bernoulli_masks():
    """Mean x and variance x² (1-p)/p, within five standard errors over 40,000 draws."""
    p, count = 0.3, 40_000
    out = drop(iter([]), p, np.random.default_rng(3))(np.full((count, 1), 2.0))
    assert set(np.unique(out)) == {0.0, 2.0 / p}
    deviation = 2.0 * np.sqrt((1 - p) / p)
    assert np.mean(out) == pytest.approx(2.0, abs=5 * deviation / np.sqrt(count))
    assert np.std(out) == pytest.approx(deviation, rel=0.03)


@given(seeds)
def test_drop_does_not_depend_on_the_blocks(seed):
    array = np.random.default_rng(seed).standard_normal((6, 5))
    whole = drop(iter([]), 0.5, np.random.default_rng(seed))(array)
    keep = drop(iter([]), 0.5, np.random.default_rng(seed))
    parts = np.concatenate([keep(block) for block in (array[:1], array[1:4], array[4:])])
    np.testing.assert_array_equal(whole, parts)


@given(seeds)
def test_election_entry_by_entry(seed):
    """A loop over entries, in words: who agrees with the sum; their weighted mean."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    arrays = [rng.integers(-2, 3, (3, 4)).astype(float) for _ in range(k)]
    weights = rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0], k).tolist()
    expected = np.zeros((3, 4))
    for place in np.ndindex(3, 4):
        votes = [w * x[place] for w, x in zip(weights, arrays, strict=True)]
        winner = np.sign(sum(votes))
        agree = [j for j, vote in enumerate(votes) if winner and np.sign(vote) == winner]
        if agree:
            expected[place] = sum(votes[j] for j in agree) / sum(abs(weights[j]) for j in agree)
    np.testing.assert_allclose(elected(arrays, weights), expected, atol=1e-14)


def test_election_by_hand():
    one, other = np.array([[2.0, 1.0, 0.0, 1.0]]), np.array([[-1.0, 3.0, 4.0, -1.0]])
    np.testing.assert_array_equal(elected([one, other], [1.0, 1.0]), [[2, 2, 4, 0]])
    np.testing.assert_array_equal(elected([one, other], [1.0, -1.0]), [[1.5, -3, -4, 1]])
    np.testing.assert_array_equal(elected([one, other], [1.0, 0.0]), one)


def test_rounding_has_no_vote():
    """A zero written as 1e-17 neither halves what it agrees with nor decides a tie."""
    one, dust = np.array([[2.0, 1.0]]), np.array([[1e-17, -1.0 + 2e-16]])
    np.testing.assert_array_equal(elected([one, dust], [1.0, 1.0]), [[2.0, 0.0]])


def test_added_is_the_weighted_sum():
    arrays = [np.ones((2, 2)), np.full((2, 2), 3.0)]
    np.testing.assert_array_equal(added(arrays, [2.0, -1.0]), -np.ones((2, 2)))
