"""What the theorems on editing and training are owed: examples, symmetries, roads, attacks."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import sympy
from theorems.owed import attack, example, floats, integers, road, symmetry, theorem_of

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    batch_edit,
    counting_ceiling,
    edit_budget,
    hebbian_memory,
    least_change_edit,
    response_energy,
    superposition_floor,
)


def basis_of(rng, n):
    """Any invertible map of the inputs."""
    return 2 * np.eye(n) + orthonormal(rng, n, n) / 2


# edit budget


@example(edit_budget)
def one_key_with_two_targets_and_two_edits_at_rank_one():
    """The mean target 2 is written, 1 and 3 are each missed by 1; else the smaller edit is lost."""
    case = edit_budget.Case(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), rank=1)
    yield case, 2.0
    yield replace(case, rank=0), 1.0 + 9.0
    yield edit_budget.Case(np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([3.0, 1.0]), rank=1), 1.0


@road(edit_budget)
def contradiction_and_least_squares_in_exact_rationals(_, rng):
    """With enough rank the floor is the contradiction, a rational number for integer keys."""
    n, count, m = rng.integers(1, 4, 3).tolist()
    keys, wanted = integers(rng, n, count), integers(rng, m, count)
    missed = wanted * (sympy.eye(count) - keys.pinv() * keys)
    case = edit_budget.Case(floats(keys), floats(wanted), rank=min(m, n, count))
    best = edit_budget.attain(case).dense()
    np.testing.assert_allclose(best, floats(wanted * keys.pinv()), atol=1e-11)
    yield case, float(sum(entry**2 for entry in missed))


@road(edit_budget, rel=1e-8)
def numpys_pseudo_inverse_and_eigenvalues_of_a_gram_matrix(case, _):
    reachable = case.residuals @ np.linalg.pinv(case.keys, rcond=1e-12) @ case.keys
    energies = np.linalg.eigvalsh(reachable @ reachable.T)[::-1]
    yield case, ((case.residuals - reachable) ** 2).sum() + energies[case.rank :].sum()


@road(edit_budget)
def no_rank_loses_all_one_key_costs_rank_one_and_two_answers_half_their_distance(case, rng):
    yield replace(case, rank=0), (case.residuals**2).sum()
    yield edit_budget.Case(case.keys[:, :1], case.residuals[:, :1], rank=1), 0.0
    key, answers = rng.standard_normal((6, 1)), rng.standard_normal((5, 2))
    half = ((answers[:, 0] - answers[:, 1]) ** 2).sum() / 2
    yield edit_budget.Case(np.concatenate([key, key], axis=1), answers, rank=5), half


@attack(edit_budget)
def alternating_least_squares_arrives_at_the_floor():
    rng = np.random.default_rng(1)
    residuals = orthonormal(rng, 6, 4) * np.array([4.0, 2.0, 0.5, 0.1])
    yield edit_budget.Case(rng.standard_normal((6, 4)), residuals, rank=2), 0.26


@symmetry(edit_budget, rel=1e-8)
def size_rotation_mixing_and_input_basis(case, rng):
    (n, count), m, factor = case.keys.shape, case.residuals.shape[0], float(rng.uniform(0.1, 10))
    mixed, turn = orthonormal(rng, count, count), factor * orthonormal(rng, m, m)
    keys, residuals = basis_of(rng, n) @ case.keys @ mixed, turn @ case.residuals @ mixed
    yield edit_budget.Case(keys, residuals, case.rank), factor**2


# batch edit


@example(batch_edit)
def two_edits_at_unit_weights_are_written_by_half_and_the_smaller_is_lost_at_rank_one():
    case = batch_edit.Case(np.eye(2), np.diag([4.0, 2.0]), np.eye(2), rank=2)
    np.testing.assert_allclose(batch_edit.attain(case).dense(), np.diag([2.0, 1.0]), atol=1e-14)
    for rank, loss in ((2, 8 + 2), (1, 8 + 4), (0, 16 + 4), (99, 10)):
        yield replace(case, rank=rank), loss


@road(batch_edit)
def memit_and_its_gradient_in_exact_rationals(_, rng):
    n, facts, m = rng.integers(1, 4, 3).tolist()
    keys, values, root = integers(rng, n, facts), integers(rng, m, facts), integers(rng, n, n)
    moment = root * root.T + sympy.eye(n)
    edit = values * keys.T * (moment + keys * keys.T).inv()
    assert edit * moment + (edit * keys - values) * keys.T == sympy.zeros(m, n)
    price = (edit * moment * edit.T).trace() + sum(x**2 for x in edit * keys - values)
    case = batch_edit.Case(floats(keys), floats(values), floats(moment), rank=min(m, n))
    np.testing.assert_allclose(batch_edit.attain(case).dense(), floats(edit), atol=1e-11)
    yield case, float(price)


@road(batch_edit, rel=1e-7)
def the_symmetric_root_and_dense_singular_values_also_under_strong_keys(case, rng):
    """More keys than dimensions: what no edit can yield is left, however strong the keys are."""
    energies, frame = np.linalg.eigh(case.moment + case.keys @ case.keys.T)
    sigma = np.linalg.svd(case.values @ case.keys.T @ (frame / np.sqrt(energies)) @ frame.T)[1]
    yield case, (case.values**2).sum() - (sigma[: case.rank] ** 2).sum()
    strong = replace(case, keys=float(10.0 ** rng.choice([2, 4, 6])) * case.keys)
    yield strong, batch_edit.bound(strong)


@road(batch_edit, rel=1e-6)
def vanishing_weights_leave_the_edit_budget_and_huge_ones_forbid_editing(_, rng):
    keys, values = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    budget = edit_budget.bound(edit_budget.Case(keys, values, rank=2))
    yield batch_edit.Case(keys, values, 1e-12 * np.eye(5), rank=2), budget
    yield batch_edit.Case(keys, values, 1e12 * np.eye(5), 2), (values**2).sum()


@attack(batch_edit, rel=1e-6)
def alternating_least_squares_arrives_at_11():
    yield batch_edit.Case(np.eye(3), np.diag([4.0, 2.0, 1.0]), np.eye(3), rank=2), 11.0


@symmetry(batch_edit, rel=1e-7)
def size_input_basis_mixing_and_gauge(case, rng):
    (n, facts), m, factor = case.keys.shape, case.values.shape[0], float(rng.uniform(0.1, 10))
    basis, mix = basis_of(rng, n), orthonormal(rng, facts, facts)
    values, moment = (
        factor * orthonormal(rng, m, m) @ case.values @ mix,
        basis @ case.moment @ basis.T,
    )
    other = batch_edit.Case(basis @ case.keys @ mix, values, (moment + moment.T) / 2, case.rank)
    yield other, factor**2


# least-change edit


@example(least_change_edit)
def key_11_on_inputs_of_energies_1_and_3_puts_three_quarters_where_they_are_quiet():
    """K C⁻¹ k = 4/3, so the value 2 costs 4 / (4/3), read by (3/4, 1/4); no value costs nothing."""
    case = least_change_edit.Case(np.ones((2, 1)), np.array([[2.0]]), np.diag([1.0, 3.0]))
    np.testing.assert_allclose(least_change_edit.attain(case).dense(), [[1.5, 0.5]], rtol=1e-14)
    yield case, 3.0
    yield replace(case, values=0 * case.values), 0.0


@road(least_change_edit)
def the_kkt_system_in_exact_rationals(_, rng):
    n = int(rng.integers(1, 4))
    root, key = integers(rng, n, n), integers(rng, n, 1)
    moment = root * root.T + sympy.eye(n)
    key[0] += 7
    system = sympy.BlockMatrix([[moment, key], [key.T, sympy.zeros(1, 1)]]).as_explicit()
    solved = system.LUsolve(sympy.Matrix([0] * n + [3]))[:n, :]
    case = least_change_edit.Case(floats(key), np.array([[3.0]]), floats(moment))
    found = least_change_edit.attain(case).dense()
    np.testing.assert_allclose(found, floats(solved.T), rtol=1e-10, atol=1e-13)
    yield case, float((solved.T * moment * solved)[0])


@road(least_change_edit, rel=1e-7)
def rome_for_one_key_real_inputs_and_white_ones(case, rng):
    key, value = rng.standard_normal(5), rng.standard_normal(4)
    inputs = rng.standard_normal((5, 12))
    moment = inputs @ inputs.T / 12
    dual = np.linalg.inv(moment) @ key  # the published formula, written out densely
    one = least_change_edit.Case(key[:, None], value[:, None], moment)
    rome = np.outer(value, dual) / (key @ dual)
    np.testing.assert_allclose(least_change_edit.attain(one).dense(), rome)
    yield one, ((rome @ inputs) ** 2).sum() / 12
    plain = edit_budget.Case(case.keys, case.values, rank=len(case.keys))
    white = replace(case, moment=np.eye(len(case.keys)))
    yield white, edit_budget.attain(plain).norm ** 2


@attack(least_change_edit, rel=1e-6)
def least_squares_in_the_unseen_directions_arrives_at_the_price():
    for seed in range(5):
        case = theorem_of(least_change_edit).draw(np.random.default_rng(seed), 8)
        yield case, least_change_edit.bound(case)


@symmetry(least_change_edit, rel=1e-7)
def size_input_basis_and_mixing(case, rng):
    (n, facts), m = case.keys.shape, case.values.shape[0]
    basis, mix = basis_of(rng, n), float(rng.uniform(0.1, 10)) * orthonormal(rng, facts, facts)
    moment, values = basis @ case.moment @ basis.T, 3 * orthonormal(rng, m, m) @ case.values @ mix
    yield least_change_edit.Case(basis @ case.keys @ mix, values, (moment + moment.T) / 2), 9.0


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


@example(superposition_floor)
def the_frame_meets_the_floor_in_exact_algebra():
    for facts, rank in ((3, 1), (4, 2), (4, 3), (6, 5)):
        turn = [2 * sympy.pi * k / facts for k in range(1, rank // 2 + 1)]
        rows = [
            [wave(t * j) for j in range(facts)] for wave in (sympy.cos, sympy.sin) for t in turn
        ]
        gram = sympy.ones(facts, facts) * sympy.Rational(rank % 2, rank)
        if rows:
            frame = sympy.Matrix(rows) * sympy.sqrt(sympy.Rational(2, rank))
            gram += frame.T * frame
        energy = sum(sympy.nsimplify(sympy.simplify(x**2)) for x in gram) - facts
        floor = sympy.Rational(facts - rank, rank * (facts - 1))
        assert sympy.simplify(energy / (facts * (facts - 1)) - floor) == 0
        yield superposition_floor.Case(np.eye(facts), np.eye(facts), rank), float(floor)


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


# response energy


@example(response_energy)
def two_facts_of_strengths_3_and_1_cost_four_ninths_in_one_rank_and_four_tenths_in_two():
    case = response_energy.Case(np.eye(2), np.diag([3.0, 1.0]), rank=1)
    best = response_energy.attain(case).dense()
    np.testing.assert_allclose(best, np.diag([2 / 3, 0.0]), atol=1e-15)
    yield case, 4 / 9
    yield replace(case, rank=2), 4 / 10


@road(response_energy)
def at_full_rank_it_is_the_least_norm_under_one_equation_exactly(_, rng):
    """Lagrange: one linear equation <D, G> = N has least energy N² / <G, G>, a rational."""
    n, m, facts = rng.integers(1, 4, 3).tolist()
    keys, outputs = integers(rng, n, facts), integers(rng, m, facts)
    energy = sum(x**2 for x in outputs * keys.T)
    if energy:
        case = response_energy.Case(floats(keys), floats(outputs), rank=min(m, n, facts))
        yield case, float(sympy.Rational(facts**2) / energy)


@road(response_energy)
def eigenvalues_of_the_dense_pairing_and_orthonormal_facts(case, rng):
    dense = case.outputs @ case.keys.T
    energies = np.linalg.eigvalsh(dense @ dense.T)[::-1][: case.rank]
    yield case, case.facts**2 / energies.sum()
    rank, facts = sorted(rng.integers(1, 9, 2).tolist())
    frames = orthonormal(rng, 10, facts), orthonormal(rng, 12, facts)
    quiet = superposition_floor.attain(superposition_floor.Case(*frames, rank))
    yield response_energy.Case(*frames, rank), facts**2 / rank, (quiet, facts**2 / rank)
    assert response_energy.least_energy(facts, rank) == facts**2 / rank


@attack(response_energy)
def alternating_least_squares_arrives_at_four_fifths():
    yield response_energy.Case(np.eye(4), np.diag([4.0, 2.0, 0.5, 0.1]), rank=2), 16 / 20


@symmetry(response_energy)
def size_basis_and_order_of_facts(case, rng):
    (n, facts), m = case.keys.shape, case.outputs.shape[0]
    order, inner, outer = rng.permutation(facts), orthonormal(rng, n, n), orthonormal(rng, m, m)
    keys, outputs = 3 * inner @ case.keys[:, order], outer @ case.outputs[:, order]
    yield response_energy.Case(keys, outputs, case.rank), 1 / 9


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


@road(hebbian_memory)
def isserlis_by_a_product_of_gauss_hermite_rules(case, _):
    """One frozen row, any width up to four: E (y.a)² (a.x)², then the law in the rank."""
    n, reached = len(case.query), case.memory.dense().T @ case.read
    if n <= 4:
        nodes = np.array(list(product([-math.sqrt(3), 0.0, math.sqrt(3)], repeat=n)))
        weights = np.prod(np.where(nodes == 0, 2 / 3, 1 / 6), axis=1)
        one = float(weights @ ((nodes @ reached) * (nodes @ case.query)) ** 2)
        signal = float(reached @ case.query) ** 2
        yield case, signal + (one - signal) / case.rank


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
