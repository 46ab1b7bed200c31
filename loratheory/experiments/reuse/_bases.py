"""Small transformers that know a world: trained once per seed and setting, kept in the cache."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from loratheory.tasks.two_hop import (
    NOTHING,
    Prompts,
    Split,
    World,
    pretraining,
    sampled,
    split,
    stacked,
    world,
)
from loratheory.toy.transformer import (
    BASE,
    Batch,
    BusyError,
    Config,
    Parameters,
    Recipe,
    stored,
    trained_base,
)

ROWS = 96  # prompts a step


@dataclass(frozen=True)
class Setting:
    """What a base is and what it has seen.

    Attributes
    ----------
    coverage : float
        Fraction of the chains that pretraining asks.
    hops, entities, spare : int
        The world: hops of a chain, entities of each level, those kept from pretraining.
    identity : str
        For which entities ``e id -> e`` is trained: ``none``, ``known`` or ``all``.
    width, depth, loops : int
        Of the transformer; a chain composes where there are as many loops as hops.
    window : int or None
        How far attention sees.
    noise, supervision : float
        Of its training.
    steps : int
        Of its training.
    """

    coverage: float = 0.5
    hops: int = 2
    entities: int = 100
    spare: int = 0
    identity: str = "none"
    width: int = 128
    depth: int = 1
    loops: int = 2
    window: int | None = 2
    noise: float = 0.5
    supervision: float = 1.0
    steps: int = 700

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return replace(BASE, steps=self.steps)

    def config(self, vocabulary: int) -> Config:
        """The transformer of it."""
        return Config(
            vocabulary=vocabulary,
            width=self.width,
            depth=self.depth,
            loops=self.loops,
            window=self.window,
            noise=self.noise,
            supervision=self.supervision if self.loops > 1 else 0.0,
        )


@dataclass(frozen=True, eq=False)
class Bases:
    """Trained transformers, one a seed, each in a world of its own.

    Attributes
    ----------
    setting : Setting
        Alike for all.
    seeds : tuple of int
        Each draws a world, its split, first weights and the order of training.
    worlds, splits : tuple
        One a seed.
    config : Config
        Of the transformers.
    weights : mapping of str to (G, ...) tensor
        One model a seed.
    """

    setting: Setting
    seeds: tuple[int, ...]
    worlds: tuple[World, ...]
    splits: tuple[Split, ...]
    config: Config
    weights: Parameters


def bases(setting: Setting, seeds: Sequence[int]) -> Bases:
    """Return a trained transformer for each seed; those in the cache are not trained again.

    Parameters
    ----------
    setting : Setting
        Alike for all.
    seeds : sequence of int
        Not negative.

    Returns
    -------
    Bases
        A base depends on its seed and the setting alone. Costs about 12 s of one core each at
        the setting's defaults, once.
    """
    worlds = tuple(
        world(seed, hops=setting.hops, entities=setting.entities, spare=setting.spare)
        for seed in seeds
    )
    splits = tuple(
        split(here, setting.coverage, rng=np.random.default_rng([seed, 1]))
        for seed, here in zip(seeds, worlds, strict=True)
    )
    config = setting.config(worlds[0].vocabulary)
    told = {
        seed: pretraining(here, parts, identity=setting.identity)
        for seed, here, parts in zip(seeds, worlds, splits, strict=True)
    }
    each: dict[int, dict[str, Tensor]] = {}
    for wait in (False, True):  # first those that no other process is training
        for seed in [seed for seed in told if seed not in each]:
            with suppress(BusyError):
                each[seed] = _trained(setting, config, seed, told[seed], wait=wait)
    first = each[seeds[0]]
    weights = {name: torch.cat([each[seed][name] for seed in seeds]) for name in first}
    return Bases(setting, tuple(seeds), worlds, splits, config, weights)


def _trained(
    setting: Setting, config: Config, seed: int, sets: Sequence[Prompts], *, wait: bool
) -> dict[str, Tensor]:
    """One base, from the cache or trained; batches of several gain nothing at this width."""

    def _batches() -> Callable[[int], Prompts]:
        rng = np.random.default_rng([seed, 2])
        return lambda _: sampled(sets, ROWS, rng=rng)

    parts = {
        "kind": "base",
        "setting": setting,
        "seed": seed,
        "data": digest(sets),
        "order": digest([_batches()(0)]),
    }

    def _train() -> dict[str, Tensor]:
        drawn = _batches()

        def _batch(step: int) -> Batch:
            return batch(stacked([drawn(step)]))

        return trained_base(config, setting.recipe, _batch, [seed])

    return stored(parts, _train, wait=wait)


def digest(sets: Sequence[Prompts]) -> str:
    """A fingerprint of these rows and their targets."""
    total = hashlib.sha256()
    for part in sets:
        total.update(f"{part.kind} {part.tokens.shape}".encode())
        total.update(part.tokens.tobytes() + part.targets.tobytes())
    return total.hexdigest()[:32]


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A fingerprint of these numbers and their names."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(f"{name} {tuple(weights[name].shape)}".encode())
        total.update(weights[name].numpy().tobytes())
    return total.hexdigest()[:32]


def batch(prompts: Prompts) -> Batch:
    """Prompts of all replicas as the decoder wants them; a k-th answer is due after k loops."""
    due = prompts.targets != NOTHING
    return Batch(tensor(prompts.tokens), tensor(prompts.targets), tensor(due.cumsum(axis=-1)))


def tensor(array: np.ndarray) -> Tensor:
    """The same numbers as a tensor of its own."""
    return torch.tensor(array)
