"""What the theorems on routing are owed: hand examples, symmetries, other roads."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from math import acos, cos, pi, sin, sqrt

import numpy as np
import sympy as sp
from scipy import stats
from theorems.owed import example, floats, road, symmetry

from loratheory import toy
from loratheory.adapters import arrow_scores
from loratheory.lowrank import orthonormal
from loratheory.theorems import (
    arrow_blind_spot,
    arrow_law,
    gate_detection,
    router_limit,
    single_read_no_go,
    threshold_samples,
)

# Arrow's blind spot


@example(arrow_blind_spot)
def of_two_adapters_with_two_facts_keys_1_and_3_are_found_and_2_and_4_a_coins_toss():
    case = arrow_blind_spot.Case((np.eye(4)[:, :2], np.eye(4)[:, 2:]), (np.array([2.0, 1.0]),) * 2)
    scores = arrow_scores(list(arrow_blind_spot.attain(case)))(np.eye(4))
    np.testing.assert_allclose(scores, np.eye(4)[:, [0, 2]], atol=1e-15)
    yield case, float((Fraction(1) + Fraction(1, 2)) / 2)
    yield arrow_blind_spot.Case(case.keys[:1], case.strengths[:1]), 1.0


@road(arrow_blind_spot)
def dense_singular_vectors_score_1_on_top_keys_and_0_on_all_others(case, rng):
    adapters = arrow_blind_spot.rival(case, rng)
    top = [np.linalg.svd(low.dense())[2][0] for low in adapters]
    scores = np.sort(np.abs(np.stack(top) @ np.concatenate(case.keys, axis=1)), axis=0)
    room = 1e-11 * arrow_blind_spot.condition(case)
    np.testing.assert_allclose(scores, np.round(scores), atol=room)
    hits = np.mean([1 / len(top) if s.max() < 0.5 else 1.0 for s in scores.T])
    yield case, hits, (adapters, hits)


@symmetry(arrow_blind_spot)
def size_rotation_and_order(case, rng):
    n, order = len(case.keys[0]), rng.permutation(case.keys[0].shape[1])
    turn = orthonormal(rng, n, n)
    keys = tuple((turn @ k)[:, order] for k in reversed(case.keys))
    strengths = tuple(rng.uniform(0.1, 10) * s[order] for s in reversed(case.strengths))
    yield arrow_blind_spot.Case(keys, strengths), 1.0


# Arrow's margin


def planar(*angles, angle=0.0, sizes=None):
    frame = np.array([[cos(a) for a in angles], [sin(a) for a in angles]])
    return arrow_blind_spot.Near(frame, sizes or (1.0,) * len(angles), angle)


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


@example("arrow-margin")
def the_rim_in_exact_rationals():
    """Lines at 3-4-5 and 5-12-13 in a turned frame, queries at 5-12-13: the least is 4/65."""
    turn = sp.Matrix([[1, 2, 2], [2, 1, -2], [2, -2, 1]]) / 3
    rows = sp.diag(1, sp.Rational(1, 5), sp.Rational(1, 13))
    frame = rows * sp.Matrix([[1, 0, 0], [-3, -4, 0], [5, 0, 12]]) * turn
    rim = [(5, 0), (4, 3), (3, 4), (0, 5), (-3, 4), (-5, 0), (-4, -3), (0, -5), (3, -4)]
    queries = [sp.Matrix([[12, x, y]]) * turn / 13 for x, y in rim]
    scores = [(frame * query.T).applyfunc(abs) for query in queries]
    margins = [own - max(others) for own, *others in scores]
    assert min(margins) == margins[0] == sp.Rational(12, 13) - sp.Rational(56, 65)
    case = arrow_blind_spot.Near(floats(frame).T, (1e-9, 1.0, 5.0), acos(12 / 13))
    pairs = zip(queries, margins, strict=True)
    yield case, 4 / 65, *((floats(query)[0], float(margin)) for query, margin in pairs)


@road("arrow-margin")
def a_grid_of_directions_in_the_plane(_, rng):
    """Brute force: every direction within the angle, plain dot products."""
    case = planar(0.0, *rng.uniform(0.05, pi - 0.05, 3).tolist())
    case = replace(case, angle=float(rng.random()) * acos(max(case.cosines)))
    turns = np.linspace(-case.angle, case.angle, 2001)
    scores = np.abs(np.stack([np.cos(turns), np.sin(turns)], axis=1) @ case.prototypes)
    yield case, float((scores[:, 0] - scores[:, 1:].max(axis=1)).min())


@symmetry("arrow-margin", room=1e-7)
def rotation_signs_sizes_and_order_of_others(case, rng):
    n, k = case.prototypes.shape
    order, signs = np.r_[0, 1 + rng.permutation(k - 1)], rng.choice([-1.0, 1.0], k)
    frame = orthonormal(rng, n, n) @ case.prototypes[:, order] * signs
    yield (
        arrow_blind_spot.Near(frame, tuple((10.0 ** rng.uniform(-9, 9, k)).tolist()), case.angle),
        1.0,
    )


# gate detection


@example(gate_detection)
def one_fact_in_one_dimension_is_a_squared_cauchy_variable_and_two_in_three_a_ratio():
    for facts, width, threshold, alarm in (
        *((1, 1, 1.0, 1 / 2), (1, 1, 3.0, 1 / 3)),  # arctan(sqrt 3) = pi / 3
        *((2, 3, 0.25, 0.8), (2, 5, 0.25, 0.64)),  # 1 / (1 + t) and its square
    ):
        yield gate_detection.Case(facts, width, threshold), alarm


@road(gate_detection)
def the_tail_of_the_f_law(case, _):
    free = case.width - case.facts + 1
    yield case, stats.f.sf(case.threshold * free / case.facts, case.facts, free)


@symmetry(gate_detection)
def rotation_size_and_order_of_the_keys(case, rng):
    """A tie may fall either way; so the frequencies are compared with some room."""
    sample = gate_detection.rival(replace(case, trials=100), rng)
    turn = orthonormal(rng, case.width, case.width)
    keys, queries = 3 * turn @ sample.keys[:, :, ::-1], 3 * sample.queries @ turn.T
    there = gate_detection.measure(case, type(sample)(keys, queries))
    assert abs(gate_detection.measure(case, sample) - there) <= 0.01
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


def renamed(case, rng):
    """Keys turned and of another size, prompts in another order."""
    turn, factor = orthonormal(rng, *[len(case.base.T)] * 2), float(rng.uniform(0.1, 10))
    one, two, both = (factor * turn @ keys for keys in case.keys)
    keys = one, two, both[:, rng.permutation(len(case.shown))]
    return replace(case, base=case.base @ turn.T / factor, keys=keys)


@symmetry(single_read_no_go)
def size_rotation_and_order_of_prompts(case, rng):
    yield renamed(case, rng), 1.0


@road(single_read_no_go)
def every_rule_that_sees_weights_without_the_bridge_answers_by_chance(case, rng):
    case = renamed(replace(case, hidden="pairing", patterns=1), rng)
    rules = toy.added(1, 1), toy.added(*rng.normal(size=2)), toy.flattened, toy.crossed
    chance = 1 / len(case.shown)
    yield case, chance, *((rule, chance) for rule in (*rules, toy.responsive))


# unselective success


@example("unselective-success")
def keys_12_and_30_and_the_prompt_11_answer_with_three_fifths_and_a_third():
    case = single_read_no_go.OneFact(
        np.array([1.0, 2.0]), np.array([3.0, 0.0]), np.ones((2, 2)), 2, 2
    )
    merge = single_read_no_go.plain_sum(case)
    shares = [Fraction(1 + 2, 1 + 4), 0, Fraction(3, 9), 0]
    np.testing.assert_allclose(merge.logits(case.prompts[:, 0]), floats(shares), rtol=1e-14)
    yield case, 0.0, (merge, 1 / 3)
    apart = single_read_no_go.OneFact(
        np.array([1.0, 0]), np.array([1.0, 0]), np.array([[0.0, 0], [1, 1]]), 2, 2
    )
    yield apart, 0.0, (single_read_no_go.plain_sum(apart), 0.0)


@symmetry("unselective-success")
def size_and_order_of_units(case, rng):
    order, same = rng.permutation(len(case.first)), single_read_no_go.plain_sum(case)
    value = single_read_no_go.margin(case, same)
    moved = single_read_no_go.OneFact(
        7 * case.first[order], case.second[order], case.prompts[order], case.entities, case.answers
    )
    yield moved, 1.0, (single_read_no_go.plain_sum(moved), value)


# router limit


@example(router_limit)
def two_keys_at_right_angles_or_three_apart_and_keys_of_no_length():
    """Half the distance of two keys is what noise must overcome: Φ(√2) for 2 at right angles."""
    yield router_limit.Case(2, 2.0, 0.0), stats.norm.cdf(sqrt(2))
    yield router_limit.Case(2, 1.5, -1.0), stats.norm.cdf(1.5)
    yield router_limit.Case(7, 0.0, 0.0), 1 / 7
    yield router_limit.Case(40, 0.0, 0.5), 1 / 40


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


# threshold samples


@example(threshold_samples)
def of_one_response_half_the_time_and_299_for_one_in_a_hundred():
    yield threshold_samples.Case(1, 1, 0.5, 3), 0.5
    yield threshold_samples.Case(3, 2, 0.5, 1), 4 / 8
    yield threshold_samples.Case(2, 2, 0.25, 2), 1 - 0.25**2
    assert threshold_samples.exceedance(299, 1, 0.01) < 0.05
    assert threshold_samples.exceedance(298, 1, 0.01) > 0.05


@symmetry(threshold_samples)
def the_order_of_responses(case, rng):
    responses = threshold_samples.rival(case, rng)
    other = replace(responses, squared=rng.permuted(responses.squared, axis=1))
    assert threshold_samples.measure(case, other) == threshold_samples.measure(case, responses)
    yield case, 1.0


@road(threshold_samples)
def the_beta_law_of_an_order_statistic(case, _):
    yield case, stats.beta.sf(case.rate, case.order, case.samples + 1 - case.order)


# Arrow's law


@example(arrow_law)
def an_even_chance_grows_by_an_arctangent_with_the_strength():
    """For two adapters P(|g| > c |g'|) = 1 − (2/π) arctan c, here at c = 1 − ½ and 1 − 0."""
    half = 1 - 2 / pi * np.arctan(0.5)
    yield arrow_law.Case(2, (1.0, sqrt(0.5))), (1 + half) / 2
    yield arrow_law.Case(5, (1.0,)), 1.0
    for adapters in (2, 5):
        yield arrow_law.Case(adapters, (1.0, 0.0, 0.0)), (1 + 2 / adapters) / 3


@symmetry(arrow_law)
def a_turn_of_inputs_and_signs_of_keys(case, rng):
    libraries = arrow_law.rival(case, rng)
    turn = orthonormal(rng, case.width, case.width)
    signs = rng.choice([-1.0, 1.0], (len(case.strengths), 1))
    other = replace(libraries, keys=libraries.keys @ turn * signs)
    there, here = (arrow_law.measure(case, each) for each in (other, libraries))
    # signs change the angles of keys to each other's, so only the law is the same
    assert abs(there - here) <= 2 * arrow_law.noise(case)
    yield case, 1.0


@road(arrow_law, rel=1e-6)
def integrated_over_the_largest_foreign_score(case, _):
    others, total = case.adapters - 1, 0.0
    z = np.linspace(0, 12, 120_001)
    largest = others * 2 * stats.norm.pdf(z) * (2 * stats.norm.cdf(z) - 1) ** (others - 1)
    for s in case.strengths:
        beaten = 2 * stats.norm.sf((1 - s**2) * z)
        total += np.sum((largest * beaten)[1:] + (largest * beaten)[:-1]) / 2 * (z[1] - z[0])
    yield case, total / len(case.strengths)
