"""_gates: false alarms by count, full strength, independence."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy import stats
from strategies import seeds

from loratheory.adapters import (
    Router,
    calibrate,
    calibrate_z,
    forward,
    response_scores,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import LowRank, NotFiniteError, gaussian, orthonormal

DEVICE = array_api_strict.Device("device1")


def shelf_of(rng, k=3, n=12):
    return [gaussian(rng, 8, n, 2, 10.0**j) for j in range(k)]


def test_false_alarms_meet_the_budget():
    """One fresh activation per calibration, 800 times: binomial, to one in a billion."""
    rng = np.random.default_rng(0)
    updates, trials, count, budget = shelf_of(rng), 800, 59, 0.1
    fired = np.zeros(3)
    for _ in range(trials):
        x = rng.standard_t(3, (count + 1, 12))  # heavy tails: no law is assumed
        fired += calibrate(updates, x[:-1], budget=budget).weights(x[-1:])[0]
    exact = 2 / (count + 1)  # place 58 of 59: beaten by a fresh one with probability 2/60
    assert exact <= budget / 3
    low, high = stats.binom.ppf([1e-9, 1 - 1e-9], trials, exact)
    assert np.all((low <= fired) & (fired <= high))


def test_the_shelf_together_stays_within_the_budget():
    rng = np.random.default_rng(1)
    updates = shelf_of(rng, k=8)
    gates = calibrate(updates, rng.standard_normal((4000, 12)), budget=0.2)
    fresh = gates.weights(rng.standard_normal((4000, 12)))
    any_fires = int(fresh.any(axis=1).sum())
    assert any_fires <= stats.binom.ppf(1 - 1e-9, 4000, 0.2) + 5 * np.sqrt(4000 * 0.2)
    assert any_fires >= 0.4 * 0.2 * 4000  # not idle either


@given(seeds)
def test_a_gate_is_an_order_statistic_of_its_own_responses(seed):
    """By another road: dense responses, sorted by hand."""
    rng = np.random.default_rng(seed)
    updates, base = shelf_of(rng), rng.standard_normal((99, 12))
    x = rng.standard_normal((20, 12)) * 2
    weights = calibrate(updates, base, budget=0.3).weights(x)
    for j, low in enumerate(updates):
        seen = np.sort(np.linalg.norm(base @ low.dense().T, axis=1))
        on = np.linalg.norm(x @ low.dense().T, axis=1) > seen[89]  # ceil(100 * 0.9) = 90th of 99
        assert np.array_equal(weights[:, j], on.astype(float))


@given(seeds)
def test_gates_are_on_at_full_strength_or_off_and_do_not_share(seed):
    rng = np.random.default_rng(seed)
    updates, base = shelf_of(rng), rng.standard_normal((100, 12))
    x = 3 * rng.standard_normal((30, 12))
    weights = calibrate_z(updates, base, z=1).weights(x)
    assert set(np.unique(weights)) <= {0.0, 1.0}
    assert {0, 2} <= set(weights.sum(axis=1)) | {0, 2}
    for j in range(3):
        alone = calibrate_z([updates[j]], base, z=1).weights(x)
        assert np.array_equal(alone[:, 0], weights[:, j])


def test_two_adapters_that_know_one_key_are_both_on_and_the_base_token_is_left_alone():
    rng = np.random.default_rng(2)
    keys = orthonormal(rng, 40, 5).T
    updates = [LowRank(orthonormal(rng, 30, 3), keys[a : a + 3]) for a in (0, 2)]
    base = rng.standard_normal((500, 40)) / np.sqrt(40)
    gates = calibrate(updates, base, budget=0.02)
    assert gates.weights(keys).tolist() == [[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]]
    out = forward(updates, keys, gates.weights(keys))
    assert np.allclose(out[2], updates[0] @ keys[2] + updates[1] @ keys[2])
    assert np.allclose(out[0], updates[0] @ keys[0])


def test_softmax_of_the_same_scores_halves_what_gates_leave_whole():
    """The control: weights on a simplex cannot leave two adapters at full strength."""
    rng = np.random.default_rng(3)
    keys = orthonormal(rng, 40, 1).T
    updates = [LowRank(orthonormal(rng, 30, 1), keys) for _ in range(2)]
    weights = Router(response_scores(updates), top_k=2).weights(keys)
    assert np.allclose(weights, 0.5)


def test_calibrating_on_the_edited_prompts_themselves_switches_the_adapter_off():
    """The control: the threshold then sits where the edits answer."""
    rng = np.random.default_rng(4)
    keys = orthonormal(rng, 40, 4).T
    updates = [LowRank(orthonormal(rng, 30, 4), keys)]
    base, own = rng.standard_normal((400, 40)) / np.sqrt(40), np.tile(keys, (100, 1))
    assert calibrate(updates, base, budget=0.05).weights(keys).all()
    assert not calibrate(updates, own + 0.01 * base, budget=0.05).weights(keys).all()


@given(seeds)
def test_standardised_scores_have_mean_zero_and_deviation_one_whatever_went_before(seed):
    rng = np.random.default_rng(seed)
    updates, base = shelf_of(rng), rng.standard_normal((50, 12))
    scores = standardised(response_scores(updates), base)
    assert np.allclose(scores(base).mean(axis=0), 0, atol=1e-9)
    assert np.allclose(scores(base).std(axis=0), 1)
    other = rng.standard_normal((50, 12)) * 5
    twice = standardised(scores, other)
    assert np.allclose(twice(base), standardised(response_scores(updates), other)(base))


def test_z_gates_open_where_the_z_score_is_above():
    rng = np.random.default_rng(5)
    updates, base = shelf_of(rng), rng.standard_normal((200, 12))
    x = 2 * rng.standard_normal((40, 12))
    seen = np.stack([np.linalg.norm(base @ low.dense().T, axis=1) for low in updates], axis=1)
    here = np.stack([np.linalg.norm(x @ low.dense().T, axis=1) for low in updates], axis=1)
    for z in (0.5, 3):
        on = (here - seen.mean(axis=0)) / seen.std(axis=0) > z
        assert np.array_equal(calibrate_z(updates, base, z=z).weights(x), on.astype(float))


def test_the_standardised_best_is_the_adapter_that_stands_out_not_the_loudest():
    rng = np.random.default_rng(6)
    keys = orthonormal(rng, 40, 2).T
    quiet, loud = LowRank(np.ones((3, 1)), keys[:1]), LowRank(100 * np.ones((3, 1)), keys[1:])
    base = rng.standard_normal((200, 40)) / np.sqrt(40)
    x = keys[:1] + 0.1 * keys[1:]
    scores = response_scores([quiet, loud])
    assert Router(scores).weights(x).tolist() == [[0, 1]]
    assert Router(standardised(scores, base)).weights(x).tolist() == [[1, 0]]


def test_a_silent_adapter_stays_off():
    updates = [LowRank(np.zeros((3, 1)), np.ones((1, 4)))]
    base = np.random.default_rng(7).standard_normal((50, 4))
    assert not calibrate(updates, base).weights(base).any()
    assert not calibrate_z(updates, base).weights(base).any()
    assert np.isfinite(standardised(subspace_scores(updates), base)(base)).all()


def test_gates_are_the_same_everywhere():
    rng = np.random.default_rng(8)
    updates, base = shelf_of(rng), rng.standard_normal((99, 12))
    x = 2 * rng.standard_normal((20, 12))
    for make in (calibrate, calibrate_z):
        expected = make(updates, base).weights(x)
        there = make([low.map(torch.asarray) for low in updates], torch.asarray(base))
        assert np.array_equal(there.weights(torch.asarray(x)).numpy(), expected)

        def strict(array):
            return array_api_strict.asarray(array, device=DEVICE)

        there = make([low.map(strict) for low in updates], strict(base))
        back = there.weights(strict(x)).to_device(array_api_strict.Device("CPU_DEVICE"))
        assert np.array_equal(np.asarray(back), expected)


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(9)
    updates, base = shelf_of(rng), rng.standard_normal((58, 12))
    calibrate(updates, np.vstack([base, base[:1]]), budget=0.05)  # 59 = 3 / 0.05 - 1 is enough
    with pytest.raises(ValueError, match=r"58 activations .* at least 59"):
        calibrate(updates, base, budget=0.05)
    for budget in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="budget of"):
            calibrate(updates, base, budget=budget)
    with pytest.raises(ValueError, match="empty library"):
        calibrate([], base)
    with pytest.raises(ValueError, match="read 12 inputs"):
        calibrate(updates, np.ones((100, 11)))
    with pytest.raises(ValueError, match="at least 2"):
        calibrate_z(updates, base[:1])
    base[3, 4] = np.nan
    for make in (lambda: calibrate(updates, base, budget=0.2), lambda: calibrate_z(updates, base)):
        with pytest.raises(NotFiniteError, match=r"activations holds nan at position \[3, 4\]"):
            make()
