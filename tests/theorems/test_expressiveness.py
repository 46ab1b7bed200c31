"""Second routes of the expressiveness theorems: exact ranks, real heads, training, brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from theorems.expressiveness import generic, softmax
from theorems.owed import integers, over, theorem_of

from loratheory.lowrank import orthonormal
from loratheory.theorems import (
    argmax_margin,
    attention_bottleneck,
    attention_budget,
    depth_budget,
    rank_stabilised_scale,
    rank_threshold,
    relu_budget,
    softmax_bottleneck,
    two_learning_rates,
)

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


def opened(case, offset):
    """The construction with biases that leave this offset at the end."""
    updates, d = relu_budget.attain(case).updates, len(offset)
    biases = relu_budget.opening_biases(case.layers(updates), case.radius, offset)
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
    assert theorem_of("half-the-width").check(exact, attention_budget.paid(exact)).tight
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
    assert theorem_of(attention_budget).check(case, witness).holds
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


@over()
def test_the_circle_answers_whatever_is_asked_with_the_margin_it_says(rng):
    tokens = int(rng.integers(2, 200))
    wanted = rng.integers(0, tokens, 20).tolist()
    scores = argmax_margin.circle(wanted, tokens)
    assert argmax_margin.answers_of(scores) == wanted
    table = np.sort(scores.dense(), axis=0)
    margin = (table[-1] - table[-2]).min()
    assert margin == pytest.approx(1 - np.cos(2 * np.pi / tokens), abs=1e-14)


# Frozen layers


# Ranks


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [(0, 3, 0), (1, 1, 1), (1, 2, 1), (3, 1, 2), (3, 2, 3), (5, 2, 4)],
)
def test_the_largest_rank_is_the_triangular_root(inputs, outputs, expected):
    assert rank_threshold.largest_rank(inputs, outputs) == expected
    assert expected * (expected + 1) / 2 <= inputs * outputs < (expected + 1) * (expected + 2) / 2
    with pytest.raises(ValueError, match="cannot be negative"):
        rank_threshold.largest_rank(-1 - inputs, outputs)


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
    assert 1 <= found <= rank_threshold.largest_rank(count, 1)


@settings(max_examples=5)
@given(st.integers(1, 5))
def test_enough_measurements_leave_nothing_to_reduce(k):
    probes = np.random.default_rng(k).standard_normal((40, k, k))
    case = rank_threshold.Case(np.eye(k), np.eye(k), np.eye(k), probes)
    assert rank_threshold.reduced(case).rank == k
    assert rank_threshold.reduced(replace(case, probes=np.eye(k)[None])).rank == 1


# Training


@pytest.mark.parametrize(("power", "slope"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.5, -0.5)])
def test_the_slope_in_the_width_is_flat_only_at_ratio_n(power, slope):
    """Mean parts of the move at rates 1 and ``n**-power`` over real draws."""
    rng, widths, parts = np.random.default_rng(4), [16, 64, 256], []
    for n in widths:
        query, rows = rng.choice([-1.0, 1.0], n), rng.standard_normal((400, n)) / n**0.5
        whole, still = (
            np.mean(
                [
                    two_learning_rates.bound(
                        two_learning_rates.Case(row[None], query, 1.0, down, 3)
                    )
                    for row in rows
                ]
            )
            for down in (float(n**-power), 0.0)
        )
        parts.append((still, whole - still))
    laws = [two_learning_rates.moved_by(3, n, 1, 1.0, n**-power) for n in widths]
    np.testing.assert_allclose(np.array(parts)[:, 1], np.array(laws)[:, 1], rtol=1e-9)
    np.testing.assert_allclose(np.array(parts)[:, 0], np.array(laws)[:, 0], rtol=0.2)
    down = np.polyfit(np.log(widths), np.log(np.array(parts)[:, 1]), 1)[0]
    assert down == pytest.approx(slope, abs=1e-9)


def test_with_one_rate_for_both_one_factor_does_all_the_work_and_other_runs_are_refused():
    moved_by = two_learning_rates.moved_by
    small, large = moved_by(10, 4096, 16, 1e-3, 1e-3), moved_by(10, 4096, 16, 1.0, 1 / 4096)
    assert small[1] / small[0] > 40
    assert large[1] / large[0] == pytest.approx(9 / (2 / np.pi) ** 0.5)
    with pytest.raises(ValueError, match="give at least one of each"):
        moved_by(0, 4, 1, 1, 1)
    theorem = theorem_of(two_learning_rates)
    case = replace(theorem.draw(np.random.default_rng(1), 8), steps=4)
    short = two_learning_rates.Training((-1.0,) * 3, 0.0, np.zeros(len(case.down)))
    with pytest.raises(ValueError, match="one direction"):
        theorem.check(case, short)


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
    found = rank_stabilised_scale.stepped(case, down)
    np.testing.assert_allclose(found.up, -0.3 * 0.7 * slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("spent", [1, 4, 64])
def test_real_first_steps_have_that_mean_square(spent):
    rng, trials = np.random.default_rng(spent), 1500
    query, gradient = rng.standard_normal(6), rng.standard_normal(3)
    case = rank_stabilised_scale.Case(query, gradient, spent, 0.5, 0.2, 0.4)
    downs = 0.4 * rng.standard_normal((trials, spent, 6))
    moves = np.stack([rank_stabilised_scale.stepped(case, down) @ case.query for down in downs])
    squares = (moves**2).sum(axis=1)
    law, lengths = rank_stabilised_scale.bound(case), np.sqrt(squares)
    assert abs(squares.mean() - law) <= 6 * squares.std() / trials**0.5
    unit = 0.2 * 0.4**2 * (query @ query) * np.linalg.norm(gradient)
    mean = unit * rank_stabilised_scale.first_step(spent, 0.5, 0)
    assert abs(lengths.mean() - mean) <= 6 * lengths.std() / trials**0.5
    assert moves.mean(axis=0) @ gradient < 0  # downhill


def test_the_first_step_is_rank_free_at_one_half_alone():
    first_step, ranks = rank_stabilised_scale.first_step, np.array([4, 16, 64, 256])
    for power, slope in ((0.0, 1.0), (0.5, 0.0), (1.0, -1.0)):
        laws = [first_step(spent, 16, power) for spent in ranks.tolist()]
        assert np.polyfit(np.log(ranks), np.log(laws), 1)[0] == pytest.approx(slope, abs=1e-12)
    assert first_step(7, 3.0) == pytest.approx(9.0, rel=1e-12)
    assert first_step(7, 3.0, 1) == pytest.approx(9.0 / 7, rel=1e-12)
    assert first_step(1) == 1.0
    with pytest.raises(ValueError, match="give a rank of at least 1"):
        first_step(0)
