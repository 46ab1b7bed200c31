"""An experiment: a question, a prediction made before the run, and cells that answer it."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from loratheory.store import content_hash

Row = dict[str, str | int | float]


class ExperimentError(ValueError):
    """What was asked for cannot be run, or cannot be written there."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """What is run under one name.

    Attributes
    ----------
    module : str
        ``__name__`` of the defining module; its last part is the experiment's name.
    document : str or None
        ``__doc__`` of that module. Paragraphs that begin with ``**Question.**``,
        ``**Prediction.**``, ``**Chance.**`` and ``**Controls.**`` say what is asked and expected,
        what guessing scores, and what is measured beside it.
    cell : callable
        From one config to its rows, which depend on it alone. It is found again by its name in
        other processes, so it is a plain function of the module.
    profiles, minutes : mapping
        From ``quick`` and ``paper`` to the configs, frozen dataclasses, in the table's order, and
        to what these take one after another on one core. Where ``paper`` holds nothing of the
        setting of ``quick``, ``small`` is that on further bases.
    version : int
        Raised when `cell` changes what its rows mean; older cells are then not taken up again.
    needs : str
        The extra of the installation without which no cell runs: ``torch`` or ``pretrained``.
    """

    module: str
    document: str | None
    cell: Callable[[Any], list[Row]]
    profiles: Mapping[str, tuple[Any, ...]]
    minutes: Mapping[str, float | int]
    version: int = 1
    needs: str = ""

    @property
    def name(self) -> str:
        """One name all the way: module, folder of results, figure."""
        return self.module.rpartition(".")[2]

    def paragraph(self, title: str) -> str:
        """The paragraph of the document that begins with ``**title.**``, or nothing."""
        for text in (self.document or "").split("\n\n"):
            if text.strip().startswith(f"**{title}.**"):
                return " ".join(text.split()).removeprefix(f"**{title}.** ")
        return ""

    def key(self, config: Any) -> str:
        """The content hash of a cell: of experiment, version and config."""
        content = {"experiment": self.name, "version": self.version, "config": plain(config)}
        return content_hash(content)


def study(
    cell: Callable[[Any], list[Row]],
    *,
    quick: Iterable[Any],
    paper: Iterable[Any],
    minutes: Sequence[float | int],
    small: Iterable[Any] = (),
    needs: str = "",
) -> Experiment:
    """Return the experiment of the module in which this cell is defined.

    `minutes` are those of the profiles ``quick``, ``paper`` and, where there is one, ``small``.
    """
    every = {"quick": tuple(quick), "paper": tuple(paper), "small": tuple(small)}
    profiles = {name: configs for name, configs in every.items() if configs}
    times = dict(zip(profiles, minutes, strict=True))
    module = cell.__module__
    return Experiment(module, sys.modules[module].__doc__, cell, profiles, times, needs=needs)


def plain(config: Any) -> dict[str, Any]:
    """The config as JSON gives it back."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


Cell = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """An experiment, a profile, a folder, and what is finished there.

    `done` has the finished cells by key, their `rows`, `seconds` and the environment they `ran` in,
    and `lost` a line for each time that a worker was lost and its cell given to another; both grow
    as the sweep runs. Where the table is there already (`finished`), `done` is empty.
    """

    experiment: Experiment
    profile: str
    folder: Path
    done: dict[str, Cell]
    finished: bool = False
    lost: list[str] = field(default_factory=list)

    @cached_property
    def cells(self) -> dict[str, Any]:
        """The configs by key, in the table's order."""
        return {self.experiment.key(c): c for c in self.experiment.profiles[self.profile]}

    @property
    def minutes_a_cell(self) -> float:
        """What one cell takes, by the experiment's own word."""
        return self.experiment.minutes[self.profile] / len(self.cells)

    @property
    def missing(self) -> dict[str, Any]:
        """The configs of what is still to be run."""
        cells = {} if self.finished else self.cells
        return {key: config for key, config in cells.items() if key not in self.done}
