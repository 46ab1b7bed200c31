r"""Libraries of adapters on small transformers, and how combination methods let them act.

A replica is one base with one set of edits. All replicas are computed side by side, so every tensor
has a first axis ``E`` of replicas; replica ``e`` uses base ``e // sets``. The output of a linear
map becomes :math:`Wx + \sum_j s_j w_j(x) \Delta_j x`, where the shares :math:`s_j` depend on the
place and the weights :math:`w_j(x)` on the token.
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
from paper.studies._shared.rules import DECIDERS, MERGES, ON_ORDINARY, Decide

Accuracies = dict[str, Float[np.ndarray, " E"]]
"""Accuracy of each replica, by kind of question."""
PROBES = 256  # prompts of random tokens, three tokens each: what is ordinary here


def by_hop(name: str, values: Iterable[Any]) -> dict[str, Any]:
    """Return values of the hops as columns ``NAME_1``, ``NAME_2``, …."""
    return {f"{name}_{hop}": value for hop, value in enumerate(values, 1)}


@dataclass(frozen=True, eq=False)
class Library:
    """Adapters for every replica, ordered by base and within a base by repetition.

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
    def asked(self) -> int:
        """The number of pairs that have questions."""
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
        """Return the library of the one adapter that `merge` makes of all, replica by replica."""
        # Each replica has a merge of its own, all by the same random numbers.
        groups = zip(*map(toy.adapters_of, self.adapters), strict=True)
        made = [merge(one, method, rng=np.random.default_rng(0), **options) for one in groups]
        return self.having([toy.stacked(made)])


Route = Callable[[toy.Site, Tensor], Tensor | None]
"""``route(site, x)``: weights (E, N, K) for inputs (E, N, n); None where no adapter acts."""


@dataclass(eq=False)
class Acting:
    """What a combination method adds to the outputs of the bases while one pair is asked.

    Attributes
    ----------
    library : Library
        The library whose adapters act.
    shares : callable
        ``shares(site, pair)`` returns a coefficient for each adapter where a pair is asked.
    route : callable or None
        Weights by token, by which the shares are multiplied.
    passes : str
        ``one``, ``two-step prompting`` (each hop's answer is put into the next question) or
        ``second pass`` (states of a first pass take the place of embeddings).
    pair : int
        The pair that is asked.
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
        """Return the weighted sum of the adapters' outputs; None where no adapter acts."""
        weights = None if self.route is None else self.route(site, x)
        if weights is not None:
            self.on[site] = weights = weights.to(x.dtype)
        if site.name not in self.library.names:
            return None
        # A share of zero costs no pass of its adapter.
        shares = list(self.shares(site, self.pair))
        acts = [one if c else _silent for one, c in zip(self.library.adapters, shares, strict=True)]
        if weights is not None:
            shares = [c * weights[:, :, j, None] for j, c in enumerate(shares)]
        return added(acts, shares)(site, x)


Act = Callable[[Any], Acting]
"""A combination method: a function from a library to what acts."""


def _silent(*_: object) -> None:
    """Add nothing."""


def acting(library: Library, act: Act) -> list[Acting]:
    """Return, for each pair, what acts when that pair's questions are asked."""
    made = act(library)
    # Weights are recorded for each pair apart, but the routers are shared.
    return [replace(made, pair=pair) for pair in range(library.asked)]


def added(adapters: Sequence[toy.Adapt], coefficients: Sequence[Any]) -> toy.Adapt:
    """Return the exact weighted sum of adapters; their ranks add up and are not truncated."""

    def _sum(site: toy.Site, x: Tensor) -> Tensor | None:
        # Where no adapter acts nothing is added, not a tensor of zeros.
        total = None
        for adapter, c in zip(adapters, coefficients, strict=True):
            part = adapter(site, x)
            if part is not None:
                total = c * part if total is None else total + c * part
        return total

    return _sum


def within(adapter: toy.Adapt, test: Callable[[toy.Site], bool]) -> toy.Adapt:
    """Return an adapter that acts only at the sites for which `test` is true."""
    return lambda site, x: adapter(site, x) if test(site) else None


def coefficients(*each: float | int) -> Act:
    """Return the method that multiplies adapters by a coefficient: one for all, or one per hop."""

    def _act(library: Library) -> Acting:
        numbers = np.resize(each, library.size).tolist()
        return Acting(library, lambda *_: numbers)

    return _act


def _mean(library: Library) -> Acting:
    return coefficients(1 / library.size)(library)


def of(*adapters: toy.Lora, times: float = 1.0) -> Act:
    """Return the method that adds these adapters and ignores those of the library."""
    return lambda library: coefficients(times)(library.having(adapters))


def _of_pair(test: Callable[[Library, toy.Site, int], bool]) -> Act:
    """Return the method by which only the asked pair acts, each hop where a test is true of it."""

    def _act(library: Library) -> Acting:
        def _shares(site: toy.Site, pair: int) -> list[float]:
            shares = [0.0] * library.size
            for hop in range(library.hops):
                shares[pair * library.hops + hop] = float(test(library, site, hop))
            return shares

        return Acting(library, _shares)

    return _act


def oracle_placement(library: Library, *, backwards: bool = False) -> Acting:
    """Let the right adapter act in each read, hop 1's in the first; `backwards` in the last."""
    config, last_hop = library.bases.config, max(library.hops - 1, 1)
    last_read = config.loops * config.depth - 1

    def _is_own(_: Library, site: toy.Site, hop: int) -> bool:
        # The first hop is read first and the last one last, others in between.
        place = library.hops - 1 - hop if backwards else hop
        return site.loop * config.depth + site.layer == round(place * last_read / last_hop)

    return _of_pair(_is_own)(library)


def layer_split(layer: int, first: str = "below", second: str = "above") -> Act:
    """Return the method by which each hop's adapters act only below, or only above, a layer.

    `layer` is the lowest of the upper part.
    """

    def _act(library: Library) -> Acting:
        def _shares(site: toy.Site, _: int) -> list[float]:
            acts = {"below": site.layer < layer, "above": site.layer >= layer}
            return np.resize([float(acts[first]), float(acts[second])], library.size).tolist()

        return Acting(library, _shares)

    return _act


def everything(library: Library, route: Route | None = None) -> Acting:
    """Return what acts where a route alone weighs all adapters."""
    return Acting(library, lambda *_: [1.0] * library.size, route)


def routed(decide: Decide, *, ordinary: bool) -> Act:
    """Return the method that weighs the adapters anew at every token and place."""

    def _act(library: Library) -> Acting:
        # Preparing decomposes every update, so it is done once a place.
        ready: dict[toy.Site, list[Any]] = {}  # routers or gates, one a replica

        def _route(site: toy.Site, x: Tensor) -> Tensor | None:
            if site.name not in library.names:
                return None
            if site not in ready:
                seen: Any = [None] * len(x)
                if ordinary:
                    seen = library.spread(activations(library.bases)[site])
                ready[site] = list(map(decide, library.updates(site.name), seen))
            return torch.stack([one.weights(x[e]) for e, one in enumerate(ready[site])])

        return everything(library, _route)

    return _act


PLAIN: dict[str, Act] = {
    "base": coefficients(0.0),
    "half the sum": coefficients(0.5),
    "sum": coefficients(1.0),
    "mean": _mean,
    "hop 1 alone": _of_pair(lambda _, __, hop: hop == 0),
    "hop 2 alone": _of_pair(lambda _, __, hop: hop == 1),
    "oracle placement": oracle_placement,
    "reversed placement": partial(oracle_placement, backwards=True),
    "per-block gating, z = 0": lambda library: everything(library, BlockGates(library, 0.0)),
    "per-block gating, z = 2": lambda library: everything(library, BlockGates(library, 2.0)),
    "per-block gating, z = 3": lambda library: everything(library, BlockGates(library, 3.0)),
}
"""Methods without options."""


def rule(name: str, **options: Any) -> Act:
    """Return a combination method by its name in tables; `options` replace those of `rules`.

    ``METHOD, two-step prompting`` and ``METHOD, second pass`` answer questions in several passes.
    KeyError if there is no method of that name.
    """
    # A name such as "norm, z" has a comma, too.
    plain, _, passes = name.partition(", ")
    if passes in ("two-step prompting", "second pass"):
        act = rule(plain, **options)
        return lambda library: replace(act(library), passes=passes)
    if name in MERGES:
        method, usual = MERGES[name]
        return lambda library: everything(library.merged(method, **{**usual, **options}))
    if name in DECIDERS:
        return routed(partial(DECIDERS[name], **options), ordinary=name in ON_ORDINARY)
    return PLAIN[name]


@lru_cache(maxsize=4)
def activations(bases: Models) -> dict[toy.Site, Tensor]:
    """Return by site the inputs (G, N, n) of each linear map of the bases on random tokens.

    Gates are calibrated with these, without task data or labels. Costs one pass; results for the
    last few bases are kept.
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
"""The first map of each kind of block, at which the gates of the block decide."""
THROUGH = {"mlp": toy.MLP, "attention": ("attention.value", "attention.output")}
"""The maps through which a token goes if attention looks only at the token itself."""


class BlockGates:
    r"""Gates that switch each adapter at every token by how much it changes a block's output.

    The response of adapter ``j`` is :math:`\|f_j(x) - f_0(x)\|`, where :math:`f_j` is the MLP or
    attention with the adapter and :math:`f_0` without any. So only changes that survive the
    nonlinearity and later maps count. All maps of a block are switched together: one decision per
    token, layer and loop. An adapter is on if its response exceeds its mean over ordinary tokens by
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
        """Return how much each adapter alone changes the block's output, ``(E, N, K)``."""
        bare = self.output(site, x, _silent)
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
        """Return which adapters are on, as decided at the block's first map."""
        if site.name.rpartition(".")[0] not in self.blocks:
            return None
        first = toy.Site(FIRST[site.module.split(".")[0]], site.loop, site.layer)
        # Later maps of the block follow the decision at the first.
        if site == first:
            self.on[site] = (self.responses(site, x) > self.threshold(site)).to(x.dtype)
        return self.on[first]
