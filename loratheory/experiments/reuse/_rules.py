"""Ways to reuse a shelf of trained adapters, each as what it adds to the base, pair by pair."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from loratheory.adapters import Gates, Router, merge
from loratheory.experiments.reuse._bases import Bases
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.lowrank import LowRank
from loratheory.toy.transformer import Adapt, Lora, Site, adapters_of, logits, stacked

Rule = Callable[[Shelf], Sequence[Adapt | None]]
"""What acts when the questions of each pair are asked: one thing throughout, but for oracles."""

Deciding = Gates | Router
PROBES = 256  # random prompts, three tokens each


def everywhere(adapt: Adapt | None, shelf: Shelf) -> list[Adapt | None]:
    """The same thing whatever is asked."""
    return [adapt] * shelf.teaching.pairs


def added(adapters: Sequence[Adapt], coefficients: Sequence[float]) -> Adapt:
    """Return the weighted sum of adapters: exact, whatever the ranks."""

    def _sum(site: Site, x: Tensor) -> Tensor | None:
        total: Tensor | None = None
        for adapter, c in zip(adapters, coefficients, strict=True):
            part = adapter(site, x)
            if part is not None:
                total = c * part if total is None else total + c * part
        return total

    return _sum


def summed(coefficient: float = 1.0) -> Rule:
    """Return the rule that adds all adapters, times one number."""
    return lambda shelf: everywhere(
        added(shelf.adapters, [coefficient] * len(shelf.adapters)), shelf
    )


def mean(shelf: Shelf) -> Sequence[Adapt | None]:
    """Return the uniform average of all adapters."""
    return summed(1 / len(shelf.adapters))(shelf)


def merged(method: str, **options: object) -> Rule:
    """Return a merge rule of `loratheory.adapters`; entrywise ones keep the full rank."""

    def _merged(shelf: Shelf) -> Sequence[Adapt | None]:
        groups = zip(*(adapters_of(adapter) for adapter in shelf.adapters), strict=True)
        found = [
            merge(list(group), method, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
            for group in groups
        ]
        return everywhere(stacked(found), shelf)

    return _merged


def alone(hop: int) -> Rule:
    """Return the rule that uses the pair's own adapter of one hop and no other."""
    return lambda shelf: [pair[hop] for pair in shelf.hops]


def kind(name: str) -> Rule:
    """Return the rule that uses the pair's own adapter of another kind: direct, joint, bridged."""
    return lambda shelf: list(shelf.others[name])


def beside(name: str, coefficient: float | None = None) -> Rule:
    """Return single-hop adapters and those of a kind, added; their mean where not told how."""

    def _all(shelf: Shelf) -> Sequence[Adapt | None]:
        adapters = [*shelf.adapters, *shelf.others[name]]
        c = 1 / len(adapters) if coefficient is None else coefficient
        return everywhere(added(adapters, [c] * len(adapters)), shelf)

    return _all


def oracle(shelf: Shelf) -> Sequence[Adapt | None]:
    """Return the right adapter in each loop: hop ``j`` of the pair asked, in loop ``j``."""
    return [in_loops(list(pair)) for pair in shelf.hops]


def in_loops(adapters: Sequence[Lora | None]) -> Adapt:
    """Return one adapter a loop, None for none."""

    def _chosen(site: Site, x: Tensor) -> Tensor | None:
        adapter = adapters[site.loop] if site.loop < len(adapters) else None
        return None if adapter is None else adapter(site, x)

    return _chosen


def activations(known: Bases, seed: int = 0) -> dict[Site, Tensor]:
    """Return what the bases feed each linear map on prompts of random tokens.

    Parameters
    ----------
    known : Bases
        ``G`` models.
    seed : int
        Of the tokens, which are drawn evenly from the vocabulary without padding.

    Returns
    -------
    dict of Site to (G, N, n) tensor
        ``N`` tokens a model. No task data and no labels: what calibrates gates.
    """
    seen: dict[Site, Tensor] = {}
    rng = np.random.default_rng([seed, 5])
    shape = (len(known.seeds), PROBES, known.setting.hops + 1)
    tokens = torch.tensor(rng.integers(1, known.config.vocabulary, shape))

    def _record(site: Site, x: Tensor) -> None:
        seen[site] = x.clone()

    with torch.inference_mode():
        logits(known.config, known.weights, tokens, _record)
    return seen


def routed(decide: Callable[[Sequence[LowRank], Tensor], Deciding]) -> Rule:
    """Return a rule that decides at every token, layer and loop which adapters act.

    Parameters
    ----------
    decide : callable
        ``decide(updates, activations)``: a `Router` or `Gates` for the updates of one module
        from what the base feeds it there on random tokens.

    Returns
    -------
    callable
        Outputs are mixed after the product.
    """

    def _routed(shelf: Shelf) -> Sequence[Adapt | None]:
        return everywhere(Routed(shelf, decide), shelf)

    return _routed


class Routed:
    """A shelf whose adapters are weighed token by token; prepared site by site when first met."""

    def __init__(
        self, shelf: Shelf, decide: Callable[[Sequence[LowRank], Tensor], Deciding]
    ) -> None:
        self.adapters, self.decide = shelf.adapters, decide
        self.base, self.share = activations(shelf.bases), shelf.teaching.sets
        self.known: dict[Site, list[Deciding]] = {}
        self.on: dict[Site, Tensor] = {}

    def weights(self, site: Site, x: Tensor) -> Tensor:
        """How much each adapter counts for each token, ``(E, N, n) -> (E, N, K)``."""
        if site not in self.known:
            self.known[site] = [
                self.decide(self._updates(site, e), self.base[site][e // self.share])
                for e in range(len(x))
            ]
        return torch.stack([one.weights(x[e]) for e, one in enumerate(self.known[site])])

    def _updates(self, site: Site, replica: int) -> list[LowRank]:
        return [
            LowRank(a.scale * a.up[site.name][replica], a.down[site.name][replica])
            for a in self.adapters
        ]

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """Return the mixture of the adapters' outputs."""
        if site.name not in self.adapters[0].up:
            return None
        weights = self.weights(site, x).to(x.dtype)
        self.on[site] = weights
        return sum(
            weights[:, :, j, None] * part
            for j, adapter in enumerate(self.adapters)
            if (part := adapter(site, x)) is not None
        )
