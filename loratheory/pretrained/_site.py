"""One module of a model with all its adapters: their factors side by side, two products a pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from loratheory.adapters import forward
from loratheory.lowrank import Array, LowRank
from loratheory.pretrained._model import Map


@dataclass(eq=False)
class Site:
    """Where adapters act.

    Attributes
    ----------
    module : torch.nn.Module
        A linear map or an embedding.
    updates : tuple of LowRank
        Views into the next two, an update for each adapter.
    up : (m, c) tensor
        All up factors side by side, ``c`` the sum of the ranks.
    down : (c, n) tensor
        All down factors, one below the other.
    widths : tuple of int
        The ranks.
    embedding : bool
        Whether inputs are token numbers.
    """

    module: Any
    updates: tuple[LowRank, ...]
    up: Any
    down: Any
    widths: tuple[int, ...]
    embedding: bool
    _row: bytes = b""
    _scale: Any = None

    def added(self, x: Array, out: Array, row: Any) -> Array:
        """Return ``out + sum of row[j] * up_j @ down_j @ x`` in the type of `out`."""
        from torch.nn.functional import embedding, linear

        self._follow(out)
        if self.embedding:
            codes = embedding(x.to(self.down.device), self.down.T)
        else:
            codes = linear(x.to(self.down), self.down)
        change = linear(codes * self._scaled(row), self.up)
        if self.embedding and hasattr(self.module, "embed_scale"):
            change = change * self.module.embed_scale  # Gemma's embeddings scale what they look up
        return (out + change).to(out.dtype)

    def routed(self, x: Array, out: Array, row: Any, route: Callable[[Array], Array]) -> Array:
        """Return the same with the weights of `route` beside the coefficients."""
        import torch

        self._follow(out)
        flat = x.reshape(-1, x.shape[-1]).to(self.down)
        weights = route(flat) * torch.as_tensor(row, dtype=flat.dtype, device=flat.device)
        change = forward(self.updates, flat, weights)
        return (out + change.reshape(out.shape)).to(out.dtype)

    def _scaled(self, row: Any) -> Any:
        """The coefficients, one for each row of `down`; made anew only if they changed."""
        import torch

        seen = row.tobytes()
        if seen != self._row or self._scale is None:
            repeated = torch.from_numpy(np.repeat(row, self.widths))
            self._row, self._scale = seen, repeated.to(self.down)
        return self._scale

    def _follow(self, out: Array) -> None:
        """Move to where the module computes, once: a weight offloaded before does not tell."""
        if self.down.device != out.device:
            self._place(self.up.to(out.device), self.down.to(out.device))

    def _place(self, up: Any, down: Any) -> None:
        cuts = np.cumsum((0, *self.widths)).tolist()
        self.up, self.down, self._scale = up, down, None
        self.updates = tuple(LowRank(up[:, a:b], down[a:b]) for a, b in pairwise(cuts))


def site(place: Map, updates: Sequence[LowRank]) -> Site:
    """Return the module with these updates on its device, in float32, or float64 if one is.

    Parameters
    ----------
    place : Map
        A module of the model.
    updates : sequence of LowRank
        An update for each adapter, NumPy or torch, all of the module's shape.

    Returns
    -------
    Site
        Holds one copy of the factors.
    """
    import torch

    weight = place.module.weight
    device = "cpu" if weight.is_meta else weight.device
    ups, downs = [_tensor(low.up) for low in updates], [_tensor(low.down) for low in updates]
    wide = any(a.dtype == torch.float64 for a in (*ups, *downs, weight))
    dtype = torch.float64 if wide else torch.float32
    up = torch.cat([a.to(device, dtype) for a in ups], dim=1)
    down = torch.cat([a.to(device, dtype) for a in downs], dim=0)
    widths = tuple(low.width for low in updates)
    made = Site(place.module, (), up, down, widths, place.embedding)
    made._place(up, down)
    return made


def _tensor(factor: Array) -> Any:
    """A factor as a tensor; arrays are copied, for they may be views of a file."""
    import torch

    if isinstance(factor, torch.Tensor):
        return factor
    return torch.from_numpy(np.array(factor, np.promote_types(factor.dtype, np.float32)))
