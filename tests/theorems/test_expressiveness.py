"""Expressiveness: hand examples, symmetries, other roads, exact ranks, real steps."""

from dataclasses import replace
from itertools import product

import numpy as np
import sympy
from theorems.owed import attack, basis_of, example, floats, integers, road, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.expressiveness import (
    argmax_margin,
    attention_budget,
    depth_budget,
    relu_budget,
)

# depth budget


@example(depth_budget)
def two_identity_layers_of_rank_one_pay_for_the_two_largest_of_4_3_2_1():
    yield depth_budget.Case((np.eye(4),) * 2, np.eye(4) + np.diag([4.0, 3, 2, 1]), rank=1), 2.0


@example(depth_budget)
def the_zero_map_is_reached_though_every_partial_sum_is_singular():
    case, one = depth_budget.Case((np.eye(2), np.eye(2)), np.zeros((2, 2)), rank=1), np.eye(2)
    by_hand = (LowRank(-one[:, :1], one[:1]), LowRank(-one[:, 1:], one[1:]))
    yield case, 0.0, (by_hand, 0.0)


@road(depth_budget)
def nothing_spent_loses_all_and_enough_spent_loses_nothing(case, _):
    yield replace(case, rank=0), np.linalg.norm(case.target - case.product, 2)
    yield replace(case, rank=-(-len(case.target) // len(case.weights))), 0.0


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


@attack(depth_budget, rel=1e-6)
def the_floor_of_one_layer_with_a_spectral_gap():
    rng = np.random.default_rng(3)
    left, right = orthonormal(rng, 6, 6), orthonormal(rng, 6, 6)
    missing = (left * np.array([5.0, 4.0, 1e-3, 1e-3, 1e-3, 1e-3])) @ right
    yield depth_budget.Case((left,), left + missing, rank=2), 1e-3


# ReLU budget


@example(relu_budget)
def two_identity_layers_in_a_ball_of_radius_5():
    target = np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0])
    yield relu_budget.Case(depth_budget.Case((np.eye(4),) * 2, target, rank=1), radius=5.0), 10.0


@road(relu_budget, conditioned=True)
def nothing_spent_errs_by_the_whole_distance_and_the_origin_by_nothing(case, _):
    idle = replace(case, network=replace(case.network, rank=0))
    missing = case.network.target - case.network.product
    yield idle, case.radius * np.linalg.norm(missing, 2)
    best = relu_budget.attain(case)
    yield case, relu_budget.bound(case), (replace(best, input=0 * best.input), 0.0)


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


@example("half-the-width")
def rank_one_on_both_identity_factors_pays_for_4_and_3_of_4_3_2_1():
    target = np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0])
    yield attention_budget.Case(np.eye(4), np.eye(4), target, rank=1), 2.0


@symmetry("half-the-width", size=7)
def size_rotation_and_the_head_basis(case, rng):
    (h, d), factor = case.keys.shape, float(rng.uniform(0.1, 10))
    turn, back = orthonormal(rng, d, d), orthonormal(rng, d, d)
    basis = np.eye(h) + 0.3 * orthonormal(rng, h, h)
    queries, keys = np.linalg.solve(basis.T, case.queries) @ turn, factor * basis @ case.keys @ back
    target = factor * turn.T @ case.target @ back
    yield attention_budget.Case(queries, keys, target, case.rank), factor


@attack("half-the-width", starts=9, room=0.05)
def exact_forms_from_half_the_width_on():
    rng = np.random.default_rng(0)
    yield attention_budget.Case(*(orthonormal(rng, 4, 4) for _ in "qkt"), rank=2), 0.0


@example(attention_budget)
def scores_of_inputs_that_the_keys_ignored_cost_a_rank_each():
    """From e1 e1' + e2 e2' to e1 e3' + e2 e4': the change has rank 4, but 2 new directions."""
    frozen, target = np.eye(2, 4), np.eye(4, k=2)
    one = attention_budget.Case(frozen, frozen, target, 1)
    moved = (
        LowRank(np.eye(2)[:, 1:], -np.eye(1, 4, k=1)),
        LowRank(np.eye(2)[:, :1], np.eye(1, 4, k=2) - np.eye(1, 4)),
    )
    yield one, 1.0, (moved, 1.0)
    yield replace(one, rank=2), 0.0
    yield attention_budget.Case(frozen, frozen, target.T, 1), 1.0


@example(attention_budget)
def queries_frozen_at_zero_pay_a_rank_for_each_of_4_3_2_1():
    yield attention_budget.Case(np.zeros((4, 4)), np.eye(4), np.diag([4.0, 3.0, 2.0, 1.0]), 1), 3.0


@attack(attention_budget, starts=9, rel=0.01)
def the_floor_of_a_narrow_head_is_met_where_two_new_directions_want_one_rank():
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
    yield attention_budget.Reached(queries, keys, factor * turn.T @ case.wanted @ back), 1.0
    yield attention_budget.Reached(case.keys, case.queries, case.wanted.T), 1.0


# score change rank


@example("score-change-rank")
def diag_2_1_1_and_diag_1_1_2_change_the_identity_form_in_two_entries():
    one = np.eye(3)
    updates = LowRank(one[:, :1], one[:1]), LowRank(one[:, 2:], one[2:])
    yield attention_budget.Change(one, one, (1, 1)), 2, (updates, 2)


@example("score-change-rank")
def both_ranks_full_turn_a_narrow_head_into_twice_its_size_up_to_the_width():
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


@example(argmax_margin)
def a_key_compares_tokens_and_not_a_token_keys():
    """The second key scores its own token .2 and the first one .5."""
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


# Attention


# ReLU necessity


@example("relu-necessity")
def what_is_missing_or_a_dead_unit_whichever_is_cheaper():
    """From the identity to diag(3, 2): 1 is left by rank 1; to diag(5, 1/4) a dead unit is less."""
    one = np.eye(2)
    yield depth_budget.Case((one, one), np.diag([3.0, 2.0]), 0), 2.0
    yield depth_budget.Case((one,), np.diag([3.0, 2.0]), 1), 1.0
    yield depth_budget.Case((one, one), np.diag([3.0, 2.0]), 1), 0.0
    yield depth_budget.Case((one, one), np.diag([5.0, 0.25]), 0), 0.25


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
