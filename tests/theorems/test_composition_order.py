"""composition_order: by hand, symbolic, by a tangent model, disentangled models, symmetries."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.composition_order import (
    CONTROLS,
    THEOREM,
    Case,
    Prompt,
    attain,
    bound,
    measure,
    target,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 6)


def room(case):
    return 1e-11 * THEOREM.scale(case) * THEOREM.condition(case)


def chain_of(coefficients, pattern="A"):
    frames = [np.eye(9)[:, : 2 + j] for j in range(len(coefficients))]
    return Prompt(pattern, coefficients, tuple(frames), tuple(frames[1:]))


def test_hand_example():
    """Two hops at 1/2: a quarter, all of it in the second order."""
    prompt = chain_of((0.5, 0.5))
    found = [measure(Case(prompt, q), attain(Case(prompt, q))) for q in range(3)]
    assert found == pytest.approx([0.0, 0.0, 0.25], abs=1e-15)
    assert [bound(Case(prompt, q)) for q in range(3)] == [0.0, 0.0, 0.25]


def test_the_symbolic_chain_has_the_target_in_its_highest_order_only():
    """SymPy: logits of the two-read chain are polynomials; the target's has one monomial."""
    c1, c2 = sympy.symbols("c1 c2")
    first = sympy.Matrix([[0, 0], [1 - c1, 0], [c1, 0]])  # entity 0 from value 1 to value 2
    second = sympy.Matrix([[0, 0, 1 - c2], [0, 1, 0], [0, 0, c2]])
    logits = second * first * sympy.Matrix([1, 0])
    assert sympy.Poly(logits[2], c1, c2).monoms() == [(1, 1)]
    assert sympy.Poly(logits[0], c1, c2).total_degree() == 2


@given(seeds)
def test_the_tangent_model_never_moves_the_target(seed):
    """Central differences at the base, on a grid of coefficients far beyond one."""
    case = drawn(seed)
    prompt = case.prompt
    model, hops = attain(case), len(prompt.coefficients)

    def answer(coefficients):
        return float(model.output(prompt.keys[0][:, 0], coefficients)[0])

    slopes = [(answer(e.tolist()) - answer((-e).tolist())) / 2 for e in np.eye(hops)]
    expected = 1.0 if hops == 1 else 0.0
    assert sum(slopes) == pytest.approx(expected, abs=room(replace(case, order=1)))
    for alpha in product((-3.0, 0.5, 3.0), repeat=hops):
        tangent = answer([0.0] * hops) + float(np.dot(alpha, slopes))
        assert abs(tangent - expected * alpha[0]) <= 10 * room(case)
        exact = answer(list(alpha))
        assert exact == pytest.approx(math.prod(alpha), abs=10**hops * room(case))


@given(seeds)
def test_a_model_of_lower_order_answers_as_the_base(seed):
    """Any sum of parts in fewer adapters that keeps the base's logit while one is off."""
    rng = np.random.default_rng(seed)
    hops, base = int(rng.integers(2, 4)), float(rng.standard_normal())
    # unknown values of every part on the grid {0, c}; the constraints leave the corner fixed
    corners = list(product((0, 1), repeat=hops))
    parts = [tuple(s) for s in corners if sum(s) < hops]
    columns = [(s, values) for s in parts for values in product((0, 1), repeat=sum(s))]
    rows = np.array(
        [
            [tuple(c for c, on in zip(corner, s, strict=True) if on) == v for s, v in columns]
            for corner in corners
        ],
        dtype=float,
    )
    known = np.array([sum(corner) < hops for corner in corners])
    unknowns = np.linalg.lstsq(rows[known], np.full(known.sum(), base), rcond=None)[0]
    free = np.linalg.svd(rows[known])[2][np.linalg.matrix_rank(rows[known]) :]
    other = unknowns + free.T @ rng.standard_normal(len(free))
    assert rows[~known] @ other == pytest.approx(base, abs=1e-9)


@given(seeds)
def test_all_orders_together_are_the_chain(seed):
    case = drawn(seed)
    prompt = case.prompt
    full = replace(case, order=len(prompt.coefficients))
    model = THEOREM.rival(full, np.random.default_rng(seed))
    exact = float(model.output(prompt.keys[0][:, 0], prompt.coefficients)[0])
    assert measure(full, model) == pytest.approx(exact, abs=room(full))
    assert target(prompt.coefficients, full.order) == pytest.approx(exact, abs=room(full))


def test_halving_all_coefficients_costs_a_power_of_two():
    for hops in (1, 2, 3, 4):
        assert target((0.5,) * hops, hops) == 0.5**hops
        assert target((0.5,) * hops, hops - 1) == 0.0


@given(seeds)
def test_rotation_and_size_of_frames_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.prompt.keys[0])
    turn = 3.0 * orthonormal(rng, d, d)
    keys, values = (
        tuple(turn @ f for f in part) for part in (case.prompt.keys, case.prompt.values)
    )
    other = replace(case, prompt=replace(case.prompt, keys=keys, values=values))
    found = measure(other, attain(other))
    assert found == pytest.approx(measure(case, attain(case)), abs=room(case))


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, model = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, model)
    assert abs(THEOREM.judge(case, model).slack) > 0.1
