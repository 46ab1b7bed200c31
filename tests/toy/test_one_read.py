"""_one_read: a merge in one matrix adds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import gaussian
from loratheory.toy import Merge, chosen, composed, interpolating, relu_keys, two_hop


@given(seeds)
def test_logits_are_those_of_the_dense_sum(seed):
    rng = np.random.default_rng(seed)
    base, *adapters = (gaussian(rng, 4, 5, 2) for _ in range(4))
    weights, key = tuple(rng.uniform(-2, 2, 3).tolist()), rng.standard_normal(5)
    merged = base.dense() + sum(w * a.dense() for w, a in zip(weights, adapters, strict=True))
    merge = Merge(base, tuple(adapters), weights)
    assert merge.logits(key) == pytest.approx(merged @ key, abs=1e-12)
    assert len(merge.parts(key)) == 4


def world(seed, known=True):
    one, two, both = relu_keys(np.random.default_rng(seed), 4, 16)
    facts = np.kron(np.diag([float(known), 1.0]), np.eye(4))
    base = interpolating(np.concatenate([one, two], axis=1), facts).dense()
    keys = (one, two, both)
    return keys, two_hop(base, keys, (1, 2, 3, 0), (2, 0, 1, 3), (3, 1, 0, 2), known=known)


@pytest.mark.parametrize("known", [True, False])
@given(seed=seeds)
def test_edits_hold_the_facts_of_their_own_relation(known, seed):
    (one, two, _), q = world(seed, known)
    first = (q.base + q.first.dense()) @ one
    second = (q.base + q.second.dense()) @ two
    assert first.argmax(axis=0).tolist() == [1, 2, 3, 0]
    assert second[4:].argmax(axis=0).tolist() == [3, 1, 0, 2]
    for found in (first, second):
        assert np.sort(found, axis=0) == pytest.approx(np.sort(np.eye(8)[:, :4], axis=0), abs=1e-6)


def test_answers_go_over_value_key_and_fact():
    """x0 -> y1 -> key 0 -> answer 3, and so on."""
    assert world(0)[1].answers == (3, 1, 2, 0)


@given(seeds)
def test_two_reads_of_the_same_weights_answer_everything(seed):
    (one, _, _), q = world(seed)
    assert tuple(chosen(composed(replace(q, prompts=one))[0])) == q.answers


@given(seeds)
def test_relu_keys_overlap_and_are_not_negative(seed):
    keys = relu_keys(np.random.default_rng(seed), 4, 64)
    for frame in keys:
        assert frame.shape == (64, 4)
        assert frame.min() == 0
    assert (keys[0].T @ keys[1]).min() > 0
