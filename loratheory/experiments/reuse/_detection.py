"""Whether switches see what they should: misses, false alarms and what leaks past an adapter.

The j-th read of a chain ``x r1 r2`` happens in loop ``j`` at the token ``r_j``: there the pair's
adapter of hop ``j`` should be on, and no other.
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.reuse._marks import leads
from loratheory.experiments.reuse._rules import in_loops
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Float
from loratheory.toy.transformer import Adapt, Site

PerReplica = Float[np.ndarray, " E"]


@runtime_checkable
class Switches(Protocol):
    """What acts and remembers which adapters it let act."""

    @property
    def on(self) -> Mapping[Site, Tensor]:
        """Weights of the last pass by site, (E, N, K)."""

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """What is added."""


def read(site: Site, hop: int) -> bool:
    """Whether the MLP's first map at this site is where a hop is read."""
    return site.module == "mlp.in" and site.loop == hop


def detection(shelf: Shelf, switches: Switches) -> dict[str, PerReplica]:
    """Return how switches decide at the reads of the edited chains.

    Parameters
    ----------
    shelf : Shelf
        With one layer a loop, and as many loops as hops.
    switches : callable
        `BlockGates` or `Routed`.

    Returns
    -------
    dict of str to (E,) array
        ``misses``: the weight that the right adapter lacks, summed over the reads of a chain;
        ``false_alarms``: that of all others; means over chains and pairs.
    """
    hops, pairs = shelf.bases.setting.hops, shelf.teaching.pairs
    found = dict.fromkeys(("misses", "false_alarms"), np.zeros(len(shelf.replicas)))
    for p, asked in enumerate(shelf.trials):
        prompts = [one.chains for one in asked]
        leads(shelf.bases, prompts, switches)
        rows, length = prompts[0].tokens.shape
        for hop in range(hops):
            site = next(site for site in switches.on if read(site, hop))
            weights = switches.on[site].unflatten(1, (rows, length))[:, :, hop + 1]
            right = weights[:, :, p * hops + hop]
            others = weights.sum(dim=-1) - right
            found["misses"] = found["misses"] + (1 - right).mean(dim=1).numpy() / pairs
            found["false_alarms"] = found["false_alarms"] + others.mean(dim=1).numpy() / pairs
    return found


def leak(shelf: Shelf) -> PerReplica:
    r"""Return the share of the edited keys outside of what their adapters read.

    Parameters
    ----------
    shelf : Shelf
        Of adapters in MLPs.

    Returns
    -------
    (E,) array
        Mean of :math:`\|(I - P_j) k\| / \|k\|` over chains, hops and pairs, :math:`k` the input of
        the MLP at the read under the right adapter of each loop, :math:`P_j` the projector on the
        rows of its first map's update. 0 is what the interpolating merge needs.
    """
    parts = []
    for pair, asked in zip(shelf.hops, shelf.trials, strict=True):
        keys: dict[Site, Tensor] = {}
        prompts = [one.chains for one in asked]
        leads(shelf.bases, prompts, partial(_seen, in_loops(list(pair)), keys))
        rows, length = prompts[0].tokens.shape
        for hop, adapter in enumerate(pair):
            site = next(site for site in keys if read(site, hop))
            key = keys[site].unflatten(1, (rows, length))[:, :, hop + 1]
            frame = torch.linalg.qr(adapter.down[site.name].mT).Q
            inside = torch.linalg.vector_norm(key @ frame, dim=-1)
            share = 1 - (inside / torch.linalg.vector_norm(key, dim=-1)) ** 2
            parts.append(share.clamp(min=0).sqrt().mean(dim=1).numpy())
    return np.mean(parts, axis=0)


def _seen(act: Adapt, keys: dict[Site, Tensor], site: Site, x: Tensor) -> Tensor | None:
    """What acts, with what it reads kept."""
    keys[site] = x
    return act(site, x)
