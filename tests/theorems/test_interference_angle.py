"""interference_angle: by hand, exactly, by another road, what orthogonality means."""

import math
import re

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import (
    LowRank,
    gaussian,
    orthonormal,
    regauge,
    row_space,
    spectral,
    subspaces_at,
)
from loratheory.theorems import AssumptionError
from loratheory.theorems.libraries.interference_angle import (
    THEOREM,
    Answer,
    Case,
    adversary,
    attain,
    bound,
    measure,
    worst_response,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * case.condition * THEOREM.scale(case)


def line(x, y, size=1.0):
    return LowRank(np.array([[size], [0.0]]), np.array([[x, y]]))


def test_hand_example():
    # the second reads (3, 4) / 5 with norm 10, the first reads (1, 0): cosine 3/5, answer 6
    case = Case(line(1.0, 0.0), line(0.6, 0.8, 10.0))
    assert bound(case) == pytest.approx(6.0, rel=1e-14)
    assert worst_response(case) == pytest.approx(6.0, rel=1e-14)
    key = np.array([[2.0], [0.0]])
    assert measure(case, Answer(case.second, key)) == pytest.approx(6.0, rel=1e-14)


def floats(matrix):
    return np.array(matrix, float)


def test_the_cosine_as_a_root_in_exact_rationals():
    """Planes in width 4 at 3-4-5 and 5-12-13: cosine 3/5, norm √8, from dense projectors."""
    axes = sp.Matrix([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    turn = sp.Matrix([[39, 0, 52, 0], [0, 25, 0, 60]]) / 65
    first, reads = sp.Matrix([[1, 2, 0, 0], [0, 1, 0, 0]]) * axes, turn * axes
    up = sp.Matrix([[2, 2], [-1, 1]])
    second, (one, two) = up * reads, (rows.pinv() * rows for rows in (first, reads))
    cosine, norm = max((one * two).eigenvals()), max((second * second.T).eigenvals())
    worst = max((second * one * second.T).eigenvals())
    assert (cosine, norm) == (sp.Rational(9, 25), 8)
    assert worst < norm * cosine == norm * (reads[0, :] * axes[:, 0])[0] ** 2  # attained there
    case = Case(LowRank(np.eye(2), floats(first)), LowRank(floats(up), floats(reads)))
    values = [bound(case), measure(case, attain(case)), worst_response(case)]
    exact = [float(sp.sqrt(part)) for part in (norm * cosine, norm * cosine, worst)]
    assert values == pytest.approx(exact, rel=1e-12)


@given(seeds)
def test_bound_matches_projectors_made_by_pseudo_inverse(seed):
    """Another road: the norm of a product of two dense projectors, no basis, no angle."""
    case = drawn(seed)
    one, two = (np.linalg.pinv(a.down) @ a.down for a in (case.first, case.second))
    expected = np.linalg.norm(case.second.dense(), 2) * np.linalg.norm(one @ two, 2)
    assert bound(case) == pytest.approx(expected, rel=1e-8, abs=room(case))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, math.pi / 3, math.pi / 2])
def test_the_bound_is_the_cosine_of_the_planted_angle(angle):
    rng = np.random.default_rng(1)
    one, two = subspaces_at(rng, 12, [angle, math.pi / 2, math.pi / 2])
    case = Case(LowRank(rng.standard_normal((7, 3)), one.T), LowRank(orthonormal(rng, 7, 3), two.T))
    assert bound(case) == pytest.approx(math.cos(angle), rel=1e-12, abs=1e-15)
    assert THEOREM.check(case, attain(case)).tight


@given(seeds)
def test_the_adapter_itself_obeys_exact_then_bound(seed):
    """A thousand keys: measured <= exact worst case <= bound."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    basis = row_space(case.first)
    keys = basis @ rng.standard_normal((basis.shape[1], 1000))
    answers = np.linalg.norm(case.second.dense() @ keys, axis=0) / np.linalg.norm(keys, axis=0)
    assert answers.max() <= worst_response(case) + room(case)
    assert worst_response(case) <= bound(case) + room(case)
    dense = np.linalg.norm(case.second.dense() @ np.linalg.pinv(case.first.down), 2)
    loosest = np.linalg.norm(case.first.down, 2)
    assert worst_response(case) <= dense * loosest + room(case)


@given(seeds)
def test_the_exact_worst_case_is_found_by_power_iteration(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    inside = np.linalg.pinv(case.first.down) @ case.first.down
    seen = case.second.dense() @ inside
    expected = math.sqrt(max(np.linalg.eigvalsh(seen.T @ seen)[-1], 0.0))
    assert worst_response(case) == pytest.approx(expected, rel=1e-8, abs=1e-8 * THEOREM.scale(case))
    key = inside @ rng.standard_normal((inside.shape[0], 1))
    for _ in range(3):
        key = inside @ (seen.T @ (seen @ (key / np.linalg.norm(key))))
        if not key.any():
            return
    assert measure(case, Answer(case.second, key)) <= worst_response(case) + room(case)


@given(seeds)
def test_alternating_projections_never_go_beyond(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_projections_arrive_at_the_bound():
    rng = np.random.default_rng(2)
    one, two = subspaces_at(rng, 10, [0.5, 1.2, 1.4])
    case = Case(LowRank(orthonormal(rng, 6, 3), one.T), LowRank(3 * orthonormal(rng, 6, 3), two.T))
    assert measure(case, adversary(case, rng)) == pytest.approx(3 * math.cos(0.5), rel=1e-9)


def test_an_adapter_whose_loud_direction_is_far_stays_below():
    """Why the bound is over all adapters with that row space, and the exact value is smaller."""
    first = LowRank(np.eye(3)[:, :1], np.eye(3)[:1])
    second = LowRank(np.diag([1.0, 10.0, 0.0])[:, :2], np.eye(3)[:2])
    case = Case(first, second)
    assert bound(case) == pytest.approx(10.0)
    assert worst_response(case) == pytest.approx(1.0)


@given(seeds)
def test_silence_is_orthogonality_of_the_row_spaces(seed):
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, 6, 6)
    one, two = LowRank(rng.standard_normal((5, 2)), frame[:, :2].T), frame[:, 2:4]
    apart = Case(one, LowRank(rng.standard_normal((5, 2)), two.T))
    assert bound(apart) <= room(apart)
    mixed = two + 0.1 * frame[:, :2]
    assert worst_response(Case(one, LowRank(rng.standard_normal((5, 2)), mixed.T))) > 1e-4


@given(seeds)
def test_orthogonal_updates_may_interfere_as_much_as_equal_ones(seed):
    """Orthogonal columns make the Frobenius inner product vanish; the keys are still answered."""
    rng = np.random.default_rng(seed)
    columns, reads = orthonormal(rng, 8, 4), rng.standard_normal((2, 6))
    one, two = LowRank(columns[:, :2], reads), LowRank(columns[:, 2:], reads)
    assert abs(one.inner(two)) <= 1e-13 * spectral(one) ** 2
    case = Case(one, two)
    assert bound(case) == pytest.approx(spectral(two), rel=1e-12)
    assert worst_response(case) == pytest.approx(spectral(two), rel=1e-12)


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (m, n), moved = case.first.shape, []
    back = orthonormal(rng, n, n)
    for low in (case.first, case.second):
        gauge = 2.0 * np.eye(low.width) + 0.5 * orthonormal(rng, low.width, low.width)
        turned = LowRank(orthonormal(rng, m, m) @ low.up, low.down @ back)
        moved.append(factor * regauge(turned, gauge))
    other = Case(*moved)
    assert bound(other) == pytest.approx(factor * bound(case), rel=1e-8, abs=room(other))
    assert worst_response(other) == pytest.approx(
        factor * worst_response(case), rel=1e-8, abs=room(other)
    )
    louder = Case(7.0 * case.first, case.second)  # how loud the first is does not matter
    assert bound(louder) == pytest.approx(bound(case), rel=1e-8, abs=room(case))


@given(seeds)
def test_an_adapter_answers_its_own_keys_in_full_and_nothing_answers_nothing(seed):
    case = drawn(seed)
    own = Case(case.first, case.first)
    assert bound(own) == pytest.approx(spectral(case.first), rel=1e-9)
    silent = LowRank(case.second.up[:, :0], case.second.down[:0])
    assert bound(Case(case.first, silent)) == worst_response(Case(case.first, silent)) == 0.0
    assert bound(Case(silent, case.second)) == 0.0


def test_wide_layers_need_no_dense_matrix():
    rng = np.random.default_rng(3)
    case = Case(gaussian(rng, 4096, 4096, 16), gaussian(rng, 4096, 4096, 16))
    assert THEOREM.check(case, attain(case)).tight
    assert THEOREM.check(drawn(0, 4096), attain(drawn(0, 4096))).tight


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())


def test_a_zero_key_is_refused():
    case = drawn(0)
    with pytest.raises(AssumptionError, match="nonzero key"):
        THEOREM.check(case, Answer(case.second, np.zeros((case.first.shape[1], 1))))
