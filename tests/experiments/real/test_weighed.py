"""real._weighed: weights of routers whose answers are known, and a route that goes on as before."""

import numpy as np
import pytest
import torch
from worded import small, small_model

from loratheory.experiments.real import _known as known
from loratheory.experiments.real._facts import facts, items
from loratheory.experiments.real._taught import pair
from loratheory.experiments.real._weighed import shared, weighed
from loratheory.pretrained import attached, batch, next_logits

MUTANTS = [
    ("weights[hop::2][number], mean", "weights[hop::2][0], mean"),
    ("np.delete(weights[hop::2], number)", "weights[hop::2]"),
    ("weights[1 - hop :: 2]", "weights[hop::2]"),
    ("[prompt for prompt, _ in items(known, [asked])]", "[asked]"),
    ("acting.follow(route)", "acting.follow(None)"),
    ("next_logits(model, [prompt])", "next_logits(model, prompts)"),
    ("mean(0)", "max(0)"),
]
ASKED = (known.BIRTH[0], known.MASCOT[0])


@pytest.fixture
def library(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model = small_model()
    told = facts(101, 2, 12)
    return model, told, [one for k, each in enumerate(told) for one in pair(model, each, 101, k)]


def constant(*weights):
    return lambda _, x: torch.tensor([weights], dtype=x.dtype).expand(len(x), -1)


def test_each_share_is_of_its_adapters(library):
    model, told, shelf = library
    with attached(model, shelf, route=constant(0.1, 0.2, 0.3, 0.4)) as acting:
        first = shared(model, acting, told[0], 0, ASKED)
        second = shared(model, acting, told[1], 1, ASKED)
    assert [*first.values()] == pytest.approx([0.15, 0.35, 0.25])
    assert [*second.values()] == pytest.approx([0.35, 0.15, 0.25])


def test_one_pair_has_none_alike(library):
    model, told, shelf = library
    with attached(model, shelf[:2], route=constant(1.0, 0.5)) as acting:
        found = shared(model, acting, told[0], 0, ASKED)
    assert [*found.values()] == pytest.approx([0.75, np.nan, 0.75], nan_ok=True)


def test_tokens_of_all_prompts_count_alike_and_padding_does_not(library):
    model, told, shelf = library
    prompts = [prompt for prompt, _ in items(told[0].birth, known.BIRTH)][::5]
    sizes = [batch(model, [prompt])["input_ids"].numel() for prompt in prompts]
    assert len({*sizes}) > 1

    def _lengths(_, x):
        return torch.tensor([[float(len(x)), 1.0, 0.0, 0.0]]).expand(len(x), -1)

    with attached(model, shelf, route=_lengths) as acting:
        found = weighed(model, acting, prompts)
    assert found == pytest.approx([sum(n * n for n in sizes) / sum(sizes), 1, 0, 0])


def test_the_route_goes_on_as_before(library):
    model, told, shelf = library
    prompts = [prompt for prompt, _ in items(told[0].birth, known.BIRTH[:1])]
    route = constant(1.0, 0.0, 2.0, 0.5)
    with attached(model, shelf, route=route) as acting:
        before = next_logits(model, prompts)
        weighed(model, acting, prompts)
        assert acting.route is route
        assert torch.equal(next_logits(model, prompts), before)
