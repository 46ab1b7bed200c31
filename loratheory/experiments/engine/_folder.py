"""The folder of one experiment: finished cells while a sweep runs, then its table.

``DIR/NAME/cells/KEY.json`` holds a finished cell, written whole. When the last one is there,
``table.csv`` and ``provenance.json`` take their place; the latter comes last and says that all is
done. A kill at any moment leaves either state, or a part of the way between, and both are taken up.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratheory.experiments.engine._experiment import (
    Cell,
    Experiment,
    ExperimentError,
    Plan,
    Row,
    plain,
)
from loratheory.experiments.engine._provenance import code, laid_out
from loratheory.experiments.engine._table import csv_text, packed, table, unpacked
from loratheory.store import content_hash, write_whole

if TYPE_CHECKING:
    import pandas as pd


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
        known = ", ".join(experiment.profiles)
        message = f"{experiment.name} has no profile {profile!r}: choose {known}"
        raise ExperimentError(message)
    plan = Plan(experiment, profile, results / experiment.name, {})
    if len(plan.cells) < len(experiment.profiles[profile]):
        message = f"{experiment.name}: two configs of the {profile} profile are equal: remove one"
        raise ExperimentError(message)
    stored = sorted((plan.folder / "cells").glob("*.json"))
    tabled = bool(stored_provenance(plan.folder)) or (
        any(plan.folder.glob("table.csv*")) and not stored
    )
    if (tabled or stored) and not resume:
        what = "a finished table" if tabled else f"{len(stored)} finished cells"
        message = f"{plan.folder} holds {what}: go on with --resume, or delete it to start anew"
        raise ExperimentError(message)
    if tabled and not is_finished(plan):
        message = (
            f"{plan.folder} holds the table of another sweep (its profile, configs or version are "
            f"not those of {profile} now, or its bytes have changed): delete it, or write "
            "elsewhere with -o"
        )
        raise ExperimentError(message)
    if tabled:
        return Plan(experiment, profile, plan.folder, {}, finished=True)
    plan.done.update(_kept(plan, stored, allow_mixed=allow_mixed))
    return plan


def _kept(plan: Plan, stored: list[Path], *, allow_mixed: bool) -> dict[str, Cell]:
    """The finished cells; what belongs to another sweep or other code is refused."""
    strange = [file for file in stored if file.stem not in plan.cells]
    if strange:
        message = (
            f"{plan.folder} holds {len(strange)} cells that are not in the {plan.profile} profile "
            "now (another profile, config or version): delete it, or write elsewhere with -o"
        )
        raise ExperimentError(message)
    kept = {file.stem: json.loads(file.read_bytes()) for file in stored}
    here = code(plan.experiment.module)
    mixed = sorted({cell["ran"]["code"] for cell in kept.values()} - {here})
    if mixed and not allow_mixed:
        message = (
            f"{plan.folder} holds cells made by other code ({', '.join(mixed)}, now {here}): "
            "delete it to start anew, or go on with --resume --allow-mixed"
        )
        raise ExperimentError(message)
    return kept


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
    write_whole(plan.folder / "cells" / f"{key}.json", json.dumps(cell))
    plan.done[key] = cell


def stored_cells(
    experiment: Experiment, results: Path, profile: str = "paper"
) -> "list[tuple[Any, pd.DataFrame]]":
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
    list of (config, DataFrame)
        In the table's order, as `table` gives them.

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
    for config, cell in zip(
        plan.cells.values(), stored_provenance(plan.folder)["cells"], strict=True
    ):
        found.append((config, rows[start : start + cell["rows"]]))
        start += cell["rows"]
    return found


def stored_provenance(folder: Path) -> dict[str, Any]:
    """The provenance that lies in a folder; empty where there is none, or none that can be read."""
    try:
        content: dict[str, Any] = json.loads((folder / "provenance.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return content


def is_finished(plan: Plan) -> bool:
    """Whether the folder holds this plan's table: its version, its configs, the bytes described."""
    described = stored_provenance(plan.folder)
    text = unpacked(plan.folder / "table.csv")
    wanted = {
        "version": plan.experiment.version,
        "sha256": "" if text is None else content_hash(text, digits=64),
    }
    same = all(described.get(key) == value for key, value in wanted.items())
    configs = [plain(config) for config in plan.cells.values()]
    return same and [cell["config"] for cell in described["cells"]] == configs


def conclude(plan: Plan) -> None:
    """Turn the finished cells into a table and ``provenance.json``, and remove them.

    A large table is ``table.csv.gz``; the digest is that of its text all the same.

    Parameters
    ----------
    plan : Plan
        With nothing missing.

    Raises
    ------
    TableError
        If the rows make no table; the cells stay.
    """
    cells, done = plan.folder / "cells", [plan.done[key] for key in plan.cells]
    rows: list[Row] = [row for cell in done for row in cell["rows"]]
    text = csv_text(rows)
    files = (packed(text), ("provenance.json", laid_out(_provenance(plan, text))))
    for name, content in files:  # the provenance last
        write_whole(cells / f"{name}.new", content)
        (cells / f"{name}.new").replace(plan.folder / name)
    shutil.rmtree(cells)


def _provenance(plan: Plan, text: str) -> dict[str, Any]:
    done = [plan.done[key] for key in plan.cells]
    environments = {json.dumps(cell["ran"]): cell["ran"] for cell in done}
    configs = [plain(config) for config in plan.cells.values()]
    return {
        "experiment": plan.experiment.name,
        "profile": plan.profile,
        "version": plan.experiment.version,
        "seeds": sorted({seed for config in configs for seed in _seeds(config)}),
        "seconds": round(sum(cell["seconds"] for cell in done), 1),
        "sha256": content_hash(text.encode(), digits=64),
        "environments": list(environments.values()),
        "cells": [
            {"config": config, "rows": len(cell["rows"]), "seconds": round(cell["seconds"], 1)}
            for config, cell in zip(configs, done, strict=True)
        ],
    }


def _seeds(config: dict[str, Any]) -> list[int]:
    """What fields called `seed` or `seeds` hold."""
    found = [config[name] for name in ("seed", "seeds") if name in config]
    return [seed for each in found for seed in (each if isinstance(each, list) else [each])]
