"""invisible_placement: by hand, the flip, every statistic, gradient descent, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition._hops import Prompt
from loratheory.theorems.composition.invisible_placement import (
    CONTROLS,
    THEOREM,
    Case,
    adversary,
    attain,
    bound,
    composing,
    measure,
    share_needed,
)


def drawn(seed):
    rng = np.random.default_rng(seed)
    return THEOREM.draw(rng, 8), rng


def placed(shares, coefficients=(1.0, 1.0), early=1, seed=0):
    rng = np.random.default_rng(seed)
    keys, more, values = (rng.standard_normal((7, n)) for n in (2, 3, 3))
    prompt = Prompt("A", coefficients, (keys, more), (values,))
    return Case(prompt, np.array(shares), early)


def test_hand_example():
    """Whole edits, two layers: 49 % late gives 49 to 51, 51 % the other way round."""
    case = placed([[0.51, 0.49], [0.49, 0.51]])
    for model, late in zip(case.models, (0.49, 0.51), strict=True):
        assert model.two_hop().tolist() == pytest.approx([late, 0, 0, 1 - late], abs=1e-12)
        key = case.prompt.keys[1][:, 0]
        assert model.single(key).tolist() == pytest.approx([1, 0, 0, 0], abs=1e-12)
    assert bound(case) == measure(case, attain(case)) == Fraction(1, 2)
    # exactly: c_1 = 2/3, c_2 = 1 need more than half; c_1 = 3/5, c_2 = 4/5 need 5/6
    assert Fraction(2, 5) / Fraction(3, 5) / Fraction(4, 5) == Fraction(5, 6)
    assert share_needed(0.6, 0.8) == pytest.approx(5 / 6, rel=1e-14)
    assert share_needed(2 / 3, 1.0) == pytest.approx(1 / 2, rel=1e-14)


@given(st.floats(0.4, 1.5), st.floats(0.3, 1.5), st.integers(0, 99))
def test_the_answer_flips_at_the_share_needed(first, second, seed):
    need = share_needed(first, second)
    shares = [[1 - need - step, need + step] for step in (-1e-6, 1e-6)]
    low, high = (m.two_hop() for m in placed(shares, (first, second), seed=seed).models)
    assert low[0] < low[1:].max()
    assert high[0] > high[1:].max()


@given(seeds)
def test_single_hop_logits_are_the_same_on_any_key(seed):
    case, rng = drawn(seed)
    keys = rng.standard_normal((len(case.prompt.keys[1]), 5))
    seen = [model.single(keys) for model in case.models]
    for logits in seen[1:]:
        np.testing.assert_allclose(logits, seen[0], atol=1e-8 * np.abs(seen[0]).max())


@settings(max_examples=25)
@given(seeds)
def test_no_statistic_fitted_in_hindsight_beats_a_constant(seed):
    case, rng = drawn(seed)
    assert measure(case, adversary(case, rng)) >= bound(case)
    assert measure(case, attain(case)) == bound(case)
    truth = [m.two_hop()[0] > m.two_hop()[1:].max() for m in case.models]
    assert np.mean(truth) == pytest.approx(composing(case))


@given(st.integers(2, 6), st.floats(0.1, 3.0))
def test_stored_in_every_layer_it_composes_and_single_hops_stay_right(layers, seed):
    case = placed([[1.0] * layers], early=layers - 1, seed=int(seed * 1000))
    (model,) = case.models
    hop2 = model.single(case.prompt.keys[1])
    assert hop2.argmax(axis=0).tolist() == [0, 1, 2]
    assert model.two_hop().argmax() == 0


def test_the_reversed_order_never_composes():
    for strength in (0.5, 1.0, 10.0):
        (model,) = placed([[1.0, 0.0]], (1.0, strength)).models
        assert model.two_hop().argmax() != 0


def test_gradient_descent_splits_evenly_and_solves_single_hops_first():
    """Two layers, full matrices, softmax loss on single hops: shares stay equal step by step."""
    rng = np.random.default_rng(0)
    keys, old, new = orthonormal(rng, 6, 3), np.array([3, 1, 2]), np.array([0, 1, 2])
    base, layers = np.eye(4)[:, old] @ keys.T, np.zeros((2, 4, 6))
    solved = [None, None]
    for step in range(200):
        logits = (base + layers.sum(axis=0)) @ keys
        late = (base + layers[1]) @ keys[:, 0]
        for kind, right in enumerate(
            (logits.argmax(axis=0).tolist() == [0, 1, 2], late[0] > late[3])
        ):
            solved[kind] = solved[kind] or (step if right else None)
        p = np.exp(logits) / np.exp(logits).sum(axis=0)
        layers += 0.3 * (np.eye(4)[:, new] - p) @ keys.T
        np.testing.assert_allclose(layers[0], layers[1], atol=1e-12)
    assert solved[0] < solved[1]


@given(st.floats(0.1, 10.0), seeds)
def test_scale_rotation_and_the_order_of_early_layers_do_not_matter(factor, seed):
    case, rng = drawn(seed)
    d = len(case.prompt.keys[0])
    turn = factor * orthonormal(rng, d, d)
    prompt = replace(case.prompt, keys=tuple(turn @ k for k in case.prompt.keys))
    layers = case.shares.shape[1]
    order = [*rng.permutation(case.early), *range(case.early, layers)]
    other = replace(case, prompt=prompt, shares=case.shares[:, order])
    assert THEOREM.check(other, attain(other)).tight
    assert bound(other) == bound(case)


def test_limits():
    """One placement is judged rightly; without strength nothing composes."""
    assert bound(placed([[0.1, 0.9]])) == 0.0
    assert share_needed(1.0, 0.5) == 1.0
    assert share_needed(1e-3, 1.0) == pytest.approx(999.0)
    assert composing(placed([[1.0, 0.0], [0.0, 1.0]])) == 0.5


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, test = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, test)
    assert not THEOREM.judge(case, test).holds
