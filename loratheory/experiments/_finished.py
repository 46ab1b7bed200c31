"""A finished experiment: its table, and the provenance that says all is done."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from loratheory.experiments._experiment import Row, plain
from loratheory.experiments._files import whole
from loratheory.experiments._plan import Plan
from loratheory.experiments._provenance import laid_out
from loratheory.experiments._table import csv_text, packed, unpacked


def told(folder: Path) -> dict[str, Any]:
    """The provenance that lies in a folder; empty where there is none, or none that can be read."""
    try:
        found: dict[str, Any] = json.loads((folder / "provenance.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def is_finished(plan: Plan) -> bool:
    """Whether the folder holds this plan's table: its version, its configs, the bytes described."""
    described = told(plan.folder)
    text = unpacked(plan.folder / "table.csv")
    wanted = {
        "version": plan.experiment.version,
        "sha256": "" if text is None else hashlib.sha256(text).hexdigest(),
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
        whole(cells / f"{name}.new", content)
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
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
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
