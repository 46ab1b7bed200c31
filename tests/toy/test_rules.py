"""_rules: what each way of answering computes, against dense arrays."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.toy import (
    added,
    chosen,
    coded,
    crossed,
    flattened,
    gated,
    interpolating,
    relu_keys,
    responsive,
    two_hop,
)


def question(seed):
    rng = np.random.default_rng(seed)
    keys = relu_keys(rng, 3, 12)
    base = interpolating(np.concatenate(keys[:2], axis=1), np.eye(6)).dense()
    return two_hop(base, keys, (1, 0, 2), (0, 1, 2), (2, 0, 1))


@given(seeds)
def test_rules_are_their_dense_formulas(seed):
    q = question(seed)
    one, two = q.first.dense(), q.second.dense()
    u, s, v = np.linalg.svd(one + two, full_matrices=False)
    keep = s > 1e-9 * s[0]
    share = ((one @ q.prompts) ** 2).sum(axis=0), ((two @ q.prompts) ** 2).sum(axis=0)
    mixed = (one @ q.prompts * share[0] + two @ q.prompts * share[1]) / (share[0] + share[1])
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


def test_a_gate_spells_the_answer():
    assert [chosen(logits) for logits in coded([0, 1, 2])(question(0))] == [
        [0] * 3,
        [1] * 3,
        [2] * 3,
    ]


def test_near_ties_go_to_the_first():
    assert chosen(np.array([[1.0, 0.0], [1.0 + 1e-13, 1.0]])) == [0, 1]
