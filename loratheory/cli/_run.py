"""``loratheory run`` and ``loratheory experiments``."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import console, reachable, refused, save_json, show

Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]
ALONE = "real_"  # needs a language model: by its own name only


def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|all", help="An experiment; `all` that need no language model."
        ),
    ],
    profile: Annotated[str, typer.Option(help="How much: quick or paper.")] = "quick",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, in their place.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the finished cells that are there.")
    ] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Even if other code made them.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder above NAME.")
    ] = Path("results"),
    json: Json = None,
) -> None:
    """Run an experiment: `DIR/NAME/table.csv`, the same bytes every time, and `provenance.json`.

    A cell is kept as soon as it is finished; a sweep that was killed goes on with `--resume`.
    Exit code 1 if a cell failed or a worker died: all that was finished is kept.

    Example: `loratheory run window`

    Example: `loratheory run all --profile paper --workers 2 --resume -o paper/results`

    Example: `loratheory run merge_floor --dask tcp://127.0.0.1:8786`

    JSON: a list of objects `experiment, profile, cells, rows, seconds, table`.
    """
    from loratheory.experiments import cluster, prepared, processes

    reachable(json)
    if dask and workers:
        refused(f"--workers {workers} and --dask {dask} exclude each other: name one")
    plans = _planned(name, profile, output, resume=resume, allow_mixed=allow_mixed)
    try:
        with cluster(dask) if dask else processes(workers) as executor:
            for plan in plans:
                prepared(plan)
            _swept(plans, executor, allow_mixed)
    except KeyboardInterrupt:
        typer.echo(
            "loratheory: interrupted; what was finished is kept: go on with --resume", err=True
        )
        raise typer.Exit(130) from None
    entries = [_entry(plan) for plan in plans]
    save_json(json, entries)
    if str(json) != "-":
        columns = ("experiment", "profile", "cells", "rows", "seconds", "table")
        title = "1 table" if len(entries) == 1 else f"{len(entries)} tables"
        show(title, columns, [list(entry.values()) for entry in entries])


def _planned(name: str, profile: str, output: Path, **choices: bool) -> list[Any]:
    """What to do for each experiment, with nothing written yet."""
    from importlib.util import find_spec

    from loratheory.experiments import NAMES, Small, experiment, planned

    names = [known for known in NAMES if not known.startswith(ALONE)] if name == "all" else [name]
    plans = [planned(experiment(one), profile, output, **choices) for one in names]
    for plan in plans:
        if plan.finished:
            typer.echo(f"finished already: {plan.folder}", err=True)
        elif isinstance(next(iter(plan.cells.values())), Small) and find_spec("torch") is None:
            remedy = "which is not installed: pip install 'loratheory[torch]'"
            refused(f"{plan.experiment.name} trains small transformers with PyTorch, {remedy}")
    return plans


def _swept(plans: list[Any], executor: Any, allow_mixed: bool) -> None:
    """All that is missing, under one bar; exit code 1 if something went wrong."""
    from tqdm.auto import tqdm

    from loratheory.experiments import SweepError, swept

    total = sum(len(plan.cells) for plan in plans)
    left = sum(len(plan.missing) for plan in plans)
    cells = swept(plans, executor, allow_mixed=allow_mixed)
    bar = tqdm(total=total, initial=total - left, unit="cell", desc="run", leave=False)
    try:
        with closing(cells), bar:
            for plan, _ in cells:
                bar.update()
                bar.set_postfix_str(plan.experiment.name)
    except SweepError as error:
        typer.echo(f"loratheory: {error}", err=True)
        raise typer.Exit(1) from None


def _entry(plan: Any) -> dict[str, Any]:
    import json

    told = json.loads((plan.folder / "provenance.json").read_text(encoding="utf-8"))
    return {
        "experiment": told["experiment"],
        "profile": told["profile"],
        "cells": len(told["cells"]),
        "rows": sum(cell["rows"] for cell in told["cells"]),
        "seconds": told["seconds"],
        "table": str(plan.folder / "table.csv"),
    }


def experiments(
    name: Annotated[str | None, typer.Argument(help="One, to be shown in full.")] = None,
    json: Json = None,
) -> None:
    """List the experiments, or show one in full: question, prediction, chance level, controls.

    Times are minutes of one core.

    Example: `loratheory experiments`

    Example: `loratheory experiments window`

    JSON: a list of objects `name, question, prediction, chance, controls, minutes, cells`; the last
    two hold a number a profile.
    """
    from loratheory.experiments import NAMES, experiment

    reachable(json)
    found = [experiment(one) for one in ([name] if name else NAMES)]
    titles = ("question", "prediction", "chance", "controls")
    entries: list[dict[str, Any]] = [
        {
            "name": each.name,
            **{title: each.paragraph(title.capitalize()) for title in titles},
            "minutes": dict(each.minutes),
            "cells": {profile: len(configs) for profile, configs in each.profiles.items()},
        }
        for each in found
    ]
    save_json(json, entries)
    if str(json) == "-":
        return
    if name:
        _in_full(found[0])
        return
    columns = ("name", "question", "prediction", "quick (min)", "paper (min)")
    rows = [
        [e["name"], e["question"], e["prediction"], *(e["minutes"][p] for p in ("quick", "paper"))]
        for e in entries
    ]
    show(f"{len(rows)} experiments", columns, rows)


def _in_full(found: Any) -> None:
    out = console()
    out.print(f"[bold]{found.name}[/bold]\n")
    out.print(f"{(found.document or '').strip()}\n", markup=False)
    for profile, configs in found.profiles.items():
        minutes = f"about {found.minutes[profile]:.2g} min of one core"
        cells = "1 cell" if len(configs) == 1 else f"{len(configs)} cells, the first is"
        out.print(f"  {profile:7} {minutes}; {cells} {configs[0]}", markup=False)
