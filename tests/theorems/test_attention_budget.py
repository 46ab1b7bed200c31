"""attention_budget: by hand, exact ranks, by another road, half the width, symmetries, limits."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.expressiveness.attention_budget import (
    RANK,
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 7)


def room(case):
    return 1e-11 * THEOREM.condition(case) * THEOREM.scale(case)


def test_hand_example():
    # rank 1 on both identity factors pays for 4 and 3 of 4, 3, 2, 1
    case = Case(np.eye(4), np.eye(4), np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0]), rank=1)
    assert bound(case) == 2.0
    assert measure(case, attain(case)) == pytest.approx(2.0, rel=1e-13)


@pytest.mark.parametrize("d", [2, 3, 6, 7])
def test_half_the_width_reaches_any_form_and_one_rank_less_does_not(d):
    rng = np.random.default_rng(d)
    queries, keys, target = (orthonormal(rng, d, d) + 0.5 * np.eye(d) for _ in "qkt")
    exact = Case(queries, keys, target + 3 * np.eye(d), rank=-(-d // 2))
    assert bound(exact) == 0.0
    assert measure(exact, attain(exact)) <= room(exact)
    assert bound(replace(exact, rank=-(-d // 2) - 1)) > 0.1


@given(seeds)
def test_the_form_moves_by_twice_the_rank_at_most_in_exact_integers(seed):
    rng = np.random.default_rng(seed)
    h, d, r = (int(rng.integers(1, 5)) for _ in "hdr")
    queries, keys = (sympy.Matrix(rng.integers(-3, 4, (h, d))) for _ in "qk")
    first, second = (
        sympy.Matrix(rng.integers(-3, 4, (h, r))) * sympy.Matrix(rng.integers(-3, 4, (r, d)))
        for _ in "qk"
    )
    adapted = (queries + first).T * (keys + second)
    assert (adapted - queries.T * keys).rank() <= 2 * r
    assert adapted.rank() <= h


@given(seeds)
def test_bound_matches_eigenvalues(seed):
    case = drawn(seed)
    h, d = case.keys.shape

    def squared(matrix, index):
        return np.linalg.eigvalsh(matrix.T @ matrix)[::-1][index] if index < d else 0.0

    expected = max(squared(case.target - case.form, 2 * case.rank), squared(case.target, h))
    room = 1e-13 * THEOREM.scale(case) ** 2
    assert bound(case) ** 2 == pytest.approx(expected, rel=1e-9, abs=room)


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    found = adversary(case, np.random.default_rng(seed))
    assert THEOREM.judge(case, found).holds
    assert max(low.width for low in found) <= case.rank


def test_alternating_least_squares_finds_the_exact_forms_from_half_the_width_on():
    rng = np.random.default_rng(0)
    case = Case(*(orthonormal(rng, 4, 4) for _ in "qkt"), rank=2)
    assert min(measure(case, adversary(case, np.random.default_rng(s))) for s in range(9)) < 0.05


def test_a_narrow_head_below_full_rank_cannot_be_outwitted():
    """The control's witness is the best there is: 1, proved in the module, where the floor is 0."""
    case, best = THEOREM.controls[2].example()
    assert bound(case) == 0.0
    assert measure(case, best) == 1.0
    found = [measure(case, adversary(case, np.random.default_rng(s))) for s in range(9)]
    assert min(found) >= 1 - 1e-9


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_the_head_basis_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    h, d = case.keys.shape
    turn, back = orthonormal(rng, d, d), orthonormal(rng, d, d)
    basis = np.eye(h) + 0.3 * orthonormal(rng, h, h)
    queries = np.linalg.solve(basis.T, case.queries) @ turn
    other = Case(
        queries, factor * basis @ case.keys @ back, factor * turn.T @ case.target @ back, case.rank
    )
    assert bound(other) == pytest.approx(factor * bound(case), rel=1e-9, abs=room(other))
    assert THEOREM.check(other, attain(other)).tight


@given(seeds)
def test_queries_and_keys_may_change_places(seed):
    case = drawn(seed)
    other = Case(case.keys, case.queries, case.target.T, case.rank)
    assert bound(other) == pytest.approx(bound(case), rel=1e-9, abs=room(case))


@given(seeds)
def test_nothing_spent_loses_all_and_a_narrow_head_keeps_its_own_limit(seed):
    case = drawn(seed)
    idle, h = replace(case, rank=0), len(case.keys)
    assert bound(idle) >= np.linalg.norm(case.target - case.form, 2) - room(case)
    full = replace(case, rank=h)
    best = np.linalg.svd(case.target, compute_uv=False)
    lost = best[h] if h < len(best) else 0.0
    assert bound(full) == pytest.approx(lost, rel=1e-9, abs=room(case))


def test_rank_is_refused_by_name():
    case = Case(np.eye(2), np.eye(2), np.eye(2), rank=0)
    with pytest.raises(ValueError, match="rank"):
        THEOREM.check(case, (LowRank(np.eye(2), np.eye(2)),) * 2)
    assert "R" in RANK


@given(seeds)
def test_the_floor_holds_between_too_where_it_need_not_be_met(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 8))
    h = int(rng.integers(2, d))
    queries, keys = rng.standard_normal((2, h, d))
    case = Case(queries, keys, rng.standard_normal((d, d)), rank=int(rng.integers(1, h)))
    assert THEOREM.judge(case, adversary(case, rng)).holds
