"""Ways to use a library of adapters on a model: coefficients, layers, routers, gates, merges."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from loratheory.adapters import Adapter, Router, arrow_scores, calibrate_z, merge
from loratheory.lowrank import LowRank
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
from loratheory.pretrained import block_gates as switched
from loratheory.pretrained import prompt_gates as chosen

Way = Callable[[Model, Sequence[Adapter]], AbstractContextManager[Any]]
"""Puts a library on a model, hop 1 and hop 2 in turn, until the context ends."""


def summed(coefficient: float | int | Sequence[float] = 1.0) -> Way:
    """Return the way in which all act at these strengths, one for all or one each."""
    return lambda model, library: attached(model, library, coefficient)


def mean(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """Every adapter at one over their number."""
    return attached(model, library, 1 / len(library))


def cut(layer: int, first: str = "below", second: str = "above") -> Way:
    """Return the way in which adapters of each hop act in one half of the layers only.

    Parameters
    ----------
    layer : int
        The first of the upper half.
    first, second : str
        Where first hops act, and second hops: ``below``, ``above``, ``all`` or ``none``.

    Returns
    -------
    callable
        The way; as it stands, hop 1 is below and hop 2 above.
    """
    return lambda model, library: _apart(attached(model, library), layer, first, second)


def _apart(acting: Attached, layer: int, *halves: str) -> Attached:
    for hop, half in enumerate(halves):
        if half in ("below", "none"):
            acting.coefficients[acting.layers >= layer, hop::2] = 0
        if half in ("above", "none"):
            acting.coefficients[acting.layers < layer, hop::2] = 0
    return acting


def merged(method: str, **options: Any) -> Way:
    """Return the way in which one adapter acts that `merge` makes of all."""

    def _merged(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
        one = merge(library, method, **options)
        return attached(model, [Adapter.of(dict(one), one.info)])

    return _merged


MERGED: Mapping[str, Way] = {
    "ties": merged("ties", density=0.2, rank=32),
    "knots": merged("ties", density=0.2, space="knots"),
    "interpolating": merged("interpolate"),
}
"""Merges beside mean and sum. TIES keeps a fifth of the entries; KnOTS does so in its basis."""


@contextmanager
def _prepared(acting: Attached) -> Iterator[None]:
    """Take adapters off again if an error comes before they are handed on."""
    try:
        yield
    except BaseException:
        acting.remove()
        raise


def arrow(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """Exact Arrow: at each token and module the adapter whose top direction fits best."""
    acting = attached(model, library)
    with _prepared(acting):
        updates = acting.updates.items()
        acting.follow(routed({name: Router(arrow_scores(low)) for name, low in updates}))
    return acting


def peft_arrow(model: Model, library: Sequence[Adapter]) -> AbstractContextManager[Any]:
    """Arrow by PEFT's settings: tops by fifteen power steps, three adapters mixed by softmax."""
    import torch

    acting = attached(model, library)
    routers: dict[str, Weighing] = {}
    with _prepared(acting):
        for name, updates in acting.updates.items():
            codes = torch.stack([_power(low, steps=15) for low in updates])
            scores = replace(arrow_scores(updates), codes=codes)
            routers[name] = Router(scores, top_k=min(3, len(library)), temperature=1.0)
        acting.follow(routed(routers))
    return acting


def _power(low: LowRank, steps: int) -> Any:
    """Towards the top right singular vector, from a random one that is the same for all."""
    import torch

    up, down = low.up.float(), low.down.float()
    rng = torch.Generator(down.device).manual_seed(0)
    top = torch.randn(down.shape[1], generator=rng, device=down.device)
    for _ in range(steps):
        top = down.T @ (up.T @ (up @ (down @ torch.nn.functional.normalize(top, dim=0))))
    return torch.nn.functional.normalize(top, dim=0).to(low.down.dtype)


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
        with _prepared(acting):
            seen = inputs(model, [batch(model, [text]) for text in GENERIC], acting.names)
            acting.set(1.0)
            acting.follow(routed(_switches(acting.updates, seen, z)))
        return acting if layer is None else _apart(acting, layer, "below", "above")

    return _gated


def _switches(updates: Mapping[str, Any], seen: Mapping[str, Any], z: float | int) -> Any:
    made: dict[str, Weighing] = {
        name: calibrate_z(low, seen[name], z=z) for name, low in updates.items()
    }
    return made


def block_gates(z: float | int) -> Way:
    """Return the way of `gates` with one switch a layer, token and block, not one a linear map."""

    def _gated(model: Model, library: Sequence[Adapter]) -> Attached:
        acting = attached(model, library)
        with _prepared(acting):
            switched(model, acting, [batch(model, [text]) for text in GENERIC], z=z)
        return acting

    return _gated


def loudest(layer: int | None = None) -> Way:
    """Return the way in which one pair acts, that whose hop 1 answers the whole prompt loudest.

    Parameters
    ----------
    layer : int or None
        Where to cut besides.

    Returns
    -------
    callable
        The way; which adapters are a pair, and which of it is hop 1, is known.
    """

    def _chosen(model: Model, library: Sequence[Adapter]) -> Attached:
        acting = attached(model, library)
        ordinary = [batch(model, [text]) for text in GENERIC]
        pairs = [(hop, hop + 1) for hop in range(0, len(library), 2)]
        with _prepared(acting):
            chosen(model, acting, ordinary, pairs, [(first,) for first, _ in pairs])
        return acting if layer is None else _apart(acting, layer, "below", "above")

    return _chosen
