"""Ways to use a library of adapters on a model: coefficients, layers, routers, gates, merges."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from loratheory.adapters import Adapter, Router, arrow_scores, calibrate_z, merge
from loratheory.pretrained import (
    GENERIC,
    Attached,
    Model,
    Weighing,
    attached,
    batch,
    inputs,
    routed,
)

Way = Callable[[Model, Sequence[Adapter]], AbstractContextManager[Any]]
"""Puts a library on a model, hop 1 and hop 2 in turn, until the context ends."""


def summed(coefficient: float | int | Sequence[float] = 1.0) -> Way:
    """Return the way in which all act at these strengths, one for all or one each."""
    return lambda model, library: attached(model, library, coefficient)


def mean(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """Every adapter at one over their number."""
    return attached(model, library, 1 / len(library))


def cut(layer: int, *, wrong: bool = False) -> Way:
    """Return the way in which hop 1 acts below a layer only and hop 2 from it on, or vice versa."""

    def _cut(model: Model, library: Sequence[Adapter]) -> Attached:
        acting = attached(model, library)
        return _apart(acting, layer, wrong=wrong)

    return _cut


def _apart(acting: Attached, layer: int, *, wrong: bool) -> Attached:
    low, high = (1, 0) if wrong else (0, 1)
    acting.coefficients[acting.layers >= layer, low::2] = 0
    acting.coefficients[acting.layers < layer, high::2] = 0
    return acting


def ties(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """TIES, a fifth of the entries kept, in the basis of KnOTS."""
    merged = merge(library, "ties", density=0.2, space="knots")
    return attached(model, [Adapter.of(dict(merged), merged.info)])


def arrow(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """Exact Arrow: at each token and module the adapter whose top direction fits best."""
    acting = attached(model, library)
    updates = acting.updates.items()
    acting.follow(routed({name: Router(arrow_scores(low)) for name, low in updates}))
    return acting


def gates(z: float | int, layer: int | None = None) -> Way:
    """Return the way in which each adapter is on where it answers loudly, by ordinary sentences.

    Parameters
    ----------
    z : float
        How many deviations above its mean response to them.
    layer : int or None
        Where to cut besides.

    Returns
    -------
    callable
        The way. Costs the base's pass over `GENERIC` and a decomposition of each update.
    """

    def _gated(model: Model, library: Sequence[Adapter]) -> Attached:
        acting = attached(model, library, 0.0)
        seen = inputs(model, [batch(model, [text]) for text in GENERIC], acting.names)
        acting.set(1.0)
        acting.follow(routed(_switches(acting.updates, seen, z)))
        return acting if layer is None else _apart(acting, layer, wrong=False)

    return _gated


def _switches(updates: Mapping[str, Any], seen: Mapping[str, Any], z: float | int) -> Any:
    made: dict[str, Weighing] = {
        name: calibrate_z(low, seen[name], z=z) for name, low in updates.items()
    }
    return made
