"""The descent that trains replicas side by side, in blocks that fit the cache."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loratheory.toy.transformer._config import Config
from loratheory.toy.transformer._decoder import Parameters, shared
from loratheory.toy.transformer._lora import Lora
from loratheory.toy.transformer._loss import Batch, losses
from loratheory.toy.transformer._parameters import normal, stream
from loratheory.toy.transformer._recipe import Recipe

CACHED = 512  # widths of the replicas computed together: more of them leave the cache

Progress = Callable[[int, Tensor], None]
"""Called after each step with its number, from 0, and the (E,) losses."""


class TrainingError(ValueError):
    """A loss is no longer a number."""


@dataclass(frozen=True, eq=False)
class Part:
    """Replicas computed together, and what they learn."""

    replicas: slice
    weights: Parameters
    adapter: Lora | None
    leaves: dict[str, Tensor]


def blocks(models: int, replicas: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Models and their replicas, in blocks of whole models or of replicas of one model."""
    share, fits = shared(models, replicas), max(CACHED // width, 1)
    whole = max(fits // share, 1)
    size = whole * share if whole > 1 else min(share, fits)
    for first in range(0, models, whole):
        last = min(first + whole, models)
        for start in range(first * share, last * share, size):
            yield slice(first, last), slice(start, min(start + size, last * share))


def descend(
    config: Config,
    recipe: Recipe,
    batch: Callable[[int], Batch],
    seeds: Sequence[int],
    parts: Sequence[Part],
    progress: Progress | None,
) -> None:
    """Train the leaves in place; the sum of all losses keeps the replicas apart."""
    named = [item for part in parts for item in part.leaves.items()]
    plain = [x for name, x in named if not name.endswith("norm")]
    gains = [x for name, x in named if name.endswith("norm")]
    groups = [{"params": plain}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(
        groups, recipe.rate, recipe.betas, weight_decay=recipe.decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.share)
    generators = [stream(seed, 2) for seed in seeds]
    for step in range(recipe.steps):
        now, found = batch(step), []
        optimiser.zero_grad()
        for part in parts:
            some = now.of(part.replicas)
            noise = _noise(config, some.tokens, generators[part.replicas])
            each = losses(config, part.weights, some, part.adapter, noise)
            each.sum().backward()
            found.append(each.detach())
        each = torch.cat(found)
        _check(each, step, recipe)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step, each)


def _noise(config: Config, tokens: Tensor, generators: Sequence[torch.Generator]) -> Tensor | None:
    """Noise for every layer of every loop, ``(L, E, N, d)``; none where the config has none."""
    if not config.noise:
        return None
    sides = (config.loops * config.depth, tokens[0].numel(), config.width)
    return normal(sides, generators).transpose(0, 1).to(tokens.device)


def _check(each: Tensor, step: int, recipe: Recipe) -> None:
    """Stop where a loss is no longer finite."""
    finite = torch.isfinite(each)
    if not bool(finite.all()):
        worst = int(finite.int().argmin())
        message = (
            f"the loss of replica {worst} is {float(each[worst])} at step {step}: "
            f"lower the rate ({recipe.rate}) or lengthen the warm-up ({recipe.warmup} steps)"
        )
        raise TrainingError(message)
