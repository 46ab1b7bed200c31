r"""Libraries of adapters on small transformers, and combination methods for them.

A replica is one base with one set of edits. All replicas are computed together, so every tensor has
a first axis ``E`` of replicas; replica ``e`` uses base ``e // sets``. The output of a linear map
becomes :math:`Wx + \sum_j s_j w_j(x) \Delta_j x`, where the shares :math:`s_j` depend on the site
and the weights :math:`w_j(x)` on the token.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.adapters import merge
from loratheory.lowrank import LowRank
from loratheory.shapes import Float
from loratheory.toy import transformer as toy
from paper.studies._shared.models import Models
from paper.studies._shared.rules import DECIDERS, MERGES, NEED_GENERIC, Decide

Accuracies = dict[str, Float[np.ndarray, " E"]]
"""Accuracy of each replica, by kind of question."""
PROBES = 256  # generic prompts of three random tokens each


def by_hop(name: str, values: Iterable[Any]) -> dict[str, Any]:
    """Return values of the hops as columns ``NAME_1``, ``NAME_2``, …."""
    return {f"{name}_{hop}": value for hop, value in enumerate(values, 1)}


@dataclass(frozen=True, eq=False)
class Library:
    """The adapters of all replicas, ordered by base and within a base by repetition.

    Attributes
    ----------
    bases, sets
        The ``G`` base models, and the number of repetitions on each.
    pairs : tuple of tuple of Lora
        ``pairs[p][j]`` are the ``E`` adapters of pair ``p`` for hop ``j``.
    """

    bases: Models
    sets: int
    pairs: tuple[tuple[toy.Lora, ...], ...]

    @cached_property
    def adapters(self) -> tuple[toy.Lora, ...]:
        """All adapters of single hops, pair by pair."""
        return sum(self.pairs, ())

    @cached_property
    def names(self) -> frozenset[str]:
        """The weights that adapters change."""
        return frozenset().union(*(adapter.up for adapter in self.adapters))

    @property
    def replicas(self) -> list[tuple[int, int]]:
        """Base seed and repetition of every replica."""
        return list(product(self.bases.seeds, range(self.sets)))

    @property
    def pair_count(self) -> int:
        """The number of pairs with questions."""
        return len(self.pairs)

    @property
    def size(self) -> int:
        """The number of adapters."""
        return len(self.adapters)

    @property
    def hops(self) -> int:
        """The number of adapters in a pair."""
        return len(self.pairs[0])

    def having(self, adapters: Sequence[toy.Lora]) -> "Library":
        """Return the same library with these adapters instead, as one pair."""
        return replace(self, pairs=(tuple(adapters),))

    def updates(self, name: str) -> list[list[LowRank]]:
        """Return each replica's updates of a weight that all adapters change."""
        # The scale goes into one factor, as `LowRank` has none.
        each = [map(LowRank, a.scale * a.up[name], a.down[name]) for a in self.adapters]
        return list(map(list, zip(*each, strict=True)))

    def spread(self, x: Tensor) -> Tensor:
        """Repeat each base's part of a tensor, ``(G, …)``, for its replicas, ``(E, …)``."""
        return x.repeat_interleave(self.sets, dim=0)

    def merged(self, method: str, **options: Any) -> "Library":
        """Merge all adapters of each replica; return the library of the merges."""
        # Replicas have separate merges with the same random numbers.
        groups = zip(*map(toy.adapters_of, self.adapters), strict=True)
        made = [merge(one, method, rng=np.random.default_rng(0), **options) for one in groups]
        return self.having([toy.stacked(made)])


Route = Callable[[toy.Site, Tensor], Tensor | None]
"""``route(site, x)``: weights (E, N, K) for inputs (E, N, n); None where no adapter is active."""


@dataclass(eq=False)
class Active:
    """The active adapters of a combination method while one pair's questions are evaluated.

    Attributes
    ----------
    library : Library
        The library of the adapters.
    shares : callable
        ``shares(site, pair)`` returns a coefficient for each adapter.
    route : callable or None
        Weights by token, which multiply the shares.
    passes : str
        ``one``, ``two-step prompting`` (each hop's answer is put into the next question) or
        ``second pass`` (states of a first pass replace embeddings).
    pair : int
        The pair that is evaluated.
    on : mapping
        The weights (E, N, K) of the last pass, by site.
    """

    library: Library
    shares: Callable[[toy.Site, int], Sequence[Any]]
    route: Route | None = None
    passes: str = "one"
    pair: int = 0
    on: dict[toy.Site, Tensor] = field(default_factory=dict, init=False)

    def __call__(self, site: toy.Site, x: Tensor) -> Tensor | None:
        """Return the weighted sum of the adapters' outputs; None where no adapter is active."""
        weights = None if self.route is None else self.route(site, x)
        if weights is not None:
            self.on[site] = weights = weights.to(x.dtype)
        if site.name not in self.library.names:
            return None
        # A share of zero costs no pass of its adapter.
        shares = list(self.shares(site, self.pair))
        used = [one if c else _no_op for one, c in zip(self.library.adapters, shares, strict=True)]
        if weights is not None:
            shares = [c * weights[:, :, j, None] for j, c in enumerate(shares)]
        return add(used, shares)(site, x)


Method = Callable[[Any], Active]
"""A combination method: a function from a library to its active adapters."""


def _no_op(*_: object) -> None:
    """Add nothing."""


def activate(library: Library, method: Method) -> list[Active]:
    """Return the active adapters of a method for each pair's questions."""
    made = method(library)
    # Pairs record weights separately, but share the routers.
    return [replace(made, pair=pair) for pair in range(library.pair_count)]


def add(adapters: Sequence[toy.Adapt], coefficients: Sequence[Any]) -> toy.Adapt:
    """Return the exact weighted sum of adapters; their ranks add up and are not truncated."""

    def _sum(site: toy.Site, x: Tensor) -> Tensor | None:
        # None instead of a tensor of zeros saves the addition.
        total = None
        for adapter, c in zip(adapters, coefficients, strict=True):
            part = adapter(site, x)
            if part is not None:
                total = c * part if total is None else total + c * part
        return total

    return _sum


def within(adapter: toy.Adapt, test: Callable[[toy.Site], bool]) -> toy.Adapt:
    """Return an adapter that is active only at the sites for which `test` is true."""
    return lambda site, x: adapter(site, x) if test(site) else None


def coefficients(*each: float | int) -> Method:
    """Return the method that multiplies adapters by one coefficient, or one coefficient per hop."""

    def _activate(library: Library) -> Active:
        numbers = np.resize(each, library.size).tolist()
        return Active(library, lambda *_: numbers)

    return _activate


def _mean(library: Library) -> Active:
    return coefficients(1 / library.size)(library)


def only_adapters(*adapters: toy.Lora, times: float = 1.0) -> Method:
    """Return the method that adds these adapters and ignores those of the library."""
    return lambda library: coefficients(times)(library.having(adapters))


def _of_pair(test: Callable[[Library, toy.Site, int], bool]) -> Method:
    """Return the oracle pair's method, with each hop active where `test` is true."""

    def _activate(library: Library) -> Active:
        def _shares(site: toy.Site, pair: int) -> list[float]:
            shares = [0.0] * library.size
            for hop in range(library.hops):
                shares[pair * library.hops + hop] = float(test(library, site, hop))
            return shares

        return Active(library, _shares)

    return _activate


def oracle_placement(library: Library, *, backwards: bool = False) -> Active:
    """Activate the right hop's adapter in each read, hop 1 first; `backwards` reverses the hops."""
    config, last_hop = library.bases.config, max(library.hops - 1, 1)
    last_read = config.loops * config.depth - 1

    def _is_own(_: Library, site: toy.Site, hop: int) -> bool:
        # The first hop is read first and the last hop last, other hops in between.
        place = library.hops - 1 - hop if backwards else hop
        return site.loop * config.depth + site.layer == round(place * last_read / last_hop)

    return _of_pair(_is_own)(library)


def layer_split(layer: int, first: str = "below", second: str = "above") -> Method:
    """Return the method by which each hop's adapters are active only below or above a layer.

    `layer` is the lowest of the upper part.
    """

    def _activate(library: Library) -> Active:
        def _shares(site: toy.Site, _: int) -> list[float]:
            where = {"below": site.layer < layer, "above": site.layer >= layer}
            return np.resize([float(where[first]), float(where[second])], library.size).tolist()

        return Active(library, _shares)

    return _activate


def weigh_all(library: Library, route: Route | None = None) -> Active:
    """Activate all adapters with the weights of a route alone."""
    return Active(library, lambda *_: [1.0] * library.size, route)


def routed(decide: Decide, *, generic: bool) -> Method:
    """Return the method that routes every token at every site."""

    def _activate(library: Library) -> Active:
        # Preparation decomposes every update, so it is done once per site.
        ready: dict[toy.Site, list[Any]] = {}  # a router or gates per replica

        def _route(site: toy.Site, x: Tensor) -> Tensor | None:
            if site.name not in library.names:
                return None
            if site not in ready:
                seen: Any = [None] * len(x)
                if generic:
                    seen = library.spread(activations(library.bases)[site])
                ready[site] = list(map(decide, library.updates(site.name), seen))
            return torch.stack([one.weights(x[e]) for e, one in enumerate(ready[site])])

        return weigh_all(library, _route)

    return _activate


METHODS: dict[str, Method] = {
    "base": coefficients(0.0),
    "half the sum": coefficients(0.5),
    "sum": coefficients(1.0),
    "mean": _mean,
    "hop 1 alone": _of_pair(lambda _, __, hop: hop == 0),
    "hop 2 alone": _of_pair(lambda _, __, hop: hop == 1),
    "oracle placement": oracle_placement,
    "reversed placement": partial(oracle_placement, backwards=True),
    "per-block gating, z = 0": lambda library: weigh_all(library, BlockGates(library, 0.0)),
    "per-block gating, z = 2": lambda library: weigh_all(library, BlockGates(library, 2.0)),
    "per-block gating, z = 3": lambda library: weigh_all(library, BlockGates(library, 3.0)),
}
"""Combination methods without options, by their names in tables."""


def rule(name: str, **options: Any) -> Method:
    """Return a combination method by its name in tables; `options` replace those of `rules`.

    ``METHOD, two-step prompting`` and ``METHOD, second pass`` answer questions in several passes.
    KeyError if there is no method of that name.
    """
    # Names such as "norm, z" have a comma, too.
    name_alone, _, passes = name.partition(", ")
    if passes in ("two-step prompting", "second pass"):
        method = rule(name_alone, **options)
        return lambda library: replace(method(library), passes=passes)
    if name in MERGES:
        merge_name, usual = MERGES[name]
        return lambda library: weigh_all(library.merged(merge_name, **{**usual, **options}))
    if name in DECIDERS:
        return routed(partial(DECIDERS[name], **options), generic=name in NEED_GENERIC)
    return METHODS[name]


@lru_cache(maxsize=4)
def activations(bases: Models) -> dict[toy.Site, Tensor]:
    """Return by site the inputs (G, N, n) of each linear map of the bases on random tokens.

    They calibrate gates without task data or labels. The cost is one pass; results for the last
    four sets of bases are kept.
    """
    seen: dict[toy.Site, Tensor] = {}
    rng = np.random.default_rng([0, 5])
    shape = (len(bases.seeds), PROBES, bases.length)
    tokens = torch.tensor(rng.integers(1, bases.config.vocabulary, shape))

    def _record(site: toy.Site, x: Tensor) -> None:
        seen[site] = x.clone()

    with torch.inference_mode():
        toy.logits(bases.config, bases.weights, tokens, _record)
    return seen


FIRST = {"mlp": "mlp.in", "attention": "attention.query"}
"""The first map of each kind of block, where the gates of the block decide."""
THROUGH = {"mlp": toy.MLP, "attention": ("attention.value", "attention.output")}
"""The maps of a block for a token that attends to itself only."""


class BlockGates:
    r"""Gates that switch each adapter at every token by how much it changes a block's output.

    The response of adapter ``j`` is :math:`\|f_j(x) - f_0(x)\|`, where :math:`f_j` is the MLP or
    attention with the adapter and :math:`f_0` without adapters. It counts only changes that survive
    the nonlinearity and later maps. All maps of a block are switched together: one decision per
    token, layer and loop. An adapter is on if its response exceeds its mean over generic tokens by
    `z` standard deviations.
    """

    def __init__(self, library: Library, z: float) -> None:
        self.library, self.z = library, z
        self.blocks = {name.rpartition(".")[0] for name in library.names}
        self.weights = {}
        for name, weight in library.bases.weights.items():
            if name.startswith("layers."):
                self.weights[name] = library.spread(weight)
        # by the site of a block's first map, where the block is switched
        self.thresholds: dict[toy.Site, Tensor] = {}
        self.on: dict[toy.Site, Tensor] = {}

    def output(self, site: toy.Site, x: Tensor, adapt: toy.Adapt) -> Tensor:
        """Return the output of a site's block, ``(E, N, d) -> (E, N, d)``, without the residual."""
        for module in THROUGH[site.module.split(".")[0]]:
            place = toy.Site(module, site.loop, site.layer)
            out, more = x @ self.weights[place.name].mT, adapt(place, x)
            out = out if more is None else out + more
            x = F.gelu(out) if module == "mlp.in" else out
        return x

    def responses(self, site: toy.Site, x: Tensor) -> Tensor:
        """Return the norm of each adapter's change of the block's output, ``(E, N, K)``."""
        bare = self.output(site, x, _no_op)
        changed = [self.output(site, x, adapter) - bare for adapter in self.library.adapters]
        return torch.stack(changed, dim=-1).norm(dim=-2)

    def threshold(self, site: toy.Site) -> Tensor:
        """Return the response above which each adapter is on, ``(E, 1, K)``."""
        if site not in self.thresholds:
            seen = self.responses(site, self.library.spread(activations(self.library.bases)[site]))
            spread = seen.std(dim=1, keepdim=True)
            self.thresholds[site] = seen.mean(dim=1, keepdim=True) + self.z * spread
        return self.thresholds[site]

    def __call__(self, site: toy.Site, x: Tensor) -> Tensor | None:
        """Return the gates (E, N, K), as decided at the block's first map."""
        if site.name.rpartition(".")[0] not in self.blocks:
            return None
        first = toy.Site(FIRST[site.module.split(".")[0]], site.loop, site.layer)
        # Later maps of the block follow the decision at the first.
        if site == first:
            self.on[site] = (self.responses(site, x) > self.threshold(site)).to(x.dtype)
        return self.on[first]
