"""_decoder: many replicas equal one plain decoder each, and `adapt` is a change of weights."""

from dataclasses import replace

import pytest
import torch
from decoders import TINY, doubled, plain_logits, plain_states, tokens

from loratheory.toy.transformer import (
    ATTENTION,
    HEAD,
    MLP,
    Config,
    ConfigError,
    Site,
    decoded,
    logits,
    states,
)

VARIANTS = [
    {},
    {"window": 2, "noise": 0.5},
    {"norm": "none", "loops": 1},
    {"position": "learned", "context": 5, "tied": False},
    {"position": "rope", "loops": 3, "depth": 1, "heads": 1},
]


def close(ours, plain):
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("models", [1, 2, 4])
def test_every_replica_is_a_plain_decoder_on_its_model(variant, models):
    config = Config(**TINY | variant)
    weights, asked = doubled(config, range(models)), tokens(4)
    ours = logits(config, weights, asked)
    for e in range(4):
        own = {name: x[e * models // 4] for name, x in weights.items()}
        state = plain_states(config, own, asked[e])[-1]
        close(ours[e], plain_logits(config, own, state))


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_the_plain_decoder(variant):
    config = Config(**TINY | variant)
    weights, asked = doubled(config, [0, 1]), tokens(2)
    ours = {name: x.clone().requires_grad_() for name, x in weights.items()}
    plain = {name: x.clone().requires_grad_() for name, x in weights.items()}
    noise = torch.randn(
        config.loops * config.depth, 2, 12, 8, generator=torch.Generator().manual_seed(1)
    )
    noise = noise.double()
    sum(x.sin().sum() for x in states(config, ours, asked, None, noise)).backward()
    for e in range(2):
        own = {name: x[e] for name, x in plain.items()}
        after = plain_states(config, own, asked[e], noise=noise[:, e])
        sum(x.sin().sum() for x in after).backward()
    for name, x in ours.items():
        if name not in ("head", "norm"):  # what only the head uses
            close(x.grad, plain[name].grad)


def test_no_token_sees_a_later_one():
    config = Config(**TINY)
    weights, asked = doubled(config, [0]), tokens(1, 6, 5)
    other = asked.clone()
    other[:, :, 3] = (asked[:, :, 3] + 1) % 11
    one, two = (logits(config, weights, x) for x in (asked, other))
    torch.testing.assert_close(one[:, :, :3], two[:, :, :3])
    assert (one[:, :, 3:] - two[:, :, 3:]).abs().amin(dim=(0, 1, 3)).min() > 0


def test_a_window_reaches_one_token_further_a_layer():
    """Two passes with a window of two see two tokens back, not three."""
    config = Config(**TINY | {"window": 2, "depth": 1})
    weights, asked = doubled(config, [0]), tokens(1, 6, 5)
    for back, reached in ((1, True), (2, True), (3, False)):
        other = asked.clone()
        other[:, :, 4 - back] = (asked[:, :, 4 - back] + 1) % 11
        difference = logits(config, weights, asked) - logits(config, weights, other)
        assert (float(difference[:, :, 4].abs().max()) > 1e-9) is reached


def test_a_loop_is_a_deeper_block_with_tied_weights():
    config = Config(**TINY | {"loops": 2, "depth": 1})
    weights, asked = doubled(config, [0]), tokens(1)
    again = {n.replace("layers.0", "layers.1"): x for n, x in weights.items() if "layers" in n}
    deeper = replace(config, loops=1, depth=2)
    close(logits(config, weights, asked), logits(deeper, weights | again, asked))
    first, last = states(config, weights, asked)
    assert first.shape == last.shape == (1, 12, 8)
    close(states(replace(config, loops=1), weights, asked)[0], first)


SITES = [Site(m, loop, layer) for m in ATTENTION + MLP for loop in (0, 1) for layer in (0, 1)]


@pytest.mark.parametrize("tied", [True, False])
def test_an_addition_is_a_change_of_weights_there_and_then(tied):
    """Each site has its own dense change, in each loop another."""
    config = Config(**TINY, tied=tied)
    weights, asked = doubled(config, [3]), tokens(2)
    draws = torch.Generator().manual_seed(2)
    sites = [*SITES, Site(HEAD, 1, 2)]
    change = {s: torch.randn(config.shapes[s.name], generator=draws).double() / 4 for s in sites}
    met = []

    def adapt(site, x):
        met.append(site)
        return torch.stack([x[0] @ change[site].mT, torch.zeros_like(x[1] @ change[site].mT)])

    ours = logits(config, weights, asked, adapt)
    own = {name: x[0] for name, x in weights.items()}
    for e, plain in enumerate((change, None)):
        state = plain_states(config, own, asked[e], plain)[-1]
        close(ours[e], plain_logits(config, own, state, plain))
    assert sorted(met, key=repr) == sorted(sites, key=repr)


def test_nothing_added_changes_nothing():
    config = Config(**TINY)
    weights, asked = doubled(config, [3]), tokens(2)
    assert torch.equal(
        logits(config, weights, asked, lambda *_: None), logits(config, weights, asked)
    )


def test_noise_is_a_share_of_the_rms():
    config = Config(**TINY | {"depth": 1, "loops": 1, "noise": 0.5})
    weights, asked = doubled(config, [0]), tokens(1)
    calm = states(config, weights, asked)[0]
    ones = torch.ones(1, 1, 12, 8).double()
    noisy = states(config, weights, asked, None, ones)[0]
    close(noisy - calm, 0.5 * calm.pow(2).mean(-1, keepdim=True).sqrt().expand(calm.shape))


def test_what_does_not_fit_is_refused():
    config = Config(**TINY | {"position": "learned", "context": 2})
    weights = doubled(config, [0, 1])
    with pytest.raises(ConfigError, match="3 replicas cannot share 2 models"):
        logits(config, weights, tokens(3))
    with pytest.raises(ConfigError, match="3 tokens, but positions are learned for 2"):
        logits(config, weights, tokens(2))


def test_the_head_can_read_any_loop():
    config = Config(**TINY)
    weights, asked = doubled(config, [0]), tokens(1)
    seen = []
    state = states(config, weights, asked)[0]
    found = decoded(config, weights, state, 0, lambda site, _: seen.append(site))
    own = {name: x[0] for name, x in weights.items()}
    close(found[0], plain_logits(config, own, state[0]))
    assert seen == [Site(HEAD, 0, 2)]
