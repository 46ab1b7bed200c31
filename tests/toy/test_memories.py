"""Toys by hand: one read adds, rules are their dense formulas, a chain is a product."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import gaussian
from loratheory.toy import (
    AssociativeMemory,
    added,
    branching,
    chain,
    chosen,
    coded,
    composed,
    crossed,
    flattened,
    gated,
    interpolating,
    miss,
    relu_keys,
    responsive,
    two_hop,
)


@settings(max_examples=8)
@given(seeds)
def test_logits_are_those_of_the_dense_sum(seed):
    rng = np.random.default_rng(seed)
    base, *adapters = (gaussian(rng, 4, 5, 2) for _ in range(4))
    weights, key = tuple(rng.uniform(-2, 2, 3).tolist()), rng.standard_normal(5)
    merged = base.dense() + sum(w * a.dense() for w, a in zip(weights, adapters, strict=True))
    merge = AssociativeMemory(base, tuple(adapters), weights)
    assert merge.logits(key) == pytest.approx(merged @ key, abs=1e-12)
    assert len(merge.parts(key)) == 4


def world(seed, known=True):
    one, two, both = relu_keys(np.random.default_rng(seed), 4, 16)
    facts = np.kron(np.diag([float(known), 1.0]), np.eye(4))
    base = interpolating(np.concatenate([one, two], axis=1), facts).dense()
    keys = (one, two, both)
    return keys, two_hop(base, keys, (1, 2, 3, 0), (2, 0, 1, 3), (3, 1, 0, 2), known=known)


@pytest.mark.parametrize("known", [True, False])
@settings(max_examples=8)
@given(seed=seeds)
def test_edits_hold_the_facts_of_their_own_relation(known, seed):
    (one, two, _), q = world(seed, known)
    first = (q.base + q.first.dense()) @ one
    second = (q.base + q.second.dense()) @ two
    assert first.argmax(axis=0).tolist() == [1, 2, 3, 0]
    assert second[4:].argmax(axis=0).tolist() == [3, 1, 0, 2]
    for found in (first, second):
        assert np.sort(found, axis=0) == pytest.approx(np.sort(np.eye(8)[:, :4], axis=0), abs=1e-6)


@settings(max_examples=8)
@given(seeds)
def test_two_reads_of_the_same_weights_answer_everything(seed):
    (one, _, _), q = world(seed)
    assert tuple(chosen(composed(replace(q, prompts=one))[0])) == q.answers == (3, 1, 2, 0)


@settings(max_examples=8)
@given(seeds)
def test_relu_keys_overlap_and_are_not_negative(seed):
    keys = relu_keys(np.random.default_rng(seed), 4, 64)
    for frame in keys:
        assert frame.shape == (64, 4)
        assert frame.min() == 0
    assert (keys[0].T @ keys[1]).min() > 0


def question(seed):
    rng = np.random.default_rng(seed)
    keys = relu_keys(rng, 3, 12)
    base = interpolating(np.concatenate(keys[:2], axis=1), np.eye(6)).dense()
    return two_hop(base, keys, (1, 0, 2), (0, 1, 2), (2, 0, 1))


@settings(max_examples=8)
@given(seeds)
def test_rules_are_their_dense_formulas(seed):
    q = replace(question(seed), first=gaussian(np.random.default_rng(seed), 6, 12, 3))
    one, two = q.first.dense(), q.second.dense()
    u, s, v = np.linalg.svd(one + two, full_matrices=False)
    keep = s > 1e-9 * s[0]
    share = ((one @ q.prompts) ** 2).sum(axis=0), ((two @ q.prompts) ** 2).sum(axis=0)
    total = share[0] + share[1]
    total[total == 0] = 1  # on a prompt of zeros nobody answers, and nothing is added
    mixed = (one @ q.prompts * share[0] + two @ q.prompts * share[1]) / total
    expected = {
        added(2, -3): (2 * one - 3 * two) @ q.prompts,
        flattened: s[keep].mean() * u[:, keep] @ v[keep] @ q.prompts,
        crossed: two @ one.T @ one @ q.prompts,
        responsive: mixed,
    }
    for rule, rest in expected.items():
        wanted = (q.base @ q.prompts + rest)[3:]
        assert rule(q)[0] == pytest.approx(wanted, abs=1e-7 * (1 + np.abs(wanted).max()))
    off, on = gated((0.0, 1.0))(q)
    assert on - off == pytest.approx((two @ q.prompts)[3:], abs=1e-9)


def test_a_gate_spells_the_answer_and_near_ties_go_to_the_first():
    spelt = [chosen(logits) for logits in coded([0, 1, 2])(question(0))]
    assert spelt == [[0] * 3, [1] * 3, [2] * 3]
    assert chosen(1e3 * np.array([[1.0, 0.0], [1.0 + 1e-13, 1.0]])) == [0, 1]


@settings(max_examples=8)
@given(seeds)
def test_interpolation_is_exact_and_nearest_to_its_start(seed):
    """Any other exact map differs from the start by at least as much."""
    rng = np.random.default_rng(seed)
    keys, values = rng.standard_normal((7, 3)), 5 * rng.standard_normal((4, 3))
    start, wild = gaussian(rng, 4, 7, 2), gaussian(rng, 4, 7, 4)
    for origin in (None, start):
        best, other = interpolating(keys, values, origin), interpolating(keys, values, wild)
        base = 0 if origin is None else origin.dense()
        assert np.abs(best.dense() @ keys - values).max() < 1e-10
        assert np.linalg.norm(best.dense() - base) <= np.linalg.norm(other.dense() - base)


def test_miss_is_relative_but_to_nothing():
    low, keys = interpolating(np.eye(2), 4 * np.eye(2)), np.eye(2)
    assert miss(low, keys, np.array([[4.0, 0], [0, 5.0]])) == pytest.approx(0.2)
    assert miss(low, keys, np.zeros((2, 2))) == pytest.approx(4)
    assert miss(0 * low, keys, np.zeros((2, 2))) == 0


def test_branching_by_hand():
    hop = branching(np.eye(3), np.eye(4))
    assert hop.old.argmax(axis=0).tolist() == [3, 1, 2]
    assert hop.new.argmax(axis=0).tolist() == [0, 1, 2]
    assert branching(np.eye(3), np.eye(4), known=False).old[:, 0].tolist() == [0, 0, 0, 0]
    every = branching(np.eye(2), np.eye(4))
    assert every.old.argmax(axis=0).tolist() == [2, 3]


@settings(max_examples=8)
@given(seeds)
def test_a_chain_is_the_product_of_its_dense_matrices(seed):
    rng = np.random.default_rng(seed)
    keys = [rng.standard_normal((6, 2 + j)) for j in range(3)]
    values = [rng.standard_normal((6, 3 + j)) for j in range(2)]
    model = chain(
        [branching(*pair) for pair in zip(keys, [*values, np.eye(5)], strict=True)], values
    )
    weights = rng.uniform(-2, 2, 3).tolist()
    steps = []
    for j, c in enumerate(weights):
        steps += [model.bridges[j - 1].dense()] if j else []
        steps.append(model.memories[j].dense() + c * model.edits[j].dense())
    dense = reduce(lambda done, step: step @ done, steps)
    found = model.output(keys[0], weights)
    with pytest.raises(ValueError, match="1 hops need 0 frames of values, not 1"):
        chain([branching(np.eye(2), np.eye(3))], [np.eye(2)])
    assert found == pytest.approx(dense @ keys[0], rel=1e-9, abs=1e-9 * np.abs(found).max())


@pytest.mark.parametrize(("weight", "token"), [(1.0, 0), (0.0, 2)])
def test_whole_edits_replace_old_answers(weight, token):
    """With no edit the first old value leads to the token of its own entity."""
    keys, values = (np.eye(3)[:, :1], np.eye(3)[:, :2]), (2 * np.eye(3)[:, :2],)
    model = chain(
        [branching(keys[0], values[0]), branching(keys[1], np.eye(3)[:, [0, 2, 1]])], values
    )
    assert model.output(keys[0][:, 0], (weight, weight)) == pytest.approx(np.eye(3)[token])
