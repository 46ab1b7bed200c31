"""Our rules and PEFT's on one small module: where they agree, and where they are known not to."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import merge_utils

from loratheory.adapters import METHODS, Options
from loratheory.adapters._entrywise import elected
from loratheory.lowrank import LowRank

WIDE, OUT, RANK = 7, 6, 2


def peft_model():
    """Two adapters of one scale on one linear map, with random factors."""
    torch.manual_seed(0)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["0"])
    model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(WIDE, OUT).double()), config, "one")
    model.add_adapter("two", config)
    layer = model.base_model.model[0]
    for name in ("one", "two"):
        for part in (layer.lora_A[name], layer.lora_B[name]):
            torch.nn.init.normal_(part.weight)
    return model, layer


def update(layer, name):
    """The effective update in float64, its scale in the first factor."""
    up, down = layer.lora_B[name].weight, layer.lora_A[name].weight
    return LowRank(
        layer.scaling[name] * up.detach().double().numpy(), down.detach().double().numpy()
    )


@pytest.mark.parametrize("weights", [[0.7, 0.3], [1.5, -0.5]])
@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("cat", "cat", Options()),
        ("svd", "svd", Options(rank=2)),
        ("linear", "factor-linear", Options()),
        ("magnitude_prune_svd", "magnitude", Options(rank=2, density=0.5)),
    ],
)
def test_peft_agrees(kind, name, options, weights):
    model, layer = peft_model()
    extra = {"svd_rank": 2} if "svd" in kind else {}
    if "prune" in kind:
        extra["density"] = 0.5
    model.add_weighted_adapter(["one", "two"], weights, "merged", combination_type=kind, **extra)
    ours = METHODS[name].rule([update(layer, x) for x in ("one", "two")], weights, options)
    np.testing.assert_allclose(update(layer, "merged").dense(), ours.dense(), atol=1e-4)


def test_ties_agrees_for_equal_weights():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 5, 4))
    theirs = merge_utils.ties([torch.tensor(one), torch.tensor(two)], torch.ones(2), density=0.5)
    pair = [LowRank(np.eye(5), x) for x in (one, two)]
    ours = METHODS["ties"].rule(pair, [1.0, 1.0], Options(density=0.5))
    np.testing.assert_allclose(ours.dense(), theirs.numpy(), atol=1e-6)


def test_peft_elects_signs_before_weights_and_divides_by_the_head_count():
    """Known differences, by hand: PEFT loses (1, 3) - (1, -3) where we keep what agrees."""
    one, two = np.array([[1.0, 3.0]]), np.array([[2.0, -3.0]])
    tensors = [torch.tensor(one), torch.tensor(two)]

    def peft(weights):
        mask = merge_utils.calculate_majority_sign_mask(torch.stack(tensors))
        parts = torch.stack([w * x for w, x in zip(weights, tensors, strict=True)])
        return merge_utils.disjoint_merge(parts, mask).numpy()

    np.testing.assert_allclose(peft([1.0, -1.0]), [[-0.5, 3.0]])
    np.testing.assert_allclose(elected([one, two], [1.0, -1.0]), [[-2.0, 3.0]])
    np.testing.assert_allclose(peft([0.5, 0.5]), [[0.75, 1.5]])
    np.testing.assert_allclose(elected([one, two], [0.5, 0.5]), [[1.5, 0.0]])
