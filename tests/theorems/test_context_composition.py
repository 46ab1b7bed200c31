"""context_composition: by hand, over all functions, sharpness, the cited bound, limits."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.context_composition import (
    CONTROLS,
    THEOREM,
    Case,
    Question,
    attain,
    bound,
    least_share,
    measure,
    one_layer_error,
    sharpness_needed,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 7)


def test_hand_example():
    """Two things at sharpness ln 3: the first head puts 3/6 on x; 1/6 goes astray."""
    a, b = Fraction(3, 6), Fraction(1, 6)
    share = 3 ** float(a) / (3 ** float(a) + 3 ** float(b) + 2)
    assert least_share(2, math.log(3)) == pytest.approx(share, rel=1e-14)
    case = Case(np.eye(6), math.log(3))
    assert measure(case, Question((0, 1), (0, 1), 0)) == pytest.approx(share, rel=1e-14)
    # both have one image: nothing goes astray, 1/2 + 1/6 on the right key
    luck = 3 ** (2 / 3) / (3 ** (2 / 3) + 1 + 2)
    assert measure(case, Question((0, 0), (0, 1), 0)) == pytest.approx(luck, rel=1e-14)


def by_loops(first, second, subject, sharpness):
    """Another road: no codes, no arrays, one dictionary a layer."""
    n, look = len(first), math.exp(sharpness)
    seen = dict.fromkeys(range(n), 0.0)
    for i in range(n):
        seen[first[i]] += (look if i == subject else 1.0) / (look + 2 * n - 1)
    raw = {j: math.exp(sharpness * seen[j]) for j in range(n)}
    total = sum(raw.values()) + n
    right = second[first[subject]]
    return sum(raw[j] / total for j in range(n) if second[j] == right)


@pytest.mark.parametrize("things", [2, 3, 10, 1000])
def test_the_sharpness_of_the_proof_gives_more_than_half(things):
    assert least_share(things, math.log(8 * things**2)) > 5 / 7
    assert sharpness_needed(things) < math.log(8 * things**2)


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 5.0])
def test_no_pair_of_functions_is_worse(sharpness):
    """All 729 pairs on three things, all subjects, by loops."""
    every = list(product(range(3), repeat=3))
    shares = [by_loops(f, g, x, sharpness) for f in every for g in every for x in range(3)]
    assert min(shares) == pytest.approx(least_share(3, sharpness), rel=1e-13)


@given(seeds)
def test_codes_do_what_the_loops_do(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    q = THEOREM.rival(case, rng)
    found = by_loops(q.first, q.second, q.subject, case.sharpness)
    assert measure(case, q) == pytest.approx(found, abs=1e-11)
    assert found >= bound(case) - 1e-12


@pytest.mark.parametrize("things", [2, 3, 10, 1000, 10**6])
def test_a_logarithmic_sharpness_suffices(things):
    beta = sharpness_needed(things)
    assert least_share(things, beta) == pytest.approx(0.5, abs=1e-6)
    assert least_share(things, beta + 0.1) > 0.5 > least_share(things, beta - 0.1)
    assert beta < 2 * math.log(2 * things) + 2


@given(st.integers(2, 50), st.floats(0.0, 30.0))
def test_the_answer_is_found_whatever_the_functions_once_it_is_sharp(things, more):
    assert least_share(things, sharpness_needed(things) + more) >= 0.5 - 1e-9
    assert least_share(things, 200.0) == pytest.approx(1.0, abs=1e-12)
    assert least_share(things, 0.0) == pytest.approx(1 / (2 * things), rel=1e-12)


def test_one_layer_is_cited_and_its_arithmetic():
    """Sixteen things are 64 bits: one head of width 1 and 16 bits lacks 32, a sixth of 3 x 64."""
    assert one_layer_error(16, 1, 1, 16) == pytest.approx(1 / 6, rel=1e-15)
    assert one_layer_error(16, 1, 3, 16) == 0.0
    assert one_layer_error(16, 8, 64, 32) == 0.0
    assert one_layer_error(4096, 4, 64, 16) == pytest.approx((49152 - 4160) / (3 * 49152))


@given(seeds)
def test_rotation_and_names_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    n, d = case.things, len(case.codes)
    order = np.concatenate([k * n + rng.permutation(n) for k in range(3)])
    turned = Case(orthonormal(rng, d, d) @ case.codes[:, order], case.sharpness)
    q = THEOREM.rival(case, rng)
    assert measure(turned, q) == pytest.approx(measure(case, q), abs=1e-11)


def test_one_layer_reads_the_bridge_and_not_the_answer():
    case = Case(np.eye(9), 8.0)
    question = Question((1, 2, 0), (2, 0, 1), 0, layers=1)
    assert measure(case, question) < 0.01
    assert measure(case, Question((1, 2, 0), (2, 0, 1), 0)) > 0.98


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, question = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, question)
    assert not THEOREM.judge(case, question).holds


def test_the_construction_is_the_worst_case():
    case = Case(np.eye(12), 3.0)
    assert attain(case).first == (0, 1, 1, 1)
    assert THEOREM.check(case, attain(case)).tight
