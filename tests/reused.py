"""Bases and libraries small enough to compute densely: what the tests of reuse share."""

from dataclasses import replace

import torch
from decoders import plain_logits, plain_states

from loratheory.toy.transformer import HEAD, Lora, Site
from paper.studies._shared.bases import Bases, Setting, bases
from paper.studies._shared.training import Taught, Teaching, library

SMALL = Setting(width=16, entities=64, steps=3)
TAUGHT = Teaching(facts=2, pairs=2, sets=2, rank=2, steps=3, retained=4)
SEEDS = (101, 102)


def small(seeds=SEEDS, **change) -> Bases:
    return bases(replace(SMALL, **change), seeds)


def enlarged(taught: Taught, seed: int = 0) -> Taught:
    """The same library with random factors, large enough to matter in every digit."""
    generator = torch.Generator().manual_seed(seed)

    def _enlarged(adapter: Lora) -> Lora:
        return adapter.map(lambda x: 0.5 * torch.randn(x.shape, generator=generator))

    pairs = tuple(tuple(map(_enlarged, pair)) for pair in taught.pairs)
    return replace(taught, pairs=pairs)


def taught(**change) -> Taught:
    return library(small(), replace(TAUGHT, **change))


def update(adapter: Lora, name: str, replica: int) -> torch.Tensor:
    """The dense change of a weight in float64."""
    up, down = (side[name][replica].double() for side in (adapter.up, adapter.down))
    return adapter.scale * up @ down


def dense_logits(known: Bases, prompts, replica: int, change) -> torch.Tensor:
    """One replica's logits (B, T, V) where ``change(name, loop)`` is added to each weight."""
    model = replica // (len(prompts) // len(known.seeds))
    weights = {name: x[model].double() for name, x in known.weights.items()}
    sites = {
        Site(module, loop, layer)
        for loop in range(known.config.loops)
        for layer in range(known.config.depth)
        for module in ("mlp.in", "mlp.out")
    }
    added = {site: change(site.name, site.loop) for site in sites}
    states = plain_states(known.config, weights, torch.tensor(prompts[replica].tokens), added)
    return plain_logits(known.config, weights, states[-1])


def always(known: Bases, tokens):
    """What makes replica ``e`` say ``tokens[e]`` whatever it is asked."""

    def _say(site: Site, x):
        if site.module != HEAD:
            return None
        bias = torch.zeros(len(tokens), x.shape[1], known.config.vocabulary)
        for e, token in enumerate(tokens):
            bias[e, :, token] = 1e6
        return bias

    return _say
