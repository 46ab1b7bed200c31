"""Second routes of the theorems on routing: noise, other scores, grids, simulated laws."""

import math
from dataclasses import replace
from itertools import pairwise
from math import inf, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from theorems.owed import over, theorem_of

from loratheory import toy
from loratheory.adapters import (
    METHODS,
    Adapter,
    Router,
    arrow_scores,
    merge,
    response_scores,
    subspace_scores,
)
from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    AssumptionError,
    arrow_blind_spot,
    arrow_law,
    gate_detection,
    rank_floor,
    router_limit,
    single_read_no_go,
)
from loratheory.theorems.routing._sample import Sample, gaussian_sample


def library(rng, experts, facts, spare=3):
    frame = orthonormal(rng, experts * facts + spare, experts * facts)
    strengths = tuple(np.linspace(2.0, 1.0, facts) for _ in range(experts))
    return arrow_blind_spot.Case(tuple(np.split(frame, experts, axis=1)), strengths)


def hits(scores, case, noise, rng, trials=2000):
    """How often each key of each adapter is routed right."""
    found = []
    for i, keys in enumerate(case.keys):
        shape = (trials, keys.shape[1], len(keys))
        queries = (keys.T + noise * rng.standard_normal(shape)).reshape(-1, len(keys))
        found.append((scores(queries).argmax(axis=1) == i).reshape(shape[:2]).mean(axis=0))
    return np.array(found)


@over(arrow_blind_spot)
def test_projection_and_response_find_every_key(case):
    adapters = list(arrow_blind_spot.attain(case))
    for scores in (subspace_scores(adapters), response_scores(adapters)):
        for i, keys in enumerate(case.keys):
            assert scores(keys.T).argmax(axis=1).tolist() == [i] * keys.shape[1]


@pytest.mark.parametrize(("experts", "facts"), [(4, 8), (8, 4), (4, 2)])
@pytest.mark.parametrize("noise", [1e-3, 0.3, 2.0])
def test_noisy_accuracy_is_the_law_up_to_sampling(experts, facts, noise):
    """Hoeffding at 1e-9, over all keys and on the blind ones alone."""
    rng, trials = np.random.default_rng(experts + facts), 2000
    case = library(rng, experts, facts)
    found = hits(arrow_scores(list(arrow_blind_spot.attain(case))), case, noise, rng, trials)
    law, room = arrow_blind_spot.accuracy(facts, experts, noise), sqrt(log(2e9) / (2 * trials))
    assert found.mean() == pytest.approx(law, abs=room / sqrt(experts))
    assert found[:, 1:].mean() == pytest.approx(1 / experts, abs=room / sqrt(experts))


def test_a_flat_spectrum_is_right_without_noise_and_worse_with_it():
    rng = np.random.default_rng(0)
    case, mixing = library(rng, 4, 4), orthonormal(rng, 4, 4)
    scores = arrow_scores([LowRank(mixing, mixing.T @ keys.T) for keys in case.keys])
    assert hits(scores, case, 0.0, rng, 1).mean() == 1.0
    assert hits(scores, case, 1.0, rng, 500).mean() < 0.9


def test_accuracies_by_hand_and_shared_ties():
    law = arrow_blind_spot.accuracy
    assert (law(1, 7), law(5, 1), law(8, 4)) == (1.0, 1.0, 0.34375)
    assert law(5, 1, 0.7) == pytest.approx(1.0)
    assert law(4, 4, 1e6) == pytest.approx(0.25, abs=1e-5)
    assert law(4, 4, 1e-4) == pytest.approx(law(4, 4))
    assert arrow_blind_spot.chance(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), 0) == 0.25
    case = library(np.random.default_rng(1), 2, 2)
    off = replace(case, keys=(case.keys[0] + 0.01, case.keys[1]))
    with pytest.raises(AssumptionError, match="orthonormal"):
        theorem_of(arrow_blind_spot).check(off, arrow_blind_spot.attain(case))
    near = replace(case, strengths=(np.array([1.0, 1 - 1e-6]),) * 2)
    with pytest.raises(AssumptionError, match="above its others"):
        theorem_of(arrow_blind_spot).check(near, arrow_blind_spot.attain(near))


@pytest.mark.parametrize("between", [0.01, 1.0, pi / 2])
def test_half_the_angle_decides(between):
    least, half = arrow_blind_spot.least_margin, arrow_blind_spot.safe_angle(between)
    assert half == between / 2
    assert least(between, half * 0.99) > 0 > least(between, half * 1.01)
    assert least(between, half) == pytest.approx(0.0, abs=1e-15)


# Gates


@pytest.mark.parametrize(("facts", "width"), [(1, 1), (2, 3), (4, 8), (8, 8), (10, 64)])
def test_the_whole_law_holds_in_simulation(facts, width):
    """Kolmogorov and Smirnov on one pseudo-inverse (an SVD) a trial: no normal equations."""
    rng, trials = np.random.default_rng(7), 4000
    keys, queries = (
        rng.standard_normal((trials, width, facts)),
        rng.standard_normal((trials, width)),
    )
    found = (np.einsum("tfw,tw->tf", np.linalg.pinv(keys), queries) ** 2).sum(axis=1)
    law = stats.f(facts, width - facts + 1, scale=facts / (width - facts + 1))
    assert stats.kstest(found, law.cdf).pvalue > 1e-6


@over()
def test_an_adapter_answers_its_own_keys_with_one_and_others_as_measured(rng):
    width = int(rng.integers(1, 9))
    keys = rng.standard_normal((width, int(rng.integers(1, width + 1))))
    facts, query = keys.shape[1], rng.standard_normal((width, 1))
    case = rank_floor.Case(keys, orthonormal(rng, width, facts), rank=facts)
    delta, room = rank_floor.attain(case), 1e-11 * np.linalg.cond(keys) ** 2
    np.testing.assert_allclose(((delta @ keys) ** 2).sum(axis=0), 1.0, atol=room)
    response, sample = float(((delta @ query) ** 2).sum()), Sample(keys[None], query.T)
    limits = (response * (1 - 1e-6) - room, 1.0), (response * (1 + 1e-6) + room, 0.0)
    for limit, opened in limits if np.linalg.cond(keys) < 1e3 else ():
        assert gate_detection.measure(gate_detection.Case(facts, width, limit), sample) == opened


@settings(max_examples=20)
@given(st.integers(1, 8), st.integers(0, 40), st.floats(0.2, 1.0), st.integers(1, 4))
def test_the_largest_library_keeps_the_failure_and_one_more_breaks_it(facts, free, threshold, hops):
    width, failure = facts + free, 0.01
    most = gate_detection.largest_library(facts, width, threshold, hops, failure)
    alarm = gate_detection.false_alarm(facts, width, threshold)
    assert hops * (most - 1) * alarm <= failure * (1 + 1e-12)
    assert hops * most * alarm > failure * (1 - 1e-12)
    assert alarm < gate_detection.false_alarm(facts, width, threshold / 2)
    assert alarm < gate_detection.false_alarm(facts + 1, width + 1, threshold)


def test_capacity_grows_exponentially_in_the_width_and_a_full_adapter_is_useless_to_gate():
    most = gate_detection.largest_library
    sizes = [most(4, width, 0.5, 2, 0.01) for width in (64, 96, 128, 160)]
    assert min(large / small for small, large in pairwise(sizes)) > 100
    assert most(1, 10**6, 0.5, 2, 0.01) == inf
    assert gate_detection.false_alarm(64, 64, 0.5) > 0.9
    assert most(64, 64, 0.5, 2, 0.01) == 1
    for facts in (0, 4):
        with pytest.raises(ValueError, match="give from 1 to 3 facts"):
            gate_detection.false_alarm(facts, 3, 0.5)


@over(gate_detection)
def test_the_allowance_covers_the_sampling_error_and_not_much_more(case):
    f = gate_detection.false_alarm(case.facts, case.width, case.threshold)
    deviation = sqrt(f * (1 - f) / case.trials)
    assert 5 * deviation <= gate_detection.noise(case) <= 7 * deviation + 30 / case.trials


def test_a_heavy_tailed_query_of_the_same_energy_is_refused():
    rng = np.random.default_rng(0)
    sample, case = gaussian_sample(rng, 600, 16, 4), gate_detection.Case(4, 16, 0.5)
    rare = Sample(sample.keys, sqrt(20) * sample.queries * (rng.random((600, 1)) < 0.05))
    with pytest.raises(AssumptionError, match="in length"):
        theorem_of(gate_detection).check(case, rare)
    assert not theorem_of(gate_detection).judge(case, rare).holds


# One read


def drawn_read(seed, n=3, **changes):
    """A base with old facts and an opinion, and what is hidden from merges and routers."""
    rng = np.random.default_rng(seed)
    one, two, both = toy.relu_keys(rng, n, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(2 * n)).dense()
    base = base + 0.1 * rng.standard_normal((2 * n, 1)) * rng.standard_normal(12)
    keys, answers = (one, two, both), tuple(rng.permutation(n).tolist())
    return replace(single_read_no_go.Case("values", 1, answers, True, base, keys), **changes)


def chance(case, rule):
    """Whether a rule is within the hypotheses and right exactly once in n."""
    found = theorem_of(single_read_no_go).check(case, rule).value
    return found == pytest.approx(1 / len(case.shown), abs=1e-15)


def by_method(name, **options):
    """One of the package's merges, its random masks the same in every world."""
    masked = {"density": 0.5, "rank": 6}
    of = {"svd": {"rank": 2}, **dict.fromkeys(("ties", "magnitude", "dare", "dare-ties"), masked)}

    def rule(q):
        adapters = [Adapter.of({"m": low}) for low in (q.first, q.second)]
        rng = np.random.default_rng(5)
        merged = merge(adapters, name, rng=rng, **of.get(name, {}), **options)["m"]
        return [q.logits(q.base) + q.logits(merged)]

    return rule


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_merge_method_beats_chance_where_the_base_hides_the_bridge(method):
    """And row-local methods keep answers apart from the first hop, which is hidden instead."""
    for seed in range(2):
        assert chance(drawn_read(seed, hidden="pairing"), by_method(method))
        if method in ("sum", "mean", "cat", "ties", "dare", "dare-ties", "magnitude"):
            assert chance(drawn_read(seed), by_method(method))
    if method in ("ties", "dare"):
        assert chance(drawn_read(7, hidden="pairing"), by_method(method, space="knots"))


def test_flattening_is_not_row_local():
    """The answers' logits move with the first hop's values: only part (c) covers it."""
    case = drawn_read(0, shown=(1, 2, 0))
    for rule, least, most in ((toy.flattened, 1e-3, 9), (toy.added(1, 1), 0, 0)):
        said = [rule(q)[0] for q in case.worlds]
        moved = max(np.abs(one - said[0]).max() for one in said) / np.abs(said[0]).max()
        assert least <= moved <= most


@pytest.mark.parametrize("scores", [arrow_scores, response_scores])
@pytest.mark.parametrize("seed", range(10))
def test_gates_that_see_the_gram_matrix_do_not_help_on_new_facts(scores, seed):
    """Part (b), with the package's routers and real-valued weights."""

    def rule(q):
        weights = Router(scores([q.first, q.second]), top_k=2).weights(q.prompts.T)
        parts = [w * q.logits(low) for w, low in zip(weights.T, (q.first, q.second), strict=True)]
        return [q.logits(q.base) + sum(parts)]

    if scores is arrow_scores:  # equal strengths leave Arrow's vector to rounding
        found = single_read_no_go.measure(drawn_read(seed, hidden="pairing"), rule)
        assert found == pytest.approx(1 / 3, abs=1e-15)
    else:
        assert chance(drawn_read(seed, known=False), rule)
    for known in (False, True):  # the Gram matrix is constant only for new facts
        grams = [(q.first.T @ q.first).dense() for q in drawn_read(seed, known=known).worlds]
        spread = max(np.abs(gram - grams[0]).max() for gram in grams)
        assert (spread < 1e-9 * np.abs(grams[0]).max()) == (not known)


@over("unselective-success")
def test_the_refuted_claim_fails_on_the_right_prompt_and_on_all_others(case):
    found = single_read_no_go.plain_sum(case)
    shares = single_read_no_go.response(case.second, case.prompts)
    assert (shares > 0).all()
    for subject, share in enumerate(shares):
        moved = replace(case, prompts=np.roll(case.prompts, -subject, axis=1))
        assert single_read_no_go.margin(moved, found) == pytest.approx(float(share), rel=1e-9)


def test_the_limit_by_integration():
    """The kernel itself by quadrature over a bivariate normal: 0.673."""
    rho, limit = 1 / math.sqrt(6), single_read_no_go.limit

    def density(s, t):
        u, v = s, rho * s + math.sqrt(1 - rho**2) * t
        return max(u, 0) * max(v, 0) * math.exp(-(s**2 + t**2) / 2) / (2 * math.pi)

    value = integrate.dblquad(density, -8, 8, 0, 8, epsabs=1e-6)[0]
    assert limit() == pytest.approx(math.sqrt(3 / 2) * value / 0.5, abs=1e-4)
    assert limit() == pytest.approx(0.673, abs=5e-4)
    assert limit(0.0) == pytest.approx(math.sqrt(1.5) / math.pi, rel=1e-14)
    assert limit(1.0, 1.0) == pytest.approx(1.0, rel=1e-14)


def test_a_test_of_composition_needs_permuted_answers_and_each_hypothesis_is_needed():
    """The same sum of whole relations is right by chance, over all hidden first hops."""
    keys = toy.relu_keys(np.random.default_rng(0), 3, 16)
    whole = single_read_no_go.Case("values", 1, (1, 2, 0), False, np.zeros((6, 16)), keys)
    assert chance(whole, toy.added(1.0, 1.0))
    theorem = theorem_of("unselective-success")
    case = theorem.draw(np.random.default_rng(0), 8)
    merged, opinion = theorem.attain(case), np.zeros((case.entities + case.answers, 1))
    opinion[case.entities + 1] = 1e3
    opinionated = replace(merged, weight=LowRank(opinion, np.ones((1, len(case.first)))))
    alone = replace(merged, coefficients=(1.0, 0.0))
    for spoilt, reason in ((opinionated, "prefers no answer"), (alone, "the sum of the two")):
        assert single_read_no_go.margin(case, spoilt) <= 0
        with pytest.raises(AssumptionError, match=reason):
            theorem.check(case, spoilt)


@over(router_limit)
def test_no_function_of_the_input_is_right_more_often_than_its_largest_posterior(case, rng):
    """In the mean over inputs, with the posterior from SciPy's densities."""
    sample = router_limit.rival(case, rng)
    logs = [stats.multivariate_normal(key).logpdf(sample.inputs) for key in sample.keys]
    largest = special.softmax(logs, axis=0).max(axis=0)
    room = 8 * largest.std() / math.sqrt(len(largest)) + 1e-9
    assert abs(largest.mean() - router_limit.bound(case)) <= room


@pytest.mark.parametrize("width", [128, 1024])
def test_arrows_law_does_not_depend_on_the_width(width):
    """Also next to the strongest key, where the law is far from chance."""
    case = arrow_law.Case(4, (1.0, 0.9, 0.5), width, trials=64_000 // width)
    libraries = arrow_law.rival(case, np.random.default_rng(0))
    assert abs(arrow_law.measure(case, libraries) - arrow_law.bound(case)) <= 0.03
    assert arrow_law.accuracy(4, 0.9) > 0.8 > 0.4 > arrow_law.accuracy(4, 0.5) > 0.25
