"""_loss: the mean over what is due, replica by replica, against log-probabilities looked up."""

from dataclasses import replace

import pytest
import torch
from decoders import TINY, batch, doubled, plain_logits, plain_states

from loratheory.toy.transformer import Batch, Config, ConfigError, losses


def looked_up(config, weights, given, e):
    """Mean of minus log-probability at the places, one by one."""
    own = {name: x[e] for name, x in weights.items()}
    total = 0.0
    for loop, state in enumerate(plain_states(config, own, given.tokens[e])):
        last = loop == config.loops - 1
        scores = plain_logits(config, own, state).log_softmax(-1)
        found = [
            -scores[b, t, given.targets[e, b, t]]
            for b, t in torch.cartesian_prod(torch.arange(6), torch.arange(3)).tolist()
            if given.targets[e, b, t] >= 0 and (last or given.hops[e, b, t] <= loop + 1)
        ]
        weight = 1.0 if last else config.supervision
        total += weight * sum(found) / max(len(found), 1)
    return total


@pytest.mark.parametrize("supervision", [0.0, 0.7])
def test_each_loss_is_the_mean_over_what_is_due(supervision):
    config = Config(**TINY | {"loops": 3}, supervision=supervision)
    weights, given = doubled(config, [0, 1, 2]), batch(3)
    given.targets[1, :3] = -1  # another number due in each replica
    given.targets[2] = -1
    found = losses(config, weights, given)
    for e in range(2):
        torch.testing.assert_close(
            found[e], looked_up(config, weights, given, e), rtol=1e-5, atol=0
        )
    assert float(found[2]) == 0.0


def test_what_is_not_due_does_not_count():
    config = Config(**TINY)
    weights, given = doubled(config, [0]), batch(1)
    other = given.tokens.clone()
    other[:, 1, 2] = (other[:, 1, 2] + 1) % 11  # nothing is due there or later
    given.targets[:, 1, 2] = -1
    one, two = (losses(config, weights, given._replace(tokens=x)) for x in (given.tokens, other))
    torch.testing.assert_close(one, two)


def test_deep_supervision_asks_when_answers_are_due():
    config = Config(**TINY, supervision=1.0)
    weights, given = doubled(config, [0]), batch(1)
    with pytest.raises(ConfigError, match="give hops with the batch"):
        losses(config, weights, given._replace(hops=None))
    plain = replace(config, supervision=0)
    assert losses(plain, weights, given._replace(hops=None)) < losses(config, weights, given)


def test_some_replicas_of_a_batch():
    given = batch(4)
    part = given.of(slice(1, 3))
    assert torch.equal(part.tokens, given.tokens[1:3])
    assert torch.equal(part.hops, given.hops[1:3])
    assert Batch(given.tokens, given.targets).of(slice(0, 1)).hops is None
