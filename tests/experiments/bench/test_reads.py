"""Weights at reads and gates in hindsight, counted again by routers whose choice is known."""

import numpy as np
import pytest
import torch
from reused import cache as cache
from reused import loud, taught

from loratheory.experiments.bench.answers import accuracy, scores
from loratheory.experiments.bench.library import acting
from loratheory.experiments.bench.rules import everything, rule
from loratheory.experiments.bench.weights import (
    _gated,
    gate_patterns,
    hindsight,
    weights_at_reads,
)


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return loud(taught("hops"))


def fixed(shelf, weights):
    """Acts of a route that gives adapters the same weights everywhere."""
    row = torch.tensor(weights)
    return acting(shelf, lambda it: everything(it, lambda _, x: row.expand(*x.shape[:2], -1)))


def test_each_pair_is_given_the_weights_of_its_own_adapters(shelf):
    right, edited = weights_at_reads(shelf, fixed(shelf, [0.1, 0.2, 0.3, 0.4]))
    assert right.shape == (2, 4, 2, 2)
    np.testing.assert_allclose(right[0], np.broadcast_to([0.1, 0.2], (4, 2, 2)), rtol=1e-6)
    np.testing.assert_allclose(right[1], np.broadcast_to([0.3, 0.4], (4, 2, 2)), rtol=1e-6)
    assert (edited == 0).all()
    assert (weights_at_reads(shelf, fixed(shelf, [0.0, 0.6, 0.0, 0.4]))[1] == 1).all()


def test_weights_are_those_at_the_token_and_in_the_loop_of_each_relation(shelf):
    place = torch.arange(3.0) / 10

    def _route(site, x):
        rows = place.repeat(x.shape[1] // 3)[:, None] + site.loop
        return (rows + torch.arange(4) / 100).expand(len(x), -1, -1)

    right, _ = weights_at_reads(shelf, acting(shelf, lambda it: everything(it, _route)))
    for pair in (0, 1):
        wanted = [hop + (hop + 1) / 10 + (2 * pair + hop) / 100 for hop in (0, 1)]
        np.testing.assert_allclose(right[pair], np.broadcast_to(wanted, (4, 2, 2)), rtol=1e-6)


def test_gates_are_all_there_are_fewest_open_first():
    each = gate_patterns(2, 2, by_read=True)
    assert len({tuple(one.ravel()) for one in each}) == 16
    assert [one.sum() for one in each] == sorted(one.sum() for one in each)
    alone = [one.tolist() for one in gate_patterns(2, 2, by_read=False)]
    assert alone == [[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]


def test_open_gates_are_the_oracle(shelf):
    acts = acting(shelf, rule("oracle placement"))
    for loras, own, oracle in zip(shelf.pairs, shelf.trials, acts, strict=True):
        prompts, pair = [one.questions for one in own], shelf.having(loras)
        right = _gated(pair, [np.eye(2)] * 4)
        expected = scores(shelf.bases, prompts, oracle)
        np.testing.assert_allclose(scores(shelf.bases, prompts, right), expected, atol=1e-4)
        closed = scores(shelf.bases, prompts, _gated(pair, [np.zeros((2, 2))] * 4))
        np.testing.assert_allclose(closed, scores(shelf.bases, prompts), atol=1e-4)


@pytest.mark.parametrize("by_read", [False, True])
def test_no_gates_of_the_kind_answer_more_than_those_of_hindsight(shelf, by_read):
    acts, given = hindsight(shelf, by_read=by_read)
    for loras, own, adapt, on in zip(shelf.pairs, shelf.trials, acts, given, strict=True):
        prompts = [one.questions for one in own]
        best = accuracy(shelf.bases, prompts, adapt)
        for gates in gate_patterns(2, 2, by_read=by_read):
            assert (
                accuracy(shelf.bases, prompts, _gated(shelf.having(loras), [gates] * 4)) <= best
            ).all()
        assert set(np.unique(on)) <= {0.0, 1.0}
