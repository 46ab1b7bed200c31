"""two_read_region: by hand, in exact arithmetic, by other weights, symmetries, limits."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank, gaussian, orthonormal
from loratheory.theorems import AssumptionError, verify
from loratheory.theorems.composition.two_read_region import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    bound,
    margin,
    measure,
    threshold,
)
from loratheory.toy import chain


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def two_hops(first, second):
    """Case A in the plane of the page: non-orthogonal rational keys, old and new at each hop."""
    keys = (np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([[1.0, 1, 0], [0, 1, 1], [1, 0, 2]]))
    values = np.array([[2.0, 1, 0], [0, 1, 3], [0, 0, 1]])
    keys = (np.vstack([keys[0], np.zeros((1, 2))]), keys[1])
    return Case("A", (first, second), keys, (values,))


def test_hand_example():
    """Exact rationals through every matrix: (1/2, 1/2) gives 1/4, 1/4 and 1/2."""
    case, half = two_hops(0.5, 0.5), sp.Rational(1, 2)
    keys = [sp.Matrix(k.astype(int).tolist()) for k in case.keys]
    value = sp.Matrix(case.values[0].astype(int).tolist())
    left = (keys[0].T * keys[0]).inv() * keys[0].T
    tokens = sp.eye(4)
    first = sp.Matrix.hstack(value[:, 2], value[:, 1]) * left
    edit1 = sp.Matrix.hstack(value[:, 0] - value[:, 2], sp.zeros(3, 1)) * left
    second = sp.Matrix.hstack(tokens[:, 3], tokens[:, 1], tokens[:, 2]) * keys[1].inv()
    edit2 = sp.Matrix.hstack(tokens[:, 0] - tokens[:, 3], sp.zeros(4, 2)) * keys[1].inv()
    bridge = keys[1] * value.inv()
    out = (second + half * edit2) * bridge * (first + half * edit1) * keys[0][:, 0]
    assert list(out) == [half**2, 0, half, half**2]
    assert bound(case) == -0.25
    found = attain(case).output(case.keys[0][:, 0], case.coefficients)
    assert found.tolist() == pytest.approx([0.25, 0.0, 0.5, 0.25], abs=1e-12)


def by_least_squares(seed):
    """A fit that shares no code: LAPACK's least squares from random weights of the same size."""
    rng = np.random.default_rng(seed)

    def fit(keys, values):
        start = rng.standard_normal((len(values), len(keys)))
        start *= np.abs(values).max() / np.abs(keys).max()
        step = np.linalg.lstsq(keys.T, (values - start @ keys).T, rcond=None)[0]
        return LowRank(start + step.T, np.eye(len(keys)))

    return fit


@given(seeds)
def test_weights_found_by_another_solver_do_not_beat_it(seed):
    case = drawn(seed)
    verdict = THEOREM.check(case, chain(case.hops, case.values, by_least_squares(seed)))
    assert verdict.tight


@pytest.mark.parametrize("pattern", "ABCD")
def test_decisions_agree_on_a_thousand_draws(pattern):
    """Predicted and simulated answer, wherever the border is further than rounding."""
    rng, agreed = np.random.default_rng(3), 0
    case = next(c for c in map(drawn, range(10**6)) if c.pattern == pattern and len(c.keys) == 2)
    model = attain(case)
    for _ in range(1000):
        asked = replace(case, coefficients=tuple(rng.uniform(-0.5, 1.8, 2).tolist()))
        if abs(bound(asked)) > 1e-9:
            assert (measure(asked, model) > 0) == (bound(asked) > 0)
            agreed += 1
    assert agreed > 800


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_bisection_on_real_matrices_finds_the_root(hops):
    case = next(c for c in map(drawn, range(10**6)) if c.pattern == "A" and len(c.keys) == hops)
    model, low, high = attain(case), 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        wins = measure(replace(case, coefficients=(middle,) * hops), model) > 0
        low, high = (low, middle) if wins else (middle, high)
    assert high == pytest.approx(threshold(hops), abs=1e-9)


@pytest.mark.parametrize("ratio", [1.2, 1.45, 1.5])
def test_inside_the_window_both_hops_survive_and_the_chain_does_not(ratio):
    """Strength s has margin 2 s - 1; the mean of two halves it."""
    weight = (ratio + 1) / 4
    case = two_hops(weight, weight)
    model = attain(case)
    hop2 = model.read(1, case.keys[1][:, 0], weight)
    hop1 = np.linalg.solve(case.values[0], model.read(0, case.keys[0][:, 0], weight))
    for found in (hop1, hop2):
        assert found[0] > max(found[1:])
    assert (measure(case, model) > 0) == (ratio > 2 * np.sqrt(5) - 3)


@given(st.floats(-4, 4), st.floats(-4, 4), seeds)
def test_an_unfamiliar_bridge_silences_the_target(first, second, seed):
    """Any edits of any rank; a bridge adapter of rank 1 repairs it."""
    case = two_hops(first, second)
    model, rng = attain(case), np.random.default_rng(seed)
    bridge = model.bridges[0]
    lost = LowRank(bridge.up[:, :1], bridge.down[:1, :])
    cut = replace(model, bridges=(bridge - lost,))
    assert abs(cut.output(case.keys[0][:, 0], case.coefficients)[0]) < 1e-10
    value = case.values[0][:, 0]
    wild = replace(cut, edits=(cut.edits[0], gaussian(rng, 4, 3, 3)))
    assert np.abs(wild.read(1, wild.bridges[0] @ value, second)).max() < 1e-9
    mended = replace(cut, bridges=(cut.bridges[0] + lost,))
    assert THEOREM.check(case, mended).tight


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=5))
def test_where_old_paths_are_edited_too_all_must_exceed_a_half(coefficients):
    """For all real coefficients: negative ones never help there."""
    assert (margin(coefficients, "B") > 0) == (min(coefficients) > 1 / 2)


def test_rivals_at_ten_times_the_size_are_met_too():
    assert verify(THEOREM, cases=1000, seed=7, size=80).ok


def test_frames_of_zeros_are_no_frames():
    case = two_hops(0.7, 0.7)
    silent = replace(case, keys=tuple(0 * k for k in case.keys))
    with pytest.raises(AssumptionError, match="independent keys"):
        THEOREM.check(silent, attain(case))


def test_swapped_layers_never_win():
    case, model = CONTROLS[2].example()
    for c in np.linspace(0, 3, 301).tolist():
        assert measure(replace(case, coefficients=(c, c, c)), model) <= 1e-12


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_gauge_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    turn = factor * orthonormal(rng, len(case.keys[0]), len(case.keys[0]))
    turned = replace(
        case,
        keys=tuple(turn @ k for k in case.keys),
        values=tuple(
            v @ np.diag(rng.permutation([1.0, 2.0] * 99)[: v.shape[1]]) for v in case.values
        ),
    )
    assert THEOREM.check(turned, attain(turned)).tight
    model = attain(case)
    edits = tuple(LowRank(e.up * 8.0, e.down / 8.0) for e in model.edits)
    assert measure(case, replace(model, edits=edits)) == measure(case, model)


@given(seeds)
def test_without_edits_the_base_answers_and_whole_edits_always_compose(seed):
    case = drawn(seed)
    none, whole = (replace(case, coefficients=(c,) * len(case.keys)) for c in (0.0, 1.0))
    assert bound(none) == (0.0 if case.pattern in "CD" else -1.0)
    assert bound(whole) == 1.0
    assert THEOREM.check(none, attain(none)).tight
    assert THEOREM.check(whole, attain(whole)).tight


def test_one_hop_is_averaging_survival():
    """Deficit 1 and margin 1: the lead is c - (1 - c)."""
    assert margin((0.3,), "A") == pytest.approx(0.3 - 0.7)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, model = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, model)
    assert not THEOREM.judge(case, model).holds
