"""composition_merge: by hand, on facts, by dense least squares, in gauges, limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import LowRank, orthonormal, rank, regauge
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.composition_merge import (
    CONTROLS,
    THEOREM,
    Case,
    Merged,
    attain,
    bound,
    composed,
    gauge,
    measure,
)
from loratheory.toy import Chain, interpolating


def drawn(seed):
    rng = np.random.default_rng(seed)
    return THEOREM.draw(rng, 8), rng


def facts(seed, n=4, known=True):
    """Two edited relations on orthonormal keys: everything is one-hot but for a rotation."""
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, 3 * n, 2 * n)
    k1, k2, hot = frame[:, :n], frame[:, n:], np.eye(2 * n)
    y, z = hot[:, :n], hot[:, n:]
    old, new = rng.permutation(n), rng.permutation(n)
    old2, new2 = rng.permutation(n), rng.permutation(n)
    memories = (
        interpolating(k1, known * y[:, old]),
        interpolating(k2, known * z[:, old2]),
    )
    edits = (
        interpolating(k1, y[:, new] - known * y[:, old]),
        interpolating(k2, z[:, new2] - known * z[:, old2]),
    )
    bridge = interpolating(y, k2)
    answers = z[:, new2[new]], z[:, old2[old]]
    return Chain(memories, (bridge,), edits), k1, k2, answers, frame


def test_hand_example():
    """Keys (1, 0) and (3, 4)/5: cosine 3/5, so the best merge misses 4/5, exactly."""
    case = Case(np.array([[1.0], [0.0]]), np.array([[3.0], [4.0]]), 2)
    sine = 1 - Fraction(3, 5) ** 2
    assert sine == Fraction(4, 5) ** 2
    assert bound(case) == pytest.approx(0.8, rel=1e-14)
    y, z, k1, k2 = np.eye(2)[:, :1], np.eye(2)[:, 1:], [[1.0, 0.0]], [[0.6, 0.8]]
    none = LowRank(0 * y, np.array(k1))
    chain = Chain(
        (none, none),
        (LowRank(np.array(k2).T, y.T),),
        (LowRank(y, np.array(k1)), LowRank(z, np.array(k2))),
    )
    assert measure(case, Merged(chain, (0.0, 0.6))) == pytest.approx(0.8, rel=1e-14)
    assert measure(case, Merged(chain, (0.0, 0.0))) == pytest.approx(1.0, rel=1e-14)
    assert measure(case, Merged(chain, (1.0, 1.0))) == pytest.approx(1.8**0.5, rel=1e-12)


def test_at_right_angles_projections_find_nothing_and_say_so():
    case = Case(np.eye(4)[:, :2], np.eye(4)[:, 2:], 3)
    verdict = THEOREM.check(case, THEOREM.adversary(case, np.random.default_rng(0)))
    assert verdict.tight
    assert verdict.value == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("known", [True, False])
@given(seed=seeds)
def test_it_composes_all_facts_at_once(known, seed):
    chain, k1, _, (new, old), frame = facts(seed, known=known)
    rng = np.random.default_rng(seed)
    rest = rng.standard_normal((len(frame), k1.shape[1]))
    prompts = 0.7 * k1 + rest - k1 @ (k1.T @ rest)
    change = composed(chain) @ prompts
    np.testing.assert_allclose(change, 0.7 * (new - known * old), atol=1e-12)
    whole = chain.read(1, chain.bridges[0] @ chain.read(0, prompts, 1.0), 1.0)
    np.testing.assert_allclose(whole, 0.7 * new, atol=1e-12)


@given(seeds)
def test_the_best_coefficients_by_dense_least_squares(seed):
    """Another road: dense arrays, all coefficients at once, no factor of the module."""
    chain, k1, k2, *_ = facts(seed)
    (m1, m2), (e1, e2), q = chain.memories, chain.edits, chain.bridges[0].dense()
    m1, m2, e1, e2 = (low.dense() for low in (m1, m2, e1, e2))
    target = (m2 + e2) @ q @ (m1 + e1) - m2 @ q @ m1
    np.testing.assert_allclose(composed(chain).dense(), target, atol=1e-12)
    if np.linalg.norm(target) > 1e-9:
        stack = np.stack([e1.ravel(), e2.ravel()], axis=1)
        left = target.ravel() - stack @ np.linalg.lstsq(stack, target.ravel(), rcond=None)[0]
        assert np.linalg.norm(left) == pytest.approx(np.linalg.norm(target), rel=1e-12)
        assert abs(np.sum(target * e1)) + abs(np.sum(target * e2)) < 1e-11
        assert THEOREM.check(Case(k1, k2, 8), Merged(chain, (0.0, 0.0))).tight


@given(seeds)
def test_rank_is_not_what_is_short(seed):
    chain, *_ = facts(seed, 6)
    first, second = map(rank, chain.edits)
    assert rank(composed(chain)) <= first + second
    twice = chain.edits[1] @ (chain.bridges[0] @ chain.edits[0])
    assert rank(twice) <= min(first, second)


@given(seeds)
def test_at_any_angle_the_best_merge_misses_at_least_the_sine(seed):
    case, rng = drawn(seed)
    chain = THEOREM.rival(case, rng).chain
    dense = [low.dense() for low in (composed(chain), *chain.edits)]
    stack = np.stack([e.ravel() for e in dense[1:]], axis=1)
    stack = stack / np.maximum(np.linalg.norm(stack, axis=0), 1e-300)
    target = dense[0].ravel() / np.linalg.norm(dense[0])
    left = target - stack @ np.linalg.lstsq(stack, target, rcond=None)[0]
    assert np.linalg.norm(left) >= bound(case) - 1e-9


@given(seeds)
def test_a_factor_wise_merge_composes_in_one_gauge_only(seed):
    """PEFT's `linear` on facts new to the base: all of the product in one gauge, noise else."""
    chain, k1, _, (new, _), _ = facts(seed, known=False)
    first, second = chain.edits
    right = regauge(second, gauge(first, second, chain.bridges[0]))
    turned = regauge(second, orthonormal(np.random.default_rng(seed), 4, 4))

    def answers(low):
        shelf = [Adapter.of({"m": part}) for part in (first, low)]
        return (merge(shelf, "factor-linear")["m"] @ k1)[4:]

    np.testing.assert_allclose(answers(right), new[4:], atol=1e-9)
    assert np.abs(answers(turned) - new[4:]).max() > 0.05
    np.testing.assert_allclose(turned.dense(), right.dense(), atol=1e-9)


@given(seeds)
def test_rotation_scale_and_gauge_do_not_matter(seed):
    case, rng = drawn(seed)
    turn = 1e3 * orthonormal(rng, len(case.first), len(case.first))
    turned = replace(case, first=turn @ case.first, second=-(turn @ case.second))
    assert bound(turned) == pytest.approx(bound(case), abs=1e-12)
    found = attain(case)
    edits = tuple(LowRank(8 * e.up, e.down / 8) for e in found.chain.edits)
    again = replace(found, chain=replace(found.chain, edits=edits))
    assert measure(case, again) == pytest.approx(measure(case, found), abs=1e-13)


def test_limits():
    one, eye = np.ones((1, 1)), np.eye(3)
    assert bound(Case(one, one, 2)) == 0.0
    assert measure(Case(one, one, 2), attain(Case(one, one, 2))) == pytest.approx(0, abs=1e-14)
    right = Case(eye[:, :1], eye[:, 1:], 2)
    assert bound(right) == measure(right, attain(right)) == 1.0
    assert bound(Case(eye, eye[:, :1], 2)) == pytest.approx(0, abs=1e-14)


def test_wide_layers_need_no_dense_matrix():
    rng = np.random.default_rng(0)
    case = Case(rng.standard_normal((100_000, 3)), rng.standard_normal((100_000, 2)), 100)
    assert THEOREM.check(case, attain(case)).tight


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, merged = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, merged)
    assert not THEOREM.judge(case, merged).holds
