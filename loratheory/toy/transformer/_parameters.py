"""First weights, and the random streams behind everything that is drawn."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from loratheory.toy.transformer._config import HEAD, Config


def stream(seed: int, purpose: int) -> torch.Generator:
    """The generator of one seed for one purpose: streams do not depend on each other."""
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Return standard normal numbers, slice ``e`` drawn from generator ``e`` alone."""
    out = torch.empty(len(generators), *shape)
    for part, generator in zip(out, generators, strict=True):
        part.normal_(generator=generator)
    return out


def parameters(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Return the first weights of one model a seed.

    Parameters
    ----------
    config : Config
        What the models are made of.
    seeds : sequence of int
        Not negative; each determines its model, whatever the others are.

    Returns
    -------
    dict of str to (G, ...) tensor
        ``embedding`` (G, V, d), one (G, m, n) tensor for each of ``config.shapes`` (no ``head``
        where it is tied), gains of norms ending in ``norm``, and ``position`` where learned.
        Matrices are Gaussian of variance one over their inputs, gains one.
    """
    generators = [stream(seed, 0) for seed in seeds]
    d, found = config.width, {}
    shapes: dict[str, tuple[int, ...]] = {"embedding": (config.vocabulary, d), **config.shapes}
    if config.tied:
        del shapes[HEAD]
    if config.position == "learned":
        shapes["position"] = (config.context, d)
    for name, shape in shapes.items():
        found[name] = normal(shape, generators) * shape[-1] ** -0.5
    if config.norm == "rms":
        blocks = (f"layers.{layer}." for layer in range(config.depth))
        norms = [block + part for block in blocks for part in ("attention.norm", "mlp.norm")]
        found |= {name: torch.ones(len(seeds), d) for name in [*norms, "norm"]}
    return found
