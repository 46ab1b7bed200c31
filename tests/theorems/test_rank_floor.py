"""The rank-r floor in all its cases: hand examples, symmetries, other roads, attacks."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from theorems.owed import attack, basis_of, example, lines, moved, road, symmetry

from loratheory.lowrank import LowRank, from_dense, orthonormal
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


@example("merge-floor")
def tasks_of_mean_diag_21_each_diag_1_minus_1_away_from_it():
    updates = (from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0])))
    yield rank_floor.Tasks(updates, rank=1), 2 + 1.0


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


@symmetry("covariance-floor", rel=1e-6, room=1e-10)
def size_rotation_order_and_mixed_samples(case, rng):
    updates, _, right = moved(case.updates, rng)
    factor = float(rng.uniform(0.1, 10))
    inputs = tuple(factor * right @ x for x in reversed(case.inputs))
    mixed = tuple(x @ orthonormal(rng, x.shape[1] + 3, x.shape[1]).T for x in inputs)
    yield on_inputs(updates, mixed, case.rank), factor**2
