"""From an experiment's name to the files that others read: ``table.csv`` and its provenance."""

import csv
import dataclasses
import io
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

EXPERIMENTS = ("expressive_power", "merge_floor", "two_read_region", "window")
MEASURED = ("construction_digits", "training_gap")  # recorded by name; digits vary by processor
DECIMALS = 9  # what lies beyond may differ between processors

Row = dict[str, float]


def rows(name: str, *, seed: int = 0) -> list[Row]:
    """Run one of `EXPERIMENTS` with its default config; `seed` determines every draw."""
    module = import_module(f"loratheory.experiments.{name}")
    found: list[Row] = module.run(module.Config(), rng=np.random.default_rng(seed))
    return found


def csv_text(table: Sequence[Row]) -> str:
    """Return the rows as comma-separated text.

    Parameters
    ----------
    table : sequence of dict
        At least one row, all with the same keys.

    Returns
    -------
    str
        A header line, then a line a row, to nine decimals: equal runs give equal text.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table[0])
    for row in table:
        writer.writerow(f"{round(value, DECIMALS) + 0.0:.15g}" for value in row.values())
    return buffer.getvalue()


def record(name: str, folder: Path, *, seed: int = 0) -> None:
    """Run an experiment and keep it below `folder` as ``NAME/table.csv`` and ``provenance.json``.

    Parameters
    ----------
    name : str
        One of `EXPERIMENTS`.
    folder : Path
        Usually ``paper/results``; what is missing on the way is made.
    seed : int
        Kept in the provenance.
    """
    text = csv_text(rows(name, seed=seed))
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "table.csv").write_text(text, encoding="utf-8")
    (place / "provenance.json").write_text(json.dumps(_provenance(name, seed), indent=2) + "\n")


def _provenance(name: str, seed: int) -> dict[str, object]:
    config = import_module(f"loratheory.experiments.{name}").Config()
    return {
        "experiment": name,
        "config": dataclasses.asdict(config),
        "seed": seed,
        "commit": _commit(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("loratheory", "numpy", "scipy")},
        },
    }


def _commit() -> str | None:
    """The commit of the code that ran, marked where files differ; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    here = Path(__file__).parent
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
