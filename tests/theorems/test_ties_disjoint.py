"""ties_disjoint: by hand, a plain loop over entries, weights, the merge floor, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import from_dense
from loratheory.theorems import AssumptionError, merge_floor
from loratheory.theorems.merging.ties_disjoint import (
    CONTROLS,
    THEOREM,
    Case,
    Shelf,
    attain,
    bound,
    error,
    measure,
    trimmed_energy,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    """Entries 3, 1 and 2, 4; one kept of each: 5 trimmed, tasks miss (5 + 25)/2 in the mean."""
    entries = np.array([[[3.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 4.0]]])
    case = Case(entries, 0.25, "sum")
    assert trimmed_energy(case) == bound(case) == 5.0
    assert measure(case, attain(case)) == pytest.approx(5.0, rel=1e-13)
    exact = Fraction((2 - 1) * (30 - 5) + 5, 2)
    tasks = replace(case, goal="tasks")
    assert bound(tasks) == pytest.approx(float(exact), rel=1e-14)
    assert measure(tasks, attain(tasks)) == pytest.approx(15.0, rel=1e-13)


@given(seeds)
def test_a_plain_loop_over_the_entries_agrees(seed):
    """Trim, elect, average: written out, without the library's rule."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    k, m, n = case.entries.shape
    weights, keep = rng.uniform(0.1, 5, k), max(1, int(case.density * m * n + 1e-9))
    trimmed = np.zeros_like(case.entries)
    for j in range(k):
        for index in np.argsort(-np.abs(case.entries[j]), axis=None)[:keep]:
            trimmed[j].flat[index] = case.entries[j].flat[index]
    merged = np.zeros((m, n))
    for place in np.ndindex(m, n):
        votes = weights * trimmed[(slice(None), *place)]
        agree = np.sign(votes) == np.sign(votes.sum())
        if votes.sum():
            merged[place] = votes[agree].sum() / weights[agree].sum()
    whole = float(np.sum((merged - case.entries.sum(axis=0)) ** 2))
    tasks = float(np.mean([np.sum((merged - e) ** 2) for e in case.entries]))
    room = 1e-11 * THEOREM.scale(case)
    assert bound(replace(case, goal="sum")) == pytest.approx(whole, abs=room)
    assert bound(replace(case, goal="tasks")) == pytest.approx(tasks, abs=room)


@given(seeds)
def test_untrimmed_it_costs_k_times_the_merge_floor(seed):
    case = replace(drawn(seed), density=1.0, goal="tasks")
    k, m, n = case.entries.shape
    updates = tuple(from_dense(e) for e in case.entries)
    floor = merge_floor.bound(merge_floor.Case(updates, min(m, n)))
    assert bound(case) == pytest.approx(k * floor, abs=1e-11 * THEOREM.scale(case))


def test_large_sparse_updates_keep_small_entries_whole():
    """Entries of 1e-4 beside ones of order one: what an SVD makes of zeros would halve some."""
    rng = np.random.default_rng(0)
    owner, values = rng.integers(0, 3, (48, 64)), rng.standard_normal((48, 64))
    values[::5] *= 1e-5
    entries = np.stack([np.where(owner == j, values, 0.0) for j in range(3)])
    case = Case(entries, 1.0, "sum")
    assert THEOREM.check(case, attain(case)).tight
    svd = Shelf(tuple(from_dense(e) for e in entries), (1.0,) * 3)
    assert measure(case, svd) > 1e-12
    with pytest.raises(AssumptionError, match="zeros as zeros"):
        THEOREM.check(case, svd)


@given(seeds)
def test_weights_and_factors_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    first, second = (THEOREM.rival(case, rng) for _ in "ab")
    room = 1e-11 * THEOREM.scale(case)
    assert measure(case, first) == pytest.approx(measure(case, second), abs=room)


@given(seeds)
def test_scaling_and_permutations_of_rows_and_adapters_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    k, m, _ = case.entries.shape
    moved = -2 * case.entries[rng.permutation(k)][:, rng.permutation(m)]
    other = replace(case, entries=moved)
    assert bound(other) == pytest.approx(4 * bound(case), rel=1e-12)
    assert THEOREM.check(other, attain(other)).tight


def test_edits_of_other_rows_keep_their_whole_strength():
    """Coefficient 1, where the mean leaves a half."""
    entries = np.zeros((2, 2, 3))
    entries[0, 0], entries[1, 1] = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    updates = [from_dense(e) for e in entries]
    merged = METHODS["ties"].rule(updates, [1.0, 1.0], Options(rank=2))
    np.testing.assert_allclose(merged.dense(), entries.sum(axis=0), atol=1e-13)


def test_limits():
    assert error(1, 7.0) == 0.0
    assert error(1, 7.0, 2.0) == 2.0
    assert error(4, 8.0) == 6.0
    assert error(3, 5.0, 5.0) == pytest.approx(5 / 3)


def test_no_updates_no_error():
    case = Case(np.zeros((2, 2, 2)), 0.5, "sum")
    assert measure(case, attain(case)) == bound(case) == 0.0


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, shelf = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, shelf)
    assert abs(THEOREM.judge(case, shelf).slack) > 0.1
    assert isinstance(shelf, Shelf)
