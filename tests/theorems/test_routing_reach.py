"""routing_reach: by hand, on a grid of all weights, strengths, symmetries, limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.routing_reach import (
    BEST,
    CONTROLS,
    THEOREM,
    attain,
    bound,
    ceiling,
    measure,
    strength_needed,
)
from loratheory.theorems.composition.two_read_region import margin

GRID = np.linspace(0, 1, 61)
patterns = pytest.mark.parametrize("pattern", ["A", "B", "C", "D"])


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    """Exactly: at 1/phi both competitors have (1 - g), and the lead is -(1 - g)^2 = -phi^-4."""
    g = (sp.sqrt(5) - 1) / 2
    paths = [g * (1 - g), 1 - g, g * g]
    assert sp.simplify(paths[1] - paths[2]) == 0
    assert sp.simplify(paths[0] - paths[1] + ((1 + sp.sqrt(5)) / 2) ** -4) == 0
    assert ceiling("shared a pass") == pytest.approx(-0.145898033750315, rel=1e-12)
    assert ceiling("one a pass") == margin((1.0, 0.0)) == margin((0.0, 1.0)) == -1.0


@patterns
def test_no_weights_on_a_grid_do_better(pattern):
    """By brute force over the closed form of the region: all mixtures, summing to less too."""
    leads = [margin((a, b), pattern) for a in GRID for b in GRID if a + b <= 1 + 1e-12]
    top = ceiling("shared a pass", pattern)
    assert top - 0.02 <= max(leads) <= top + 1e-12
    assert margin(BEST[pattern], pattern) == pytest.approx(top, abs=1e-15)
    ones = [margin(pair, pattern) for pair in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
    assert max(ones) == ceiling("one a pass", pattern)
    assert max(margin((a, b), pattern) for a in GRID[::20] for b in GRID[::20]) == 1.0


@patterns
def test_the_strength_that_a_pass_needs(pattern):
    """Mixtures of edits a little stronger compose, of any weaker ones none."""
    need = strength_needed(pattern)
    for strength, composes in ((need - 1e-3, False), (need + 0.02, True)):
        if strength > 0:
            shares = np.linspace(0, 1, 2001)
            leads = [margin((strength * g, strength * (1 - g)), pattern) for g in shares]
            assert (max(leads) > 1e-9) == composes


def test_the_strength_is_a_minimum_on_the_border():
    c = sp.symbols("c", positive=True)
    total = c + 1 / (1 + c)
    assert total.subs(c, sp.Rational(1, 2)) == sp.Rational(7, 6)
    assert sp.simplify(sp.diff(total, c) - (1 - 1 / (1 + c) ** 2)) == 0
    assert strength_needed("A") < 2 / ((1 + math.sqrt(5)) / 2)


@given(seeds)
def test_routers_that_know_the_prompt_stay_below(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    for _ in range(3):
        assert THEOREM.check(case, THEOREM.rival(case, rng)).holds


def test_top_two_with_equal_weights_fails_and_the_sum_does_not():
    case, _ = CONTROLS[1].example()
    half, whole = np.full((2, 2), 0.5), np.ones((2, 2))
    assert measure(case, half) == pytest.approx(-0.25, abs=1e-12)
    assert measure(case, whole) == pytest.approx(1.0, abs=1e-12)


@given(seeds)
def test_scale_rotation_and_foreign_weights_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.prompt.keys[0])
    turn = 7 * orthonormal(rng, d, d)
    turned = replace(
        case, prompt=replace(case.prompt, keys=tuple(turn @ k for k in case.prompt.keys))
    )
    assert THEOREM.check(turned, attain(turned)).tight
    other = np.array([[0.3, 0.7], [0.1, 0.6]])
    less = np.array([[0.3, 0.0], [0.0, 0.6]])
    assert measure(case, other) == measure(case, less)


@given(seeds)
def test_no_weights_leave_the_base_answer(seed):
    case = drawn(seed)
    silent = measure(case, np.zeros((2, 2)))
    assert silent == pytest.approx(0.0 if case.prompt.pattern in "CD" else -1.0, abs=1e-9)
    assert silent <= bound(case) + 1e-9


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, weights = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, weights)
    assert not THEOREM.judge(case, weights).holds
