"""_site: one module, many adapters: types, embeddings, kept scales and devices."""

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained._attach import site
from loratheory.pretrained._model import Map


def linear(rng, dtype=torch.float64):
    """A map of 4 inputs and 3 outputs, and updates of ranks 2, 0 and 1."""
    module = nn.Linear(4, 3).to(dtype).requires_grad_(False)
    return Map(module, (3, 4), False), [gaussian(rng, 3, 4, r) for r in (2, 0, 1)]


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (4,), (0, 4)])
def test_the_weighted_updates_are_added_whatever_the_shape(shape):
    rng = np.random.default_rng(0)
    place, updates = linear(rng)
    one = site(place, updates)
    x = torch.asarray(rng.standard_normal(shape))
    for row in ([0.5, 9.0, -2.0], [1.0, 1.0, 1.0], [0.5, 9.0, -2.0]):
        dense = sum(c * low.dense() for c, low in zip(row, updates, strict=True))
        expected = place.module(x) + x @ torch.asarray(dense).T
        assert torch.allclose(one.added(x, place.module(x), np.array(row)), expected)


def test_the_scale_is_made_again_only_where_the_row_changed():
    one = site(*linear(np.random.default_rng(1)))
    first = one._scaled(np.array([1.0, 2.0, 3.0]))
    assert first.tolist() == [1.0, 1.0, 3.0]
    assert one._scaled(np.array([1.0, 2.0, 3.0])) is first
    assert one._scaled(np.array([4.0, 2.0, 3.0])).tolist() == [4.0, 4.0, 3.0]


@pytest.mark.parametrize("count", [1, 40])
def test_routed_outputs_are_weighed_token_by_token(count):
    rng = np.random.default_rng(2)
    place, updates = linear(rng)
    one = site(place, updates)
    x = torch.asarray(rng.standard_normal((2, count, 4)))
    weights = torch.asarray(rng.standard_normal((2 * count, 3)))
    out, row = place.module(x), np.array([2.0, 1.0, 0.0])
    ours = one.routed(x, out, row, lambda flat: weights[: len(flat)])
    changes = weights[:, :1] * 2.0 * (x.reshape(-1, 4) @ torch.asarray(updates[0].dense()).T)
    assert torch.allclose(ours, out + changes.reshape(2, count, 3))


@pytest.mark.parametrize("kind", [torch.bool, torch.int64])
def test_a_route_may_answer_yes_or_no_and_coefficients_stay_what_they_are(kind):
    rng = np.random.default_rng(2)
    place, updates = linear(rng)
    one = site(place, updates)
    x, row = torch.asarray(rng.standard_normal((5, 4))), np.array([0.5, 1.0, -0.25])
    out = place.module(x)
    ours = one.routed(x, out, row, lambda flat: torch.ones((len(flat), 3), dtype=kind))
    assert torch.allclose(ours, one.added(x, out, row))


def test_token_numbers_look_up_columns_and_a_scaled_embedding_scales_them():
    rng = np.random.default_rng(3)
    module = nn.Embedding(7, 3).double().requires_grad_(False)
    low = gaussian(rng, 3, 7, 2)
    one = site(Map(module, (3, 7), True), [low])
    ids = torch.tensor([[6, 0], [2, 2]])
    columns = torch.asarray(low.dense()).T[ids]
    out = module(ids)
    assert torch.allclose(one.added(ids, out, np.array([0.5])), out + 0.5 * columns)
    module.register_buffer("embed_scale", torch.tensor(4.0))
    assert torch.allclose(one.added(ids, out, np.array([0.5])), out + 2.0 * columns)


@pytest.mark.parametrize(
    ("weight", "factor", "wide"),
    [
        (torch.bfloat16, np.float32, torch.float32),
        (torch.bfloat16, np.float16, torch.float32),
        (torch.float16, ml_dtypes.bfloat16, torch.float32),
        (torch.float32, np.float64, torch.float64),
        (torch.float64, np.float32, torch.float64),
    ],
)
def test_factors_are_single_unless_something_is_double_and_outputs_keep_their_type(
    weight, factor, wide
):
    rng = np.random.default_rng(4)
    place, updates = linear(rng, weight)
    one = site(place, [low.map(lambda a: a.astype(factor)) for low in updates])
    assert {one.up.dtype, one.down.dtype, one.updates[0].up.dtype} == {wide}
    x = torch.ones((2, 4), dtype=weight)
    assert one.added(x, place.module(x), np.ones(3)).dtype == weight
    route = one.routed(x, place.module(x), np.ones(3), lambda flat: torch.ones(len(flat), 3))
    assert route.dtype == weight


def test_tensors_are_taken_as_they_are_and_read_only_arrays_copied():
    rng = np.random.default_rng(5)
    place, updates = linear(rng)
    frozen = updates[0].map(np.copy)
    frozen.up.flags.writeable = frozen.down.flags.writeable = False
    mixed = [frozen, updates[2].map(torch.asarray)]
    one = site(place, mixed)
    for low, there in zip((updates[0], updates[2]), one.updates, strict=True):
        assert isinstance(there, LowRank)
        assert np.allclose(low.dense(), there.dense().numpy())


def test_a_weight_that_is_elsewhere_until_it_runs_does_not_take_the_factors_along():
    """On the meta device nothing could be added: they wait, and follow the output."""
    rng = np.random.default_rng(6)
    place, updates = linear(rng)
    out = place.module(torch.ones(2, 4, dtype=torch.float64))
    one = site(Map(place.module.to("meta"), (3, 4), False), updates)
    assert one.up.device.type == "cpu"
    assert torch.isfinite(one.added(torch.ones(2, 4), out, np.ones(3))).all()
    assert one.added(torch.ones(2, 4), out.to("meta"), np.ones(3)).device.type == "meta"
    assert one.updates[0].up.device.type == "meta"


@pytest.mark.accelerator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_on_a_gpu_the_factors_lie_there_and_give_the_same():
    rng = np.random.default_rng(7)
    place, updates = linear(rng)
    x = torch.asarray(rng.standard_normal((5, 4)))
    here = site(place, updates).added(x, place.module(x), np.ones(3))
    there = Map(place.module.cuda(), (3, 4), False)
    one = site(there, updates)
    assert one.up.is_cuda
    assert torch.allclose(here, one.added(x.cuda(), there.module(x.cuda()), np.ones(3)).cpu())
