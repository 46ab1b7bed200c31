"""Expressiveness: hand examples, symmetries, other roads, exact ranks, real steps."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy
from theorems.owed import (
    attack,
    basis_of,
    example,
    floats,
    integers,
    over,
    road,
    symmetry,
    theorem_of,
)

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    attention_bottleneck,
    frozen_features,
    rank_stabilised_scale,
    rank_threshold,
    softmax_bottleneck,
    two_learning_rates,
)
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


@attack(depth_budget, starts=5, rel=1e-3)
def a_dead_layer_cannot_be_outwitted():
    """The control's witness is the best there is, though the floor is 4."""
    dead, _ = theorem_of(depth_budget).controls[1].example()
    assert depth_budget.bound(dead) == 4.0
    yield dead, 5.0


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


@road("attention-reach")
def square_weights_need_half_the_rank_of_the_change(_, rng):
    d, rank = 6, int(rng.integers(0, 7))
    frozen = np.eye(d) + orthonormal(rng, d, d) / 2
    change = orthonormal(rng, d, rank) @ orthonormal(rng, d, rank).T
    yield attention_budget.Reached(frozen, frozen, frozen.T @ frozen + change), (rank + 1) // 2


@symmetry("attention-reach")
def any_basis_of_inputs_and_head_and_queries_for_keys(case, rng):
    (h, d), factor = case.keys.shape, float(rng.uniform(0.1, 10))
    turn, back, basis = (basis_of(rng, n) for n in (d, d, h))
    queries, keys = np.linalg.solve(basis.T, case.queries) @ turn, factor * basis @ case.keys @ back
    yield attention_budget.Reached(queries, keys, factor * turn.T @ case.form @ back), 1.0
    yield attention_budget.Reached(case.keys, case.queries, case.form.T), 1.0


@attack("half-the-width", starts=9, room=0.05)
def least_squares_arrives_with_the_rank_that_a_narrow_head_needs():
    frozen, one = np.eye(3, 5), np.eye(5)
    form = (
        frozen.T @ frozen + one[:, [3]] @ one[[0]] + one[:, [1]] @ one[[4]] + one[:, [1]] @ one[[1]]
    )
    assert attention_budget.bound_reach(attention_budget.Reached(frozen, frozen, form)) == 1
    yield attention_budget.Case(frozen, frozen, form, 1), 0.0


# attention bottleneck


def generic(seed, n):
    """The logarithm of an attention pattern without structure."""
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(n), n).T)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=0))
    return weights / weights.sum(axis=0)


@example(attention_bottleneck)
def two_tokens_1_and_2_in_one_dimension_whose_scores_are_m_s_t():
    """Wanted log-odds (1, 1), nearest (m, 2 m), m = 3/5: (2/5)² + (1/5)², halved by the 1/n."""
    odds = np.array([[0.0, 0.0], [1.0, 1.0]])
    target = odds - np.log(np.exp(odds).sum(axis=0))
    yield (
        attention_bottleneck.Case(np.array([[1.0, 2.0]]), target, head=1),
        1 / 10,
        (LowRank(np.ones((1, 1)), np.array([[3 / 5]])), 1 / 10),
    )


@example(attention_bottleneck)
def equal_tokens_get_equal_attention_whatever_the_head():
    """Their centred keys vanish, but for rounding, which must not be taken for a direction."""
    tokens, target = np.array([[0.1], [0.7], [0.3]]) @ np.ones((1, 3)), generic(5, 3)
    lost = np.sum((target - target.mean(axis=0)) ** 2)
    yield attention_bottleneck.Case(tokens, target, head=3), lost


@road(attention_bottleneck, conditioned=True, size=7)
def one_regression_of_all_log_odds_on_the_entries_of_a_wide_form(case, _):
    (d, n), expected = case.tokens.shape, 0.0
    pairs = [(s, t, j) for s in range(n) for t in range(s) for j in range(n)]
    x = case.tokens / np.abs(case.tokens).max()
    if pairs:
        rows = np.array([np.outer(x[:, s] - x[:, t], x[:, j]).ravel() for s, t, j in pairs])
        wanted = np.array([case.target[s, j] - case.target[t, j] for s, t, j in pairs])
        solution = np.linalg.lstsq(rows, wanted, rcond=1e-10)[0]
        expected = np.sum((rows @ solution - wanted) ** 2) / n
    yield replace(case, head=d), expected


@road(attention_bottleneck, conditioned=True, size=7)
def the_pattern_of_a_real_head_of_that_size_costs_nothing(case, rng):
    keys, queries = rng.standard_normal((2, case.head, len(case.tokens)))
    keys, queries = keys / np.abs(case.tokens).max(), queries / np.abs(case.tokens).max()
    scores = (keys @ case.tokens).T @ (queries @ case.tokens)
    met = replace(case, target=np.log(softmax(scores)))
    yield met, 0.0, (LowRank(keys.T, queries), 0.0)


@symmetry(attention_bottleneck, rel=1e-8, conditioned=True, size=7)
def token_size_basis_order_and_score_shifts(case, rng):
    d, n = case.tokens.shape
    order, basis = rng.permutation(n), np.eye(d) + 0.3 * orthonormal(rng, d, d)
    tokens = float(rng.uniform(0.1, 10)) * basis @ case.tokens[:, order]
    target = case.target[order][:, order] + rng.standard_normal((1, n))
    yield attention_bottleneck.Case(tokens, target, case.head), 1.0


@attack(attention_bottleneck, starts=5, rel=1e-6)
def the_floor_of_a_head_of_size_one():
    tokens = orthonormal(np.random.default_rng(1), 3, 3) @ np.diag([1.0, 2.0, 3.0])
    case = attention_bottleneck.Case(tokens, generic(0, 3), head=1)
    yield case, attention_bottleneck.bound(case)


# softmax bottleneck


log_softmax = softmax_bottleneck.log_softmax


@example(softmax_bottleneck)
def centred_orthogonal_columns_of_squared_length_8_and_6_of_which_rank_1_keeps_the_longer():
    target = log_softmax(np.array([[2.0, 1.0], [-2.0, 1.0], [0.0, -2.0]]))
    yield softmax_bottleneck.Case(target, np.zeros((3, 2)), rank=1), 6.0


@example(softmax_bottleneck)
def probabilities_three_quarters_and_one_met_with_halves():
    target = np.log(np.array([[0.75], [0.25]]))
    yield softmax_bottleneck.Case(target, np.zeros((2, 1)), rank=0), np.log(3) ** 2 / 2


@road(softmax_bottleneck)
def the_gram_matrix_of_all_log_odds_pair_by_pair(case, _):
    m, missing = len(case.target), case.target - case.base
    odds = [missing[s] - missing[t] for s in range(m) for t in range(s)]
    gram = sum((np.outer(row, row) for row in odds), np.zeros((case.target.shape[1],) * 2)) / m
    yield case, np.linalg.eigvalsh(gram)[::-1][case.rank :].sum()


@symmetry(softmax_bottleneck, room=1e-10)
def size_shifts_and_order(case, rng):
    (m, n), spread = case.target.shape, np.max(np.abs(case.target))
    tokens, contexts, factor = rng.permutation(m), rng.permutation(n), float(rng.uniform(0.1, 10))
    shift = spread * rng.standard_normal((1, n))
    missing = factor * (case.target - case.base + shift)[tokens][:, contexts]
    target = log_softmax(spread * rng.standard_normal((m, n)))
    yield softmax_bottleneck.Case(target, target - missing, case.rank), factor**2


@attack(softmax_bottleneck, rel=1e-6)
def the_floor_of_two_loud_directions():
    rng = np.random.default_rng(0)
    parts = [s * np.outer(*(orthonormal(rng, 6, 1)[:, 0] for _ in "ab")) for s in (9.0, 5.0, 1e-2)]
    case = softmax_bottleneck.Case(log_softmax(sum(parts)), np.zeros((6, 6)), rank=2)
    yield case, softmax_bottleneck.bound(case)


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
    first, second = attention_budget.in_new_directions(case)
    queries = np.linalg.solve(basis.T, case.queries) @ turn
    other = attention_budget.Change(queries, factor * basis @ case.keys, case.ranks)
    moved = (
        LowRank(np.linalg.solve(basis.T, first.up), first.down @ turn),
        LowRank(factor * basis @ second.up, second.down),
    )
    yield other, 1.0, (moved, attention_budget.ranks_added(case))


# frozen features


def groups(case):
    """The classes as lists of columns, by a dictionary of integer features in Python."""
    unit = min((abs(x) for x in case.inputs.ravel().tolist() if x), default=1.0)
    classes = defaultdict(list)
    for column in range(case.inputs.shape[1]):
        hidden = [Fraction(x) / Fraction(unit) for x in case.inputs[:, column].tolist()]
        for weight in case.weights:
            rows = weight.astype(int).tolist()
            hidden = [max(0, sum(w * h for w, h in zip(row, hidden, strict=True))) for row in rows]
        classes[tuple(hidden)].append(column)
    return list(classes.values())


@example(frozen_features)
def inputs_1_and_2_have_feature_0_and_want_00_and_34_so_half_of_25_is_lost_half_of_that_each():
    targets = np.array([[0.0, 3.0], [0.0, 4.0]])
    yield frozen_features.Case((-np.eye(1),), np.array([[1.0, 2.0]]), targets), 25 / 4


@road(frozen_features)
def the_variance_within_groups_in_exact_rationals(case, rng):
    case = replace(case, targets=rng.integers(-9, 10, case.targets.shape).astype(float))
    total = Fraction(0)
    for group in groups(case):
        for row in case.targets.astype(int).tolist():
            chosen = [Fraction(row[i]) for i in group]
            total += sum((y - sum(chosen) / len(chosen)) ** 2 for y in chosen)
    yield case, float(total / case.inputs.shape[1])


@symmetry(frozen_features, room=1e-10)
def size_shifts_rotations_and_order(case, rng):
    (m, n), factor = case.targets.shape, float(rng.uniform(0.1, 10))
    shift, order = np.max(np.abs(case.targets)) * rng.standard_normal((m, 1)), rng.permutation(n)
    targets = factor * orthonormal(rng, m, m) @ (case.targets + shift)
    other = frozen_features.Case(case.weights, 4 * case.inputs[:, order], targets[:, order])
    yield other, factor**2


@attack(frozen_features, rel=1e-6)
def training_a_wide_later_layer_finds_the_floor():
    case = theorem_of(frozen_features).draw(np.random.default_rng(3), 8)
    assert 0 < frozen_features.bound(case) < frozen_features.measure(case, 0 * case.targets)
    yield case, frozen_features.bound(case)


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
    scores = argmax_margin.all_asked_for(case)
    signs = rng.choice([-1.0, 1.0], scores.width) * float(10.0 ** rng.uniform(-2, 2))
    tokens, inputs = rng.permutation(case.tokens), rng.permutation(len(case.wanted))
    moved = LowRank((scores.up * signs)[tokens], (scores.down / signs[:, None])[:, inputs])
    wanted = tuple(int(np.argsort(tokens)[case.wanted[j]]) for j in inputs)
    best = argmax_margin.reachable(case)
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


# rank threshold


@example(rank_threshold)
def the_trace_of_a_positive_core_is_all_that_is_seen():
    """So rank one holds it as well as rank two; an identity has rank 2 and uses 3."""
    case = rank_threshold.Case(np.eye(2), np.eye(2), np.diag([0.5, 0.5]), np.eye(2)[None])
    whole = LowRank(np.eye(2), np.eye(2))
    yield case, 1.0, (rank_threshold.reduced(case), 1.0), (whole, 3.0)


@symmetry(rank_threshold)
def size_rotation_and_order_of_measurements(case, rng):
    outer, inner = (orthonormal(rng, len(f), len(f)) for f in (case.left, case.right))
    probes = outer @ case.probes[rng.permutation(len(case.probes))] @ inner.T
    other = rank_threshold.Case(outer @ case.left, inner @ case.right, 7 * case.core, probes)
    same = rank_threshold.measure(case, rank_threshold.reduced(case))
    yield other, 1.0, (rank_threshold.reduced(other), same)


# two learning rates


@example(two_learning_rates)
def two_steps_with_ax_1_and_size_5_move_by_three_halves():
    """After two steps b = 2 / 2 and a.x = 1 + 5 / 10; no step moves nothing."""
    case = two_learning_rates.Case(np.ones((1, 2)), np.array([3.0, -2.0]), 0.5, 0.1, steps=2)
    yield case, 1.5
    yield replace(case, steps=0), 0.0
    yield replace(case, steps=1), 0.5


@symmetry(two_learning_rates)
def signs_order_and_rows(case, rng):
    n = case.query.shape[0]
    flips, order = rng.choice([-1.0, 1.0], n), rng.permutation(n)
    rows = rng.choice([-1.0, 1.0], (len(case.down), 1))
    down = rows * (case.down * flips)[:, order]
    yield replace(case, down=down, query=(case.query * flips)[order]), 1.0
    yield replace(case, query=5 * case.query), 5.0


# rank-stabilised scale


@example(rank_stabilised_scale)
def at_rank_2_and_scale_a_half_a_query_of_length_5_moves_by_chi_of_25_sixteenths():
    """Variance 1/4: mean square (25/16)² times r (r + 2) = 8, and |g|² = 4."""
    parts = np.array([3.0, 4.0]), np.array([0.0, 2.0]), 2, 0.5, 1.0, 0.5
    yield rank_stabilised_scale.Case(*parts), (25 / 16) ** 2 * 8 * 4


@symmetry(rank_stabilised_scale)
def rotation_and_size_of_query_and_gradient(case, rng):
    turn = orthonormal(rng, *[case.query.shape[0]] * 2)
    yield replace(case, query=2 * turn @ case.query, gradient=3 * case.gradient), 16.0 * 9


# Networks


def test_an_update_missing_for_a_layer_is_an_error():
    case = theorem_of(depth_budget).draw(np.random.default_rng(0), 8)
    with pytest.raises(ValueError, match="shorter"):
        depth_budget.measure(case, depth_budget.attain(case)[1:])


# Attention


@over()
def test_rank_of_a_score_change_in_exact_integers(rng):
    """Never above the bound, and mostly equal for random updates of full-rank weights."""
    d = int(rng.integers(1, 6))
    h = int(rng.integers(1, d + 1))
    ranks = rng.integers(0, h + 1, 2).tolist()
    queries, keys = integers(rng, h, d, 20), integers(rng, h, d, 20)
    first, second = (integers(rng, h, r, 20) * integers(rng, r, d, 20) for r in ranks)
    change = (queries + first).T * (keys + second) - queries.T * keys
    case = attention_budget.Change(
        np.array(queries, dtype=float), np.array(keys, dtype=float), tuple(ranks)
    )
    assert change.rank() <= attention_budget.ranks_added(case)
    tokens = integers(rng, d, 4, 20)
    assert (tokens.T * change * tokens).rank() <= change.rank()


# The output layer


@over()
def test_least_rank_over_shifts_is_the_centred_rank_in_exact_integers(rng):
    """And it is the plain rank or one less: Yang's condition is never off by more."""
    m, n, r = int(rng.integers(2, 6)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    logits = integers(rng, m, r, 2) * integers(rng, r, n, 2)
    least = ((sympy.eye(m) - sympy.ones(m, m) / m) * logits).rank()
    assert logits.rank() - 1 <= least <= logits.rank()
    assert (logits + sympy.ones(m, 1) * integers(rng, 1, n)).rank() >= least
    best = -sympy.ones(1, m) * logits / m
    assert (logits + sympy.ones(m, 1) * best).rank() == least
    target = softmax_bottleneck.log_softmax(np.array(logits, dtype=float))
    case = softmax_bottleneck.Case(target, np.zeros((m, n)), rank=least)
    assert softmax_bottleneck.bound(case) <= 1e-24 * theorem_of(softmax_bottleneck).scale(case)
    assert not least or softmax_bottleneck.bound(replace(case, rank=least - 1)) > 1e-6


def test_rank_one_realises_21_of_the_27_maps_of_three_and_rank_two_all():
    """Every sign pattern and order of integers: 27 maps less the 6 permutations."""
    grid, maps = range(-2, 3), set()
    for b, a in product(product(grid, repeat=3), repeat=2):
        table = [[b_t * a_j for b_t in b] for a_j in a]
        winners = [row.index(max(row)) for row in table if row.count(max(row)) == 1]
        maps |= {tuple(winners)} if len(winners) == 3 else set()
    every = set(product(range(3), repeat=3))
    assert maps == {f for f in every if len(set(f)) <= 2}
    assert len(maps) == 21
    assert {tuple(argmax_margin.answers_of(argmax_margin.circle(f, 3))) for f in every} == every


# Ranks


@over(rank_threshold)
def test_the_reduced_core_is_a_minimiser_of_low_rank(case):
    """The first probe certifies: its product with any matrix is at most the nuclear norm."""
    found, start = rank_threshold.reduced(case), case.left @ case.core @ case.right.T
    assert theorem_of(rank_threshold).check(case, found).holds
    assert (case.probes[0] * found.dense()).sum() == pytest.approx(found.nuclear_norm, rel=1e-8)
    seen = [(case.probes * dense).sum(axis=(1, 2)) for dense in (start, found.dense())]
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-8 * np.trace(case.core))


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (3, 1), (3, 2), (6, 3)])
def test_proximal_descent_ends_at_such_a_rank(count, seed):
    """Another road: shrink singular values, to convergence; unique minimisers are extreme."""
    rng = np.random.default_rng(seed)
    probes = rng.standard_normal((count, 6, 6))
    wanted, update = rng.standard_normal(count), np.zeros((6, 6))
    step = 1 / np.linalg.norm(probes.reshape(count, -1), 2) ** 2
    for _ in range(1500):
        missed = (probes * update).sum(axis=(1, 2)) - wanted
        u, sigma, v = np.linalg.svd(update - step * np.tensordot(missed, probes, 1))
        update = (u * np.maximum(sigma - 0.3 * step, 0)) @ v
    found = np.linalg.matrix_rank(update, 1e-6 * np.linalg.norm(update, 2))
    assert 1 <= found <= (2 * count + 0.25) ** 0.5 - 0.5


# Training


@pytest.mark.parametrize(("power", "slope"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.5, -0.5)])
def test_the_slope_in_the_width_is_flat_only_at_ratio_n(power, slope):
    """Mean parts of the move at rates 1 and ``n**-power`` over real draws."""
    rng, widths, parts = np.random.default_rng(4), [16, 64, 256], []
    for n in widths:
        query, rows = rng.choice([-1.0, 1.0], n), rng.standard_normal((200, n)) / n**0.5
        cases = [two_learning_rates.Case(row[None], query, 1.0, n**-power, 3) for row in rows]
        still = np.mean([two_learning_rates.bound(replace(c, down_rate=0.0)) for c in cases])
        parts.append((still, np.mean([two_learning_rates.bound(c) for c in cases]) - still))
    np.testing.assert_allclose([still for still, _ in parts], 3 * (2 / np.pi) ** 0.5, rtol=0.2)
    down = np.polyfit(np.log(widths), np.log([moved for _, moved in parts]), 1)[0]
    assert down == pytest.approx(slope, abs=1e-9)


def test_a_run_of_other_length_is_refused():
    theorem = theorem_of(two_learning_rates)
    case = replace(theorem.draw(np.random.default_rng(1), 8), steps=4)
    short = two_learning_rates.Training((-1.0,) * 3, 0.0, np.zeros(len(case.down)))
    with pytest.raises(ValueError, match="one direction"):
        theorem.check(case, short)


def stepped(case, down):
    """The adapter after one step, its scale in `up`, from `down` as it was."""
    up = -case.rate * case.strength * case.gradient[:, None] * (down @ case.query)[None, :]
    return LowRank(case.strength * up, down)


@over()
def test_the_first_step_is_that_of_the_gradient(rng):
    """Finite differences of a real loss at up = 0, then one step of plain descent."""
    down, query, wanted = rng.standard_normal((2, 3)), rng.standard_normal(3), np.ones(2)

    def loss(up):
        return float(((0.7 * up @ (down @ query) - wanted) ** 2).sum())

    slope, step = np.zeros((2, 2)), 1e-4 * np.eye(4).reshape(2, 2, 2, 2)
    for i, j in np.ndindex(2, 2):
        slope[i, j] = (loss(step[i, j]) - loss(-step[i, j])) / 2e-4
    case = rank_stabilised_scale.Case(query, -2 * wanted, 2, 0.7, 0.3, 1.0)
    found = stepped(case, down)
    np.testing.assert_allclose(found.up, -0.3 * 0.7 * slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("spent", [1, 4, 64])
def test_real_first_steps_have_that_mean_square(spent):
    rng, trials = np.random.default_rng(spent), 1500
    query, gradient = rng.standard_normal(6), rng.standard_normal(3)
    case = rank_stabilised_scale.Case(query, gradient, spent, 0.5, 0.2, 0.4)
    downs = 0.4 * rng.standard_normal((trials, spent, 6))
    moves = np.stack([stepped(case, down) @ case.query for down in downs])
    squares = (moves**2).sum(axis=1)
    law, lengths = rank_stabilised_scale.bound(case), np.sqrt(squares)
    assert abs(squares.mean() - law) <= 6 * squares.std() / trials**0.5
    unit = 0.2 * 0.4**2 * (query @ query) * np.linalg.norm(gradient)
    mean = unit * spent * 0.5**2
    assert abs(lengths.mean() - mean) <= 6 * lengths.std() / trials**0.5
    assert moves.mean(axis=0) @ gradient < 0  # downhill


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
