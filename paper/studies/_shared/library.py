r"""Libraries of adapters on small transformers, and how a rule of reuse makes them act.

A replica is one base with one set of edits. All replicas are computed side by side, so every tensor
has a first axis ``E`` of replicas. Replica ``e`` uses base ``e // sets``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import LowRank
from loratheory.shapes import Float
from loratheory.toy.transformer import (
    MLP,
    Adapt,
    Lora,
    Site,
    adapters_of,
    logits,
    stacked,
)
from paper.studies._shared.models import Models
from paper.studies._shared.rules import Act, Reuse, Route, coefficients

Accuracies = dict[str, Float[np.ndarray, " E"]]
"""Accuracy of each replica, by kind of question."""
PROBES = 256  # prompts of random tokens, three tokens each: what is ordinary here


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
    pairs: tuple[tuple[Lora, ...], ...]

    @property
    def adapters(self) -> tuple[Lora, ...]:
        """All adapters of single hops, which the rules reuse, pair by pair."""
        return tuple(adapter for pair in self.pairs for adapter in pair)

    @property
    def replicas(self) -> list[tuple[int, int]]:
        """Base seed and repetition of every replica."""
        return [(seed, number) for seed in self.bases.seeds for number in range(self.sets)]

    @property
    def asked(self) -> int:
        """The number of pairs that have questions."""
        return len(self.pairs)

    @property
    def names(self) -> frozenset[str]:
        """The weights that adapters change."""
        return frozenset(name for adapter in self.adapters for name in adapter.up)

    @property
    def size(self) -> int:
        """The number of adapters."""
        return len(self.adapters)

    @property
    def hops(self) -> int:
        """The number of adapters in a pair."""
        return len(self.pairs[0])

    @property
    def reads(self) -> int:
        """Number of times that a pass reads its weights: layers times loops."""
        return self.bases.config.loops * self.bases.config.depth

    def read(self, place: Site) -> int:
        """Return the number of the read to which a place belongs."""
        return place.loop * self.bases.config.depth + place.layer

    def having(self, adapters: Sequence[Lora]) -> "Library":
        """Return the same library with these adapters instead, as one pair."""
        return replace(self, pairs=(tuple(adapters),))

    def updates(self, place: Site) -> list[list[LowRank]] | None:
        """Return each replica's updates at a place; None where no adapter has any."""
        if place.name not in self.names:
            return None
        return [
            [LowRank(a.scale * a.up[place.name][e], a.down[place.name][e]) for a in self.adapters]
            for e in range(len(self.adapters[0].up[place.name]))
        ]

    def listen(self) -> None:
        """Run random tokens through the bases; the inputs of the last few bases' maps are kept."""
        activations(self.bases)

    def ordinary(self, place: Site) -> list[Tensor]:
        """Return, for each replica, the inputs of the map in its base on random tokens."""
        return list(self.spread(activations(self.bases)[place]))

    def spread(self, x: Tensor) -> Tensor:
        """Repeat each base's part of a tensor, ``(G, …)``, for its replicas, ``(E, …)``."""
        return x.repeat_interleave(self.sets, dim=0)

    def merged(self, method: str, **options: Any) -> "Library":
        """Return the library of one adapter, into which `method` merges all.

        Methods that work entry by entry keep the full rank.
        """
        return self.merged_by(
            lambda group: merge(group, method, rng=np.random.default_rng(0), **options)
        )

    def merged_by(self, make: Callable[[list[Adapter]], Adapter]) -> "Library":
        """Return a library of one adapter, which `make` makes of all, replica by replica."""
        groups = zip(*(adapters_of(adapter) for adapter in self.adapters), strict=True)
        return self.having([stacked([make(list(group)) for group in groups])])

    def block_route(self, level: float, by: str) -> "BlockGates":
        """Return gates that switch adapters by how much each changes a whole block's output."""
        return BlockGates(self, level, by)

    def prompt_route(self) -> Route:
        """Raise ValueError: prompt gates need prompts of many tokens, and these have two words."""
        message = "prompt gates need a language model, with prompts of many tokens: use gates here"
        raise ValueError(message)


class Acting:
    """What a rule of reuse adds to the outputs of the bases while one pair is asked.

    For a rule that weighs adapters by token, `on` holds the weights (E, N, K) of the last pass, by
    site.
    """

    def __init__(self, reuse: Reuse, pair: int = 0) -> None:
        self.reuse, self.pair = reuse, pair
        self._adapters, self._names = reuse.library.adapters, reuse.library.names
        self.on: dict[Site, Tensor] = {}

    @property
    def passes(self) -> str:
        """The passes in which questions are asked, see `Reuse.passes`."""
        return self.reuse.passes

    @property
    def by_token(self) -> bool:
        """Whether the rule weighs adapters by token."""
        return self.reuse.route is not None

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """Return the weighted sum of the adapters' outputs; None where no adapter acts."""
        route = self.reuse.route
        weights = None if route is None else route(site, x)
        if weights is not None:
            self.on[site] = weights = weights.to(x.dtype)
        if site.name not in self._names:
            return None
        counts: list[Any] = list(self.reuse.shares(site, self.pair))
        acts = [one if c else _silent for one, c in zip(self._adapters, counts, strict=True)]
        if weights is not None:
            counts = [c * weights[:, :, j, None] for j, c in enumerate(counts)]
        return added(acts, counts)(site, x)


def _silent(*_: object) -> None:
    """Add nothing."""


def acting(library: Library, act: Act) -> list[Acting]:
    """Return, for each pair, what a rule adds to the bases when that pair's questions are asked."""
    reuse = act(library)
    return [Acting(reuse, pair) for pair in range(library.asked)]


def of(*adapters: Lora, times: float = 1.0) -> Act:
    """Return the rule that adds these adapters and ignores those of the library."""
    return lambda library: coefficients(times)(library.having(adapters))


def added(adapters: Sequence[Adapt], coefficients: Sequence[Any]) -> Adapt:
    """Return the exact weighted sum of adapters; their ranks add up and are not truncated."""

    def _sum(site: Site, x: Tensor) -> Tensor | None:
        each = ((c, adapter(site, x)) for adapter, c in zip(adapters, coefficients, strict=True))
        parts = [c * part for c, part in each if part is not None]
        return sum(parts[1:], parts[0]) if parts else None

    return _sum


def within(adapter: Adapt, test: Callable[[Site], bool]) -> Adapt:
    """Return an adapter that acts only at the sites for which `test` is true."""
    return lambda site, x: adapter(site, x) if test(site) else None


@lru_cache(maxsize=4)
def activations(bases: Models, seed: int = 0) -> dict[Site, Tensor]:
    """Return by site the inputs (G, N, n) of each linear map of the bases on random tokens.

    Gates are calibrated with these, without task data or labels. Costs one pass; results for the
    last few bases are kept.
    """
    seen: dict[Site, Tensor] = {}
    rng = np.random.default_rng([seed, 5])
    shape = (len(bases.seeds), PROBES, bases.length)
    tokens = torch.tensor(rng.integers(1, bases.config.vocabulary, shape))

    def _record(site: Site, x: Tensor) -> None:
        seen[site] = x.clone()

    with torch.inference_mode():
        logits(bases.config, bases.weights, tokens, _record)
    return seen


FIRST = {"mlp": "mlp.in", "attention": "attention.query"}
"""The first map of each kind of block, at which the gates of the block decide."""
THROUGH = {"mlp": MLP, "attention": ("attention.value", "attention.output")}
"""The maps through which a token goes if attention looks only at the token itself."""


def block(weights: Mapping[str, Tensor], site: Site, x: Tensor, adapt: Adapt) -> Tensor:
    """Return the output of a site's block, ``(E, N, d) -> (E, N, d)``, without the residual.

    Attention is computed as if each token saw only itself, so queries and keys do not count.
    `weights` holds one model per replica; `adapt` is added to the maps.
    """
    for module in THROUGH[site.module.split(".")[0]]:
        place = Site(module, site.loop, site.layer)
        out, more = x @ weights[place.name].mT, adapt(place, x)
        out = out if more is None else out + more
        x = F.gelu(out) if module == "mlp.in" else out
    return x


@dataclass(eq=False)
class BlockGates:
    r"""Gates that switch each adapter at every token by how much it changes a block's output.

    The response of adapter ``j`` is :math:`\|f_j(x) - f_0(x)\|`, where :math:`f_j` is the MLP or
    attention with the adapter and :math:`f_0` without any. So only changes that survive the
    nonlinearity and later maps count. All maps of a block are switched together: one decision per
    token, layer and loop. By ``z`` an adapter is on if its response exceeds its mean over ordinary
    tokens by `level` standard deviations; by ``rate`` if it exceeds all but a share `level` of
    them. `thresholds` and the last decisions `on` are stored by the site of the block's first map.
    """

    library: Library
    level: float
    by: str = "z"
    thresholds: dict[Site, Tensor] = field(default_factory=dict)
    on: dict[Site, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the adapted blocks."""
        self._blocks = {name.rpartition(".")[0] for name in self.library.names}
        inside = {n: w for n, w in self.library.bases.weights.items() if n.startswith("layers.")}
        self._weights = {name: self.library.spread(w) for name, w in inside.items()}

    def responses(self, site: Site, x: Tensor) -> Tensor:
        """Return how much each adapter alone changes the block's output, ``(E, N, K)``."""
        bare = block(self._weights, site, x, _silent)
        changed = (block(self._weights, site, x, adapter) for adapter in self.library.adapters)
        return torch.stack([(one - bare).norm(dim=-1) for one in changed], dim=-1)

    def threshold(self, site: Site) -> Tensor:
        """Return the response above which each adapter is on, ``(E, 1, K)``."""
        if site not in self.thresholds:
            seen = self.responses(site, self.library.spread(activations(self.library.bases)[site]))
            if self.by == "z":
                spread = seen.std(dim=1, keepdim=True)
                self.thresholds[site] = seen.mean(dim=1, keepdim=True) + self.level * spread
            else:
                self.thresholds[site] = seen.quantile(1 - self.level, dim=1, keepdim=True)
        return self.thresholds[site]

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """Return which adapters are on, as decided at the block's first map."""
        if site.name.rpartition(".")[0] not in self._blocks:
            return None
        first = Site(FIRST[site.module.split(".")[0]], site.loop, site.layer)
        if site == first:
            self.on[site] = (self.responses(site, x) > self.threshold(site)).to(x.dtype)
        return self.on[first]
