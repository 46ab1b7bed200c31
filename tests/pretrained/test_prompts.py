"""_prompts: which group is loudest by dense updates and one prompt at a time, and who then acts."""

import numpy as np
import pytest
import torch
from causal import network

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, attached, inputs, maps, prompt_gates

ORDINARY = [{"input_ids": torch.tensor([row])} for row in ([2, 9, 4, 4, 8], [1, 6], [30, 3, 12])]
PROMPTS = [[5, 2, 2, 17, 9, 1], [8, 30], [11, 4, 3, 3], [6, 7, 21, 21, 21], [13, 1, 2]]
PAIRS = ((0, 1), (2, 3))


@pytest.fixture
def known():
    return Model(network("llama").double())


@pytest.fixture
def shelf(known):
    rng = np.random.default_rng(0)
    places = {n: m.shape for n, m in maps(known).items() if not m.embedding and "lm_head" not in n}
    return [
        Adapter.of({n: gaussian(rng, *shape, 2, 0.4) for n, shape in places.items()})
        for _ in range(4)
    ]


def padded(prompts):
    """A batch padded on the left."""
    length = max(map(len, prompts))
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in prompts])
    ids = torch.tensor([[0] * (length - len(row)) + row for row in prompts])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
    }


def logits(known, told):
    with torch.no_grad():
        return known.network(**told, use_cache=False).logits[:, -1]


def loudness(known, shelf, prompts):
    """By dense updates, one prompt at a time."""
    names = list(shelf[0])

    def _responses(told):
        seen = inputs(known, [told], names)
        return {
            (name, j): np.linalg.norm(seen[name].numpy() @ one[name].dense().T, axis=1)
            for name in names
            for j, one in enumerate(shelf)
        }

    usual = [_responses(told) for told in ORDINARY]
    usual = {key: np.concatenate([one[key] for one in usual]) for key in usual[0]}
    found = []
    for row in prompts:
        here = _responses({"input_ids": torch.tensor([row])})
        each = {key: (x - usual[key].mean()) / usual[key].std() for key, x in here.items()}
        found.append([np.mean([each[name, j] for name in names]) for j in range(len(shelf))])
    return np.asarray(found)


@pytest.mark.parametrize("heard", [None, ((0,), (2,)), ((1,), (3,))])
def test_the_loudest_group_acts_and_no_other(known, shelf, heard):
    loud = loudness(known, shelf, PROMPTS)
    best = [
        max((0, 1), key=lambda g: np.mean([row[j] for j in (heard or PAIRS)[g]])) for row in loud
    ]
    assert {*best} == {0, 1}
    wanted = []
    for row, group in zip(PROMPTS, best, strict=True):
        with attached(known, [shelf[j] for j in PAIRS[group]], 0.7):
            wanted.append(logits(known, padded([row])))
    with attached(known, shelf, 0.7) as acting:
        prompt_gates(known, acting, ORDINARY, PAIRS, heard)
        found = logits(known, padded(PROMPTS))
        again = logits(known, padded(PROMPTS[:1]))
    torch.testing.assert_close(found, torch.cat(wanted), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, wanted[0], rtol=1e-5, atol=1e-6)


def test_another_route_takes_its_place_and_nothing_is_left(known, shelf):
    bare = logits(known, padded(PROMPTS))
    with attached(known, shelf) as acting:
        everywhere = logits(known, padded(PROMPTS))
        prompt_gates(known, acting, ORDINARY, PAIRS)
        acting.follow(None)
        assert torch.equal(logits(known, padded(PROMPTS)), everywhere)
    assert not known.network._forward_pre_hooks
    assert torch.equal(logits(known, padded(PROMPTS)), bare)


def test_a_cache_is_refused_and_what_is_no_prompt(known, shelf):
    from transformers import DynamicCache

    with attached(known, shelf) as acting:
        prompt_gates(known, acting, ORDINARY, PAIRS)
        with pytest.raises(ModelError, match="use_cache=False"):
            known.network(input_ids=torch.tensor([[1, 2]]), past_key_values=DynamicCache())
        with pytest.raises(ModelError, match="without input_ids"):
            known.network(inputs_embeds=torch.zeros(1, 2, 32, dtype=torch.float64))


@pytest.mark.parametrize(
    ("groups", "heard", "says"),
    [
        (((0, 1), ()), None, "a group is"),
        (((0, 1), (2, 4)), None, "name adapters from 0 to 3"),
        (PAIRS, ((0,), (-1,)), "name adapters from 0 to 3"),
        (PAIRS, ((0,),), "2 groups are to be chosen by 1"),
    ],
)
def test_groups_that_cannot_be_are_refused(known, shelf, groups, heard, says):
    with attached(known, shelf) as acting, pytest.raises(ModelError, match=says):
        prompt_gates(known, acting, ORDINARY, groups, heard)


def test_maps_that_do_not_see_every_token_are_refused(known, shelf):
    with attached(known, shelf) as acting:
        prompt_gates(known, acting, ORDINARY, PAIRS)
        logits(known, padded(PROMPTS[:1]))
        with pytest.raises(ModelError, match="1 of 6 tokens come there"):
            acting.route(acting.names[0], torch.zeros(1, 32, dtype=torch.float64))
