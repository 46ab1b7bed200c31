"""Adapters of one layer: trained there and nowhere else, acting there and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reused import cache as cache
from reused import loud

from loratheory.experiments.reuse import _layers
from loratheory.experiments.reuse._bases import batch
from loratheory.experiments.reuse._layers import in_layer, in_layers, retrained
from loratheory.experiments.reuse._plain import Setting, grown
from loratheory.experiments.reuse._shelves import Teaching, shelf
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import LORA, Lora, Site, content_hash, lora, losses, trained_lora

TAUGHT = Teaching(facts=2, pairs=2, sets=2, rank=2, steps=4, retained=4)


@pytest.fixture(scope="module")
def taught():
    setting = Setting(entities=64, relations=2, width=16, rows=40, steps=4)
    return shelf(grown(setting, 101, (4,))[4], TAUGHT)


def layers_of(adapter):
    """The layers whose maps the adapter changes."""
    return {int(name.split(".")[1]) for name, x in adapter.up.items() if x.abs().sum() > 0}


def test_an_adapter_acts_in_its_layer_only():
    names = [f"layers.{layer}.mlp.in" for layer in range(3)]
    one = Lora({n: torch.ones(1, 3, 1) for n in names}, {n: torch.ones(1, 1, 2) for n in names})
    x = torch.ones(1, 1, 2)
    for layer in range(3):
        acting = in_layer(one, layer)
        assert [acting(Site("mlp.in", 0, at), x) is None for at in range(3)] == [
            at != layer for at in range(3)
        ]
        assert torch.equal(acting(Site("mlp.in", 0, layer), x), one(Site("mlp.in", 0, layer), x))


def test_each_pair_has_its_own_adapters_in_their_layers(taught):
    here = loud(taught)
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    for layers in ((0, 1), (1, 0)):
        for (first, second), adapt in zip(here.hops, in_layers(layers)(here), strict=True):
            sites = [Site("mlp.in", 0, layer) for layer in layers]
            torch.testing.assert_close(adapt(sites[0], x), first(sites[0], x))
            torch.testing.assert_close(adapt(sites[1], x), second(sites[1], x))
    both = in_layers((0, 0))(here)[0]
    site = Site("mlp.in", 0, 0)
    torch.testing.assert_close(both(site, x), here.hops[0][0](site, x) + here.hops[0][1](site, x))
    assert both(Site("mlp.in", 0, 1), x) is None


def test_adapters_are_trained_where_they_are_told_to(taught):
    for layers in (((0,), (1,)), ((1,), (0,)), ((0, 1), (1,))):
        for pair in retrained(taught, layers).hops:
            assert [layers_of(adapter) for adapter in pair] == [set(each) for each in layers]
            assert set(pair[0].up) == set(pair[1].up) == set(taught.hops[0][0].up)
            for adapter, before in zip(pair, taught.hops[0], strict=True):
                shapes = {n: x.shape for n, x in before.tensors().items()}
                assert {n: x.shape for n, x in adapter.tensors().items()} == shapes
                assert adapter.scale == before.scale


def test_a_layer_is_trained_as_if_alone(taught):
    own, each = retrained(taught, ((0,), (1,))), retrained(taught, ((0, 1), (0, 1)))
    for pair in range(2):
        for hop in range(2):
            start = f"layers.{hop}."
            for name, x in own.hops[pair][hop].tensors().items():
                if name.startswith(start):
                    assert torch.equal(each.hops[pair][hop].tensors()[name], x)


def test_what_is_trained_is_the_lesson_in_that_layer_alone(taught):
    known = taught.bases
    made = retrained(taught, ((1,), (1,)))
    for pair in range(2):
        for hop in range(2):
            rows = batch(stacked([one.hops[hop].prompts for one in taught.lessons[pair]]))
            seeds = [
                int(np.random.SeedSequence([101, 6, k, pair, hop, 1]).generate_state(1)[0])
                for k in range(2)
            ]
            whole = lora(known.config, seeds, rank=2)
            names = ("layers.1.mlp.in", "layers.1.mlp.out")
            start = Lora({n: whole.up[n] for n in names}, {n: whole.down[n] for n in names}, 2.0)
            recipe = replace(LORA, steps=4, rate=TAUGHT.rate)
            wanted = trained_lora(
                known.config, known.weights, start, recipe, lambda _, rows=rows: rows, seeds
            )
            found = made.hops[pair][hop]
            for name in names:
                torch.testing.assert_close(found.up[name], wanted.up[name])
                torch.testing.assert_close(found.down[name], wanted.down[name])
            before = losses(known.config, known.weights, rows)
            assert (losses(known.config, known.weights, rows, found) < before).all()


def test_everything_that_matters_is_in_the_name(taught, monkeypatch):
    def key(here, hop=0, layer=0):
        found = []

        def _stored(parts, _):
            found.append(content_hash(parts))
            raise InterruptedError

        monkeypatch.setattr(_layers, "stored", _stored)
        with pytest.raises(InterruptedError):
            _layers._confined(here, 0, hop, layer)
        return found[0]

    monkeypatch.setattr(
        _layers.np.random,
        "SeedSequence",
        lambda _: type("", (), {"generate_state": lambda *_: [7]})(),
    )
    usual = key(taught)
    assert key(taught) == usual
    assert key(taught, hop=1) != usual
    assert key(taught, layer=1) != usual
    assert key(replace(taught, teaching=replace(TAUGHT, steps=5))) != usual
    weights = {n: x + 1 for n, x in taught.bases.weights.items()}
    assert key(replace(taught, bases=replace(taught.bases, weights=weights))) != usual
