"""gate_detection: by hand, the whole law, real adapters and a real shelf, limits."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError, edit_budget
from loratheory.theorems.routing._sample import Sample, gaussian_sample
from loratheory.theorems.routing.gate_detection import (
    THEOREM,
    Case,
    false_alarm,
    largest_library,
    measure,
    noise,
)

GRID = [(1, 1), (1, 5), (2, 3), (4, 8), (8, 8), (10, 64)]


def responses(facts, width, trials, rng):
    """Another road: one pseudo-inverse (an SVD) for each trial, no normal equations."""
    keys = rng.standard_normal((trials, width, facts))
    queries = rng.standard_normal((trials, width))
    return (np.einsum("tfw,tw->tf", np.linalg.pinv(keys), queries) ** 2).sum(axis=1)


def test_hand_examples():
    # one fact in one dimension: a squared Cauchy variable, even odds of exceeding 1
    assert false_alarm(1, 1, 1.0) == pytest.approx(0.5, rel=1e-14)
    assert false_alarm(1, 1, 3.0) == pytest.approx(1 / 3, rel=1e-14)  # arctan(sqrt 3) = pi / 3
    # two facts in three dimensions: 1 / (1 + t); two in five: its square
    assert false_alarm(2, 3, 0.25) == pytest.approx(0.8, rel=1e-14)
    assert false_alarm(2, 5, 0.25) == pytest.approx(0.64, rel=1e-14)


@pytest.mark.parametrize(("facts", "width"), GRID)
@given(st.floats(0.01, 10.0))
def test_the_tail_is_that_of_the_f_law(facts, width, threshold):
    free = width - facts + 1
    tail = stats.f.sf(threshold * free / facts, facts, free)
    assert false_alarm(facts, width, threshold) == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize(("facts", "width"), GRID)
def test_the_whole_law_holds_in_simulation(facts, width):
    """Kolmogorov and Smirnov on least squares by SVD; rejected once in a million."""
    found = responses(facts, width, 4000, np.random.default_rng(7))
    law = stats.f(facts, width - facts + 1, scale=facts / (width - facts + 1))
    assert stats.kstest(found, law.cdf).pvalue > 1e-6


def test_the_mean_response_is_facts_over_what_is_left():
    found = responses(4, 32, 20000, np.random.default_rng(8))
    error = found.std() / math.sqrt(found.size)
    assert abs(found.mean() - 4 / (32 - 4 - 1)) <= 6 * error


def adapter(keys, rng):
    """An adapter as it is made: minimal-norm exact edits with orthonormal responses."""
    width, facts = keys.shape
    return edit_budget.attain(edit_budget.Case(keys, orthonormal(rng, width, facts), rank=facts))


@given(seeds)
def test_an_adapter_answers_its_own_keys_with_one_and_others_as_measured(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 9))
    keys = rng.standard_normal((width, int(rng.integers(1, width + 1))))
    query, delta = rng.standard_normal((width, 1)), adapter(keys, rng)
    room = 1e-11 * np.linalg.cond(keys) ** 2
    np.testing.assert_allclose(((delta @ keys) ** 2).sum(axis=0), 1.0, atol=room)
    response = float(((delta @ query) ** 2).sum())
    sample = Sample(keys[None], query.T)
    below = Case(keys.shape[1], width, response * (1 - 1e-6) - room)
    above = Case(keys.shape[1], width, response * (1 + 1e-6) + room)
    if np.linalg.cond(keys) < 1e3:
        assert (measure(below, sample), measure(above, sample)) == (1.0, 0.0)


def test_a_shelf_composes_as_often_as_the_union_bound_promises():
    """Sixteen real adapters, two reads each: all wrong gates stay shut often enough."""
    rng, shelf, facts, width, threshold, trials = np.random.default_rng(9), 16, 2, 24, 0.5, 400
    wrong = 0
    for _ in range(trials):
        keys = rng.standard_normal((shelf, width, facts))
        inverses = np.linalg.pinv(keys)
        reads = keys[[0, 1], :, 0]  # the first hop is adapter 0's, the second adapter 1's
        on = ((inverses @ reads.T) ** 2).sum(axis=1) > threshold
        wanted = np.zeros((shelf, 2), dtype=bool)
        wanted[[0, 1], [0, 1]] = True
        wrong += not np.array_equal(on, wanted)
    promised = 2 * (shelf - 1) * false_alarm(facts, width, threshold)
    assert 0 < promised < 0.5
    assert wrong <= stats.binom.ppf(1 - 1e-9, trials, promised)
    assert wrong >= stats.binom.ppf(1e-9, trials, promised / 3)  # and the bound is no idle one


@given(st.integers(1, 8), st.integers(0, 40), st.floats(0.2, 1.0), st.integers(1, 4))
def test_the_largest_library_keeps_the_failure_and_one_more_breaks_it(facts, free, threshold, hops):
    width, failure = facts + free, 0.01
    shelf = largest_library(facts, width, threshold, hops, failure)
    alarm = false_alarm(facts, width, threshold)
    assert hops * (shelf - 1) * alarm <= failure * (1 + 1e-12)
    assert hops * shelf * alarm > failure * (1 - 1e-12)


def test_capacity_grows_exponentially_in_the_width():
    shelves = [largest_library(4, width, 0.5, 2, 0.01) for width in (32, 64, 96, 128, 160)]
    ratios = [large / small for small, large in pairwise(shelves[1:])]
    assert min(ratios) > 100
    assert largest_library(1, 10**6, 0.5, 2, 0.01) == math.inf


def test_a_full_adapter_is_useless_to_gate():
    """As the facts fill the width, a foreign query is answered louder than an own key."""
    assert false_alarm(64, 64, 0.5) > 0.9
    assert largest_library(64, 64, 0.5, 2, 0.01) == 1


@given(seeds)
def test_more_facts_or_less_width_or_a_lower_threshold_alarm_more(seed):
    rng = np.random.default_rng(seed)
    facts, threshold = int(rng.integers(1, 9)), float(rng.uniform(0.05, 2.0))
    width = facts + int(rng.integers(1, 20))
    alarm = false_alarm(facts, width, threshold)
    assert alarm < false_alarm(facts + 1, width, threshold)
    assert alarm < false_alarm(facts, width - 1, threshold)
    assert alarm < false_alarm(facts, width, threshold / 2)


@given(seeds)
def test_rotation_scale_and_order_of_the_keys_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    sample, turn = gaussian_sample(rng, 100, 6, 3), orthonormal(rng, 6, 6)
    other = Sample(3 * turn @ sample.keys[:, :, ::-1], 3 * sample.queries @ turn.T)
    case = Case(3, 6, 0.7)
    assert abs(measure(case, sample) - measure(case, other)) <= 0.01  # a tie may fall either way


@given(seeds)
def test_the_allowance_covers_the_sampling_error_and_not_much_more(seed):
    case = THEOREM.draw(np.random.default_rng(seed), 8)
    f = false_alarm(case.facts, case.width, case.threshold)
    deviation = math.sqrt(f * (1 - f) / case.trials)
    assert 5 * deviation <= noise(case) <= 7 * deviation + 30 / case.trials


def test_a_heavy_tailed_query_of_the_same_energy_is_refused():
    rng = np.random.default_rng(0)
    sample = gaussian_sample(rng, 600, 16, 4)
    rare = Sample(sample.keys, math.sqrt(20) * sample.queries * (rng.random((600, 1)) < 0.05))
    with pytest.raises(AssumptionError, match="in length"):
        THEOREM.check(Case(4, 16, 0.5), rare)
    assert not THEOREM.judge(Case(4, 16, 0.5), rare).holds


def test_wide_layers_need_few_trials():
    rng = np.random.default_rng(0)
    case = THEOREM.draw(rng, 4096)
    assert case.width > 1000
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@pytest.mark.parametrize("facts", [0, 4])
def test_facts_that_do_not_fit_are_refused(facts):
    with pytest.raises(ValueError, match="give from 1 to 3 facts"):
        false_alarm(facts, 3, 0.5)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
