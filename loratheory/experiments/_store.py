"""The folder of one experiment: finished cells while a sweep runs, then its table.

``DIR/NAME/cells/KEY.json`` holds a finished cell, written whole. When the last one is there,
``table.csv`` and ``provenance.json`` take their place; the latter comes last and says that all is
done. A kill at any moment leaves either state, or a part of the way between, and both are taken up.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratheory.experiments._experiment import Experiment, ExperimentError, Row, plain
from loratheory.experiments._files import whole
from loratheory.experiments._provenance import code, laid_out
from loratheory.experiments._table import csv_text, table

Cell = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done in one folder.

    Attributes
    ----------
    experiment, profile
        What is run.
    folder : Path
        ``DIR/NAME``.
    done : dict
        Finished cells by key: `rows`, `seconds` and the environment they `ran` in.
    finished : bool
        Whether the table is there already.
    """

    experiment: Experiment
    profile: str
    folder: Path
    done: dict[str, Cell]
    finished: bool = False

    @property
    def cells(self) -> dict[str, Any]:
        """The configs by key, in the table's order."""
        return {self.experiment.key(c): c for c in self.experiment.profiles[self.profile]}

    @property
    def missing(self) -> dict[str, Any]:
        """The configs of what is still to be run."""
        here = {} if self.finished else self.cells
        return {key: config for key, config in here.items() if key not in self.done}


def planned(
    experiment: Experiment,
    profile: str,
    results: Path,
    *,
    resume: bool = False,
    allow_mixed: bool = False,
) -> Plan:
    """Return what is left to do, having written nothing.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    profile : str
        One of its profiles.
    results : Path
        The folder above ``NAME``; it need not exist.
    resume : bool
        Whether to go on with what is there. A finished table of the same cells is left as it is.
    allow_mixed : bool
        Whether finished cells of other code are good enough.

    Returns
    -------
    Plan
        With the finished cells read.

    Raises
    ------
    ExperimentError
        If there is no such profile, or the folder holds what may not be gone on with.
    """
    if profile not in experiment.profiles:
        message = (
            f"{experiment.name} has no profile {profile!r}: choose {', '.join(experiment.profiles)}"
        )
        raise ExperimentError(message)
    plan = Plan(experiment, profile, results / experiment.name, {})
    folder, stored = plan.folder, sorted((results / experiment.name / "cells").glob("*.json"))
    told = _told(folder)
    if not resume and (told or stored or (folder / "table.csv").exists()):
        what = f"{len(stored)} finished cells" if stored and not told else "a finished table"
        message = f"{folder} holds {what}: go on with --resume, or delete it to start anew"
        raise ExperimentError(message)
    if told or ((folder / "table.csv").exists() and not stored):
        if not _is_finished(plan, told):
            message = (
                f"{folder} holds the table of another sweep (profile, configs or version differ "
                f"from {profile} now, or its bytes do): delete it, or write elsewhere with -o"
            )
            raise ExperimentError(message)
        return Plan(experiment, profile, folder, {}, finished=True)
    plan.done.update(_kept(plan, stored))
    mixed = {cell["ran"]["code"] for cell in plan.done.values()} - {code(experiment.module)}
    if mixed and not allow_mixed:
        message = (
            f"{folder} holds cells made by other code ({', '.join(sorted(mixed))}, now "
            f"{code(experiment.module)}): delete it to start anew, or --allow-mixed"
        )
        raise ExperimentError(message)
    return plan


def _told(folder: Path) -> dict[str, Any]:
    """The provenance that lies there, empty where there is none."""
    file = folder / "provenance.json"
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return told


def _is_finished(plan: Plan, told: dict[str, Any]) -> bool:
    same = {"version": plan.experiment.version, "sha256": _digest(plan.folder / "table.csv")}
    configs = [cell["config"] for cell in told.get("cells", [])]
    return all(told.get(key) == value for key, value in same.items()) and configs == [
        plain(config) for config in plan.cells.values()
    ]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _kept(plan: Plan, stored: list[Path]) -> dict[str, Cell]:
    """The finished cells; a file of none of this plan's is refused."""
    strange = [file.stem for file in stored if file.stem not in plan.cells]
    if strange:
        message = (
            f"{plan.folder} holds {len(strange)} cells that are not in the {plan.profile} profile "
            "now (another profile, config or version): delete it, or write elsewhere with -o"
        )
        raise ExperimentError(message)
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in stored}


def prepared(plan: Plan) -> None:
    """Make the folder and see that it can be written to; of a finished one clear the remains."""
    cells = plan.folder / "cells"
    if not plan.finished:
        cells.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cells):
            return
    if cells.exists():
        shutil.rmtree(cells)


def keep(plan: Plan, key: str, cell: Cell) -> None:
    """Write one finished cell, whole."""
    whole(plan.folder / "cells" / f"{key}.json", json.dumps(cell))
    plan.done[key] = cell


def conclude(plan: Plan) -> None:
    """Turn the finished cells into ``table.csv`` and ``provenance.json``, and remove them."""
    cells, folder = plan.folder / "cells", plan.folder
    done = [plan.done[key] for key in plan.cells]
    rows: list[Row] = [row for cell in done for row in cell["rows"]]
    text = csv_text(rows)
    environments = {json.dumps(cell["ran"]): cell["ran"] for cell in done}
    configs = [plain(config) for config in plan.cells.values()]
    told = {
        "experiment": plan.experiment.name,
        "profile": plan.profile,
        "version": plan.experiment.version,
        "seeds": sorted({seed for config in configs for seed in _seeds(config)}),
        "seconds": round(sum(cell["seconds"] for cell in done), 1),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "environments": list(environments.values()),
        "cells": [
            {"config": config, "rows": len(cell["rows"]), "seconds": round(cell["seconds"], 1)}
            for config, cell in zip(configs, done, strict=True)
        ],
    }
    for name, content in (("table.csv", text), ("provenance.json", laid_out(told))):
        whole(cells / f"{name}.new", content)
        (cells / f"{name}.new").replace(folder / name)
    shutil.rmtree(cells)


def _seeds(config: dict[str, Any]) -> list[int]:
    """What fields called `seed` or `seeds` hold."""
    found = [config[name] for name in ("seed", "seeds") if name in config]
    return [seed for each in found for seed in (each if isinstance(each, list) else [each])]


def stored_cells(
    experiment: Experiment, results: Path, profile: str = "paper"
) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Return a finished table cell by cell, to be replayed.

    Parameters
    ----------
    experiment : Experiment
        Whose table it is.
    results : Path
        The folder above ``NAME``.
    profile : str
        What it was run with.

    Returns
    -------
    list of (config, rows)
        In the table's order, as typed by `table`.

    Raises
    ------
    ExperimentError
        If the table is not there, or is not what this profile would make now.
    """
    plan = planned(experiment, profile, results, resume=True)
    if not plan.finished:
        message = f"{plan.folder} holds no finished table: loratheory run {experiment.name}"
        raise ExperimentError(message)
    rows, start, found = table(plan.folder / "table.csv"), 0, []
    for config, cell in zip(plan.cells.values(), _told(plan.folder)["cells"], strict=True):
        found.append((config, rows[start : start + cell["rows"]]))
        start += cell["rows"]
    return found
