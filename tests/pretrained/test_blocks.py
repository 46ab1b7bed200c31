"""_blocks: decisions and outputs by hand, on dense updates and one token at a time."""

import numpy as np
import pytest
import torch
from causal import TOKENS, network

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, attached, block_gates, maps

KINDS = {
    "llama": ("model.layers.{}.mlp", "model.layers.{}.self_attn"),
    "gpt2": ("transformer.h.{}.mlp", "transformer.h.{}.attn"),
    "phi": ("model.layers.{}.mlp", "model.layers.{}.self_attn"),
}
ORDINARY = [{"input_ids": torch.tensor([row])} for row in ([2, 9, 4, 4, 8], [1, 6], [30, 3, 12])]


def logits(network):
    """Of all positions, without a cache."""
    with torch.no_grad():
        return network(input_ids=TOKENS, use_cache=False).logits


def model(kind):
    return Model(network(kind).double())


def shelf(known, count=2, only=""):
    """Adapters of rank 1 of all maps in blocks."""
    rng = np.random.default_rng(0)
    places = {n: m.shape for n, m in maps(known).items() if not m.embedding and "lm_head" not in n}
    places = {name: shape for name, shape in places.items() if only in name}
    return [
        Adapter.of({n: gaussian(rng, *shape, 1, 0.4) for n, shape in places.items()})
        for _ in range(count)
    ]


def outputs(known, acting, block, tokens, weights):
    """What a block puts out if adapters have these weights there and none elsewhere."""
    rows = [name.rpartition(".")[0] == block for name in acting.names]
    acting.follow(None)
    acting.set(np.outer(rows, weights))
    seen = []

    def _see(_, __, out):
        seen.append((out[0] if isinstance(out, tuple) else out)[0])

    handle = known.network.get_submodule(block).register_forward_hook(_see)
    with torch.no_grad():
        known.network(input_ids=tokens, use_cache=False)
    handle.remove()
    return seen[0].numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("z", [0, 1.5])
def test_the_first_block_decides_as_by_hand(kind, z):
    """What comes into the first attention depends on no adapter, so its outputs are as alone."""
    known = model(kind)
    adapters, block = shelf(known), KINDS[kind][1].format(0)
    with attached(known, adapters) as plain:

        def _responses(tokens):
            bare = outputs(known, plain, block, tokens, [0, 0])
            each = [outputs(known, plain, block, tokens, row) for row in np.eye(2)]
            return np.stack([np.linalg.norm(one - bare, axis=1) for one in each], axis=1)

        ordinary = np.concatenate([_responses(told["input_ids"]) for told in ORDINARY])
        limits = ordinary.mean(0) + z * ordinary.std(0)
        wanted = _responses(TOKENS[:1]) > limits
    with attached(known, adapters) as acting:
        block_gates(known, acting, ORDINARY, z=z)
        with torch.no_grad():
            known.network(input_ids=TOKENS[:1], use_cache=False)
        name = next(name for name in acting.names if name.startswith(block))
        on = acting.route(name, torch.zeros(TOKENS.shape[1], acting.updates[name][0].down.shape[1]))
    assert np.array_equal(on.numpy() > 0, wanted)
    assert set(on.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("block", [KINDS["llama"][1].format(0), KINDS["llama"][0].format(1)])
def test_a_switch_turns_exactly_at_its_limit(block):
    """In later blocks too: what comes in is the base's where limits are found, and nothing acts."""
    known = model("llama")
    adapters = shelf(known)

    def _responses(acting, tokens):
        bare = outputs(known, acting, block, tokens, [0, 0])
        each = [outputs(known, acting, block, tokens, row) for row in np.eye(2)]
        return np.stack([np.linalg.norm(one - bare, axis=1) for one in each], axis=1)

    with attached(known, adapters) as plain:
        ordinary = np.concatenate([_responses(plain, told["input_ids"]) for told in ORDINARY])
        scores = (_responses(plain, TOKENS[:1]) - ordinary.mean(0)) / ordinary.std(0)
    most = np.unravel_index(np.argmax(scores), scores.shape)
    assert scores[most] > 0.3
    for shift, wanted in ((-1e-6, 1.0), (1e-6, 0.0)):
        with attached(known, adapters) as acting:
            block_gates(known, acting, ORDINARY, z=float(scores[most]) + shift)
            here = [name.rpartition(".")[0] == block for name in acting.names]
            acting.set(np.outer(here, [1, 1]))
            with torch.no_grad():
                known.network(input_ids=TOKENS[:1], use_cache=False)
            name = acting.names[here.index(True)]
            width = acting.updates[name][0].down.shape[1]
            on = acting.route(name, torch.zeros(TOKENS.shape[1], width, dtype=torch.float64))
        assert on[most] == wanted


def test_what_limits_were_found_from_is_not_kept():
    known = model("llama")
    with attached(known, shelf(known)) as acting:
        block_gates(known, acting, ORDINARY)
        hooks = [hook for m in known.network.modules() for hook in m._forward_pre_hooks.values()]
        assert len(hooks) == 4
        assert not any(hook.args[0].seen for hook in hooks)


def test_what_is_off_leaves_the_base_and_what_is_on_is_the_sum():
    known = model("llama")
    adapters = shelf(known)
    bare = logits(known.network)
    with attached(known, adapters):
        whole = logits(known.network)
    with attached(known, adapters) as acting:
        block_gates(known, acting, ORDINARY, z=1e6)
        assert torch.allclose(logits(known.network), bare, rtol=0, atol=1e-12)
        block_gates(known, acting, ORDINARY, z=-1e6)
        assert torch.allclose(logits(known.network), whole, rtol=0, atol=1e-10)
    assert torch.equal(logits(known.network), bare)
    assert not any(m._forward_pre_hooks for m in known.network.modules())


def test_a_token_is_decided_by_itself_not_by_its_neighbours_in_the_batch():
    known = model("llama")
    with attached(known, shelf(known)) as acting:
        block_gates(known, acting, ORDINARY, z=0.5)
        both = logits(known.network)
        with torch.no_grad():
            each = [known.network(input_ids=row[None], use_cache=False).logits for row in TOKENS]
    assert torch.allclose(both, torch.cat(each), rtol=0, atol=1e-10)


def test_an_adapter_cut_in_a_layer_is_never_on_there():
    known = model("llama")
    adapters = shelf(known)
    with attached(known, adapters) as acting:
        block_gates(known, acting, ORDINARY, z=-1e6)
        acting.coefficients[acting.layers >= 1, 0] = 0
        found = logits(known.network)
    with attached(known, adapters) as plain:
        plain.coefficients[plain.layers >= 1, 0] = 0
        wanted = logits(known.network)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-10)


def test_a_cache_padding_and_maps_outside_blocks_are_refused():
    known = model("llama")
    with attached(known, shelf(known)) as acting:
        block_gates(known, acting, ORDINARY)
        with pytest.raises(ModelError, match="use_cache=False"):
            known.network(input_ids=TOKENS, use_cache=True)
    padded = {"input_ids": TOKENS, "attention_mask": torch.tensor([[0, 1, 1, 1, 1], [1] * 5])}
    with attached(known, shelf(known)) as acting, pytest.raises(ModelError, match="padded"):
        block_gates(known, acting, [padded])
    with attached(known, shelf(known)) as acting, pytest.raises(ModelError, match="no token came"):
        block_gates(known, acting, [])
    head = [Adapter.of({"lm_head": gaussian(np.random.default_rng(0), 31, 16, 1)})]
    with attached(known, head) as acting, pytest.raises(ModelError, match="in no block"):
        block_gates(known, acting, ORDINARY)
