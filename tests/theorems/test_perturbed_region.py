"""perturbed_region: by hand, exactly, by linear programming, by bisection, symmetries, limits."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError, averaging_survival, two_read_region
from loratheory.theorems.composition._hops import Prompt
from loratheory.theorems.composition.perturbed_region import (
    CONTROLS,
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    crowded,
    margin,
    measure,
    rival,
    threshold,
    tolerance,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def prompt_of(coefficients, pattern="A", rng=None, wide=12):
    rng = rng or np.random.default_rng(0)
    n = [2 * 2**j if pattern == "B" else 2 + j for j in range(len(coefficients))]
    frames = [orthonormal(rng, wide, k) for k in n + n[1:]]
    hops = len(coefficients)
    return Prompt(pattern, tuple(coefficients), tuple(frames[:hops]), tuple(frames[hops:]))


def test_hand_example():
    """Two halves under 1/10: (1/4, 1/2) and costs (3/2, 2), so 1/4 - 1/2 - 7/20."""
    case = Case(prompt_of((0.5, 0.5)), (0.1, 0.1))
    assert bound(case) == pytest.approx(-0.6, abs=1e-15)
    assert measure(case, attain(case)) == pytest.approx(-0.6, abs=1e-12)


def test_all_corners_of_the_box_in_exact_rationals():
    """Two hops through oblique frames: the least of 2^7 leads is the formula on paper."""
    a, b, e, f = (sp.Rational(n, 100) for n in (80, 90, 5, 4))
    keys = sp.Matrix([[1, 1], [0, 2], [0, 0]]), sp.Matrix([[1, 1, 0], [0, 1, 1], [1, 0, 2]])
    value, tokens = sp.Matrix([[2, 1, 0], [0, 1, 3], [0, 0, 1]]), sp.eye(4)
    first = sp.Matrix.hstack(a * value[:, 0] + (1 - a) * value[:, 2], value[:, 1]) * keys[0].pinv()
    said = sp.Matrix.hstack(b * tokens[:, 0] + (1 - b) * tokens[:, 3], *map(tokens.col, (1, 2)))
    later = said * keys[1].inv() * (keys[1] * value.inv())
    signs = (sp.Matrix(s) for s in product((-1, 1), repeat=7))
    ends = (later * (first * keys[0][:, 0] + e * value * s[:3, :]) + f * s[3:, :] for s in signs)
    least = min(out[0] - max(out[1:]) for out in ends)
    apart, left = e * (1 + b) + 2 * f, e * abs(2 * b - 1) + 2 * f
    assert least == min(a * b - (1 - a) - apart, a * b - a * (1 - b) - left, a * b - apart)
    frames = [np.array(part, float) for part in (*keys, value)]
    case = Case(Prompt("A", (0.8, 0.9), tuple(frames[:2]), (frames[2],)), (0.05, 0.04))
    values = [bound(case), measure(case, attain(case))]
    assert values == pytest.approx([float(least)] * 2, rel=1e-12, abs=0)


@pytest.mark.parametrize("pattern", "ABCD")
@settings(max_examples=10)
@given(seeds)
def test_linear_programs_on_the_whole_chain_find_the_same_worst_case(pattern, seed):
    """Another road: outputs are affine in all weights; one program per token, slopes by probing."""
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(0.1, 1.3, 2)
    case = Case(prompt_of(coefficients.tolist(), pattern, rng), (0.2, 0.07))
    model, sizes = two_read_region.attain(case.prompt), [case.prompt.values[0].shape[1]]
    sizes.append(model.memories[-1].shape[0])

    def outputs(weights):
        crowd = crowded(case, model, np.split(weights, [sizes[0]]))
        reads = zip(model.memories, crowd.others, strict=True)
        merged = replace(model, memories=tuple(a + b for a, b in reads))
        return merged.output(case.prompt.keys[0][:, 0], case.prompt.coefficients)

    zero = outputs(np.zeros(sum(sizes)))
    slopes = np.stack([outputs(e) - zero for e in np.eye(sum(sizes))], axis=1)
    box = [(-e, e) for e, k in zip(case.interference, sizes, strict=True) for _ in range(k)]
    leads = [
        zero[0] - zero[t] + linprog(slopes[0] - slopes[t], bounds=box).fun
        for t in range(1, len(zero))
    ]
    assert bound(case) == pytest.approx(min(leads), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_flipping_signs_never_goes_below(seed):
    case = drawn(seed)
    assert THEOREM.check(case, adversary(case, np.random.default_rng(seed))).holds


@settings(max_examples=20)
@given(seeds)
def test_next_to_the_worst_corner_it_still_holds_and_outside_the_box_it_does_not(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    nudged = replace(case, interference=tuple(e * (1 - 10.0**-6) for e in case.interference))
    assert THEOREM.check(case, attain(nudged)).holds
    assert THEOREM.check(case, rival(case, rng)).holds


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1, 0.2, 0.24])
def test_two_hops_start_at_the_perturbed_golden_ratio(noise):
    exact = (noise - 1 + math.sqrt(5 + 10 * noise + noise**2)) / 2
    assert threshold(2, noise) == pytest.approx(exact, abs=1e-12)


def test_each_unit_of_interference_costs_the_golden_ratio():
    golden = (1 + math.sqrt(5)) / 2
    assert (threshold(2, 1e-6) - threshold(2, 0)) / 1e-6 == pytest.approx(golden, rel=1e-5)


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
def test_whole_edits_tolerate_one_over_twice_the_hops(hops):
    assert tolerance([1.0] * hops) == pytest.approx(1 / (2 * hops), rel=1e-14)
    assert threshold(hops, 0.499 / hops) < 1
    assert math.isinf(threshold(hops, 0.501 / hops))


@pytest.mark.parametrize("pattern", "ABCD")
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_answer_is_safe_above_its_threshold_only(pattern, hops):
    start = threshold(hops, 0.05, pattern)
    for c in np.linspace(0, 1, 101).tolist():
        safe = margin([c] * hops, [0.05] * hops, pattern) > 1e-12
        assert safe == (c > start + 1e-12)


@given(st.floats(0.3, 1.5), st.floats(0.3, 1.5))
def test_tolerance_is_where_the_margin_vanishes(first, second):
    found = tolerance((first, second))
    at = margin((first, second), (found, found))
    assert at == pytest.approx(0, abs=1e-12) if found else at <= 1e-12
    assert margin((first, second), (found + 1e-6,) * 2) < 0


@given(seeds)
def test_without_interference_it_is_the_two_read_region(seed):
    case = drawn(seed)
    alone = replace(case, interference=(0.0,) * len(case.interference))
    assert bound(alone) == pytest.approx(two_read_region.bound(case.prompt), abs=1e-12)
    assert bound(case) <= bound(alone) + 1e-12


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.5))
def test_one_hop_is_averaging_survival(c, noise):
    """Deficit 1, margin 1, and others that take `noise` from one and give it to the other."""
    base, edited, others = np.array([[0.0, 1.0], [1.0, 0.0], [-noise, noise]])
    worst = averaging_survival.bound(averaging_survival.Case(np.ones(1), base, edited, others, c))
    assert margin((c,), (noise,)) == pytest.approx(min(worst, c - 2 * noise), abs=1e-12)


@settings(max_examples=20)
@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    turn = factor * orthonormal(rng, len(case.prompt.keys[0]), len(case.prompt.keys[0]))
    keys = tuple(turn @ k for k in case.prompt.keys)
    turned = replace(case, prompt=replace(case.prompt, keys=keys))
    assert THEOREM.check(turned, attain(turned)).tight
    crowd = attain(case)
    others = tuple(LowRank(e.up * 4.0, e.down / 4.0) for e in crowd.others)
    assert measure(case, replace(crowd, others=others)) == measure(case, crowd)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, crowd = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, crowd)
    assert not THEOREM.judge(case, crowd).tight
