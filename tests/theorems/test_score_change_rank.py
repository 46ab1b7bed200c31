"""score_change_rank: by hand, exact ranks, merges, real sizes, symmetries, limits."""

from dataclasses import replace

import numpy as np
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, gaussian, orthonormal
from loratheory.theorems.expressiveness.score_change_rank import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 7)


def test_hand_example():
    # diag(2, 1, 1) and diag(1, 1, 2) change the identity form in two entries
    one = np.eye(3)
    updates = LowRank(one[:, :1], one[:1]), LowRank(one[:, 2:], one[2:])
    case = Case(one, one, (1, 1))
    assert measure(case, updates) == bound(case) == 2


def test_both_ranks_full_turn_a_narrow_head_into_twice_its_size():
    one = np.eye(2, 5)
    case = Case(one, one, (2, 2))
    assert bound(case) == measure(case, attain(case)) == 4
    assert bound(Case(np.eye(2, 3), np.eye(2, 3), (2, 2))) == 3


@given(seeds)
def test_rank_of_the_change_in_exact_integers(seed):
    """Never above the bound, and equal for most random updates of full-rank weights."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    h = int(rng.integers(1, d + 1))
    ranks = rng.integers(0, h + 1, 2).tolist()

    def integers(rows, columns):
        return sympy.Matrix(rows, columns, rng.integers(-20, 21, rows * columns).tolist())

    queries, keys = integers(h, d), integers(h, d)
    first, second = (integers(h, r) * integers(r, d) for r in ranks)
    change = (queries + first).T * (keys + second) - queries.T * keys
    case = Case(np.array(queries, dtype=float), np.array(keys, dtype=float), tuple(ranks))
    assert change.rank() <= bound(case)
    tokens = integers(d, 4)
    assert (tokens.T * change * tokens).rank() <= change.rank()
    if seed == 0:
        assert change.rank() == bound(case)


@given(seeds)
def test_numerical_rank_agrees_with_dense_arrays(seed):
    case = drawn(seed)
    first, second = (low.dense() for low in attain(case))
    change = (case.queries + first).T @ (case.keys + second) - case.queries.T @ case.keys
    sigma = np.linalg.svd(change, compute_uv=False)
    size = np.linalg.norm(case.queries) * np.linalg.norm(case.keys)
    assert measure(case, attain(case)) == np.count_nonzero(sigma > 1e-9 * size)


@given(seeds)
def test_climbing_never_goes_above(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@given(seeds)
def test_merged_adapters_move_the_form_by_the_sum_of_their_ranks_cross_terms_included(seed):
    rng = np.random.default_rng(seed)
    h, d, k = 6, 14, 3
    queries, keys = rng.standard_normal((2, h, d))
    pairs = [(gaussian(rng, h, d, 1), gaussian(rng, h, d, 1)) for _ in range(k)]
    merged = pairs[0][0] + pairs[1][0] + pairs[2][0], pairs[0][1] + pairs[1][1] + pairs[2][1]
    case = Case(queries, keys, (k, k))
    assert THEOREM.check(case, merged).tight
    alone = sum(
        (queries + first.dense()).T @ (keys + second.dense()) - queries.T @ keys
        for first, second in pairs
    )
    both = (queries + merged[0].dense()).T @ (keys + merged[1].dense()) - queries.T @ keys
    cross = sum(
        pairs[i][0].dense().T @ pairs[j][1].dense() for i in range(k) for j in range(k) if i != j
    )
    np.testing.assert_allclose(both - alone, cross, atol=1e-12 * np.abs(both).max())
    assert np.linalg.norm(cross) > 1e-3 * np.linalg.norm(both)


def test_real_sizes_need_no_dense_form():
    rng = np.random.default_rng(0)
    queries, keys = rng.standard_normal((2, 64, 4096))
    case = Case(queries, keys, (8, 8))
    updates = gaussian(rng, 64, 4096, 8), gaussian(rng, 64, 4096, 8)
    assert measure(case, updates) == bound(case) == 16


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_the_head_basis_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    h, d = case.keys.shape
    turn, basis = orthonormal(rng, d, d), np.eye(h) + 0.3 * orthonormal(rng, h, h)
    first, second = attain(case)
    queries = np.linalg.solve(basis.T, case.queries) @ turn
    other = Case(queries, factor * basis @ case.keys, case.ranks)
    moved = (
        LowRank(np.linalg.solve(basis.T, first.up), first.down @ turn),
        LowRank(factor * basis @ second.up, second.down),
    )
    assert measure(other, moved) == measure(case, attain(case)) == bound(other)


@given(seeds)
def test_nothing_moves_nothing_and_one_factor_moves_its_rank(seed):
    case = drawn(seed)
    still = replace(case, ranks=(0, 0))
    assert bound(still) == measure(still, attain(still)) == 0
    alone = replace(case, ranks=(case.ranks[0], 0))
    assert bound(alone) == measure(alone, attain(alone)) == case.ranks[0]


@given(seeds)
def test_construction_doubles_terms_of_the_form_where_one_factor_moves(seed):
    case = drawn(seed)
    first = case.ranks[0]
    case = replace(case, ranks=(first, min(case.ranks[1], len(case.keys) - first)))
    queries, keys = attain(case)
    adapted = (case.queries + queries.dense()).T @ (case.keys + keys.dense())
    sigma = np.linalg.svd(case.queries.T @ case.keys, compute_uv=False)
    sigma[:first] *= 2
    sigma[len(case.keys) - case.ranks[1] : len(case.keys)] *= 2
    found = np.linalg.svd(adapted, compute_uv=False)
    np.testing.assert_allclose(found, np.sort(sigma)[::-1], atol=1e-12 * sigma.max())
