"""Editing: hand examples, symmetries, other roads, exact counts."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy
from theorems.owed import attack, basis_of, example, road, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.editing import (
    carried_edit,
    counting_ceiling,
    hebbian_memory,
    superposition_floor,
)
from loratheory.theorems.expressiveness import argmax_margin

# superposition floor


@example(superposition_floor)
def three_facts_in_two_ranks_are_the_corners_of_a_triangle():
    """Inner products -1/2, squared 1/4; unequal responses of mean one can be silent."""
    case = superposition_floor.Case(np.eye(3), np.eye(3), rank=2)
    table = superposition_floor.responses(case, superposition_floor.attain(case))
    np.testing.assert_allclose(table, 1.5 * np.eye(3) - 0.5, atol=1e-15)
    yield case, 1 / 4
    four = superposition_floor.Case(np.eye(4), np.eye(4), rank=2)
    yield four, 2 / (2 * 3), (LowRank(2 * np.eye(4)[:, :2], np.eye(4)[:2]), 0.0)
    for facts in range(1, 10):
        axes = np.eye(9)[:, :facts]
        case = superposition_floor.Case(axes, axes, rank=facts)
        yield case, 0.0, (LowRank(np.eye(9), np.eye(9)), 0.0)


@attack(superposition_floor, rel=5e-3)
def alternating_least_squares_finds_quiet_codes():
    yield superposition_floor.Case(np.eye(7), np.eye(7), rank=3), 4 / (3 * 6)


@symmetry(superposition_floor)
def length_basis_and_order(case, rng):
    (n, facts), m = case.keys.shape, case.outputs.shape[0]
    order, inner, outer = rng.permutation(facts), orthonormal(rng, n, n), orthonormal(rng, m, m)
    keys, outputs = 3 * inner @ case.keys[:, order], 5 * outer @ case.outputs[:, order]
    best = superposition_floor.attain(case)
    turned = LowRank(outer @ best.up / 5, best.down @ inner.T / 3)
    gauge = 2 * np.eye(best.width) + 0.5 * orthonormal(rng, *[best.width] * 2)
    value = superposition_floor.bound(case)
    other = superposition_floor.Case(keys, outputs, case.rank)
    yield other, 1.0, (turned.regauged(gauge), value)


# Hebbian memory


@example(hebbian_memory)
def one_fact_in_one_dimension_is_chi_squared_and_orthogonal_reads_keep_the_noise_alone():
    """Second moment 1 + 2 / r at rank 4, else |y|² |x|² / r; an empty memory is silent."""
    one = np.ones((1, 1))
    yield hebbian_memory.Case(LowRank(one, one), np.ones(1), np.ones(1), rank=4), 1.5
    axes = LowRank(np.eye(2), np.eye(2)), np.array([1.0, 0.0]), np.array([0.0, 3.0])
    yield hebbian_memory.Case(*axes, rank=4), 9 / 4
    none = LowRank(np.zeros((2, 0)), np.zeros((0, 3)))
    yield hebbian_memory.Case(none, np.ones(2), np.ones(3), rank=2), 0.0


@symmetry(hebbian_memory, rel=1e-8)
def size_rotation_and_gauge(case, rng):
    (m, n), memory = case.memory.shape, case.memory
    inner, outer = orthonormal(rng, n, n), orthonormal(rng, m, m)
    gauge = 2 * np.eye(memory.width) + 0.5 * orthonormal(rng, *[memory.width] * 2)
    turned = LowRank(outer @ memory.up, memory.down @ inner.T).regauged(gauge)
    yield hebbian_memory.Case(turned, outer @ case.read, 2 * inner @ case.query, case.rank), 4.0


# counting ceiling


TWO = np.array([[1.0, -1.0]])


@example(counting_ceiling)
def two_tokens_and_one_free_number_allow_8_e_n_maps_where_there_are_two():
    keys = np.array([[1.0, -2.0, 3.0]])
    both = np.array([[[1.0]], [[-1.0]]]), np.ones((2, 1, 1)), keys[None]
    memories = counting_ceiling.Memories(*both)
    case = counting_ceiling.Case(keys, TWO, rank=1)
    assert counting_ceiling.answers(case, memories) == {(0, 1, 0), (1, 0, 1)}
    yield case, math.log(8), (memories, math.log(2))  # no more than all there are
    nine = counting_ceiling.Case(np.ones((1, 9)), TWO, rank=1)
    idle = counting_ceiling.Memories(np.zeros((2, 1, 1)), np.ones((2, 1, 1)), nine.keys[None])
    yield nine, math.log(8 * math.e * 9), (idle, -math.inf)  # ties are no answers


def cells(vectors, reach):
    """An integer direction in each cell of the plane cut by the lines across these vectors."""
    found = {}
    for a, b in product(range(-reach, reach + 1), repeat=2):
        seen = [a * x + b * y for x, y in vectors]
        if all(seen):
            found[tuple(s > 0 for s in seen)] = a, b
    return list(found.values())


@example(counting_ceiling)
def every_map_of_rank_one_is_counted_in_integers():
    """Three tokens, twenty keys in the plane: 6 N maps, where Warren allows (160 e)^3."""
    keys = [((-1) ** x * x, (-1) ** x) for x in range(-10, 10)]
    outputs = [(2, 0), (-1, 2), (-1, -3)]
    ups, downs = cells([(3, -2), (3, 3), (0, 5)], 9), cells(keys, 20)
    said = [[a * u + b * v for u, v in outputs] for a, b in ups]
    heard = [[a * x + b * y for x, y in keys] for a, b in downs]
    maps = {tuple(s.index((min, max)[h > 0](s)) for h in row) for s in said for row in heard}
    assert (len(ups), len(downs), len(maps)) == (6, 2 * 20, 6 * 20)
    case = counting_ceiling.Case(np.array(keys, float).T, np.array(outputs, float).T, rank=1)
    up, down = np.array(list(product(ups, downs)), float).transpose(1, 0, 2)
    every = counting_ceiling.Memories(up[:, :, None], down[:, None, :], case.keys[None])
    assert counting_ceiling.answers(case, every) == maps
    yield case, float(3 * (sympy.log(160) + 1)), (every, math.log(120))


@symmetry(counting_ceiling, size=5)
def size_rotation_and_gauge_of_memories(case, rng):
    memories, (n, facts), m = counting_ceiling.rival(case, rng), case.keys.shape, len(case.outputs)
    inner, outer, order = orthonormal(rng, n, n), orthonormal(rng, m, m), rng.permutation(facts)
    gauge = basis_of(rng, case.rank)
    keys = 3 * inner @ case.keys[:, order]
    other = counting_ceiling.Case(keys, outer @ case.outputs, case.rank)
    up, down = outer @ memories.up @ gauge, np.linalg.inv(gauge) @ memories.down @ inner.T
    same = counting_ceiling.measure(case, memories)
    yield other, 1.0, (counting_ceiling.Memories(up, down, keys[None]), same)


# Counting


def test_ceilings_by_hand_and_a_walk_finds_many_maps():
    log_ceiling = counting_ceiling.log_ceiling
    assert log_ceiling(50, 3, 1, 1, 1) == pytest.approx(math.log(4 * math.e * 300), rel=1e-14)
    # p = 2 (3 + 3 - 2) = 8 variables, 100 * 2 * 1 = 200: (800 e / 8)^8 = (100 e)^8
    expected = min(8 * (math.log(100) + 1), 100 * math.log(2))
    assert log_ceiling(100, 2, 3, 3, 2) == pytest.approx(expected)
    rng = np.random.default_rng(3)
    case = counting_ceiling.Case(rng.standard_normal((2, 30)), rng.standard_normal((2, 3)), rank=2)
    assert counting_ceiling.measure(case, counting_ceiling.adversary(case, rng)) > math.log(40)
    wanted = rng.integers(0, 50, 900).tolist()  # outputs chosen after the facts escape
    assert np.argmax(argmax_margin.circle(wanted, 50).dense(), axis=0).tolist() == wanted
    assert log_ceiling(900, 50, 2, 2, 2) < 900 * math.log(50) / 50
    for wrong in ((0, 2, 1, 1, 1), (1, 1, 1, 1, 1), (1, 2, 3, 2, 3)):
        with pytest.raises(ValueError, match="give at least one fact"):
            log_ceiling(*wrong)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2048, 128, 128, 32), (10, 8, 6, 3)])
def test_the_largest_memory_fits_and_one_more_fact_does_not(shape):
    facts, every = counting_ceiling.largest_memory(*shape), math.log(shape[0])
    assert counting_ceiling.log_ceiling(facts, *shape) == pytest.approx(facts * every, rel=1e-11)
    assert counting_ceiling.log_ceiling(facts + 1, *shape) < (facts + 1) * every
    for spent in (1, 8, 32, 128):  # fewer than three facts a parameter, at any rank
        assert (
            1 < counting_ceiling.largest_memory(2048, 128, 128, spent) / (spent * (256 - spent)) < 3
        )


# carried edit


@example(carried_edit)
def one_hot_tokens_divide_by_the_root_of_two_and_the_nearest_border_may_not_be_the_runner_up():
    """Margins 2 and 3 at distances √2 and 5: the second is nearer."""
    yield carried_edit.Case(np.eye(2), np.array([[3.0], [1.0]]), np.ones(1)), math.sqrt(2)
    outputs = np.array([[1.0, 0.0], [0.0, 1.0], [-2.0, 4.0]])
    case = carried_edit.Case(outputs, np.array([[2.0], [0.0]]), np.ones(1))
    assert [margin for margin, _ in case.rivals] == [2.0, 6.0]
    yield case, 6 / 5


@symmetry(carried_edit)
def units_of_outputs_states_and_keys(case, rng):
    turn = orthonormal(rng, len(case.weight), len(case.weight))
    turned = replace(case, outputs=3 * case.outputs @ turn.T, weight=2 * turn @ case.weight)
    yield turned, 2.0
    # larger shifts would swallow the outputs
    shift = abs(case.outputs).max() * rng.standard_normal(len(turn))
    yield replace(case, outputs=case.outputs[::-1] + shift), 1.0


@road(carried_edit)
def the_nearest_foot_on_a_border(case, _):
    """Project the state on each border: the closest foot is the radius away."""
    feet = [case.state - m / float(gap @ gap) * gap for m, gap in case.rivals]
    for foot, (_, gap) in zip(feet, case.rivals, strict=True):
        assert abs(float(gap @ foot)) <= 1e-9 * np.linalg.norm(gap) * carried_edit.scale(case)
    yield case, min(np.linalg.norm(case.state - foot) for foot in feet)
