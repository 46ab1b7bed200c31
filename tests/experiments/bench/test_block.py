"""Block gates against decisions taken with dense weights, token by token."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reused import enlarged, taught, update

from loratheory.bench.answers import accuracies, scores
from loratheory.bench.library import Acting, BlockGates, acting, activations
from loratheory.bench.rules import block_gates, everything, rule
from loratheory.toy.transformer import ATTENTION, MLP, Site

SITE = Site("mlp.in", 1, 0)


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught())


def by_hand(adapted, replica, x):
    """The responses (N, K) of one replica, with dense weights in float64."""
    model = replica // adapted.teaching.sets
    first, second = (
        adapted.bases.weights[f"layers.0.mlp.{side}"][model].double() for side in ("in", "out")
    )
    bare = F.gelu(x @ first.T) @ second.T
    found = []
    for adapter in adapted.adapters:
        one, two = (update(adapter, f"layers.0.mlp.{side}", replica) for side in ("in", "out"))
        found.append((F.gelu(x @ (first + one).T) @ (second + two).T - bare).norm(dim=-1))
    return torch.stack(found, dim=-1)


def test_responses_are_changes_of_the_whole_mlp(adapted):
    x = torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(1))
    found = BlockGates(adapted, 2.0).responses(SITE, x)
    for e in range(4):
        torch.testing.assert_close(
            found[e].double(), by_hand(adapted, e, x[e].double()), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("by", ["z", "rate"])
def test_thresholds_are_those_of_base_activations_on_random_tokens(adapted, by):
    seen = activations(adapted.bases)[SITE].double()
    found = BlockGates(adapted, 0.1 if by == "rate" else 1.5, by).threshold(SITE)
    for e in range(4):
        each = by_hand(adapted, e, seen[e // 2])
        if by == "z":
            wanted = each.mean(dim=0) + 1.5 * each.std(dim=0)
            torch.testing.assert_close(found[e, 0].double(), wanted, rtol=1e-4, atol=1e-5)
        else:
            share = (each > found[e, 0]).double().mean(dim=0)
            assert (share - 0.1).abs().max() < 0.005


def test_the_adapters_that_are_on_act_in_full_on_both_maps(adapted):
    gates = BlockGates(adapted, 0.5)
    x = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(2))
    act = Acting(everything(adapted, gates))
    first = act(SITE, x)
    on = gates.responses(SITE, x) > gates.threshold(SITE)
    assert 0 < on.double().mean() < 1
    wanted = sum(on[:, :, j, None] * a(SITE, x) for j, a in enumerate(adapted.adapters))
    torch.testing.assert_close(first, wanted)
    second, inner = Site("mlp.out", 1, 0), torch.randn(4, 6, 64)
    wanted = sum(on[:, :, j, None] * a(second, inner) for j, a in enumerate(adapted.adapters))
    torch.testing.assert_close(act(second, inner), wanted)
    assert act(Site("attention.key", 1, 0), x) is None


def test_out_of_reach_thresholds_leave_the_base_and_no_threshold_is_the_sum(adapted):
    prompts = [one.questions for one in adapted.trials[0]]
    bare = scores(adapted.bases, prompts)
    np.testing.assert_array_equal(
        scores(adapted.bases, prompts, acting(adapted, block_gates(1e9))[0]), bare
    )
    every = scores(adapted.bases, prompts, acting(adapted, block_gates(-1e9))[0])
    np.testing.assert_allclose(
        every, scores(adapted.bases, prompts, acting(adapted, rule("sum"))[0]), atol=1e-4
    )
    assert set(accuracies(adapted, acting(adapted, block_gates(2.0)))) >= {
        "two_hop",
        "other_two_hop",
    }


def test_attention_is_judged_by_what_a_token_reads_of_itself():
    adapted = enlarged(taught(modules=ATTENTION))
    site = Site("attention.query", 0, 0)
    x = torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(3))
    gates = BlockGates(adapted, 0.5)
    found = gates.responses(site, x)
    for e in range(4):
        value, output = (
            adapted.bases.weights[f"layers.0.attention.{side}"][e // 2].double()
            for side in ("value", "output")
        )
        one = x[e].double()
        for j, adapter in enumerate(adapted.adapters):
            first, second = (
                update(adapter, f"layers.0.attention.{side}", e) for side in ("value", "output")
            )
            change = one @ (value + first).T @ (output + second).T - one @ value.T @ output.T
            wanted = change.norm(dim=-1)
            torch.testing.assert_close(found[e, :, j].double(), wanted, rtol=1e-4, atol=1e-5)
    act = Acting(everything(adapted, gates))
    act(site, x)
    on = found > gates.threshold(site)
    assert 0 < on.double().mean() < 1
    for part in ("key", "output"):
        place = Site(f"attention.{part}", 0, 0)
        wanted = sum(on[:, :, j, None] * a(place, x) for j, a in enumerate(adapted.adapters))
        torch.testing.assert_close(act(place, x), wanted)
    assert act(Site("mlp.in", 0, 0), x) is None


def test_both_kinds_of_blocks_decide_apart_and_without_thresholds_sum():
    adapted = enlarged(taught(modules=(*MLP, "attention.value", "attention.output")))
    prompts = [one.questions for one in adapted.trials[0]]
    every = scores(adapted.bases, prompts, acting(adapted, block_gates(-1e9))[0])
    np.testing.assert_allclose(
        every, scores(adapted.bases, prompts, acting(adapted, rule("sum"))[0]), atol=1e-4
    )
    gates = BlockGates(adapted, 0.0)
    scores(adapted.bases, prompts, Acting(everything(adapted, gates)))
    assert {site.module for site in gates.on} == {"mlp.in", "attention.query"}


def test_an_adapted_head_is_refused():
    with pytest.raises(ValueError, match=r"the head is adapted: use a router"):
        block_gates()(taught(modules=("head",)))
