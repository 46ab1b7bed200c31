"""hebbian_memory: by hand, exact integration, real adapters, Gaussian embeddings, symmetries."""

import math
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.editing.hebbian_memory import (
    THEOREM,
    Case,
    attain,
    bound,
    foreign_crosstalk,
    measure,
    stored_crosstalk,
)
from loratheory.theorems.expressiveness._frozen_rows import gaussian_rows, lattice_rows


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def test_one_fact_in_one_dimension_by_hand():
    # u H x = 1 and the score is a^2 / r summed: chi-squared over r, second moment 1 + 2 / r
    case = Case(LowRank(np.ones((1, 1)), np.ones((1, 1))), np.ones(1), np.ones(1), rank=4)
    assert bound(case) == pytest.approx(1.5, rel=1e-15)
    blind = Case(LowRank(np.eye(2), np.eye(2)), np.array([1.0, 0.0]), np.array([0.0, 3.0]), 4)
    assert bound(blind) == pytest.approx(9 / 4, rel=1e-15)  # orthogonal: |y|^2 |x|^2 / r alone


def test_isserlis_symbolically():
    """Gaussian integration of (y.a)^2 (a.x)^2 in two dimensions, term by term."""
    a, b, x1, x2, y1, y2 = sympy.symbols("a b x1 x2 y1 y2")
    poly = sympy.Poly(sympy.expand((y1 * a + y2 * b) ** 2 * (a * x1 + b * x2) ** 2), a, b)
    moment = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3}
    found = sum(c * moment[i] * moment[j] for (i, j), c in poly.terms())
    expected = (x1**2 + x2**2) * (y1**2 + y2**2) + 2 * (x1 * y1 + x2 * y2) ** 2
    assert sympy.expand(found - expected) == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8])
def test_the_rule_integrates_gaussian_rows(n):
    rows = gaussian_rows(n, 1)
    assert rows.standard
    assert rows.weights.sum() == pytest.approx(1.0, rel=1e-13)
    assert n > 4 or lattice_rows(n, 1).standard


def tensor_grid(count):
    """Three Gauss-Hermite nodes for each of `count` standard normal variables: degree five."""
    nodes = np.array(list(product([-math.sqrt(3), 0.0, math.sqrt(3)], repeat=count)))
    return nodes, np.prod(np.where(nodes == 0, 2 / 3, 1 / 6), axis=1)


@pytest.mark.parametrize(
    ("facts", "width", "rank"), [(1, 1, 1), (2, 1, 1), (2, 1, 2), (3, 1, 1), (1, 2, 1)]
)
def test_the_laws_of_gaussian_embeddings_by_exact_integration(facts, width, rank):
    """Every entry of factor, keys, outputs and read is a variable of its own."""
    sizes = [(rank, width), (facts, width), (facts, width), (width,)]
    sides = [math.prod(size) for size in sizes]
    nodes, weights = tensor_grid(sum(sides))
    parts = np.split(nodes, np.cumsum(sides)[:-1], axis=1)
    frozen, keys, outputs, read = (
        part.reshape(-1, *size) for part, size in zip(parts, sizes, strict=True)
    )
    frozen, keys, outputs, read = (
        frozen / rank**0.5,
        keys / width**0.5,
        outputs / width**0.5,
        read / width**0.5,
    )
    inner = np.einsum("pra,pfa->prf", frozen, keys)
    said = np.einsum("pa,pfa->pf", read, outputs)
    scores = np.einsum("pf,prf,pr->p", said, inner, inner[:, :, 0])
    assert (weights * scores).sum() == pytest.approx(0.0, abs=1e-12)
    expected = stored_crosstalk(facts, width, rank)
    assert (weights * scores**2).sum() == pytest.approx(expected, rel=1e-10)
    if facts > 1:  # leave the asked fact out of the memory: its key is a foreign query
        others = np.einsum("pf,prf,pr->p", said[:, 1:], inner[:, :, 1:], inner[:, :, 0])
        expected = foreign_crosstalk(facts - 1, width, rank)
        assert (weights * others**2).sum() == pytest.approx(expected, rel=1e-10)


def test_real_adapters_scatter_as_the_law_says():
    """Six standard errors over four thousand frozen factors; the mean is the memory itself."""
    rng, rank, trials = np.random.default_rng(5), 4, 4000
    outputs, keys = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))
    case = Case(LowRank(outputs, keys.T), rng.standard_normal(6), keys[:, 0], rank)
    frozen = rng.standard_normal((trials, rank, 5)) / rank**0.5
    trained = np.einsum("mf,trn,nf->tmr", outputs, frozen, keys)
    scores = np.einsum("m,tmr,trn,n->t", case.read, trained, frozen, case.query, optimize=True)
    signal = case.read @ outputs @ keys.T @ case.query
    assert abs(scores.mean() - signal) <= 6 * scores.std() / trials**0.5
    squares = scores**2
    assert abs(squares.mean() - bound(case)) <= 6 * squares.std() / trials**0.5


def test_gaussian_embeddings_in_simulation():
    rng, facts, width, rank, trials = np.random.default_rng(6), 12, 16, 4, 3000
    frozen = rng.standard_normal((trials, rank, width)) / rank**0.5
    keys, outputs = rng.standard_normal((2, trials, facts + 1, width)) / width**0.5
    inner = np.einsum("trn,tfn->trf", frozen, keys)
    trained = np.einsum("tfm,trf->tmr", outputs[:, 1:], inner[:, :, 1:])
    answer = np.einsum("tmr,trk->tmk", trained, inner[:, :, :2])  # a foreign key and a stored one
    energy = (answer**2).sum(axis=1) / width  # the mean over a foreign read
    for found, law in ((energy[:, 0], foreign_crosstalk), (energy[:, 1], stored_crosstalk)):
        expected = law(facts, width, rank)
        assert abs(found.mean() - expected) <= 6 * found.std() / trials**0.5


@given(seeds)
def test_every_rule_of_the_same_moments_agrees(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    assert THEOREM.check(case, THEOREM.rival(case, rng)).tight


@given(seeds)
def test_scale_rotation_and_gauge_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    (m, n), memory = case.memory.shape, case.memory
    inner, outer = orthonormal(rng, n, n), orthonormal(rng, m, m)
    gauge = 2 * np.eye(memory.width) + 0.5 * orthonormal(rng, *[memory.width] * 2)
    turned = regauge(LowRank(outer @ memory.up, memory.down @ inner.T), gauge)
    other = Case(turned, outer @ case.read, 2 * inner @ case.query, case.rank)
    assert bound(other) == pytest.approx(4 * bound(case), rel=1e-8)
    assert measure(other, attain(other)) == pytest.approx(4 * bound(case), rel=1e-8)


@given(seeds)
def test_the_noise_vanishes_as_one_over_the_rank(seed):
    case = drawn(seed)
    limit = bound(replace(case, rank=10**15))
    signal = float(case.read @ case.memory.dense() @ case.query) ** 2
    assert limit == pytest.approx(signal, rel=1e-6, abs=1e-12 * THEOREM.scale(case))
    one, two = (bound(replace(case, rank=r)) - signal for r in (1, 2))
    assert one == pytest.approx(2 * two, rel=1e-6, abs=1e-12 * THEOREM.scale(case))


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
def test_crosstalk_grows_with_facts_and_falls_with_rank_and_width(facts, width, rank):
    for law in (foreign_crosstalk, stored_crosstalk):
        assert law(facts + 1, width, rank) > law(facts, width, rank)
        assert law(facts, width + 1, rank) < law(facts, width, rank)
        assert law(facts, width, rank + 1) < law(facts, width, rank)
    assert stored_crosstalk(facts, width, rank) > foreign_crosstalk(facts, width, rank)


def test_an_empty_memory_is_silent():
    case = Case(LowRank(np.zeros((2, 0)), np.zeros((0, 3))), np.ones(2), np.ones(3), rank=2)
    assert bound(case) == measure(case, attain(case)) == 0.0


@pytest.mark.parametrize("control", THEOREM.controls, ids=lambda c: c.name)
def test_every_broken_hypothesis_is_named(control):
    with pytest.raises(AssumptionError, match=re.escape(control.breaks)):
        THEOREM.check(*control.example())
