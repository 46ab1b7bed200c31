"""Adapters that sit in one layer each, or act there alone: where a plain transformer reads them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.reuse._bases import batch, digest, fingerprint
from loratheory.experiments.reuse._rules import Rule, added
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import LORA, Adapt, Lora, Site, lora, stored, trained_lora


def in_layer(adapter: Adapt, layer: int) -> Adapt:
    """Return what acts in one layer only."""

    def _there(site: Site, x: Tensor) -> Tensor | None:
        return adapter(site, x) if site.layer == layer else None

    return _there


def in_layers(layers: Sequence[int]) -> Rule:
    """Return the rule that adds the pair's own adapters, that of each hop in one layer only."""

    def _placed(shelf: Shelf) -> Sequence[Adapt | None]:
        each = [
            [in_layer(adapter, layer) for adapter, layer in zip(pair, layers, strict=True)]
            for pair in shelf.hops
        ]
        return [added(one, [1.0] * len(one)) for one in each]

    return _placed


def retrained(here: Shelf, layers: Sequence[Sequence[int]]) -> Shelf:
    """Return the shelf with its single-hop adapters trained again, one layer at a time.

    Parameters
    ----------
    here : Shelf
        Whose edits are taught again.
    layers : sequence of sequence of int
        Of each hop, the layers that each get the whole edit, trained as if they were alone.

    Returns
    -------
    Shelf
        Adapters of the same maps as before; those of other layers are zero.
    """
    hops = tuple(
        tuple(
            _together([_confined(here, pair, hop, n) for n in each], here, pair, hop)
            for hop, each in enumerate(layers)
        )
        for pair in range(here.teaching.pairs)
    )
    return replace(here, hops=hops)


def _together(parts: Sequence[Lora], here: Shelf, pair: int, hop: int) -> Lora:
    """Adapters of different maps as one, with zeros in maps that none has."""
    before = here.hops[pair][hop].map(torch.zeros_like)
    up, down = dict(before.up), dict(before.down)
    for part in parts:
        up, down = up | dict(part.up), down | dict(part.down)
    return Lora(up, down, parts[0].scale)


def _confined(here: Shelf, pair: int, hop: int, layer: int) -> Lora:
    """The adapters of one hop, trained in one layer."""
    known, teaching = here.bases, here.teaching
    data = [one.hops[hop].prompts for one in here.lessons[pair]]
    rows = batch(stacked(data))
    seeds = [
        int(np.random.SeedSequence([seed, 6, number, pair, hop, layer]).generate_state(1)[0])
        for seed, number in here.replicas
    ]
    whole = lora(
        known.config, seeds, rank=teaching.rank, scale=teaching.scale, modules=teaching.modules
    )
    inside = [name for name in whole.up if name.startswith(f"layers.{layer}.")]
    start = Lora({n: whole.up[n] for n in inside}, {n: whole.down[n] for n in inside}, whole.scale)
    recipe = replace(LORA, steps=teaching.steps, rate=teaching.rate)
    parts = {
        "kind": "confined",
        "bases": {"config": known.config, "weights": fingerprint(known.weights)},
        "teaching": teaching,
        "layer": layer,
        "seeds": seeds,
        "data": digest(data),
    }
    found = stored(
        parts,
        lambda: trained_lora(
            known.config, known.weights, start, recipe, lambda _: rows, seeds
        ).tensors(),
    )
    up, down = ({n: found[f"{n}.{side}"] for n in inside} for side in ("up", "down"))
    return Lora(up, down, whole.scale)
