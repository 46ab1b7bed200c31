"""Expressiveness: hand examples, symmetries, other roads, exact ranks, real steps."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import sympy
from theorems.owed import attack, basis_of, example, floats, integers, lines, moved, road, symmetry

from loratheory.lowrank import LowRank, from_dense, orthonormal
from loratheory.theorems.expressiveness import (
    argmax_margin,
    attention_budget,
    depth_budget,
    rank_floor,
    relu_budget,
)

# rank floor, in all its cases


@example(rank_floor)
def value_3_at_key_1_with_a_ridge_of_2_is_shrunk_to_1_and_costs_6():
    """The root of the ridge stands beside the key, with nothing wanted there."""
    one = np.ones((1, 1))
    case = rank_floor.Case(np.array([[1.0, 2**0.5]]), np.array([[3.0, 0.0]]), 1)
    yield case, float((1 - 3) ** 2 + 2 * 1**2), (LowRank(one, one), 6.0)
    yield replace(case, rank=0), 9.0
    yield rank_floor.Case(one, 3 * one, 1), 0.0


@symmetry(rank_floor, rel=1e-7)
def size_of_all_that_is_wanted(case, rng):
    factor = float(rng.uniform(0.1, 10))
    if isinstance(case, rank_floor.Case):
        yield replace(case, values=factor * case.values), factor**2
    else:
        yield replace(case, updates=tuple(factor * low for low in case.updates)), factor**2


@example("edit-budget")
def one_key_with_two_targets_and_two_edits_at_rank_one():
    """The mean target 2 is written, 1 and 3 are each missed by 1; else the smaller edit is lost."""
    case = rank_floor.Case(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), rank=1)
    yield case, 2.0
    yield replace(case, rank=0), 1.0 + 9.0
    yield rank_floor.Case(np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([3.0, 1.0]), rank=1), 1.0


@symmetry("edit-budget", rel=1e-8)
def size_rotation_mixing_and_input_basis(case, rng):
    (n, count), m, factor = case.keys.shape, case.values.shape[0], float(rng.uniform(0.1, 10))
    mixed, turn = orthonormal(rng, count, count), factor * orthonormal(rng, m, m)
    keys, residuals = basis_of(rng, n) @ case.keys @ mixed, turn @ case.values @ mixed
    yield rank_floor.Case(keys, residuals, case.rank), factor**2


@example("merge-floor")
def tasks_of_mean_diag_21_each_diag_1_minus_1_away_from_it():
    updates = (from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0])))
    yield rank_floor.Tasks(updates, rank=1), 2 + 1.0


@symmetry("merge-floor")
def size_rotation_order_and_gauge(case, rng):
    factor = float(rng.uniform(0.1, 10))
    yield rank_floor.Tasks(moved(case.updates, rng, factor)[0], case.rank), factor**2


@example("covariance-floor")
def tasks_1_and_3_on_inputs_of_power_4_and_1_meet_at_seven_fifths():
    one = np.ones((1, 1))
    case = rank_floor.Tasks((LowRank(one, one), LowRank(one, 3 * one)), 1, (2 * one, one))
    mean = Fraction(4 * 1 + 1 * 3, 5)
    assert (4 * (mean - 1) ** 2 + (mean - 3) ** 2) / 2 == Fraction(8, 5)
    yield case, 8 / 5, (LowRank(one, float(mean) * one), 8 / 5)
    yield replace(case, rank=0), (4 + 9) / 2
    # on inputs that do not overlap data are worth all, and without data half of the energy
    pair = lines(np.eye(2), np.eye(2))
    case = rank_floor.Tasks(pair, 2, (np.eye(2)[:, :1], np.eye(2)[:, 1:]))
    yield case, 0.0
    yield replace(case, inputs=(np.eye(2),) * 2), 1 / 2


@symmetry("covariance-floor", rel=1e-6, room=1e-10)
def size_rotation_order_and_mixed_samples(case, rng):
    updates, _, right = moved(case.updates, rng)
    factor = float(rng.uniform(0.1, 10))
    inputs = tuple(factor * right @ x for x in reversed(case.inputs))
    mixed = tuple(x @ orthonormal(rng, x.shape[1] + 3, x.shape[1]).T for x in inputs)
    yield rank_floor.Tasks(updates, case.rank, mixed), factor**2


# Fisher floor


@example("fisher-floor")
def one_input_two_answers_and_an_output_that_counts_double():
    """Inputs e1 and 2 e1 ask for (1, 0) and (0, 1): the weighed mean is (1, 4)/5; rank 0 says 0."""
    pair = tuple(LowRank(np.eye(2)[:, [i]], np.eye(1)) for i in range(2))
    inputs, plain, double = (np.eye(1), 2 * np.eye(1)), np.eye(2), np.diag([2.0, 1.0])
    # 1 (16 + 16)/25 + 4 (1 + 1)/25, then with the first output counted four times
    yield rank_floor.Weighted(pair, inputs, (plain,) * 2, 1), float(Fraction(40, 25))
    yield rank_floor.Weighted(pair, inputs, (double,) * 2, 1), float(Fraction(4 * 20 + 20, 25))
    yield rank_floor.Weighted(pair, inputs, (double,) * 2, 0), 8.0


@symmetry("fisher-floor")
def size_turns_and_order_of_weighed_tasks(case, rng):
    (m, n), order = case.updates[0].shape, rng.permutation(len(case.updates))
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    tasks = [(case.updates[i], right @ case.inputs[i], case.outputs[i] @ left.T) for i in order]
    updates, inputs, outputs = zip(*tasks, strict=True)
    updates = tuple(LowRank(3 * left @ low.up, low.down @ right.T) for low in updates)
    yield rank_floor.Weighted(updates, inputs, outputs, case.rank), 9.0
    yield replace(case, inputs=tuple(2 * x for x in case.inputs)), 4.0
    yield replace(case, outputs=tuple(2 * o for o in case.outputs)), 4.0


# depth budget


@example(depth_budget)
def two_identity_layers_of_rank_one_pay_for_the_two_largest_of_4_3_2_1():
    yield depth_budget.Case((np.eye(4),) * 2, np.eye(4) + np.diag([4.0, 3, 2, 1]), rank=1), 2.0


@example(depth_budget)
def the_zero_map_is_reached_though_every_partial_sum_is_singular():
    case, one = depth_budget.Case((np.eye(2), np.eye(2)), np.zeros((2, 2)), rank=1), np.eye(2)
    by_hand = (LowRank(-one[:, :1], one[:1]), LowRank(-one[:, 1:], one[1:]))
    yield case, 0.0, (by_hand, 0.0)


@symmetry(depth_budget, conditioned=True)
def size_rotation_and_hidden_bases(case, rng):
    d, factor = len(case.target), float(rng.uniform(0.1, 10))
    turn, back = orthonormal(rng, d, d), orthonormal(rng, d, d)
    weights = [w.copy() for w in case.weights]
    weights[-1] = factor * turn @ weights[-1]
    weights[0] = weights[0] @ back
    for index in range(len(weights) - 1):  # a new basis between two layers
        hidden = np.eye(d) + 0.3 * orthonormal(rng, d, d)
        weights[index] = hidden @ weights[index]
        weights[index + 1] = np.linalg.solve(hidden.T, weights[index + 1].T).T
    moved = depth_budget.Case(tuple(weights), factor * turn @ case.target @ back, case.rank)
    yield moved, factor


# ReLU budget


@example(relu_budget)
def two_identity_layers_in_a_ball_of_radius_5():
    target = np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0])
    yield relu_budget.Case(depth_budget.Case((np.eye(4),) * 2, target, rank=1), radius=5.0), 10.0


@symmetry(relu_budget, conditioned=True)
def size_and_order_of_units(case, rng):
    order, factor = rng.permutation(len(case.network.target)), float(rng.uniform(0.1, 10))
    weights = (*case.network.weights[:-1], factor * case.network.weights[-1][order])
    network = replace(case.network, weights=weights, target=factor * case.network.target[order])
    yield relu_budget.Case(network, 2 * case.radius), 2 * factor


@attack(relu_budget, rel=1e-2, starts=6)
def the_worst_input_of_one_layer():
    three = depth_budget.Case((np.eye(3),), np.diag([9.0, 4.0, 2.0]), rank=1)
    yield relu_budget.Case(three, radius=2.0), 6.0


# attention budget


@symmetry(attention_budget, size=7)
def size_rotation_and_the_head_basis(case, rng):
    (h, d), factor = case.keys.shape, float(rng.uniform(0.1, 10))
    turn, back = orthonormal(rng, d, d), orthonormal(rng, d, d)
    basis = np.eye(h) + 0.3 * orthonormal(rng, h, h)
    queries, keys = np.linalg.solve(basis.T, case.queries) @ turn, factor * basis @ case.keys @ back
    target = factor * turn.T @ case.target @ back
    yield attention_budget.Case(queries, keys, target, case.rank), factor


@example(attention_budget)
def scores_of_inputs_that_the_keys_ignored_cost_a_rank_each():
    """From e1 e1' + e2 e2' to e1 e3' + e2 e4': the change has rank 4, but 2 new directions.

    Rank one on both identity factors pays for 4 and 3 of 4, 3, 2, 1, on queries frozen at zero
    for 4 alone; a head of size 1 is replaced.
    """
    frozen, target = np.eye(2, 4), np.eye(4, k=2)
    one = attention_budget.Case(frozen, frozen, target, 1)
    moved = (
        LowRank(np.eye(2)[:, 1:], -np.eye(1, 4, k=1)),
        LowRank(np.eye(2)[:, :1], np.eye(1, 4, k=2) - np.eye(1, 4)),
    )
    yield one, 1.0, (moved, 1.0)
    yield replace(one, rank=2), 0.0
    yield attention_budget.Case(frozen, frozen, target.T, 1), 1.0
    far, eye = np.diag([4.0, 3.0, 2.0, 1.0]), np.eye(4)
    yield attention_budget.Case(np.zeros((4, 4)), eye, far, 1), 3.0
    for case, floor in (
        (attention_budget.Case(eye, eye, eye + far, rank=1), 2.0),
        (attention_budget.Case(eye[:1], eye[:1], far, rank=1), 3.0),
    ):
        yield case, floor, (attention_budget.attain_square(case), floor)


@attack(attention_budget, starts=9, room=0.05)
def exact_forms_from_half_the_width_on_and_the_floor_of_a_head_with_two_new_directions():
    rng = np.random.default_rng(0)
    yield attention_budget.Case(*(orthonormal(rng, 4, 4) for _ in "qkt"), rank=2), 0.0
    yield attention_budget.Case(np.eye(2, 4), np.eye(2, 4), np.eye(4, k=2), 1), 1.0


# attention reach


@example("attention-reach")
def a_head_that_reads_two_inputs_is_turned_to_others():
    """In turn: to two new inputs, to one, to other scores of the old ones, and to nothing."""
    frozen = np.eye(2, 4)
    yield attention_budget.Reached(frozen, frozen, np.eye(4, k=2)), 2
    yield attention_budget.Reached(frozen, frozen, np.eye(4, 1) @ np.eye(1, 4, k=2)), 1
    yield attention_budget.Reached(frozen, frozen, 2 * frozen.T @ frozen), 1
    yield attention_budget.Reached(frozen, frozen, np.zeros((4, 4))), 1
    yield attention_budget.Reached(frozen, frozen, frozen.T @ frozen), 0
    # queries with two ranks more leave nothing to the keys; with one less they leave more
    yield attention_budget.Reached(frozen, frozen, 2 * frozen.T @ frozen, 2), 0
    yield attention_budget.Reached(frozen, frozen, 2 * frozen.T @ frozen, -1), 2


@road("attention-reach")
def ranks_of_integer_matrices_counted_exactly(_, rng):
    head, width = 3, 5
    queries, keys, left, right = (integers(rng, head, width) for _ in range(4))
    if min(queries.rank(), keys.rank()) == head:
        form = left.T * integers(rng, head, head, 1) * right
        seen = [sympy.Matrix.hstack(*w.nullspace()) for w in (keys, queries)]
        ranks = (form * seen[0]).rank(), (form.T * seen[1]).rank()
        half = sympy.ceiling(sympy.Rational((form - queries.T * keys).rank(), 2))
        yield attention_budget.Reached(*map(floats, (queries, keys, form))), max(half, *ranks)


@symmetry("attention-reach")
def any_basis_of_inputs_and_head_and_queries_for_keys(case, rng):
    (h, d), factor = case.keys.shape, float(rng.uniform(0.1, 10))
    turn, back, basis = (basis_of(rng, n) for n in (d, d, h))
    queries, keys = np.linalg.solve(basis.T, case.queries) @ turn, factor * basis @ case.keys @ back
    wanted = factor * turn.T @ case.wanted @ back
    yield attention_budget.Reached(queries, keys, wanted, case.surplus), 1.0
    swapped = attention_budget.Reached(case.keys, case.queries, case.wanted.T, -case.surplus)
    # the rank of what were the queries
    assert (
        attention_budget.bound_reach(swapped) == attention_budget.bound_reach(case) + case.surplus
    )


# score change rank


@example("score-change-rank")
def diag_2_1_1_and_diag_1_1_2_change_the_identity_form_in_two_entries():
    one = np.eye(3)
    updates = LowRank(one[:, :1], one[:1]), LowRank(one[:, 2:], one[2:])
    yield attention_budget.Change(one, one, (1, 1)), 2, (updates, 2)
    # both ranks full turn a narrow head into twice its size, up to the width
    yield attention_budget.Change(np.eye(2, 5), np.eye(2, 5), (2, 2)), 4
    yield attention_budget.Change(np.eye(2, 3), np.eye(2, 3), (2, 2)), 3


@symmetry("score-change-rank", size=7)
def size_rotation_and_the_head_basis_of_scores(case, rng):
    (h, d), factor = case.keys.shape, float(rng.uniform(0.1, 10))
    turn, basis = orthonormal(rng, d, d), np.eye(h) + 0.3 * orthonormal(rng, h, h)
    first, second = attention_budget.attain_change(case)
    queries = np.linalg.solve(basis.T, case.queries) @ turn
    other = attention_budget.Change(queries, factor * basis @ case.keys, case.ranks)
    moved = (
        LowRank(np.linalg.solve(basis.T, first.up), first.down @ turn),
        LowRank(factor * basis @ second.up, second.down),
    )
    yield other, 1.0, (moved, attention_budget.bound_change(case))


# argmax rank


@example("argmax-rank")
def none_two_or_all_and_a_tie_is_no_answer():
    scores = LowRank(np.array([[2.0], [1.0], [-3.0]]), np.array([[1.0, -1.0, 5.0, 0.0]]))
    assert argmax_margin.answers_of(scores) == [0, 2, 0, None]
    yield argmax_margin.Answers(3, (0, 2, 1, 1), 1), 2, (scores, 2)
    for tokens, wanted, rank, answers in (
        *((5, (3,), 1, 1), (5, (3,), 7, 1), (5, range(5), 0, 0), (2, (1, 0, 1), 1, 2)),
        *((9, range(5), 3, 5), (5, [4, 1, 0, 3, 2, 2], 2, 5), (9, (4, 4, 4), 1, 1)),
    ):
        yield argmax_margin.Answers(tokens, tuple(wanted), rank), answers


@symmetry("argmax-rank", size=6)
def signs_sizes_and_order_of_tokens_and_inputs(case, rng):
    scores = argmax_margin.attain_answers(case)
    signs = rng.choice([-1.0, 1.0], scores.width) * float(10.0 ** rng.uniform(-2, 2))
    tokens, inputs = rng.permutation(case.tokens), rng.permutation(len(case.wanted))
    moved = LowRank((scores.up * signs)[tokens], (scores.down / signs[:, None])[:, inputs])
    wanted = tuple(int(np.argsort(tokens)[case.wanted[j]]) for j in inputs)
    best = argmax_margin.bound_answers(case)
    yield argmax_margin.Answers(case.tokens, wanted, case.rank), 1.0, (moved, best)


@attack("argmax-rank", starts=5)
def training_finds_all_answers_at_rank_two_and_no_third_at_rank_one():
    yield argmax_margin.Answers(4, (0, 1, 2, 3), 2), 4
    yield argmax_margin.Answers(4, (0, 1, 2, 3), 1), 2


# argmax margin


@example(argmax_margin)
def triangle_square_two_points_hexagon_octahedron_and_no_room():
    for tokens, rank, margin in ((3, 2, 3 / 2), (4, 2, 1.0), (2, 1, 2.0), (6, 2, 1 / 2), (6, 3, 1)):
        yield argmax_margin.Case(tokens, rank), margin
    for tokens, rank, margin in ((9, 0, 0), (9, 1, 0), (2, 0, 0), (1000, 999, 1 + 1 / 999)):
        yield argmax_margin.Case(tokens, rank), margin
    # a key compares tokens: the second one scores its own token .2 and the first one .5
    scores = LowRank(np.array([[1.0, 0.5], [0.0, 0.2]]), np.eye(2))
    yield argmax_margin.Case(2, 2), 2.0, (scores, -0.3)


@symmetry(argmax_margin, size=6)
def size_rotation_and_order_of_tokens(case, rng):
    best, order = argmax_margin.attain(case), rng.permutation(case.tokens)
    turn, factor = orthonormal(rng, best.width, best.width), float(rng.uniform(0.1, 1))
    moved = LowRank(factor * best.up[order] @ turn, (turn.T @ best.down)[:, order])
    yield case, 1.0, (moved, factor * argmax_margin.bound(case))


@attack(argmax_margin, rel=2e-2, starts=5)
def ascent_finds_the_largest_margins():
    for tokens, rank in ((3, 2), (4, 3), (5, 2), (6, 3)):
        case = argmax_margin.Case(tokens, rank)
        yield case, argmax_margin.bound(case)


# ReLU necessity


@example("relu-necessity")
def what_is_missing_or_a_dead_unit_whichever_is_cheaper():
    """From the identity to diag(3, 2) rank 1 leaves 1; to diag(5, 1/4) a dead unit leaves less."""
    one = np.eye(2)
    for layers, rank, floor in ((2, 0, 2.0), (1, 1, 1.0), (2, 1, 0.0)):
        case = depth_budget.Case((one,) * layers, np.diag([3.0, 2.0]), rank)
        # the updates and biases of the ReLU budget meet it
        met = relu_budget.attain(relu_budget.Case(case, radius=1.0))
        yield case, floor, (relu_budget.Kinked(met.updates, met.biases, np.zeros(2)), floor)
    yield depth_budget.Case((one,), np.diag([5.0, 0.25]), 1), 0.25


@symmetry("relu-necessity")
def units_of_outputs_and_their_names(case, rng):
    order = rng.permutation(len(case.target))
    *early, last = case.weights
    yield replace(case, weights=(*early, 3 * last[order]), target=3 * case.target[order]), 3.0


@road("relu-necessity")
def the_least_over_all_patterns_of_dead_units_is_never_less(case, _):
    """Each pattern of up to three units a layer misses by its rank, and by what it cannot pay."""
    d = min(3, len(case.target))
    weights = tuple(w[:d, :d] for w in case.weights[:2])
    small = depth_budget.Case(weights, case.target[:d, :d], min(case.rank, 1))
    sigma, least = [*np.linalg.svd(small.target, compute_uv=False), 0.0], np.inf
    for pattern in product((0.0, 1.0), repeat=d * len(weights)):
        rows = np.reshape(pattern, (len(weights), d))
        alive = [row[:, None] * w for row, w in zip(rows, weights, strict=True)]
        unpaid = depth_budget.bound(replace(small, weights=tuple(alive)))
        least = min(least, max(unpaid, sigma[int(rows.sum(axis=1).min())]))
    assert least >= relu_budget.bound_necessity(small) - 1e-9 * depth_budget.scale(small)
    yield replace(case, rank=len(case.target)), 0.0
