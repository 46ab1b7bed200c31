"""_cost: against PyTorch's own counts of operations and of what it keeps for the way back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM
from worded import Words

from loratheory.pretrained import Model, Training, cost, trained

PLAN = Training(rank=4, batch=4, steps=1, enough=0.0)
TOKENS = 12


def llama(**changes):
    sizes = {"hidden_size": 128, "intermediate_size": 341, "num_hidden_layers": 6}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 4001}
    network = LlamaForCausalLM(LlamaConfig(**sizes, **heads, **changes))
    return Model(network.eval().requires_grad_(False), Words(), "llama")


def examples(count):
    return [(" ".join(f"w{i}-{j}" for j in range(TOKENS)), f"a{i}") for i in range(count)]


def counted(model, plan):
    """Operations of a step, and bytes kept for the backward pass, as PyTorch sees them."""
    kept = {}

    def _pack(x):
        known = {p.data_ptr() for p in model.network.parameters()}
        if x.untyped_storage().data_ptr() not in known:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    keeping = torch.autograd.graph.saved_tensors_hooks(_pack, lambda x: x)
    with FlopCounterMode(display=False) as counter, keeping:
        found = trained(model, examples(4), plan, rng=np.random.default_rng(0))
    return counter.get_total_flops(), sum(kept.values()), found.adapter


@pytest.mark.parametrize("layers", [None, (0, 3), (3, 6)])
def test_operations_are_those_that_pytorch_counts(layers):
    plan, model = replace(PLAN, layers=layers), llama()
    told = cost(model, plan, tokens=TOKENS)
    operations, kept, adapter = counted(model, plan)
    assert told.operations == pytest.approx(operations, rel=0.2)
    assert 0.6 < told.activations / kept < 1.7
    assert told.trained == sum(low.up.size + low.down.size for low in adapter.values())


def test_memory_is_weights_trained_numbers_and_activations():
    model = llama()
    told = cost(model, PLAN, tokens=TOKENS)
    assert told.weights == 4 * sum(p.numel() for p in model.network.parameters())
    assert told.memory == told.weights + 16 * told.trained + told.activations


def test_passes_lower_activations_alone():
    model, plan = llama(), replace(PLAN, batch=8)
    whole, parts = (cost(model, replace(plan, accumulate=n), tokens=TOKENS) for n in (1, 4))
    assert parts == replace(whole, activations=whole.activations // 4)


def test_half_precision_halves_weights_and_activations():
    model = llama()
    single = cost(model, PLAN, tokens=TOKENS)
    half = cost(replace(model, network=model.network.bfloat16()), PLAN, tokens=TOKENS)
    assert (half.weights, half.activations) == (single.weights // 2, single.activations // 2)
    assert half.operations == single.operations


def test_nothing_is_computed():
    with torch.device("meta"):
        model = llama()
    assert cost(model, PLAN, tokens=TOKENS) == cost(llama(), PLAN, tokens=TOKENS)
