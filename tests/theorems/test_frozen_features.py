"""frozen_features: by hand, in rationals, by grouping, by training, symmetries, limits."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems.expressiveness.frozen_features import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def groups(case):
    """The classes as lists of columns, by a dictionary of integer features in Python."""
    unit = min((abs(x) for x in case.inputs.ravel().tolist() if x), default=1.0)
    found = defaultdict(list)
    for column in range(case.inputs.shape[1]):
        hidden = [Fraction(x) / Fraction(unit) for x in case.inputs[:, column].tolist()]
        for weight in case.weights:
            rows = weight.astype(int).tolist()
            hidden = [max(0, sum(w * h for w, h in zip(row, hidden, strict=True))) for row in rows]
        found[tuple(hidden)].append(column)
    return list(found.values())


def test_hand_example():
    # 1 and 2 both have feature 0 and want (0, 0), (3, 4): half of 25 is lost, half of that a head
    case = Case((-np.eye(1),), np.array([[1.0, 2.0]]), np.array([[0.0, 3.0], [0.0, 4.0]]))
    assert bound(case) == 25 / 4
    assert measure(case, attain(case)) == 25 / 4


def test_half_the_largest_gap_is_lost_somewhere_whatever_the_answer():
    case = Case((-np.eye(1),), np.array([[1.0, 2.0]]), np.array([[0.0, 3.0], [0.0, 4.0]]))
    for seed in range(50):
        answer = np.random.default_rng(seed).standard_normal((2, 1)) + attain(case)
        assert np.linalg.norm(answer - case.targets, axis=0).max() >= 5 / 2
    assert np.linalg.norm(attain(case) - case.targets, axis=0).max() == 5 / 2


@given(seeds)
def test_bound_is_the_variance_within_groups_in_exact_rationals(seed):
    rng, case = np.random.default_rng(seed), drawn(seed)
    case = replace(case, targets=rng.integers(-9, 10, case.targets.shape).astype(float))
    total = Fraction(0)
    for group in groups(case):
        for row in case.targets.astype(int).tolist():
            chosen = [Fraction(row[i]) for i in group]
            mean = sum(chosen) / len(chosen)
            total += sum((y - mean) ** 2 for y in chosen)
    assert bound(case) == pytest.approx(float(total / case.inputs.shape[1]), rel=1e-13)
    assert sum(map(len, groups(case))) == case.inputs.shape[1]


@given(seeds)
def test_training_the_later_layers_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_training_a_wide_later_layer_finds_the_floor():
    case = drawn(3)
    assert 0 < bound(case) < measure(case, 0 * case.targets)
    best = measure(case, adversary(case, np.random.default_rng(0)))
    assert best == pytest.approx(bound(case), rel=1e-6)


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_shifts_rotations_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    m, n = case.targets.shape
    shift = float(np.max(np.abs(case.targets))) * rng.standard_normal((m, 1))
    order = rng.permutation(n)
    targets = factor * orthonormal(rng, m, m) @ (case.targets + shift)
    other = Case(case.weights, 4 * case.inputs[:, order], targets[:, order])
    room = 1e-12 * THEOREM.scale(other)
    assert bound(other) == pytest.approx(factor**2 * bound(case), rel=1e-9, abs=room)


@given(seeds)
def test_one_more_frozen_layer_never_lowers_the_floor(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    rows = len(case.features)
    deeper = replace(case, weights=(*case.weights, rng.integers(-2, 3, (2, rows)).astype(float)))
    assert bound(deeper) >= bound(case) - 1e-12 * THEOREM.scale(case)


@given(seeds)
def test_layers_that_keep_inputs_apart_cost_nothing_and_dead_ones_cost_the_variance(seed):
    case = drawn(seed)
    inputs = np.arange(1.0, case.targets.shape[1] + 1)[None, :]
    apart = Case((np.eye(1),), inputs, case.targets)
    dead = Case((-np.eye(1),), inputs, case.targets)
    room = 1e-12 * THEOREM.scale(case)
    assert bound(apart) == 0.0
    assert measure(apart, attain(apart)) == 0.0
    variance = case.targets.var(axis=1).sum()
    assert bound(dead) == pytest.approx(variance, rel=1e-9, abs=room)
