"""``loratheory experiments``: what there is to run, what each asks and expects."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import console, reachable, save_json, show

Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]


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
