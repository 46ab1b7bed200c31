"""rank_subadditivity: by hand, exact ranks of integer matrices, both sides, natural symmetries."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import LowRank, gaussian, orthonormal, rank, total
from loratheory.theorems import AssumptionError
from loratheory.theorems.merging.rank_subadditivity import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    least_rank,
    measure,
    most_rank,
    spans,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_hand_example():
    """E11 + E12 share a row of outputs: rank 1 = 2 + 1 - 2; E11 and E22 share nothing: rank 2."""
    units = np.eye(2)
    lines = [LowRank(units[:, [0]], units[[0]]), LowRank(units[:, [0]], units[[1]])]
    assert spans(tuple(lines)) == (2, 1)
    assert rank(total(lines)) == 1 == least_rank((1, 1), 2, 1) == most_rank(2, 1)
    assert least_rank((1, 1), 2, 2) == most_rank(2, 2) == 2
    assert (least_rank((1, 1), 1, 1), most_rank(1, 1)) == (0, 1)


@given(seeds)
@settings(max_examples=25)
def test_exact_ranks_of_integer_matrices_stay_between(seed):
    """SymPy ranks of small integers, where shared directions happen by themselves."""
    rng = np.random.default_rng(seed)
    ups = [sympy.Matrix(rng.integers(-1, 2, (3, r))) for r in (1, 2)]
    downs = [sympy.Matrix(rng.integers(-1, 2, (r, 3))) for r in (1, 2)]
    parts = [u * d for u, d in zip(ups, downs, strict=True)]
    ranks = tuple(int(p.rank()) for p in parts)
    rows = int(sympy.Matrix.vstack(*parts).rank())
    columns = int(sympy.Matrix.hstack(*parts).rank())
    for weights in ((1, 1), (1, -1), (2, 3)):
        found = int((weights[0] * parts[0] + weights[1] * parts[1]).rank())
        assert least_rank(ranks, rows, columns) <= found <= most_rank(rows, columns)
        assert found >= max(2 * r - sum(ranks) for r in ranks)
        assert (found == sum(ranks)) == (rows == columns == sum(ranks))


@given(seeds)
def test_both_ends_are_met_and_everything_lies_between(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    found = {
        side: measure(replace(case, side=side), attain(replace(case, side=side)))
        for side in ("least", "most")
    }
    assert found["least"] == least_rank(case.ranks, case.rows, case.columns)
    assert -found["most"] == most_rank(case.rows, case.columns)
    other = THEOREM.rival(case, rng)
    assert spans(other) == (case.rows, case.columns)
    assert found["least"] <= measure(replace(case, side="least"), other) <= -found["most"]


@given(seeds)
def test_the_known_outer_bounds_are_weaker(seed):
    case = drawn(seed)
    wide = sum(case.ranks)
    outer = max(r - (wide - r) for r in case.ranks)
    assert outer <= least_rank(case.ranks, case.rows, case.columns)
    assert most_rank(case.rows, case.columns) <= wide


@given(seeds)
def test_independent_spaces_never_cancel(seed):
    rng = np.random.default_rng(seed)
    shelf = tuple(gaussian(rng, 7, 8, r) for r in (1, 2, 3))
    weights = (rng.choice([-1, 1], 3) * 10.0 ** rng.uniform(-2, 2, 3)).tolist()
    assert spans(shelf) == (6, 6)
    assert rank(total(list(shelf), weights), 1e-9) == 6


@given(seeds)
def test_dense_ranks_agree(seed):
    case = drawn(seed)
    shelf = attain(case)
    dense = sum(low.dense() for low in shelf)
    size = max(np.linalg.norm(low.dense(), 2) for low in shelf)
    found = int(np.linalg.matrix_rank(dense, tol=1e-9 * size))
    assert abs(measure(case, shelf)) == found


@given(seeds)
def test_rotation_and_order_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    shelf = attain(case)
    m, n = shelf[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = tuple(LowRank(1e3 * left @ a.up, a.down @ right) for a in reversed(shelf))
    other = replace(case, ranks=case.ranks[::-1])
    assert THEOREM.check(other, moved).tight
    assert bound(other) == bound(case)


def test_one_adapter_keeps_its_rank():
    for r in (1, 2, 5):
        assert least_rank((r,), r, r) == most_rank(r, r) == r


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, shelf = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, shelf)
    assert THEOREM.judge(case, shelf).slack <= -1


def test_the_claim_is_about_a_case():
    assert Case((1,), 1, 1).side == "least"
