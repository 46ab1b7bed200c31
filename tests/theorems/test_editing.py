"""Editing: hand examples, symmetries, other roads, exact counts."""

import numpy as np
from theorems.owed import example, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.editing import (
    hebbian_memory,
    superposition_floor,
)

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
