"""_train: replicas do not feel each other, and what is given stays as it is."""

import pytest
import torch
from decoders import TINY, batch

from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Config,
    Recipe,
    lora,
    parameters,
    trained_base,
    trained_lora,
)
from loratheory.toy.transformer import _descent as descent

CONFIG = Config(**TINY | {"depth": 1}, noise=0.5, supervision=0.5)
RECIPE = Recipe(steps=3, rate=1e-2, warmup=2, decay=0.5)
SEEDS = [3, 1, 4]


def only(given, e):
    return lambda _: given.of(slice(e, e + 1))


@pytest.fixture(params=[8, 16, 10_000], ids=["alone", "two a block", "one block"])
def cached(request, monkeypatch):
    monkeypatch.setattr(descent, "CACHED", request.param)


@pytest.mark.usefixtures("cached")
def test_bases_together_are_bases_alone():
    given = batch(3)
    together = trained_base(CONFIG, RECIPE, lambda _: given, SEEDS)
    for e, seed in enumerate(SEEDS):
        alone = trained_base(CONFIG, RECIPE, only(given, e), [seed])
        for name, x in together.items():
            torch.testing.assert_close(x[e : e + 1], alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("models", [1, 2, 4])
def test_adapters_together_are_adapters_alone(models):
    """On one base, on two with two adapters each, on four."""
    given, seeds = batch(4), [*SEEDS, 2]
    bases = parameters(CONFIG, range(models))
    start = lora(CONFIG, seeds, rank=2, modules=ATTENTION + MLP)
    before = start.map(torch.clone)
    together = trained_lora(CONFIG, bases, start, RECIPE, lambda _: given, seeds)
    for e in range(4):
        model = e * models // 4
        base = {name: x[model : model + 1] for name, x in bases.items()}
        first = start.map(lambda x, e=e: x[e : e + 1])
        alone = trained_lora(CONFIG, base, first, RECIPE, only(given, e), [seeds[e]])
        for name, x in together.tensors().items():
            torch.testing.assert_close(x[e : e + 1], alone.tensors()[name], rtol=1e-4, atol=1e-5)
    for name, x in start.tensors().items():
        assert torch.equal(x, before.tensors()[name])
        assert not torch.equal(x, together.tensors()[name])
    assert not any(x.requires_grad for x in [*bases.values(), *together.tensors().values()])
