"""_inputs: what modules are fed, against hidden states that transformers reports itself."""

import pytest
import torch
from causal import TOKENS, network

from loratheory.pretrained import Model, ModelError, inputs

Q, K = (f"model.layers.1.self_attn.{part}_proj" for part in "qk")


@pytest.fixture(scope="module")
def model():
    return Model(network("llama"))


def normed(model, ids):
    """The second layer's attention reads the first layer's output, normalised."""
    with torch.no_grad():
        states = model.network(ids, output_hidden_states=True).hidden_states
        return model.network.model.layers[1].input_layernorm(states[1])


def test_rows_are_the_tokens_in_order_over_all_batches(model):
    batches = [{"input_ids": TOKENS}, {"input_ids": TOKENS[:1, :3]}]
    found = inputs(model, batches, [Q, "lm_head"])
    expected = [normed(model, batch["input_ids"]).reshape(-1, 16) for batch in batches]
    assert torch.allclose(found[Q], torch.cat(expected), atol=1e-5)
    assert found["lm_head"].shape == (13, 16)


def test_padding_is_left_out(model):
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    found = inputs(model, [{"input_ids": TOKENS, "attention_mask": mask}], [Q])
    short = normed(model, TOKENS[:1, :3])[0]
    assert torch.allclose(found[Q], torch.cat([short, normed(model, TOKENS[1:])[0]]), atol=1e-5)


def test_maps_that_read_the_same_share_one_tensor(model):
    batches = [{"input_ids": TOKENS}] * 2
    found = inputs(model, batches, [Q, K, "lm_head"])
    assert found[Q] is found[K]
    assert found[Q] is not found["lm_head"]


def test_no_hook_stays(model):
    inputs(model, [{"input_ids": TOKENS}], [Q])
    with pytest.raises((TypeError, ValueError)):
        inputs(model, [{"nonsense": TOKENS}], [Q])
    assert not any(module._forward_pre_hooks for module in model.network.modules())


def test_what_is_no_linear_map_or_not_reached_is_refused(model):
    for name in ("model.embed_tokens", "model.norm", "nowhere"):
        with pytest.raises(ModelError, match=f"LlamaForCausalLM: {name} is no linear map of it"):
            inputs(model, [{"input_ids": TOKENS}], [Q, name])
    with pytest.raises(ModelError, match="no token came there; give prompts that reach it"):
        inputs(model, [], [Q])
