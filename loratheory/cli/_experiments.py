"""``loratheory experiments``: which there are, and what each asks and predicts."""

from typing import Annotated, Any

import typer

from loratheory.cli import _output as out


def experiments(
    name: Annotated[str | None, typer.Argument(help="The experiment to show in full.")] = None,
    json: out.Json = None,
) -> None:
    """List the experiments, or show one in full: question, prediction, controls, what was found.

    Times are in minutes on one core.

    Example: `loratheory experiments`

    Example: `loratheory experiments window`

    JSON: a list of objects `name, question, prediction, chance, controls, minutes, cells`; the last
    two hold a number a profile. Of one in full also `found`, from its card.
    """
    from loratheory.experiments import NAMES, experiment, finding, published

    out.reachable(json)
    asked = [experiment(one) for one in ([name] if name else NAMES)]
    titles = ("question", "prediction", "chance", "controls")
    entries: list[dict[str, Any]] = [
        {
            "name": each.name,
            **{title: each.paragraph(title.capitalize()) for title in titles},
            "minutes": dict(each.minutes),
            "cells": {profile: len(configs) for profile, configs in each.profiles.items()},
        }
        for each in asked
    ]
    card = ""
    if name and asked[0].name in NAMES:
        entries[0]["found"] = card = finding(published(asked[0].name).parent)
    if not out.delivered(json, entries):
        return
    if name:
        _in_full(asked[0], card)
        return
    columns: out.Columns = {key: key for key in ("name", "question", "prediction")}
    for profile in ("quick", "paper"):
        columns[f"{profile} (min)"] = lambda entry, profile=profile: entry["minutes"][profile]
    out.show(f"{len(entries)} experiments", columns, entries)


def _in_full(found: Any, card: str) -> None:
    out.say(bold=f"{found.name}\n")
    out.say(f"{(found.document or '').strip()}\n")
    if card:
        out.say(f"**Found.** {card}\n")
    for profile, configs in found.profiles.items():
        minutes = f"about {found.minutes[profile]:g} min of one core"
        cells = "1 cell" if len(configs) == 1 else f"{len(configs)} cells, the first is"
        out.say(f"  {profile:7} {minutes}; {cells} {configs[0]}")
