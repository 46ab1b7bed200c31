"""Training of bases and of adapters: one loop for many replicas, which do not affect each other.

It minimises the cross-entropy at positions with a target. Replicas are trained side by side, in
blocks that fit the processor's cache. Trained weights are kept in files named by a hash of
everything that determines them.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from loratheory import store
from loratheory.shapes import Float
from loratheory.toy.transformer._model import (
    Adapt,
    Config,
    Lora,
    Parameters,
    Pass,
    Site,
    normal,
    parameters,
    shared,
    stream,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """AdamW (Loshchilov & Hutter 2019) with a rate that rises, then falls to a floor.

    Attributes
    ----------
    steps : int
        The number of steps.
    rate : float
        The highest learning rate.
    warmup : int
        Steps over which the rate rises linearly to the highest.
    schedule : str
        How the rate falls: ``cosine`` or ``linear``.
    floor : float
        The rate after the last step as a share of the highest; 1 for a constant rate.
    decay : float
        Weight decay, which gains of norms do not have.
    betas : pair of float
        Decay factors of AdamW's averages of the gradient and of its square.
    """

    steps: int
    rate: int | float
    warmup: int = 0
    schedule: str = "cosine"
    floor: int | float = 0.1
    decay: int | float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)

    def share(self, step: int) -> float:
        """Return the rate at a step, counted from 0, as a share of the highest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        # The share of the way after the warm-up.
        gone = (step - self.warmup) / max(self.steps - self.warmup, 1)
        left = (1 + math.cos(math.pi * gone)) / 2 if self.schedule == "cosine" else 1 - gone
        return self.floor + (1 - self.floor) * left


BASE = Recipe(steps=700, rate=1e-3, warmup=100, schedule="cosine", decay=1.0)
"""For a base of width 128 that answers held-out two-hop questions; batches of 96 prompts."""

LORA = Recipe(steps=120, rate=5e-3, schedule="linear")
"""For adapters of rank 8 on the MLPs of such a base; all prompts in every batch."""


CACHED = 512  # widths of the replicas computed together: more of them leave the cache

Progress = Callable[[int, Tensor], None]
"""Called after each step with its number, from 0, and the (E,) losses."""


class TrainingError(ValueError):
    """A loss is no longer finite."""


class Batch(NamedTuple):
    """The data of one step, as ``(E, B, T)`` tensors.

    Attributes
    ----------
    tokens, targets : tensor
        Token numbers; the token to predict at each position, -1 where there is none.
    hops : tensor, optional
        For deep supervision: after how many loops each target can be asked for at the earliest.
    """

    tokens: Tensor
    targets: Tensor
    hops: Tensor | None = None

    def of(self, replicas: slice) -> "Batch":
        """Return the batch of some replicas."""
        return Batch(*(None if x is None else x[replicas] for x in self))


def losses(
    config: Config,
    parameters: Parameters,
    batch: Batch,
    adapt: Adapt | None = None,
    noise: Float[Tensor, "L E N d"] | None = None,
) -> Float[Tensor, " E"]:
    """Return each replica's loss; see `Pass` and its `states`.

    It is the mean cross-entropy after the last loop, plus ``config.supervision`` times that after
    each earlier loop over the targets due by then, for which the batch has `hops`; 0 for a replica
    without targets.
    """
    run = Pass(config, parameters, adapt, batch.tokens.shape[0])
    after, targets = run.states(batch.tokens, noise), batch.targets.flatten(1)
    total = _average_loss(run, after[-1], targets, config.loops - 1)
    if not config.supervision:
        return total
    assert batch.hops is not None, "supervision needs to know when answers are due"
    for loop in range(config.loops - 1):
        # A k-hop answer can be known after k loops, no earlier.
        early = torch.where(batch.hops.flatten(1) <= loop + 1, targets, -1)
        total = total + config.supervision * _average_loss(run, after[loop], early, loop)
    return total


def _average_loss(run: Pass, state: Tensor, targets: Tensor, loop: int) -> Tensor:
    """Return each replica's mean cross-entropy; only positions with a target are decoded."""
    # Positions with a target come first, in order; the longest replica says how many are kept.
    count = (targets >= 0).sum(1)
    place = (targets < 0).long().argsort(dim=1, stable=True)[:, : int(count.max())]
    chosen = state.take_along_dim(place.unsqueeze(-1), dim=1)
    scores = run.decode(chosen, loop).flatten(0, 1)
    due = targets.gather(1, place).flatten()
    each = F.cross_entropy(scores, due, ignore_index=-1, reduction="none")
    return each.view(place.shape).sum(1) / count.clamp(min=1)


def trained_base(
    config: Config, recipe: Recipe, batch: Callable[[int], Batch], seeds: Sequence[int]
) -> dict[str, Tensor]:
    """Return trained weights of one model for each seed, as if each had been trained alone.

    ``batch(step)`` returns the data of a step for all replicas; initial weights and noise of each
    depend on its own seed only. Raises `TrainingError` if a loss is no longer finite.
    """
    # Each seed is a model of its own, so models and replicas are the same.
    start, count = parameters(config, seeds), len(seeds)
    parts = []
    for models, replicas in blocks(count, count, config.width):
        leaves = {name: _leaf(x[models]) for name, x in start.items()}
        parts.append(Part(replicas, leaves, None, leaves))
    descend(config, recipe, batch, seeds, parts)
    return _join_leaves(parts)


def trained_lora(
    config: Config,
    weights: Parameters,
    start: Lora,
    recipe: Recipe,
    batch: Callable[[int], Batch],
    seeds: Sequence[int],
    stand_ins: Sequence[Lora] = (),
) -> Lora:
    """Return trained adapters, as if each had been trained alone; `weights` and `start` stay.

    The ``E`` replicas share the ``G`` bases in order. With ``replace(config, supervision=0)`` only
    the last loop has a loss. The adapters `stand_ins` are not trained. Each of them is active on
    its share of a replica's rows: the first of three on the first third. Raises `TrainingError` if
    a loss is no longer finite.
    """
    parts = []
    for models, replicas in blocks(len(weights["embedding"]), len(seeds), config.width):
        # Copies, so that the start and the base stay as they were.
        adapter = start.of(replicas).map(_leaf)
        base = {name: x[models] for name, x in weights.items()}
        acts = (
            _share_rows(adapter, [one.of(replicas) for one in stand_ins]) if stand_ins else adapter
        )
        parts.append(Part(replicas, base, acts, adapter.tensors()))
    descend(config, recipe, batch, seeds, parts)
    found = _join_leaves(parts)
    up = {name: found[f"{name}.up"] for name in start.up}
    return Lora(up, {name: found[f"{name}.down"] for name in start.up}, start.scale)


def _share_rows(adapter: Adapt, stand_ins: Sequence[Lora]) -> Adapt:
    """Add one of several adapters of the same modules to an equal share of each replica's rows."""

    def _act(site: Site, x: Tensor) -> Tensor | None:
        own = adapter(site, x)
        if site.name not in stand_ins[0].up:
            return own
        shares = zip(stand_ins, x.unflatten(1, (len(stand_ins), -1)).unbind(1), strict=True)
        added = torch.cat([one(site, part) for one, part in shares], dim=1)
        return added if own is None else own + added

    return _act


def _leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


@dataclass(frozen=True, eq=False)
class Part:
    """Replicas computed together, and what they learn."""

    replicas: slice
    weights: Parameters
    adapter: Adapt | None
    leaves: dict[str, Tensor]


def _join_leaves(parts: Sequence[Part]) -> dict[str, Tensor]:
    """The leaves of all replicas, by name."""
    joined: dict[str, Tensor] = {}
    for name in parts[0].leaves:
        joined[name] = torch.cat([part.leaves[name] for part in parts]).detach()
    return joined


def blocks(models: int, replicas: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of models and of replicas that are computed together.

    A block has whole models or some replicas of one model, as many as fit the cache.
    """
    # Replicas of one model share its products, so that models are not cut where it can be helped.
    share, fits = shared(models, replicas), max(CACHED // width, 1)
    whole = max(fits // share, 1)
    size = whole * share if whole > 1 else min(share, fits)
    for first in range(0, models, whole):
        last = min(first + whole, models)
        for start in range(first * share, last * share, size):
            yield slice(first, last), slice(start, min(start + size, last * share))


def descend(
    config: Config,
    recipe: Recipe,
    batch: Callable[[int], Batch],
    seeds: Sequence[int],
    parts: Sequence[Part],
    progress: Progress | None = None,
) -> None:
    """Train the leaves of all parts in place, by AdamW on the sum of the replicas' losses.

    A replica's loss depends on its own leaves alone, so that the sum keeps the replicas apart.
    """
    plain: list[Tensor] = []
    gains: list[Tensor] = []
    for part in parts:
        for name, x in part.leaves.items():
            (gains if name.endswith("norm") else plain).append(x)
    # Decay would pull gains, which start at one, to zero.
    groups = [{"params": plain}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(
        groups, recipe.rate, recipe.betas, weight_decay=recipe.decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.share)
    generators = [stream(seed, 2) for seed in seeds]
    for step in range(recipe.steps):
        now, found = batch(step), []
        optimiser.zero_grad()
        for part in parts:
            some = now.of(part.replicas)
            # A replica draws from its own stream, in whatever part it is.
            noise = _noise(config, some.tokens, generators[part.replicas])
            each = losses(config, part.weights, some, part.adapter, noise)
            # Part by part, so that only one part's activations are in memory.
            each.sum().backward()
            found.append(each.detach())
        each = torch.cat(found)
        _check(each, step, recipe)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step, each)


def _noise(config: Config, tokens: Tensor, generators: Sequence[torch.Generator]) -> Tensor | None:
    """Return noise ``(L, E, N, d)`` for every layer of every loop; None if the config has none."""
    if not config.noise:
        return None
    # Drawn replica by replica, then put in the order in which layers use it.
    sides = (config.loops * config.depth, tokens[0].numel(), config.width)
    return normal(sides, generators).transpose(0, 1).to(tokens.device)


def _check(each: Tensor, step: int, recipe: Recipe) -> None:
    """Raise TrainingError if a loss is no longer finite."""
    finite = torch.isfinite(each)
    if not bool(finite.all()):
        worst = int(finite.int().argmin())
        message = (
            f"the loss of replica {worst} is {float(each[worst])} at step {step}: "
            f"lower the rate ({recipe.rate}) or lengthen the warm-up ({recipe.warmup} steps)"
        )
        raise TrainingError(message)


VERSION = 1
"""Raise it with every change of this package that changes what training makes.

Weights kept under another version are then made anew. A test trains a small model and says when
that has happened.
"""


def content_hash(parts: Mapping[str, Any]) -> str:
    """Return the name under which what these parts determine is cached; their order is ignored.

    Parts are the config, the recipe, the seeds and what the data were made from: dataclasses,
    numbers, texts, None, and lists and mappings of them. Others raise `TypeError`, since different
    ones may print alike. Names change with `VERSION` and with the version of PyTorch.
    """
    # Other code or another PyTorch may train other numbers.
    versions = {"code": VERSION, "torch": str(torch.__version__)}
    return store.content_hash({"parts": dict(parts), **versions})


def stored(
    parts: Mapping[str, Any], train: Callable[[], dict[str, Tensor]], folder: Path | None = None
) -> dict[str, Tensor]:
    """Return the weights that `parts` determine; calls `train` only if they are not stored yet.

    `parts` is everything that determines the weights, see `content_hash`. Files lie in `folder`, by
    default the user's cache; they appear complete or not at all, and a cut one is made again.
    No two processes train the same weights at once: one waits for the other.

    Raises
    ------
    OSError
        If the folder cannot be written; raised before any training.
    """
    folder = store.cache_folder() if folder is None else folder
    file = folder / f"{content_hash(parts)}.safetensors"
    if (weights := _read(file)) is not None:
        return weights
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # fails before hours of training, not after
    with store.lock(folder / "locks" / file.stem):
        weights = _read(file)  # another process may have made it meanwhile
        if weights is None:
            weights = {name: x.contiguous() for name, x in train().items()}
            with store.draft(file) as scratch:
                save_file(weights, scratch)
        return weights


def _read(file: Path) -> dict[str, Tensor] | None:
    """Return the weights of a file, or None where it is missing or cut."""
    try:
        return load_file(file)
    except (OSError, SafetensorError):
        return None
