"""clean_up_bridge: by hand, symbolic, the region, hard decisions in one matrix, limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError, two_read_region
from loratheory.theorems.composition._hops import Prompt
from loratheory.theorems.composition.clean_up_bridge import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    lead,
    measure,
    output,
    threshold,
)
from loratheory.toy import interpolating

PHI = (1 + math.sqrt(5)) / 2


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def prompt(rng, coefficients, n=3, pattern="A"):
    keys = tuple(rng.standard_normal((n + 5, k)) for k in (n - 1, n))
    return Prompt(pattern, coefficients, keys, (rng.standard_normal((n + 5, n)),))


@pytest.mark.parametrize("first", [-3.0, 0.2, 0.9, 4.0])
@pytest.mark.parametrize("entities", [2, 7])
def test_a_decision_as_sharp_as_one_likes_is_the_hard_one(first, entities):
    """No exponential overflows: the best entity goes on alone, its answer or another one wins."""
    wins = first > 1 / 2
    assert lead(first, 0.8, 1e6, entities) == pytest.approx(0.6 if wins else -1.0, rel=1e-12)


def test_hand_example():
    """Sharpness ln 2, whole first edit, three entities: shares 1/2, 1/4, 1/4; second edit 3/4."""
    case = Case(prompt(np.random.default_rng(1), (1.0, 0.75)), math.log(2))
    found = output(attain(case), case.prompt.keys[0][:, 0], (1.0, 0.75), math.log(2))
    assert found.tolist() == pytest.approx([3 / 8, 1 / 4, 1 / 4, 1 / 8], abs=1e-12)
    assert bound(case) == pytest.approx(1 / 8, abs=1e-15)
    assert measure(case, attain(case)) == pytest.approx(1 / 8, abs=1e-12)


def test_the_region_follows_from_the_lead():
    """Symbolically: each competitor falls behind exactly at its condition."""
    c1, c2, beta = sp.symbols("c1 c2 beta", positive=True)
    borders = {
        sp.exp(beta * (1 - 2 * c1)): sp.Rational(1, 2) + sp.log(1 / c2) / (2 * beta),
        sp.exp(-beta * c1): sp.log(1 / c2) / beta,
    }
    for ratio, border in borders.items():
        assert sp.simplify(ratio.subs(c1, border) - c2) == 0
        assert sp.diff(ratio, c1).subs({c1: 1, beta: 2}) < 0


@given(seeds)
def test_it_wins_exactly_in_the_region(seed):
    rng = np.random.default_rng(seed)
    one, two, beta = rng.uniform(0, 1.3), rng.uniform(0, 1.3), 10.0 ** rng.uniform(-1, 1.5)
    cost = math.log(1 / two)
    inside = two > 0.5 and one > 0.5 + cost / (2 * beta) and one > cost / beta
    case = Case(prompt(rng, (float(one), float(two)), int(rng.integers(3, 7))), float(beta))
    assert (lead(one, two, beta, 5) > 0) == inside
    assert (measure(case, attain(case)) > 0) == inside


@given(st.floats(0.05, 200.0))
def test_the_threshold_is_where_the_simulation_turns(sharpness):
    root = threshold(sharpness)
    case = Case(prompt(np.random.default_rng(2), (root, root)), sharpness)
    assert abs(measure(case, attain(case))) < 1e-9
    for step in (-1e-4, 1e-4):
        moved = replace(case, prompt=replace(case.prompt, coefficients=(root + step,) * 2))
        assert (measure(moved, attain(moved)) > 0) == (step > 0)


def test_a_soft_clean_up_is_worse_than_a_linear_bridge():
    even = PHI**3 * math.log(PHI)
    assert even == pytest.approx(2.0385, abs=1e-4)
    assert threshold(even) == pytest.approx(two_read_region.threshold(2), rel=1e-14)
    assert threshold(even / 2) > two_read_region.threshold(2) > threshold(even * 2)


@given(st.floats(0.05, 1e3))
def test_the_mean_of_two_adapters_fails_at_every_sharpness(sharpness):
    assert lead(0.5, 0.5, sharpness, 4) <= 0
    assert 0.5 < threshold(sharpness) < 1


@pytest.mark.parametrize("hops", [2, 3, 4])
@pytest.mark.parametrize("c", [0.499, 0.501])
def test_decoded_bridges_need_one_half_at_any_length_even_in_one_matrix(hops, c):
    """Each answer is read out by argmax and asked about next; all edits sit in one weight."""
    rng, n = np.random.default_rng(hops), 2 * hops + 1
    keys = rng.standard_normal((3 * n, n))  # entity i's key; the new fact goes to i + 1
    old = np.eye(n)[:, (np.arange(n) + hops + 1) % n]
    new = np.eye(n)[:, (np.arange(n) + 1) % n]
    edited = np.arange(n) < hops
    base, edit = interpolating(keys, old), interpolating(keys, (new - old) * edited)
    entity = 0
    for _ in range(hops):
        entity = int(np.argmax(base @ keys[:, entity] + c * (edit @ keys[:, entity])))
    assert (entity == hops) == (c > 0.5)


@given(st.floats(0.1, 10.0), seeds)
def test_scale_rotation_and_the_order_of_entities_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    p = case.prompt
    turn = factor * orthonormal(rng, len(p.keys[0]), len(p.keys[0]))
    last = [0, *(1 + rng.permutation(p.keys[1].shape[1] - 1)).tolist()]
    keys, values = tuple(turn @ k for k in p.keys), (turn @ p.values[0],)
    turned = replace(case, prompt=replace(p, keys=keys, values=values))
    assert THEOREM.check(turned, attain(turned)).tight
    swapped = replace(p, keys=(p.keys[0], p.keys[1][:, last]))
    assert THEOREM.check(replace(case, prompt=swapped), attain(replace(case, prompt=swapped))).tight


def test_limits():
    assert threshold(math.inf) == 0.5
    assert threshold(1e6) == pytest.approx(0.5, abs=1e-6)
    assert threshold(1e-6) == pytest.approx(1.0, abs=1e-5)
    assert lead(1.0, 1.0, 50.0, 3) == pytest.approx(1.0, abs=1e-12)
    assert lead(0.0, 1.0, 50.0, 3) == pytest.approx(-1.0, abs=1e-12)
    assert lead(0.3, 0.4, 50.0, 3, "D") > 0 > lead(0.3, 0.4, 50.0, 3, "C")
    with pytest.raises(ValueError, match="give a positive one"):
        threshold(0)


@pytest.mark.parametrize("pattern", ["A", "C", "D"])
def test_without_other_entities_they_do_not_compete(pattern):
    """One subject and one entity on the old path, or none left."""
    rng = np.random.default_rng(0)
    case = Case(prompt(rng, (-0.2, 1.4), 2, pattern), 1.5)
    assert measure(case, attain(case)) == pytest.approx(bound(case), abs=1e-11)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, chain = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, chain)
    assert not THEOREM.judge(case, chain).holds
