"""_acting: coefficients of every shape, wrong ones refused, and routes over embeddings too."""

import numpy as np
import pytest
import torch
from causal import VOCABULARY, logits, network

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, attached

NAMES = ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "lm_head")


def shelf(count, seed=0):
    """So many adapters of three modules."""
    rng = np.random.default_rng(seed)
    shapes = dict(zip(NAMES, ((16, 16), (16, 16), (VOCABULARY, 16)), strict=True))
    return [
        Adapter.of({name: gaussian(rng, *shape, 1) for name, shape in shapes.items()})
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def model():
    return Model(network("llama"))


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (0.1, [[0.1, 0.1]] * 3),
        (2, [[2, 2]] * 3),
        ([0.25, -1], [[0.25, -1]] * 3),
        ([[1], [2], [3]], [[1, 1], [2, 2], [3, 3]]),
        (np.arange(6.0).reshape(3, 2), [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_numbers_go_to_adapters_and_columns_to_modules(model, given, rows):
    with attached(model, shelf(2)) as acting:
        assert acting.coefficients.tolist() == [[1.0, 1.0]] * 3
        acting.set(given)
        assert acting.coefficients.tolist() == rows
        assert acting.names == NAMES


@pytest.mark.parametrize("given", [[1.0, 2.0, 3.0], [[1.0, 2.0]] * 2, np.ones((1, 3, 2, 2))])
def test_wrong_shapes_are_refused_and_change_nothing(model, given):
    with attached(model, shelf(2), 0.5) as acting:
        with pytest.raises(ValueError, match=r"give one number, 2 \(one for each adapter\)"):
            acting.set(given)
        assert acting.coefficients.tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, [1.0, -np.inf]])
def test_numbers_that_are_not_finite_are_refused(model, bad):
    with attached(model, shelf(2), 0.5) as acting:
        with pytest.raises(ValueError, match="not all finite: use 0 to leave one out"):
            acting.set(bad)
        assert acting.coefficients.tolist() == [[0.5, 0.5]] * 3


def test_an_error_inside_takes_the_adapters_off_as_well(model):
    base = logits(model.network)
    acting = attached(model, shelf(1))
    assert not torch.equal(logits(model.network), base)
    with pytest.raises(IndexError), acting:
        model.network(torch.tensor([[VOCABULARY]]))
    assert torch.equal(logits(model.network), base)
    acting.remove()  # twice does no harm


def test_updates_are_those_of_the_adapters_in_single_precision(model):
    one, two = shelf(2)
    two = Adapter.of({name: two[name] for name in NAMES[:1]})
    with attached(model, [one, two]) as acting:
        assert tuple(acting.updates) == NAMES
        assert [low.width for low in acting.updates["lm_head"]] == [1, 0]
        for name in NAMES:
            there = acting.updates[name][0]
            assert torch.allclose(there.dense().double(), torch.asarray(one[name].dense()))


def test_a_route_can_be_followed_and_left(model):
    with attached(model, shelf(2)) as acting:
        full = logits(model.network)
        acting.follow(lambda _, x: torch.zeros(len(x), 2))
        none = logits(model.network)
        acting.follow(None)
        assert torch.equal(logits(model.network), full)
    assert torch.allclose(none, logits(model.network))


def test_embeddings_have_nothing_to_route_by(model):
    rng = np.random.default_rng(1)
    name = "model.embed_tokens"
    info = Info(embeddings=frozenset({name}))
    one = Adapter.of({name: gaussian(rng, 16, VOCABULARY, 1)}, info)
    with pytest.raises(ModelError, match="embed_tokens: the inputs of an embedding are no vectors"):
        attached(model, [one], route=lambda _, x: x)
    assert not any(module._forward_hooks for module in model.network.modules())
