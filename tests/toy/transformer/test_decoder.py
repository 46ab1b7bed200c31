"""Many replicas equal one plain decoder each, map by map; `adapt` is a change of weights."""

import pytest
import torch
from synthetic import TINY, close, doubled, plain_logits, plain_states, tokens

from loratheory.toy.transformer import (
    ATTENTION,
    HEAD,
    MLP,
    Config,
    ConfigError,
    Pass,
    Site,
    logits,
    low_rank_image,
    parameters,
)


def drawn(*shape, seed=0):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    return x.requires_grad_()


def derivatives(image, *given):
    return torch.autograd.grad(image(*given).sin().sum(), given)


def test_the_image_and_its_derivatives_are_those_of_the_dense_update():
    def dense(x, up, down):
        return torch.einsum("emr,ern,etn->etm", up, down, x) * 0.7

    def ours(*factors):
        return low_rank_image(*factors, 0.7)

    given = drawn(2, 5, 4), drawn(2, 6, 3, seed=1), drawn(2, 3, 4, seed=2)
    close(ours(*given), dense(*given))
    for one, other in zip(derivatives(ours, *given), derivatives(dense, *given), strict=True):
        close(one, other)
    x, up, down = given[0].detach(), *given[1:]
    low_rank_image(x, up, down, 2).sum().backward()  # nobody asked for that of x
    assert x.grad is None
    assert up.grad.shape == up.shape


SIDES = {"vocabulary": 50, "width": 40, "depth": 2}


def test_a_replica_is_its_seed_alone_and_has_a_weight_for_everything():
    config = Config(**SIDES)
    together, alone = parameters(config, [5, 3, 8]), parameters(config, [3])
    assert together.keys() == alone.keys()
    for name, x in together.items():
        assert torch.equal(x[1], alone[name][0])
    norms = [f"layers.{i}.{part}.norm" for i in (0, 1) for part in ("attention", "mlp")]
    expected = config.shapes | {"embedding": (50, 40)} | dict.fromkeys([*norms, "norm"], (40,))
    assert {name: tuple(x.shape[1:]) for name, x in together.items()} == expected


VARIANTS = [
    {},
    {"window": 2, "noise": 0.5},
    {"loops": 1},
    {"position": "rope", "loops": 3, "depth": 1, "heads": 1},
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("models", [1, 2])
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
    run = Pass(config, ours, None, 2)
    sum(x.sin().sum() for x in run.states(asked, noise)).backward()
    for e in range(2):
        own = {name: x[e] for name, x in plain.items()}
        after = plain_states(config, own, asked[e], noise=noise[:, e])
        sum(x.sin().sum() for x in after).backward()
    for name, x in ours.items():
        if name != "norm":  # what only the head uses
            close(x.grad, plain[name].grad)


SITES = [Site(m, loop, layer) for m in ATTENTION + MLP for loop in (0, 1) for layer in (0, 1)]


def test_an_addition_is_a_change_of_weights_there_and_then():
    """Each site has its own dense change, in each loop another."""
    config = Config(**TINY)
    weights, asked = doubled(config, [3]), tokens(2)
    draws = torch.Generator().manual_seed(2)
    change = {s: torch.randn(config.shapes[s.name], generator=draws).double() / 4 for s in SITES}
    met = []

    def adapt(site, x):
        met.append(site)
        if site == Site(HEAD, 1, 2):
            return torch.arange(11.0).double().expand(*x.shape[:2], 11)
        return torch.stack([x[0] @ change[site].mT, torch.zeros_like(x[1] @ change[site].mT)])

    ours = logits(config, weights, asked, adapt)
    own = {name: x[0] for name, x in weights.items()}
    for e, plain in enumerate((change, None)):
        state = plain_states(config, own, asked[e], plain)[-1]
        close(ours[e], plain_logits(config, own, state) + torch.arange(11.0).double())
    assert sorted(met, key=repr) == sorted([*SITES, Site(HEAD, 1, 2)], key=repr)


def test_what_does_not_fit_is_refused():
    config = Config(**TINY)
    with pytest.raises(ConfigError, match="3 replicas cannot share 2 models"):
        logits(config, doubled(config, [0, 1]), tokens(3))
