"""_lora: adapters of many replicas, and the same updates as adapters of this package."""

import numpy as np
import pytest
import torch
from synthetic import TINY, close, doubled, tokens

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Config,
    Lora,
    Site,
    adapters_of,
    logits,
    lora,
    stacked,
)

CONFIG = Config(**TINY)


def filled(seeds=(0, 1, 2), **options):
    """Adapters with both factors random."""
    start = lora(CONFIG, seeds, **options)
    draws = torch.Generator().manual_seed(9)
    up = {name: torch.randn(x.shape, generator=draws) for name, x in start.up.items()}
    return Lora(up, start.down, start.scale)


def test_first_factors_are_those_of_the_seed():
    together, alone = lora(CONFIG, [4, 7], modules=MLP), lora(CONFIG, [7], modules=MLP)
    assert together.scale == 2.0
    assert not any(x.any() for x in together.up.values())
    for name, x in together.down.items():
        assert torch.equal(x[1], alone.down[name][0])
        assert not torch.equal(x[0], x[1])
    wide = lora(Config(vocabulary=3, width=64), [0], rank=30).down["layers.0.mlp.in"]
    assert float(wide.std()) == pytest.approx(1 / 8, rel=0.1)
    base = doubled(Config(vocabulary=1, width=64), [0])  # drawn first, as many numbers in a row
    assert not torch.allclose(wide[0, 0].double(), base["embedding"][0, 0])


@pytest.mark.parametrize("modules", [MLP, ATTENTION, ("attention.value", "mlp.out")])
def test_only_the_chosen_maps_are_adapted(modules):
    found = lora(CONFIG, [0], rank=3, modules=modules)
    assert set(found.up) == {Site(m, 0, layer).name for m in modules for layer in (0, 1)}
    for name, x in found.up.items():
        assert (x.shape[1], found.down[name].shape[2]) == CONFIG.shapes[name]
    for other in {*MLP, *ATTENTION} - set(modules):
        assert found(Site(other, 0, 0), torch.ones(1, 2, 8)) is None


def test_the_addition_is_scale_times_both_factors():
    trained = filled(rank=2, scale=1.5)
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(3))
    for loop in (0, 1):
        ours = trained(Site("mlp.in", loop, 1), x)
        for e in range(3):
            up, down = trained.up["layers.1.mlp.in"][e], trained.down["layers.1.mlp.in"][e]
            close(ours[e], 1.5 * x[e] @ (up @ down).mT)


def test_adapters_and_back_act_alike():
    trained = filled(modules=MLP + ATTENTION).map(lambda x: x.double().requires_grad_())
    weights, asked = doubled(CONFIG, [0]), tokens(3)
    adapters = adapters_of(trained)
    assert not any(adapter["layers.0.mlp.in"].up.requires_grad for adapter in adapters)
    back = stacked(adapters, torch.float64)
    assert back.scale == 1.0
    close(logits(CONFIG, weights, asked, back), logits(CONFIG, weights, asked, trained))


def test_what_an_adapter_lacks_is_zero_and_widths_may_differ():
    """NumPy or torch, float64 or float32."""
    rng = np.random.default_rng(0)
    wide = LowRank(rng.standard_normal((8, 3)), rng.standard_normal((3, 8)))
    thin = LowRank(torch.ones(8, 1), torch.ones(1, 8))
    one, two = (
        Adapter.of({"layers.0.attention.key": thin}),
        Adapter.of({"layers.0.attention.key": wide}),
    )
    three = Adapter.of({"layers.0.attention.value": thin})
    found = stacked([one, two, three])
    dense = found.up["layers.0.attention.key"] @ found.down["layers.0.attention.key"]
    close(dense[1], torch.as_tensor(wide.dense()).float())
    close(dense[0], torch.ones(8, 8))
    close(dense[2], torch.zeros(8, 8))
    assert found.up["layers.0.attention.value"].shape == (3, 8, 1)
