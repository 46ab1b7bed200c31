"""Weights at reads and gates in hindsight, counted again by routers whose choice is known."""

import numpy as np
import pytest
import torch
from reused import cache as cache
from reused import loud, taught

from loratheory.adapters import Router, arrow_scores
from loratheory.experiments.reuse import _rules as rules
from loratheory.experiments.reuse._marks import accuracy, scores
from loratheory.experiments.reuse._reads import gated, hindsight, patterns, reads


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return loud(taught("hops"))


def fixed(shelf, weights):
    """A router that gives adapters the same weights everywhere."""
    found = rules.Routed(shelf, lambda updates, _: Router(arrow_scores(updates)))
    found.weights = lambda _, x: torch.tensor(weights).expand(*x.shape[:2], -1)
    return found


def test_each_pair_is_given_the_weights_of_its_own_adapters(shelf):
    given, edited = reads(shelf, fixed(shelf, [0.1, 0.2, 0.3, 0.4]))
    assert given.shape == (2, 4, 2, 2)
    np.testing.assert_allclose(given[0], np.broadcast_to([0.1, 0.2], (4, 2, 2)))
    np.testing.assert_allclose(given[1], np.broadcast_to([0.3, 0.4], (4, 2, 2)))
    assert (edited == 0).all()
    assert (reads(shelf, fixed(shelf, [0.0, 0.6, 0.0, 0.4]))[1] == 1).all()


def test_weights_are_those_at_the_token_and_in_the_loop_of_each_relation(shelf):
    routed = rules.Routed(shelf, lambda updates, _: Router(arrow_scores(updates), 4))
    seen, inner = {}, routed.weights

    def _kept(site, x):
        seen.setdefault((len(x[0]), site.loop), []).append(inner(site, x))
        return inner(site, x)

    prompts = [one.chains for one in shelf.trials[1]]
    given, _ = reads(shelf, routed)
    routed.weights = _kept
    scores(shelf.bases, prompts, routed)
    for hop in (0, 1):
        mean = torch.stack(seen[6, hop]).mean(0).reshape(4, 2, 3, 4)
        np.testing.assert_allclose(given[1, ..., hop], mean[:, :, hop + 1, 2 + hop], rtol=1e-6)


def test_unedited_reads_are_asked_of_unedited_chains(shelf):
    routed, lengths = fixed(shelf, [1.0, 0.0, 0.0, 0.0]), set()
    inner = routed.weights

    def _kept(site, x):
        lengths.add(x.shape[1])
        return inner(site, x)

    routed.weights = _kept
    reads(shelf, routed)
    assert lengths == {2 * 3, 20 * 3}


def test_gates_are_all_there_are_fewest_open_first():
    each = patterns(2, 2, by_read=True)
    assert len({tuple(one.ravel()) for one in each}) == 16
    assert [one.sum() for one in each] == sorted(one.sum() for one in each)
    alone = [one.tolist() for one in patterns(2, 2, by_read=False)]
    assert alone == [[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]


def test_open_gates_are_the_oracle(shelf):
    for pair, own in zip(shelf.hops, shelf.trials, strict=True):
        prompts = [one.chains for one in own]
        right = gated(pair, [np.eye(2)] * 4)
        expected = scores(shelf.bases, prompts, rules.in_loops(list(pair)))
        np.testing.assert_allclose(scores(shelf.bases, prompts, right), expected, atol=1e-4)
        closed = scores(shelf.bases, prompts, gated(pair, [np.zeros((2, 2))] * 4))
        np.testing.assert_allclose(closed, scores(shelf.bases, prompts), atol=1e-4)


@pytest.mark.parametrize("by_read", [False, True])
def test_no_gates_of_the_kind_answer_more_than_those_of_hindsight(shelf, by_read):
    acting, given = hindsight(shelf, by_read=by_read)
    for pair, own, adapt, on in zip(shelf.hops, shelf.trials, acting, given, strict=True):
        prompts = [one.chains for one in own]
        best = accuracy(shelf.bases, prompts, adapt)
        for gates in patterns(2, 2, by_read=by_read):
            assert (accuracy(shelf.bases, prompts, gated(pair, [gates] * 4)) <= best).all()
        assert set(np.unique(on)) <= {0.0, 1.0}
