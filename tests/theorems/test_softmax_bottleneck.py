"""softmax_bottleneck: by hand, exact ranks, by another road, symmetries, limits."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import from_dense, orthonormal
from loratheory.theorems.expressiveness.softmax_bottleneck import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    log_softmax,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    # centred, orthogonal columns of squared length 8 and 6: rank 1 keeps the longer
    target = log_softmax(np.array([[2.0, 1.0], [-2.0, 1.0], [0.0, -2.0]]))
    case = Case(target, np.zeros((3, 2)), rank=1)
    assert bound(case) == pytest.approx(6.0, rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx(6.0, rel=1e-13)


def test_two_tokens_in_one_context_err_by_their_log_odds():
    # probabilities 3/4 and 1/4 met with 1/2, 1/2: (log 3)^2 / 2
    target = np.log(np.array([[0.75], [0.25]]))
    case = Case(target, np.zeros((2, 1)), rank=0)
    assert bound(case) == pytest.approx(np.log(3) ** 2 / 2, rel=1e-14)


@given(seeds)
def test_least_rank_over_shifts_is_the_centred_rank_in_exact_integers(seed):
    """And it is the plain rank or one less: Yang's condition is never off by more."""
    rng = np.random.default_rng(seed)
    m, n, r = int(rng.integers(2, 6)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    up, down = sympy.Matrix(rng.integers(-2, 3, (m, r))), sympy.Matrix(rng.integers(-2, 3, (r, n)))
    logits = up * down
    centre = sympy.eye(m) - sympy.ones(m, m) / m
    least = (centre * logits).rank()
    assert logits.rank() - 1 <= least <= logits.rank()
    shift = sympy.Matrix(rng.integers(-3, 4, (1, n)))
    assert (logits + sympy.ones(m, 1) * shift).rank() >= least
    best = -sympy.ones(1, m) * logits / m
    assert (logits + sympy.ones(m, 1) * best).rank() == least
    case = Case(log_softmax(np.array(logits, dtype=float)), np.zeros((m, n)), rank=least)
    assert bound(case) <= 1e-24 * THEOREM.scale(case)
    if least:
        assert bound(replace(case, rank=least - 1)) > 1e-6


@given(seeds)
def test_bound_matches_the_eigenvalues_of_the_log_odds(seed):
    """Another road: the Gram matrix of all log-odds, pair by pair."""
    case = drawn(seed)
    m = len(case.target)
    missing = case.target - case.base
    odds = [missing[s] - missing[t] for s in range(m) for t in range(s)]
    gram = sum((np.outer(row, row) for row in odds), np.zeros((case.target.shape[1],) * 2)) / m
    eigenvalues = np.linalg.eigvalsh(gram)[::-1]
    room = 1e-12 * THEOREM.scale(case)
    assert bound(case) == pytest.approx(eigenvalues[case.rank :].sum(), rel=1e-9, abs=room)


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_finds_the_floor():
    rng = np.random.default_rng(0)
    parts = [s * np.outer(*(orthonormal(rng, 6, 1)[:, 0] for _ in "ab")) for s in (9.0, 5.0, 1e-2)]
    case = Case(log_softmax(sum(parts)), np.zeros((6, 6)), rank=2)
    assert measure(case, adversary(case, rng)) == pytest.approx(bound(case), rel=1e-6)
    assert bound(case) > 0


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_shifts_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (m, n), spread = case.target.shape, np.max(np.abs(case.target))
    tokens, contexts = rng.permutation(m), rng.permutation(n)
    shift = spread * rng.standard_normal((1, n))
    missing = factor * (case.target - case.base + shift)[tokens][:, contexts]
    target = log_softmax(spread * rng.standard_normal((m, n)))
    other = Case(target, target - missing, case.rank)
    room = 1e-12 * (THEOREM.scale(other) + factor**2 * THEOREM.scale(case))
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-9, abs=room)


@given(seeds)
def test_no_rank_leaves_all_and_one_rank_less_than_tokens_leaves_nothing(seed):
    case = drawn(seed)
    idle = replace(case, rank=0)
    lost = case.target - case.base
    lost = np.sum((lost - lost.mean(axis=0)) ** 2)
    room = 1e-12 * THEOREM.scale(case)
    assert bound(idle) == pytest.approx(lost, rel=1e-9, abs=room)
    enough = replace(case, rank=min(len(case.target) - 1, case.target.shape[1]))
    assert bound(enough) <= room
    assert measure(enough, attain(enough)) <= room


@given(seeds)
def test_the_frozen_base_itself_costs_nothing_to_keep(seed):
    case = drawn(seed)
    kept = replace(case, target=log_softmax(case.base))
    assert bound(kept) <= 1e-12 * THEOREM.scale(kept)
    assert from_dense(case.base).shape == attain(kept).shape
