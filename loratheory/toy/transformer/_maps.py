"""The maps that a decoder is made of: attention over a few tokens, norms, low-rank images.

Toy prompts have three or four tokens: products of 3 × 3 matrices by the thousand cost more to
start than to compute, so scores and sums of attention are taken elementwise, one distance at a
time. Norms and low-rank images have derivatives written by hand, since autograd's own pass memory
too often: products with a narrow factor are three times as fast where the narrow side is kept as
rows, and a norm needs two passes instead of eight.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from loratheory.shapes import Float
from loratheory.toy.transformer._config import Config


def rotated(x: Float[Tensor, "R T H c"]) -> Float[Tensor, "R T H c"]:
    """Return the vectors turned by rotary positions (Su et al. 2021), halves as pairs.

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

    Per head the mean of the values seen, weighted by ``softmax(query · key / sqrt(d / H))``. Costs
    ``O(R T W d)`` for ``R`` sequences and a window of ``W`` tokens.
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


class _Unit(Function):  # type: ignore[misc]  # torch is opaque to the type checker
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Each row over its rms."""
        factor = math.sqrt(x.shape[-1]) / (
            torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-12
        )
        unit = x * factor
        ctx.save_for_backward(unit, factor)
        return unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """What is left of the gradient across the row, over the rms."""
        unit, factor = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, unit).unsqueeze(-1) / unit.shape[-1]
        return torch.addcmul(grad, unit, along, value=-1).mul_(factor)


def unit_rms(x: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
    """Return every row at root mean square 1 (Zhang & Sennrich 2019); zero stays zero."""
    return _Unit.apply(x)


class _Addition(Function):  # type: ignore[misc]  # torch is opaque to the type checker
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
        """Down to the narrow side, kept as rows, and up."""
        inner = torch.bmm(down, x.mT).mul_(scale)
        ctx.save_for_backward(x, up, down, inner)
        ctx.scale = scale
        return torch.bmm(inner.mT, up.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        """The same way back: gradients of the input, of both factors, none of the scale."""
        x, up, down, inner = ctx.saved_tensors
        back = torch.bmm(up.mT, grad.mT).mul_(ctx.scale)
        to_x = torch.bmm(back.mT, down) if ctx.needs_input_grad[0] else None
        return to_x, torch.bmm(inner, grad).mT, torch.bmm(back, x), None


def low_rank_image(
    x: Float[Tensor, "E N n"],
    up: Float[Tensor, "E m r"],
    down: Float[Tensor, "E r n"],
    scale: int | float,
) -> Float[Tensor, "E N m"]:
    """Return ``scale * up @ down`` applied to every row; costs ``O(E N (m + n) r)``."""
    return _Addition.apply(x, up, down, float(scale))
