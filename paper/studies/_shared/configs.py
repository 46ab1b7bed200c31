"""Config parts that define the bases and adapters of a run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from paper.studies._shared import bases as base_models
from paper.studies._shared import training

BASE_SEEDS = ((0, 1), (2, 3), (4, 5), (6, 7))
"""The base seeds of the paper's runs."""


@dataclass(frozen=True)
class Untied:
    """The config part of a base of four untied layers and its adapters.

    Attributes
    ----------
    seed : int
        Seed of the base.
    coverage, stages, entities, relations, width, depth, rows
        Fields of `bases.UntiedSetting`, and the training steps at which the base is used.
    sets, facts, retained
        Passed to `training.AdapterTraining`.
    trained : int
        Training steps of an adapter.
    """

    seed: int = 0
    coverage: float = 0.9
    stages: tuple[int, ...] = (250, 1000)
    sets: int = 3
    facts: int = 4
    entities: int = 50
    relations: int = 8
    width: int = 64
    depth: int = 4
    rows: int = 256
    trained: int = 60
    retained: int = 150


@dataclass(frozen=True, kw_only=True)
class Small:
    """The config part of small bases and their single-hop adapters.

    A study's config inherits from it and adds the fields it varies; studies that keep the defaults
    share cached bases.

    Attributes
    ----------
    seeds : tuple of int
        One base is trained for each seed.
    coverage, entities, spare, width
        Passed to `bases.Setting`.
    sets, facts, retained
        Passed to `training.AdapterTraining`.
    pretrained, trained : int
        Training steps of a base, and of an adapter.
    """

    seeds: tuple[int, ...] = (0, 1)
    sets: int = 2
    facts: int = 5
    coverage: float = 0.5
    entities: int = 100
    spare: int = 20
    width: int = 128
    pretrained: int = 700
    trained: int = 120
    retained: int = 40

    def bases(self, **setting: Any) -> base_models.Bases:
        """Return the trained bases; `setting` adds or replaces fields of `bases.Setting`."""
        mine = {name: getattr(self, name) for name in ("coverage", "entities", "spare", "width")}
        mine["steps"] = self.pretrained
        return base_models.bases(base_models.Setting(**(mine | setting)), self.seeds)

    def library(self, bases: base_models.Bases | None = None, **how: Any) -> training.EditLibrary:
        """Return trained adapters (see `training.library`) on `bases` or the config's.

        `how` adds or replaces fields of `training.AdapterTraining`.
        """
        mine = {name: getattr(self, name) for name in ("facts", "sets", "retained")}
        mine["steps"] = self.trained
        return training.library(bases or self.bases(), training.AdapterTraining(**(mine | how)))


def on_all_bases(configs: Iterable[Small]) -> tuple[Small, ...]:
    """Return each config once for each of `BASE_SEEDS`, in this order."""
    return tuple(replace(one, seeds=seeds) for one, seeds in product(configs, BASE_SEEDS))
