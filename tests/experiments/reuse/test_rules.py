"""Rules of reuse: each against the base with dense weights that were changed by hand."""

from dataclasses import replace
from functools import cache as once

import numpy as np
import pytest
import torch
from reused import cache, dense_logits, loud, small, taught, update

from loratheory.adapters import (
    Adapter,
    Router,
    arrow_scores,
    calibrate,
    forward,
    merge,
    response_scores,
)
from loratheory.experiments.reuse import _rules as rules
from loratheory.lowrank import LowRank
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import Lora, Site, logits

__all__ = ["cache"]

SITES = [Site(m, loop, 0) for loop in (0, 1) for m in ("mlp.in", "mlp.out")]
COUNT = 4  # adapters, and replicas too


@once
def shelf():
    return loud(taught("hops", "direct"))


def dense(change):
    """For each pair: a rule's (E, B, T, V) logits from ``change(pair, replica)(name, loop)``."""
    here = shelf()
    return [
        torch.stack(
            [
                dense_logits(here.bases, [one.chains for one in pair], e, change(p, e))
                for e in range(4)
            ]
        )
        for p, pair in enumerate(here.trials)
    ]


def found(rule):
    here = shelf()
    prompts = [torch.tensor(stacked([one.chains for one in pair]).tokens) for pair in here.trials]
    acting = rule(here)
    assert len(acting) == 2
    with torch.inference_mode():
        return [
            logits(here.bases.config, here.bases.weights, asked, adapt)
            for asked, adapt in zip(prompts, acting, strict=True)
        ]


def same(rule, change):
    for one, other in zip(found(rule), dense(change), strict=True):
        scale = float(other.abs().max())
        assert torch.allclose(one.double(), other, rtol=0, atol=2e-5 * scale)


def weighted(coefficients, adapters=None):
    def _of(_, e):
        loras = shelf().adapters if adapters is None else adapters
        return lambda name, _: sum(
            c * update(a, name, e) for c, a in zip(coefficients, loras, strict=True)
        )

    return _of


@pytest.mark.parametrize("c", [1.0, 0.5, -0.3])
def test_the_sum_adds_every_adapter_so_often(c):
    same(rules.summed(c), weighted([c] * COUNT))


def test_the_mean_is_a_share_of_each():
    same(rules.mean, weighted([1 / COUNT] * COUNT))


def test_coefficients_may_differ():
    numbers = [0.5, -1.0, 2.0, 0.25]
    same(
        lambda here: rules.everywhere(rules.added(here.adapters, numbers), here), weighted(numbers)
    )


def test_a_merge_rule_is_that_of_the_adapters_replica_by_replica():
    same(rules.merged("mean"), weighted([1 / COUNT] * COUNT))

    def _ties(_, e):
        adapters = [
            Adapter.of({s.name: _low(a, s.name, e) for s in SITES}) for a in shelf().adapters
        ]
        merged = merge(adapters, "ties", density=0.3, rank=64)
        return lambda name, _: torch.as_tensor(np.asarray(merged[name].dense()))

    same(rules.merged("ties", density=0.3, rank=64), _ties)


def _low(adapter, name, e):
    return LowRank((adapter.scale * adapter.up[name][e]).numpy(), adapter.down[name][e].numpy())


def test_one_hop_alone_is_the_pairs_own():
    for hop in (0, 1):
        same(
            rules.alone(hop),
            lambda p, e, hop=hop: lambda name, _: update(shelf().hops[p][hop], name, e),
        )


def test_another_kind_is_the_pairs_own():
    same(
        rules.kind("direct"),
        lambda p, e: lambda name, _: update(shelf().others["direct"][p], name, e),
    )


def test_kinds_are_added_to_the_single_hops_as_a_mean_unless_told():
    every = [*shelf().adapters, *shelf().others["direct"]]
    same(rules.beside("direct"), weighted([1 / 6] * 6, every))
    same(rules.beside("direct", 0.7), weighted([0.7] * 6, every))


def test_the_oracle_gives_each_loop_the_hop_of_the_pair_asked():
    same(rules.oracle, lambda p, e: lambda name, loop: update(shelf().hops[p][loop], name, e))


def test_a_loop_without_an_adapter_is_the_bases():
    first = shelf().adapters[0]

    def _in(loops):
        return lambda here: rules.everywhere(rules.in_loops(loops), here)

    for loops in ([None, first], [first], [first, None]):
        own = loops.index(first)
        same(
            _in(loops),
            lambda _, e, own=own: lambda name, loop: (loop == own) * update(first, name, e),
        )


def test_probes_are_random_tokens_of_every_base_without_padding(monkeypatch):
    known = small()
    seen = []

    def _logits(config, weights, tokens, adapt):
        seen.append(tokens)
        return logits(config, weights, tokens, adapt)

    monkeypatch.setattr(rules, "logits", _logits)
    here = rules.activations(known)
    (tokens,) = seen
    assert tokens.shape == (2, rules.PROBES, 3)
    assert set(tokens.unique().tolist()) == set(range(1, known.config.vocabulary))
    assert set(SITES) <= set(here)
    for site in SITES:
        width = known.config.shapes[site.name][1]
        assert here[site].shape == (2, 3 * rules.PROBES, width)
    gains = known.weights["layers.0.mlp.norm"]
    for loop in (0, 1):
        unit = here[Site("mlp.in", loop, 0)] / gains[:, None]
        assert torch.allclose(unit.pow(2).mean(-1), torch.ones(2, 3 * rules.PROBES), atol=1e-4)
    for site, x in rules.activations(small((101,))).items():
        assert torch.allclose(x[0], here[site][0], atol=1e-5)
    assert not torch.allclose(here[SITES[0]][0], here[SITES[2]][0], atol=1e-2)


DECISIONS = {
    "gates": lambda updates, x: calibrate(updates, x, budget=0.3),
    "arrow": lambda updates, _: Router(arrow_scores(updates)),
    "norm": lambda updates, _: Router(response_scores(updates), top_k=2, temperature=3.0),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_routed_outputs_are_those_of_the_shelf_token_by_token(name):
    here, decide = shelf(), DECISIONS[name]
    base = rules.activations(here.bases)
    acting = rules.routed(decide)(here)[0]
    generator = torch.Generator().manual_seed(0)
    shares = set()
    for site in SITES:
        x = torch.randn(4, 50, here.bases.config.shapes[site.name][1], generator=generator)
        x[:, :25] = base[site][:, :25].repeat_interleave(2, 0)
        for _ in range(2):  # prepared, then met again
            out = acting(site, x)
        for e in range(4):
            updates = [_low(a, site.name, e).map(torch.tensor) for a in here.adapters]
            weights = decide(updates, base[site][e // 2]).weights(x[e])
            wanted = forward(updates, x[e], weights)
            assert torch.allclose(out[e], wanted, rtol=1e-3, atol=1e-4 * float(out.abs().max()))
            shares |= set(weights.count_nonzero(dim=1).tolist())
    assert shares == {"gates": {0, 1, 2, 3, 4}, "arrow": {1}, "norm": {2}}[name] or name == "gates"
    assert len(shares) > 1 or name != "gates"
    assert acting(Site("head", 1, 1), torch.zeros(4, 1, 16)) is None


def test_what_decides_sees_the_bases_activations_of_that_very_site():
    here, seen = shelf(), []

    def _decide(updates, x):
        seen.append(x)
        return Router(arrow_scores(updates))

    acting = rules.routed(_decide)(here)[0]
    base = rules.activations(here.bases)
    for site in (SITES[2], SITES[0]):
        acting(site, torch.zeros(4, 1, 16))
        for e, x in enumerate(seen[-4:]):
            assert torch.allclose(x, base[site][e // 2], atol=1e-6)
    assert len(seen) == 8


def test_a_module_that_only_some_adapt_is_left_alone_or_summed():
    low = shelf().adapters[0]
    partial = Lora({"layers.0.mlp.in": low.up["layers.0.mlp.in"]}, low.down, low.scale)
    both = rules.added([partial, low], [2.0, 0.5])
    x = torch.ones(4, 1, 16)
    assert torch.allclose(both(SITES[0], x), 2.5 * low(SITES[0], x))
    y = torch.ones(4, 1, 64)
    assert torch.allclose(both(SITES[1], y), 0.5 * low(SITES[1], y))
    assert rules.added([partial], [1.0])(SITES[1], y) is None


def test_everything_acts_whichever_pair_is_asked():
    one = replace(shelf())
    assert rules.everywhere(None, one) == [None, None]
