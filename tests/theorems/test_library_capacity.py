"""library_capacity: by hand, energies, exactness for two, a real gated chain, limits."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import seeds

from loratheory.theorems import AssumptionError, gate_detection
from loratheory.theorems.libraries.library_capacity import (
    THEOREM,
    Case,
    Shelf,
    bound,
    clean,
    interference,
    largest_library,
    measure,
    noise,
    rival,
)
from loratheory.theorems.routing.gate_detection import false_alarm


def test_hand_example():
    # one fact in one dimension alarms half the time at 1: three adapters, one read: a quarter
    assert clean(3, 1, 1, 1.0, 1) == pytest.approx(1 / 4, rel=1e-14)
    # two facts in five dimensions at 1/4: alarm 16/25; one foreign adapter, two reads: (9/25)^2
    assert clean(2, 2, 5, 0.25, 2) == pytest.approx(81 / 625, rel=1e-13)
    # two facts in seven dimensions: mean 2/4; Beta(2, 2) above 1/5 is 1 - 3/25 + 2/125 = 112/125
    assert interference(4, 2, 7) == pytest.approx(3 / 2, rel=1e-14)
    assert interference(4, 2, 7, 0.25) == pytest.approx(1.5 * 112 / 125, rel=1e-13)


@given(seeds)
def test_one_foreign_adapter_is_exact_and_more_are_no_worse(seed):
    rng = np.random.default_rng(seed)
    case = Case(2, 2, 5, float(rng.uniform(0.1, 2)), hops=1, trials=400)
    p, found = bound(case), measure(case, rival(case, rng))
    assert stats.binom.ppf(1e-9, 400, p) <= 400 * found + 1e-6
    assert 400 * found - 1e-6 <= stats.binom.ppf(1 - 1e-9, 400, p)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3])
def test_energies_of_the_sum_and_of_gates(threshold):
    """The response itself, not its square root of a law: pseudo-inverses and random responses."""
    rng, facts, width, adapters, trials = np.random.default_rng(3), 3, 24, 5, 3000
    keys = rng.standard_normal((trials, adapters - 1, width, facts))
    x = rng.standard_normal((trials, 1, width, 1))
    weights = (np.linalg.pinv(keys) @ x)[..., 0]
    frames = np.linalg.qr(rng.standard_normal((trials, adapters - 1, 40, facts)))[0]
    frames = frames * rng.choice([-1, 1], (trials, adapters - 1, 1, 1))
    on = (weights**2).sum(axis=-1, keepdims=True) > threshold
    total = (frames @ (weights * on)[..., None]).sum(axis=1)[..., 0]
    energy = (total**2).sum(axis=1)
    error = energy.std() / math.sqrt(trials)
    assert abs(energy.mean() - interference(adapters, facts, width, threshold)) <= 6 * error


def gated_chain(rng, adapters, facts, width, threshold):
    """Whether two gated reads of new facts, each adapter on by its own response, answer rightly."""
    n = adapters * facts
    one, two = rng.standard_normal((2, width, n))
    order = rng.permutation(n)  # the bridge: which key each entity has
    state, answer = one[:, :1], -1
    for keys in (one, two):
        shelf = [np.linalg.pinv(keys[:, j : j + facts]) for j in range(0, n, facts)]
        parts = [inverse @ state for inverse in shelf]
        values = np.concatenate([p * (np.sum(p**2) > threshold) for p in parts])
        answer = int(values.argmax())
        state = two[:, order] @ values
    return answer == order[0]


def test_a_real_gated_chain_answers_as_often_as_promised():
    rng, trials = np.random.default_rng(5), 300
    promised = clean(8, 2, 20, 0.5, 2)
    right = sum(gated_chain(rng, 8, 2, 20, 0.5) for _ in range(trials))
    assert 0.5 < promised < 0.9
    assert right >= stats.binom.ppf(1e-9, trials, promised)


@given(seeds)
def test_the_reduction_holds_count_by_count(seed):
    """Without any law: answers that depend on gates, an oracle, misses and false alarms."""
    rng = np.random.default_rng(seed)
    right = rng.random((50, 2, 4)) < 0.3
    gates = right ^ (rng.random(right.shape) < 0.03)
    luck = rng.random((50, 2**8)) < 0.8

    def succeeds(pattern):
        index = pattern.reshape(50, -1) @ (2 ** np.arange(8))
        return luck[np.arange(50), index]

    wrong = (gates != right).mean(axis=0).sum()
    assert succeeds(gates).mean() >= succeeds(right).mean() - wrong - 1e-12


@given(st.integers(1, 6), st.integers(0, 30), st.floats(0.2, 1.0), st.integers(1, 4))
def test_the_largest_library_is_the_largest_and_beats_the_union_bound(facts, free, threshold, hops):
    width, failure = facts + free, 0.05
    shelf = largest_library(facts, width, threshold, hops, failure)
    assert shelf >= gate_detection.largest_library(facts, width, threshold, hops, failure)
    if shelf < 1e9:
        assert clean(shelf, facts, width, threshold, hops) >= 1 - failure - 1e-9
        assert clean(shelf + 1, facts, width, threshold, hops) < 1 - failure + 1e-9


def test_shelves_grow_exponentially_while_the_sum_breaks_linearly():
    shelves = [largest_library(4, width, 0.5, 2, 0.05) for width in (64, 96, 128)]
    assert shelves[1] / shelves[0] > 100
    assert shelves[2] / shelves[1] > 100
    assert interference(1 + (64 - 5) // 4, 4, 64) < 1 < interference(2 + (64 - 5) // 4, 4, 64)
    assert interference(shelves[0], 4, 64, 0.5) < 0.1


def asked(rng, trials, width, facts, same):
    """Two adapters, two reads, the query a key of either in turn; all gates right or not."""
    keys = rng.standard_normal((trials, 2, width, facts))
    again = keys if same else rng.standard_normal(keys.shape)
    alarms = []
    for shelf, own in ((keys, 0), (again, 1)):
        weights = np.linalg.pinv(shelf[:, 1 - own]) @ shelf[:, own, :, :1]
        alarms.append((weights[..., 0] ** 2).sum(axis=1))
    return np.stack(alarms)


def test_reads_that_share_keys_keep_the_union_bound_only():
    """In one dimension two adapters asked in turn never both keep still; apart they do."""
    rng, promised = np.random.default_rng(2), clean(2, 1, 1, 0.9)
    assert promised > 0.2
    assert not (asked(rng, 2000, 1, 1, same=True).max(axis=0) < 0.9).any()
    right = (asked(rng, 2000, 1, 1, same=False).max(axis=0) < 0.9).mean()
    assert right == pytest.approx(promised, abs=0.07)
    for width, facts, threshold in ((6, 2, 0.5), (12, 3, 0.7)):
        right = (asked(rng, 2000, width, facts, same=True).max(axis=0) <= threshold).mean()
        assert right >= 1 - 2 * false_alarm(facts, width, threshold) - 0.05


def test_limits():
    assert clean(1, 3, 8, 0.5, 4) == 1.0
    assert interference(1, 3, 8) == 0.0
    assert interference(2, 7, 8) == math.inf
    assert largest_library(1, 10**6, 0.5, 2, 0.01) == math.inf
    assert largest_library(8, 8, 0.5, 2, 0.01) == 1


@given(seeds)
def test_scale_order_and_allowance(seed):
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 8)
    shelf = rival(case, rng)
    other = Shelf(3 * shelf.keys[:, :, ::-1, :, ::-1], 3 * shelf.queries)
    assert abs(measure(case, shelf) - measure(case, other)) <= 0.01
    p = bound(case)
    assert 0 <= noise(case) <= 7 * math.sqrt(p * (1 - p) / case.trials) + 30 / case.trials
    assert p <= 1 - false_alarm(case.facts, case.width, case.threshold) or case.adapters == 1


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, shelf = control.example()
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(case, shelf)
    assert not THEOREM.judge(case, shelf).holds
