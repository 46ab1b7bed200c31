"""The rank-r floor in all its cases: hand examples, symmetries, other roads, attacks."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from theorems.owed import (
    attack,
    basis_of,
    example,
    floats,
    integers,
    lines,
    moved,
    over,
    road,
    symmetry,
    theorem_of,
)

from loratheory.lowrank import LowRank, from_dense, gaussian, orthonormal
from loratheory.theorems.expressiveness import rank_floor


def batch(keys, values, moment, rank):
    """Edits beside inputs of this second moment."""
    return rank_floor.Case(keys, values, rank, moment)


def on_inputs(updates, inputs, rank):
    """Tasks with data."""
    return rank_floor.Tasks(updates, rank, inputs)


def white(case, largest=1.0):
    """The worst inputs whose second moments are below `largest`."""
    one = largest**0.5 * np.eye(case.updates[0].shape[1])
    return replace(case, inputs=(one,) * len(case.updates))


# every case


@example(rank_floor)
def value_3_at_key_1_with_a_ridge_of_2_is_shrunk_to_1_and_costs_6():
    one = np.ones((1, 1))
    case = batch(one, 3 * one, 2 * one, 1)
    yield case, float((1 - 3) ** 2 + 2 * 1**2), (LowRank(one, one), 6.0)
    yield replace(case, rank=0), 9.0
    yield replace(case, moment=None), 0.0


@road(rank_floor, rel=1e-6, room=1e-9)
def dense_least_squares_and_the_energy_of_what_it_answers(case, _):
    """Ridge regression by LAPACK on the samples, then singular values of its answers."""
    inputs, wanted = case.samples
    best = np.linalg.lstsq(inputs.T, wanted.T, rcond=1e-10)[0].T
    tail = np.linalg.svd(best @ inputs, compute_uv=False)[case.rank :]
    floor = ((wanted - best @ inputs) ** 2).sum() + (tail**2).sum()
    yield case, floor


@symmetry(rank_floor, rel=1e-7)
def size_of_all_that_is_wanted(case, rng):
    factor = float(rng.uniform(0.1, 10))
    if isinstance(case, rank_floor.Case):
        yield replace(case, values=factor * case.values), factor**2
    else:
        yield replace(case, updates=tuple(factor * low for low in case.updates)), factor**2


# edits


@example("edit-budget")
def one_key_with_two_targets_and_two_edits_at_rank_one():
    """The mean target 2 is written, 1 and 3 are each missed by 1; else the smaller edit is lost."""
    case = rank_floor.Case(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), rank=1)
    yield case, 2.0
    yield replace(case, rank=0), 1.0 + 9.0
    yield rank_floor.Case(np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([3.0, 1.0]), rank=1), 1.0


@road("edit-budget")
def contradiction_and_least_squares_in_exact_rationals(_, rng):
    """With enough rank the floor is the contradiction, a rational number for integer keys."""
    n, count, m = rng.integers(1, 4, 3).tolist()
    keys, wanted = integers(rng, n, count), integers(rng, m, count)
    missed = wanted * (sympy.eye(count) - keys.pinv() * keys)
    case = rank_floor.Case(floats(keys), floats(wanted), rank=min(m, n, count))
    best = rank_floor.attain(case).dense()
    np.testing.assert_allclose(best, floats(wanted * keys.pinv()), atol=1e-11)
    yield case, float(sum(entry**2 for entry in missed))


@attack("edit-budget")
def alternating_least_squares_arrives_at_the_floor():
    rng = np.random.default_rng(1)
    residuals = orthonormal(rng, 6, 4) * np.array([4.0, 2.0, 0.5, 0.1])
    yield rank_floor.Case(rng.standard_normal((6, 4)), residuals, rank=2), 0.26


@symmetry("edit-budget", rel=1e-8)
def size_rotation_mixing_and_input_basis(case, rng):
    (n, count), m, factor = case.keys.shape, case.values.shape[0], float(rng.uniform(0.1, 10))
    mixed, turn = orthonormal(rng, count, count), factor * orthonormal(rng, m, m)
    keys, residuals = basis_of(rng, n) @ case.keys @ mixed, turn @ case.values @ mixed
    yield rank_floor.Case(keys, residuals, case.rank), factor**2


@example("batch-edit")
def two_edits_at_unit_weights_are_written_by_half_and_the_smaller_is_lost_at_rank_one():
    case = batch(np.eye(2), np.diag([4.0, 2.0]), np.eye(2), rank=2)
    np.testing.assert_allclose(rank_floor.attain(case).dense(), np.diag([2.0, 1.0]), atol=1e-14)
    for rank, loss in ((2, 8 + 2), (1, 8 + 4), (0, 16 + 4), (99, 10)):
        yield replace(case, rank=rank), loss


@road("batch-edit")
def memit_and_its_gradient_in_exact_rationals(_, rng):
    n, facts, m = rng.integers(1, 4, 3).tolist()
    keys, values, root = integers(rng, n, facts), integers(rng, m, facts), integers(rng, n, n)
    moment = root * root.T + sympy.eye(n)
    edit = values * keys.T * (moment + keys * keys.T).inv()
    assert edit * moment + (edit * keys - values) * keys.T == sympy.zeros(m, n)
    price = (edit * moment * edit.T).trace() + sum(x**2 for x in edit * keys - values)
    case = batch(floats(keys), floats(values), floats(moment), rank=min(m, n))
    np.testing.assert_allclose(rank_floor.attain(case).dense(), floats(edit), atol=1e-11)
    yield case, float(price)


@road("batch-edit", rel=1e-7)
def the_symmetric_root_and_dense_singular_values_also_under_strong_keys(case, rng):
    """More keys than dimensions: what no edit can yield is left, however strong the keys are."""
    energies, frame = np.linalg.eigh(case.moment + case.keys @ case.keys.T)
    sigma = np.linalg.svd(case.values @ case.keys.T @ (frame / np.sqrt(energies)) @ frame.T)[1]
    yield case, (case.values**2).sum() - (sigma[: case.rank] ** 2).sum()
    strong = replace(case, keys=float(10.0 ** rng.choice([2, 4, 6])) * case.keys)
    yield strong, rank_floor.bound(strong)


@symmetry("batch-edit", rel=1e-7)
def size_input_basis_mixing_and_gauge(case, rng):
    (n, facts), m, factor = case.keys.shape, case.values.shape[0], float(rng.uniform(0.1, 10))
    basis, mix = basis_of(rng, n), orthonormal(rng, facts, facts)
    values, moment = (
        factor * orthonormal(rng, m, m) @ case.values @ mix,
        basis @ case.moment @ basis.T,
    )
    other = batch(basis @ case.keys @ mix, values, (moment + moment.T) / 2, case.rank)
    yield other, factor**2


@example("least-change-edit")
def key_11_on_inputs_of_energies_1_and_3_puts_three_quarters_where_they_are_quiet():
    """K C⁻¹ k = 4/3, so the value 2 costs 4 / (4/3), read by (3/4, 1/4); no value costs nothing."""
    case = rank_floor.LeastChange(np.ones((2, 1)), np.array([[2.0]]), np.diag([1.0, 3.0]))
    np.testing.assert_allclose(rank_floor.rome(case).dense(), [[1.5, 0.5]], rtol=1e-14)
    yield case, 3.0
    yield replace(case, values=0 * case.values), 0.0


@road("least-change-edit", rel=1e-7)
def rome_for_one_key_real_inputs_and_white_ones(case, rng):
    key, value = rng.standard_normal(5), rng.standard_normal(4)
    inputs = rng.standard_normal((5, 12))
    moment = inputs @ inputs.T / 12
    dual = np.linalg.inv(moment) @ key  # the published formula, written out densely
    one = rank_floor.LeastChange(key[:, None], value[:, None], moment)
    rome = np.outer(value, dual) / (key @ dual)
    np.testing.assert_allclose(rank_floor.rome(one).dense(), rome)
    yield one, ((rome @ inputs) ** 2).sum() / 12
    plain = rank_floor.Case(case.keys, case.values, rank=len(case.keys))
    white = replace(case, moment=np.eye(len(case.keys)))
    yield white, rank_floor.attain(plain).norm ** 2


@attack("least-change-edit", rel=1e-6)
def least_squares_in_the_unseen_directions_arrives_at_the_price():
    for seed in range(5):
        case = theorem_of("least-change-edit").draw(np.random.default_rng(seed), 8)
        yield case, rank_floor.price(case)


@symmetry("least-change-edit", rel=1e-7)
def size_input_basis_and_mixing(case, rng):
    (n, facts), m = case.keys.shape, case.values.shape[0]
    basis, mix = basis_of(rng, n), float(rng.uniform(0.1, 10)) * orthonormal(rng, facts, facts)
    moment, values = basis @ case.moment @ basis.T, 3 * orthonormal(rng, m, m) @ case.values @ mix
    yield rank_floor.LeastChange(basis @ case.keys @ mix, values, (moment + moment.T) / 2), 9.0


@example("merge-floor")
def tasks_of_mean_diag_21_each_diag_1_minus_1_away_from_it():
    updates = (from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0])))
    yield rank_floor.Tasks(updates, rank=1), 2 + 1.0


@example("merge-floor")
def the_best_critical_adapter_in_exact_rationals():
    """A mean with squared singular values 11 and 1: its rank-one critical points, all of them."""
    mean, off = sympy.Matrix([[2, 1], [1, 2], [1, 1]]), sympy.Matrix([[1, 0], [2, -1], [0, 3]])
    more = sympy.Matrix([[0, -2], [1, 1], [-1, 0]])
    tasks, gram = [mean + off, mean + more, mean - off - more], mean.T * mean
    axes = [v / v.norm() for _, _, space in gram.eigenvects() for v in space]
    errors = [sum((mean * v * v.T - t).norm() ** 2 for t in tasks) / 3 for v in axes]
    disagreement = sum((t - mean).norm() ** 2 for t in tasks) / 3
    assert min(errors) == disagreement + min(sympy.roots(gram.charpoly())) == sympy.Rational(49, 3)
    yield rank_floor.Tasks(tuple(from_dense(floats(t)) for t in tasks), rank=1), 49 / 3


@symmetry("merge-floor")
def size_rotation_order_and_gauge(case, rng):
    factor = float(rng.uniform(0.1, 10))
    yield rank_floor.Tasks(moved(case.updates, rng, factor)[0], case.rank), factor**2


@example("covariance-floor")
def tasks_1_and_3_on_inputs_of_power_4_and_1_meet_at_seven_fifths():
    one = np.ones((1, 1))
    case = on_inputs((LowRank(one, one), LowRank(one, 3 * one)), (2 * one, one), 1)
    mean = Fraction(4 * 1 + 1 * 3, 5)
    assert (4 * (mean - 1) ** 2 + (mean - 3) ** 2) / 2 == Fraction(8, 5)
    yield case, 8 / 5, (LowRank(one, float(mean) * one), 8 / 5)
    yield replace(case, rank=0), (4 + 9) / 2


@example("covariance-floor")
def on_inputs_that_do_not_overlap_data_are_worth_all_and_without_half_of_the_energy():
    pair = lines(np.eye(2), np.eye(2))
    case = on_inputs(pair, (np.eye(2)[:, :1], np.eye(2)[:, 1:]), 2)
    yield case, 0.0
    yield white(case), 1 / 2


@road("covariance-floor", rel=1e-6, room=1e-6)
def the_formula_with_moment_matrices(case, _):
    """Dense, by the statement's own letters: C, its root, the weighted mean."""
    moments, dense = [x @ x.T for x in case.inputs], [low.dense() for low in case.updates]
    mean = sum(d @ c for d, c in zip(dense, moments, strict=True))
    mean = mean @ np.linalg.pinv(sum(moments), rcond=1e-10)
    off = [np.trace((mean - d) @ c @ (mean - d).T) for d, c in zip(dense, moments, strict=True)]
    values, axes = np.linalg.eigh(sum(moments))
    root = (axes * np.sqrt(np.clip(values, 0, None))) @ axes.T
    tail = np.linalg.svd(mean @ root)[1][case.rank :]
    yield case, float(sum(off) + np.sum(tail**2)) / len(dense)


@road("covariance-floor", room=1e-10)
def white_inputs_give_the_merge_floor(case, _):
    other, plain = white(case, 4.0), rank_floor.Tasks(case.updates, case.rank)
    yield (
        other,
        4 * rank_floor.bound(plain),
        (rank_floor.attain(plain), 4 * rank_floor.bound(plain)),
    )


@symmetry("covariance-floor", rel=1e-6, room=1e-10)
def size_rotation_order_and_mixed_samples(case, rng):
    updates, _, right = moved(case.updates, rng)
    factor = float(rng.uniform(0.1, 10))
    inputs = tuple(factor * right @ x for x in reversed(case.inputs))
    mixed = tuple(x @ orthonormal(rng, x.shape[1] + 3, x.shape[1]).T for x in inputs)
    yield on_inputs(updates, mixed, case.rank), factor**2


@example("quantised-floor")
def tasks_0_and_2_moved_a_quarter_towards_their_mean_have_the_root_floor_three_quarters():
    one = np.ones((1, 1))
    case = rank_floor.Rounding((LowRank(one, 0 * one), LowRank(one, 2 * one)), 1, 0.25)
    rounded = [float(low.dense()[0, 0]) for low in rank_floor.nearer(case)]
    np.testing.assert_allclose([case.floor, *rounded], [1, 1 / 4, 7 / 4])
    yield case, 1 / 4
    yield replace(case, error=0.0), 0.0


@symmetry("quantised-floor")
def size_rotation_and_order_of_tasks(case, rng):
    factor = float(rng.uniform(0.1, 10))
    updates = moved(case.updates, rng, factor)[0]
    yield rank_floor.Rounding(updates, case.rank, factor * case.error), factor


@example("factor-asymmetry")
def target_diag_12_on_inputs_e1_and_3_e2_loses_the_energy_of_the_unfrozen_direction():
    """Energies 1 and 36 over two inputs; along (1, 1) a frozen down sees (1, 3)."""
    target, inputs = LowRank(np.diag([1.0, 2.0]), np.eye(2)), np.diag([1.0, 3.0])
    both = np.full((2, 1), 0.5**0.5)
    for side in ("down", "up"):
        for frame, loss in ((np.eye(2)[:, :1], 18.0), (np.eye(2)[:, 1:], 0.5), (np.eye(2), 0.0)):
            yield rank_floor.Frozen(target, inputs, frame, side), loss
    yield rank_floor.Frozen(target, inputs, both, "up"), (37 - 18.5) / 2
    yield rank_floor.Frozen(target, inputs, both, "down"), (37 - 32.5) / 2


@road("factor-asymmetry")
def normal_equations_in_exact_rationals(_, rng):
    """Frames along the axes keep every number rational."""
    target, inputs, q = integers(rng, 3, 3), integers(rng, 3, 5), sympy.eye(3)[:, :2]
    sigma = inputs * inputs.T / 5
    energy, cross = (target * sigma * target.T).trace(), q.T * sigma * target.T
    kept = {
        "up": (q.T * target * sigma * target.T * q).trace(),
        "down": ((q.T * sigma * q).pinv() * cross * cross.T).trace(),
    }
    low = LowRank(floats(target), np.eye(3))
    for side, share in kept.items():
        case = rank_floor.Frozen(low, floats(inputs), np.eye(3)[:, :2], side)
        yield case, float(energy - share)


@attack("factor-asymmetry", rel=1e-6)
def least_squares_arrives_at_the_loss():
    for side in ("down", "up"):
        rng = np.random.default_rng(1)
        parts = gaussian(rng, 4, 4, 4), rng.standard_normal((4, 40)), orthonormal(rng, 4, 2)
        case = rank_floor.Frozen(*parts, side)
        yield case, rank_floor.bound(case)


@symmetry("factor-asymmetry", rel=1e-8)
def size_rotation_and_mixed_frames(case, rng):
    (m, n), factor = case.target.shape, float(rng.uniform(0.1, 10))
    inner, outer = orthonormal(rng, n, n), orthonormal(rng, m, m)
    turn = outer if case.frozen == "up" else inner
    frame = turn @ case.frame @ orthonormal(rng, *[case.frame.shape[1]] * 2)
    target = LowRank(factor * outer @ case.target.up, case.target.down @ inner.T)
    yield rank_floor.Frozen(target, inner @ case.inputs, frame, case.frozen), factor**2


@pytest.mark.parametrize("spent", [0, 1, 2, 3])
def test_exact_edits_of_independent_facts_need_one_rank_each_and_shared_answers_share_it(spent):
    rng = np.random.default_rng(5)
    keys, wanted = rng.standard_normal((8, 4)), rng.standard_normal((7, 4))
    assert rank_floor.bound(rank_floor.Case(keys, wanted, rank=spent)) > 1e-3
    enough = rank_floor.Case(keys, wanted, rank=4)
    assert rank_floor.attain(enough).rank == 4
    shared = rank_floor.Case(keys, np.outer(wanted[:, 0], wanted[0]), rank=1)
    for case in (enough, shared):
        assert rank_floor.measure(case, rank_floor.attain(case)) <= 1e-11


def test_edits_that_miss_a_little_and_weights_that_leave_a_direction_free_are_refused():
    theorem = theorem_of("least-change-edit")
    case = theorem.draw(np.random.default_rng(1), 8)
    with pytest.raises(ValueError, match="exactly"):
        theorem.check(case, theorem.attain(case) * (1 - 1e-6))
    zero = LowRank(np.zeros((case.values.shape[0], 1)), np.zeros((1, len(case.keys))))
    assert not theorem.judge(case, zero).holds
    with pytest.raises(ValueError, match="add a positive ridge"):
        batch(np.eye(2), np.eye(2), np.diag([1.0, -0.5]), rank=1)
    far = theorem.draw(np.random.default_rng(167), 80)  # descent starts far from the keys' edit
    assert theorem.check(far, theorem.adversary(far, np.random.default_rng(167))).holds


@over("covariance-floor")
def test_no_covariance_floor_is_above_the_data_free_one(case):
    largest = max(float(np.linalg.norm(x, 2)) ** 2 for x in case.inputs)
    worst = rank_floor.bound(white(case, largest))
    room = worst * 1e-9 + 1e-10 * rank_floor.scale(case)
    guarantee = rank_floor.attain(rank_floor.Tasks(case.updates, case.rank))
    assert rank_floor.bound(case) <= worst + room
    assert rank_floor.measure(case, guarantee) <= worst + room


@over()
def test_without_a_limit_on_the_rank_the_covariance_floor_is_met_by_regmean(rng):
    updates = tuple(gaussian(rng, 4, 5, 2) for _ in range(2))
    inputs = tuple(rng.standard_normal((5, 9)) for _ in range(2))
    moments = [x @ x.T for x in inputs]
    top = sum(low.dense() @ c for low, c in zip(updates, moments, strict=True))
    best = rank_floor.attain(on_inputs(updates, inputs, 4)).dense()
    np.testing.assert_allclose(best, np.linalg.solve(sum(moments), top.T).T, atol=1e-9)


@over("quantised-floor")
def test_errors_larger_than_the_adapters_and_the_merge_of_rounded_adapters_on_the_true_tasks(
    case, rng
):
    tiny = replace(case, updates=tuple(low * 1e-40 for low in case.updates), error=1.0)
    assert theorem_of("quantised-floor").check(tiny, rank_floor.rounded_anyhow(tiny, rng)).holds
    assert theorem_of("quantised-floor").scale(tiny) >= 1.0
    merged = rank_floor.attain(rank_floor.Tasks(rank_floor.rounded_anyhow(case, rng), case.rank))
    true = rank_floor.measure(rank_floor.Tasks(case.updates, case.rank), merged) ** 0.5
    assert true <= case.floor + 2 * case.error + 1e-11 * theorem_of("quantised-floor").scale(case)


@over()
def test_frozen_factors_lose_their_share_on_average(rng):
    """The coordinate blocks of one random basis average exactly as random frames do."""
    basis, white = orthonormal(rng, 6, 6), np.sqrt(6) * np.eye(6)
    target, any_inputs = gaussian(rng, 6, 6, 4), rng.standard_normal((6, 7))
    for side, inputs, r in (("up", any_inputs, 2), ("down", white, 3)):
        frames = (basis[:, k : k + r] for k in range(0, 6, r))
        cases = [rank_floor.Frozen(target, inputs, frame, side) for frame in frames]
        energy = theorem_of("factor-asymmetry").scale(cases[0])
        share = np.mean([rank_floor.bound(case) for case in cases]) / energy
        assert share == pytest.approx(1 - r / 6, rel=1e-9)
