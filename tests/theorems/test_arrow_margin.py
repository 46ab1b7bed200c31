"""arrow_margin: by hand, exactly, by a grid of directions, the half angle, sizes, symmetries."""

from dataclasses import replace
from math import acos, cos, pi, sin, sqrt

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.adapters import arrow_scores
from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.routing.arrow_margin import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    least_margin,
    measure,
    safe_angle,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def planar(*angles, angle=0.0, sizes=None):
    frame = np.array([[cos(a) for a in angles], [sin(a) for a in angles]])
    return Case(frame, sizes or (1.0,) * len(angles), angle)


def test_hand_example():
    """Lines 60 degrees apart: at 15 degrees the lead is cos 15 - cos 45, at 30 it is none."""
    case = planar(0.0, pi / 3, angle=pi / 12)
    exact = (sqrt(6) + sqrt(2)) / 4 - sqrt(2) / 2
    assert bound(case) == pytest.approx(exact, rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx(exact, rel=1e-13)
    assert bound(replace(case, angle=pi / 6)) == pytest.approx(0.0, abs=1e-15)


def floats(matrix):
    return np.array(matrix, float)


def test_the_rim_in_exact_rationals():
    """Lines at 3-4-5 and 5-12-13 in a turned frame, queries at 5-12-13: the least lead is 4/65."""
    turn = sp.Matrix([[1, 2, 2], [2, 1, -2], [2, -2, 1]]) / 3
    rows = [[1, 0, 0], [-3, -4, 0], [5, 0, 12]]
    lines = sp.diag(1, sp.Rational(1, 5), sp.Rational(1, 13)) * sp.Matrix(rows) * turn
    rim = [(5, 0), (4, 3), (3, 4), (0, 5), (-3, 4), (-5, 0), (-4, -3), (0, -5), (3, -4)]
    queries = [sp.Matrix([[12, x, y]]) * turn / 13 for x, y in rim]
    scores = [(lines * query.T).applyfunc(abs) for query in queries]
    leads = [own - max(others) for own, *others in scores]
    assert {query.norm() for query in queries} == {1}
    assert min(leads) == leads[0] == sp.Rational(12, 13) - sp.Rational(56, 65)
    case = Case(floats(lines).T, (1e-9, 1.0, 5.0), acos(12 / 13))
    found = [measure(case, query) for query in (attain(case), *(floats(q)[0] for q in queries))]
    exact = [float(lead) for lead in (leads[0], leads[0], *leads)]
    assert [bound(case), *found] == pytest.approx(exact, rel=1e-12, abs=0)


@given(seeds)
@settings(max_examples=25)
def test_a_grid_of_directions_finds_the_same_least_lead(seed):
    """Brute force in the plane: every direction within the angle, plain dot products."""
    rng = np.random.default_rng(seed)
    lines = [0.0, *rng.uniform(0.05, pi - 0.05, 3).tolist()]
    case = planar(*lines)
    between = acos(max(case.cosines))
    case = replace(case, angle=float(rng.random()) * between)
    turns = np.linspace(-case.angle, case.angle, 2001)
    scores = np.abs(np.stack([np.cos(turns), np.sin(turns)], axis=1) @ case.prototypes)
    lead = scores[:, 0] - scores[:, 1:].max(axis=1)
    assert float(lead.min()) == pytest.approx(bound(case), abs=1e-9)


@given(st.floats(0.01, pi / 2), st.sampled_from([-0.5, -0.01, 0.01, 0.5]))
def test_half_the_angle_decides(between, off):
    angle = safe_angle(between) * (1 + off)
    if off > 0:
        assert least_margin(between, angle) < 0
    if off < 0:
        assert least_margin(between, angle) > 0
    assert least_margin(between, safe_angle(between)) == pytest.approx(0.0, abs=1e-15)


@given(seeds)
def test_within_half_the_angle_every_query_is_routed_right(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    safe = replace(case, angle=0.99 * safe_angle(acos(max(case.cosines))))
    assert measure(safe, THEOREM.rival(safe, rng)) > 0
    assert measure(safe, attain(safe)) > 0


def test_a_tiny_adapter_on_the_query_wins_over_a_loud_one():
    """The counterexample: its answer is a billionth of the other's."""
    query = np.array([0.8, 0.6])
    case = planar(acos(0.8), 0.0, sizes=(1e-9, 1.0))
    assert measure(case, query) == pytest.approx(0.2)
    answers = [float(np.abs(low @ query)[0]) for low in case.adapters]
    assert answers == pytest.approx([1e-9, 0.8])


def test_wider_adapters_are_scored_by_their_top_direction_alone():
    rng = np.random.default_rng(0)
    rows = orthonormal(rng, 6, 6).T
    wide = [LowRank(np.diag([3.0, 2.0, 1.0]), rows[3 * i : 3 * i + 3]) for i in range(2)]
    scores = arrow_scores(wide)(rows)
    assert np.argwhere(scores > 0.5).tolist() == [[0, 0], [3, 1]]


@given(seeds)
def test_rotation_signs_sizes_and_order_of_others_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    n, k = case.prototypes.shape
    order = np.r_[0, 1 + rng.permutation(k - 1)]
    signs = rng.choice([-1.0, 1.0], k)
    frame = orthonormal(rng, n, n) @ case.prototypes[:, order] * signs
    other = Case(frame, tuple((10.0 ** rng.uniform(-9, 9, k)).tolist()), case.angle)
    assert bound(other) == pytest.approx(bound(case), abs=1e-7)
    assert measure(other, attain(other)) == pytest.approx(bound(other), abs=1e-7)


def test_limits():
    assert least_margin(pi / 2, 0.0) == pytest.approx(1.0)
    assert least_margin(0.0, 0.0) == 0.0
    assert safe_angle(pi / 2) == pi / 4
    same = planar(0.3, 0.3)
    assert measure(same, attain(same)) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, query = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, query)
    assert THEOREM.judge(case, query).slack < -0.01
