"""A plain decoder that the batched one must equal, small bases and libraries, worlds of facts."""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from loratheory.tasks.two_hop import FactSet, draw_facts
from loratheory.toy.transformer import HEAD, Batch, Config, Lora, Site, parameters
from paper.studies._shared.bases import Bases, Setting, bases
from paper.studies._shared.training import AdapterTraining, EditLibrary, library

torch.set_num_threads(1)  # products this small are slower on two
TINY = {"vocabulary": 11, "width": 8, "heads": 2, "depth": 2, "loops": 2}


def close(one, two, rtol=1e-5, atol=1e-6):
    """Equal up to rounding; what torch has for this takes two seconds to import."""
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
    assert torch.allclose(one, two, rtol=rtol, atol=atol)


def tokens(replicas, prompts=4, length=3, seed=0, vocabulary=11):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (replicas, prompts, length), generator=generator)


def doubled(config, seeds):
    """First weights in float64, gains not all one."""
    weights = {name: x.double() for name, x in parameters(config, seeds).items()}
    generator = torch.Generator().manual_seed(7)
    for name, x in weights.items():
        if name.endswith("norm"):
            x += 0.3 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return weights


def rope(x):
    """Rotate pairs (i, i + c/2) by angle t / 10000^(2 i / c), one number at a time, as complex."""
    half = x.shape[-1] // 2
    z = torch.complex(x[..., :half], x[..., half:])
    t, i = torch.arange(x.shape[-2]).double(), torch.arange(half).double()
    return torch.view_as_real(z * torch.exp(1j * t[:, None] / 10000 ** (i / half))).mT.flatten(-2)


def visible(length, window):
    """Who sees whom, entry by entry."""
    return torch.tensor(
        [
            [j <= i and (window is None or i - j < window) for j in range(length)]
            for i in range(length)
        ]
    )


def plain_states(config: Config, weights, prompts, change=None, noise=None):
    """The residual stream (B, T, d) after each loop, for one model; `change` by site is dense."""
    change = change or {}

    def linear(site, x):
        return F.linear(x, weights[site.name] + change.get(site, 0.0))

    def norm(name, x):
        return F.rms_norm(x, (config.width,), weights[name], eps=0.0)

    def attention(x, loop, layer):
        def part(name):
            y = linear(Site(f"attention.{name}", loop, layer), x)
            return y.unflatten(-1, (config.heads, -1)).transpose(1, 2)

        query, key, value = part("query"), part("key"), part("value")
        if config.position == "rope":
            query, key = rope(query), rope(key)
        mask = visible(x.shape[1], config.window)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return linear(Site("attention.output", loop, layer), read.transpose(1, 2).flatten(2))

    x = weights["embedding"][prompts]
    after, layers = [], iter(range(10**6))
    for loop in range(config.loops):
        for layer in range(config.depth):
            x = x + attention(norm(f"layers.{layer}.attention.norm", x), loop, layer)
            inner = linear(Site("mlp.in", loop, layer), norm(f"layers.{layer}.mlp.norm", x))
            gelu = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
            x = x + linear(Site("mlp.out", loop, layer), gelu)
            number = next(layers)
            if noise is not None:
                rms = x.detach().pow(2).mean(-1, keepdim=True).sqrt()
                x = x + config.noise * rms * noise[number].view(x.shape)
        after.append(x)
    return after


def plain_logits(config, weights, state):
    """What the head reads off one state (B, T, d)."""
    return F.rms_norm(state, (config.width,), weights["norm"], 0.0) @ weights["embedding"].mT


def batch(replicas, prompts=6, seed=0, vocabulary=11):
    """Prompts with one or two answers due, the second after two loops; the same every step."""
    asked = tokens(replicas, prompts, 3, seed, vocabulary)
    targets = (asked * 3 + 1) % vocabulary
    targets[:, :, 0] = -1
    targets[:, ::2, 2] = -1
    hops = torch.tensor([0, 1, 2]).expand(asked.shape)
    return Batch(asked, targets, hops)


SMALL = Setting(width=16, entities=64, steps=3)
TRAINING = AdapterTraining(facts=2, pairs=2, sets=2, rank=2, steps=3, retained=4)
SEEDS = (101, 102)


def small(seeds=SEEDS, **change) -> Bases:
    return bases(replace(SMALL, **change), seeds)


def enlarged(trained_library: EditLibrary, seed: int = 0) -> EditLibrary:
    """The same library with random factors, large enough to matter in every digit."""
    generator = torch.Generator().manual_seed(seed)

    def _enlarged(adapter: Lora) -> Lora:
        return adapter.map(lambda x: 0.5 * torch.randn(x.shape, generator=generator))

    pairs = tuple(tuple(map(_enlarged, pair)) for pair in trained_library.pairs)
    return replace(trained_library, pairs=pairs)


def trained_library(**change) -> EditLibrary:
    return library(small(), replace(TRAINING, **change))


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
    changes = {site: change(site.name, site.loop) for site in sites}
    states = plain_states(known.config, weights, torch.tensor(prompts[replica].tokens), changes)
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


def three() -> FactSet:
    """Three entities a level: x0 x1 x2 -> y1 y2 y0 and y0 y1 y2 -> z2 z0 z1.

    Tokens: 19 20 relations, 21 22 not used, 23 … 25 x, 26 … 28 y, 29 … 31 z.
    """
    return FactSet(np.array([[[1, 2, 0]], [[2, 0, 1]]]), entities=3)


def some(seed: int, **wanted: int) -> tuple[FactSet, np.random.Generator]:
    """A small world and a generator for what is drawn from it."""
    return draw_facts(seed, **{"entities": 40, "spare": 12, **wanted}), np.random.default_rng(seed)


def walked(here: FactSet, start: int, subject: int, path: tuple[int, ...]) -> list[int]:
    """The entities on a path, one fact after another."""
    passed = [subject]
    for hop, relation in enumerate(path, start=start):
        passed.append(here.maps[hop][relation].tolist()[passed[-1]] if passed[-1] >= 0 else -1)
    return passed
