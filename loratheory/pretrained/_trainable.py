"""Factors in training: how they act on the frozen model meanwhile, and how they are kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, Info
from loratheory.diagnosis import layer_of
from loratheory.lowrank import Array, LowRank
from loratheory.pretrained._attach import Attached, Site
from loratheory.pretrained._model import Map, Model, failure, maps
from loratheory.store import draft

MOMENTS = ("exp_avg", "exp_avg_sq")


class _Site(Site):
    """A module whose update is trained: the optimiser changes its own factors, not copies."""

    def added(self, x: Array, out: Array, row: Any) -> Array:
        """Scaled after both products, as it was when the stored adapters were trained."""
        from torch.nn.functional import linear

        change = linear(linear(x.to(self.down.dtype), self.down), self.up) * float(row[0])
        return out + change.to(out.dtype)


@dataclass(frozen=True, eq=False)
class Trainable:
    """Trainable factors by module.

    Attributes
    ----------
    sites : mapping of str to Site
        Float32 tensors with gradients: ``up`` (m, r), zero at the start, and ``down`` (r, n).
    scale : float
        The update of a module is ``scale * up @ down``.
    """

    sites: Mapping[str, Site]
    scale: float

    @property
    def factors(self) -> dict[str, Any]:
        """All factors in order, as a checkpoint names them."""
        return {
            f"{name}.{side}": getattr(one, side)
            for name, one in self.sites.items()
            for side in ("up", "down")
        }

    @property
    def tensors(self) -> list[Any]:
        """What the optimiser changes."""
        return [*self.factors.values()]

    def acting(self) -> Attached:
        """Let them act on the model until the ``with`` block ends."""
        acting = Attached.over(self.sites, 1)
        acting.set(self.scale)
        return acting.act()

    def adapter(self, info: Info) -> Adapter:
        """What they are now, scale folded in, as an adapter in float32 NumPy arrays."""
        made = {
            name: LowRank(*(x.detach().cpu().numpy().copy() for x in (one.up, one.down)))
            for name, one in self.sites.items()
        }
        return Adapter.of({name: low * self.scale for name, low in made.items()}, info)


def trainable(
    model: Model,
    names: Sequence[str],
    rank: int,
    scale: int | float,
    rng: np.random.Generator,
) -> Trainable:
    r"""Return factors that change nothing yet, for linear maps of the model.

    ``up`` is zero and ``down`` uniform in :math:`\pm 1/\sqrt n`, as PEFT begins; drawn module
    after module.
    """
    import torch

    known = maps(model)
    sites = {}
    for name in names:
        m, n = known[name].shape
        drawn = rng.uniform(-1, 1, (rank, n)) / np.sqrt(n)
        where = known[name].module.weight.device
        if where.type == "meta":
            remedy = "load the model without offloading, or train other layers"
            raise failure(name, "its weight is not in memory", remedy)
        down = torch.tensor(drawn, dtype=torch.float32, device=where, requires_grad=True)
        up = torch.zeros((m, rank), dtype=torch.float32, device=where, requires_grad=True)
        sites[name] = _Site(known[name].module, up, down, (rank,))
    return Trainable(sites, float(scale))


def targets(model: Model, layers: tuple[int, int] | None, endings: Sequence[str]) -> list[str]:
    """Return the linear maps to train, in the network's order, each once, the output head never.

    Parameters
    ----------
    model : Model
        Whose maps.
    layers : (int, int) or None
        The first layer and the one after the last; None for all.
    endings : sequence of str
        Last parts of names, such as ``q_proj``; none for all.

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
        raise model.failure(fact, "choose among the names in maps(model)")
    return list(chosen.values())


def _wanted(name: str, place: Map, layers: tuple[int, int] | None, endings: Sequence[str]) -> bool:
    number = layer_of(name)
    inside = layers is None or (number is not None and layers[0] <= number < layers[1])
    ends = not endings or name.rpartition(".")[2] in endings
    return inside and ends and not place.embedding


def keep(
    file: Path,
    one: Trainable,
    optimizer: Any,
    losses: Sequence[float],
    name: str,
    *,
    last: bool,
) -> None:
    """Write factors, moments and losses into a safetensors file that is whole or the older one.

    `name` names the training: only the same one goes on from here. The `last` file is without the
    optimiser's moments.
    """
    from safetensors.torch import save_file

    tensors = {}
    for key, factor in one.factors.items():
        tensors[key] = factor.detach()
        state = {} if last else optimizer.state.get(factor, {})
        tensors |= {f"{key}.{moment}": state[moment] for moment in MOMENTS if state}
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "training": name,
        "losses": json.dumps(list(losses)),
        "last": str(int(last)),
    }
    with draft(file) as path:
        save_file({key: x.contiguous() for key, x in tensors.items()}, path, metadata=about)


def resumed(file: Path, one: Trainable, optimizer: Any, name: str) -> tuple[list[float], bool]:
    """Put factors and moments back as `keep` wrote them, if it did.

    Returns
    -------
    losses : list of float
        One for each step made so far.
    over : bool
        Whether the training had ended.

    Raises
    ------
    ModelError
        If the file is of another training, or none.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not file.exists():
        return [], False
    try:
        with safe_open(file, "pt") as opened:
            about: Mapping[str, str] = opened.metadata() or {}
            if about.get("training") != name:
                fact = "it holds the checkpoint of another training (model, data, plan or seed)"
                raise failure(str(file), fact, "name another file, or delete this one")
            losses = json.loads(about["losses"])
            with torch.no_grad():
                for key, factor in one.factors.items():
                    factor.copy_(opened.get_tensor(key))
                    if about["last"] == "0" and losses:
                        optimizer.state[factor] = {"step": torch.tensor(float(len(losses)))} | {
                            moment: opened.get_tensor(f"{key}.{moment}").to(factor.device)
                            for moment in MOMENTS
                        }
    except SafetensorError as error:
        fact = f"it cannot be read as a checkpoint ({error})"
        raise failure(str(file), fact, "delete it to start anew") from error
    return losses, about["last"] == "1"
