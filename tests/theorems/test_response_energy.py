"""response_energy: by hand, exactly, by another road, symmetries, limits."""

import re

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, frobenius, gaussian, orthonormal, regauge
from loratheory.theorems import AssumptionError, superposition_floor
from loratheory.theorems.editing.response_energy import (
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    least_energy,
    measure,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_two_facts_of_unequal_strength_by_hand():
    # pairing diag(3, 1): rank 1 writes 2/3 on the first, energy 4/9; rank 2 needs 4/10
    case = Case(np.eye(2), np.diag([3.0, 1.0]), rank=1)
    assert bound(case) == pytest.approx(4 / 9, rel=1e-14)
    np.testing.assert_allclose(attain(case).dense(), np.diag([2 / 3, 0.0]), atol=1e-15)
    assert bound(Case(case.keys, case.outputs, rank=2)) == pytest.approx(0.4, rel=1e-14)


@given(seeds)
@settings(max_examples=15)
def test_at_full_rank_it_is_the_least_norm_under_one_equation_exactly(seed):
    """Lagrange: one linear equation <D, G> = N has least energy N^2 / <G, G>, a rational."""
    rng = np.random.default_rng(seed)
    n, m, facts = rng.integers(1, 4, 3).tolist()
    keys = sympy.Matrix(rng.integers(-3, 4, (n, facts)))
    outputs = sympy.Matrix(rng.integers(-3, 4, (m, facts)))
    energy = sum(x**2 for x in outputs * keys.T)
    if energy:
        case = Case(np.array(keys, float), np.array(outputs, float), rank=min(m, n, facts))
        assert bound(case) == pytest.approx(float(sympy.Rational(facts**2) / energy), rel=1e-12)


@given(seeds)
def test_bound_matches_the_eigenvalues_of_the_dense_pairing(seed):
    case = drawn(seed)
    dense = case.outputs @ case.keys.T
    energies = np.linalg.eigvalsh(dense @ dense.T)[::-1][: case.rank]
    assert bound(case) == pytest.approx(case.facts**2 / energies.sum(), rel=1e-9)


@given(seeds)
def test_no_update_of_that_rank_is_smaller(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@given(seeds)
@settings(max_examples=20)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_arrives_at_the_floor():
    case = Case(np.eye(4), np.diag([4.0, 2.0, 0.5, 0.1]), rank=2)
    assert measure(case, adversary(case, np.random.default_rng(1))) == pytest.approx(16 / 20)


@given(seeds, st.integers(1, 6), st.integers(0, 3))
def test_orthonormal_facts_cost_their_square_over_the_rank(seed, rank, more):
    rng, facts = np.random.default_rng(seed), rank + more
    case = Case(orthonormal(rng, 10, facts), orthonormal(rng, 12, facts), rank)
    assert bound(case) == pytest.approx(least_energy(facts, rank), rel=1e-12)
    quiet = superposition_floor.Case(case.keys, case.outputs, rank)  # and the quietest costs it
    assert frobenius(superposition_floor.attain(quiet)) ** 2 == pytest.approx(bound(case))
    assert least_energy(rank, facts) == rank


@given(seeds)
def test_scale_basis_order_and_gauge_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, facts), m = case.keys.shape, case.outputs.shape[0]
    order, inner, outer = rng.permutation(facts), orthonormal(rng, n, n), orthonormal(rng, m, m)
    other = Case(3 * inner @ case.keys[:, order], outer @ case.outputs[:, order], case.rank)
    assert bound(other) == pytest.approx(bound(case) / 9, rel=1e-9)
    best = attain(case)
    gauge = orthonormal(rng, best.width, best.width)
    assert measure(case, regauge(best, gauge)) == pytest.approx(measure(case, best), rel=1e-10)


@given(seeds)
def test_facts_with_one_output_need_one_rank(seed):
    rng = np.random.default_rng(seed)
    outputs = np.tile(rng.standard_normal((5, 1)), 4)
    keys = rng.standard_normal((6, 4))
    floors = [bound(Case(keys, outputs, rank)) for rank in (1, 2, 4)]
    assert floors == pytest.approx([floors[0]] * 3, rel=1e-12)


@given(seeds)
def test_more_rank_never_costs_more(seed):
    case = drawn(seed)
    richer = Case(case.keys, case.outputs, case.rank + 1)
    assert bound(richer) <= bound(case) * (1 + 1e-12)


def test_wide_layers_need_no_dense_matrix():
    rng = np.random.default_rng(2)
    case = Case(rng.standard_normal((4096, 20)), rng.standard_normal((4096, 20)), rank=5)
    assert THEOREM.check(case, attain(case)).tight
    other = gaussian(rng, 4096, 4096, 5)
    assert THEOREM.check(case, other * (20 / case.pairing.inner(other))).holds


def test_nothing_to_answer_is_refused():
    with pytest.raises(ValueError, match="give at least one of each"):
        least_energy(0, 1)


def test_a_louder_mean_is_refused():
    case = Case(np.eye(2), np.eye(2), rank=1)
    with pytest.raises(AssumptionError, match="mean response"):
        THEOREM.check(case, LowRank(3 * np.eye(2)[:, :1], np.eye(2)[:1]))


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
