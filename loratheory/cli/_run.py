"""``loratheory run``: experiments, and a comparison of their tables with stored ones."""

import json as notation
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

REAL = "real_"  # needs a language model


def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|all|real",
            help="An experiment; `all` that need no language model; `real`, those that do.",
        ),
    ],
    profile: out.Profile = "quick",
    workers: out.Workers = 0,
    dask: out.Dask = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished cells and run the others.")
    ] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Resume cells that other code has made.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder above NAME.")
    ] = Path("results"),
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Then compare with the tables in DIR."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="ID|DIR", help="A language model, for experiments named real_."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Its device, such as cuda.")] = None,
    json: out.Json = None,
) -> None:
    """Run an experiment; write `DIR/NAME/table.csv`, the same every time, and `provenance.json`.

    A table of more than 64 KiB is compressed: `table.csv.gz`.

    An experiment consists of cells, one per setting, each saved when it finishes; `--resume`
    continues an interrupted run, or adds to a table the cells that its profile has gained. The exit
    code is 1 if a cell failed or a worker process died; finished cells are kept. With `--against`,
    mean accuracies are compared with stored ones for the same settings (`means` counts them; exact
    tables have none), and the exit code is 1 if one differs by more than chance explains.

    Example: `loratheory run window`

    Example: `loratheory run all --profile paper --workers 2 --resume -o paper/results`

    Example: `loratheory run all --against paper/results`

    Example: `loratheory run real_two_hop --model Qwen/Qwen2.5-0.5B --device cuda`

    Example: `loratheory run real -o results`

    Example: `loratheory run merge_floor --dask tcp://127.0.0.1:8786`

    JSON: a list of objects `experiment, profile, cells, rows, seconds, table`; with `--against`
    also `means, outside`: how many were compared, and a line for each that differs.
    """
    out.reachable(json)
    out.named(dask=dask, model=model, device=device)
    if against is not None and not against.is_dir():
        out.refused(
            f"--against {against} is no folder of tables: paper/results in a checkout is one"
        )
    where = {key: value for key, value in (("model", model), ("device", device)) if value}
    plans = _planned(name, profile, output, where, resume=resume, allow_mixed=allow_mixed)
    if where and not dask:  # whose workers may have other folders and devices
        from loratheory.pretrained import located

        located(model, device or "cpu")
    executed(plans, workers, dask, allow_mixed)
    entries = [_entry(plan) for plan in plans]
    off: list[str] = []
    for plan, entry in zip(plans, entries, strict=True):
        if against is not None:
            entry |= _compared(plan, output, against)
            off += [f"{plan.experiment.name}: {line}" for line in entry["outside"]]
    if out.delivered(json, entries):
        title = "1 table" if len(entries) == 1 else f"{len(entries)} tables"
        columns: dict[str, Any] = {key: key for key in entries[0]}
        if against is not None:
            columns["outside"] = lambda entry: len(entry["outside"])
        out.show(title, columns, entries)
    for line in off:
        typer.echo(f"OUTSIDE   {line}", err=True)
    if off:
        raise typer.Exit(1)


def _planned(
    name: str, profile: str, output: Path, where: dict[str, str], **choices: bool
) -> list[Any]:
    """What to do for each experiment, with nothing written yet."""
    from loratheory.experiments import NAMES, experiment, planned

    many = {"all": False, "real": True}
    names = [known for known in NAMES if known.startswith(REAL) is many.get(name)] or [name]
    chosen = [_elsewhere(experiment(one), where) for one in names]
    plans = [planned(one, profile, output, **choices) for one in chosen]
    for plan in plans:
        if plan.finished:
            typer.echo(f"finished already: {plan.folder}", err=True)
        elif plan.experiment.needs:
            out.needs(plan.experiment.needs, plan.experiment.name)
    return plans


def _elsewhere(experiment: Any, where: dict[str, str]) -> Any:
    """The experiment on another model or device, if it is one of a language model."""
    if not where:
        return experiment
    configs = [one for profile in experiment.profiles.values() for one in profile]
    if not all(hasattr(one, key) for one in configs for key in where):
        options = " and ".join(f"--{key} {value}" for key, value in where.items())
        out.refused(
            f"{experiment.name} has no language model for {options}: name a real_ experiment"
        )
    moved = {
        profile: tuple(replace(one, **where) for one in configs)
        for profile, configs in experiment.profiles.items()
    }
    return replace(experiment, profiles=moved)


def executed(plans: list[Any], workers: int, dask: str | None, allow_mixed: bool = False) -> None:
    """Run what is missing, here or on a cluster; exit code 1 if something went wrong."""
    from loratheory.experiments import cluster, prepared, processes

    if dask and workers:
        out.refused(f"--workers {workers} and --dask {dask} exclude each other: name one")
    try:
        with cluster(dask) if dask else processes(workers) as executor:
            for plan in plans:
                prepared(plan)
            _swept(plans, executor, allow_mixed)
    except KeyboardInterrupt:
        message = "interrupted; what was finished is kept: go on with --resume"
        typer.echo(f"loratheory: {message}", err=True)
        raise typer.Exit(130) from None


def _swept(plans: list[Any], executor: Any, allow_mixed: bool) -> None:
    """All that is missing, under one bar."""
    from loratheory.experiments import SweepError, swept

    total = sum(len(plan.cells) for plan in plans)
    left = sum(len(plan.missing) for plan in plans)
    cells = swept(plans, executor, allow_mixed=allow_mixed)
    bar = out.progress(count=total, initial=total - left, unit="cell", desc="run")
    try:
        with closing(cells), bar:
            for plan, _ in cells:
                bar.update()
                bar.set_postfix_str(plan.experiment.name)
    except SweepError as error:
        typer.echo(f"loratheory: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        for line in (line for plan in plans for line in plan.lost):
            typer.echo(f"loratheory: {line}", err=True)


def _entry(plan: Any) -> dict[str, Any]:
    about = notation.loads((plan.folder / "provenance.json").read_text(encoding="utf-8"))
    return {
        "experiment": about["experiment"],
        "profile": about["profile"],
        "cells": len(about["cells"]),
        "rows": sum(cell["rows"] for cell in about["cells"]),
        "seconds": about["seconds"],
        "table": str(next(plan.folder.glob("table.csv*"))),
    }


def _compared(plan: Any, output: Path, against: Path) -> dict[str, Any]:
    """How the table made now stands to the stored one; nothing where there is none."""
    from loratheory.experiments import replayed, stored_cells

    means, outside, name = 0, list[str](), plan.experiment.name
    folders = {"paper": against, "small": against / "small"}
    stored = [
        cell
        for profile, folder in folders.items()
        if any((folder / name).glob("table.csv*"))
        for cell in stored_cells(plan.experiment, folder, profile)
    ]
    if stored:
        replay = replayed(stored_cells(plan.experiment, output, plan.profile), stored)
        means, outside = replay.means, [*replay.outside]
    return {"means": means, "outside": outside}
