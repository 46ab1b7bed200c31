"""Adapters that teach facts to a model: trained once each, kept in the cache."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filelock import FileLock

from loratheory.adapters import Adapter
from loratheory.cache import cache_folder
from loratheory.experiments.real import _known as known
from loratheory.experiments.real._facts import Facts, Items, items, rehearsed
from loratheory.pretrained import Model, Training, trained

HOPS = ("birth", "mascot")


def lesson(facts: Facts, hop: str) -> Items:
    """Return the data of one hop: its facts in six templates, and what the base knows already."""
    templates = known.BIRTH if hop == "birth" else known.MASCOT
    return [*items(getattr(facts, hop), templates), *rehearsed()]


def taught(
    model: Model,
    examples: Items,
    *,
    seed: Sequence[int],
    layers: tuple[int, int] | None = None,
    training: Training | None = None,
) -> Adapter:
    """Return an adapter trained on these examples; one in the cache is only read.

    Parameters
    ----------
    model : Model
        The base.
    examples : sequence of (prompt, answer)
        All its data.
    seed : sequence of int
        Of first factors and order.
    layers : (int, int) or None
        As in `Training`.
    training : Training, optional
        How, instead of what suits facts; it says which layers too.

    Returns
    -------
    Adapter
        Killed meanwhile, its training goes on where it was. No two processes train the same.
        Costs about a minute of one core for 135M parameters, once.
    """
    how = training or Training(layers=layers)
    parts = [_named(model), list(map(list, examples)), list(seed), asdict(how)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    folder = cache_folder() / "taught"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        file = folder / f"{key}.safetensors"
        rng = np.random.default_rng(list(seed))
        return trained(model, list(examples), how, rng=rng, checkpoint=file).adapter


def _named(model: Model) -> list[str]:
    """What tells models apart: on a GPU training rounds otherwise, and files of a folder change."""
    told = [model.name, model.revision, str(model.network.dtype)]
    if model.network.device.type != "cpu":
        told.append(model.network.device.type)
    if Path(model.name).is_dir():
        told.append(_sampled(model))
    return told


def _sampled(model: Model) -> str:
    """A digest of some thousand numbers of each weight."""
    digest = hashlib.sha256()
    for weight in model.network.parameters():
        if not weight.is_meta:
            some = weight.detach().flatten()[:: 1 + weight.numel() // 4096]
            digest.update(some.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def pair(
    model: Model, facts: Facts, seed: int, number: int, *, layered: bool = False
) -> list[Adapter]:
    """Return the adapters of both hops of a pair.

    Parameters
    ----------
    model : Model
        The base.
    facts : Facts
        The pair's.
    seed, number : int
        Of the facts; of the pair.
    layered : bool
        Whether hop 1 is taught in the lower half of the layers and hop 2 in the upper 60 %,
        rather than both in all.

    Returns
    -------
    list of Adapter
        Hop 1's and hop 2's.
    """
    depth = int(model.network.config.num_hidden_layers)
    places = ((0, depth // 2), (2 * depth // 5, depth)) if layered else (None, None)
    return [
        taught(model, lesson(facts, hop), seed=(seed, number, place), layers=layers)
        for place, (hop, layers) in enumerate(zip(HOPS, places, strict=True))
    ]
