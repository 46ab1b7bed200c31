"""A plain decoder for one replica, and prompts to try it on: what the batched one must equal."""

import math

import torch
import torch.nn.functional as F

from loratheory.toy.transformer import Batch, Config, Site, parameters

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
