"""Second routes of the expressiveness theorems: exact ranks, real heads, training, brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from strategies import seeds
from theorems.expressiveness import generic, softmax
from theorems.owed import over, theorem_of

from loratheory.lowrank import LowRank, nuclear, orthonormal, rank
from loratheory.theorems import (
    argmax_margin,
    argmax_rank,
    attention_bottleneck,
    attention_budget,
    depth_budget,
    frozen_features,
    rank_subadditivity,
    rank_threshold,
    relu_budget,
    score_change_rank,
    softmax_bottleneck,
)
from loratheory.theorems._affine_relu import opening_biases


def integers(rng, rows, columns, most=3):
    return sympy.Matrix(rows, columns, rng.integers(-most, most + 1, rows * columns).tolist())


# Networks


@pytest.mark.parametrize("aim", ["dense", "network"])
def test_a_deep_gaussian_network_is_steered_to_ten_digits_and_says_so(aim):
    """Sixteen layers of width 64 at rank 4, where inverses leave nothing: see the layer sweep."""
    rng = np.random.default_rng(11)
    weights = tuple(rng.standard_normal((64, 64)) / 8 for _ in range(16))
    depth = 1 if aim == "dense" else 16
    target = np.linalg.multi_dot([np.eye(64), *rng.standard_normal((depth, 64, 64)) / 8])
    case = depth_budget.Case(weights, target, rank=4)
    verdict = theorem_of(depth_budget).check(case, depth_budget.attain(case))
    assert depth_budget.bound(case) == 0.0
    assert verdict.value < 1e-8 * np.linalg.norm(target, 2)
    assert verdict.tight
    assert verdict.condition < 1e11 < np.prod([np.linalg.cond(w) for w in weights]) / 1e15


def test_an_update_missing_for_a_layer_is_an_error():
    case = theorem_of(depth_budget).draw(np.random.default_rng(0), 8)
    with pytest.raises(ValueError, match="shorter"):
        depth_budget.measure(case, depth_budget.attain(case)[1:])


def network(weights, trial, inputs):
    """Plain ReLU layers, a column an input."""
    for weight, low, bias in zip(weights, trial.updates, trial.biases, strict=True):
        inputs = np.maximum((weight + low.up @ low.down) @ inputs + bias[:, None], 0)
    return inputs


def inputs_in_ball(rng, d, radius, count=200):
    points = rng.standard_normal((d, count))
    return radius * points / np.linalg.norm(points, axis=0) * rng.random(count) ** (1 / d)


@over(relu_budget)
def test_mean_squared_error_stays_below_for_any_bias_of_the_target(case, rng):
    """Plain NumPy layers on many inputs of the ball at once."""
    trial, theorem = relu_budget.rival(case, rng), theorem_of(relu_budget)
    room = 1e-11 * theorem.condition(case) * theorem.scale(case)
    x = inputs_in_ball(rng, len(trial.input), case.radius)
    target = np.maximum(case.network.target @ x + trial.offset[:, None], 0)
    missed = network(case.network.weights, trial, x) - target
    sigma = relu_budget.bound(case) / case.radius
    assert np.all(np.linalg.norm(missed, axis=0) <= sigma * np.linalg.norm(x, axis=0) + room)


def opened(case, offset):
    """The construction with biases that leave this offset at the end."""
    updates, d = relu_budget.attain(case).updates, len(offset)
    biases = opening_biases(case.layers(updates), case.radius, offset)
    return relu_budget.Trial(updates, biases, offset, np.zeros(d))


def test_relu_layers_are_exact_when_the_rank_suffices_and_wrong_outside_the_ball():
    rng = np.random.default_rng(1)
    weights = tuple(orthonormal(rng, 6, 6) for _ in range(3))
    case = relu_budget.Case(depth_budget.Case(weights, orthonormal(rng, 6, 6), rank=2), radius=2.0)
    offset = rng.standard_normal(6)
    trial = opened(case, offset)
    for size, exact in ((2.0, True), (200.0, False)):
        x = inputs_in_ball(rng, 6, size)
        wanted = np.maximum(case.network.target @ x + offset[:, None], 0)
        assert (np.abs(network(weights, trial, x) - wanted).max() < 1e-11) == exact
        assert wanted.min() == 0.0  # the target's own ReLUs do cut


# Attention


@pytest.mark.parametrize("d", [2, 3, 6, 7])
def test_half_the_width_reaches_any_form_and_one_rank_less_does_not(d):
    rng = np.random.default_rng(d)
    queries, keys, target = (orthonormal(rng, d, d) + 0.5 * np.eye(d) for _ in "qkt")
    exact = attention_budget.Case(queries, keys, target + 3 * np.eye(d), rank=-(-d // 2))
    assert attention_budget.bound(exact) == 0.0
    assert theorem_of(attention_budget).check(exact, attention_budget.attain(exact)).tight
    assert attention_budget.bound(replace(exact, rank=-(-d // 2) - 1)) > 0.1


@settings(max_examples=25)
@given(seeds)
def test_the_floor_holds_between_too_where_it_need_not_be_met(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 8))
    h = int(rng.integers(2, d))
    queries, keys = rng.standard_normal((2, h, d))
    target, r = rng.standard_normal((d, d)), int(rng.integers(1, h))
    case = attention_budget.Case(queries, keys, target, r)
    witness = attention_budget.adversary(case, rng)
    assert theorem_of(attention_budget).judge(case, witness).holds
    assert max(low.width for low in witness) <= r


@pytest.mark.parametrize("n", [2, 3, 8])
def test_head_size_one_below_the_sequence_gives_any_pattern_and_two_below_does_not(n):
    tokens = orthonormal(np.random.default_rng(n), n + 2, n)
    case = attention_bottleneck.Case(tokens, generic(n, n), head=n - 1)
    form = attention_bottleneck.attain(case)
    queries = np.sqrt(n - 1) * form.down  # a real head: softmax((W_K X).T (W_Q X) / sqrt(h))
    scores = (form.up.T @ case.tokens).T @ (queries @ case.tokens) / np.sqrt(n - 1)
    np.testing.assert_allclose(softmax(scores), np.exp(case.target), atol=1e-12)
    assert attention_bottleneck.bound(replace(case, head=n - 2)) > 1e-6


@over()
def test_rank_of_a_score_change_in_exact_integers(rng):
    """Never above the bound, and mostly equal for random updates of full-rank weights."""
    d = int(rng.integers(1, 6))
    h = int(rng.integers(1, d + 1))
    ranks = rng.integers(0, h + 1, 2).tolist()
    queries, keys = integers(rng, h, d, 20), integers(rng, h, d, 20)
    first, second = (integers(rng, h, r, 20) * integers(rng, r, d, 20) for r in ranks)
    change = (queries + first).T * (keys + second) - queries.T * keys
    case = score_change_rank.Case(
        np.array(queries, dtype=float), np.array(keys, dtype=float), tuple(ranks)
    )
    assert change.rank() <= score_change_rank.bound(case)
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
    assert {tuple(argmax_rank.answers_of(argmax_rank.circle(f, 3))) for f in every} == every


@over()
def test_circle_and_line_answer_whatever_is_asked_with_the_margin_they_say(rng):
    tokens = int(rng.integers(2, 200))
    wanted = rng.integers(0, tokens, 20).tolist()
    scores = argmax_rank.circle(wanted, tokens)
    assert argmax_rank.answers_of(scores) == wanted
    table = np.sort(scores.dense(), axis=0)
    margin = (table[-1] - table[-2]).min()
    assert margin == pytest.approx(1 - np.cos(2 * np.pi / tokens), abs=1e-14)
    ends = rng.random(9) < 0.5
    assert argmax_rank.answers_of(argmax_rank.line(ends.tolist(), tokens)) == ends.tolist()


@pytest.mark.parametrize("m", [2, 3, 5])
def test_a_simplex_gives_its_margin_exactly(m):
    """Symbolically: coordinates are centred unit vectors, scaled to norm one."""
    corners = (sympy.eye(m) - sympy.ones(m, m) / m) * sympy.sqrt(sympy.Rational(m, m - 1))
    table = sympy.simplify(corners.T * corners)
    assert {table[t, t] for t in range(m)} == {1}
    margins = {table[t, t] - table[s, t] for t in range(m) for s in range(m) if s != t}
    assert margins == {sympy.Rational(m, m - 1)}
    dense = argmax_margin.simplex(m).dense()
    np.testing.assert_allclose(dense, np.array(table, dtype=float), atol=1e-14)


def test_a_cross_polytope_is_an_integer_configuration_of_margin_one():
    table = argmax_margin.cross_polytope(6).dense()
    assert argmax_margin.cross_polytope(6).width == 3
    margins = {float(table[t, t] - table[s, t]) for t in range(6) for s in range(6) if s != t}
    assert margins == {1.0, 2.0}


@over(argmax_margin)
def test_best_keys_of_random_outputs_never_go_above(case, rng):
    """Another road: the best key for given outputs points away from the hull of the others."""
    outputs = rng.standard_normal((case.tokens, max(case.rank, 1)))
    outputs /= np.linalg.norm(outputs, axis=1)[:, None]
    far, keys = 1e6, []
    for t, output in enumerate(outputs):  # nonnegative least squares, sum of weights near 1
        others = np.delete(outputs, t, axis=0).T
        bordered = np.concatenate([others, far * np.ones((1, others.shape[1]))])
        away = output - others @ nnls(bordered, np.append(output, far))[0]
        keys.append(away / max(np.linalg.norm(away), 1e-9))
    best = LowRank(outputs, np.array(keys).T)
    ceiling = argmax_margin.bound(argmax_margin.Case(case.tokens, max(case.rank, 1)))
    assert argmax_margin.measure(case, best) <= ceiling + 1e-9


def test_margins_of_many_tokens_on_a_circle_fall_with_their_square():
    margin = argmax_margin.bound(argmax_margin.Case(1000, 2))
    assert margin == pytest.approx(2 * np.pi**2 / 1000**2, rel=1e-5)


# Frozen layers


@over(frozen_features)
def test_one_more_frozen_layer_never_lowers_the_floor(case, rng):
    more = rng.integers(-2, 3, (2, len(case.features))).astype(float)
    deeper = replace(case, weights=(*case.weights, more))
    room = 1e-12 * theorem_of(frozen_features).scale(case)
    assert frozen_features.bound(deeper) >= frozen_features.bound(case) - room


# Ranks


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [(0, 3, 0), (1, 1, 1), (1, 2, 1), (3, 1, 2), (3, 2, 3), (5, 2, 4)],
)
def test_the_largest_rank_is_the_triangular_root(inputs, outputs, expected):
    assert rank_threshold.largest_rank(inputs, outputs) == expected
    assert expected * (expected + 1) / 2 <= inputs * outputs < (expected + 1) * (expected + 2) / 2


@over(rank_threshold)
def test_the_reduced_core_is_a_minimiser_of_low_rank(case):
    """The first probe certifies: its product with any matrix is at most the nuclear norm."""
    found, start = rank_threshold.reduced(case), case.left @ case.core @ case.right.T
    assert theorem_of(rank_threshold).check(case, found).holds
    assert (case.probes[0] * found.dense()).sum() == pytest.approx(nuclear(found), rel=1e-8)
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
    assert 1 <= found <= rank_threshold.largest_rank(count, 1)


@settings(max_examples=5)
@given(st.integers(1, 5))
def test_enough_measurements_leave_nothing_to_reduce(k):
    probes = np.random.default_rng(k).standard_normal((40, k, k))
    case = rank_threshold.Case(np.eye(k), np.eye(k), np.eye(k), probes)
    assert rank(rank_threshold.reduced(case)) == k
    assert rank(rank_threshold.reduced(replace(case, probes=np.eye(k)[None]))) == 1


@over()
def test_exact_ranks_of_integer_sums_stay_between(rng):
    """SymPy ranks of small integers, where shared directions happen by themselves."""
    parts = [integers(rng, 3, r, 1) * integers(rng, r, 3, 1) for r in (1, 2)]
    ranks = tuple(int(p.rank()) for p in parts)
    rows = int(sympy.Matrix.vstack(*parts).rank())
    columns = int(sympy.Matrix.hstack(*parts).rank())
    for weights in ((1, 1), (1, -1), (2, 3)):
        found = int((weights[0] * parts[0] + weights[1] * parts[1]).rank())
        least = rank_subadditivity.least_rank(ranks, rows, columns)
        assert least <= found <= rank_subadditivity.most_rank(rows, columns)
        assert found >= max(2 * r - sum(ranks) for r in ranks)
        assert (found == sum(ranks)) == (rows == columns == sum(ranks))


@over(rank_subadditivity)
def test_sums_with_these_spans_lie_between_both_ends_and_the_known_bounds_are_weaker(case, rng):
    other = rank_subadditivity.rival(case, rng)
    assert rank_subadditivity.spans(other) == (case.rows, case.columns)
    least = rank_subadditivity.least_rank(case.ranks, case.rows, case.columns)
    most = rank_subadditivity.most_rank(case.rows, case.columns)
    assert least <= rank_subadditivity.measure(replace(case, side="least"), other) <= most
    wide = sum(case.ranks)
    assert max(r - (wide - r) for r in case.ranks) <= least
    assert most <= wide
