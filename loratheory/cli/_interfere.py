"""``loratheory interfere``: cross-talk of all pairs in a large library, here or on a cluster."""

import csv
import io
from heapq import nlargest
from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli import _output as out
from loratheory.cli._run import executed
from loratheory.store import write_whole


def interfere(
    library: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIBRARY", help="A folder of adapters, or adapters as `merge` takes them."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder above interference_matrix."),
    ] = Path("results"),
    block: Annotated[int, typer.Option(min=1, help="Adapters compared at once.")] = 50,
    workers: out.Workers = 0,
    dask: out.Dask = None,
    any_base: out.AnyBase = False,
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished blocks and compute the others.")
    ] = False,
) -> None:
    """Measure how much each adapter of a library disturbs each other one; a table row per pair.

    A library is a folder of PEFT folders, in sorted order, or a list of adapters.
    In a row, `reader` and `other` are numbers of adapters (from 0, names in `names.txt`). The
    cross-talk in a module is the largest output norm of `other` on unit inputs in the row space of
    `reader`, divided by the spectral norm of `reader`; `worst` and `typical` are its largest value
    and its median over the modules that both change. `--resume` continues a killed run. Two groups
    of `--block` adapters are in memory, one module at a time.

    Example: `loratheory interfere my_library --workers 4 -o results`

    Example: `loratheory interfere /shared/library --dask tcp://10.0.0.1:8786 --resume`
    """
    from loratheory.experiments import planned
    from loratheory.experiments.interference_matrix import members, sweep

    out.named(dask=dask)
    found = members(library, subfolder, revision, download=download)
    sweep_ = sweep(found, block, any_base=any_base)
    plan = planned(sweep_, "all", output, resume=resume)
    executed([plan], workers, dask)
    names = [*found]
    folder = plan.folder
    del plan  # a million rows, on the disk now
    write_whole(folder / "names.txt", "\n".join(names) + "\n")
    out.say(f"{len(names)} adapters, {len(names) * (len(names) - 1)} ordered pairs → {folder}")
    columns = {
        "reader": lambda row: names[int(row["reader"])],
        "other": lambda row: names[int(row["other"])],
        "worst answer": lambda row: float(row["worst"]),
        "median": lambda row: float(row["typical"]),
        "cosine": lambda row: float(row["cosine"]),
    }
    out.show("the largest, relative to the reader's own answers", columns, _largest(folder))
    out.say(
        "What a merge loses such numbers hardly tell: `loratheory diagnose` has their record, and "
        "`loratheory advise` measures it on prompts."
    )


def _largest(folder: Path) -> list[dict[str, str]]:
    """The ten pairs with the worst answer, from a table read line by line."""
    from loratheory.experiments.engine import unpacked

    text = unpacked(folder / "table.csv") or b""
    lines = csv.DictReader(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    return nlargest(10, lines, key=lambda row: float(row["worst"]))
