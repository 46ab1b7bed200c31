"""merged_memory: by hand, exactly, real adapters, Gaussian embeddings, routing, symmetries."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal, total
from loratheory.theorems import AssumptionError, hebbian_memory
from loratheory.theorems.libraries.merged_memory import (
    THEOREM,
    Case,
    Shelf,
    bound,
    measure,
    merged_crosstalk,
    routed_crosstalk,
    summed,
)


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_two_facts_of_one_output_by_hand():
    # y = (1, 1), x = (1, 0), rank 1: signal 1 counts twice, |y|^2 |x|^2 = 2 once, in all 4,
    # in one adapter or in two; each of two alone would give 2 + 1 = 3
    case = Case(np.eye(2), np.ones((1, 2)), np.ones(1), np.array([1.0, 0.0]), rank=1)
    for owner in ((0, 0), (0, 1)):
        assert measure(case, summed(owner, 1)) == pytest.approx(4.0, rel=1e-13)
    assert bound(case) == pytest.approx(4.0, rel=1e-14)
    assert measure(case, Shelf((0, 1), (1, 1), (1.0, 0.0))) == pytest.approx(3.0, rel=1e-13)


def floats(matrix):
    return np.array(matrix, float)


@pytest.mark.parametrize("owner", [(0, 1), (0, 0)])
def test_isserlis_in_exact_rationals_for_two_facts_in_one_adapter_or_two(owner):
    """The score as a polynomial in all entries of the factors, 3-4-5 keys, rank 2: 34."""
    keys, outputs = sp.Matrix([[3, -4], [4, 3]]) / 5, sp.Matrix([[1, 2], [0, -1], [3, 1]])
    read, query = sp.Matrix([1, 2, -1]), 2 * keys[:, 0]
    rows = [[sp.Matrix(sp.symbols(f"a{k}{s}_:2")) for s in range(2)] for k in range(2)]
    said = outputs.T * read
    heard = [
        (said[i], keys[:, i].dot(a) * a.dot(query) / 2) for i in range(2) for a in rows[owner[i]]
    ]
    score = sp.Poly(sum(u * part for u, part in heard), *(x for k in rows for a in k for x in a))
    moment = {0: 1, 2: 1, 4: 3}
    exact = sum(c * math.prod(moment.get(d, 0) for d in powers) for powers, c in (score**2).terms())
    memory = outputs * keys.T
    signal, energy = read.dot(memory * query), (memory.T * read).norm() ** 2 * query.norm() ** 2
    assert exact == sp.Rational(3, 2) * signal**2 + energy / 2 == 34
    case = Case(floats(keys), floats(outputs), floats(read)[:, 0], floats(query)[:, 0], rank=2)
    values = [bound(case), measure(case, summed(owner, 2))]
    assert values == pytest.approx([float(exact)] * 2, rel=1e-12)


@given(seeds)
def test_the_second_moment_is_the_same_for_every_share(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).tight


@pytest.mark.parametrize("adapters", [1, 2, 6])
def test_real_adapters_summed_scatter_as_one(adapters):
    """Real factors, real sum of rank K r; six standard errors."""
    rng, rank, trials, facts = np.random.default_rng(adapters), 3, 1500, 6
    keys, outputs = orthonormal(rng, 8, facts), rng.standard_normal((5, facts))
    case = Case(keys, outputs, outputs[:, 1], keys[:, 0], rank)
    scores = np.empty(trials)
    for t in range(trials):
        shelf = []
        for k in range(adapters):
            frozen = rng.standard_normal((rank, 8)) / rank**0.5
            held = slice(k, None, adapters)
            shelf.append(LowRank(outputs[:, held] @ (frozen @ keys[:, held]).T, frozen))
        scores[t] = case.read @ (total(shelf) @ case.query)
    squares = scores**2
    assert abs(squares.mean() - bound(case)) <= 6 * squares.std() / trials**0.5


@pytest.mark.parametrize("adapters", [1, 3, 12])
def test_gaussian_embeddings_agree_in_the_mean_and_routing_helps(adapters):
    rng, facts, width, rank, trials = np.random.default_rng(adapters), 12, 16, 4, 1500
    keys, outputs = rng.standard_normal((2, trials, facts, width)) / width**0.5
    query = rng.standard_normal((trials, width)) / width**0.5
    answers = np.zeros((trials, width, adapters))
    for k in range(adapters):
        frozen = rng.standard_normal((trials, rank, width)) / rank**0.5
        inner = np.einsum("trn,tfn->trf", frozen, keys[:, k::adapters])
        seen = np.einsum("trf,trn,tn->tf", inner, frozen, query, optimize=True)
        answers[:, :, k] = np.einsum("tfm,tf->tm", outputs[:, k::adapters], seen)
    merged = (answers.sum(axis=2) ** 2).sum(axis=1) / width
    routed = (answers[:, :, 0] ** 2).sum(axis=1) / width
    for found, law in ((merged, merged_crosstalk), (routed, routed_crosstalk)):
        expected = law(facts, adapters, width, rank)
        assert abs(found.mean() - expected) <= 6 * found.std() / trials**0.5


@given(st.integers(1, 99), st.integers(1, 9), st.integers(1, 99), st.integers(1, 99))
def test_a_sum_is_one_adapter_and_routing_divides_the_facts(facts, adapters, width, rank):
    one = hebbian_memory.foreign_crosstalk(facts, width, rank)
    assert merged_crosstalk(facts, adapters, width, rank) == one
    assert routed_crosstalk(facts * adapters, adapters, width, rank) == pytest.approx(one)
    assert routed_crosstalk(facts, 1, width, rank) == one


@given(seeds)
def test_scale_rotation_order_and_names_of_adapters_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (n, facts), m = case.keys.shape, case.outputs.shape[0]
    inner, outer, order = orthonormal(rng, n, n), orthonormal(rng, m, m), rng.permutation(facts)
    other = Case(
        inner @ case.keys[:, order],
        outer @ case.outputs[:, order],
        3 * outer @ case.read,
        inner @ case.query,
        case.rank,
    )
    shelf = THEOREM.rival(other, rng)
    assert measure(other, shelf) == pytest.approx(9 * bound(case), rel=1e-8)
    backwards = replace(shelf, owner=tuple(len(shelf.ranks) - 1 - k for k in shelf.owner))
    assert measure(other, backwards) == pytest.approx(measure(other, shelf), rel=1e-12)


@given(seeds)
def test_shared_frozen_factors_change_nothing_either(seed):
    """One frozen factor for all makes the sum literally one adapter."""
    rng = np.random.default_rng(seed)
    keys, outputs = rng.standard_normal((2, 5, 4))
    frozen = rng.standard_normal((2, 5))
    parts = [LowRank(outputs[:, [i]] @ (frozen @ keys[:, [i]]).T, frozen) for i in range(4)]
    whole = outputs @ keys.T @ frozen.T @ frozen
    np.testing.assert_allclose(total(parts).dense(), whole, atol=1e-11)


@given(seeds)
def test_a_query_across_two_adapters_gains_from_the_split(seed):
    """Beyond the hypothesis: the sum then has less variance, as its signals are independent."""
    rng = np.random.default_rng(seed)
    case = Case(np.eye(4), np.ones((1, 4)), np.ones(1), np.abs(rng.standard_normal(4)), rank=2)
    split, joint = (measure(case, summed(owner, 2)) for owner in ((0, 0, 1, 1), (0, 0, 0, 0)))
    assert split < joint
    assert joint == pytest.approx(bound(case), rel=1e-12)


def test_one_fact_is_one_adapter():
    case = Case(np.eye(3)[:, :1], np.ones((2, 1)), np.ones(2), np.eye(3)[0], rank=2)
    assert THEOREM.check(case, summed((0,), 2)).tight
    assert bound(case) == pytest.approx(4 * 1.5 + 4 / 2)


def test_no_adapters_are_refused():
    with pytest.raises(ValueError, match="give at least 1"):
        routed_crosstalk(4, 0, 8, 2)


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
