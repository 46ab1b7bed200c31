"""The factors that are being trained, and how they act on the frozen model meanwhile."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import LowRank
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Map, Model, maps


@dataclass(frozen=True, eq=False)
class Pupil:
    """Trainable factors by module.

    Attributes
    ----------
    factors : mapping of str to (up, down)
        Float32 tensors with gradients: ``up`` (m, r), zero at the start, and ``down`` (r, n).
    scale : float
        The update of a module is ``scale * up @ down``.
    """

    factors: Mapping[str, tuple[Any, Any]]
    scale: float

    @property
    def tensors(self) -> list[Any]:
        """All factors, in order."""
        return [factor for pair in self.factors.values() for factor in pair]

    def adapter(self, info: Info) -> Adapter:
        """What they are now, scale folded in, as an adapter in float32 NumPy arrays."""
        made = {
            name: LowRank(*(factor.detach().cpu().numpy().copy() for factor in (up, down)))
            for name, (up, down) in self.factors.items()
        }
        return Adapter.of({name: low * self.scale for name, low in made.items()}, info)

    @contextmanager
    def acting(self, model: Model) -> Iterator[None]:
        """Let them act on the model inside; afterwards it is what it was."""
        known = maps(model)
        handles = [
            known[name].module.register_forward_hook(partial(self._added, name))
            for name in self.factors
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _added(self, name: str, _: Any, args: Any, out: Any) -> Any:
        from torch.nn.functional import linear

        up, down = self.factors[name]
        return out + (linear(linear(args[0].to(down.dtype), down), up) * self.scale).to(out.dtype)


def pupil(
    model: Model, names: Sequence[str], rank: int, scale: int | float, rng: np.random.Generator
) -> Pupil:
    r"""Return factors that change nothing yet.

    Parameters
    ----------
    model : Model
        What they will act on.
    names : sequence of str
        Its linear maps that get an update.
    rank : int
        Of each.
    scale : float
        Of each.
    rng : numpy.random.Generator
        Draws the ``down`` factors, module after module.

    Returns
    -------
    Pupil
        ``up`` is zero and ``down`` uniform in :math:`\pm 1/\sqrt n`, as PEFT begins.

    Raises
    ------
    ModelError
        If a weight was offloaded and is not in memory.
    """
    import torch

    known = maps(model)
    made = {}
    for name in names:
        m, n = known[name].shape
        drawn = rng.uniform(-1, 1, (rank, n)) / np.sqrt(n)
        where = known[name].module.weight.device
        if where.type == "meta":
            remedy = "load the model without offloading, or train other layers"
            raise failure(name, "its weight is not in memory", remedy)
        down = torch.tensor(drawn, dtype=torch.float32, device=where, requires_grad=True)
        up = torch.zeros((m, rank), dtype=torch.float32, device=where, requires_grad=True)
        made[name] = (up, down)
    return Pupil(made, float(scale))


def targets(model: Model, layers: tuple[int, int] | None, endings: Sequence[str]) -> list[str]:
    """Return the linear maps to train, in the network's order, the output head never.

    Parameters
    ----------
    model : Model
        Whose maps.
    layers : (int, int) or None
        The first layer and the one after the last; None for all.
    endings : sequence of str
        Last parts of names, such as ``q_proj``; none for all.

    Returns
    -------
    list of str
        Each map once, whatever other names it has.

    Raises
    ------
    ModelError
        If no map is left.
    """
    head = getattr(model.network, "get_output_embeddings", lambda: None)()
    chosen: dict[int, str] = {}
    for name, place in maps(model).items():
        if place.module is not head and _wanted(name, place, layers, endings):
            chosen.setdefault(id(place.module), name)
    if not chosen:
        fact = f"no linear map ends in {', '.join(endings) or 'anything'} in layers {layers}"
        raise failure(model.name or model.kind, fact, "choose among the names in maps(model)")
    return list(chosen.values())


def _wanted(name: str, place: Map, layers: tuple[int, int] | None, endings: Sequence[str]) -> bool:
    number = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    inside = layers is None or (number is not None and layers[0] <= int(number[1]) < layers[1])
    ends = not endings or name.rpartition(".")[2] in endings
    return inside and ends and not place.embedding
