r"""Gates on what an adapter does to a whole MLP, not to one linear map.

`loratheory.adapters.calibrate` compares :math:`\|\Delta_j x\|`, map by map. Here the response of
adapter ``j`` is the change of the block's *output*, :math:`\|f_j(x) - f_0(x)\|` with :math:`f_j`
the MLP that carries it and :math:`f_0` the bare one. What the nonlinearity or the second map
takes back does not count, and both maps of a block are switched together. One decision per token,
layer and loop; thresholds from base activations on random tokens, as for all gates here.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.experiments.reuse._rules import Rule, activations, everywhere
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.toy.transformer import Adapt, Lora, Site


def mlp(weights: dict[str, Tensor], site: Site, x: Tensor, adapt: Adapt | None) -> Tensor:
    """Return the output of the MLP at a site, ``(E, N, d) -> (E, N, d)``, without the residual.

    Parameters
    ----------
    weights : dict of str to (E, m, n) tensor
        One model a replica.
    site : Site
        Where the first of its two maps is.
    x : (E, N, d) tensor
        What that map reads.
    adapt : callable, optional
        What is added to both maps.

    Returns
    -------
    (E, N, d) tensor
        Costs the two products, and what `adapt` costs.
    """
    second = Site("mlp.out", site.loop, site.layer)
    for place in (site, second):
        out = x @ weights[place.name].mT
        added = None if adapt is None else adapt(place, x)
        out = out if added is None else out + added
        x = F.gelu(out) if place is site else out
    return x


@dataclass(eq=False)
class BlockGates:
    """Each adapter on or off at every token by how much it changes the MLP's output.

    Attributes
    ----------
    shelf : Shelf
        Whose adapters are switched; they must sit in MLPs alone.
    level : float
        Deviations above the mean, or the false-alarm rate of one adapter; see `by`.
    by : str
        ``z``: on where the response is `level` standard deviations above its mean over base
        activations. ``rate``: on where it exceeds all but a share `level` of them.
    thresholds, on : dict
        By the site of the first map: thresholds found so far, and the last decisions.
    """

    shelf: Shelf
    level: float
    by: Literal["z", "rate"] = "z"
    thresholds: dict[Site, Tensor] = field(default_factory=dict)
    on: dict[Site, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse adapters outside of MLPs; spread the bases over the replicas."""
        outside = [name for name in self.shelf.adapters[0].up if ".mlp." not in name]
        if outside:
            message = f"block gates switch MLPs, and {outside[0]} is adapted too: use `routed`"
            raise ValueError(message)
        share = self.shelf.teaching.sets
        self._spread = partial(torch.repeat_interleave, repeats=share, dim=0)
        kept = {n: w for n, w in self.shelf.bases.weights.items() if ".mlp." in n}
        self._weights = {name: self._spread(w) for name, w in kept.items()}
        self._base = activations(self.shelf.bases)

    def responses(self, site: Site, x: Tensor) -> Tensor:
        """Return how much each adapter alone changes the MLP's output, ``(E, N, K)``."""
        bare = mlp(self._weights, site, x, None)
        changed = (mlp(self._weights, site, x, adapter) for adapter in self.shelf.adapters)
        return torch.stack([(one - bare).norm(dim=-1) for one in changed], dim=-1)

    def threshold(self, site: Site) -> Tensor:
        """Above what each adapter is on in this layer and loop, ``(E, 1, K)``."""
        if site not in self.thresholds:
            seen = self.responses(site, self._spread(self._base[site]))
            if self.by == "z":
                spread = seen.std(dim=1, keepdim=True)
                self.thresholds[site] = seen.mean(dim=1, keepdim=True) + self.level * spread
            else:
                self.thresholds[site] = seen.quantile(1 - self.level, dim=1, keepdim=True)
        return self.thresholds[site]

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """Return the sum of the outputs of the adapters that are on."""
        if site.name not in self.shelf.adapters[0].up:
            return None
        first = Site("mlp.in", site.loop, site.layer)
        if site == first:
            self.on[site] = (self.responses(site, x) > self.threshold(site)).to(x.dtype)
        return gated(self.shelf.adapters, self.on[first], site, x)


def gated(adapters: tuple[Lora, ...], weights: Tensor, site: Site, x: Tensor) -> Tensor:
    """Return the outputs of the adapters, each times its (E, N, K) weights, added."""
    total = torch.zeros(())
    for j, adapter in enumerate(adapters):
        part = adapter(site, x)
        if part is not None:
            total = total + weights[:, :, j, None] * part
    return total


def block_gates(level: float = 2.0, by: Literal["z", "rate"] = "z") -> Rule:
    """Return the rule that switches adapters by their response at the end of the MLP."""
    return lambda shelf: everywhere(BlockGates(shelf, level, by), shelf)
