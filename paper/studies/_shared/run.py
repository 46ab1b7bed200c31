"""How a study is declared and run.

A study has parts; a part has configs, and a cell, which turns one config into rows. Cells run in
parallel through joblib. Each finished cell is a file ``FOLDER/cells/KEY.json`` that appears whole
or not at all, so a run that is killed loses at most the cells in progress; the same command goes
on. When the last cell is there, ``table.csv.gz`` and ``provenance.json`` replace the files. A table
grows in the same way: cells that it already has are kept.

``joblib.parallel_config(backend="dask")`` around `run` sends the cells to a Dask cluster.
"""

import csv
import dataclasses
import gzip
import io
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from traceback import extract_tb
from typing import Any

from loratheory.store import content_hash, write_whole
from paper.studies._shared.machine import machine

Row = dict[str, str | int | float]
DECIMALS = 9  # what lies beyond may differ between processors
PACKAGES = ("loratheory", "numpy", "scipy", "torch", "transformers", "peft")


class StudyError(RuntimeError):
    """Raised where cells failed, or their rows form no table; finished cells are kept."""


@dataclass(frozen=True)
class Part:
    """A part of a study: a cell, and its configs under each profile.

    Attributes
    ----------
    name : str
        Its value in the table's column ``part``, which a study of several parts has.
    cell : callable
        Takes one config and returns rows that depend on it alone. A function of a module, since
        other processes import it.
    quick, paper : tuple
        Configs, frozen dataclasses, in the table's order: a minute's worth, and the stored table's.
    """

    name: str
    cell: Callable[[Any], list[Row]]
    quick: tuple[Any, ...]
    paper: tuple[Any, ...]

    def configs(self, profile: str) -> dict[str, Any]:
        """Return the configs of a profile by key, a hash of the part and of all fields."""
        chosen = self.quick if profile == "quick" else self.paper
        return {
            content_hash({"part": self.name, "config": plain(config)}): config for config in chosen
        }


@dataclass(frozen=True)
class Study:
    """A study: its name, its parts, and the minutes that each profile takes on one core."""

    name: str
    parts: tuple[Part, ...]
    minutes: Mapping[str, float | int]


def study(module: str, *parts: Part, minutes: Sequence[float | int]) -> Study:
    """Return the study of a module ``…NAME.study``; `minutes` are of ``quick`` and ``paper``."""
    times = dict(zip(("quick", "paper"), minutes, strict=True))
    return Study(module.split(".")[-2], parts, times)


def part(
    name: str, cell: Callable[[Any], list[Row]], quick: Iterable[Any], paper: Iterable[Any]
) -> Part:
    """Return a `Part` with these configs."""
    return Part(name, cell, tuple(quick), tuple(paper))


def plain(config: Any) -> dict[str, Any]:
    """Return a config as a dictionary of values that JSON can hold, tuples as lists."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


def run(
    study: Study,
    profile: str,
    folder: Path,
    *,
    jobs: int = -1,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Run the cells that a folder lacks, write the table, and return its path.

    Parameters
    ----------
    study : Study
        What to run.
    profile : str
        ``quick`` or ``paper``.
    folder : Path
        Where finished cells, the table and its provenance are.
    jobs : int
        Processes, as joblib counts them: -1 is one for each core.
    say : callable
        Is called with a line of text after each cell.

    Raises
    ------
    StudyError
        If cells raised errors, after all other cells have run.
    """
    from joblib import Parallel, delayed

    cells = {key: (p, c) for p in study.parts for key, c in p.configs(profile).items()}
    done = {**_cells_of_table(study, profile, folder), **_cells_of_files(folder)}
    missing = [key for key in cells if key not in done]
    if not missing and (folder / "provenance.json").exists() and not (folder / "cells").exists():
        return folder / "table.csv.gz"
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    # what is known now must survive the moment in which the table is replaced
    for key, cell in done.items():
        if key in cells and not (folder / "cells" / f"{key}.json").exists():
            _keep(folder, key, cell)
    tasks = (delayed(run_cell)(key, cells[key][0].cell, cells[key][1]) for key in missing)
    troubles = []
    for number, (key, result) in enumerate(
        Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks), start=1
    ):
        if "trouble" in result:
            troubles.append(f"{study.name}, {cells[key][1]}: {result['trouble']}")
            continue
        _keep(folder, key, result)
        done[key] = result
        say(f"{study.name}: {number} of {len(missing)} cells, {result['seconds']:.1f} s")
    if troubles:
        head = f"{len(troubles)} cells failed; run again once that is mended, the others are kept"
        raise StudyError("\n".join([head, *troubles]))
    return _conclude(study, profile, folder, done)


def run_cell(key: str, cell: Callable[[Any], list[Row]], config: Any) -> tuple[str, dict[str, Any]]:
    """Run one cell, in whichever process; return its key and its rows, or its error as text."""
    start = time.perf_counter()
    try:
        rows = [_plain_row(row) for row in cell(config)]
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        return key, {"trouble": f"{type(error).__name__}: {error} ({where})"}
    seconds = time.perf_counter() - start
    return key, {"rows": rows, "seconds": seconds, "ran": environment()}


def _plain_row(row: Mapping[str, Any]) -> Row:
    return {str(name): _word_or_number(value) for name, value in row.items()}


def _word_or_number(value: Any) -> str | int | float:
    """A plain word or number, of whatever array library it was."""
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, str | bool | int | float):
        message = f"a cell of a table is a word or a number, not {type(value).__name__}: {value!r}"
        raise TypeError(message)
    return int(number) if isinstance(number, bool) else number


def _keep(folder: Path, key: str, cell: Mapping[str, Any]) -> None:
    write_whole(folder / "cells" / f"{key}.json", json.dumps(cell))


def _cells_of_files(folder: Path) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_bytes()) for file in folder.glob("cells/*.json")}


def _cells_of_table(study: Study, profile: str, folder: Path) -> dict[str, Any]:
    """The cells of a stored table by key; none where its bytes are not those of its provenance."""
    about = provenance(folder)
    if not about:
        return {}
    text = gzip.decompress((folder / "table.csv.gz").read_bytes())
    if content_hash(text, digits=64) != about["sha256"]:
        message = f"{folder}/table.csv.gz is not the table that its provenance describes: delete it"
        raise StudyError(message)
    rows = csv.DictReader(io.StringIO(text.decode(), newline=""))
    found: dict[str, Any] = {}
    described = {each["part"]: each for each in about["parts"]}
    for one in study.parts:
        stored = described.get(one.name, {"cells": (), "environments": ()})
        keys = {json.dumps(plain(c)): key for key, c in one.configs(profile).items()}
        for cell in stored["cells"]:
            key = keys.get(json.dumps(cell["config"]))
            mine = [_row(next(rows)) for _ in range(cell["rows"])]
            if key is not None:
                ran = stored["environments"]
                found[key] = {"rows": mine, "seconds": cell["seconds"], "ran": ran}
    return found


def _row(row: Mapping[str, str]) -> Row:
    """A row of a table without the column `part` and those that only other parts have."""
    return {name: _number(x) for name, x in row.items() if x != "" and name != "part"}


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def provenance(folder: Path) -> dict[str, Any]:
    """Return ``provenance.json`` of a folder; empty where there is none."""
    file = folder / "provenance.json"
    content: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return content


def table_text(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return the rows of parts as comma-separated text; several parts get a column ``part``.

    Numbers are rounded to nine decimals, so that different processors give equal text. StudyError
    if rows of one part have different columns.
    """
    columns: list[str] = []
    for name, some in rows.items():
        columns += [column for column in some[0] if column not in columns]
        if strange := next((row for row in some if row.keys() != some[0].keys()), None):
            message = f"{name}: rows have {', '.join(some[0])} and {', '.join(strange)}"
            raise StudyError(message)
    head = ["part"] if len(rows) > 1 else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*head, *columns])
    for name, some in rows.items():
        for row in some:
            cells = [_written(row[column]) if column in row else "" for column in columns]
            writer.writerow([name, *cells] if head else cells)
    return buffer.getvalue()


def _written(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{round(value, DECIMALS) + 0.0:.15g}"


def _conclude(study: Study, profile: str, folder: Path, done: Mapping[str, Any]) -> Path:
    """Write the table and its provenance, then remove the cells."""
    before = {each["part"]: each for each in provenance(folder).get("parts", ())}
    rows, parts = {}, []
    for one in study.parts:
        configs = one.configs(profile)
        mine = [done[key] for key in configs]
        rows[one.name] = [row for cell in mine for row in cell["rows"]]
        earlier = before.get(one.name, {})
        parts.append({**earlier, **described(one.name, configs.values(), mine)})
    text = table_text(rows).encode()
    about = {"study": study.name, "profile": profile, "sha256": content_hash(text, digits=64)}
    write_whole(folder / "table.csv.gz", gzip.compress(text, mtime=0))
    write_whole(folder / "provenance.json", laid_out({**about, "parts": parts}))
    shutil.rmtree(folder / "cells")
    return folder / "table.csv.gz"


def described(name: str, configs: Iterable[Any], cells: Sequence[Any]) -> dict[str, Any]:
    """Return the provenance of a part: seeds, time, machines, versions, and each cell's config."""
    environments: dict[str, Any] = {}
    for cell in cells:
        for ran in cell["ran"] if isinstance(cell["ran"], list) else [cell["ran"]]:
            environments[json.dumps(ran)] = ran
    fields = [plain(config) for config in configs]
    seeds = {seed for one in fields for seed in [*one.get("seeds", ()), one.get("seed")]} - {None}
    return {
        "part": name,
        "seeds": sorted(seeds),
        "seconds": round(sum(cell["seconds"] for cell in cells), 1),
        "environments": list(environments.values()),
        "cells": [
            {"config": config, "rows": len(cell["rows"]), "seconds": round(cell["seconds"], 1)}
            for config, cell in zip(fields, cells, strict=True)
        ],
    }


def laid_out(about: Mapping[str, Any]) -> str:
    """Return JSON with a line for each cell and each environment, so that versions compare."""
    parts = []
    for each in about["parts"]:
        lines = []
        for key, value in each.items():
            text = json.dumps(value, ensure_ascii=False)
            if key in ("cells", "environments"):
                items = ",\n".join(f"    {json.dumps(one, ensure_ascii=False)}" for one in value)
                text = f"[\n{items}\n   ]"
            lines.append(f"   {json.dumps(key)}: {text}")
        parts.append("  {\n" + ",\n".join(lines) + "\n  }")
    head = [f" {json.dumps(key)}: {json.dumps(x)}," for key, x in about.items() if key != "parts"]
    return "{\n" + "\n".join(head) + '\n "parts": [\n' + ",\n".join(parts) + "\n ]\n}\n"


def environment() -> dict[str, Any]:
    """Return commit, versions, and what decides how the current process rounds (`machine`)."""
    return {**_software(), **machine()}


@cache
def _software() -> dict[str, Any]:
    """The checkout's commit and the versions of what is installed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    commit = ""
    with suppress(OSError):
        here = Path(__file__).parent
        commit = subprocess.run(command, cwd=here, capture_output=True, text=True).stdout.strip()
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {"commit": commit or None, "versions": versions}
