r"""A decoder for many replicas at once, and LoRA on it: the first axis of weights counts replicas.

Replicas may share weights: with ``G`` models and ``E`` replicas, replica ``e`` runs on model
``e // (E / G)``, so that many adapters of one base cost one large matrix product.

Toy prompts have three or four tokens: products of 3 × 3 matrices by the thousand cost more to
start than to compute, so scores and sums of attention are taken elementwise, one distance at a
time. Norms have derivatives written by hand, since autograd's own pass memory too often: two passes
instead of eight.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.shapes import Float, Int

ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")
MLP = ("mlp.in", "mlp.out")
HEAD = "head"


class ConfigError(ValueError):
    """Replicas, rows or modules that do not fit each other."""


@dataclass(frozen=True)
class Site:
    """One use of a linear map in a pass: the same map is used once in every loop.

    Attributes
    ----------
    module : str
        One of `ATTENTION`, of `MLP`, or ``"head"``.
    loop : int
        The pass through the block, counted from 0; for the head, the pass before it.
    layer : int
        The layer of the block, counted from 0; for the head, the depth of the block.
    """

    module: str
    loop: int
    layer: int

    @property
    def name(self) -> str:
        """The name of the weight used here, the same in all loops, such as ``layers.0.mlp.in``."""
        return HEAD if self.module == HEAD else f"layers.{self.layer}.{self.module}"


@dataclass(frozen=True, kw_only=True)
class Config:
    """A decoder: a block of layers, passed through `loops` times with the same weights.

    What each sublayer and the head read is normalised, and the head is the embedding.

    Attributes
    ----------
    vocabulary : int
        How many tokens there are.
    width : int
        Dimension of the residual stream; the inner side of an MLP is four times that.
    heads : int
        Attention heads; they divide the width.
    depth : int
        Layers of the block.
    loops : int
        Passes through the block; 1 is a plain transformer.
    window : int, optional
        How many tokens attention sees, the present one included; by default all up to it.
    position : str
        ``none`` or ``rope``, which rotates queries and keys; a head's width is then even.
    noise : float
        Training adds Gaussian noise after each layer, of this share of the residual stream's rms.
    supervision : float
        Weight of the loss on targets decoded after earlier loops than the last.
    """

    vocabulary: int
    width: int = 64
    heads: int = 2
    depth: int = 2
    loops: int = 1
    window: int | None = None
    position: str = "none"
    noise: int | float = 0.0
    supervision: int | float = 0.0

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape (outputs, inputs) of every linear map, by the name of its weight."""
        d = self.width
        sides = {**dict.fromkeys(ATTENTION, (d, d)), "mlp.in": (4 * d, d), "mlp.out": (d, 4 * d)}
        shapes: dict[str, tuple[int, int]] = {}
        for layer in range(self.depth):
            shapes |= {Site(module, 0, layer).name: shape for module, shape in sides.items()}
        return shapes


Parameters = Mapping[str, Tensor]
Adapt = Callable[[Site, Tensor], Tensor | None]
"""What to add to a linear map's output, ``(E, N, n) -> (E, N, m)``, or None for nothing."""


def stream(seed: int, purpose: int) -> torch.Generator:
    """Return the random generator for a seed and a purpose; all such streams are independent."""
    # Neighbouring seeds give unrelated streams.
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Return standard normal numbers; slice ``e`` of them comes from generator ``e`` alone."""
    # One generator a replica: what it draws does not depend on the others.
    out = torch.empty(len(generators), *shape)
    for part, generator in zip(out, generators, strict=True):
        part.normal_(generator=generator)
    return out


def parameters(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Return initial weights of one model for each seed; a model depends on its own seed only.

    The names are ``embedding`` (G, V, d), those of ``config.shapes`` with (G, m, n) tensors, and
    gains of norms ending in ``norm``. Matrices are Gaussian with variance one over the number of
    inputs, gains are one.
    """
    generators, d, found = [stream(seed, 0) for seed in seeds], config.width, {}
    # The order is that in which numbers are drawn.
    for name, shape in {"embedding": (config.vocabulary, d), **config.shapes}.items():
        found[name] = normal(shape, generators) * shape[-1] ** -0.5
    norms = ["norm"]
    for layer in range(config.depth):
        norms += [f"layers.{layer}.attention.norm", f"layers.{layer}.mlp.norm"]
    return found | {name: torch.ones(len(seeds), d) for name in norms}


def shared(models: int, replicas: int) -> int:
    """Return how many replicas run on each model; ConfigError if they do not divide evenly."""
    if replicas % models:
        message = f"{replicas} replicas cannot share {models} models evenly: give a multiple"
        raise ConfigError(message)
    return replicas // models


def rotated(x: Float[Tensor, "R T H c"]) -> Float[Tensor, "R T H c"]:
    """Return queries or keys rotated by their positions (RoPE, Su et al. 2021).

    The halves of a vector make the pairs that are rotated. The product of a rotated query and a
    rotated key depends on their distance alone.
    """
    length, half = x.shape[1], x.shape[-1] // 2
    # Angles are made in float64: at long distances float32 would be off by whole digits.
    place = torch.arange(length, dtype=torch.float64, device=x.device)
    pace = 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=x.device) / half)
    angle = torch.outer(place, pace)[:, None]
    one, two = x.split(half, dim=-1)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)


def _later(x: Tensor, distance: int, first: float) -> Tensor:
    """Return the rows moved on by `distance` tokens, with `first` in the places before them."""
    return F.pad(x, (0, 0) * (x.ndim - 2) + (distance, 0), value=first) if distance else x


def attended(
    config: Config,
    query: Float[Tensor, "R T d"],
    key: Float[Tensor, "R T d"],
    value: Float[Tensor, "R T d"],
) -> Float[Tensor, "R T d"]:
    """Return what attention reads for each token, from itself and from those before it.

    For each head it is the mean of the values seen, weighted by ``softmax(query · key / sqrt(d /
    H))``. Costs ``O(R T W d)`` for ``R`` sequences and a window of ``W`` tokens.
    """
    length = query.shape[1]
    # Heads are blocks of the width.
    split = (config.heads, config.width // config.heads)
    query, key, value = (x.unflatten(-1, split) for x in (query, key, value))
    if config.position == "rope":
        query, key = rotated(query), rotated(key)
    reach = range(min(length, config.window or length))
    # One distance at a time: row o of the table has the scores of tokens that lie o back.
    table = []
    for o in reach:
        score = (query[:, o:] * key[:, : length - o]).sum(-1)
        table.append(_later(score, o, -math.inf))
    weights = (torch.stack(table) / math.sqrt(split[1])).softmax(0).unsqueeze(-1)
    read = weights[0] * value
    for o in reach[1:]:
        read = read + _later(weights[o, :, o:] * value[:, : length - o], o, 0.0)
    return read.flatten(2)


class _Unit(Function):  # type: ignore[misc]  # torch is opaque to the type checker
    """Every row at root mean square 1 (Zhang & Sennrich 2019); zero stays zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return each row divided by its root mean square."""
        factor = math.sqrt(x.shape[-1]) / (
            torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-12
        )
        unit = x * factor
        ctx.save_for_backward(unit, factor)
        return unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the part of the gradient that is orthogonal to the row, over the row's rms."""
        unit, factor = ctx.saved_tensors
        # Along the row itself nothing changes, since its length is taken out.
        along = torch.linalg.vecdot(grad, unit).unsqueeze(-1) / unit.shape[-1]
        return torch.addcmul(grad, unit, along, value=-1).mul_(factor)


@dataclass(frozen=True, eq=False)
class Pass:
    """One way of some replicas through their models: linear maps with what is added to them.

    The ``E`` replicas share the ``G`` models in order. `adapt` returns what to add to the output of
    each linear map. Raises `ConfigError` if ``G`` does not divide ``E``.
    """

    config: Config
    parameters: Parameters
    adapt: Adapt | None
    replicas: int

    def __post_init__(self) -> None:
        """Raise ConfigError unless every model has equally many replicas."""
        shared(self.models, self.replicas)

    @property
    def models(self) -> int:
        """How many models the parameters hold."""
        return int(self.parameters["embedding"].shape[0])

    def embedded(self, tokens: Tensor) -> Tensor:
        """Return the tokens' embeddings (E, B T, d)."""
        # All models' embeddings as one long table: one look-up serves them all.
        model = torch.arange(self.models, device=tokens.device)[:, None]
        index = tokens.reshape(self.models, -1) + self.config.vocabulary * model
        x = F.embedding(index, self.parameters["embedding"].flatten(0, 1))
        return x.view(self.replicas, -1, self.config.width)

    def linear(self, site: Site, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the map's output at `x`, plus what `adapt` adds and the residual: (E, N, m)."""
        # The head is tied to the embedding.
        weight = self.parameters["embedding" if site.module == HEAD else site.name].mT
        added = None if self.adapt is None else self.adapt(site, x)
        if residual is not None:
            added = residual if added is None else residual + added
        joint = self.joint(x)
        # One product adds on the way: the stream is not passed through memory again.
        out = joint @ weight if added is None else torch.baddbmm(self.joint(added), joint, weight)
        return out.view(*x.shape[:2], -1)

    def joint(self, x: Tensor) -> Tensor:
        """Return the replicas of each model side by side: ``(E, N, d)`` as ``(G, E N / G, d)``."""
        return x.reshape(self.models, -1, x.shape[-1])

    def normed(self, name: str, x: Tensor) -> Tensor:
        """Return `x` at rms 1, times the gain."""
        return (self.joint(_Unit.apply(x)) * self.parameters[name].unsqueeze(1)).view(x.shape)

    def layer(self, x: Tensor, loop: int, layer: int, length: int) -> Tensor:
        """Return the stream after attention and MLP of one layer, each added to what it reads."""

        def site(module: str) -> Site:
            """Return the use of this layer's linear map in this loop."""
            return Site(module, loop, layer)

        # Norm before, residual after each sublayer.
        seen = self.normed(f"layers.{layer}.attention.norm", x)
        shape = (-1, length, self.config.width)
        query, key, value = (self.linear(site(name), seen).view(shape) for name in ATTENTION[:3])
        read = attended(self.config, query, key, value)
        x = self.linear(site("attention.output"), read.view(x.shape), x)
        inner = self.linear(site("mlp.in"), self.normed(f"layers.{layer}.mlp.norm", x))
        return self.linear(site("mlp.out"), F.gelu(inner), x)

    def states(
        self, tokens: Int[Tensor, "E B T"], noise: Float[Tensor, "L E N d"] | None = None
    ) -> list[Float[Tensor, "E N d"]]:
        """Return the residual stream after each loop, sequences one after another: (E, B T, d).

        `noise`, standard normal (loops × depth, E, B T, d), is added after each layer, scaled by
        ``config.noise`` times the rms there.
        """
        config, x, after = self.config, self.embedded(tokens), []
        for loop in range(config.loops):
            for layer in range(config.depth):
                x = self.layer(x, loop, layer, tokens.shape[2])
                if noise is not None:
                    # The noise follows the stream, but no gradient flows through its size.
                    size = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True)
                    level = config.noise / math.sqrt(config.width)
                    x = torch.addcmul(x, noise[loop * config.depth + layer], size, value=level)
            after.append(x)
        return after

    def decode(self, state: Float[Tensor, "E N d"], loop: int) -> Float[Tensor, "E N V"]:
        """Return the logits that the head reads off the residual stream after a loop."""
        return self.linear(Site(HEAD, loop, self.config.depth), self.normed("norm", state))


def logits(
    config: Config, parameters: Parameters, tokens: Int[Tensor, "E B T"], adapt: Adapt | None = None
) -> Float[Tensor, "E B T V"]:
    """Return next-token logits at every position, without noise; see `Pass`."""
    run = Pass(config, parameters, adapt, tokens.shape[0])
    out = run.decode(run.states(tokens)[-1], config.loops - 1)
    return out.unflatten(1, tokens.shape[1:])


class _Addition(Function):  # type: ignore[misc]  # torch is opaque to the type checker
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
        """Return ``scale * up @ down`` applied to the rows of `x`.

        The narrow side is kept as rows, which is three times as fast as columns.
        """
        # The inner side is kept for the way back; it is r / n of the input.
        inner = torch.bmm(down, x.mT).mul_(scale)
        ctx.save_for_backward(x, up, down, inner)
        ctx.scale = scale
        return torch.bmm(inner.mT, up.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        """Return the gradients of the input and of both factors, and None for the scale."""
        x, up, down, inner = ctx.saved_tensors
        back = torch.bmm(up.mT, grad.mT).mul_(ctx.scale)
        # In a first layer nobody needs the gradient of the input, which costs a third.
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

    def of(self, replicas: int | slice | Tensor) -> "Lora":
        """Return the adapters of some replicas."""
        return self.map(lambda x: x[replicas])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Lora":
        """Return the adapters with `change` applied to every factor: ``lora.map(torch.clone)``."""
        up = dict(zip(self.up, map(change, self.up.values()), strict=True))
        down = dict(zip(self.down, map(change, self.down.values()), strict=True))
        return Lora(up, down, self.scale)

    def tensors(self) -> dict[str, Tensor]:
        """Return all factors by name, for an optimiser or a file."""
        ups = {f"{name}.up": x for name, x in self.up.items()}
        return ups | {f"{name}.down": x for name, x in self.down.items()}


def lora(
    config: Config,
    seeds: Sequence[int],
    *,
    rank: int = 8,
    scale: int | float = 2.0,
    modules: Sequence[str] = MLP,
) -> Lora:
    """Return untrained adapters, one for each seed; an adapter depends on its own seed only.

    `modules` are linear maps of `ATTENTION` and `MLP`, adapted in every layer. ``up`` is zero, so
    nothing changes yet, ``down`` Gaussian of variance ``1 / n``, and `scale` multiplies their
    product.
    """
    # Another stream than the weights', whose seeds may be the same.
    generators, up, down = [stream(seed, 1) for seed in seeds], {}, {}
    for name, (m, n) in config.shapes.items():
        if name.split(".", 2)[-1] in modules:
            down[name] = normal((rank, n), generators) * n**-0.5
            up[name] = torch.zeros(len(seeds), m, rank)
    return Lora(up, down, scale)


def adapters_of(trained: Lora) -> list[Adapter]:
    """Return each replica's adapter, with modules named as the weights and the scale folded in.

    Factors have the dtype of `trained` and are detached from its autograd graph.
    """
    # Plain numbers, whatever they were trained with.
    parts = trained.map(Tensor.detach)
    adapters = []
    for e in range(len(next(iter(parts.up.values())))):
        one = parts.of(e)
        lows = {name: LowRank(one.up[name] * one.scale, one.down[name]) for name in one.up}
        adapters.append(Adapter.of(lows))
    return adapters


def stacked(adapters: Sequence[Adapter], dtype: torch.dtype = torch.float32) -> Lora:
    """Return adapters as replicas of one `Lora` of scale 1: the inverse of `adapters_of`.

    Factors are NumPy arrays or tensors, and modules are named as the decoder's weights. A module
    that an adapter lacks is zero there; narrower updates are padded with zeros to the widest.
    """
    names = dict.fromkeys(chain.from_iterable(adapters))
    up: dict[str, Tensor] = {}
    down: dict[str, Tensor] = {}
    for name in names:
        # Looked up once: a lazy adapter computes an update at every look-up.
        known = {e: adapter[name] for e, adapter in enumerate(adapters) if name in adapter}
        (m, n), r = next(iter(known.values())).shape, max(low.width for low in known.values())
        up[name] = torch.zeros(len(adapters), m, r, dtype=dtype)
        down[name] = torch.zeros(len(adapters), r, n, dtype=dtype)
        for e, low in known.items():
            up[name][e, :, : low.width] = torch.as_tensor(low.up)
            down[name][e, : low.width] = torch.as_tensor(low.down)
    return Lora(up, down)
