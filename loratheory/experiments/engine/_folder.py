"""The folder of one experiment: finished cells while a sweep runs, then its table.

Each finished cell is a file ``DIR/NAME/cells/KEY.json``, which appears complete or not at all. When
the last one is there, ``table.csv`` and then ``provenance.json`` replace them; where the latter
exists, the sweep is complete. After a kill at any moment the sweep can be resumed, and a table can
grow: where the profile has more cells than it had, those of the table are kept.
"""

import json
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from loratheory.experiments.engine._experiment import (
    Cell,
    Experiment,
    ExperimentError,
    Plan,
    plain,
)
from loratheory.experiments.engine._machine import machine
from loratheory.experiments.engine._table import csv_text, packed, table, unpacked
from loratheory.store import code, content_hash, write_whole

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
    """Return which cells of a profile are still to be run into ``results/NAME``; write nothing.

    With `resume` the folder may hold finished cells, or the table of the same cells or of some of
    them: they are kept. With `allow_mixed` these cells may have been made by other code.
    ExperimentError if there is no such profile, or the folder holds anything else.
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

    def _refuse(fact: str, remedy: str = "delete it, or write elsewhere with -o") -> NoReturn:
        message = f"{plan.folder} holds {fact}: {remedy}"
        raise ExperimentError(message)

    if (tabled or stored) and not resume:
        fact = "a finished table" if tabled else f"{len(stored)} finished cells"
        _refuse(fact, "go on with --resume, or delete it to start anew")
    if tabled and is_finished(plan):
        return replace(plan, finished=True)
    plan.done.update(_of_table(plan))
    if tabled and not plan.done and (_intact(plan.folder) or not stored):
        why = f"its profile, configs or version are not those of {profile} now"
        _refuse(f"the table of another sweep ({why}, or its bytes have changed)")
    if strange := sum(file.stem not in plan.cells for file in stored):
        fact = f"{strange} cells that are not in the {profile} profile now"
        _refuse(f"{fact} (another profile, config or version)")
    plan.done.update({file.stem: json.loads(file.read_bytes()) for file in stored})
    now = code(experiment.module)
    mixed = sorted(codes(plan) - {now})
    if mixed and not allow_mixed:
        fact = f"cells made by other code ({', '.join(mixed)}, now {now})"
        _refuse(fact, "delete it to start anew, or go on with --resume --allow-mixed")
    return plan


def codes(plan: Plan) -> set[str]:
    """Return the digests of the code that made the finished cells."""
    return {one["code"] for cell in plan.done.values() for one in _ran(cell)}


def _ran(cell: Cell) -> list[dict[str, Any]]:
    """The environment in which a cell ran, or those in one of which it did."""
    return cell["ran"] if isinstance(cell["ran"], list) else [cell["ran"]]


def _of_table(plan: Plan) -> dict[str, Cell]:
    """The cells of the folder's table by key; none if it is changed or has others than the plan."""
    described = stored_provenance(plan.folder)
    keys = {json.dumps(plain(config)): key for key, config in plan.cells.items()}
    configs = [json.dumps(cell["config"]) for cell in described.get("cells", ())]
    same = described.get("version") == plan.experiment.version and {*configs} <= keys.keys()
    if not same or not _intact(plan.folder):
        return {}
    return {
        keys[config]: {
            "rows": rows.to_dict("records"),
            "seconds": cell["seconds"],
            "ran": described["environments"],
        }
        for config, cell, rows in zip(configs, described["cells"], _parts(plan.folder), strict=True)
    }


def _intact(folder: Path) -> bool:
    """Whether a folder's table is the one that its provenance describes."""
    text = unpacked(folder / "table.csv")
    found = stored_provenance(folder).get("sha256")
    return text is not None and found == content_hash(text, digits=64)


def _parts(folder: Path) -> "list[pd.DataFrame]":
    """The rows of a folder's table, cell by cell."""
    rows = table(folder / "table.csv")
    ends = [0, *accumulate(cell["rows"] for cell in stored_provenance(folder)["cells"])]
    return [rows[start:end] for start, end in pairwise(ends)]


def prepared(plan: Plan) -> None:
    """Make the folder, check that it is writable, and store what is finished as cells.

    So a table that grows can be replaced without a moment in which its rows are nowhere. Cells left
    beside a finished table are removed.
    """
    cells = plan.folder / "cells"
    if not plan.finished:
        cells.mkdir(parents=True, exist_ok=True)
        for key, cell in plan.done.items():
            if not (cells / f"{key}.json").exists():
                keep(plan, key, cell)
        with tempfile.TemporaryFile(dir=cells):
            return
    if cells.exists():
        shutil.rmtree(cells)


def keep(plan: Plan, key: str, cell: Cell) -> None:
    """Store one finished cell as a file that appears complete or not at all."""
    write_whole(plan.folder / "cells" / f"{key}.json", json.dumps(cell))
    plan.done[key] = cell


def stored_cells(
    experiment: Experiment, results: Path, profile: str = "paper"
) -> "list[tuple[Any, pd.DataFrame]]":
    """Return the configs of a finished table, each with its rows of the table.

    ExperimentError if ``results/NAME`` holds no table, or one of other configs, version or profile.
    """
    plan = planned(experiment, profile, results, resume=True)
    if not plan.finished:
        message = f"{plan.folder} holds no finished table: loratheory run {experiment.name}"
        raise ExperimentError(message)
    return list(zip(plan.cells.values(), _parts(plan.folder), strict=True))


def stored_provenance(folder: Path) -> dict[str, Any]:
    """Return ``provenance.json`` of a folder; empty where it is missing or cannot be read."""
    try:
        content: dict[str, Any] = json.loads((folder / "provenance.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return content


def is_finished(plan: Plan) -> bool:
    """Return whether the folder holds this plan's table: same version, configs and digest."""
    described = stored_provenance(plan.folder)
    return (
        _intact(plan.folder)
        and described.get("version") == plan.experiment.version
        and [cell["config"] for cell in described["cells"]] == list(map(plain, plan.cells.values()))
    )


def conclude(plan: Plan) -> None:
    """Write the table and ``provenance.json`` of all finished cells, then remove the cells.

    A large table is compressed to ``table.csv.gz``; its digest is that of the uncompressed text.
    TableError if the rows do not form a table; the cells are then kept.
    """
    cells, done = plan.folder / "cells", [plan.done[key] for key in plan.cells]
    text = csv_text([row for cell in done for row in cell["rows"]])

    def _put(name: str, content: str | bytes) -> None:
        write_whole(cells / f"{name}.new", content)
        (cells / f"{name}.new").replace(plan.folder / name)

    name, content = packed(text)
    _put(name, content)
    for twin in {"table.csv", "table.csv.gz"} - {name}:
        (plan.folder / twin).unlink(missing_ok=True)  # of the smaller table that has grown
    _put("provenance.json", laid_out(_provenance(plan, text)))  # last: then the sweep is complete
    shutil.rmtree(cells)


def _provenance(plan: Plan, text: str) -> dict[str, Any]:
    done = [plan.done[key] for key in plan.cells]
    environments = {json.dumps(one): one for cell in done for one in _ran(cell)}
    configs = [plain(config) for config in plan.cells.values()]
    seeds = [[one["seed"]] if "seed" in one else one.get("seeds", []) for one in configs]
    return {
        "experiment": plan.experiment.name,
        "profile": plan.profile,
        "version": plan.experiment.version,
        "seeds": sorted(set(chain(*seeds))),
        "seconds": round(sum(cell["seconds"] for cell in done), 1),
        "sha256": content_hash(text.encode(), digits=64),
        "environments": list(environments.values()),
        "cells": [
            {"config": config, "rows": len(cell["rows"]), "seconds": round(cell["seconds"], 1)}
            for config, cell in zip(configs, done, strict=True)
        ],
    }


PACKAGES = ("loratheory", "numpy", "scipy", "torch", "transformers", "peft")


def environment(module: str) -> dict[str, Any]:
    """Return the environment of the current process, for the provenance of a cell it ran.

    ``commit`` is that of the checkout, if there is one; ``code`` a digest of the source that the
    module's cells run; ``versions`` those of Python and packages; the rest is `machine`.
    """
    return {
        "commit": commit(),
        "code": code(module),
        **machine(),
        "versions": dict(_versions()),
    }


@cache
def commit() -> str | None:
    """Return the checkout's commit, marked if files differ from it; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    here = Path(__file__).parent
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Of what is installed, loaded or not: the same in all processes of one machine."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append((name, version(name)))
    return tuple(found)


def laid_out(content: dict[str, Any]) -> str:
    """Return JSON text with a line for each key and for each item of a list."""
    lines = []
    for key, value in content.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value)
            text = f"[\n{items}\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
