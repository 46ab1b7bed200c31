"""superposition_floor: by hand, exactly, by another road, symmetries, limits, any embeddings."""

import re
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.editing.superposition_floor import (
    THEOREM,
    Case,
    adversary,
    answering,
    attain,
    bound,
    harmonic,
    least_crosstalk,
    measure,
    responses,
)

shapes = st.integers(1, 12).flatmap(lambda r: st.tuples(st.integers(r, 30), st.just(r)))


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_three_facts_in_two_ranks_by_hand():
    # the best codes are the three corners of a triangle: inner products -1/2, squared 1/4
    assert least_crosstalk(3, 2) == 0.25
    case = Case(np.eye(3), np.eye(3), rank=2)
    table = responses(case, attain(case))
    np.testing.assert_allclose(table, 1.5 * np.eye(3) - 0.5, atol=1e-15)
    assert measure(case, attain(case)) == pytest.approx(0.25, rel=1e-14)


def test_the_adversary_keeps_to_unit_responses_from_uneven_starts():
    """Seed 117 draws codes of very different lengths."""
    keys, outputs = (orthonormal(np.random.default_rng(seed), 27, 3) for seed in (0, 1))
    case = Case(keys, outputs, 1)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(117))).holds


def test_two_facts_in_one_rank_answer_each_other_in_full():
    assert least_crosstalk(2, 1) == 1.0
    assert least_crosstalk(24, 6) == pytest.approx(float(Fraction(18, 6 * 23)), rel=1e-15)


@pytest.mark.parametrize(("facts", "rank"), [(3, 1), (3, 2), (4, 2), (4, 3), (6, 2), (6, 5)])
def test_the_frame_meets_the_floor_in_exact_algebra(facts, rank):
    turn = [2 * sympy.pi * k / facts for k in range(1, rank // 2 + 1)]
    rows = [[wave(t * j) for j in range(facts)] for wave in (sympy.cos, sympy.sin) for t in turn]
    frame = sympy.Matrix(rows) * sympy.sqrt(sympy.Rational(2, rank)) if rows else None
    gram = frame.T * frame if rows else sympy.zeros(facts, facts)
    gram += sympy.ones(facts, facts) * sympy.Rational(rank % 2, rank)
    total = sum(sympy.nsimplify(sympy.simplify(x**2)) for x in gram) - facts
    floor = sympy.Rational(facts - rank, rank * (facts - 1))
    assert sympy.simplify(total / (facts * (facts - 1)) - floor) == 0
    assert least_crosstalk(facts, rank) == pytest.approx(float(floor), rel=1e-15)


@given(shapes)
def test_the_harmonic_frame_is_tight_and_of_unit_columns(shape):
    facts, rank = shape
    frame = harmonic(facts, rank)
    assert frame.shape == (rank, facts)
    np.testing.assert_allclose((frame**2).sum(axis=0), 1.0, atol=1e-13)
    np.testing.assert_allclose(frame @ frame.T, facts / rank * np.eye(rank), atol=1e-12)


@given(seeds)
def test_no_adapter_is_quieter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    verdict = THEOREM.check(case, THEOREM.rival(case, rng))
    assert verdict.holds


@given(seeds)
@settings(max_examples=20)
def test_alternating_least_squares_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


def test_alternating_least_squares_arrives_at_the_floor():
    case = Case(np.eye(7), np.eye(7), rank=3)
    found = measure(case, adversary(case, np.random.default_rng(0)))
    assert found == pytest.approx(least_crosstalk(7, 3), rel=5e-3)


@given(seeds)
def test_dependent_and_more_keys_than_dimensions_obey_it_too(seed):
    """The floor asks nothing of the embeddings: here eight facts live in four dimensions."""
    rng = np.random.default_rng(seed)
    keys, outputs = rng.standard_normal((4, 8)), rng.standard_normal((4, 8))
    update = LowRank(rng.standard_normal((4, 2)), rng.standard_normal((2, 4)))
    own = (outputs * (update @ keys)).sum(axis=0)
    case = Case(keys, outputs / own, rank=2)
    assert measure(case, update) >= least_crosstalk(8, 2) * (1 - 1e-9)


@given(seeds)
def test_length_basis_gauge_and_order_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, facts), m, best = case.keys.shape, case.outputs.shape[0], attain(case)
    order = rng.permutation(facts)
    inner, outer = orthonormal(rng, n, n), orthonormal(rng, m, m)
    moved = Case(3 * inner @ case.keys[:, order], 5 * outer @ case.outputs[:, order], case.rank)
    update = LowRank(outer @ best.up / 5, best.down @ inner.T / 3)
    update = regauge(update, 2 * np.eye(best.width) + 0.5 * orthonormal(rng, *[best.width] * 2))
    assert THEOREM.check(moved, update).tight


@given(st.integers(1, 9))
def test_a_rank_for_each_fact_is_silence_and_one_fact_has_nobody_to_disturb(facts):
    case = Case(np.eye(9)[:, :facts], np.eye(9)[:, :facts], rank=facts)
    assert bound(case) == 0.0
    assert measure(case, attain(case)) == 0.0
    assert measure(case, LowRank(np.eye(9), np.eye(9))) == 0.0


@given(shapes)
def test_more_facts_disturb_more_and_more_rank_less(shape):
    facts, rank = shape
    assert least_crosstalk(facts + 1, rank) >= least_crosstalk(facts, rank)
    assert rank == 1 or least_crosstalk(facts + 1, rank) > least_crosstalk(facts, rank)
    assert least_crosstalk(facts + 1, rank + 1) < least_crosstalk(facts + 1, rank)
    assert least_crosstalk(facts, rank) <= 1 / rank


def test_unequal_responses_of_mean_one_can_be_silent():
    case = Case(np.eye(4), np.eye(4), rank=2)
    update = LowRank(2 * np.eye(4)[:, :2], np.eye(4)[:2])
    assert measure(case, update) == 0.0
    with pytest.raises(AssumptionError, match="own key"):
        THEOREM.check(case, update)


def test_wide_layers_need_no_dense_matrix():
    rng = np.random.default_rng(3)
    case = Case(orthonormal(rng, 4096, 24), orthonormal(rng, 4096, 24), rank=6)
    assert THEOREM.check(case, attain(case)).tight
    codes = harmonic(24, 6)
    assert answering(case, codes, codes).width == 6


def test_no_rank_is_refused():
    with pytest.raises(ValueError, match="give a rank of at least 1"):
        least_crosstalk(3, 0)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
