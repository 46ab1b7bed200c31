"""real._weighed: weights of routers whose answers are known, and a route that goes on as before."""

import numpy as np
import pytest
import torch
from worded import small, small_model

from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import rule
from loratheory.experiments.real import _known as known
from loratheory.experiments.real import _weighed
from loratheory.experiments.real._facts import facts, items
from loratheory.experiments.real._taught import pair
from loratheory.experiments.real._weighed import shared, weighed
from loratheory.pretrained import attached, batch, next_logits


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
        first = shared(model, acting, told[0], 0)
        second = shared(model, acting, told[1], 1)
    assert [*first.values()] == pytest.approx([0.1, 0.3, 0.2, 0.4])
    assert [*second.values()] == pytest.approx([0.3, 0.1, 0.4, 0.2])


def test_one_pair_has_no_others(library):
    model, told, shelf = library
    with attached(model, shelf[:2], route=constant(1.0, 0.5)) as acting:
        found = shared(model, acting, told[0], 0)
    assert [*found.values()] == pytest.approx([1.0, np.nan, 0.5, np.nan], nan_ok=True)


def test_chains_are_asked(library, monkeypatch):
    model, told, shelf = library
    asked = []
    monkeypatch.setattr(_weighed, "weighed", lambda *given: asked.append(given[2]) or np.ones(4))
    with attached(model, shelf) as acting:
        shared(model, acting, told[0], 0)
    assert asked == [[prompt for prompt, _ in items(told[0].chain, known.TWO_HOP)]]


@pytest.mark.parametrize(
    "way", [acts(rule("block gates, z = 2", level=1)), acts(rule("largest response norm"))]
)
def test_what_gates_try_before_does_not_count(library, way):
    """Weights are those that act: of whole prompts one pair's; of blocks what the route says."""
    model, told, shelf = library
    prompt = known.TWO_HOP[0].format(next(iter(told[0].birth)))
    with way(model, shelf) as acting:
        before = next_logits(model, [prompt])
        found = weighed(model, acting, [prompt, prompt])
        assert torch.equal(next_logits(model, [prompt]), before)
        route = acting.route
        told_last = [route(name, torch.zeros(_tokens(model, prompt), 16)) for name in acting.names]
    assert found == pytest.approx(torch.cat(told_last).double().mean(0).numpy())
    assert 0 < found.sum() <= 4


def _tokens(model, prompt):
    return batch(model, [prompt])["input_ids"].numel()


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
