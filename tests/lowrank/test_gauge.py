"""One canonical factorisation; sums that stay narrow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, sides

from loratheory.lowrank import balanced, gaussian, rank, regauge, total


@given(sides, sides, st.integers(1, 8), seeds)
def test_balanced_form_forgets_the_gauge(m, n, r, seed):
    rng = np.random.default_rng(seed)
    low = gaussian(rng, m, n, r)
    gauge = np.linalg.qr(rng.standard_normal((r, r)))[0] * rng.uniform(0.5, 2, r)
    one, two = balanced(low), balanced(regauge(low, gauge))
    np.testing.assert_allclose(one.dense(), low.dense(), atol=1e-12)
    assert one.width == two.width == rank(low)
    np.testing.assert_allclose(one.up, two.up, atol=1e-6)
    np.testing.assert_allclose(one.down, two.down, atol=1e-6)


@given(sides, sides, st.integers(1, 4), seeds)
def test_balanced_factors_share_the_spectrum(m, n, r, seed):
    form = balanced(gaussian(np.random.default_rng(seed), m, n, r))
    inner = form.up.T @ form.up
    np.testing.assert_allclose(inner, form.down @ form.down.T, atol=1e-12)
    np.testing.assert_allclose(inner, np.diag(np.diagonal(inner)), atol=1e-12)
    assert np.all(np.abs(form.up).max(axis=0) == form.up.max(axis=0))


@given(sides, sides, st.integers(1, 9), st.integers(0, 5), seeds)
def test_total_is_the_weighted_sum_and_never_wider_than_the_matrix(m, n, k, r, seed):
    rng = np.random.default_rng(seed)
    updates, weights = [gaussian(rng, m, n, r) for _ in range(k)], rng.normal(size=k).tolist()
    dense = sum(w * u.dense() for w, u in zip(weights, updates, strict=True))
    ours = total(updates, weights)
    np.testing.assert_allclose(ours.dense(), dense, atol=1e-11)
    assert ours.width <= max(min(m, n), r)


def test_narrow_sums_only_concatenate():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 40, 30, 3) for _ in range(5)]
    assert total(updates).width == 15
    np.testing.assert_array_equal(total(updates).up[:, :3], updates[0].up)


@pytest.mark.parametrize("count", [1, 2])
def test_a_sum_has_arrays_of_its_own(count):
    updates = [gaussian(np.random.default_rng(0), 40, 30, 3)] * count
    for weights in (None, [2.0] * count):
        found = total(updates, weights)
        assert not np.shares_memory(found.up, updates[0].up)
        assert not np.shares_memory(found.down, updates[0].down)


def test_weights_act_on_the_exact_numbers():
    """Float32 factors are widened before they are weighted."""
    low = gaussian(np.random.default_rng(0), 40, 30, 3).map(np.float32)
    found = total([low, low], [0.1, 0.2])
    np.testing.assert_array_equal(found.up[:, 3:], 0.2 * low.up.astype(np.float64))


@pytest.mark.parametrize(
    ("updates", "weights", "says"),
    [
        ([], None, "empty sum"),
        ([(3, 4), (4, 3)], None, "do not add"),
        ([(3, 4), (3, 4)], [1.0], "1 weights for 2 updates"),
    ],
)
def test_sums_that_make_no_sense_are_refused(updates, weights, says):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=says):
        total([gaussian(rng, m, n, 1) for m, n in updates], weights)
