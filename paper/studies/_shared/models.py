"""Train small transformers, one per seed, and adapters on them, once; then read the cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loratheory.store import content_hash
from loratheory.tasks.prompts import NOTHING, Prompts, sampled, stacked
from loratheory.toy.transformer import Batch, Config, Lora, Parameters, Recipe, stored, trained_lora


@dataclass(frozen=True, eq=False)
class Models:
    """Trained transformers, one per seed; the first axis ``G`` of every tensor counts the models.

    `length` is the number of tokens of their prompts.
    """

    seeds: tuple[int, ...]
    config: Config
    weights: Parameters
    length: int


def batches(sets: Sequence[Prompts], rows: int, stream: Sequence[int]) -> Callable[[int], Batch]:
    """Return a function that draws `rows` prompts of these sets for a step; `stream` seeds it."""
    rng = np.random.default_rng(stream)
    return lambda _: batch(stacked([sampled(sets, rows, rng=rng)]))


def digest(sets: Sequence[Prompts]) -> str:
    """Return a fingerprint of the tokens and targets of these sets."""
    parts = [(f"{one.kind} {one.tokens.shape}", one.tokens, one.targets) for one in sets]
    return content_hash(b"".join(_bytes(*part) for part in parts))


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Return a fingerprint of these tensors and their names."""
    parts = [(f"{n} {tuple(x.shape)}", x.numpy()) for n, x in sorted(weights.items())]
    return content_hash(b"".join(_bytes(*part) for part in parts))


def _bytes(name: str, *arrays: np.ndarray) -> bytes:
    return b"".join([name.encode(), *(array.tobytes() for array in arrays)])


def batch(prompts: Prompts) -> Batch:
    """Return prompts of all replicas as a batch; a prompt's k-th answer is due after k loops."""
    due = prompts.targets != NOTHING
    return Batch(tensor(prompts.tokens), tensor(prompts.targets), tensor(due.cumsum(axis=-1)))


def tensor(array: np.ndarray) -> Tensor:
    """Return a copy of an array as a tensor."""
    return torch.tensor(array)


def fitted(
    parts: Mapping[str, Any],
    config: Config,
    weights: Mapping[str, Tensor],
    start: Lora,
    recipe: Recipe,
    batches: Callable[[int], Batch],
    seeds: Sequence[int],
    stand_ins: Sequence[Lora] = (),
) -> Lora:
    """Return trained adapters, kept in the cache under the key that `parts` make."""
    factors = stored(
        parts,
        lambda: trained_lora(config, weights, start, recipe, batches, seeds, stand_ins).tensors(),
    )
    up = {name: factors[f"{name}.up"] for name in start.up}
    down = {name: factors[f"{name}.down"] for name in start.up}
    return Lora(up, down, start.scale)
