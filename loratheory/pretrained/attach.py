"""Adapters on a real model by hooks: no weight changes, so taking them off restores it exactly.

The coefficients are one array, modules × adapters, which the hooks read at each forward pass::

    with attach(model, [one, two], 0.5) as acting:
        acting.set([1.0, 0.8])                          # one for each adapter
        acting.coefficients[acting.layers >= 15, 0] = 0  # the first acts in low layers only
"""

import difflib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from operator import attrgetter, ne
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding, linear

from loratheory.adapters import Adapter, AdapterOrPath, Aligned, aligned, read_all
from loratheory.adapters.routing import forward  # a pass has hundreds of calls: without checks
from loratheory.diagnosis import layer_of
from loratheory.lowrank import Array, LowRank
from loratheory.pretrained.models import Map, Model, OtherBaseWarning, failure, maps
from loratheory.shapes import Float, Float64, Int64

CLEAR = 1e-7  # relative to the strongest direction of an input; float32 knows no weaker ones
SHOWN = 3  # modules in an error message, at most
RIGHT_MODEL = "attach the adapter to the model it was trained on"
# ``route(module, x)`` returns weights (t, k) of `k` adapters at a module's inputs `x` (t, n).
Route = Callable[[str, Array], Array]


class Router:
    """A route that may decide before a forward pass; `Attached.follow` calls its hook then.

    Attributes
    ----------
    watched : mapping of str to torch.nn.Module
        The modules before whose passes `before_forward` is called, by name.
    """

    watched: dict[str, Any]

    def __call__(self, module: str, x: Array) -> Array:
        """Return weights (t, k) of `k` adapters at a module's inputs `x` (t, n)."""
        raise NotImplementedError

    def before_forward(self, name: str, module: Any, args: Any, kwargs: Any) -> None:
        """Decide what the coming pass of a watched module needs."""

    def hold(self, prompts: Mapping[str, Any]) -> AbstractContextManager[bool]:  # noqa: ARG002
        """Decide by these prompts for all that follows them, see `Attached.hold`.

        Routers that decide token by token need not: what follows changes no earlier token.
        """
        return nullcontext(enter_result=False)


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
    recorded : dict or None
        Where set, the weights of the route's last call for each module.
    sites : mapping of str to Site
        The modules by name, with the factors of all adapters.
    """

    layers: Int64[np.ndarray, " modules"]
    coefficients: Float64[np.ndarray, "modules adapters"]

    def __init__(self, sites: Mapping[str, "Site"], count: int, coefficients: Any) -> None:
        self.names, self.sites = tuple(sites), sites
        self.layers = np.full(len(sites), -1, dtype=np.int64)
        self.coefficients = np.ones((len(sites), count))
        self.route: Route | None = None
        self._routed: dict[str, tuple[LowRank, ...]] = {}
        self.traced: Any = None
        self.recorded: dict[str, Array] | None = None
        self._handles: list[Any] = []
        self._router_handles: list[Any] = []
        # Before any hook is set, since what is wrong is refused.
        self.set(coefficients)
        for row, (name, site) in enumerate(sites.items()):
            layer = layer_of(name)
            self.layers[row] = -1 if layer is None else layer
            hook = partial(self._change, row, name, site)
            self._handles.append(site.module.register_forward_hook(hook, with_kwargs=True))

    @property
    def updates(self) -> dict[str, tuple[LowRank, ...]]:
        """For each module one update per adapter, on the model's device, to make routers from.

        An adapter that lacks the module has an update of width 0 there.
        """
        return {name: site.updates for name, site in self.sites.items()}

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
            modules, count = self.coefficients.shape
            message = (
                f"coefficients have the shape {values.shape}: give one number, {count} (one for "
                f"each adapter), or an array that broadcasts to {modules} modules × {count}"
            )
            raise ValueError(message) from None

    def follow(self, route: Route | Router | None) -> None:
        """Let `route` weigh the adapters at each token, on top of the coefficients.

        Parameters
        ----------
        route : callable or None
            ``route(module, x)`` gets the inputs of a module, a token a row, and returns a weight
            for each token and adapter. A `Router` is also called before the passes that it watches.
            None gives every token weight 1.

        Raises
        ------
        ModelError
            If an embedding is among the modules: its inputs are token numbers, not vectors.
        """
        embedding = next((name for name, site in self.sites.items() if site.embedding), None)
        if route is not None and embedding:
            fact = "the inputs of an embedding are no vectors to route by"
            raise failure(embedding, fact, "attach adapters of linear maps only")
        # The hooks of an earlier router would go on deciding.
        while self._router_handles:
            self._router_handles.pop().remove()
        self.route = route
        self._routed = self.updates if route is not None else {}
        if isinstance(route, Router):
            for name, module in route.watched.items():
                hook = partial(route.before_forward, name)
                handle = module.register_forward_pre_hook(hook, with_kwargs=True)
                self._router_handles.append(handle)

    def hold(self, prompts: Mapping[str, Any]) -> AbstractContextManager[bool]:
        """Have a route that chooses for whole prompts choose once, until the end of ``with``.

        Otherwise it chooses anew at each pass, by all of the text that it sees. `prompts` are a
        batch, as `metrics.batch` makes it, and passes inside of ``with`` must have the same rows.
        Yields whether the network may keep a cache there. Costs the passes by which the route
        chooses.
        """
        route = self.route
        return route.hold(prompts) if isinstance(route, Router) else nullcontext(enter_result=True)

    def _change(
        self, row: int, name: str, site: "Site", _: Any, args: Any, kwargs: Any, out: Any
    ) -> Any:
        """Return what a module passes on, instead of `out`."""
        coefficients = self.coefficients[row] if self.traced is None else self.traced
        # A zero may be skipped, but not where its gradient is wanted.
        if self.traced is None and not coefficients.any():
            return out
        # Some networks call their maps by keyword.
        x = args[0] if args else next(iter(kwargs.values()))
        if self.route is None:
            return site.add(x, out, coefficients)
        # A route sees one token a row, whatever the shape of the batch.
        flat = x.reshape(-1, x.shape[-1]).to(site.down)
        weights = self.route(name, flat)
        # Overwritten at each pass, so that the last one stays.
        if self.recorded is not None:
            self.recorded[name] = weights
        weights = weights * torch.as_tensor(coefficients, dtype=flat.dtype, device=flat.device)
        change = forward(self._routed[name], flat, weights)
        return change.reshape(out.shape).add_(out).to(out.dtype)

    def remove(self) -> None:
        """Take the adapters off; the model is what it was before, bit for bit."""
        for handles in (self._handles, self._router_handles):
            while handles:
                handles.pop().remove()

    def __enter__(self) -> "Attached":
        """Return these adapters, which act already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the adapters off, whatever happened."""
        self.remove()


def attach(model: Model, adapters: Sequence[AdapterOrPath], coefficients: Any = 1.0) -> Attached:
    r"""Let adapters act on a model: module outputs become :math:`Wx + \sum_j c_j \Delta_j x`.

    Parameters
    ----------
    model : Model
        Its weights are not touched, so tied ones stay tied. Adapters attached twice add up.
    adapters : sequence of Adapter or path
        At least one; an adapter counts as zero in modules that it lacks.
    coefficients : float or array
        One number, one for each adapter, or an array that broadcasts to modules × adapters;
        `ValueError` if it does not, or one is not finite.

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
    together, places = fit_adapters(model, adapters)
    sites = {name: Site.of(place, together.updates(name)) for name, place in places.items()}
    return Attached(sites, len(adapters), coefficients)


@dataclass(eq=False)
class Site:
    """One module with all its adapters, their factors side by side: two products a pass."""

    module: Any  # a linear map or an embedding
    up: Any  # (m, c) tensor: the factors of all adapters, c the sum of their ranks
    down: Any  # (c, n) tensor
    widths: tuple[int, ...]  # the ranks
    embedding: bool = False  # whether inputs are token numbers

    @classmethod
    def of(cls, place: Map, updates: Sequence[LowRank]) -> "Site":
        """A copy of these updates on the module's device, in float32, or float64 if one is."""
        weight = place.module.weight
        tensors = [low.map(_to_tensor) for low in updates]
        up = torch.cat([*map(attrgetter("up"), tensors)], dim=1)
        down = torch.cat([*map(attrgetter("down"), tensors)], dim=0)
        # In half precision an update would lose what the sum with the output keeps.
        wide = torch.float64 in (up.dtype, down.dtype, weight.dtype)
        to = {"device": weight.device, "dtype": torch.float64 if wide else torch.float32}
        widths = tuple(map(attrgetter("width"), updates))
        return cls(place.module, up.to(**to), down.to(**to), widths, place.embedding)

    @property
    def updates(self) -> tuple[LowRank, ...]:
        """An update for each adapter, views into the factors."""
        ends = np.cumsum((0, *self.widths)).tolist()
        return tuple(LowRank(self.up[:, a:b], self.down[a:b]) for a, b in pairwise(ends))

    def add(self, x: Array, out: Array, row: Any) -> Array:
        """Return ``out + sum of row[j] * up_j @ down_j @ x`` in the type of `out`."""
        scale = self._expand(row)
        if self.embedding:
            codes = embedding(x.to(self.down.device), self.down.T)
        else:
            codes = linear(x.to(self.down), self.down)
        # Autograd needs the codes as they were; otherwise no second array of their size is made.
        codes = codes * scale if scale.requires_grad else codes.mul_(scale)
        change = linear(codes, self.up)
        # Gemma's embeddings scale what they look up, and so is its change.
        if self.embedding and hasattr(self.module, "embed_scale"):
            change = change * self.module.embed_scale
        return change.add_(out).to(out.dtype)  # in place: no second array of this size

    def _expand(self, row: Any) -> Any:
        """Return the coefficient of each of the ``c`` pairs of factors, where the factors are."""
        row = torch.as_tensor(row)
        return row.repeat_interleave(torch.tensor(self.widths, device=row.device)).to(self.down)


def _to_tensor(factor: Array) -> Any:
    """Return a factor as a tensor; arrays are copied, for they may be views of a file."""
    if isinstance(factor, torch.Tensor):
        return factor
    return torch.from_numpy(np.array(factor, np.promote_types(factor.dtype, np.float32)))


def fit_adapters(model: Model, adapters: Sequence[AdapterOrPath]) -> tuple[Aligned, dict[str, Map]]:
    """Return the adapters side by side and the maps that they change, once all of them fit.

    Raises
    ------
    ModelError
        If a module is not in the model, or has another shape there; the message names the first
        three and what would match.
    AdapterError
        If there is no adapter, or two do not fit each other.

    Warns
    -----
    OtherBaseWarning
        If an adapter says that it was trained on another base or revision.
    """
    places, adapters = maps(model), read_all(adapters)
    for adapter in adapters:
        _require_modules(model, adapter, places)
        _compare_base(model, adapter)
    # That they name different bases was a warning already.
    together = aligned(adapters, any_base=True)
    return together, {name: places[name] for name in together.shapes}


def _require_modules(model: Model, adapter: Adapter, places: dict[str, Map]) -> None:
    """Reject modules that are absent, of another shape, or embeddings where maps are."""
    wrong, remedy = list[str](), RIGHT_MODEL
    for name, shape in adapter.shapes.items():
        place = places.get(name)
        if place is None:
            closest = difflib.get_close_matches(name, places, 1, 0.0) or ["nothing: it has no maps"]
            wrong.append(f"{name} is not there, closest is {closest[0]}")
            remedy = f"{RIGHT_MODEL}, or rename its modules"
            if "experts" in name:
                remedy += "; experts kept in one tensor are not linear maps of their own"
        elif place.shape != shape:
            wrong.append(f"{name} is {place.shape}, not {shape}")
        elif place.embedding != (name in adapter.info.embeddings):
            wrong.append(f"{name} is {'an embedding' if place.embedding else 'a linear map'}")
    if wrong:
        some = "; ".join(wrong[:SHOWN]) + (", …" if wrong[SHOWN:] else "")
        fact = f"{len(wrong)} of its {len(adapter)} modules do not fit {model.kind} ({some})"
        raise failure(adapter.info.name, fact, remedy)


def _compare_base(model: Model, adapter: Adapter) -> None:
    """Warn where an adapter was trained on another base or another commit of it.

    Digests of the weights decide, where the adapter records one or names a folder that is there;
    otherwise names do, and the commit, since a branch says nothing.
    """
    info, fact = adapter.info, ""
    base, revision = info.base, info.revision
    # Owners differ between mirrors and local copies; the last part names the model.
    wanted, here = PurePath(base).name.casefold(), PurePath(model.name).name.casefold()
    if info.base_digest and model.digest:
        if info.base_digest != model.digest:
            fact = f"other weights than those of {model.name} (by their digests)"
    elif wanted and here and wanted != here:
        if not model.is_in(base):
            fact = f"{base}, this is {model.name} (by their names, since it records no digest)"
    # A branch moves, so only commits tell revisions apart; either may be shortened.
    elif set(revision) <= set("0123456789abcdef") and any(map(ne, revision, model.revision)):
        fact = f"revision {revision}, this is {model.revision}"
    if fact:
        message = (
            f"{adapter.info.name} was trained on {fact}: names and shapes fit, so it acts, but "
            "what it does here is not what it did"
        )
        warnings.warn(message, OtherBaseWarning, stacklevel=4)


def collect_inputs(
    model: Model, batches: Iterable[Mapping[str, Array]], modules: Sequence[str]
) -> dict[str, Array]:
    """Return the inputs of some linear maps, one row for each token, padding left out.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    batches : iterable of mapping
        What the network is called with, as tokenizers return it: `input_ids`, and
        `attention_mask` where there is padding.
    modules : sequence of str
        Which maps, by name.

    Returns
    -------
    dict of str to (t, n) tensor
        On the model's device, in its type; maps with the same input share one tensor. Experts get
        the tokens sent to them, padding included. Costs the forward passes, and ``O(t n)`` memory
        for each different input.

    Raises
    ------
    ModelError
        If a module is no linear map of the model, no token reaches it, or an input is not finite.
    """
    places = maps(model)
    wrong = [name for name in modules if name not in places or places[name].embedding]
    if wrong:
        fact = f"{wrong[0]} is no linear map of it"
        raise failure(model, fact, "choose among the names in maps(model)")
    rows = defaultdict[str, list[Array]](list)
    shared: dict[int, tuple[Array, Array]] = {}
    mask: Any = None

    def _keep(name: str, _: Any, args: Any, kwargs: Any) -> None:
        x = args[0] if args else next(iter(kwargs.values()))
        if id(x) not in shared:  # the second entry keeps the number from being used again
            # Copied, for a module may change its input in place.
            flat = x.reshape(-1, x.shape[-1])
            padded = mask is not None and mask.shape == x.shape[:-1]
            shared[id(x)] = (flat[mask.reshape(-1).bool()] if padded else flat.clone(), x)
        rows[name].append(shared[id(x)][0])

    handles = []
    for name in modules:
        # By name: maps may share a module.
        hook = partial(_keep, name)
        handles.append(places[name].module.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        with torch.no_grad():
            for one in batches:
                mask = one.get("attention_mask")
                model.network(**one)
                # Tensors of the next batch may get the numbers of these.
                shared.clear()
    finally:
        for handle in handles:
            handle.remove()
    # Maps that read the same tensors keep sharing them once batches are joined.
    joined: dict[tuple[int, ...], Array] = {}
    found: dict[str, Array] = {}
    for name in modules:
        parts = rows[name]
        if not parts:
            raise failure(name, "no token came there", "give prompts that reach it")
        key = tuple(map(id, parts))
        if key not in joined:
            joined[key] = torch.cat(parts)
            if not bool(joined[key].isfinite().all()):
                remedy = "load the base in float32 or bfloat16, or look for such weights"
                raise failure(name, "what the model feeds it is not finite", remedy)
        found[name] = joined[key]
    return found


def collect_moments(
    model: Model, batches: Iterable[Mapping[str, Array]], modules: Sequence[str]
) -> dict[str, Float[np.ndarray, "k n"]]:
    """Return square roots of the second moments of some linear maps' inputs.

    Arguments are those of `collect_inputs`.

    Returns
    -------
    dict of str to (k, n) array
        ``root.T @ root`` is the mean of ``x x'`` over the tokens, summed in float64; the root is in
        float32, without directions weaker than 1e-7 of the strongest. Costs the passes, and
        ``O(t n^2)`` and the memory of one (n, n) array for each different input.

    Raises
    ------
    ModelError
        As `collect_inputs`.
    """
    sums: dict[tuple[str, ...], Array] = {}  # by the modules that read one input
    counts: dict[tuple[str, ...], int] = {}
    for one in batches:
        shared: dict[int, list[str]] = {}
        fed = collect_inputs(model, [one], modules)
        for name, x in fed.items():
            shared.setdefault(id(x), []).append(name)
        for names in map(tuple, shared.values()):
            # Modules that read one tensor share its moments: the product is made once.
            x = fed[names[0]].double()
            sums[names] = x.T @ x + sums.get(names, 0)
            counts[names] = len(x) + counts.get(names, 0)
    roots: dict[str, Float[np.ndarray, "k n"]] = {}
    for names, summed in sums.items():
        energies, axes = torch.linalg.eigh(summed.cpu() / counts[names])
        # Energies are squares, hence the square.
        seen = energies > CLEAR**2 * energies[-1]
        root = (axes[:, seen] * energies[seen].sqrt()).T.float().numpy()
        roots |= dict.fromkeys(names, root)
    return {name: roots[name] for name in modules}
