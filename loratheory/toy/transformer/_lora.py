"""LoRA for many replicas at once, and its conversion to and from `Adapter`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.shapes import Float
from loratheory.toy.transformer._config import MLP, Config, ConfigError, Site
from loratheory.toy.transformer._decoder import normal, stream


class _Addition(Function):  # type: ignore[misc]  # torch is opaque to the type checker
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
        """Return ``scale * up @ down`` applied to the rows of `x`.

        The narrow side is kept as rows, which is three times as fast as columns.
        """
        inner = torch.bmm(down, x.mT).mul_(scale)
        ctx.save_for_backward(x, up, down, inner)
        ctx.scale = scale
        return torch.bmm(inner.mT, up.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        """Return the gradients of the input and of both factors, and None for the scale."""
        x, up, down, inner = ctx.saved_tensors
        back = torch.bmm(up.mT, grad.mT).mul_(ctx.scale)
        to_x = torch.bmm(back.mT, down) if ctx.needs_input_grad[0] else None
        return to_x, torch.bmm(inner, grad).mT, torch.bmm(back, x), None


def low_rank_image(
    x: Float[Tensor, "E N n"],
    up: Float[Tensor, "E m r"],
    down: Float[Tensor, "E r n"],
    scale: int | float,
) -> Float[Tensor, "E N m"]:
    """Return ``scale * up @ down`` applied to every row; costs ``O(E N (m + n) r)``."""
    return _Addition.apply(x, up, down, float(scale))


@dataclass(frozen=True, eq=False)
class Lora:
    """One adapter for each replica: as `adapt` of the decoder it adds ``scale * up @ down @ x``.

    Attributes
    ----------
    up, down : mappings of str to (E, m, r) and (E, r, n) tensors
        Factors by the name of the weight; ``B`` and ``A`` in the LoRA paper.
    scale : float
        The factor of the product (alpha / r).
    """

    up: Mapping[str, Tensor]
    down: Mapping[str, Tensor]
    scale: int | float = 1.0

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """Return what is added at a site for inputs (E, N, n): (E, N, m), or None for nothing."""
        if (name := site.name) not in self.up:
            return None
        return low_rank_image(x, self.up[name], self.down[name], self.scale)

    def of(self, replicas: slice | Tensor) -> "Lora":
        """Return the adapters of some replicas."""
        return self.map(lambda x: x[replicas])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Lora":
        """Return the adapters with `change` applied to every factor: ``lora.map(torch.clone)``."""
        up, down = ({n: change(x) for n, x in side.items()} for side in (self.up, self.down))
        return Lora(up, down, self.scale)

    def tensors(self) -> dict[str, Tensor]:
        """Return all factors by name, for an optimiser or a file."""
        sides = (("up", self.up), ("down", self.down))
        return {f"{name}.{side}": x for side, factors in sides for name, x in factors.items()}


def lora(
    config: Config,
    seeds: Sequence[int],
    *,
    rank: int = 8,
    scale: int | float = 2.0,
    modules: Sequence[str] = MLP,
) -> Lora:
    """Return untrained adapters, one for each seed; an adapter depends on its own seed only.

    `modules` are linear maps of `ATTENTION` and `MLP`, adapted in every layer, or ``"head"``.
    ``up`` is zero, so nothing changes yet, ``down`` Gaussian of variance ``1 / n``, and `scale`
    multiplies their product. Raises `ConfigError` for an unknown map, or a rank below 1.
    """
    if rank < 1:
        message = f"rank is {rank}: give 1 or more"
        raise ConfigError(message)
    kinds = {name.split(".", 2)[-1]: name for name in config.shapes}
    for module in modules:
        if module not in kinds:
            message = f"there is no linear map {module!r}: choose of {', '.join(kinds)}"
            raise ConfigError(message)
    generators = [stream(seed, 1) for seed in seeds]
    chosen = {n: s for n, s in config.shapes.items() if n.split(".", 2)[-1] in modules}
    down = {name: normal((rank, n), generators) * n**-0.5 for name, (_, n) in chosen.items()}
    up = {name: torch.zeros(len(seeds), m, rank) for name, (m, _) in chosen.items()}
    return Lora(up, down, scale)


def adapters_of(trained: Lora) -> list[Adapter]:
    """Return each replica's adapter, with modules named as the weights and the scale folded in.

    Factors have the dtype of `trained` and are detached from its autograd graph.
    """
    up = {name: (x * trained.scale).detach() for name, x in trained.up.items()}
    down = {name: x.detach() for name, x in trained.down.items()}
    count = len(next(iter(up.values())))
    return [
        Adapter.of({name: LowRank(up[name][e], down[name][e]) for name in up}) for e in range(count)
    ]


def stacked(adapters: Sequence[Adapter], dtype: torch.dtype = torch.float32) -> Lora:
    """Return adapters as replicas of one `Lora` of scale 1: the inverse of `adapters_of`.

    Factors are NumPy arrays or tensors, and modules are named as the decoder's weights. A module
    that an adapter lacks is zero there; narrower updates are padded with zeros to the widest.
    """
    names = list(dict.fromkeys(name for adapter in adapters for name in adapter))
    up: dict[str, Tensor] = {}
    down: dict[str, Tensor] = {}
    for name in names:
        known = {e: adapter[name] for e, adapter in enumerate(adapters) if name in adapter}
        (m, n), r = next(iter(known.values())).shape, max(low.width for low in known.values())
        up[name] = torch.zeros(len(adapters), m, r, dtype=dtype)
        down[name] = torch.zeros(len(adapters), r, n, dtype=dtype)
        for e, low in known.items():
            up[name][e, :, : low.width] = torch.as_tensor(low.up)
            down[name][e, : low.width] = torch.as_tensor(low.down)
    return Lora(up, down)
