"""_pupil: what is trained, where it begins, what it makes of the model."""

import numpy as np
import pytest
import torch
from causal import CONFIGS, logits, network

from loratheory.adapters import Info
from loratheory.pretrained import Model, ModelError, attached
from loratheory.pretrained._trainable import targets, trainable


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_acts_in_training_is_what_acts_afterwards(kind):
    net = network(kind)
    base = Model(net)
    one = trainable(base, targets(base, None, ()), 2, 1.5, np.random.default_rng(0))
    plain = logits(net)
    with one.acting():
        assert torch.equal(logits(net), plain)
        with torch.no_grad():
            for site in one.sites.values():
                site.up.normal_(std=0.3)
        meanwhile = logits(net)
    assert torch.equal(logits(net), plain)
    with attached(base, [one.adapter(Info())]):
        assert torch.allclose(logits(net), meanwhile, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(meanwhile, plain, atol=0.01)


def test_they_begin_as_in_peft():
    base = Model(network("llama"))
    one = trainable(base, ["model.layers.0.mlp.down_proj"], 200, 1.0, np.random.default_rng(0))
    up, down = one.tensors
    assert (tuple(up.shape), tuple(down.shape)) == ((16, 200), (200, 24))
    assert not up.any()
    assert 0.99 / 24**0.5 < float(down.detach().abs().max()) <= 1 / 24**0.5
    assert [*one.factors] == [f"model.layers.0.mlp.down_proj.{side}" for side in ("up", "down")]
    assert up.requires_grad
    assert down.requires_grad


def test_the_adapter_is_a_copy():
    base = Model(network("llama"))
    one = trainable(base, targets(base, None, ("q_proj",)), 2, 3.0, np.random.default_rng(0))
    made = one.adapter(Info())
    with torch.no_grad():
        for tensor in one.tensors:
            tensor.add_(1.0)
    for low in made.values():
        assert not low.up.any()
        assert abs(low.down).max() < 1


@pytest.mark.parametrize(("kind", "head"), [("llama", "lm_head"), ("gpt2", "lm_head")])
def test_all_linear_maps_but_the_head_and_embeddings(kind, head):
    names = targets(Model(network(kind)), None, ())
    assert head not in names
    assert not any("emb" in name or "wte" in name for name in names)
    assert len(names) == {"llama": 14, "gpt2": 8}[kind]


def test_layers_and_endings_choose():
    base = Model(network("llama"))
    assert targets(base, (0, 1), ("v_proj",)) == ["model.layers.0.self_attn.v_proj"]
    assert targets(base, (1, 2), ("v_proj", "down_proj")) == [
        "model.layers.1.self_attn.v_proj",
        "model.layers.1.mlp.down_proj",
    ]
    with pytest.raises(ModelError, match=r"no linear map ends in nothing_proj in layers None"):
        targets(base, None, ("nothing_proj",))


def test_a_map_with_two_names_is_trained_once():
    shared = torch.nn.Linear(3, 3)
    net = torch.nn.ModuleDict({"one": shared, "two": shared, "three": torch.nn.Linear(3, 3)})
    assert targets(Model(net), None, ()) == ["one", "three"]


def test_what_is_offloaded_cannot_be_trained():
    base = Model(network("llama").to("meta"))
    with pytest.raises(ModelError, match=r"q_proj: its weight is not in memory; load the model"):
        trainable(base, targets(base, None, ("q_proj",)), 2, 1.0, np.random.default_rng(0))
