"""What foreign adapters answer at the very inputs where edited facts are read."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.reuse._bases import tensor
from loratheory.experiments.reuse._controls import norms
from loratheory.experiments.reuse._rules import oracle
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Float
from loratheory.tasks.two_hop import stacked
from loratheory.theorems.editing.superposition_floor import least_crosstalk
from loratheory.toy.transformer import Lora, Site, logits, low_rank_image

Energies = Float[np.ndarray, "P hops E n"]


@dataclass(frozen=True, eq=False)
class Crosstalk:
    """At one weight, for each pair, hop, replica and edited chain: energies over the own one.

    Attributes
    ----------
    measured : (P, hops, E, n) array
        Squared norm of all foreign responses together, over that of the fact's own adapter.
    random : (P, hops, E, n) array
        What it would be in the mean if the foreign adapters were turned at random
        (``thm:random-interference``): their squared norms, times that of the input over its
        width.
    superposed : (E,) array
        Mean squared response to another fact's key, every output scaled to answer its own with
        one; at least `floor`.
    floor : float
        That of ``thm:superposition-floor`` for so many facts and the rank of the sum.
    """

    measured: Energies
    random: Energies
    superposed: Float[np.ndarray, " E"]
    floor: float


def crosstalk(shelf: Shelf) -> dict[str, Crosstalk]:
    """Return what all single-hop adapters together answer where each edited fact is read.

    Parameters
    ----------
    shelf : Shelf
        With adapters of single hops; its bases have at least as many loops as hops.

    Returns
    -------
    dict of str to Crosstalk
        By the name of the adapted weight. Fact ``j`` of a chain is read in loop ``j`` at its own
        relation, while the right adapters act (the oracle's). Costs a pass a pair.
    """
    seen = [_keys(shelf, pair) for pair in range(len(shelf.hops))]
    return {name: _at(shelf, name, seen) for name in shelf.adapters[0].up}


def safe(found: dict[str, Crosstalk], kind: str = "measured") -> Float[np.ndarray, " E"]:
    """Return the share of chains that `thm:perturbed-region` calls safe: amplitudes below 1/(2K).

    Parameters
    ----------
    found : dict of str to Crosstalk
        Of all adapted weights.
    kind : str
        Which energies: ``measured`` or ``random``.

    Returns
    -------
    (E,) array
        Chains of whole edits, with foreign responses this small at every read.
    """
    worst = np.max([getattr(one, kind) for one in found.values()], axis=0)
    tolerated = 1 / (2 * worst.shape[1])
    return np.asarray((np.sqrt(worst) < tolerated).all(axis=1).mean(axis=(0, 2)))


def _keys(shelf: Shelf, pair: int) -> dict[Site, Tensor]:
    """The (E, n, width) inputs of the sites where a pair's facts are read."""
    known, acting = shelf.bases, oracle(shelf)[pair]
    rows = stacked([one.chains for one in shelf.trials[pair]])
    seen: dict[Site, Tensor] = {}

    def _watched(site: Site, x: Tensor) -> Tensor | None:
        if site.name in shelf.adapters[0].up and site.loop < known.setting.hops:
            seen[site] = x.unflatten(1, rows.tokens.shape[1:])[:, :, site.loop + 1].clone()
        return None if acting is None else acting(site, x)

    with torch.inference_mode():
        logits(known.config, known.weights, tensor(rows.tokens), _watched)
    return seen


def _at(shelf: Shelf, name: str, seen: list[dict[Site, Tensor]]) -> Crosstalk:
    sizes = [norms(adapter)[name] ** 2 for adapter in shelf.adapters]
    hops, measured, random, own, total = shelf.bases.setting.hops, [], [], [], []
    for pair, keys in enumerate(seen):
        for site in sorted((s for s in keys if s.name == name), key=lambda s: s.loop):
            place, x = pair * hops + site.loop, keys[site]
            parts = torch.stack([_answer(adapter, site, x) for adapter in shelf.adapters])
            own.append(parts[place])
            total.append(parts.sum(0))
            response = parts[place].square().sum(-1)
            measured.append((total[-1] - own[-1]).square().sum(-1) / response)
            foreign = torch.stack(sizes).sum(0) - sizes[place]
            random.append(foreign[:, None] * x.square().mean(-1) / response)
    outputs, answers = torch.cat(own, 1), torch.cat(total, 1)
    table = outputs @ answers.mT
    facts = int(table.shape[-1])
    table = table / table.diagonal(dim1=1, dim2=2)[..., None]
    off = (table.square().sum((1, 2)) - facts) / max(facts * (facts - 1), 1)
    rank = min(shelf.teaching.rank * len(shelf.adapters), *shelf.bases.config.shapes[name])
    return Crosstalk(
        _folded(measured, hops), _folded(random, hops), _plain(off), least_crosstalk(facts, rank)
    )


def _answer(adapter: Lora, site: Site, x: Tensor) -> Tensor:
    return low_rank_image(x, adapter.up[site.name], adapter.down[site.name], adapter.scale)


def _folded(parts: list[Tensor], hops: int) -> Energies:
    return _plain(torch.stack(parts).unflatten(0, (-1, hops)))


def _plain(x: Tensor) -> np.ndarray:
    return x.double().numpy()
