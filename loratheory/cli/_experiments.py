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
    """List the experiments, or show one in full: question, prediction, controls, what was found.

    Times are minutes of one core.

    Example: `loratheory experiments`

    Example: `loratheory experiments window`

    JSON: a list of objects `name, question, prediction, chance, controls, minutes, cells`; the last
    two hold a number a profile. Of one in full also `found`, from its card.
    """
    from loratheory.experiments import NAMES, experiment, finding, published

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
    card = ""
    if name and found[0].name in NAMES:
        entries[0]["found"] = card = finding(published(found[0].name).parent)
    save_json(json, entries)
    if str(json) == "-":
        return
    if name:
        _in_full(found[0], card)
        return
    columns = ("name", "question", "prediction", "quick (min)", "paper (min)")
    rows = [
        [e["name"], e["question"], e["prediction"], *(e["minutes"][p] for p in ("quick", "paper"))]
        for e in entries
    ]
    show(f"{len(rows)} experiments", columns, rows)


def _in_full(found: Any, card: str) -> None:
    out = console()
    out.print(f"[bold]{found.name}[/bold]\n")
    out.print(f"{(found.document or '').strip()}\n", markup=False)
    if card:
        out.print(f"**Found.** {card}\n", markup=False)
    for profile, configs in found.profiles.items():
        minutes = f"about {found.minutes[profile]:.2g} min of one core"
        cells = "1 cell" if len(configs) == 1 else f"{len(configs)} cells, the first is"
        out.print(f"  {profile:7} {minutes}; {cells} {configs[0]}", markup=False)
