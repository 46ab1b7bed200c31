"""interpolation_price: by hand, exactly, dense error, the constant and its sharpness, limits."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal, row_space
from loratheory.theorems import AssumptionError
from loratheory.theorems.merging.interpolating_merge import Case as Shelf
from loratheory.theorems.merging.interpolating_merge import attain as interpolated
from loratheory.theorems.merging.interpolation_price import (
    CONTROLS,
    THEOREM,
    Case,
    amplification,
    attain,
    bound,
    measure,
    price,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def opposite(angle, leak=1.0):
    rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    return Case(
        tuple(LowRank(np.array([[s]]), rows[[i]]) for i, s in enumerate((1.0, -1.0))), 0, leak
    )


def test_hand_example():
    """Rows (1, 0) → 1 and (3/5, 4/5) → -1: Δ* = (1, -2), so a leak of 3 costs 6."""
    case = opposite(np.arccos(0.6), 3.0)
    np.testing.assert_allclose(interpolated(Shelf(case.updates)).dense(), [[1, -2]], atol=1e-14)
    assert bound(case) == pytest.approx(6.0, rel=1e-13)
    assert measure(case, np.array([7.0, 3.0])) == pytest.approx(6.0, rel=1e-13)


def floats(matrix):
    return np.array(matrix, float)


def test_worst_leak_in_exact_rationals():
    """Exact pseudo-inverses, an oblique pair of rank 1 and 2 in width 4: norm √7 outside."""
    reads = sp.Matrix([[-2, -1, 1, -1]]), sp.Matrix([[1, 0, 0, -1], [-2, 2, 0, 0]])
    ups = sp.Matrix([2, -2]), sp.Matrix([[0, 1], [1, -1]])
    inside = [rows.pinv() * rows for rows in reads]
    tasks = [up * rows for up, rows in zip(ups, reads, strict=True)]
    merged = (tasks[0] + tasks[1]) * (inside[0] + inside[1]).pinv()
    error = merged * (sp.eye(4) - inside[0])
    top, _, (axis,) = max((error * error.T).eigenvects())
    leak = error.T * axis
    key = leak + 3 * reads[0].T
    assert (merged - tasks[0]) * key == error * key == error * leak
    assert top == 7 == (error * leak).norm() ** 2 / leak.norm() ** 2
    pair = tuple(LowRank(floats(up), floats(rows)) for up, rows in zip(ups, reads, strict=True))
    case = Case(pair, 0, float(leak.norm()))
    values = [bound(case), measure(case, attain(case)), measure(case, floats(key)[:, 0])]
    assert values == pytest.approx([7**0.5 * case.leak] * 3, rel=1e-12)


def test_adapters_of_rank_zero_cost_nothing_beside_others_or_alone():
    case = opposite(np.arccos(0.6), 3.0)
    silent = LowRank(np.zeros((1, 1)), np.ones((1, 2)))
    joined = replace(case, updates=(*case.updates, silent))
    assert bound(joined) == pytest.approx(6.0, rel=1e-13)
    alone = replace(case, updates=(silent,))
    assert bound(alone) == 0.0
    assert THEOREM.check(joined, attain(joined)).tight
    assert THEOREM.check(alone, attain(alone)).tight


@given(seeds)
def test_the_error_is_the_merge_of_what_leaks(seed):
    """Dense, with the pseudo-inverse of the projectors' sum."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    key = THEOREM.rival(case, rng)
    dense = [low.dense() for low in case.updates]
    projectors = [row_space(low) @ row_space(low).T for low in case.updates]
    merged = sum(dense) @ np.linalg.pinv(sum(projectors), rcond=1e-10)
    error = merged @ (key - projectors[case.index] @ key)
    assert measure(case, key) == pytest.approx(float(np.linalg.norm(error)), abs=room(case))


@given(seeds)
def test_the_explicit_prices_are_above_in_order(seed):
    case = drawn(seed)
    loud = [np.linalg.norm(low.dense(), 2) for low in case.updates]
    columns = np.concatenate([row_space(low) for low in case.updates], axis=1)
    least = float(np.linalg.svd(columns)[1][-1])
    known = price(len(loud), float(max(loud)), least)
    given_norms = amplification(case.updates)
    assert bound(case) <= given_norms * case.leak * (1 + 1e-9)
    assert given_norms <= known * (1 + 1e-9)
    assert given_norms == pytest.approx(float(np.sqrt(np.sum(np.square(loud)))) / least)


@pytest.mark.parametrize("angle", [1.0, 0.1, 1e-3])
def test_two_lines_reach_the_constant_as_they_close(angle):
    case = opposite(angle)
    assert price(2, 1, 2**0.5 * np.sin(angle / 2)) == pytest.approx(1 / np.sin(angle / 2))
    assert amplification(case.updates) == pytest.approx(1 / np.sin(angle / 2), rel=1e-9)
    share = bound(case) / amplification(case.updates)
    assert share == pytest.approx(np.cos(angle / 2), rel=1e-9)


@given(seeds)
def test_inside_the_row_space_nothing_is_paid(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    basis = row_space(case.updates[case.index])
    key = case.leak * basis @ rng.standard_normal(basis.shape[1])
    assert measure(case, key) <= room(case)
    assert bound(replace(case, leak=0.0)) == 0.0


@given(seeds)
def test_eigenvalues_of_the_dense_error_give_the_same_worst_input(seed):
    case = drawn(seed)
    basis = row_space(case.updates[case.index])
    off = np.eye(len(basis)) - basis @ basis.T
    error = (interpolated(Shelf(case.updates)).dense() - case.updates[case.index].dense()) @ off
    top = float(np.sqrt(np.abs(np.linalg.eigvalsh(error @ error.T)[-1])))
    assert bound(case) == pytest.approx(top * case.leak, rel=1e-6, abs=room(case))


@given(seeds)
def test_scaling_and_rotation_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = tuple(LowRank(2 * left @ a.up, a.down @ right) for a in case.updates)
    other = Case(moved, case.index, 5 * case.leak)
    assert bound(other) == pytest.approx(10 * bound(case), abs=room(other))
    assert THEOREM.check(other, attain(other)).tight


def test_one_adapter_answers_its_own_way_everywhere():
    low = drawn(2).updates[0]
    assert bound(Case((low,), 0, 1.0)) <= 1e-12 * np.linalg.norm(low.dense())


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, key = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, key)
    assert THEOREM.judge(case, key).slack < -0.1
