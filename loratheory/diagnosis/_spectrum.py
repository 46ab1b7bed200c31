"""What one adapter looks like from its weights alone: ranks, spectra, energy."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from loratheory.adapters import Adapter
from loratheory.lowrank import EPS, LowRank, singular_values


@dataclass(frozen=True)
class ModuleSpectrum:
    """The singular values of one module's update and what follows from them.

    Attributes
    ----------
    outputs, inputs, width : int
        Shape of the update and of its factors.
    rank : int
        Numerical rank.
    energy : float
        Squared Frobenius norm.
    spectral : float
        Largest singular value.
    stable_rank, effective_rank : float
        As in ``loratheory.lowrank``.
    sigma : tuple of float
        The singular values, descending.
    """

    module: str
    outputs: int
    inputs: int
    width: int
    rank: int
    energy: float
    spectral: float
    stable_rank: float
    effective_rank: float
    sigma: tuple[float, ...]


def spectrum(name: str, low: LowRank) -> ModuleSpectrum:
    """One module; a single small decomposition serves every number."""
    sigma = tuple(float(value) for value in singular_values(low))
    top, total = (sigma[0] if sigma else 0.0), math.fsum(sigma)
    energy = math.fsum(value**2 for value in sigma)
    entropy = -sum(s / total * math.log(s / total) for s in sigma if s > 0) if total else 0.0
    return ModuleSpectrum(
        module=name,
        outputs=low.shape[0],
        inputs=low.shape[1],
        width=low.width,
        rank=sum(value > max(low.shape) * EPS * top for value in sigma),
        energy=energy,
        spectral=top,
        stable_rank=energy / top**2 if top else 0.0,
        effective_rank=math.exp(entropy) if total else 0.0,
        sigma=sigma,
    )


def spectra(adapter: Adapter) -> Iterator[ModuleSpectrum]:
    """The spectra of all modules, in order, one module in memory at a time."""
    for name in adapter:
        yield spectrum(name, adapter[name])


def layer_of(module: str) -> int | None:
    """The number of the layer that a module name speaks of: its first numeric part."""
    found = re.search(r"(?:^|\.)(\d{1,9})(?:\.|$)", module)
    return int(found[1]) if found else None


def kind_of(module: str) -> str:
    """A module name without its layer number: what all layers have in common."""
    return re.sub(r"(?:^|(?<=\.))\d+(?=\.|$)", "*", module)
