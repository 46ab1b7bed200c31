r"""Gates on what an adapter does to a whole block, not to one linear map.

`loratheory.adapters.calibrate` compares :math:`\|\Delta_j x\|`, map by map. Here the response of
adapter ``j`` is the change of the block's *output*, :math:`\|f_j(x) - f_0(x)\|` with :math:`f_j`
the MLP, or the attention, that carries it and :math:`f_0` the bare one. What the nonlinearity or a
later map takes back does not count, and all maps of a block are switched together. One decision per
token, layer and loop; thresholds from base activations on random tokens, as for all gates here.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.experiments.reuse._rules import Rule, activations, everywhere
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.toy.transformer import HEAD, MLP, Adapt, Lora, Site

FIRST = {"mlp": "mlp.in", "attention": "attention.query"}
"""The map of each block that reads first, where its switch is set."""
THROUGH = {"mlp": MLP, "attention": ("attention.value", "attention.output")}
"""The maps that a token passes when it looks at nothing but itself."""


def block(weights: dict[str, Tensor], site: Site, x: Tensor, adapt: Adapt | None) -> Tensor:
    """Return the output of a block, ``(E, N, d) -> (E, N, d)``, without the residual.

    Parameters
    ----------
    weights : dict of str to (E, m, n) tensor
        One model a replica.
    site : Site
        Any map of the block.
    x : (E, N, d) tensor
        What the block reads.
    adapt : callable, optional
        What is added to its maps.

    Returns
    -------
    (E, N, d) tensor
        Of an MLP; of attention as if each token saw itself alone, so that queries and keys do not
        count. Costs two products, and what `adapt` costs.
    """
    for module in THROUGH[kind(site)]:
        place = Site(module, site.loop, site.layer)
        out = x @ weights[place.name].mT
        added = None if adapt is None else adapt(place, x)
        out = out if added is None else out + added
        x = F.gelu(out) if module == "mlp.in" else out
    return x


def kind(site: Site) -> str:
    """Which block a map belongs to: attention or mlp."""
    return site.module.split(".")[0]


def whole(name: str) -> str:
    """The block of a weight's name, such as ``layers.0.mlp``."""
    return name.rsplit(".", 1)[0]


@dataclass(eq=False)
class BlockGates:
    """Each adapter on or off at every token by how much it changes a block's output.

    Attributes
    ----------
    shelf : Shelf
        Whose adapters are switched; in MLPs, in attention or in both, which decide apart.
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
        """Refuse an adapted head; spread the bases over the replicas."""
        names = self.shelf.adapters[0].up
        self._adapted = {whole(name) for name in names}
        if HEAD in names:
            message = "block gates switch attention and MLPs, and the head is adapted: use `routed`"
            raise ValueError(message)
        self._spread = partial(torch.repeat_interleave, repeats=self.shelf.teaching.sets, dim=0)
        kept = {n: w for n, w in self.shelf.bases.weights.items() if n.startswith("layers.")}
        self._weights = {name: self._spread(w) for name, w in kept.items()}
        self._base = activations(self.shelf.bases)

    def responses(self, site: Site, x: Tensor) -> Tensor:
        """Return how much each adapter alone changes the block's output, ``(E, N, K)``."""
        bare = block(self._weights, site, x, None)
        changed = (block(self._weights, site, x, adapter) for adapter in self.shelf.adapters)
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
        if whole(site.name) not in self._adapted:
            return None
        first = Site(FIRST[kind(site)], site.loop, site.layer)
        if site == first:
            self.on[site] = (self.responses(site, x) > self.threshold(site)).to(x.dtype)
        if site.name not in self.shelf.adapters[0].up:
            return None
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
    """Return the rule that switches adapters by their response at the end of the block."""
    return lambda shelf: everywhere(BlockGates(shelf, level, by), shelf)
