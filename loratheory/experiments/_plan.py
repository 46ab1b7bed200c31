"""What is to be done in the folder of one experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from loratheory.experiments._experiment import Experiment

Cell = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """An experiment, a profile, a folder, and what is finished there.

    Attributes
    ----------
    experiment : Experiment
        What is run.
    profile : str
        Which of its tuples of configs.
    folder : Path
        ``DIR/NAME``.
    done : dict
        Finished cells by key: `rows`, `seconds` and the environment they `ran` in. It grows as the
        sweep runs.
    finished : bool
        Whether the table is there already; then `done` is empty.
    lost : list of str
        A line for each time that a worker was lost and its cell given to another. It grows as the
        sweep runs.
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
        here = {} if self.finished else self.cells
        return {key: config for key, config in here.items() if key not in self.done}
