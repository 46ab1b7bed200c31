"""_passes: each way to answer again against the passes done by hand."""

import pytest
import torch
from reused import cache as cache
from reused import loud, taught

from loratheory.experiments.bench.answers import (
    hop_by_hop,
    one_pass,
    second_pass,
)
from loratheory.experiments.bench.bases import tensor
from loratheory.experiments.bench.library import acting, added
from loratheory.experiments.bench.rules import rule
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import Pass, decoded, logits


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return loud(taught())


def asked(shelf):
    return tensor(stacked([one.questions for one in shelf.trials[0]]).tokens)


def test_hop_by_hop_each_answer_is_the_next_subject(shelf):
    tokens, adapt = asked(shelf), acting(shelf, rule("sum"))[0]
    with torch.inference_mode():
        found = hop_by_hop(shelf.bases, tokens, adapt)
        first = logits(shelf.bases.config, shelf.bases.weights, tokens[..., :2].clone(), adapt)
        torch.testing.assert_close(found[:, :, :2], first)
        for e in range(tokens.shape[0]):
            model = {n: w[e // 2 : e // 2 + 1] for n, w in shelf.bases.weights.items()}
            alone = [a.of(slice(e, e + 1)) for a in shelf.adapters]
            for row in range(tokens.shape[1]):
                bridge = int(first[e, row, 1].argmax())
                question = torch.tensor([[[bridge, int(tokens[e, row, 2])]]])
                both = added(alone, [1.0] * len(alone))
                one = logits(shelf.bases.config, model, question, both)
                torch.testing.assert_close(found[e, row, 2], one[0, 0, 1], rtol=1e-4, atol=1e-4)


def test_single_facts_are_asked_once(shelf):
    tokens, adapt = asked(shelf)[..., :2].clone(), acting(shelf, rule("sum"))[0]
    with torch.inference_mode():
        once = one_pass(shelf.bases, tokens, adapt)
        assert torch.equal(hop_by_hop(shelf.bases, tokens, adapt), once)


def test_put_back_states_replace_embeddings_but_the_last(shelf):
    tokens, adapt = asked(shelf), acting(shelf, rule("sum"))[0]
    config, weights = shelf.bases.config, shelf.bases.weights
    with torch.inference_mode():
        found = second_pass(shelf.bases, tokens, adapt)
        run = Pass(config, weights, adapt, tokens.shape[0])
        begin = run.embedded(tokens)
        x = run.layer(begin, 0, 0, 3).unflatten(1, (-1, 3)).clone()
        x[:, :, 2] = begin.unflatten(1, (-1, 3))[:, :, 2]
        x = x.flatten(1, 2)
        for loop in range(2):
            x = run.layer(x, loop, 0, 3)
        wanted = decoded(config, weights, x, 1).unflatten(1, tokens.shape[1:])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
