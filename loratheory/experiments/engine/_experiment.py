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
    """Raised where an experiment does not exist, cannot run, or cannot be written to a folder."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """A study: its question and prediction in words, and the cells that are run for it.

    Attributes
    ----------
    module : str
        ``__name__`` of the defining module; its last part is the experiment's name.
    document : str or None
        ``__doc__`` of that module. Paragraphs that begin with ``**Question.**``,
        ``**Prediction.**``, ``**Chance.**`` and ``**Controls.**`` say what is asked and expected,
        what guessing scores, and what is measured beside it.
    cell : callable
        Takes one config and returns its rows, which depend on that config alone. Other processes
        import it by name, so it must be a function defined in the module.
    profiles : mapping
        From ``quick`` and ``paper`` to their configs, frozen dataclasses in the table's order.
        Where ``paper`` has no config of the size that ``quick`` uses, ``small`` has some, on
        further bases, so that a quick run can be compared with a stored table.
    minutes : mapping
        From each profile to the minutes that its cells take one after another on one core.
    version : int
        To be raised when the rows of `cell` change their meaning; cells of older versions are then
        not resumed.
    needs : str
        The optional dependencies that the cells need: ``torch``, ``pretrained`` or none.
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
        """The name of its module, and so of its folder of results and of its figure."""
        return self.module.rpartition(".")[2]

    def paragraph(self, title: str) -> str:
        """Return the paragraph of the document that opens with ``**title.**``, or ``""``."""
        for text in (self.document or "").split("\n\n"):
            if text.strip().startswith(f"**{title}.**"):
                return " ".join(text.split()).removeprefix(f"**{title}.** ")
        return ""

    def key(self, config: Any) -> str:
        """Return the key of a cell: a hash of the experiment's name, its version and a config."""
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
    """Return the experiment of the module that defines `cell`.

    `minutes` has a number for ``quick``, one for ``paper`` and, if it is given, one for ``small``.
    """
    every = {"quick": tuple(quick), "paper": tuple(paper), "small": tuple(small)}
    profiles = {name: configs for name, configs in every.items() if configs}
    times = dict(zip(profiles, minutes, strict=True))
    module = cell.__module__
    return Experiment(module, sys.modules[module].__doc__, cell, profiles, times, needs=needs)


def plain(config: Any) -> dict[str, Any]:
    """Return a config as a dictionary of values that JSON can hold, tuples as lists."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


Cell = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """A profile of an experiment that is to be run into a folder, and which cells are finished.

    `done` maps keys to finished cells: their ``rows``, ``seconds`` and the environment in which
    they ``ran``. `lost` has a line for each time that a worker was lost and its cell given to
    another. Both grow as the sweep runs. `finished` says that the folder already holds the table;
    `done` is then empty.
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
        """The minutes that one cell takes on average, as the experiment declares."""
        return self.experiment.minutes[self.profile] / len(self.cells)

    @property
    def missing(self) -> dict[str, Any]:
        """The configs of the cells that are still to be run, by key."""
        cells = {} if self.finished else self.cells
        return {key: config for key, config in cells.items() if key not in self.done}
