"""Routers and gates of `loratheory.adapters`, module by module, as one routing hook."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from loratheory.lowrank import Array
from loratheory.pretrained._error import failure

Route = Callable[[str, Array], Array]
"""``route(module, x)``: for tokens ``x`` (t, n) of a module, weights (t, k) of the adapters."""


@runtime_checkable
class Weighing(Protocol):
    """What weighs adapters at tokens: a `Router`, `Gates`, or one of your own."""

    def weights(self, x: Array) -> Array:
        """Return weights (t, k) for tokens ``x`` (t, n)."""


def routed(routers: Mapping[str, Weighing]) -> Route:
    """Return the route that asks each module's own router.

    Parameters
    ----------
    routers : mapping of str to Router or Gates
        Made from `Attached.updates`, so that they lie on the model's device.

    Returns
    -------
    callable
        ``route(module, x) = routers[module].weights(x)``.

    Raises
    ------
    ModelError
        When asked for a module that has no router.
    """

    def _route(module: str, x: Array) -> Array:
        if module not in routers:
            remedy = "make a router for each of Attached.names"
            raise failure(module, "there is no router for it", remedy)
        return routers[module].weights(x)

    return _route
