"""Routing: hand examples, symmetries, other roads, simulated laws."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from math import acos, cos, log, pi, sin, sqrt

import numpy as np
import pytest
from scipy import stats
from theorems.owed import example, floats, road, symmetry

from loratheory import toy
from loratheory.adapters import arrow_scores
from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.routing import arrow, gates, router_limit, single_read_no_go

# Arrow's blind spot


@example("arrow-blind-spot")
def of_two_adapters_with_two_facts_keys_1_and_3_are_found_and_2_and_4_a_coins_toss():
    case = arrow.Case((np.eye(4)[:, :2], np.eye(4)[:, 2:]), (np.array([2.0, 1.0]),) * 2)
    scores = arrow_scores(list(arrow.attain(case)))(np.eye(4))
    np.testing.assert_allclose(scores, np.eye(4)[:, [0, 2]], atol=1e-15)
    yield case, float((Fraction(1) + Fraction(1, 2)) / 2)
    yield arrow.Case(case.keys[:1], case.strengths[:1]), 1.0


@symmetry("arrow-blind-spot")
def size_rotation_and_order(case, rng):
    n, order = len(case.keys[0]), rng.permutation(case.keys[0].shape[1])
    turn = orthonormal(rng, n, n)
    keys = tuple((turn @ k)[:, order] for k in reversed(case.keys))
    strengths = tuple(rng.uniform(0.1, 10) * s[order] for s in reversed(case.strengths))
    yield arrow.Case(keys, strengths), 1.0


def test_two_equally_strong_edits_have_no_top_direction():
    case = arrow.Case((np.eye(2),), (np.array([1.0, -1.0]),))
    with pytest.raises(AssumptionError, match="above its others"):
        arrow.THEOREM.check(case, arrow.attain(case))


def test_where_each_read_is_a_false_alarm_a_library_has_one_adapter():
    assert gates.largest_clean_library(1, 1, 0.0, 1, 0.05) == 1
    assert gates.largest_clean_library(4, 64, 0.9, 2, 0.1) > 1000


# Arrow's margin


def planar(*angles, angle=0.0, sizes=None):
    frame = np.array([[cos(a) for a in angles], [sin(a) for a in angles]])
    return arrow.Near(frame, sizes or (1.0,) * len(angles), angle)


@example("arrow-margin")
def of_lines_60_degrees_apart_queries_at_15_lead_by_cos_15_less_cos_45_and_at_30_tie():
    case = planar(0.0, pi / 3, angle=pi / 12)
    yield case, (sqrt(6) + sqrt(2)) / 4 - sqrt(2) / 2
    yield replace(case, angle=pi / 6), 0.0
    yield planar(0.0, pi / 2), 1.0
    yield planar(0.3, 0.3), 0.0
    # a tiny adapter on the query wins over one that has a response a billion times larger
    tiny = planar(acos(0.8), 0.0, sizes=(1e-9, 1.0))
    yield tiny, 1 - 0.8, (np.array([0.8, 0.6]), 0.2)


@symmetry("arrow-margin", room=1e-7)
def rotation_signs_sizes_and_order_of_others(case, rng):
    n, k = case.prototypes.shape
    order, signs = np.r_[0, 1 + rng.permutation(k - 1)], rng.choice([-1.0, 1.0], k)
    frame = orthonormal(rng, n, n) @ case.prototypes[:, order] * signs
    yield (arrow.Near(frame, tuple((10.0 ** rng.uniform(-9, 9, k)).tolist()), case.angle), 1.0)


# gate detection


@example("gate-detection")
def one_fact_in_one_dimension_is_a_squared_cauchy_variable_and_two_in_three_a_ratio():
    for facts, width, threshold, alarm in (
        *((1, 1, 1.0, 1 / 2), (1, 1, 3.0, 1 / 3)),  # arctan(sqrt 3) = pi / 3
        *((2, 3, 0.25, 0.8), (2, 5, 0.25, 0.64)),  # 1 / (1 + t) and its square
    ):
        yield gates.Case(facts, width, threshold), alarm


@road("gate-detection")
def the_tail_of_the_f_law(case, _):
    free = case.width - case.facts + 1
    yield case, stats.f.sf(case.threshold * free / case.facts, case.facts, free)


@symmetry("gate-detection")
def rotation_size_and_order_of_the_keys(case, rng):
    """A tie may fall either way; so the frequencies are compared with some room."""
    sample = gates.rival(replace(case, trials=100), rng)
    turn = orthonormal(rng, case.width, case.width)
    keys, queries = 3 * turn @ sample.keys[:, :, ::-1], 3 * sample.queries @ turn.T
    there = gates.measure(case, type(sample)(keys, queries))
    assert abs(gates.measure(case, sample) - there) <= 0.01
    yield replace(case, trials=100), 1.0


# single-read no-go


@example(single_read_no_go)
def with_two_entities_and_orthonormal_keys_the_sum_is_right_half_the_time():
    """Prompts read both second keys, so it answers with the base's tie: token 0 in both worlds."""
    eye, prompts = np.eye(4), np.array([[1.0, 0], [0, 1], [1, 1], [1, 1]])
    keys = eye[:, :2], eye[:, 2:], prompts
    right = [[(1, 0)[y] == 0 for y in values] for values in permutations(range(2))]
    assert Fraction(sum(map(sum, right)), 4) == Fraction(1, 2)
    case = single_read_no_go.Case("values", 1, (1, 0), True, eye, keys)
    yield case, 1 / 2, (toy.added(1, 1), 1 / 2)
    yield replace(case, patterns=7), 1.0


@symmetry(single_read_no_go)
def size_rotation_and_order_of_prompts(case, rng):
    turn, factor = orthonormal(rng, *[len(case.base.T)] * 2), float(rng.uniform(0.1, 10))
    one, two, both = (factor * turn @ keys for keys in case.keys)
    keys = one, two, both[:, rng.permutation(len(case.shown))]
    yield replace(case, base=case.base @ turn.T / factor, keys=keys), 1.0


# unselective success


@example("unselective-success")
def keys_12_and_30_and_the_prompt_11_answer_with_three_fifths_and_a_third():
    keys = np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 0.0]])
    case = single_read_no_go.OneFact(keys[0], keys[1], np.ones((2, 2)), 2, 2)
    merge = single_read_no_go.attain_fact(case)
    shares = [Fraction(1 + 2, 1 + 4), 0, Fraction(3, 9), 0]
    np.testing.assert_allclose(merge.logits(case.prompts[:, 0]), floats(shares), rtol=1e-14)
    yield case, 0.0, (merge, 1 / 3)
    prompts = np.array([[0.0, 0.0], [1.0, 1.0]])
    apart = single_read_no_go.OneFact(keys[2], keys[2], prompts, 2, 2)
    yield apart, 0.0, (single_read_no_go.attain_fact(apart), 0.0)


@symmetry("unselective-success")
def size_and_order_of_units(case, rng):
    order, same = rng.permutation(len(case.first)), single_read_no_go.attain_fact(case)
    value = single_read_no_go.measure_fact(case, same)
    moved = single_read_no_go.OneFact(
        7 * case.first[order], case.second[order], case.prompts[order], case.entities, case.answers
    )
    yield moved, 1.0, (single_read_no_go.attain_fact(moved), value)


# router limit


@example(router_limit)
def two_keys_at_right_angles_or_three_apart_and_keys_of_no_length():
    """Half the distance of two keys is what noise must overcome: Φ(√2) for 2 at right angles."""
    yield router_limit.Case(2, 2.0, 0.0), stats.norm.cdf(sqrt(2))
    yield router_limit.Case(2, 1.5, -1.0), stats.norm.cdf(1.5)
    yield router_limit.Case(7, 0.0, 0.0), 1 / 7
    yield router_limit.Case(40, 0.0, 0.5), 1 / 40
    assert max(router_limit.accuracy(k, 200.0) for k in (1, 2, 5)) == 1
    for strength, cosine in ((-1, 0), (2, 2), (2, -0.6)):
        with pytest.raises(ValueError, match="give 0 or more"):
            router_limit.accuracy(3, strength, cosine)


@symmetry(router_limit)
def a_turn_and_a_vector_that_all_keys_share(case, rng):
    sample = router_limit.rival(case, rng)
    width = sample.keys.shape[1]
    turn, shift = orthonormal(rng, width, width), rng.standard_normal(width)
    for change in (lambda x: x @ turn, lambda x: x + shift):
        there = replace(sample, keys=change(sample.keys), inputs=change(sample.inputs))
        assert router_limit.measure(case, there) == router_limit.measure(case, sample)
    yield case, 1.0


@road(router_limit, rel=1e-6)
def wrong_answers_by_the_density_of_the_largest_foreign_score(case, _):
    """One less the probability that the largest of the others beats the own score."""
    others, apart = case.adapters - 1, case.strength * sqrt(1 - case.cosine)
    z = np.linspace(-9, 15, 200_001)
    largest = others * stats.norm.pdf(z) * stats.norm.cdf(z) ** (others - 1)
    wrong = np.sum(largest * stats.norm.cdf(z - apart)) * (z[1] - z[0])
    yield case, 1 - wrong


# soft routing


def asked(*joint):
    joint = np.array(joint)
    return router_limit.Mixing(joint, np.stack([np.eye(joint.shape[1])] * len(joint)))


@example("soft-routing")
def of_two_inputs_one_certain_and_one_in_three_ways():
    """One input in four is anybody's of three: ¼ (1 − 3/9); a coin's toss among two leaves ½."""
    case = asked([0.25, 0.5, 0], [1 / 12, 1 / 12, 1 / 12])
    thirds = np.array([[1 / 3, 2 / 3, 0], [1 / 3, 1 / 3, 1 / 3]])
    yield case, 0.75 * 4 / 9 + 0.25 * 2 / 3, (thirds + np.array([[0.1, 0, 0]]), 0.5 + 0.01)
    yield asked([0.5, 0.5]), 0.5, (np.array([[1.0, 0.0]]), 1.0), (np.zeros((1, 2)), 1.0)
    yield asked([0.3, 0.0], [0.0, 0.7], [0.0, 0.0]), 0.0
    yield asked([1.0]), 0.0


@symmetry("soft-routing")
def order_of_inputs_and_adapters_a_turn_and_an_input_asked_in_two_parts(case, rng):
    wide = case.answers.shape[1]
    order, names = rng.permutation(len(case.joint)), rng.permutation(case.joint.shape[1])
    answers = (orthonormal(rng, wide, wide) @ case.answers)[order][:, :, names]
    joint = case.joint[order][:, names]
    parts = np.concatenate([joint / 3, joint * 2 / 3])
    yield router_limit.Mixing(parts, np.concatenate([answers, answers])), 1.0


# router information


def told(adapters, error):
    return router_limit.Erring(adapters, error, np.zeros(1))


@example("router-information")
def a_bit_for_two_adapters_nothing_at_chance_and_a_quarter_wrong_among_four():
    """By hand: h(¼) = ln 4 − ¾ ln 3, so that ln 4 − h(¼) − ¼ ln 3 is ½ ln 3."""
    yield told(2, 0.0), log(2)
    yield told(2, 0.5), 0.0
    yield told(7, 6 / 7), 0.0
    yield told(4, 0.25), log(3) / 2
    # told whether it is one of the first two or of the last two: a bit, half of the time wrong
    halves = np.kron(np.eye(2), np.ones((2, 1))) / 4
    yield told(4, 0.5), log(2) - log(3) / 2, (router_limit.route(halves), log(2))


@symmetry("router-information")
def an_input_in_two_parts_and_names_of_adapters(case, rng):
    inputs = router_limit.rival_information(case, rng)
    order = rng.permutation(case.adapters)
    parts = np.concatenate([inputs.joint / 4, inputs.joint * 3 / 4], axis=1)[order]
    same = router_limit.measure_information(case, router_limit.route(parts))
    assert same == pytest.approx(router_limit.measure_information(case, inputs), abs=1e-12)
    yield case, 1.0


# threshold samples


@example("threshold-samples")
def of_one_response_half_the_time_and_299_for_one_in_a_hundred():
    yield gates.Calibrated(1, 1, 0.5, 3), 0.5
    yield gates.Calibrated(3, 2, 0.5, 1), 4 / 8
    yield gates.Calibrated(2, 2, 0.25, 2), 1 - 0.25**2
    assert gates.exceedance(299, 1, 0.01) < 0.05
    assert gates.exceedance(298, 1, 0.01) > 0.05


@symmetry("threshold-samples")
def the_order_of_responses(case, rng):
    responses = gates.rival_threshold(case, rng)
    other = replace(responses, squared=rng.permuted(responses.squared, axis=1))
    assert gates.measure_threshold(case, other) == gates.measure_threshold(case, responses)
    yield case, 1.0


@road("threshold-samples")
def the_beta_law_of_an_order_statistic(case, _):
    yield case, stats.beta.sf(case.rate, case.order, case.samples + 1 - case.order)


# Arrow's law


@example("arrow-law")
def an_even_chance_grows_by_an_arctangent_with_the_strength():
    """For two adapters P(|g| > c |g'|) = 1 − (2/π) arctan c, here at c = 1 − ½ and 1 − 0."""
    half = 1 - 2 / pi * np.arctan(0.5)
    yield arrow.Drawn(2, (1.0, sqrt(0.5)), 1), half
    for adapters in (2, 5):
        yield arrow.Drawn(adapters, (1.0, 0.0)), 1.0
        yield arrow.Drawn(adapters, (1.0, 0.0), 1), 1 / adapters


@symmetry("arrow-law")
def a_turn_of_inputs_and_signs_of_keys(case, rng):
    libraries = arrow.rival_law(case, rng)
    turn = orthonormal(rng, case.width, case.width)
    signs = rng.choice([-1.0, 1.0], (len(case.strengths), 1))
    other = replace(libraries, keys=libraries.keys @ turn * signs)
    there, here = (arrow.measure_law(case, each) for each in (other, libraries))
    # signs change the angles of keys to each other's, so only the law is the same
    assert abs(there - here) <= 2 * arrow.noise_law(case)
    yield case, 1.0


@road("arrow-law", rel=1e-6)
def integrated_over_the_largest_foreign_score(case, _):
    others, s = case.adapters - 1, case.strengths[case.fact]
    z = np.linspace(0, 12, 120_001)
    largest = others * 2 * stats.norm.pdf(z) * (2 * stats.norm.cdf(z) - 1) ** (others - 1)
    beaten = largest * 2 * stats.norm.sf((1 - s**2) * z)
    yield case, np.sum(beaten[1:] + beaten[:-1]) / 2 * (z[1] - z[0])


def library(rng, experts, facts, spare=3):
    frame = orthonormal(rng, experts * facts + spare, experts * facts)
    strengths = tuple(np.linspace(2.0, 1.0, facts) for _ in range(experts))
    return arrow.Case(tuple(np.split(frame, experts, axis=1)), strengths)


@pytest.mark.parametrize(("experts", "facts"), [(4, 8), (8, 4), (4, 2)])
@pytest.mark.parametrize("noise", [1e-3, 0.3, 2.0])
def test_noisy_accuracy_is_the_law_up_to_sampling(experts, facts, noise):
    """Hoeffding at 1e-9, over all keys and on the blind ones alone."""
    rng, trials, found = np.random.default_rng(experts + facts), 8000, []
    case = library(rng, experts, facts)
    scores = arrow_scores(list(arrow.attain(case)))
    for i, keys in enumerate(case.keys):
        shape = (trials, facts, len(keys))
        queries = (keys.T + noise * rng.standard_normal(shape)).reshape(-1, len(keys))
        # how often each key of this adapter is routed right
        found.append((scores(queries).argmax(axis=1) == i).reshape(shape[:2]).mean(axis=0))
    law, per = arrow.accuracy(facts, experts, noise), log(2e9) / (2 * trials * experts)
    assert np.mean(found) == pytest.approx(law, abs=sqrt(per / facts))
    blind = np.mean(np.array(found)[:, 1:])
    assert blind == pytest.approx(1 / experts, abs=sqrt(per / (facts - 1)))


def test_accuracies_by_hand_and_shared_ties():
    law = arrow.accuracy
    assert (law(1, 7), law(5, 1), law(8, 4)) == (1.0, 1.0, 0.34375)
    assert law(5, 1, 0.7) == pytest.approx(1.0)
    assert law(4, 4, 1e6) == pytest.approx(0.25, abs=1e-5)
    assert law(4, 4, 1e-4) == pytest.approx(law(4, 4))
    assert arrow.chance(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), 0) == 0.25
