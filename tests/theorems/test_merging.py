"""Merging: hand examples, symmetries, other roads, published rules and formats."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from theorems.owed import LINES, SILENT, attack, example, lines, moved, road, symmetry

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import LowRank, from_dense, orthonormal
from loratheory.theorems.expressiveness import rank_floor
from loratheory.theorems.merging import (
    averaging_survival,
    data_free_floor,
    factor_mean_residual,
    interpolating_merge,
    intruder_threshold,
    minimax_merge,
    rank_subadditivity,
)

# data-free floor


@example(data_free_floor)
def both_see_e1_where_they_say_3_and_1():
    """Its other inputs each has for itself; the merge says (2, 5, 7)."""
    eye = np.eye(3)
    pair = (from_dense(np.array([[3.0, 5.0, 70.0]])), from_dense(np.array([[1.0, 80.0, 7.0]])))
    case = data_free_floor.Case(pair, (eye[:, :2], eye[:, [0, 2]]))
    np.testing.assert_allclose(data_free_floor.merge(case).dense(), [[2.0, 5.0, 7.0]], rtol=1e-12)
    yield case, (3 - 1) / 2


@example(data_free_floor)
def oblique_private_inputs_cost_nothing():
    yield data_free_floor.Case(lines([[1, -1]]), (LINES[:1].T, LINES[1:].T)), 0.0


@road(data_free_floor, conditioned=True)
def equal_adapters_cost_nothing_and_with_nothing_known_it_is_half_the_distance(case, _):
    yield data_free_floor.Case((case.updates[0],) * 2, case.inputs), 0.0
    whole = (np.eye(case.updates[0].shape[1]),) * 2
    change = np.linalg.norm(case.updates[0].dense() - case.updates[1].dense(), 2)
    yield replace(case, inputs=whole), change / 2


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


@example(interpolating_merge)
def orthogonal_row_spaces_are_just_added_and_one_adapter_twice_is_not_its_double():
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
def opposite_answers_at_three_fifths_make_12_so_a_leak_of_3_costs_6():
    case = interpolating_merge.Leaking(lines([[1.0, -1.0]]), 0, 3.0)
    merged = interpolating_merge.attain(interpolating_merge.Case(case.updates)).dense()
    np.testing.assert_allclose(merged, [[1, -2]], atol=1e-14)
    yield case, 6.0, (np.array([7.0, 3.0]), 6.0)
    silent = LowRank(np.zeros((1, 1)), np.ones((1, 2)))
    yield replace(case, updates=(*case.updates, silent)), 6.0
    yield replace(case, updates=(silent,)), 0.0
    yield replace(case, updates=case.updates[:1]), 0.0


@symmetry("interpolation-price", conditioned=True)
def size_and_rotation(case, rng):
    updates = moved(case.updates, rng, 2.0)[0]
    yield interpolating_merge.Leaking(updates, len(updates) - 1 - case.index, 5 * case.leak), 10.0


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


@road(factor_mean_residual)
def one_shared_factor_makes_the_factor_mean_exact(case, _):
    first = case.adapters[0]
    yield uniform([replace(a, up=first.up) for a in case.adapters]), 0.0
    yield uniform([replace(a, down=first.down) for a in case.adapters]), 0.0


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


@example(rank_subadditivity)
def one_adapter_keeps_its_rank():
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
    updates = tuple(LowRank(3 * left @ u.up, u.down @ right.T) for u in case.updates)
    inputs = tuple(right @ x for x in case.inputs)
    yield (
        minimax_merge.Case(
            tuple(updates[i] for i in order), tuple(inputs[i] for i in order), case.noise
        ),
        9.0,
    )


@road(minimax_merge, rel=1e-6, room=1e-6)
def a_general_solver_on_all_entries_at_once(case, _):
    """The least t above all errors, by SciPy on the entries of the merge: no weights."""
    (m, n), size = case.updates[0].shape, minimax_merge.scale(case)
    dense = [low.dense() for low in case.updates]

    def errors(point):
        merged = point[:-1].reshape(m, n) * size**0.5
        gaps = [(merged - low) @ x for low, x in zip(dense, case.inputs, strict=True)]
        own = case.noise**2 * np.sum(merged**2)
        return np.array([(np.sum(gap**2) + own) / size for gap in gaps])

    start = np.append(np.mean(dense, axis=0).ravel() / size**0.5, 0.0)
    start[-1] = errors(start).max()
    least = minimize(
        lambda point: point[-1],
        start,
        constraints={"type": "ineq", "fun": lambda point: point[-1] - errors(point)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    yield case, errors(least.x).max() * size


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
    z = intruder_threshold.top_singular_value(2 * t, 0.5)
    g, slope = (z - (z**2 - 4) ** 0.5) / 2, (1 - z / (z**2 - 4) ** 0.5) / 2
    assert t * g == pytest.approx(1.0, rel=1e-9)
    assert -1 / (t**2 * slope) == pytest.approx(intruder_threshold.overlap(2 * t, 0.5), rel=1e-6)
    assert intruder_threshold.top_singular_value(1 / t) == 2.0


# Fisher floor


@example("fisher-floor")
def one_input_two_answers_and_an_output_that_counts_double():
    """Inputs e1 and 2 e1 ask for (1, 0) and (0, 1): the weighed mean is (1, 4)/5; rank 0 says 0."""
    pair = tuple(LowRank(np.eye(2)[:, [i]], np.eye(1)) for i in range(2))
    inputs, plain, double = (np.eye(1), 2 * np.eye(1)), np.eye(2), np.diag([2.0, 1.0])
    # 1 (16 + 16)/25 + 4 (1 + 1)/25, then with the first output counted four times
    yield rank_floor.Weighted(pair, inputs, (plain,) * 2, 1), float(Fraction(40, 25))
    yield rank_floor.Weighted(pair, inputs, (double,) * 2, 1), float(Fraction(4 * 20 + 20, 25))
    yield rank_floor.Weighted(pair, inputs, (double,) * 2, 0), 8.0


@symmetry("fisher-floor")
def size_turns_and_order_of_weighed_tasks(case, rng):
    (m, n), order = case.updates[0].shape, rng.permutation(len(case.updates)).tolist()
    left, right = orthonormal(rng, m, m), orthonormal(rng, n, n)
    updates = [LowRank(3 * left @ low.up, low.down @ right.T) for low in case.updates]
    changed = rank_floor.Weighted(
        tuple(updates[i] for i in order),
        tuple(right @ case.inputs[i] for i in order),
        tuple(case.outputs[i] @ left.T for i in order),
        case.rank,
    )
    yield changed, 9.0
    yield replace(case, inputs=tuple(2 * x for x in case.inputs)), 4.0
    yield replace(case, outputs=tuple(2 * o for o in case.outputs)), 4.0


@road("fisher-floor")
def with_full_rank_the_normal_equations_of_all_entries_and_the_merge_rule(case, _):
    """A linear system in all entries at once, as MaTS solves it; RegMean is its solution."""
    (m, n), weight = case.updates[0].shape, case.outputs[0].T @ case.outputs[0]
    whole = replace(case, rank=min(m, n))
    moments = [x @ x.T for x in case.inputs]
    system = sum(np.kron(weight, moment) for moment in moments)
    wanted = [weight @ low.dense() @ x for low, x in zip(case.updates, moments, strict=True)]
    solved = np.linalg.lstsq(system, sum(wanted).ravel(), rcond=1e-12)[0].reshape(m, n)
    value = rank_floor.measure_fisher(case, LowRank(solved, np.eye(n)))
    roots = tuple(x.T for x in case.inputs)
    options = Options(moments=roots)
    rule = MERGE_METHODS["regmean"].rule(list(case.updates), [1.0] * len(roots), options)
    yield whole, value, (rule, value)


@road("fisher-floor")
def white_outputs_are_the_covariance_floor_and_equal_tasks_on_white_inputs_eckart_young(case, _):
    (m, n), k = case.updates[0].shape, len(case.updates)
    plain = replace(case, outputs=(np.eye(m),) * k)
    yield plain, k * rank_floor.bound(rank_floor.Tasks(case.updates, case.rank, case.inputs))
    low = case.updates[0]
    alike = rank_floor.Weighted((low,) * k, (np.eye(n),) * k, plain.outputs, case.rank)
    yield alike, k * low.tail_energy(case.rank)


@attack("fisher-floor", rel=1e-6, starts=3)
def alternating_least_squares_arrives():
    for seed in range(3):
        case = rank_floor.draw_fisher(np.random.default_rng(seed), 5)
        yield case, rank_floor.bound_fisher(case)
