"""Adapters while they act on a model: their coefficients, and who weighs them token by token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from loratheory.lowrank import LowRank
from loratheory.pretrained._error import failure
from loratheory.pretrained._route import Route
from loratheory.pretrained._site import Site
from loratheory.shapes import Float64, Int64


@dataclass(eq=False)
class Attached:
    """Adapters that act on a model until `remove`, or the end of the ``with`` block.

    Attributes
    ----------
    names : tuple of str
        The modules that some adapter changes.
    layers : (modules,) array of int
        The first number in each name, -1 where there is none.
    coefficients : (modules, adapters) array
        May be written to at any time; where a row is zero, the base's output is passed on as is.
    route : callable or None
        What weighs the adapters at each token; set by `follow`.
    """

    names: tuple[str, ...]
    layers: Int64[np.ndarray, " modules"]
    coefficients: Float64[np.ndarray, "modules adapters"]
    route: Route | None = None
    _sites: Mapping[str, Site] = field(default_factory=dict, repr=False)
    _handles: list[Any] = field(default_factory=list, repr=False)

    @property
    def updates(self) -> dict[str, tuple[LowRank, ...]]:
        """What acts in each module, an update for each adapter, on the model's device.

        Routers are made from these. Where an adapter lacks the module its update has width 0.
        """
        return {name: one.updates for name, one in self._sites.items()}

    def set(self, coefficients: Any) -> None:
        """Replace the coefficients, in microseconds.

        Parameters
        ----------
        coefficients : float or array
            One number, one for each adapter, or an array that broadcasts to modules × adapters.

        Raises
        ------
        ValueError
            If the shape does not fit, or a number is not finite.
        """
        values = np.asarray(coefficients, dtype=np.float64)
        if not np.isfinite(values).all():
            message = f"coefficients {coefficients} are not all finite: use 0 to leave one out"
            raise ValueError(message)
        try:
            self.coefficients[...] = values
        except ValueError:
            shape, wanted = values.shape, self.coefficients.shape
            message = (
                f"coefficients have shape {shape}; give one number, {wanted[1]} (one for each "
                f"adapter), or an array that broadcasts to modules × adapters, {wanted}"
            )
            raise ValueError(message) from None

    def follow(self, route: Route | None) -> None:
        """Let `route` weigh the adapters at each token, on top of the coefficients.

        Parameters
        ----------
        route : callable or None
            ``route(module, x)`` gets the inputs of a module, a token a row, and returns a weight
            for each token and adapter; None gives every token weight 1.

        Raises
        ------
        ModelError
            If an embedding is among the modules: its inputs are numbers of tokens, no vectors.
        """
        tokens = next((name for name, one in self._sites.items() if one.embedding), None)
        if route is not None and tokens:
            fact = "the inputs of an embedding are no vectors to route by"
            raise failure(tokens, fact, "attach adapters of linear maps only")
        self.route = route

    def remove(self) -> None:
        """Take the adapters off; the model is what it was before, bit for bit."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> "Attached":
        """Nothing to do: they act already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the adapters off, whatever happened."""
        self.remove()
