"""counting_ceiling: by hand, all maps, Cover's exact count, walks, symmetries, limits."""

import math
import re
from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.editing.counting_ceiling import (
    THEOREM,
    Case,
    Memories,
    adversary,
    answers,
    bound,
    largest_memory,
    log_ceiling,
    measure,
)
from loratheory.theorems.expressiveness.argmax_rank import circle

TWO = np.array([[1.0, -1.0]])


def test_one_parameter_by_hand():
    # two tokens, one free number: at most 4 e N 2 maps of N facts, in truth two
    assert log_ceiling(9, 2, 1, 1, 1) == pytest.approx(math.log(8 * math.e * 9), rel=1e-14)
    assert log_ceiling(50, 3, 1, 1, 1) == pytest.approx(math.log(4 * math.e * 300), rel=1e-14)
    assert log_ceiling(3, 2, 1, 1, 1) == pytest.approx(math.log(8), rel=1e-14)  # all there are
    keys = np.array([[1.0, -2.0, 3.0]])
    both = Memories(np.array([[[1.0]], [[-1.0]]]), np.ones((2, 1, 1)), keys[None])
    case = Case(keys, TWO, rank=1)
    assert answers(case, both) == {(0, 1, 0), (1, 0, 1)}
    assert measure(case, both) == pytest.approx(math.log(2), rel=1e-15)


def cells(vectors, reach):
    """An integer direction in each cell of the plane cut by the lines across these vectors."""
    found = {}
    for a, b in product(range(-reach, reach + 1), repeat=2):
        seen = [a * x + b * y for x, y in vectors]
        if all(seen):
            found[tuple(s > 0 for s in seen)] = a, b
    return list(found.values())


def test_every_map_of_rank_one_is_counted_in_integers():
    """Three tokens, twenty keys in the plane: 6 N maps, where Warren allows (160 e)^3."""
    keys = [((-1) ** x * x, (-1) ** x) for x in range(-10, 10)]
    outputs = [(2, 0), (-1, 2), (-1, -3)]
    ups, downs = cells([(3, -2), (3, 3), (0, 5)], 9), cells(keys, 20)
    said = [[a * u + b * v for u, v in outputs] for a, b in ups]
    heard = [[a * x + b * y for x, y in keys] for a, b in downs]
    maps = {tuple(s.index((min, max)[h > 0](s)) for h in row) for s in said for row in heard}
    assert (len(ups), len(downs), len(maps)) == (6, 2 * 20, 6 * 20)
    assert len(maps) < (160 * sp.E) ** 3 < 3**20
    case = Case(np.array(keys, float).T, np.array(outputs, float).T, rank=1)
    up, down = np.array(list(product(ups, downs)), float).transpose(1, 0, 2)
    every = Memories(up[:, :, None], down[:, None, :], case.keys[None])
    assert answers(case, every) == maps
    assert measure(case, every) == pytest.approx(math.log(120), rel=1e-12)
    assert bound(case) == pytest.approx(float(3 * (sp.log(160) + 1)), rel=1e-12)


def test_two_tokens_three_dimensions_rank_two_by_hand():
    # p = 2 (3 + 3 - 2) = 8 variables, 100 * 2 * 1 = 200: (800 e / 8)^8 = (100 e)^8
    expected = 8 * (math.log(100) + 1)
    assert min(expected, 100 * math.log(2)) == pytest.approx(log_ceiling(100, 2, 3, 3, 2))


@pytest.mark.parametrize("facts", [2, 5, 9])
def test_a_full_circle_finds_exactly_the_dichotomies_that_cover_counted(facts):
    """Two tokens and rank one in the plane: 2 N maps, below the ceiling and its reason to exist."""
    rng = np.random.default_rng(facts)
    keys, turn = rng.standard_normal((2, facts)), np.linspace(0, 2 * np.pi, 20001)[:-1]
    down = np.stack([np.cos(turn), np.sin(turn)], axis=1)[:, None, :]
    case = Case(keys, TWO, rank=1)
    found = answers(case, Memories(np.ones((len(turn), 1, 1)), down, keys[None]))
    assert len(found) == 2 * facts
    assert math.log(2 * facts) <= bound(case)


@given(seeds)
@settings(max_examples=25)
def test_walks_through_the_updates_stay_below(seed):
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 8)
    walked, random = adversary(case, rng), THEOREM.rival(case, rng)
    assert THEOREM.check(case, walked).holds
    assert THEOREM.check(case, random).holds
    both = answers(case, walked) | answers(case, random)
    assert math.log(max(len(both), 1)) <= bound(case) + 1e-12


def test_a_walk_finds_many_maps():
    rng = np.random.default_rng(3)
    case = Case(rng.standard_normal((2, 30)), rng.standard_normal((2, 3)), rank=2)
    assert measure(case, adversary(case, rng)) > math.log(40)


@given(seeds)
@settings(max_examples=25)
def test_scale_rotation_and_gauge_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 5)
    memories = THEOREM.rival(case, rng)
    (n, facts), m = case.keys.shape, case.outputs.shape[0]
    inner, outer, order = orthonormal(rng, n, n), orthonormal(rng, m, m), rng.permutation(facts)
    gauge = 2 * np.eye(case.rank) + orthonormal(rng, case.rank, case.rank) / 2
    keys = 3 * inner @ case.keys[:, order]
    other = Case(keys, outer @ case.outputs, case.rank)
    up, down = outer @ memories.up @ gauge, np.linalg.inv(gauge) @ memories.down @ inner.T
    assert measure(other, Memories(up, down, keys[None])) == measure(case, memories)
    assert bound(other) == bound(case)


def test_ties_are_no_answers():
    case = Case(np.ones((1, 3)), TWO, rank=1)
    idle = Memories(np.zeros((2, 1, 1)), np.ones((2, 1, 1)), case.keys[None])
    assert answers(case, idle) == set()
    assert measure(case, idle) == -math.inf


@given(st.integers(1, 400), st.integers(2, 9), st.integers(1, 6), st.integers(1, 6), st.data())
def test_more_of_anything_allows_more_and_never_more_than_all(facts, tokens, m, n, data):
    rank = data.draw(st.integers(1, min(m, n)))
    here = log_ceiling(facts, tokens, m, n, rank)
    assert here <= facts * math.log(tokens) * (1 + 1e-15)
    for more in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)):
        f, t, a, b = more
        assert log_ceiling(facts + f, tokens + t, m + a, n + b, rank) >= here * (1 - 1e-12)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2048, 128, 128, 32), (10, 8, 6, 3)])
def test_the_largest_memory_fits_and_one_more_fact_does_not(shape):
    facts = largest_memory(*shape)
    every = math.log(shape[0])
    assert log_ceiling(facts, *shape) == pytest.approx(facts * every, rel=1e-11)
    assert log_ceiling(facts + 1, *shape) < (facts + 1) * every


def test_memory_grows_with_the_parameters_not_with_tricks():
    """At 2048 tokens and width 128 fewer than three facts a parameter, at any rank."""
    for rank in (1, 8, 32, 128):
        free = rank * (256 - rank)
        assert 1 < largest_memory(2048, 128, 128, rank) / free < 3


def test_outputs_chosen_after_the_facts_escape():
    """A circle of outputs and free keys stores any map at rank two."""
    wanted = np.random.default_rng(0).integers(0, 50, 900).tolist()
    assert np.argmax(circle(wanted, 50).dense(), axis=0).tolist() == wanted
    assert log_ceiling(900, 50, 2, 2, 2) < 900 * math.log(50) / 50


@pytest.mark.parametrize("wrong", [(0, 2, 1, 1, 1), (1, 1, 1, 1, 1), (1, 2, 3, 2, 3)])
def test_what_no_update_is_is_refused(wrong):
    with pytest.raises(ValueError, match="give at least one fact"):
        log_ceiling(*wrong)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
