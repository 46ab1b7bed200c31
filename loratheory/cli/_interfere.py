"""``loratheory interfere``: all pairs of a large library, in blocks, here or on a cluster."""

import csv
import io
from heapq import nlargest
from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli._output import console, refused, show, whole
from loratheory.cli._run import _swept


def interfere(
    library: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of adapter folders.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder above interference_matrix."),
    ] = Path("results"),
    block: Annotated[int, typer.Option(min=1, help="Adapters held against others at once.")] = 50,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, in their place.")
    ] = None,
    any_base: Annotated[
        bool, typer.Option("--any-base", help="Accept different base model names.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the finished blocks that are there.")
    ] = False,
) -> None:
    """Measure who disturbs whom: a row for each ordered pair of adapters of a library.

    `reader` and `other` are places in the sorted library (`names.txt`, from 0), `worst` and
    `typical` what `other` answers to a unit key of `reader` over the modules that both change,
    relative to the reader's own largest answer. A killed run goes on with `--resume`. Memory is two
    groups of `--block` adapters, a module at a time.

    Example: `loratheory interfere my_library --workers 4 -o results`

    Example: `loratheory interfere /shared/library --dask tcp://10.0.0.1:8786 --resume`
    """
    from loratheory.experiments import cluster, planned, prepared, processes
    from loratheory.experiments.interference_matrix import members, sweep

    if dask and workers:
        refused(f"--workers {workers} and --dask {dask} exclude each other: name one")
    plan = planned(sweep(library, block, any_base=any_base), "all", output, resume=resume)
    try:
        with cluster(dask) if dask else processes(workers) as executor:
            prepared(plan)
            _swept([plan], executor, False)
    except KeyboardInterrupt:
        typer.echo("loratheory: interrupted; finished blocks are kept: add --resume", err=True)
        raise typer.Exit(130) from None
    names = members(library.resolve())
    folder = plan.folder
    del plan  # a million rows, on the disk now
    whole(folder / "names.txt", "\n".join(names) + "\n")
    lines = [
        (names[int(row["reader"])], names[int(row["other"])],
         *(float(row[name]) for name in ("worst", "typical", "cosine")))
        for row in _largest(folder)
    ]  # fmt: skip
    count = len(names) * (len(names) - 1)
    console().print(f"{len(names)} adapters, {count} ordered pairs → {folder}")
    columns = ("reader", "other", "worst answer", "median", "cosine")
    show("the largest, relative to the reader's own answers", columns, lines)


def _largest(folder: Path) -> list[dict[str, str]]:
    """The ten pairs with the worst answer, from a table read line by line."""
    from loratheory.experiments.engine import unpacked

    text = unpacked(folder / "table.csv") or b""
    lines = csv.DictReader(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    return nlargest(10, lines, key=lambda row: float(row["worst"]))
