"""All theorems that speak of weights, inputs or logits, on one model and the adapters for it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.diagnosis import layer_of
from loratheory.diagnosis._diagnose import distinct
from loratheory.lowrank import LowRank
from loratheory.pretrained._error import failure
from loratheory.pretrained._fit import fitted
from loratheory.pretrained._generic import GENERIC
from loratheory.pretrained._inputs import inputs
from loratheory.pretrained._model import Map, Model, maps
from loratheory.pretrained.check._arrow import of_routing
from loratheory.pretrained.check._base import Frozen, of_intruders, of_spectrum
from loratheory.pretrained.check._basis import weight
from loratheory.pretrained.check._facts import Facts, Kept, answered, grouped
from loratheory.pretrained.check._pairs import doubled, of_inputs, of_weights
from loratheory.pretrained.check._reading import Reading
from loratheory.pretrained.check._scores import heads, of_scores
from loratheory.pretrained.check._texts import batches
from loratheory.shapes import Float64

TOKENS = 128
Progress = Callable[[Iterable[str], int], Iterable[str]]


@dataclass(frozen=True)
class ModelCheck:
    """What the theorems say of a model and its adapters.

    Attributes
    ----------
    model : str
        Its name.
    adapters : tuple of str
        Names, in the order given.
    notes : tuple of str
        What the user should know about model and adapters, in sentences.
    readings : tuple of Reading
        One for each theorem, place and adapter or pair.
    kept : tuple of Kept
        How many answers each group keeps under each rule of reuse; empty without facts.
    """

    model: str
    adapters: tuple[str, ...]
    notes: tuple[str, ...]
    readings: tuple[Reading, ...]
    kept: tuple[Kept, ...] = ()


def checked(
    model: Model,
    adapters: Sequence[Adapter] = (),
    *,
    layers: Collection[int] | None = None,
    facts: Facts | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ModelCheck:
    """Evaluate the theorems on a real model's weights, inputs and logits, through the one judge.

    Parameters
    ----------
    model : Model
        The base. Nothing of it is changed.
    adapters : sequence of Adapter
        None: only what the base says. With two or more, also what merging and routing them meets.
    layers : collection of int, optional
        Which layers' modules to look at; all where not given.
    facts : mapping, optional
        For each adapter's name its prompts and answers; with two adapters also two-hop questions
        under any other name. Inputs come from the first ten prompts of each adapter, without facts
        from twelve plain sentences.
    limit : int, optional
        Prompts of a group that are asked at most, evenly chosen; all where not given.
    progress : callable, optional
        ``progress(modules, count)`` wraps the work in a progress bar.

    Returns
    -------
    ModelCheck
        Costs the eigenvalues of each weight, once for each model its singular vectors (kept in
        the cache), and a few thin decompositions a module.

    Raises
    ------
    ModelError
        If an adapter does not fit, no module is left, facts come without a tokenizer or belong to
        no adapter, or weights or inputs are not finite.
    AdapterError
        If the adapters do not fit each other.
    """
    known, notes = maps(model), list(model.notes)
    names = distinct([adapter.info.name for adapter in adapters])
    facts = grouped(facts, adapters, names) if facts else {}
    if facts and model.tokenizer is None:
        raise failure(model.name or model.kind, "has no tokenizer to ask facts with", "leave facts")
    updates: dict[str, list[LowRank]] = {}
    if adapters:
        together, _ = fitted(model, adapters)
        notes += together.report
        updates = {
            name: [_numpy(low) for low in together.updates(name)]
            for name in together.shapes
            if not known[name].embedding and _within(name, layers)
        }
    chosen = [*updates] if adapters else [n for n in known if _linear(known, n, layers)]
    if not chosen:
        fact = "no linear map is left to check"
        raise failure(model.name or model.kind, fact, "name other layers or adapters")
    own = [text for name in names for text in [*facts.get(name, ())][:10]]
    seen = inputs(model, batches(model, own or GENERIC), chosen) if adapters else {}
    work: Iterable[str] = progress(chosen, len(chosen)) if progress else chosen
    readings: list[Reading] = []
    for name in work:
        frozen = Frozen(weight(known[name], name), adapted=bool(adapters))
        readings.append(of_spectrum(name, frozen))
        if adapters:
            readings += _module(name, names, updates[name], frozen, _tokens(name, seen[name]))
    if adapters:
        for block, pairs in heads(model, known).items():
            if _within(block, layers):
                readings += of_scores(block, pairs, known, names, updates)
    margins, kept = answered(model, adapters, names, facts, limit)
    return ModelCheck(
        model.name or model.kind, names, tuple(notes), (*readings, *margins), tuple(kept)
    )


def _module(
    name: str,
    names: Sequence[str],
    updates: Sequence[LowRank],
    frozen: Frozen,
    x: Float64[np.ndarray, "t n"],
) -> Iterator[Reading]:
    """Everything about one module."""
    here = [i for i, low in enumerate(updates) if low.up.any() and low.down.any()]
    who, lows = [names[i] for i in here], doubled([updates[i] for i in here])
    yield from of_intruders(name, who, lows, frozen, 1 / len(names))
    if len(here) > 1:
        yield from of_weights(name, who, lows)
        yield from of_inputs(name, who, lows, x)
        yield from of_routing(name, who, lows, x)


def _tokens(name: str, x: Any) -> Float64[np.ndarray, "t n"]:
    """At most `TOKENS` inputs, evenly chosen, none zero."""
    rows: Float64[np.ndarray, "t n"] = x.double().cpu().numpy()
    if not np.isfinite(rows).all():
        remedy = "load the base in float32 or bfloat16, or look for weights that are not finite"
        raise failure(name, "what the model feeds it is not finite", remedy)
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    return rows[:: max(1, -(-len(rows) // TOKENS))]


def _numpy(low: LowRank) -> LowRank:
    return low.map(lambda f: f.detach().double().cpu().numpy() if hasattr(f, "detach") else f)


def _within(name: str, layers: Collection[int] | None) -> bool:
    return layers is None or layer_of(name) in layers


def _linear(known: Mapping[str, Map], name: str, layers: Collection[int] | None) -> bool:
    """Whether it is a linear map of a layer, not the head."""
    return not known[name].embedding and layer_of(name) is not None and _within(name, layers)
