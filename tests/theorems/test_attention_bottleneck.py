"""attention_bottleneck: by hand, exact ranks, real heads, by another road, symmetries, limits."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.expressiveness.attention_bottleneck import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 7)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=0))
    return weights / weights.sum(axis=0)


def generic(seed, n):
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(n), n).T)


def test_hand_example():
    # two tokens 1 and 2 in one dimension, scores m x_s x_t: the query 2 has twice the log-odds
    # wanted (1, 1), nearest (m, 2 m) with m = 3/5: (2/5)^2 + (1/5)^2, halved by the 1/n
    odds = np.array([[0.0, 0.0], [1.0, 1.0]])
    case = Case(np.array([[1.0, 2.0]]), odds - np.log(np.exp(odds).sum(axis=0)), head=1)
    assert bound(case) == pytest.approx(1 / 10, rel=1e-14)
    assert attain(case).dense().item() == pytest.approx(3 / 5, rel=1e-13)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_head_size_one_below_the_sequence_gives_any_pattern_and_two_below_does_not(n):
    case = Case(orthonormal(np.random.default_rng(n), n + 2, n), generic(n, n), head=n - 1)
    form = attain(case)
    queries = np.sqrt(n - 1) * form.down  # a real head: softmax((W_K X).T (W_Q X) / sqrt(h))
    scores = (form.up.T @ case.tokens).T @ (queries @ case.tokens) / np.sqrt(n - 1)
    np.testing.assert_allclose(softmax(scores), np.exp(case.target), atol=1e-12)
    assert bound(replace(case, head=n - 2)) > 1e-6


@given(seeds)
def test_every_reachable_pattern_of_integer_scores_has_centred_rank_at_most_the_head(seed):
    """In exact integers: what the bound rests on."""
    rng = np.random.default_rng(seed)
    d, n, head = int(rng.integers(1, 5)), int(rng.integers(2, 6)), int(rng.integers(1, 3))
    tokens = sympy.Matrix(rng.integers(-2, 3, (d, n)))
    keys, queries = (sympy.Matrix(rng.integers(-2, 3, (head, d))) for _ in "kq")
    scores = (keys * tokens).T * (queries * tokens)
    centre = sympy.eye(n) - sympy.ones(n, n) / n
    assert (centre * scores).rank() <= min(head, n - 1)


@given(seeds)
def test_bound_matches_least_squares_over_all_forms_when_the_head_is_wide(seed):
    """Another road: one linear regression of all log-odds on the d*d entries of the form."""
    case = drawn(seed)
    d, n = case.tokens.shape
    case = replace(case, head=d)
    pairs = [(s, t, j) for s in range(n) for t in range(s) for j in range(n)]
    x = case.tokens / np.abs(case.tokens).max()
    rows = [np.outer(x[:, s] - x[:, t], x[:, j]).ravel() for s, t, j in pairs]
    wanted = np.array([case.target[s, j] - case.target[t, j] for s, t, j in pairs])
    expected = 0.0
    if pairs:
        solution = np.linalg.lstsq(np.array(rows), wanted, rcond=1e-10)[0]
        expected = np.sum((np.array(rows) @ solution - wanted) ** 2) / n
    room = 1e-11 * THEOREM.condition(case) * THEOREM.scale(case)
    assert bound(case) == pytest.approx(expected, rel=1e-9, abs=room)


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_finds_the_floor():
    rng = np.random.default_rng(1)
    case = Case(orthonormal(rng, 3, 3) @ np.diag([1.0, 2.0, 3.0]), generic(0, 3), head=1)
    best = min(measure(case, adversary(case, np.random.default_rng(s))) for s in range(5))
    assert best == pytest.approx(bound(case), rel=1e-6)
    assert bound(case) > 1e-3


@given(st.floats(0.1, 10.0), seeds)
def test_token_size_basis_order_and_score_shifts_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d, n = case.tokens.shape
    order, basis = rng.permutation(n), np.eye(d) + 0.3 * orthonormal(rng, d, d)
    tokens = factor * basis @ case.tokens[:, order]
    target = case.target[order][:, order] + rng.standard_normal((1, n))
    other = Case(tokens, target, case.head)
    room = 1e-11 * THEOREM.condition(other) * THEOREM.scale(other)
    assert bound(other) == pytest.approx(bound(case), rel=1e-8, abs=room)


@given(seeds)
def test_pattern_of_a_real_head_of_that_size_costs_nothing(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.tokens)
    keys, queries = rng.standard_normal((2, case.head, d)) / np.abs(case.tokens).max()
    scores = (keys @ case.tokens).T @ (queries @ case.tokens)
    met = replace(case, target=np.log(softmax(scores)))
    room = 1e-11 * THEOREM.condition(met) * THEOREM.scale(met)
    assert bound(met) <= room
    assert measure(met, LowRank(keys.T, queries)) <= room


@given(seeds)
def test_one_token_attends_to_itself_whatever_the_head(seed):
    case = drawn(seed)
    alone = Case(case.tokens[:, :1], np.zeros((1, 1)), head=0)
    assert bound(alone) == measure(alone, attain(alone)) == 0.0


def test_equal_tokens_get_equal_attention_whatever_the_head():
    """Their centred keys vanish, but for rounding, which must not be taken for a direction."""
    tokens = np.array([[0.1], [0.7], [0.3]]) @ np.ones((1, 3))
    case = Case(tokens, generic(5, 3), head=3)
    missing = case.target - case.target.mean(axis=0)
    assert bound(case) == pytest.approx(np.sum(missing**2), rel=1e-13)
    assert THEOREM.check(case, attain(case)).tight
