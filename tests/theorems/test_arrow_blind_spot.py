"""arrow_blind_spot: by hand, by simulation with noise, against other scores, symmetries, limits."""

from dataclasses import replace
from fractions import Fraction
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import arrow_scores, response_scores, subspace_scores
from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.routing.arrow_blind_spot import (
    CONTROLS,
    THEOREM,
    Case,
    accuracy,
    attain,
    bound,
    chance,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def shelf(rng, experts, facts, spare=3):
    frame = orthonormal(rng, experts * facts + spare, experts * facts)
    strengths = tuple(np.linspace(2.0, 1.0, facts) for _ in range(experts))
    return Case(tuple(np.split(frame, experts, axis=1)), strengths)


def test_hand_example():
    """Two adapters, two facts: keys 1 and 3 are found, 2 and 4 are a coin's toss."""
    expected = (Fraction(1) + Fraction(1, 2) + Fraction(1) + Fraction(1, 2)) / 4
    case = Case((np.eye(4)[:, :2], np.eye(4)[:, 2:]), (np.array([2.0, 1.0]),) * 2)
    assert expected == Fraction(3, 4)
    assert bound(case) == measure(case, attain(case)) == 0.75
    scores = arrow_scores(list(attain(case)))(np.eye(4))
    assert np.abs(scores - np.eye(4)[:, [0, 2]]).max() < 1e-15


@given(seeds)
def test_all_keys_but_the_top_ones_score_nothing_from_anybody(seed):
    """NumPy's dense SVD: no factored code."""
    case = drawn(seed)
    adapters = THEOREM.rival(case, np.random.default_rng(seed))
    top = [np.linalg.svd(low.dense())[2][0] for low in adapters]
    scores = np.abs(np.stack(top) @ np.concatenate(case.keys, axis=1))
    room = 1e-11 * THEOREM.condition(case)
    assert np.sort(scores, axis=None)[: scores.size - len(top)].max(initial=0) < room
    assert np.sort(scores, axis=None)[scores.size - len(top) :] == pytest.approx(1, abs=room)
    hits = np.mean([1 / len(top) if s.max() < 0.5 else 1.0 for s in scores.T])
    assert bound(case) == pytest.approx(hits)


@given(seeds)
def test_projection_and_response_find_every_key(seed):
    case = drawn(seed)
    adapters = list(attain(case))
    for scores in (subspace_scores(adapters), response_scores(adapters)):
        for i, keys in enumerate(case.keys):
            assert scores(keys.T).argmax(axis=1).tolist() == [i] * keys.shape[1]


@pytest.mark.parametrize(("experts", "facts"), [(4, 8), (8, 4), (4, 2)])
@pytest.mark.parametrize("noise", [1e-3, 0.3, 2.0])
def test_noisy_accuracy_is_the_law_up_to_sampling(experts, facts, noise):
    """Hoeffding at 1e-9, over all keys and on the blind ones alone."""
    rng = np.random.default_rng(experts + facts)
    case, trials = shelf(rng, experts, facts), 2000
    scores, hits = arrow_scores(list(attain(case))), []
    for i, keys in enumerate(case.keys):
        shape = (trials, facts, len(keys))
        queries = (keys.T + noise * rng.standard_normal(shape)).reshape(-1, len(keys))
        hits.append((scores(queries).argmax(axis=1) == i).reshape(trials, facts).mean(axis=0))
    found, room = np.array(hits), sqrt(log(2e9) / (2 * trials * experts))
    assert found.mean() == pytest.approx(accuracy(facts, experts, noise), abs=room)
    assert found[:, 1:].mean() == pytest.approx(1 / experts, abs=room)


def test_a_flat_spectrum_is_right_without_noise_and_worse_with_it():
    rng = np.random.default_rng(0)
    case = shelf(rng, 4, 4)
    mixing = orthonormal(rng, 4, 4)
    flat = [LowRank(mixing, mixing.T @ keys.T) for keys in case.keys]
    scores = arrow_scores(flat)
    clean = [scores(keys.T).argmax(axis=1) == i for i, keys in enumerate(case.keys)]
    loud = rng.standard_normal((4, 500, 4, 19))
    rows = [scores((k.T + e).reshape(-1, 19)) for k, e in zip(case.keys, loud, strict=True)]
    noisy = [found.argmax(axis=1) == i for i, found in enumerate(rows)]
    assert np.mean(clean) == 1.0
    assert np.mean(noisy) < 0.9


@given(seeds)
def test_scaling_rotation_order_and_gauge_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    n = len(case.keys[0])
    turn, order = orthonormal(rng, n, n), rng.permutation(case.keys[0].shape[1])
    moved = Case(
        tuple((turn @ k)[:, order] for k in reversed(case.keys)),
        tuple(rng.uniform(0.1, 10) * s[order] for s in reversed(case.strengths)),
    )
    verdict = THEOREM.check(moved, THEOREM.rival(moved, rng))
    assert verdict.tight
    assert verdict.bound == pytest.approx(bound(case))


def test_limits():
    assert accuracy(1, 7) == 1.0
    assert accuracy(5, 1) == 1.0
    assert accuracy(5, 1, 0.7) == pytest.approx(1.0)
    assert accuracy(8, 4) == 0.34375
    assert accuracy(4, 4, 1e6) == pytest.approx(0.25, abs=1e-5)
    assert accuracy(4, 4, 1e-4) == pytest.approx(accuracy(4, 4))


def test_ties_are_shared():
    assert chance(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), 0) == 0.25


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, adapters = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, adapters)
    assert THEOREM.judge(case, adapters).value == pytest.approx(1.0)


def test_one_key_moved_by_a_percent_is_refused():
    case = shelf(np.random.default_rng(1), 2, 2)
    keys = (case.keys[0] + 0.01, case.keys[1])
    with pytest.raises(AssumptionError, match="orthonormal"):
        THEOREM.check(replace(case, keys=keys), attain(case))
