"""The language model's experiments in brief, adapters trained anew, held against the paper's."""

import shutil
from collections.abc import Iterable, Sequence
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from report.section import Section, command

TITLE = "Adapters on a language model"
COMPARED = ("two_hop", "right", "three_hop")
"""The shares that are compared, each in the tables that have it."""
MEASURED = (*COMPARED, "hop_1", "reach_1", "two_hop_vocabulary")
"""Columns that are measured, of which a table has one first: those before it say what was asked."""
ASKED = ("seed", "group", "sentence")
"""What does not name a way: kinds of questions, and sentences, are compared by their mean."""
APART = 0.16  # two standard errors of 40 questions

Compared = tuple[str, str, int, float, float]
"""An experiment, a way of using adapters, how many kinds were asked, and shares now and stored."""


def language_model(build: Path, results: Path = Path("paper/results")) -> Section:
    """Run the quick profiles that need a language model and compare them with stored tables."""
    from loratheory.experiments import NAMES, table
    from loratheory.pretrained import ModelError
    from loratheory.pretrained._load import embedded

    try:
        embedded()
    except ModelError as error:
        told = f"Not run: {error}."
        return Section(TITLE, told, deviated=("Adapters on the language model were not tried.",))
    made = build / "results"
    names = [name for name in NAMES if name.startswith("real_")]
    for name in names:
        shutil.rmtree(made / name, ignore_errors=True)
    command("run", "real", "-o", made)
    found: list[Compared] = []
    for name in names:
        now, before = (
            table(folder / name / "table.csv").to_dict("records") for folder in (made, results)
        )
        found += [(name, *each) for each in compared(now, before)]
    lacking = {*names} - {name for name, *_ in found}
    off = [one for one in found if abs(one[-2] - one[-1]) > APART]
    line = (
        f"{len(found)} ways of using adapters on SmolLM2-135M, in {len(names)} experiments, answer "
        f"as in the paper's tables, to {APART}."
    )
    return Section(
        TITLE,
        "Trained anew where none are kept, on SmolLM2-135M-Instruct dequantised from 4 bits: an "
        "adapter each for invented persons' countries and these countries' mascots, an expert of "
        "the two-hop facts from person to mascot. Compared are shares of right answers, of two-hop "
        "questions among twenty or twelve candidates.",
        ("experiment", "way", "kinds", "right", "in the paper"),
        tuple(found),
        confirmed=() if off or lacking else (line,),
        deviated=(
            *(f"{name}: nothing to compare with" for name in sorted(lacking)),
            *(
                f"{name}, {way}: right {now:.2f}, stored {old:.2f}"
                for name, way, _, now, old in off
            ),
        ),
    )


def compared(
    made: Sequence[dict[str, Any]], stored: Iterable[dict[str, Any]]
) -> list[tuple[str, int, float, float]]:
    """Return what both tables hold: the way, kinds of questions, the share right now and stored."""
    mark = next(name for name in COMPARED if name in made[0])
    columns = [*made[0]]
    same = columns[: min(columns.index(name) for name in MEASURED if name in columns)]

    def _asked(row: dict[str, Any]) -> dict[str, str]:  # as words, for nan is not equal to nan
        asked = {name: row[name] for name in same}
        return {name: x if isinstance(x, str) else f"{x:g}" for name, x in asked.items()}

    before = {tuple(_asked(row).values()): row[mark] for row in stored}
    ways: dict[str, list[tuple[float, float]]] = {}
    for row in made:
        asked = _asked(row)
        old = before.get(tuple(asked.values()), nan)
        if not isnan(old + row[mark]):
            way = ", ".join(x for name, x in asked.items() if name not in ASKED)
            ways.setdefault(way, []).append((row[mark], old))
    return [
        (way, len(each), fmean(now for now, _ in each), fmean(old for _, old in each))
        for way, each in ways.items()
    ]
