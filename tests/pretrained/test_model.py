"""_model: the maps of a network, by all their names and in the shape of updates."""

import pytest
import torch
from causal import CONFIGS, VOCABULARY, network
from torch import nn

from loratheory.pretrained import Model, ModelError, maps


@pytest.mark.parametrize("kind", CONFIGS)
def test_shapes_are_outputs_by_inputs(kind):
    """Seen from outside: what goes in and what comes out."""
    for name, found in maps(Model(network(kind))).items():
        m, n = found.shape
        x = torch.tensor([n - 1]) if found.embedding else torch.ones(1, n)
        assert found.module(x).shape == (1, m), name


def test_attention_feed_forward_and_both_ends_are_found():
    found = maps(Model(network("gpt2")))
    assert found["transformer.h.1.attn.c_attn"].shape == (48, 16)
    assert found["transformer.h.0.mlp.c_proj"].shape == (16, 64)
    assert found["lm_head"].shape == (VOCABULARY, 16)
    assert {name for name, one in found.items() if one.embedding} == {
        "transformer.wte",
        "transformer.wpe",
    }


def test_a_module_that_stands_in_two_places_has_both_names():
    shared = nn.Linear(3, 2)
    net = nn.ModuleDict({"one": shared, "two": shared, "norm": nn.LayerNorm(3)})
    found = maps(Model(net))
    assert [*found] == ["one", "two"]
    assert found["one"].module is found["two"].module


def test_packed_weights_are_refused():
    net = nn.ModuleDict({"q": nn.Linear(3, 2)})
    net["q"].weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(ModelError, match=r"ModuleDict: weights of q are packed as torch\.uint8"):
        maps(Model(net))
    with pytest.raises(ModelError, match=r"a/b: weights of q are packed .* quantised bases"):
        maps(Model(net, name="a/b"))
