"""Adapters on a real model by hooks: no weight changes, so taking them off restores it exactly.

The coefficients are one array, modules × adapters, which the hooks read at each forward pass::

    with attached(model, [one, two], 0.5) as acting:
        acting.set([1.0, 0.8])                          # one for each adapter
        acting.coefficients[acting.layers >= 15, 0] = 0  # the first acts in low layers only
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, forward
from loratheory.diagnosis import layer_of
from loratheory.lowrank import Array, LowRank
from loratheory.pretrained._fit import fitted
from loratheory.pretrained._model import Map, Model, failure
from loratheory.shapes import Float64, Int64

Route = Callable[[str, Array], Array]
"""``route(module, x)`` returns weights (t, k) of `k` adapters at a module's inputs `x` (t, n)."""


def routed(routers: Mapping[str, Any]) -> Route:
    """Return a route by one router for each module; it raises `ModelError` where one is missing.

    Parameters
    ----------
    routers : mapping of str to Router or Gates
        By module. Made from `Attached.updates`, so that they lie on the model's device; or any
        object whose ``weights(x)`` returns weights (t, k) for inputs ``x`` (t, n).
    """

    def _route(module: str, x: Array) -> Array:
        if module not in routers:
            remedy = "make a router for each of Attached.names"
            raise failure(module, "there is no router for it", remedy)
        return routers[module].weights(x)

    return _route


@dataclass(eq=False)
class Attached:
    """Adapters that act on a model until `remove`, or the end of the ``with`` block.

    Attributes
    ----------
    names : tuple of str
        The modules that some adapter changes.
    layers : (modules,) array of int
        The layer of each module: the first number in its name, -1 where there is none.
    coefficients : (modules, adapters) array
        May be written to at any time; a module whose row is zero returns the base's output as is.
    route : callable or None
        The function that weighs the adapters at each token; set by `follow`.
    traced : (adapters,) tensor or None
        Where set, it is used instead of `coefficients`, in all modules, and autograd follows it.
    """

    names: tuple[str, ...]
    layers: Int64[np.ndarray, " modules"]
    coefficients: Float64[np.ndarray, "modules adapters"]
    route: Route | None = None
    traced: Any = None
    _sites: Mapping[str, "Site"] = field(default_factory=dict, repr=False)
    _handles: list[Any] = field(default_factory=list, repr=False)

    @classmethod
    def over(cls, sites: Mapping[str, "Site"], count: int) -> "Attached":
        """Return `count` adapters at coefficient 1 on these modules; `act` switches them on."""
        numbers = [layer_of(name) for name in sites]
        layers = np.array([-1 if n is None else n for n in numbers], dtype=np.int64)
        return cls(tuple(sites), layers, np.ones((len(sites), count)), _sites=sites)

    @property
    def updates(self) -> dict[str, tuple[LowRank, ...]]:
        """For each module one update per adapter, on the model's device, to make routers from.

        An adapter that lacks the module has an update of width 0 there.
        """
        return {name: site.updates for name, site in self._sites.items()}

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
            If an embedding is among the modules: its inputs are token numbers, not vectors.
        """
        embedding = next((name for name, site in self._sites.items() if site.embedding), None)
        if route is not None and embedding:
            fact = "the inputs of an embedding are no vectors to route by"
            raise failure(embedding, fact, "attach adapters of linear maps only")
        self.route = route

    def act(self) -> "Attached":
        """Switch the adapters on, by a hook at each module."""
        for row, (name, site) in enumerate(self._sites.items()):
            hook = partial(self._changed, row, name, site)
            self._handles.append(site.module.register_forward_hook(hook, with_kwargs=True))
        return self

    def before(self, module: Any, hook: Callable[[Any, Any, Any], None]) -> None:
        """Call ``hook(module, args, kwargs)`` before each pass of a module, until `remove`."""
        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def _changed(
        self, row: int, name: str, site: "Site", _: Any, args: Any, kwargs: Any, out: Any
    ) -> Any:
        """What a module passes on, instead of `out`."""
        coefficients = self.coefficients[row] if self.traced is None else self.traced
        # A zero may be skipped, but not where its gradient is wanted.
        if self.traced is None and not coefficients.any():
            return out
        x = args[0] if args else next(iter(kwargs.values()))
        if self.route is None:
            return site.added(x, out, coefficients)
        return site.routed(x, out, coefficients, partial(self.route, name))

    def remove(self) -> None:
        """Take the adapters off; the model is what it was before, bit for bit."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> "Attached":
        """Return these adapters, which act already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the adapters off, whatever happened."""
        self.remove()


def attached(
    model: Model,
    adapters: Sequence[Adapter],
    coefficients: Any = 1.0,
    *,
    route: Route | None = None,
) -> Attached:
    r"""Let adapters act on a model: module outputs become :math:`Wx + \sum_j c_j \Delta_j x`.

    Parameters
    ----------
    model : Model
        Its weights are not touched, so tied ones stay tied. Adapters attached twice add up.
    adapters : sequence of Adapter
        At least one; an adapter counts as zero in modules that it lacks.
    coefficients : float or array
        One number, one for each adapter, or an array that broadcasts to modules × adapters;
        `ValueError` if it does not, or one is not finite.
    route : callable, optional
        ``route(module, x)``, which weighs the adapters at each token; see `Attached.follow`.

    Returns
    -------
    Attached
        Products are computed in float32 (float64 if an adapter or the model is) and their sum is
        rounded to the model's type once. Costs reading the adapters; a forward pass then costs
        ``O((m + n) r)`` more for each token and module, with `r` the sum of the ranks.

    Raises
    ------
    ModelError
        If an adapter does not fit the model.
    """
    together, places = fitted(model, adapters)
    sites = {name: Site.of(places[name], together.updates(name)) for name in together.shapes}
    acting = Attached.over(sites, len(adapters))
    acting.set(coefficients)
    acting.follow(route)
    return acting.act()


@dataclass(eq=False)
class Site:
    """One module with all its adapters, their factors side by side: two products a pass."""

    module: Any  # a linear map or an embedding
    up: Any  # (m, c) tensor: the factors of all adapters, c the sum of their ranks
    down: Any  # (c, n) tensor
    widths: tuple[int, ...]  # the ranks
    embedding: bool = False  # whether inputs are token numbers
    _row: bytes = b""
    _scale: Any = None

    @classmethod
    def of(cls, place: Map, updates: Sequence[LowRank]) -> "Site":
        """A copy of these updates on the module's device, in float32, or float64 if one is."""
        import torch

        weight = place.module.weight
        device = "cpu" if weight.is_meta else weight.device
        ups, downs = [_tensor(low.up) for low in updates], [_tensor(low.down) for low in updates]
        wide = any(a.dtype == torch.float64 for a in (*ups, *downs, weight))
        dtype = torch.float64 if wide else torch.float32
        up = torch.cat([a.to(device, dtype) for a in ups], dim=1)
        down = torch.cat([a.to(device, dtype) for a in downs], dim=0)
        return cls(place.module, up, down, tuple(low.width for low in updates), place.embedding)

    @property
    def updates(self) -> tuple[LowRank, ...]:
        """An update for each adapter, views into the factors."""
        ends = np.cumsum((0, *self.widths)).tolist()
        return tuple(LowRank(self.up[:, a:b], self.down[a:b]) for a, b in pairwise(ends))

    def added(self, x: Array, out: Array, row: Any) -> Array:
        """Return ``out + sum of row[j] * up_j @ down_j @ x`` in the type of `out`."""
        from torch.nn.functional import embedding, linear

        self._move_to(out.device)
        scale = self._scale_of(row)
        if self.embedding:
            codes = embedding(x.to(self.down.device), self.down.T)
        else:
            codes = linear(x.to(self.down), self.down)
        # Autograd needs the codes as they were; otherwise no second array of their size is made.
        codes = codes * scale if scale.requires_grad else codes.mul_(scale)
        change = linear(codes, self.up)
        if self.embedding and hasattr(self.module, "embed_scale"):
            change = change * self.module.embed_scale  # Gemma's embeddings scale what they look up
        return change.add_(out).to(out.dtype)  # in place: no second array of this size

    def routed(self, x: Array, out: Array, row: Any, route: Callable[[Array], Array]) -> Array:
        """Return the same with the weights of `route` beside the coefficients."""
        import torch

        self._move_to(out.device)
        flat = x.reshape(-1, x.shape[-1]).to(self.down)
        weights = route(flat) * torch.as_tensor(row, dtype=flat.dtype, device=flat.device)
        change = forward(self.updates, flat, weights)
        return change.reshape(out.shape).add_(out).to(out.dtype)

    def _scale_of(self, row: Any) -> Any:
        """The coefficient of each of the ``c`` pairs of factors, where the factors are."""
        import torch

        if isinstance(row, torch.Tensor):
            return row.repeat_interleave(torch.tensor(self.widths, device=row.device)).to(self.down)
        if row.tobytes() != self._row or self._scale is None:  # kept: a GPU would be sent it anew
            self._row = row.tobytes()
            self._scale = torch.from_numpy(np.repeat(row, self.widths)).to(self.down)
        return self._scale

    def _move_to(self, device: Any) -> None:
        """Once, to where the module computes: a weight that was offloaded does not tell before."""
        if self.down.device != device:
            self.up, self.down, self._scale = self.up.to(device), self.down.to(device), None


def _tensor(factor: Array) -> Any:
    """A factor as a tensor; arrays are copied, for they may be views of a file."""
    import torch

    if isinstance(factor, torch.Tensor):
        return factor
    return torch.from_numpy(np.array(factor, np.promote_types(factor.dtype, np.float32)))
