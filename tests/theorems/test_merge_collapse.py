"""merge_collapse: by hand, exactly, dense RegMean, WUDI by gradient descent, weights, limits."""

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
from loratheory.theorems.merging.merge_collapse import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def planar():
    rows = np.array([[1.0, 0.0], [0.6, 0.8]])
    pair = tuple(LowRank(np.eye(2)[:, [i]], rows[[i]]) for i in range(2))
    return Case(pair, np.array([0.0, 1.0]), np.array([1.0, 0.0]))


def test_hand_example():
    """The merge is [[1, -3/4], [0, 5/4]]: entry (1, 2) whatever the data weigh."""
    case = planar()
    assert bound(case) == pytest.approx(-0.75, rel=1e-14)
    for weight in (1e-3, 1.0, 1e3):
        data = (weight * case.updates[0].down.T, case.updates[1].down.T)
        assert measure(case, data) == pytest.approx(-0.75, rel=1e-10)


def floats(matrix):
    return np.array(matrix, float)


def test_three_kinds_of_data_give_one_merge_in_exact_rationals():
    """Dense Gram matrices, exact pseudo-inverse: oblique row spaces of rank 2 and 1 in width 4."""
    reads = sp.Matrix([[1, 2, 0, 1], [0, 1, 1, 0]]), sp.Matrix([[1, 1, 0, -1]])
    ups = sp.Matrix([[1, 0], [2, -1]]), sp.Matrix([1, 3])
    tasks = [up * rows for up, rows in zip(ups, reads, strict=True)]
    mixed = [reads[0].T * sp.Matrix([[1, 2], [0, 3]]), 5 * reads[1].T]
    data = [[rows.T for rows in reads], mixed, [task.T for task in tasks]]  # the last is WUDI's
    grams = [[x * x.T for x in part] for part in data]
    merges = [(tasks[0] * g + tasks[1] * h) * (g + h).pinv() for g, h in grams]
    assert merges[0] == merges[1] == merges[2]
    assert all(
        merges[0] * rows.T == up * rows * rows.T for up, rows in zip(ups, reads, strict=True)
    )
    exact = float((sp.Matrix([[2, 1]]) * merges[0] * sp.Matrix([1, 0, 3, -2]))[0])
    updates = tuple(LowRank(floats(up), floats(rows)) for up, rows in zip(ups, reads, strict=True))
    case = Case(updates, np.array([1.0, 0.0, 3.0, -2.0]), np.array([2.0, 1.0]))
    found = [bound(case), *(measure(case, tuple(map(floats, part))) for part in data)]
    assert found == pytest.approx([exact] * 4, rel=1e-12)


def test_adapters_that_say_nothing_change_nothing():
    """Rank 0, as before any training: no row space, no data, the merge of the others."""
    case = planar()
    silent = LowRank(np.zeros((2, 1)), np.ones((1, 2)))
    joined = replace(case, updates=(*case.updates, silent))
    assert bound(joined) == pytest.approx(bound(case), rel=1e-14)
    assert THEOREM.check(joined, attain(joined)).tight
    alone = replace(case, updates=(silent,))
    assert bound(alone) == 0.0
    assert THEOREM.check(alone, attain(alone)).tight


def test_data_of_very_different_size_are_refused_as_too_ill_conditioned_to_tell():
    case = planar()
    one, two = attain(case)
    with pytest.raises(AssumptionError, match="ranges"):
        THEOREM.check(case, (one, 1e-6 * two))


@given(seeds)
def test_adapters_and_looks_of_any_size_agree(seed):
    """Adapters of 1e-7 of the others' size, queries and directions of any length."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-7, 7, len(case.updates))
    updates = tuple(low * float(s) for low, s in zip(case.updates, sizes, strict=True))
    louder = replace(case, updates=updates, query=1e6 * case.query, direction=1e3 * case.direction)
    for data in (attain(louder), THEOREM.rival(louder, rng)):
        assert THEOREM.check(louder, data).tight


@given(seeds)
def test_regmean_with_dense_gram_matrices_agrees(seed):
    """As published: sums of Gram matrices and one inverse, n by n."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    grams = [x @ x.T for x in THEOREM.rival(case, rng)]
    top = sum(low.dense() @ gram for low, gram in zip(case.updates, grams, strict=True))
    merged = top @ np.linalg.pinv(sum(grams), rcond=1e-11)
    answer = float(case.direction @ merged @ case.query)
    assert answer == pytest.approx(bound(case), abs=1e4 * room(case))


@given(seeds)
def test_it_is_the_interpolating_merge(seed):
    case = drawn(seed)
    merged = interpolated(Shelf(case.updates))
    answer = float(case.direction @ (merged @ case.query))
    assert answer == pytest.approx(bound(case), abs=room(case))
    assert measure(case, attain(case)) == pytest.approx(answer, abs=room(case))


def test_gradient_descent_on_the_wudi_objective_ends_there():
    """Its loss is the sum of |(X - Δ_j) Δ_j^T|²/|Δ_j|²; from zero, no inverse."""
    rng = np.random.default_rng(0)
    updates = tuple(LowRank(rng.standard_normal((3, 2)), rng.standard_normal((2, 6))) for _ in "ab")
    dense = [low.dense() for low in updates]
    grams = [d.T @ d / np.sum(d**2) for d in dense]
    found, step = np.zeros((3, 6)), 1 / np.linalg.norm(sum(grams), 2)
    for _ in range(20000):
        gradient = sum((found - d) @ g for d, g in zip(dense, grams, strict=True))
        found = found - step * gradient
    np.testing.assert_allclose(found, interpolated(Shelf(updates)).dense(), atol=1e-6)


@given(seeds)
def test_scaling_rotation_and_order_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.updates[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = tuple(LowRank(2 * left @ a.up, a.down @ right.T) for a in reversed(case.updates))
    other = Case(moved, right @ case.query, left @ case.direction)
    assert bound(other) == pytest.approx(2 * bound(case), abs=room(other))


def test_one_adapter_is_left_alone():
    case = drawn(5)
    alone = replace(case, updates=case.updates[:1])
    expected = case.direction @ (case.updates[0] @ case.query)
    assert bound(alone) == pytest.approx(float(expected), abs=room(case))


def test_missing_data_for_one_direction_are_refused():
    """A Gram matrix of smaller range is not the hypothesis: the rule then forgets a direction."""
    low = LowRank(np.eye(2), np.eye(2, 3))
    case = Case((low,), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0]))
    data = (np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),)
    with pytest.raises(AssumptionError, match="ranges"):
        THEOREM.check(case, data)
    assert (bound(case), measure(case, data)) == pytest.approx((1.0, 0.0))


def test_data_of_full_rank_make_it_data_dependent_again():
    rng = np.random.default_rng(1)
    case = planar()
    wide = replace(case, updates=tuple(LowRank(a.up, np.c_[a.down, [[0.0]]]) for a in case.updates))
    wide = replace(wide, query=np.array([0.0, 1.0, 0.0]))
    answers = [measure(wide, tuple(rng.standard_normal((2, 3, 5)))) for _ in range(2)]
    assert abs(answers[0] - answers[1]) > 1e-3
    assert row_space(wide.updates[0]).shape == (3, 1)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, data = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, data)
    assert abs(THEOREM.judge(case, data).slack) > 0.01
