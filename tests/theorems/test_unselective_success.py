"""unselective_success: by hand, on all subjects, in wide layers, and with the control it needs."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from scipy import integrate
from strategies import seeds

from loratheory import toy
from loratheory.lowrank import LowRank
from loratheory.theorems import AssumptionError, single_read_no_go
from loratheory.theorems.routing.unselective_success import (
    THEOREM,
    Case,
    attain,
    limit,
    measure,
    response,
)


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    """Keys (1, 2) and (3, 0), prompt (1, 1): the edits answer with 3/5 and 1/3."""
    case = Case(np.array([1.0, 2.0]), np.array([3.0, 0.0]), np.ones((2, 2)), 2, 2)
    shares = [Fraction(1 + 2, 1 + 4), Fraction(3, 9)]
    found = attain(case).logits(case.prompts[:, 0])
    assert found.tolist() == pytest.approx([float(shares[0]), 0, float(shares[1]), 0], rel=1e-14)
    assert measure(case, attain(case)) == pytest.approx(1 / 3, rel=1e-14)


@given(seeds)
def test_the_claim_fails_on_the_right_prompt_and_on_all_others(seed):
    case = drawn(seed)
    verdict = THEOREM.check(case, attain(case))
    assert not verdict.holds
    shares = response(case.second, case.prompts)
    assert verdict.value == pytest.approx(float(shares[0]), rel=1e-12)
    for subject in range(case.prompts.shape[1]):
        turned = replace(case, prompts=np.roll(case.prompts, -subject, axis=1))
        assert measure(turned, attain(case)) == pytest.approx(float(shares[subject]), rel=1e-9)
        assert shares[subject] > 0


@given(seeds)
def test_the_identity_in_dense_arithmetic(seed):
    case = drawn(seed)
    size = case.entities + case.answers
    one = np.outer(np.eye(size)[0], case.first) / np.sum(case.first**2)
    two = np.outer(np.eye(size)[case.entities], case.second) / np.sum(case.second**2)
    np.testing.assert_allclose(
        attain(case).logits(case.prompts), (one + two) @ case.prompts, atol=1e-12 / case.first.max()
    )


def test_the_limit_by_integration():
    """The kernel itself by quadrature over a bivariate normal: 0.673."""
    rho = 1 / math.sqrt(6)

    def product(s, t):
        u, v = s, rho * s + math.sqrt(1 - rho**2) * t
        return max(u, 0) * max(v, 0) * math.exp(-(s**2 + t**2) / 2) / (2 * math.pi)

    value = integrate.dblquad(product, -8, 8, 0, 8, epsabs=1e-6)[0]
    assert limit() == pytest.approx(math.sqrt(3 / 2) * value / 0.5, abs=1e-4)
    assert limit() == pytest.approx(0.673, abs=5e-4)
    assert limit(0.0) == pytest.approx(math.sqrt(1.5) / math.pi, rel=1e-14)
    assert limit(1.0, 1.0) == pytest.approx(1.0, rel=1e-14)


def test_in_wide_layers_the_lead_knows_neither_bridge_nor_subject():
    """To leading order: the spread over bridges and subjects falls like one over the root."""
    spreads = []
    for width in (128, 512, 2048):
        _, two, both = toy.relu_keys(np.random.default_rng(1), 8, width)
        leads = np.array([response(two[:, y], both) for y in range(8)])
        assert abs(leads.mean() - limit()) < 4 / math.sqrt(width)
        spreads.append(leads.std())
    slope = np.polyfit(np.log([128, 512, 2048]), np.log(spreads), 1)[0]
    assert -0.8 < slope < -0.2


@given(seeds)
def test_the_control_it_needs_two_facts_and_permuted_answers(seed):
    """The same sum of whole relations is right by chance, over all hidden first hops."""
    rng = np.random.default_rng(seed)
    keys = toy.relu_keys(rng, 3, 16)
    case = single_read_no_go.Case("values", 1, (1, 2, 0), False, np.zeros((6, 16)), keys)
    assert single_read_no_go.measure(case, toy.added(1.0, 1.0)) == pytest.approx(1 / 3, abs=1e-15)


@given(seeds)
def test_scale_and_order_of_units_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    order = rng.permutation(len(case.first))
    other = replace(
        case,
        first=7 * case.first[order],
        second=case.second[order],
        prompts=case.prompts[order],
    )
    assert measure(other, attain(other)) == pytest.approx(measure(case, attain(case)), rel=1e-9)


def test_without_a_common_unit_there_is_no_success():
    case = Case(np.array([1.0, 0]), np.array([1.0, 0]), np.array([[0.0, 0], [1, 1]]), 2, 2)
    assert measure(case, attain(case)) == 0.0


def test_each_hypothesis_is_needed():
    """An opinionated base, or an adapter left out, and the counterexample is none."""
    case = drawn(0)
    merge = attain(case)
    loud = np.zeros((case.entities + case.answers, 1))
    loud[case.entities + 1] = 1e3
    opinion = replace(merge, weight=LowRank(loud, np.ones((1, len(case.first)))))
    alone = replace(merge, coefficients=(1.0, 0.0))
    for spoilt, reason in ((opinion, "prefers no answer"), (alone, "the sum of the two")):
        assert measure(case, spoilt) <= 0
        with pytest.raises(AssumptionError, match=reason):
            THEOREM.check(case, spoilt)
