"""Adapters that should not help: of another edit set, or random ones of equal size."""

import numpy as np
import torch
from torch import Tensor

from loratheory.toy.transformer import Lora


def exchanged(adapter: Lora, sets: int) -> Lora:
    """Return the adapters of the next edit set of the same base, two sets or more."""
    return adapter.map(lambda x: x.unflatten(0, (-1, sets)).roll(1, 1).flatten(0, 1))


def alike(adapter: Lora, seed: int = 0) -> Lora:
    """Return Gaussian adapters of the same shapes and the same Frobenius norms.

    Parameters
    ----------
    adapter : Lora
        Of ``E`` replicas.
    seed : int
        Determines the draw.

    Returns
    -------
    Lora
        ``norms`` of it are those of `adapter`.
    """
    rng = np.random.default_rng([seed, 6])

    def _drawn(x: Tensor) -> Tensor:
        return torch.tensor(rng.standard_normal(tuple(x.shape)), dtype=x.dtype)

    free = adapter.map(_drawn)
    wanted, found = norms(adapter), norms(free)
    up = {name: x * (wanted[name] / found[name])[:, None, None] for name, x in free.up.items()}
    return Lora(up, free.down, adapter.scale)


def norms(adapter: Lora) -> dict[str, Tensor]:
    """Return the Frobenius norm of each update, ``(E,)`` a module, from the factors."""
    found = {}
    for name, up in adapter.up.items():
        down = adapter.down[name]
        energy = ((up.mT @ up) * (down @ down.mT)).sum((1, 2))
        found[name] = abs(adapter.scale) * energy.clamp(min=0).sqrt()
    return found
