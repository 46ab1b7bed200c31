"""Causal attention over a few tokens, written as sums over how far back one looks.

Toy prompts have three or four tokens: products of 3 × 3 matrices by the thousand cost more to
start than to compute, so scores and sums are taken elementwise, one distance at a time.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.shapes import Float
from loratheory.toy.transformer._config import Config


def rotated(x: Float[Tensor, "R T H c"]) -> Float[Tensor, "R T H c"]:
    """Return the vectors turned by rotary positions (Su et al. 2021), halves as pairs.

    Parameters
    ----------
    x : (R, T, H, c) tensor
        Queries or keys, ``c`` even.

    Returns
    -------
    (R, T, H, c) tensor
        The product of a turned query and a turned key depends on their distance alone.
    """
    length, half = x.shape[1], x.shape[-1] // 2
    place = torch.arange(length, dtype=torch.float64, device=x.device)
    pace = 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=x.device) / half)
    angle = torch.outer(place, pace)[:, None]
    one, two = x.split(half, dim=-1)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)


def _later(x: Tensor, distance: int, first: float) -> Tensor:
    """The rows moved `distance` tokens on, with `first` before them."""
    return F.pad(x, (0, 0) * (x.ndim - 2) + (distance, 0), value=first) if distance else x


def attended(
    config: Config,
    query: Float[Tensor, "R T d"],
    key: Float[Tensor, "R T d"],
    value: Float[Tensor, "R T d"],
) -> Float[Tensor, "R T d"]:
    """Return what each token reads from itself and from those before it.

    Parameters
    ----------
    config : Config
        Heads, window and position.
    query, key, value : (R, T, d) tensors
        Of ``R`` sequences.

    Returns
    -------
    (R, T, d) tensor
        Per head the mean of the values seen, weighted by ``softmax(query · key / sqrt(d / H))``.
        Costs ``O(R T W d)`` for a window of ``W`` tokens.
    """
    length = query.shape[1]
    split = (config.heads, config.width // config.heads)
    query, key, value = (x.unflatten(-1, split) for x in (query, key, value))
    if config.position == "rope":
        query, key = rotated(query), rotated(key)
    reach = range(min(length, config.window or length))
    scores = [(query[:, o:] * key[:, : length - o]).sum(-1) for o in reach]
    table = torch.stack([_later(score, o, -math.inf) for o, score in enumerate(scores)])
    weights = (table / math.sqrt(split[1])).softmax(0).unsqueeze(-1)
    read = weights[0] * value
    for o in reach[1:]:
        read = read + _later(weights[o, :, o:] * value[:, : length - o], o, 0.0)
    return read.flatten(2)
