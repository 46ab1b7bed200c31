"""iso_flattening: by hand, dense SVD, the published variant, survival, symmetries, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import LowRank, nuclear, orthonormal, total
from loratheory.theorems import AssumptionError
from loratheory.theorems.merging.iso_flattening import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    common_strength,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def merged(case):
    shelf = attain(case)
    return METHODS["iso"].rule(list(shelf), [1.0] * len(shelf), Options())


def test_hand_example():
    """Strengths 3, 1/2 and 5/4 all become 19/12; in width 30 as published, 19/120."""
    strengths = (3.0, 0.5, 1.25)
    mean = Fraction(3 + Fraction(1, 2) + Fraction(5, 4), 3)
    assert mean == Fraction(19, 12)
    assert common_strength(strengths) == pytest.approx(float(mean), rel=1e-15)
    assert common_strength(strengths, 30) == pytest.approx(float(mean / 10), rel=1e-15)
    case = Case(np.eye(4)[:, :3], np.eye(5)[:, 2:], strengths, 1)
    assert measure(case, attain(case)) == pytest.approx(19 / 12, rel=1e-13)


@given(seeds)
def test_every_edit_gets_the_mean_and_nothing_else(seed):
    case = drawn(seed)
    answers = case.outputs.T @ (merged(case) @ case.keys)
    expected = bound(case) * np.eye(len(case.strengths))
    np.testing.assert_allclose(answers, expected, atol=room(case))


@given(seeds)
def test_a_dense_svd_says_the_same(seed):
    case = drawn(seed)
    left, sigma, right = np.linalg.svd(case.edits.dense())
    keep = len(case.strengths)
    dense = sigma[:keep].mean() * left[:, :keep] @ right[:keep]
    np.testing.assert_allclose(merged(case).dense(), dense, atol=room(case))
    assert nuclear(merged(case)) == pytest.approx(sum(case.strengths), abs=room(case))


@given(seeds)
def test_the_published_average_shrinks_and_fills(seed):
    """All min(m, n) singular values: dense, with the null space filled."""
    case = drawn(seed)
    left, sigma, right = np.linalg.svd(case.edits.dense(), full_matrices=False)
    dense = sigma.mean() * left @ right
    found = np.diag(case.outputs.T @ dense @ case.keys)
    level = common_strength(case.strengths, len(sigma))
    assert found == pytest.approx(np.full(len(found), level), abs=room(case))
    assert int(np.linalg.matrix_rank(dense)) == len(sigma)


@given(seeds)
def test_the_weakest_gains_and_the_strongest_loses(seed):
    case = drawn(seed)
    low, high = min(case.strengths), max(case.strengths)
    assert low * (1 - 1e-12) <= bound(case) <= high * (1 + 1e-12)


@given(seeds)
def test_factors_gauge_and_number_of_adapters_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    shelf = THEOREM.rival(case, rng)
    assert len(shelf) == 2
    assert measure(case, shelf) == pytest.approx(bound(case), abs=10 * room(case))
    whole = (total(list(shelf)),)
    assert measure(case, whole) == pytest.approx(bound(case), abs=10 * room(case))


@given(seeds)
def test_scaling_rotation_and_order_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = len(case.outputs), len(case.keys)
    order = rng.permutation(len(case.strengths))
    strengths = tuple(7 * case.strengths[i] for i in order.tolist())
    keys = orthonormal(rng, n, n) @ case.keys[:, order]
    outputs = orthonormal(rng, m, m) @ case.outputs[:, order]
    other = Case(keys, outputs, strengths, case.edit)
    assert bound(other) == pytest.approx(7 * bound(case))
    assert measure(other, attain(other)) == pytest.approx(7 * bound(case), abs=room(other))


def test_equal_strengths_are_left_alone():
    case = replace(drawn(4), strengths=(2.0,) * len(drawn(4).strengths))
    np.testing.assert_allclose(merged(case).dense(), case.edits.dense(), atol=1e-12)


def test_overlapping_edits_are_mixed_up():
    """Not orthonormal: the answer along one edit's output is no longer the mean."""
    low = LowRank(np.eye(2), np.array([[1.0, 0.0], [0.6, 0.8]]))
    flat = METHODS["iso"].rule([low], [1.0], Options())
    answers = flat @ low.down.T
    assert abs(float(answers[0, 1])) > 0.1


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, shelf = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, shelf)
    assert abs(THEOREM.judge(case, shelf).slack) > 0.05
