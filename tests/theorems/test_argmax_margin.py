"""argmax_margin: by hand, exact configurations, hulls, the circle's lemma, ascent, symmetries."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.expressiveness.argmax_margin import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    cross_polytope,
    measure,
    simplex,
)


def test_hand_example():
    # a triangle on the unit circle: 1 + 1/2; a square: 1; two opposite points: 2; a hexagon: 1/2
    assert bound(Case(3, 2)) == pytest.approx(3 / 2, rel=1e-15)
    assert bound(Case(4, 2)) == pytest.approx(1, rel=1e-15)
    assert bound(Case(2, 1)) == 2
    assert bound(Case(6, 2)) == pytest.approx(1 / 2, rel=1e-14)
    assert bound(Case(6, 3)) == 1


@pytest.mark.parametrize("m", [2, 3, 5])
def test_simplex_gives_its_margin_exactly(m):
    """Symbolically: coordinates are centred unit vectors, scaled to norm one."""
    corners = (sympy.eye(m) - sympy.ones(m, m) / m) * sympy.sqrt(sympy.Rational(m, m - 1))
    table = sympy.simplify(corners.T * corners)
    assert {table[t, t] for t in range(m)} == {1}
    assert {table[t, t] - table[s, t] for t in range(m) for s in range(m) if s != t} == {
        sympy.Rational(m, m - 1)
    }
    np.testing.assert_allclose(simplex(m).dense(), np.array(table, dtype=float), atol=1e-14)


def test_cross_polytope_is_an_integer_configuration_of_margin_one():
    table = cross_polytope(6).dense()
    assert cross_polytope(6).width == 3
    assert {float(table[t, t] - table[s, t]) for t in range(6) for s in range(6) if s != t} == {
        1.0,
        2.0,
    }


@given(seeds)
def test_best_keys_of_random_outputs_never_go_above(seed):
    """Another road: the best key for given outputs points away from the hull of the others."""
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 6)
    outputs = rng.standard_normal((case.tokens, max(case.rank, 1)))
    outputs /= np.linalg.norm(outputs, axis=1)[:, None]
    far, keys = 1e6, []
    for t, output in enumerate(outputs):  # nonnegative least squares, sum of weights near 1
        others = np.delete(outputs, t, axis=0).T
        bordered = np.concatenate([others, far * np.ones((1, others.shape[1]))])
        away = output - others @ nnls(bordered, np.append(output, far))[0]
        keys.append(away / max(np.linalg.norm(away), 1e-9))
    best = LowRank(outputs, np.array(keys).T)
    assert measure(case, best) <= bound(Case(case.tokens, max(case.rank, 1))) + 1e-9


def test_best_keys_of_a_regular_polygon_are_its_corners():
    corners = attain(Case(7, 2)).up
    gap = np.roll(corners, 1, axis=0) - np.roll(corners, -1, axis=0)
    away = np.abs(np.sum(corners * gap, axis=1))
    assert np.max(away) <= 1e-15


@given(seeds)
def test_no_polygon_in_the_disc_has_a_longer_perimeter_or_higher_corners_than_the_regular_one(seed):
    """The two steps of the circle's proof, on random convex polygons."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(3, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, m))
    corners = rng.uniform(0.3, 1) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    corners = corners * [1.0, rng.uniform(0.1, 1)]  # an ellipse keeps it convex
    edges = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    assert edges.sum() <= 2 * m * np.sin(np.pi / m) + 1e-12
    heights = []
    for t in range(m):
        left, right = corners[t - 1], corners[(t + 1) % m]
        along = np.linspace(0, 1, 100)[:, None]
        heights.append(np.linalg.norm(corners[t] - left - along * (right - left), axis=1).min())
    assert min(heights) <= bound(Case(m, 2)) + 1e-3


@given(seeds)
def test_ascent_never_goes_above(seed):
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 6)
    assert THEOREM.check(case, adversary(case, rng)).holds


@pytest.mark.parametrize("case", [Case(3, 2), Case(4, 3), Case(5, 2), Case(6, 3)], ids=str)
def test_ascent_finds_the_largest_margin(case):
    found = [measure(case, adversary(case, np.random.default_rng(s))) for s in range(5)]
    assert max(found) == pytest.approx(bound(case), rel=2e-2)


@given(st.floats(0.1, 1.0), seeds)
def test_size_rotation_and_order_do_not_matter(factor, seed):
    rng = np.random.default_rng(seed)
    case = THEOREM.draw(rng, 6)
    best, order = attain(case), rng.permutation(case.tokens)
    turn = orthonormal(rng, best.width, best.width)
    moved = LowRank(factor * best.up[order] @ turn, (turn.T @ best.down)[:, order])
    assert measure(case, moved) == pytest.approx(factor * bound(case), abs=1e-13)


def test_limits():
    assert bound(Case(9, 0)) == bound(Case(9, 1)) == 0
    assert bound(Case(1000, 999)) == pytest.approx(1 + 1 / 999, rel=1e-15)
    assert bound(Case(1000, 2)) == pytest.approx(2 * np.pi**2 / 1000**2, rel=1e-5)
    assert bound(Case(2, 0)) == 0


def test_a_key_compares_tokens_and_not_a_token_keys():
    # the second key scores its own token .2 and the first one .5
    scores = LowRank(np.array([[1.0, 0.5], [0.0, 0.2]]), np.eye(2))
    assert measure(Case(2, 2), scores) == pytest.approx(-0.3, rel=1e-15)
