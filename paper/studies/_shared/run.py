"""Declare and run studies.

A study has parts; a part has configs, and a cell, a function from one config to rows. Cells run in
parallel through joblib. Each finished cell is a file ``FOLDER/cells/KEY.json`` that appears whole
or not at all. A run that is killed loses at most the cells in progress, and the same command
resumes it. After the last cell, ``table.csv.gz`` and ``provenance.json`` replace the files. A table
is extended in the same way: cells that it already has are kept.

``joblib.parallel_config(backend="dask")`` around `run` sends the cells to a Dask cluster.
"""

import dataclasses
import gzip
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice, product
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_info

from loratheory.store import content_hash, write_whole

Row = dict[str, str | int | float]
DECIMALS = 9  # further decimals may differ between processors
PACKAGES = ("loratheory", "numpy", "scipy", "torch", "transformers", "peft")
CPUINFO = Path("/proc/cpuinfo")
# Instruction sets by which libraries choose their kernels, as Linux names them on x86 and ARM.
KERNELS = re.compile(r"avx|amx|fma|f16c|neon|asimd|sve|bf16|i8mm")


class StudyError(RuntimeError):
    """Cells failed, or their rows form no table; finished cells are kept."""


@dataclass(frozen=True)
class Part:
    """A part of a study: a cell, and its configs under each profile.

    Attributes
    ----------
    name : str
        Its value in the table's column ``part``, which a study of several parts has.
    cell : callable
        A function from one config to rows that depend on it alone. It is a function of a module,
        because other processes import it.
    quick, paper : tuple
        Configs, frozen dataclasses, in the table's order: for a minute, and for the stored table.
    """

    name: str
    cell: Callable[[Any], list[Row]]
    quick: tuple[Any, ...]
    paper: tuple[Any, ...]

    def configs(self, profile: str) -> dict[str, Any]:
        """Return the configs of a profile by key, a hash of the part and of all fields."""
        chosen = self.quick if profile == "quick" else self.paper
        keys = [content_hash({"part": self.name, "config": as_json(config)}) for config in chosen]
        return dict(zip(keys, chosen, strict=True))


@dataclass(frozen=True)
class Study:
    """A study: its name, its parts, and the minutes of each profile on one core."""

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


def grid(config: Callable[..., Any], **values: Iterable[Any]) -> list[Any]:
    """Return the configs of all combinations of values; the last field varies fastest."""
    return [config(**dict(zip(values, each, strict=True))) for each in product(*values.values())]


def as_json(config: Any) -> dict[str, Any]:
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
        The study to run.
    profile : str
        ``quick`` or ``paper``.
    folder : Path
        The folder of finished cells, the table and its provenance.
    jobs : int
        Processes, as joblib counts them: -1 is one for each core.
    say : callable
        A function that is called with a line of text after each cell.

    Raises
    ------
    StudyError
        If cells raised errors, after all other cells have run.
    """
    from joblib import Parallel, delayed

    cells: dict[str, tuple[Any, Any]] = {}
    for one in study.parts:
        cells |= {key: (one.cell, config) for key, config in one.configs(profile).items()}
    # Files come second: a cell that was run again replaces the cell of the table.
    done = _cells_of_table(study, profile, folder)
    for file in folder.glob("cells/*.json"):
        done[file.stem] = json.loads(file.read_bytes())
    missing = [key for key in cells if key not in done]
    stored = sum(len(part["cells"]) for part in provenance(folder).get("parts", ()))
    asked = sum(len(one.configs(profile)) for one in study.parts)
    if not missing and stored == asked and not (folder / "cells").exists():
        return folder / "table.csv.gz"
    # Finished cells must survive a kill while the table is replaced.
    for key in cells.keys() & done.keys():
        _keep(folder, key, done[key])
    # A generator, so that configs are pickled only as cells are started.
    tasks = (delayed(run_cell)(key, *cells[key]) for key in missing)
    troubles = []
    # Cells finish in any order: the table has the order of the configs.
    ran = Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    for number, (key, result) in enumerate(ran, start=1):
        # An error does not stop the other cells, which may take hours.
        if "trouble" in result:
            troubles.append(f"{study.name}, {cells[key][1]}: {result['trouble']}")
            continue
        _keep(folder, key, result)
        done[key] = result
        say(f"{study.name}: {number} of {len(missing)} cells, {result['seconds']:.1f} s")
    if troubles:
        # Only cells were written: the earlier table is still complete.
        head = f"{len(troubles)} cells failed; run again once that is mended, the others are kept"
        raise StudyError("\n".join([head, *troubles]))
    return _conclude(study, profile, folder, done)


def run_cell(key: str, cell: Callable[[Any], list[Row]], config: Any) -> tuple[str, dict[str, Any]]:
    """Run one cell in any process; return its key and its rows, or its error as text."""
    start = time.perf_counter()
    try:
        rows = [dict(zip(row, map(_scalar, row.values()), strict=True)) for row in cell(config)]
    except Exception as error:
        # The innermost frame says most, and errors of other processes have no traceback here.
        place = extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        return key, {"trouble": f"{type(error).__name__}: {error} ({where})"}
    seconds = time.perf_counter() - start
    return key, {"rows": rows, "seconds": seconds, "ran": environment()}


def _scalar(value: Any) -> str | int | float:
    """Convert a value of any array library to a Python word or number."""
    # JSON does not support numbers of NumPy and PyTorch.
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, str | int | float):
        message = f"a cell of a table is a word or a number, not {type(value).__name__}: {value!r}"
        raise TypeError(message)
    return number


def _keep(folder: Path, key: str, cell: Mapping[str, Any]) -> None:
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    write_whole(folder / "cells" / f"{key}.json", json.dumps(cell))


def _cells_of_table(study: Study, profile: str, folder: Path) -> dict[str, Any]:
    """Return the cells of a stored table by key; StudyError unless its provenance matches."""
    about = provenance(folder)
    # Whoever deleted a table wants its cells anew.
    if not about or not (folder / "table.csv.gz").is_file():
        return {}
    if (held := about.get("profile", profile)) != profile:
        message = f"{folder} holds the profile {held!r}, not {profile!r}: name another folder"
        raise StudyError(message)
    text = gzip.decompress((folder / "table.csv.gz").read_bytes())
    if content_hash(text, digits=64) != about["sha256"]:
        message = f"{folder}/table.csv.gz is not the table that its provenance describes: delete it"
        raise StudyError(message)
    # Numbers stay text, so that the table is written again unchanged.
    rows = iter(pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False).to_dict("records"))
    # Keys do not depend on the order of fields when the table was written.
    known = {}
    for one in study.parts:
        for key, config in one.configs(profile).items():
            known[one.name, json.dumps(as_json(config), sort_keys=True)] = key
    found: dict[str, Any] = {}
    for part in about["parts"]:
        for cell in part["cells"]:
            mine = []
            for row in islice(rows, cell["rows"]):
                row.pop("part", None)
                mine.append({name: x for name, x in row.items() if x != ""})
            same = known.get((part["part"], json.dumps(cell["config"], sort_keys=True)))
            if same is not None:
                ran = part["environments"]
                found[same] = {"rows": mine, "seconds": cell["seconds"], "ran": ran}
    return found


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
    frames = {}
    for name, some in rows.items():
        for row in some:
            # A column of some rows would be blank in the other rows without a message.
            if row.keys() != some[0].keys():
                message = f"{name}: rows have {', '.join(some[0])} and {', '.join(row)}"
                raise StudyError(message)
        frames[name] = pd.DataFrame(some, dtype=object).map(_written)
    # Columns that other parts lack are blank there.
    table = pd.concat(frames, names=["part", None])
    text: str = table.reset_index("part", drop=len(rows) == 1).to_csv(index=False)
    return text


def _written(value: Any) -> str:
    value = _scalar(value)
    # Adding zero turns -0 into 0.
    return value if isinstance(value, str) else f"{round(value, DECIMALS) + 0.0:.15g}"


def _conclude(study: Study, profile: str, folder: Path, done: Mapping[str, Any]) -> Path:
    """Write the table and its provenance, then remove the cells."""
    stored = provenance(folder)
    before = {each["part"]: each for each in stored.get("parts", ())}
    rows, parts = dict[str, list[Row]](), []
    for one in study.parts:
        configs = one.configs(profile)
        mine = [done[key] for key in configs]
        rows[one.name] = [row for cell in mine for row in cell["rows"]]
        # Keep the notes of other scripts.
        earlier = before.get(one.name, {})
        parts.append({**earlier, **described(one.name, configs.values(), mine)})
    text = table_text(rows).encode()
    about = {"study": study.name, "profile": profile, "sha256": content_hash(text, digits=64)}
    about_parts = json.dumps({**stored, **about, "parts": parts}, indent=1, ensure_ascii=False)
    # The table comes first: the digest detects a kill between the two writes.
    write_whole(folder / "table.csv.gz", gzip.compress(text, mtime=0))
    write_whole(folder / "provenance.json", about_parts + "\n")
    shutil.rmtree(folder / "cells")
    return folder / "table.csv.gz"


def described(name: str, configs: Iterable[Any], cells: Sequence[Any]) -> dict[str, Any]:
    """Return the provenance of a part: seeds, time, machines, versions, and each cell's config."""
    environments, seeds, parts = dict[str, Any](), set[int](), []
    for config, cell in zip(map(as_json, configs), cells, strict=True):
        # A cell from a stored table has all environments of its part.
        for ran in cell["ran"] if isinstance(cell["ran"], list) else [cell["ran"]]:
            environments[json.dumps(ran)] = ran
        seeds |= {*config.get("seeds", ()), *([config["seed"]] if "seed" in config else [])}
        seconds = round(cell["seconds"], 1)
        parts.append({"config": config, "rows": len(cell["rows"]), "seconds": seconds})
    return {
        "part": name,
        "seeds": sorted(seeds),
        "seconds": round(sum(cell["seconds"] for cell in cells), 1),
        "environments": list(environments.values()),
        "cells": parts,
    }


def environment() -> dict[str, Any]:
    """Return the commit, the versions, and the settings that decide how numbers are rounded.

    ``device`` is the GPU if PyTorch uses one, else the processor; ``flags`` are the instruction
    sets that libraries choose kernels by; ``threads`` is the number of threads per operation;
    ``kernels`` is the set that PyTorch chose, empty without PyTorch.
    """
    # PyTorch is not imported here, because exact studies do not need it.
    torch = sys.modules.get("torch")
    # The loaded libraries have the number of threads.
    threads = max((pool["num_threads"] for pool in threadpool_info()), default=os.cpu_count() or 1)
    found: dict[str, Any] = {**_installed(), "threads": threads, "kernels": ""}
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        found["kernels"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_initialized():
            found["device"] = str(torch.cuda.get_device_name())
    return found


@cache
def _installed() -> dict[str, Any]:
    """Return the checkout's commit, the installed versions, and the processor's name."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    commit = ""
    with suppress(OSError):
        here = Path(__file__).parent
        commit = subprocess.run(command, cwd=here, capture_output=True, text=True).stdout.strip()
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    # Linux on x86 names the processor here; `platform` does elsewhere.
    about = CPUINFO.read_text() if CPUINFO.is_file() else ""
    names = [*re.findall(r"model name\s*: (.*)", about), platform.processor()]
    device = f"{platform.machine()} {names[0]}".strip()
    # All cores of a machine have the same flags; ARM calls the line "Features".
    listed = re.search(r"^(?:flags|Features)\s*: (.*)", about, re.MULTILINE)
    flags = list(filter(KERNELS.match, listed[1].split())) if listed else []
    return {"commit": commit or None, "versions": versions, "device": device, "flags": flags}
