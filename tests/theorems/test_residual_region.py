"""residual_region: by hand, exactly, by coordinates, thresholds by bisection, symmetries."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError, two_read_region
from loratheory.theorems.composition._hops import Prompt
from loratheory.theorems.composition._hops import margin as plain_margin
from loratheory.theorems.composition.residual_region import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    gain_needed,
    margin,
    measure,
    weights,
)

GOLDEN = (math.sqrt(5) - 1) / 2


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def hops_of(coefficients, gain, direct, length=1.0):
    eye, n = np.eye(20), [2 + j for j in range(len(coefficients))]
    keys = [eye[:, :2] * length, *[eye[:, 14 : 14 + k] for k in n[1:]]]
    ends = np.cumsum([2, *n[1:]]).tolist()
    values = [eye[:, a:b] for a, b in pairwise(ends)]
    return Case(Prompt("A", tuple(coefficients), tuple(keys), tuple(values)), gain, direct)


def test_hand_example():
    """A unit key and a whole edit: the stream has length √2, so gain 2 leaves √2 against 1/2."""
    case = hops_of((1.0, 1.0), 2.0, 0.5)
    assert bound(case) == pytest.approx(math.sqrt(2) - 0.5, rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx(math.sqrt(2) - 0.5, rel=1e-12)


def floats(matrix):
    return np.array(matrix, float)


@pytest.mark.parametrize(("direct", "lead"), [("1/5", "-3/10"), ("2", "-4/5")])
def test_three_hops_in_exact_rationals(direct, lead):
    """Oblique keys, values in a turned frame, streams of rational length: 2² + 2² + 1² = 3²."""
    turned, strengths = sp.eye(9) - 2 * sp.ones(9) / 9, [*map(sp.Rational, ("2/3", "1/2", "4/5"))]
    keys = [sp.Matrix.hstack(2 * turned[:, 0] / 3, turned[:, 0] + turned[:, 8])]
    keys += [sp.eye(9)[:, :n] + sp.ones(9, n) for n in (3, 4)]
    values, stream, lengths = [turned[:, 1:4], turned[:, 4:8]], keys[0][:, 0], []
    for hop, value in enumerate([*values, sp.eye(5)]):
        lengths.append(stream.norm())
        bridge = 3 * keys[hop] * values[hop - 1].T / lengths[hop] if hop else sp.eye(9)
        edited = strengths[hop] * value[:, 0] + (1 - strengths[hop]) * value[:, -1]
        read = sp.Matrix.hstack(edited, value[:, 1:-1]) * keys[hop].pinv()
        written = read * bridge * stream
        stream += written if hop < 2 else 0 * stream
    named = max(max(value.T * stream) for value in values) * sp.Rational(direct)
    assert lengths == [sp.Rational(2, 3), 1, 2]
    assert written[0] - max(*written[1:], named) == sp.Rational(lead)
    frames = (tuple(map(floats, part)) for part in (keys, values))
    prompt = Prompt("A", tuple(map(float, strengths)), *frames)
    case = Case(prompt, 3.0, float(sp.Rational(direct)))
    found = [bound(case), measure(case, attain(case))]
    assert found == pytest.approx([float(sp.Rational(lead))] * 2, rel=1e-12, abs=0)


@pytest.mark.parametrize("length", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("direct", [0.0, 2.0])
def test_long_prompts_are_still_judged(length, direct):
    case = hops_of((0.8, 0.7, 0.9), 5.0, direct, length)
    turn = orthonormal(np.random.default_rng(1), 20, 20)
    keys, values = (tuple(turn @ f for f in g) for g in (case.prompt.keys, case.prompt.values))
    turned = replace(case, prompt=replace(case.prompt, keys=keys, values=values))
    assert THEOREM.check(turned, attain(turned)).tight


def test_the_stream_may_name_the_old_bridge_entity_loudest():
    """A weak first edit under a strong direct path: 3 (1 - 1/5) beats all else."""
    case = hops_of((0.2, 0.9), 1.0, 3.0)
    assert bound(case) == pytest.approx(0.18 / math.sqrt(1.68) - 2.4, rel=1e-12)
    assert measure(case, attain(case)) == pytest.approx(bound(case), rel=1e-12)


@given(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5), st.floats(0.1, 9.0), st.floats(0.0, 3.0))
def test_two_hops_follow_the_formula_on_paper(first, second, gain, direct):
    rho = math.sqrt(1 + first**2 + (1 - first) ** 2)
    tokens = [gain * w / rho for w in (1 - first, first * (1 - second))]
    named = [direct * first, direct * (1 - first)]
    expected = gain * first * second / rho - max(0.0, *tokens, *named)
    assert margin((first, second), gain, direct) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25)
@given(seeds)
def test_normalisation_moves_no_threshold(seed):
    """Without a direct path every decision is that of the chain without stream and norm."""
    case = drawn(seed)
    silent = replace(case, direct=0.0)
    plain = plain_margin(case.prompt.coefficients, case.prompt.pattern)
    if abs(plain) > 1e-9:
        assert (bound(silent) > 0) == (plain > 0)
        assert (measure(silent, attain(silent)) > 0) == (plain > 0)


@pytest.mark.parametrize("length", [0.1, 1.0, 10.0])
def test_bisection_on_real_matrices_finds_the_same_golden_ratio(length):
    low, high = 0.0, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        case = hops_of((middle, middle), 3.0, 0.0, length)
        low, high = (low, middle) if measure(case, attain(case)) > 0 else (middle, high)
    assert high == pytest.approx(GOLDEN, abs=1e-9)


@given(st.floats(0.65, 1.0), st.floats(0.1, 3.0), st.floats(0.1, 5.0))
def test_the_gain_needed_is_where_the_lead_vanishes(c, direct, length):
    need = gain_needed(c, direct, length)
    assert margin((c, c), need * 1.001, direct, length) > 0
    assert margin((c, c), need * 0.999, direct, length) < 0


def test_at_the_golden_border_the_gain_is_exactly_twice_the_direct_path():
    assert gain_needed(GOLDEN + 1e-12, 0.7) == pytest.approx(1.4, rel=1e-9)
    assert gain_needed(1.0, 1.0, 3.0) == pytest.approx(math.sqrt(10), rel=1e-14)
    assert math.isinf(gain_needed(0.6, 1.0))


@settings(max_examples=15)
@given(seeds)
def test_weights_are_what_the_reads_write(seed):
    """By coordinates of the stream itself, in dense matrices, without the model's own reads."""
    rng = np.random.default_rng(seed)
    case = hops_of(rng.uniform(0, 1.2, 3).tolist(), 1.7, 0.3, 2.0)
    model = attain(case)
    stream = case.prompt.keys[0][:, 0]
    for hop, expected in enumerate(weights(case.prompt.coefficients, "A", 1.7, 2.0)):
        c = case.prompt.coefficients[hop]
        matrix = model.memories[hop].dense() + c * model.edits[hop].dense()
        if hop:
            bridge = model.bridges[hop - 1].dense()
            matrix = 1.7 / np.linalg.norm(stream) * matrix @ bridge
        written = matrix @ stream
        found = case.prompt.values[hop].T @ written if hop < 2 else written
        assert np.sort(found[found != 0]) == pytest.approx(
            np.sort([w for w in expected if w]), abs=1e-12
        )
        stream = stream + written if hop < 2 else stream


@settings(max_examples=15)
@given(seeds)
def test_rotation_and_gauge_do_not_matter_and_units_of_key_and_stream_go_together(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.prompt.keys[0])
    turn = orthonormal(rng, d, d)
    keys, values = (
        tuple(turn @ frame for frame in frames) for frames in (case.prompt.keys, case.prompt.values)
    )
    turned = replace(case, prompt=replace(case.prompt, keys=keys, values=values))
    assert THEOREM.check(turned, attain(turned)).tight
    assert bound(turned) == pytest.approx(bound(case), rel=1e-9, abs=1e-9 * THEOREM.scale(case))
    model = attain(case)
    edits = tuple(LowRank(e.up * 8.0, e.down / 8.0) for e in model.edits)
    assert measure(case, replace(model, edits=edits)) == measure(case, model)


@given(st.floats(-1.0, 2.0), st.floats(0.1, 5.0))
def test_one_hop_has_no_stream_and_is_the_two_read_region(c, direct):
    assert margin((c,), 3.0, direct) == pytest.approx(plain_margin((c,)), abs=1e-12)


def test_a_long_prompt_drowns_the_chain_and_a_strong_gain_saves_it():
    assert margin((1.0, 1.0), 1.0, 0.1, 100.0) < 0 < margin((1.0, 1.0), 1.0, 0.1, 1.0)
    assert margin((1.0, 1.0), 11.0, 0.1, 100.0) > 0
    assert two_read_region.threshold(2) == pytest.approx(GOLDEN)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, model = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, model)
    assert not THEOREM.judge(case, model).holds
