"""Combination methods for adapters of a language model.

A method is a function that attaches adapters to a model; they are active until the end of its
``with`` block. Adapters are ordered by pair, and within a pair the hop-1 adapter comes first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, merge
from loratheory.pretrained import Attached, Model, attach, gate_blocks
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.metrics import batch
from loratheory.pretrained.models import GENERIC
from paper.studies._shared.rules import DECIDERS, MERGES

Method = Callable[[Model, Sequence[Adapter]], Attached]
"""A combination method: a function that attaches adapters to a model."""


def coefficients(*each: float) -> Method:
    """Return the method that multiplies adapters by one coefficient, or one coefficient per hop."""
    return lambda model, adapters: attach(model, adapters, np.resize(each, len(adapters)))


def layer_split(layer: int, first: str = "below", second: str = "above") -> Method:
    """Return the method by which the adapters of each hop are active in some layers only.

    `first` and `second` are the layers of hop 1 and hop 2: ``below`` the layer, ``above`` it
    (including the layer itself), ``all`` or ``none``.
    """

    def _attach(model: Model, adapters: Sequence[Adapter]) -> Attached:
        active = attach(model, adapters)
        low = active.layers < layer
        where: dict[str, Any] = {"below": low, "above": ~low, "all": True, "none": False}
        for number in range(len(adapters)):
            active.coefficients[:, number] = where[(first, second)[number % 2]]
        return active

    return _attach


def rule(name: str, **options: Any) -> Method:
    """Return a combination method by its name in tables; `options` replace those of `rules`."""
    if name in MERGES:
        method, usual = MERGES[name]
        # Options of a study replace the usual ones.
        chosen = {**usual, **options}
        return lambda model, adapters: attach(model, [merge(adapters, method, **chosen)])
    if name in DECIDERS:
        return lambda model, adapters: _route(model, adapters, name)
    others: dict[str, Method] = {
        "base": coefficients(0.0),
        "sum": coefficients(1.0),
        "mean": lambda model, adapters: attach(model, adapters, 1 / len(adapters)),
        "per-block gating, z = 2": _gate_blocks,
    }
    return others[name]


def generic_batches(model: Model) -> list[Any]:
    """Return the generic sentences that calibrate gates, one sentence per batch."""
    return [batch(model, [text]) for text in GENERIC]


def _route(model: Model, adapters: Sequence[Adapter], name: str) -> Attached:
    """Route tokens among adapters in every module, by a decider of `rules`."""
    active = attach(model, adapters, 0.0)
    # Before the route is set, all coefficients are 0: inputs are those of the base.
    generic = collect_inputs(model, generic_batches(model), active.names)
    ready = {}
    for module, updates in active.updates.items():
        ready[module] = DECIDERS[name](updates, generic[module].float())
    # With coefficients of 1, the route alone weighs the adapters.
    active.set(1.0)
    active.follow(lambda module, x: ready[module].weights(x))
    return active


def _gate_blocks(model: Model, adapters: Sequence[Adapter]) -> Attached:
    active = attach(model, adapters)
    gate_blocks(model, active, generic_batches(model))
    return active


def depth(model: Model) -> int:
    """Return the number of layers of a model."""
    return int(model.network.config.num_hidden_layers)
