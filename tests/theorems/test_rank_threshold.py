"""rank_threshold: by hand, the certificate, proximal descent, symmetries, limits, rank one."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, nuclear, orthonormal, rank
from loratheory.theorems import AssumptionError
from loratheory.theorems.expressiveness.rank_threshold import (
    THEOREM,
    Case,
    bound,
    largest_rank,
    measure,
    reduced,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_one_measurement_by_hand():
    # the trace of a positive 2 x 2 core is all that is seen: rank one holds it as well as rank two
    case = Case(np.eye(2), np.eye(2), np.diag([0.5, 0.5]), np.eye(2)[None])
    found = reduced(case)
    assert rank(found) == 1
    assert np.trace(found.dense()) == pytest.approx(1.0, rel=1e-12)
    assert (bound(case), measure(case, found)) == (1.0, 1.0)
    assert measure(case, LowRank(np.eye(2), np.eye(2))) == 3.0


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [(0, 3, 0), (1, 1, 1), (1, 2, 1), (3, 1, 2), (3, 2, 3), (5, 2, 4)],
)
def test_the_largest_rank_is_the_triangular_root(inputs, outputs, expected):
    assert largest_rank(inputs, outputs) == expected
    assert expected * (expected + 1) / 2 <= inputs * outputs < (expected + 1) * (expected + 2) / 2


@given(seeds)
@settings(max_examples=25)
def test_the_reduced_core_is_a_minimiser_of_low_rank(seed):
    """The first probe certifies: its product with any matrix is at most the nuclear norm."""
    case = drawn(seed)
    found, start = reduced(case), case.left @ case.core @ case.right.T
    assert THEOREM.check(case, found).holds
    assert (case.probes[0] * found.dense()).sum() == pytest.approx(nuclear(found), rel=1e-8)
    seen = [(case.probes * dense).sum(axis=(1, 2)) for dense in (start, found.dense())]
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-8 * np.trace(case.core))


@given(seeds)
@settings(max_examples=25)
def test_other_minimisers_reduce_as_far(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (3, 1), (3, 2), (6, 3)])
def test_proximal_descent_ends_at_such_a_rank(count, seed):
    """Another road: shrink singular values, to convergence; unique minimisers are extreme."""
    rng = np.random.default_rng(seed)
    probes = rng.standard_normal((count, 6, 6))
    wanted, update = rng.standard_normal(count), np.zeros((6, 6))
    step = 1 / np.linalg.norm(probes.reshape(count, -1), 2) ** 2
    for _ in range(1500):
        missed = (probes * update).sum(axis=(1, 2)) - wanted
        u, sigma, v = np.linalg.svd(update - step * np.tensordot(missed, probes, 1))
        update = (u * np.maximum(sigma - 0.3 * step, 0)) @ v
    found = np.linalg.matrix_rank(update, 1e-6 * np.linalg.norm(update, 2))
    assert 1 <= found <= largest_rank(count, 1)


@given(seeds)
@settings(max_examples=20)
def test_scale_rotation_and_order_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    outer, inner = (orthonormal(rng, len(f), len(f)) for f in (case.left, case.right))
    probes = outer @ case.probes[rng.permutation(len(case.probes))] @ inner.T
    other = Case(outer @ case.left, inner @ case.right, 7 * case.core, probes)
    found = reduced(other)
    assert THEOREM.check(other, found).holds
    assert measure(other, found) == measure(case, reduced(case))


@given(st.integers(1, 5))
def test_enough_measurements_leave_nothing_to_reduce(k):
    rng = np.random.default_rng(k)
    case = Case(np.eye(k), np.eye(k), np.eye(k), rng.standard_normal((40, k, k)))
    assert rank(reduced(case)) == k
    one = replace(case, probes=np.eye(k)[None])
    assert rank(reduced(one)) == 1


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        largest_rank(-1, 2)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
