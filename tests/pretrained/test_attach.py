"""_attach: the same logits as PEFT's, and the base again afterwards, on eight architectures."""

import warnings

import numpy as np
import pytest
import torch
from causal import CONFIGS, TOKENS, VOCABULARY, logits, network, peft_logits, save_adapter
from folders import folder

from loratheory.adapters import Adapter, read
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, OtherBaseWarning, attached


def close(ours, theirs):
    """Equal to float32 rounding of what passes through these networks."""
    return torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_two_adapters_act_as_in_peft_and_leave_no_trace(kind, tmp_path):
    shelf = [
        save_adapter(tmp_path / "one", kind, seed=1),
        save_adapter(tmp_path / "two", kind, seed=2, r=2, use_rslora=True),
    ]
    net = network(kind)
    base = logits(net)
    weights = {name: weight.clone() for name, weight in net.state_dict().items()}
    with attached(Model(net), [read(one) for one in shelf]) as acting:
        both = logits(net)
        acting.set([0, 1])
        second = logits(net)
        acting.set(0)
        assert torch.equal(logits(net), base)
    assert close(both, peft_logits(kind, shelf))
    assert close(second, peft_logits(kind, shelf[1:]))
    assert min(float((both - base).abs().max()), float((both - second).abs().max())) > 0.1
    assert torch.equal(logits(net), base)
    assert all(torch.equal(weights[name], weight) for name, weight in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_single_precision_adapters_act_on_a_half_precision_base_as_in_peft(dtype, tmp_path):
    one = save_adapter(tmp_path / "one", "llama", seed=1)
    net = network("llama").to(dtype)
    with attached(Model(net), [read(one)]):
        ours = logits(net)
    assert ours.dtype == dtype
    theirs = peft_logits("llama", [one], dtype)
    assert torch.allclose(ours, theirs, rtol=0.05, atol=0.05)
    assert float((ours - logits(net)).abs().max()) > 0.2


def test_any_coefficients_act_as_the_weighted_sum_on_the_weights():
    """By a second route: the weights of a double-precision model, changed by hand."""
    rng = np.random.default_rng(0)
    net = network("llama").double()
    shapes = {
        f"model.layers.{layer}.self_attn.{name}_proj": (8 if name == "v" else 16, 16)
        for layer in (0, 1)
        for name in "qv"
    } | {"lm_head": (VOCABULARY, 16)}
    shelf = [
        Adapter.of({name: gaussian(rng, *shape, r, 0.3) for name, shape in shapes.items()})
        for r in (1, 3, 2)
    ]
    coefficients = rng.standard_normal((len(shapes), 3))
    with attached(Model(net), shelf) as acting:
        acting.coefficients = coefficients.copy()
        ours = logits(net)
        assert acting.layers.tolist() == [0, 0, 1, 1, -1]
        acting.coefficients[acting.layers >= 1, 1] = 0
        cut = logits(net)
    for row, (name, values) in enumerate(zip(shapes, coefficients, strict=True)):
        change = sum(c * one[name].dense() for c, one in zip(values, shelf, strict=True))
        net.get_submodule(name).weight += torch.asarray(change)
        assert acting.names[row] == name
    assert torch.allclose(ours, logits(net), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(ours, cut, rtol=1e-3)


def test_attached_twice_they_add_up():
    rng = np.random.default_rng(1)
    name = "model.layers.0.mlp.down_proj"
    one, two = (Adapter.of({name: gaussian(rng, 16, 24, 2)}) for _ in range(2))
    net = network("llama").double()
    with attached(Model(net), [one, two], [0.5, 2.0]):
        at_once = logits(net)
    with attached(Model(net), [one], 0.5), attached(Model(net), [two], 2.0):
        nested = logits(net)
    assert torch.allclose(at_once, nested, rtol=1e-12)


def test_experts_that_are_linear_maps_get_their_own_updates():
    """Called with some tokens, by keyword, or with none."""

    class Experts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.experts = torch.nn.ModuleList(torch.nn.Linear(4, 3) for _ in range(3))

        def forward(self, x):
            unused = self.experts[1](x[:0]).sum()
            return self.experts[0](x[:1]) + self.experts[2](input=x[1:]) + unused

    rng = np.random.default_rng(2)
    net, x = Experts(), torch.randn(2, 4)
    names = [f"experts.{i}" for i in range(3)]
    shelf = Adapter.of({name: gaussian(rng, 3, 4, 1) for name in names})
    plain = net(x)
    with torch.no_grad(), attached(Model(net), [shelf]):
        change = net(x) - plain
    first, last = (torch.asarray(shelf[name].dense()).float() for name in (names[0], names[2]))
    assert torch.allclose(change[0], first @ x[0] + last @ x[1], atol=1e-5)


def test_a_route_weighs_tokens_module_by_module():
    rng = np.random.default_rng(3)
    names = [f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)]
    shelf = [Adapter.of({name: gaussian(rng, 16, 16, 2) for name in names}) for _ in range(2)]
    net = network("llama").double()
    met = []

    def only_second_layer(name, x):
        met.append((name, tuple(x.shape)))
        return torch.full((len(x), 2), float(name == names[1]), dtype=x.dtype)

    with attached(Model(net), shelf, [1.0, 0.5], route=only_second_layer) as acting:
        ours = logits(net)
        acting.follow(None)
        acting.coefficients[0] = 0
        assert torch.allclose(ours, logits(net), rtol=1e-12)
    assert met == [(name, (TOKENS.numel(), 16)) for name in names]


def test_a_misfit_leaves_nothing_behind():
    net = network("llama")
    rng = np.random.default_rng(4)
    good = Adapter.of({"lm_head": gaussian(rng, VOCABULARY, 16, 1)})
    for arguments in ([[good], [1.0, 2.0, 3.0]], [[good], float("nan")]):
        with pytest.raises(ValueError, match="coefficients"):
            attached(Model(net), *arguments)
    assert not any(module._forward_hooks for module in net.modules())


def test_another_base_is_said_and_no_obstacle(tmp_path):
    told = {"base_model_name_or_path": "someone/other", "target_modules": ["lm_head"]}
    one = read(folder(tmp_path / "one", {"lm_head": (VOCABULARY, 16, 2)}, **told))
    model = Model(network("llama"), name="someone/this")
    with pytest.warns(OtherBaseWarning, match="trained on someone/other, this is someone/this"):
        attached(model, [one]).remove()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attached(Model(model.network), [one]).remove()


def test_gradients_pass_through():
    net = network("llama").double()
    one = Adapter.of({"lm_head": LowRank(np.ones((VOCABULARY, 1)), np.eye(16)[:1])})
    x = torch.randn(1, 2, 16, dtype=torch.float64, requires_grad=True)
    with attached(Model(net), [one], 3.0):
        net.lm_head(x).sum().backward()
    expected = net.lm_head.weight.sum(dim=0) + 3.0 * VOCABULARY * torch.eye(16)[0].double()
    assert torch.allclose(x.grad[0, 0], expected)
