"""What routers give to the adapters that a chain's reads need, and the best that gates could do."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.reuse._bases import Bases, tensor
from loratheory.experiments.reuse._marks import accuracy
from loratheory.experiments.reuse._rules import Routed
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, stacked
from loratheory.toy.transformer import Adapt, Lora, Site, logits


def reads(
    shelf: Shelf, routed: Routed
) -> tuple[Float[np.ndarray, "P E n hops"], Float[np.ndarray, " E"]]:
    """Return the weights of the right adapters at their reads, and how often unedited ones are.

    Parameters
    ----------
    shelf : Shelf
        Whose chains are asked; a loop for every hop.
    routed : Routed
        What weighs its adapters.

    Returns
    -------
    given : (P, E, n, hops) array
        On edited chains: the weight of the pair's adapter of hop ``j`` in loop ``j`` where
        relation ``j`` is read, a mean over the adapted maps.
    edited : (E,) array
        On unedited chains: the share of reads at which some adapter has more than half.
    """
    hops = range(shelf.bases.setting.hops)
    given, edited = [], []
    for pair, asked in enumerate(shelf.trials):
        seen = _weights(shelf.bases, [one.chains for one in asked], routed)
        given.append(torch.stack([seen[j][..., len(hops) * pair + j] for j in hops], dim=-1))
        quiet = _weights(shelf.bases, [one.other_chains for one in asked], routed)
        edited.append(torch.stack([quiet[j].amax(dim=-1) > 0.5 for j in hops]).double())
    shares = torch.stack(edited).mean(dim=(0, 1, 3))
    return torch.stack(given).double().numpy(), shares.numpy()


def _weights(known: Bases, prompts: Sequence[Prompts], routed: Routed) -> list[Tensor]:
    """Of each loop: the weights (E, B, K) where its relation is read."""
    rows = stacked(list(prompts))
    seen: list[list[Tensor]] = [[] for _ in range(known.config.loops)]

    def _seen(site: Site, x: Tensor) -> Tensor | None:
        if site.name in routed.adapters[0].up:
            found = routed.weights(site, x).unflatten(1, rows.tokens.shape[1:])
            seen[site.loop].append(found[:, :, site.loop + 1])
        return routed(site, x)

    with torch.inference_mode():
        logits(known.config, known.weights, tensor(rows.tokens), _seen)
    return [torch.stack(loop).mean(dim=0) for loop in seen]


def hindsight(
    shelf: Shelf, *, by_read: bool
) -> tuple[list[Adapt | None], Float[np.ndarray, "P E n hops"]]:
    """Return the gates that answer most chains of each replica, chosen by these very answers.

    Parameters
    ----------
    shelf : Shelf
        Whose chains are asked.
    by_read : bool
        Any of the pair's adapters may be on in any loop; if not, one of them throughout, or none.

    Returns
    -------
    acting : list of callable
        One a pair.
    given : (P, E, n, hops) array
        Whether the adapter of each hop is on at its read.
    """
    hops, loops = shelf.bases.setting.hops, shelf.bases.config.loops
    acting: list[Adapt | None] = []
    given = []
    for pair, asked in zip(shelf.hops, shelf.trials, strict=True):
        prompts = [one.chains for one in asked]
        each = patterns(hops, loops, by_read=by_read)
        right = [accuracy(shelf.bases, prompts, gated(pair, [p] * len(prompts))) for p in each]
        best = [each[k] for k in np.argmax(right, axis=0).tolist()]
        acting.append(gated(pair, best))
        own = np.array(best)[:, None, range(hops), range(hops)]
        given.append(np.repeat(own, len(prompts[0]), axis=1))
    return acting, np.stack(given).astype(float)


def patterns(hops: int, loops: int, *, by_read: bool) -> list[Float[np.ndarray, "loops hops"]]:
    """Gates by loop and adapter, those with fewest open first."""
    if not by_read:
        return [np.tile(row, (loops, 1)) for row in np.vstack([np.zeros(hops), np.eye(hops)])]
    free = [np.reshape(p, (loops, hops)) for p in product((0.0, 1.0), repeat=loops * hops)]
    return sorted(free, key=np.sum)


def gated(pair: Sequence[Lora], gates: Sequence[Float[np.ndarray, "loops hops"]]) -> Adapt:
    """Each replica's adapters as its gates have them, loop by loop."""
    weights = torch.tensor(np.array(gates), dtype=torch.float32)

    def _gated(site: Site, x: Tensor) -> Tensor | None:
        total: Tensor | None = None
        for hop, adapter in enumerate(pair):
            part = adapter(site, x)
            if part is not None:
                part = weights[:, site.loop, hop, None, None] * part
                total = part if total is None else total + part
        return total

    return _gated
