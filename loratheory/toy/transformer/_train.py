"""Training of bases and of adapters: one loop for many replicas that do not feel each other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from loratheory.toy.transformer._config import Config
from loratheory.toy.transformer._decoder import Parameters
from loratheory.toy.transformer._descent import Part, Progress, blocks, descend
from loratheory.toy.transformer._lora import Lora
from loratheory.toy.transformer._loss import Batch
from loratheory.toy.transformer._parameters import parameters
from loratheory.toy.transformer._recipe import Recipe


def trained_base(
    config: Config,
    recipe: Recipe,
    batch: Callable[[int], Batch],
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Return trained weights of one model a seed.

    Parameters
    ----------
    config : Config
        What the models are made of.
    recipe : Recipe
        How to train them, such as `BASE`.
    batch : callable
        ``batch(step)`` is what a step learns from, for ``E`` replicas.
    seeds : sequence of int
        ``E`` of them; first weights and noise of a replica depend on its seed alone.
    progress : callable, optional
        Called after each step.

    Returns
    -------
    dict of str to (E, ...) tensor
        As `parameters` returns them; each replica as if it had been trained alone.

    Raises
    ------
    TrainingError
        If a loss is no longer finite.
    """
    start, count = parameters(config, seeds), len(seeds)
    parts = []
    for models, replicas in blocks(count, count, config.width):
        leaves = {name: _leaf(x[models]) for name, x in start.items()}
        parts.append(Part(replicas, leaves, None, leaves))
    descend(config, recipe, batch, seeds, parts, progress)
    return {name: torch.cat([part.leaves[name].detach() for part in parts]) for name in start}


def trained_lora(
    config: Config,
    weights: Parameters,
    start: Lora,
    recipe: Recipe,
    batch: Callable[[int], Batch],
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Lora:
    """Return trained adapters; the bases stay as they are.

    Parameters
    ----------
    config : Config
        What the bases are made of; ``replace(config, supervision=0)`` to learn from final answers
        alone.
    weights : mapping of str to (G, ...) tensor
        Of the bases; the ``E`` replicas share them in order.
    start : Lora
        First factors, see `lora`; left as they are.
    recipe : Recipe
        How to train, such as `LORA`.
    batch : callable
        ``batch(step)`` is what a step learns from, for ``E`` replicas.
    seeds : sequence of int
        ``E`` of them; the noise of a replica depends on its seed alone.
    progress : callable, optional
        Called after each step.

    Returns
    -------
    Lora
        Each replica as if it had been trained alone.

    Raises
    ------
    TrainingError
        If a loss is no longer finite.
    """
    parts = []
    for models, replicas in blocks(len(weights["embedding"]), len(seeds), config.width):
        adapter = start.of(replicas).map(_leaf)
        base = {name: x[models] for name, x in weights.items()}
        parts.append(Part(replicas, base, adapter, adapter.tensors()))
    descend(config, recipe, batch, seeds, parts, progress)

    def whole(side: str) -> dict[str, Tensor]:
        """The factors of all parts, in order."""
        found = {n: [part.leaves[f"{n}.{side}"].detach() for part in parts] for n in start.up}
        return {name: torch.cat(factors) for name, factors in found.items()}

    return Lora(whole("up"), whole("down"), start.scale)


def _leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()
