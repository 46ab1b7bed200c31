"""depth_budget: by hand, by another road, the factorisation it rests on, symmetries, limits."""

import re
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.expressiveness.depth_budget import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    measure,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def room(case):
    return 1e-11 * THEOREM.condition(case) * THEOREM.scale(case)


def test_hand_example():
    # two identity layers of rank 1 each pay for the two largest of 4, 3, 2, 1
    case = Case((np.eye(4), np.eye(4)), np.eye(4) + np.diag([4.0, 3.0, 2.0, 1.0]), rank=1)
    assert bound(case) == 2.0
    assert measure(case, attain(case)) == pytest.approx(2.0, rel=1e-13)


def test_the_zero_map_is_reached_exactly_though_every_partial_sum_is_singular():
    case = Case((np.eye(2), np.eye(2)), np.zeros((2, 2)), rank=1)
    one = np.eye(2)
    by_hand = (LowRank(-one[:, :1], one[:1]), LowRank(-one[:, 1:], one[1:]))
    assert bound(case) == measure(case, by_hand) == 0.0
    assert measure(case, attain(case)) <= 1e-15


@given(seeds)
@settings(max_examples=25)
def test_the_product_moves_by_rank_at_most_the_sum_of_ranks(seed):
    """The heart of the lower bound, in exact integers."""
    rng = np.random.default_rng(seed)
    d, depth, rank = int(rng.integers(2, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    weights = [sympy.Matrix(rng.integers(-3, 4, (d, d))) for _ in range(depth)]
    updates = [
        sympy.Matrix(rng.integers(-3, 4, (d, rank))) * sympy.Matrix(rng.integers(-3, 4, (rank, d)))
        for _ in range(depth)
    ]
    frozen = reduce(lambda done, w: w * done, weights)
    adapted = reduce(
        lambda done, w: w * done, [w + u for w, u in zip(weights, updates, strict=True)]
    )
    assert (adapted - frozen).rank() <= rank * depth


@pytest.mark.parametrize("aim", ["dense", "network"])
def test_a_deep_gaussian_network_is_steered_to_ten_digits_and_says_so(aim):
    """Sixteen layers of width 64 at rank 4, where inverses leave nothing: see the layer sweep."""
    rng = np.random.default_rng(11)
    weights = tuple(rng.standard_normal((64, 64)) / 8 for _ in range(16))
    depth = 1 if aim == "dense" else 16
    target = np.linalg.multi_dot([np.eye(64), *rng.standard_normal((depth, 64, 64)) / 8])
    case = Case(weights, target, rank=4)
    verdict = THEOREM.check(case, attain(case))
    assert bound(case) == 0.0
    assert verdict.value < 1e-8 * np.linalg.norm(target, 2)
    assert verdict.tight
    assert verdict.condition < 1e11 < np.prod([np.linalg.cond(w) for w in weights]) / 1e15


@given(seeds)
def test_bound_matches_the_eigenvalues_of_the_missing_part(seed):
    case = drawn(seed)
    missing = case.target - np.linalg.multi_dot([np.eye(len(case.target)), *case.weights[::-1]])
    eigenvalues = np.linalg.eigvalsh(missing.T @ missing)[::-1]
    budget = case.rank * len(case.weights)
    expected = eigenvalues[budget] if budget < len(eigenvalues) else 0.0
    assert bound(case) ** 2 == pytest.approx(expected, rel=1e-9, abs=1e-13 * eigenvalues[0])


@given(seeds)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_finds_the_floor_of_one_layer():
    """It is a strong enough attacker: with one layer and a spectral gap it reaches the optimum."""
    rng = np.random.default_rng(3)
    left, right = orthonormal(rng, 6, 6), orthonormal(rng, 6, 6)
    missing = (left * np.array([5.0, 4.0, 1e-3, 1e-3, 1e-3, 1e-3])) @ right
    case = Case((left,), left + missing, rank=2)
    assert measure(case, adversary(case, rng)) == pytest.approx(1e-3, rel=1e-6)


def test_a_dead_layer_cannot_be_outwitted():
    """The control's witness is the best there is: the attacker does not get below 5 either."""
    dead, _ = THEOREM.controls[1].example()
    errors = [measure(dead, adversary(dead, np.random.default_rng(s))) for s in range(5)]
    assert bound(dead) == 4.0
    assert min(errors) >= 5.0 - 1e-9


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_hidden_bases_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.target)
    turn, back = orthonormal(rng, d, d), orthonormal(rng, d, d)
    weights = [w.copy() for w in case.weights]
    weights[-1] = factor * turn @ weights[-1]
    weights[0] = weights[0] @ back
    for index in range(len(weights) - 1):  # a new basis between two layers
        hidden = np.eye(d) + 0.3 * orthonormal(rng, d, d)
        weights[index] = hidden @ weights[index]
        weights[index + 1] = np.linalg.solve(hidden.T, weights[index + 1].T).T
    other = Case(tuple(weights), factor * turn @ case.target @ back, case.rank)
    assert bound(other) == pytest.approx(factor * bound(case), rel=1e-9, abs=room(other))
    assert THEOREM.check(other, attain(other)).tight


@given(seeds)
def test_the_transposed_network_costs_the_same(seed):
    case = drawn(seed)
    other = Case(tuple(w.T for w in reversed(case.weights)), case.target.T, case.rank)
    assert bound(other) == pytest.approx(bound(case), rel=1e-9, abs=room(case))


@given(seeds)
def test_nothing_spent_loses_all_and_enough_spent_loses_nothing(seed):
    case = drawn(seed)
    idle = replace(case, rank=0)
    error = np.linalg.norm(case.target - case.product, 2)
    assert bound(idle) == pytest.approx(error, rel=1e-9, abs=room(case))
    assert measure(idle, attain(idle)) == pytest.approx(error, rel=1e-9, abs=room(case))
    enough = replace(case, rank=-(-len(case.target) // len(case.weights)))
    assert bound(enough) == 0.0
    assert measure(enough, attain(enough)) <= room(case)


def test_an_update_missing_for_a_layer_is_an_error():
    case = drawn(0)
    with pytest.raises(ValueError, match="shorter"):
        measure(case, attain(case)[1:])


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
