"""Libraries: hand examples, symmetries, other roads, simulated gates."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc
from theorems.owed import example, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems._sampling import unit_vectors
from loratheory.theorems.editing import hebbian_memory
from loratheory.theorems.libraries import interference, sequential_forgetting
from loratheory.theorems.routing import gates

# library capacity


@example("library-capacity")
def three_adapters_alarm_half_the_time_and_two_facts_in_five_dimensions_16_of_25():
    """One foreign adapter, two reads: (9/25)²; an adapter alone is never disturbed."""
    for adapters, facts, width, threshold, hops, clean in (
        *((3, 1, 1, 1.0, 1, 1 / 4), (2, 2, 5, 0.25, 2, 81 / 625), (1, 3, 8, 0.5, 4, 1.0)),
    ):
        yield gates.Gated(adapters, facts, width, threshold, hops), clean


@symmetry("library-capacity")
def size_and_order_of_adapters_and_units(case, rng):
    library = gates.rival_library(case, rng)
    keys, queries = 3 * library.keys[:, :, ::-1, :, ::-1], 3 * library.queries
    there = gates.measure_library(case, type(library)(keys, queries))
    assert abs(gates.measure_library(case, library) - there) <= 0.01
    yield case, 1.0


# merged memory


def shared(keys, outputs, read, query, rank):
    """Facts by keys and outputs, for any number of adapters."""
    return hebbian_memory.Case(LowRank(outputs, keys.T), read, query, rank)


@example("merged-memory")
def two_facts_of_one_output_have_4_in_one_adapter_or_two_and_3_apart():
    """Y = (1, 1), x = (1, 0), rank 1: signal 1 counts twice, |y|² |x|² = 2 once."""
    case = shared(np.eye(2), np.ones((1, 2)), np.ones(1), np.array([1.0, 0.0]), rank=1)
    together = ((hebbian_memory.share(owner, 1), 4.0) for owner in ((0, 0), (0, 1)))
    yield case, 4.0, *together, (hebbian_memory.Library((0, 1), (1, 1), (1.0, 0.0)), 3.0)
    one = shared(np.eye(3)[:, :1], np.ones((2, 1)), np.ones(2), np.eye(3)[0], rank=2)
    yield one, 4 * 1.5 + 4 / 2, (hebbian_memory.share((0,), 2), 8.0)


@symmetry("merged-memory", rel=1e-8)
def size_rotation_order_and_names_of_adapters(case, rng):
    (m, n), facts = case.memory.shape, case.memory.width
    inner, outer, order = orthonormal(rng, n, n), orthonormal(rng, m, m), rng.permutation(facts)
    memory = LowRank(outer @ case.memory.up[:, order], case.memory.down[order] @ inner.T)
    other = replace(case, memory=memory, read=3 * outer @ case.read, query=inner @ case.query)
    library = hebbian_memory.rival_shared(other, rng)
    names = tuple(len(library.ranks) - 1 - k for k in library.owner)
    same = hebbian_memory.measure_shared(other, library)
    witnesses = (replace(library, owner=names), same), (library, 9 * hebbian_memory.bound(case))
    yield other, 9.0, *witnesses


# random interference


@example("random-interference")
def on_a_line_a_turn_is_a_sign_and_two_adapters_of_1_overturn_a_lead_of_2_one_time_in_four():
    case = interference.Turned(np.ones((1, 2, 1)), np.array([2.0]))
    signs = np.array([[[a], [b]] for a, b in product((1.0, -1.0), repeat=2)])
    yield case, math.exp(-1), (signs, 1 / 4)
    silent = np.stack([np.zeros((2, 3)), np.ones((2, 3))])  # cannot take the lead of a token
    yield interference.Turned(silent, np.array([0.1, 2.0])), math.exp(-1)


@symmetry("random-interference")
def units_rotation_and_order_of_tokens(case, rng):
    _, k, n = case.rows.shape
    turn, factor = orthonormal(rng, n, n), float(rng.uniform(0.1, 10))
    drawn = unit_vectors(rng, 200, k, n)
    rows = factor * (case.rows @ turn)[::-1]
    other = interference.Turned(rows, factor * case.margins[::-1], case.trials)
    there = interference.measure_random(other, drawn @ turn)
    assert abs(there - interference.measure_random(case, drawn)) <= 0.006
    yield other, 1.0


def test_one_foreign_adapter_overturns_a_lead_as_often_as_the_beta_law_says():
    rng = np.random.default_rng(0)
    for width, share in product((2, 5, 30), (0.1, 0.3, 0.6)):
        case = interference.Turned(np.eye(1, width)[None], np.array([share]), 20_000)
        exact = betainc((width - 1) / 2, 1 / 2, 1 - share**2) / 2
        found = interference.measure_random(case, unit_vectors(rng, case.trials, 1, width))
        assert abs(found - exact) <= 5 * (exact / case.trials) ** 0.5
        assert exact < interference.bound_random(case)


# interference angle


def line(x, y, size=1.0):
    return LowRank(np.array([[size], [0.0]]), np.array([[x, y]]))


@example("interference-angle")
def the_second_reads_34_fifths_with_norm_10_and_the_first_10_so_it_answers_6():
    case = interference.Case(line(1.0, 0.0), line(0.6, 0.8, 10.0))
    np.testing.assert_allclose(interference.worst_response(case), 6.0, rtol=1e-14)
    asked = interference.Answer(case.second, np.array([[2.0], [0.0]]))
    yield case, 6.0, (asked, 6.0)


@example("interference-angle", tight=False)
def the_bound_is_for_all_adapters_with_that_row_space():
    """The second's strongest direction is far from the first: 10 allowed, 1 answered."""
    first = LowRank(np.eye(3)[:, :1], np.eye(3)[:1])
    case = interference.Case(first, LowRank(np.diag([1.0, 10.0, 0.0])[:, :2], np.eye(3)[:2]))
    np.testing.assert_allclose(interference.worst_response(case), 1.0)
    yield case, 10.0
    silent = LowRank(np.zeros((3, 0)), np.zeros((0, 3)))
    yield interference.Case(first, silent), 0.0
    yield interference.Case(silent, first), 0.0


@symmetry("interference-angle", rel=1e-8, conditioned=True)
def size_rotation_and_gauge(case, rng):
    (m, n), changed, factor = case.first.shape, [], float(rng.uniform(0.1, 10))
    back = orthonormal(rng, n, n)
    for low in (7.0 * case.first, factor * case.second):  # the first's size does not matter
        gauge = 2.0 * np.eye(low.width) + 0.5 * orthonormal(rng, low.width, low.width)
        changed.append(LowRank(orthonormal(rng, m, m) @ low.up, low.down @ back).regauged(gauge))
    yield interference.Case(*changed), factor


# packing floor


def library(adapters, rank, width):
    return interference.Packed(adapters, rank, width, np.zeros(1))


@example("packing-floor")
def three_lines_of_a_plane_enclose_60_degrees_and_four_of_five_dimensions_need_not_meet():
    """cos² 60° = 1/4; a simplex of 4 in space, each point a plane of six dimensions: 1/9."""
    yield library(3, 1, 2), 1 / 4
    yield library(4, 2, 6), 1 / 9
    yield library(2, 3, 3), 1.0
    yield library(4, 1, 5), 0.0
    yield library(5, 2, 4), 3 / 8  # the mean of 10 pairs
    # ranks that do not divide the width, one of them above half of it
    yield library(4, 2, 5), 1 / 5
    yield library(6, 5, 7), 23 / 35


@symmetry("packing-floor")
def rotation_order_and_frames(case, rng):
    frames = interference.rival_packing(case, rng)
    turn = orthonormal(rng, case.width, case.width)
    inner = orthonormal(rng, case.rank, case.rank)
    other = (turn @ frames @ inner)[rng.permutation(case.adapters)]
    assert interference.measure_packing(case, other) == pytest.approx(
        interference.measure_packing(case, frames)
    )
    yield case, 1.0


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 30), st.floats(0.2, 1.0), st.integers(1, 4))
def test_the_largest_library_is_the_largest_and_beats_the_union_bound(facts, free, threshold, hops):
    width, failure = facts + free, 0.05
    most = gates.largest_clean_library(facts, width, threshold, hops, failure)
    union = gates.largest_library(facts, width, threshold, hops, failure)
    alarm = gates.false_alarm(facts, width, threshold)
    assert most >= union
    assert hops * (union - 1) * alarm <= failure * (1 + 1e-12) < hops * union * alarm + 1e-12
    assert alarm < gates.false_alarm(facts, width, threshold / 2)
    assert alarm < gates.false_alarm(facts + 1, width + 1, threshold)
    if most < 1e9:
        clean = [gates.clean(k, facts, width, threshold, hops) for k in (most, most + 1)]
        assert clean[0] >= 1 - failure - 1e-9
        assert clean[1] < 1 - failure + 1e-9


def test_libraries_grow_exponentially_while_the_sum_breaks_linearly():
    energy, most = gates.interference, gates.largest_clean_library
    sizes = [most(4, width, 0.5, 2, 0.05) for width in (64, 96, 128)]
    assert min(sizes[1] / sizes[0], sizes[2] / sizes[1]) > 100
    assert energy(1 + (64 - 5) // 4, 4, 64) < 1 < energy(2 + (64 - 5) // 4, 4, 64)
    assert energy(sizes[0], 4, 64, 0.5) < 0.1
    # two facts in seven dimensions: mean 2/4; Beta(2, 2) above 1/5 is 1 - 3/25 + 2/125 = 112/125
    assert energy(4, 2, 7) == pytest.approx(3 / 2, rel=1e-14)
    assert energy(4, 2, 7, 0.25) == pytest.approx(1.5 * 112 / 125, rel=1e-13)
    assert (energy(1, 3, 8), energy(2, 7, 8)) == (0.0, math.inf)
    assert (most(1, 10**6, 0.5, 2, 0.01), most(8, 8, 0.5, 2, 0.01)) == (math.inf, 1)


@pytest.mark.parametrize("tokens", [1, 5])
def test_the_largest_library_fails_as_rarely_as_asked_and_the_next_does_not(tokens):
    most = interference.largest_library(256, 1.0, 0.5, tokens, 0.05)
    fails = []
    for others in (most - 1, most):
        rows = np.zeros((tokens, others, 256))
        rows[:, :, 0] = 0.5
        fails.append(interference.bound_random(interference.Turned(rows, np.ones(tokens))))
    assert fails[0] <= 0.05 < fails[1]
    assert interference.largest_library(64, 0.0, 1.0, 1, 0.05) == 1
    # unit edits add their own energy where the total rank of the others reaches the width
    assert [interference.energy(k, 3, 24) for k in (1, 5, 9)] == [0.0, 0.5, 1.0]


# sequential forgetting


@example(sequential_forgetting)
def a_line_in_the_plane_halves_and_a_full_adapter_forgets_all():
    yield sequential_forgetting.Case(2, 1, 3), 1 / 8
    yield sequential_forgetting.Case(5, 5, 1), 0.0
    yield sequential_forgetting.Case(9, 3, 2), 4 / 9
    # a line in the plane at the angle φ leaves sin² φ: a variance of 3/8 − 1/4
    case = sequential_forgetting.Case(2, 1, 1, trials=3600)
    assert sequential_forgetting.THEOREM.noise(case) == pytest.approx(800**-0.5, rel=0.1)


@symmetry(sequential_forgetting)
def one_adapter_more_takes_its_share(case, _):
    yield replace(case, later=case.later + 1), 1 - case.rank / case.width
