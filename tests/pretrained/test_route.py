"""_route: Arrow and calibrated gates of the library act on a real architecture."""

import numpy as np
import pytest
import torch
from causal import TOKENS, logits, network

from loratheory.adapters import Adapter, Router, arrow_scores, calibrate, response_scores
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, attached, inputs, routed

NAMES = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("gate", "down")]


@pytest.fixture
def model():
    return Model(network("qwen2").double())


def shelf(count=3):
    """Adapters of rank 1 of two maps a layer."""
    rng = np.random.default_rng(0)
    return [
        Adapter.of(
            {name: gaussian(rng, *((24, 16) if "gate" in name else (16, 24)), 1) for name in NAMES}
        )
        for _ in range(count)
    ]


def by_hand(model, adapters, choose):
    """Logits with the weights of `choose`, token by token, on dense updates."""
    handles = []
    for name in NAMES:
        dense = [torch.asarray(one[name].dense()) for one in adapters]

        def _hook(_, args, out, name=name, dense=dense):
            rows = args[0].reshape(-1, args[0].shape[-1])
            changes = [
                sum(w * delta @ x for w, delta in zip(choose(name, dense, x), dense, strict=True))
                for x in rows
            ]
            return out + torch.stack(changes).reshape(out.shape)

        handles.append(model.network.get_submodule(name).register_forward_hook(_hook))
    found = logits(model.network)
    for handle in handles:
        handle.remove()
    return found


def test_exact_arrow_sends_each_token_to_its_adapter(model):
    adapters = shelf()
    with attached(model, adapters) as acting:
        routers = {name: Router(arrow_scores(low)) for name, low in acting.updates.items()}
        acting.follow(routed(routers))
        ours = logits(model.network)

    def nearest(_, dense, x):
        tops = [torch.linalg.svd(delta).Vh[0] for delta in dense]
        best = int(torch.stack([(top @ x).abs() for top in tops]).argmax())
        return [float(i == best) for i in range(len(dense))]

    assert torch.allclose(ours, by_hand(model, adapters, nearest), rtol=1e-8, atol=1e-8)
    assert not torch.allclose(ours, logits(model.network), atol=0.1)


def test_gates_calibrated_on_the_model_open_above_what_they_met_there(model):
    adapters = shelf()
    rng = np.random.default_rng(1)
    base = inputs(model, [{"input_ids": torch.asarray(rng.integers(0, 31, (20, 5)))}], NAMES)
    with attached(model, adapters) as acting:
        gates = {
            name: calibrate(low, base[name], budget=0.5) for name, low in acting.updates.items()
        }
        acting.follow(routed(gates))
        ours = logits(model.network)

    def loud(name, dense, x):
        return [
            float((delta @ x).norm() > threshold)
            for delta, threshold in zip(dense, gates[name].thresholds, strict=True)
        ]

    assert torch.allclose(ours, by_hand(model, adapters, loud), rtol=1e-8, atol=1e-8)
    opened = [gates[name].weights(base[name]).mean(dim=0) for name in NAMES]
    assert all((share > 0).all() and (share < 0.2).all() for share in opened)


def test_coefficients_and_routes_multiply(model):
    adapters = shelf(2)
    with attached(model, adapters, [2.0, 0.0]) as acting:
        routers = {
            name: Router(response_scores(low), top_k=2) for name, low in acting.updates.items()
        }
        acting.follow(routed(routers))
        ours = logits(model.network)

    def soft(_, dense, x):
        lengths = torch.stack([(delta @ x).norm() for delta in dense])
        return [2.0 * float(torch.softmax(lengths, 0)[0]), 0.0]

    assert torch.allclose(ours, by_hand(model, adapters, soft), rtol=1e-8, atol=1e-8)


def test_a_module_without_a_router_is_named(model):
    with (
        attached(model, shelf(1), route=routed({})),
        pytest.raises(ModelError, match=r"model\.layers\.0\.mlp\.gate_proj: there is no router"),
    ):
        model.network(TOKENS)
