"""Merging: hand examples, symmetries, other roads, published rules and formats."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theorems.owed import LINES, SILENT, attack, example, lines, moved, road, symmetry

from loratheory.lowrank import LowRank, from_dense, orthonormal
from loratheory.theorems.merging import (
    averaging_survival,
    corner_law,
    data_free_floor,
    factor_mean_residual,
    interpolating_merge,
    intruder_threshold,
    minimax_merge,
    rank_subadditivity,
)

# corner law


@example(corner_law)
def curvatures_1_and_2_at_a_half_and_a_quarter_leave_a_half():
    corners, curvatures = np.zeros((2, 2)), np.array([1.0, 2.0])
    yield corner_law.Case(corners, curvatures, np.array([0.5, 0.25])), 1 / 8 + 3 / 16
    yield corner_law.Case(corners, curvatures, np.array([0.0, 1.0])), 0.0


@attack(corner_law, rel=0.02, starts=3)
def waves_come_near_the_parabola():
    yield corner_law.Case(np.zeros(2), np.ones(1), np.full(1, 0.5)), 1 / 8


@symmetry(corner_law)
def size_and_order_of_adapters_and_on_for_off(case, _):
    yield replace(case, curvatures=3 * case.curvatures, corners=3 * case.corners), 3.0
    yield corner_law.Case(case.corners.T, case.curvatures[::-1], case.coefficients[::-1]), 1.0
    yield replace(case, coefficients=1 - case.coefficients), 1.0


@road(corner_law)
def a_small_network_has_the_curvature_of_its_units(case, rng):
    """The lead of a layer of tanh units, whose second derivative is at most 4/√27 each."""
    k = len(case.coefficients)
    out, base, edits = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(8, k))
    corners = np.zeros((2,) * k)
    for corner in np.ndindex(corners.shape):
        corners[corner] = out @ np.tanh(base + edits @ corner)
    curvatures = 4 / 27**0.5 * abs(out) @ edits**2
    case = corner_law.Case(corners, curvatures, case.coefficients)
    law = corner_law.THEOREM

    def lead(c):
        return float(out @ np.tanh(base + edits @ c))

    assert law.judge(case, lead).holds
    yield case, float(curvatures @ (case.coefficients * (1 - case.coefficients))) / 2


@pytest.mark.parametrize("curvature", [0.0, 0.5])
@pytest.mark.parametrize("leads", [(-1, -0.5, -0.5, 1), (-1, 2, 0, 3), (1, 1, 1, 1), (-3, 1, 1, 2)])
def test_from_this_coefficient_on_the_answer_leads(leads, curvature):
    least = corner_law.answered_from(*leads, curvature)
    base, first, second, both = leads
    c = np.linspace(0, 1, 1001)
    lead = (1 - c) ** 2 * base + c * (1 - c) * (first + second) + c**2 * both
    lead -= curvature / 2 * c * (1 - c)
    assert np.all(lead[c > least + 1e-9] > 0)
    assert least == 0 or abs(np.interp(least, c, lead)) < 1e-4
    assert np.isnan(corner_law.answered_from(base, first, second, -0.1))


# data-free floor


@example(data_free_floor)
def both_see_e1_where_they_say_3_and_1():
    """Its other inputs each has for itself; the merge says (2, 5, 7)."""
    eye = np.eye(3)
    pair = (from_dense(np.array([[3.0, 5.0, 70.0]])), from_dense(np.array([[1.0, 80.0, 7.0]])))
    case = data_free_floor.Case(pair, (eye[:, :2], eye[:, [0, 2]]))
    np.testing.assert_allclose(data_free_floor.merge(case).dense(), [[2.0, 5.0, 7.0]], rtol=1e-12)
    yield case, (3 - 1) / 2
    # oblique private inputs cost nothing
    yield data_free_floor.Case(lines([[1, -1]]), (LINES[:1].T, LINES[1:].T)), 0.0


@attack(data_free_floor, rel=0.02)
def subgradient_descent_comes_near_the_middle_of_opposite_answers():
    one = from_dense(np.diag([2.0, 1.0]))
    yield data_free_floor.Case((one, -one), (np.eye(2),) * 2), 2.0


@symmetry(data_free_floor, conditioned=True, size=6)
def size_rotation_order_and_gauge_of_both(case, rng):
    factor = float(rng.uniform(0.1, 10))
    updates, _, right = moved(case.updates, rng, factor)
    yield data_free_floor.Case(updates, tuple(right @ x for x in reversed(case.inputs))), factor


# interpolating merge


@example(interpolating_merge)
def rows_10_and_34_fifths_make_exactly_the_inverse_of_the_matrix_of_these_columns():
    """It is [[1, -3/4], [0, 5/4]]; untrained adapters ask for nothing."""
    pair, length = lines(np.eye(2)), float(1 + Fraction(9, 16) + Fraction(25, 16)) ** 0.5
    case = interpolating_merge.Case(pair)
    merged = interpolating_merge.attain(case).dense()
    np.testing.assert_allclose(merged, [[1, -0.75], [0, 1.25]], atol=1e-14)
    yield case, length
    yield interpolating_merge.Case((*pair, SILENT)), length
    yield interpolating_merge.Case((SILENT,)), 0.0
    # orthogonal row spaces are just added, and one adapter twice is not its double
    pair = lines([[2.0, 0], [0, 5.0]], np.eye(2))
    merged = interpolating_merge.attain(interpolating_merge.Case(pair)).dense()
    np.testing.assert_allclose(merged, np.diag([2.0, 5.0]), atol=1e-14)
    yield interpolating_merge.Case(pair), 29**0.5
    yield interpolating_merge.Case(pair[:1] * 2), 2.0


@symmetry(interpolating_merge, conditioned=True)
def size_rotation_order_and_gauge_of_adapters(case, rng):
    yield interpolating_merge.Case(moved(case.updates, rng, 3.0)[0]), 3.0


# interpolation price


@example("interpolation-price")
def opposite_answers_at_three_fifths_make_12_so_a_distance_of_3_costs_6():
    case = interpolating_merge.Outside(lines([[1.0, -1.0]]), 0, 3.0)
    merged = interpolating_merge.attain(interpolating_merge.Case(case.updates)).dense()
    np.testing.assert_allclose(merged, [[1, -2]], atol=1e-14)
    yield case, 6.0, (np.array([7.0, 3.0]), 6.0)
    silent = LowRank(np.zeros((1, 1)), np.ones((1, 2)))
    yield replace(case, updates=(*case.updates, silent)), 6.0
    yield replace(case, updates=(silent,)), 0.0
    yield replace(case, updates=case.updates[:1]), 0.0
    # rows at an angle of 1: the share cos ½ of √2 over the least singular value, √2 sin ½
    one = np.eye(1)
    angled = LowRank(one, np.eye(2)[:1]), LowRank(-one, np.array([[np.cos(1), np.sin(1)]]))
    yield replace(case, updates=angled, distance=1.0), 1 / np.tan(0.5)


@symmetry("interpolation-price", conditioned=True)
def size_and_rotation(case, rng):
    least = np.linalg.svd(interpolating_merge.frame(case.updates), compute_uv=False)[-1]
    most = sum(low.spectral_norm**2 for low in case.updates) ** 0.5 / least * case.distance
    assert interpolating_merge.bound_price(case) <= most * (1 + 1e-9)
    updates = moved(case.updates, rng, 2.0)[0]
    yield (
        interpolating_merge.Outside(updates, len(updates) - 1 - case.index, 5 * case.distance),
        10.0,
    )


# factor-mean residual


def uniform(adapters, spent=0):
    return factor_mean_residual.Case(tuple(adapters), (1 / len(adapters),) * len(adapters), spent)


@example(factor_mean_residual)
def ups_1_and_3_and_downs_2_and_6_have_covariance_2():
    """Mean of products 10, product of means 8."""
    pair = [LowRank(np.array([[u]]), np.array([[v]])) for u, v in ((1.0, 2.0), (3.0, 6.0))]
    np.testing.assert_allclose(factor_mean_residual.residual(uniform(pair)).dense(), 2.0)
    yield uniform(pair), 4.0
    yield uniform(pair, 1), 0.0


@symmetry(factor_mean_residual, rel=1e-8)
def size_rotation_order_and_a_common_gauge(case, rng):
    (m, n), r = case.adapters[0].shape, case.adapters[0].width
    factor = float(rng.uniform(0.1, 10))
    turn, back = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    gauge = 2.0 * np.eye(r) + 0.5 * orthonormal(rng, r, r)
    adapters = [LowRank(turn @ a.up, a.down @ back).regauged(gauge) for a in case.adapters]
    other = tuple(reversed(adapters)), case.weights[::-1], case.rank
    yield factor_mean_residual.Case(*other), factor**2


# averaging survival


def one_competitor(deficit, margin, weight, interference=0.0):
    """Logits of (new, old) before and after an edit."""
    before, after = np.array([0.0, deficit]), np.array([margin, 0.0])
    others = np.array([interference, 0.0])
    return averaging_survival.Case(np.ones(3), before, after, others, weight)


@example(averaging_survival)
def deficit_2_and_margin_7_at_a_third_leave_1_and_interference_a_quarter_adds():
    exact = Fraction(1, 3) * 7 - Fraction(2, 3) * 2
    yield one_competitor(2.0, 7.0, 1 / 3), float(exact)
    yield one_competitor(2.0, 7.0, 1 / 3, 0.25), float(exact + Fraction(1, 4))
    yield one_competitor(-1.0, 0.1, 3.0), -1.7  # beyond 1 a fact without deficit can be lost


@symmetry(averaging_survival)
def size_rotation_and_order_of_tokens(case, rng):
    order, factor = np.r_[0, 1 + rng.permutation(len(case.base) - 1)], float(rng.uniform(0.1, 10))
    parts = [factor * part[order] for part in (case.base, case.edited, case.others)]
    turn = orthonormal(rng, len(case.key), len(case.key))
    yield averaging_survival.Case(turn @ case.key, *parts, case.coefficient), factor


# intruder threshold


@example(intruder_threshold)
def strength_2_overlaps_by_three_quarters_and_merged_by_a_half_is_on_the_threshold():
    for strength, coefficient, overlap in ((2, 1, 3 / 4), (2, 0.5, 0), (-3, 1, 8 / 9), (1, 1, 0)):
        yield intruder_threshold.Case(float(strength), float(coefficient), 64), overlap


@symmetry(intruder_threshold)
def the_sign_and_the_split_of_strength_and_coefficient(case, _):
    yield replace(case, strength=-case.strength), 1.0
    yield replace(case, strength=case.strength / 4, coefficient=4 * case.coefficient), 1.0


# rank subadditivity


@example(rank_subadditivity)
def e11_and_e12_share_a_row_of_outputs_and_e11_and_e22_share_nothing():
    for rows, columns, least, most in ((2, 1, 1, 1), (2, 2, 2, 2), (1, 1, 0, 1)):
        yield rank_subadditivity.Case((1, 1), rows, columns, "least"), least
        yield rank_subadditivity.Case((1, 1), rows, columns, "most"), -most
    # one adapter keeps its rank
    for r in (1, 2, 5):
        yield rank_subadditivity.Case((r,), r, r), r


@symmetry(rank_subadditivity)
def rotation_size_and_order_of_adapters(case, rng):
    library = rank_subadditivity.attain(case)
    m, n = library[0].shape
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    moved = tuple(LowRank(1e3 * left @ a.up, a.down @ right) for a in reversed(library))
    other = replace(case, ranks=case.ranks[::-1])
    yield other, 1.0, (moved, rank_subadditivity.bound(case))


# minimax merge


def without_data(*matrices):
    """A case that knows nothing of the inputs."""
    updates = tuple(from_dense(np.array(matrix, dtype=float)) for matrix in matrices)
    return minimax_merge.Case(updates, (np.eye(updates[0].shape[1]),) * len(updates))


@example(minimax_merge, room=1e-7)
def half_a_distance_the_corners_of_a_triangle_and_a_stranger_among_three():
    """Sides of 6 and 8: the right angle lies on the circle; an equilateral one has d/√3."""
    yield without_data([[1.0]], [[-1.0]]), 1.0
    yield without_data([[0, 0]], [[6, 0]], [[0, 8]]), 25.0
    yield without_data(*np.sqrt(2) * np.eye(3)[:, None, :]), 4 / 3  # distance 2, radius 2/√3
    yield without_data([[0.0]], [[0.1]], [[0.2]], [[4.0]]), 4.0
    one = LowRank(np.array([[3.0]]), np.eye(1))
    yield minimax_merge.Case((one,), (np.eye(1),), 0.5), 9 * 0.25 / 1.25


@symmetry(minimax_merge, rel=1e-6, room=1e-6)
def size_turns_and_order_of_tasks(case, rng):
    (m, n), order = case.updates[0].shape, rng.permutation(len(case.updates))
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    tasks, inputs = ([part[i] for i in order] for part in (case.updates, case.inputs))
    updates = tuple(LowRank(3 * left @ low.up, low.down @ right.T) for low in tasks)
    yield minimax_merge.Case(updates, tuple(right @ x for x in inputs), case.noise), 9.0


@attack(minimax_merge, rel=2e-2)
def two_and_three_adapters():
    for case in (without_data([[1.0]], [[-1.0]]), without_data([[0, 0]], [[6, 0]], [[0, 8]])):
        yield case, minimax_merge.bound(case)


# Survival and intruders


def test_margins_needed_are_those_of_the_statement():
    needed = averaging_survival.margin_needed
    assert [needed(k, 1) for k in (1, 2, 5)] == pytest.approx([0, 1, 4])
    assert [needed(k, 2.0, "factor_mean") for k in (1, 2, 3)] == pytest.approx([0, 6, 16])
    assert needed(7, 3.0, "sum") == 0
    with pytest.raises(ValueError, match="give at least 1"):
        averaging_survival.coefficient(0)


@settings(max_examples=20)
@given(st.floats(1.05, 20.0))
def test_the_laws_of_intruders_solve_the_secular_equation(t):
    """With g(z) = E z / (z² - s²) over the quarter circle: t g = 1, overlap -1 / (t² g')."""
    z = t + 1 / t
    g, slope = (z - (z**2 - 4) ** 0.5) / 2, (1 - z / (z**2 - 4) ** 0.5) / 2
    assert t * g == pytest.approx(1.0, rel=1e-9)
    assert -1 / (t**2 * slope) == pytest.approx(intruder_threshold.overlap(2 * t, 0.5), rel=1e-6)
