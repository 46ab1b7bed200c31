"""How adapters act on a language model in the studies.

A way of using adapters is a function of a model and its adapters that attaches them; they act until
the end of its ``with`` block. Adapters come pair by pair, within a pair that of hop 1 first.
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

Act = Callable[[Model, Sequence[Adapter]], Attached]
"""A way of using adapters: attaches them to a model."""


def coefficients(*each: float) -> Act:
    """Return the way that multiplies adapters by a coefficient: one for all, or one per hop."""
    return lambda model, adapters: attach(model, adapters, np.resize(each, len(adapters)))


def layer_split(layer: int, first: str = "below", second: str = "above") -> Act:
    """Return the way by which the adapters of each hop act only in some layers.

    `first` and `second` say for each hop whether its adapters act ``below`` the layer, ``above``
    (including it), in ``all`` layers or in ``none``.
    """

    def _attach(model: Model, adapters: Sequence[Adapter]) -> Attached:
        acting = attach(model, adapters)
        low = acting.layers < layer
        acts: dict[str, Any] = {"below": low, "above": ~low, "all": True, "none": False}
        for number in range(len(adapters)):
            acting.coefficients[:, number] = acts[(first, second)[number % 2]]
        return acting

    return _attach


def rule(name: str, **options: Any) -> Act:
    """Return a combination method by its name in tables; `options` replace those of `rules`."""
    if name in MERGES:
        method, usual = MERGES[name]
        # Options of a study replace the usual ones.
        chosen = {**usual, **options}
        return lambda model, adapters: attach(model, [merge(adapters, method, **chosen)])
    if name in DECIDERS:
        return lambda model, adapters: _route(model, adapters, name)
    plain: dict[str, Act] = {
        "base": coefficients(0.0),
        "sum": coefficients(1.0),
        "mean": lambda model, adapters: attach(model, adapters, 1 / len(adapters)),
        "per-block gating, z = 2": _gate_blocks,
    }
    return plain[name]


def sentences(model: Model) -> list[Any]:
    """Return the ordinary sentences on which gates are calibrated, each a batch of its own."""
    return [batch(model, [text]) for text in GENERIC]


def _route(model: Model, adapters: Sequence[Adapter], name: str) -> Attached:
    """Weigh adapters anew at every token and module, by a decider of `rules`."""
    acting = attach(model, adapters, 0.0)
    # While nobody acts: what the bare base feeds each map.
    ordinary = collect_inputs(model, sentences(model), acting.names)
    ready = {}
    for module, updates in acting.updates.items():
        ready[module] = DECIDERS[name](updates, ordinary[module].float())
    # The route alone decides from here on.
    acting.set(1.0)
    acting.follow(lambda module, x: ready[module].weights(x))
    return acting


def _gate_blocks(model: Model, adapters: Sequence[Adapter]) -> Attached:
    acting = attach(model, adapters)
    gate_blocks(model, acting, sentences(model))
    return acting


def depth(model: Model) -> int:
    """Return the number of layers of a model."""
    return int(model.network.config.num_hidden_layers)
