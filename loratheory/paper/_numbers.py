r"""The numbers that the paper's text asks for by \measured and similar macros, as LaTeX."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

from loratheory.experiments import NAMES, experiment, table
from loratheory.experiments.engine import (
    QueryError,
    bootstrap_mean,
    difference,
    query,
    stored_provenance,
    value,
)
from loratheory.experiments.engine._query import one_line
from loratheory.theorems import load_theorems
from loratheory.theorems.composition.two_read_region import strength_needed, threshold

ASKED = re.compile(r"\\(measured|within|share|counted|constant)\{([^}]*)\}")

CONSTANTS: Mapping[str, Callable[[], float]] = {
    "two hops": lambda: threshold(2),
    "three hops": lambda: threshold(3),
    "four hops": lambda: threshold(4),
    "strength under the mean": lambda: strength_needed(2, 2),
    "margin under the mean": lambda: 2 * strength_needed(2, 2) - 1,
}
"""Constants of theorems by the name under which the text asks for them."""
CONFIDENCE = signature(bootstrap_mean).parameters["confidence"].default


@dataclass(frozen=True)
class Tables:
    """The stored tables: where they are, each read once, and which there are."""

    results: Path
    rows: Callable[[Path], Any]
    here: tuple[str, ...]


def stored(results: Path) -> list[str]:
    """The experiments whose table lies there."""
    return [name for name in NAMES if stored_provenance(results / name)]


def numbers(source: str, results: Path) -> str:
    r"""Return a ``\generated`` command for every number that a document asks for, in sorted lines.

    ``\measured{…}`` asks for a number of a table, ``\within{…}`` for one with its interval (both
    may be a paired difference, ``{… minus …}``), ``\share{…}`` for a percentage, ``\counted{…}``
    for a count, such as of theorems, and ``\constant{…}`` for a constant of a theorem. Numbers of
    experiments without a table in `results` are left out. Raises `QueryError` if a table lacks what
    is asked for.
    """
    tables, lines = Tables(results, cache(table), tuple(stored(results))), set()
    text = re.sub(r"(?<!\\)%[^\n]*", "", source)
    short = dict(re.findall(r"\\newcommand\{\\(\w+)\}\{(\w+=[^{}]*)\}", text))
    for kind, asked in ASKED.findall(text):
        key = one_line(re.sub(r"\\(\w+)", lambda name: short.get(name[1], name[0]), asked))
        shown = FORMS[kind](key, tables)
        if shown:
            lines.add(command(kind, key, shown))
    return "\n".join(sorted(lines)) + "\n"


def command(kind: str, key: str, shown: str) -> str:
    """One generated command: what a macro stands for when it is given this key."""
    return rf"\generated{{{kind}}}{{{key}}}{{{shown}}}"


def decimal(number: float) -> str:
    """A number to two places, without the zero before the point."""
    sign = "$-$" if round(number, 2) < 0 else ""
    text = f"{abs(number):.2f}"
    return sign + (text[1:] if text.startswith("0.") else text)


def _measured(key: str, tables: Tables, form: str = "measured") -> str:
    first, _, second = key.partition(" minus ")
    asked = query(first)
    if asked.experiment not in NAMES:
        experiment(asked.experiment)  # refuses, with the nearest names
    if asked.experiment not in tables.here:
        return ""
    rows = tables.rows(tables.results / asked.experiment / "table.csv")
    number = difference(asked, query(second), rows) if second else value(asked, rows)
    if asked.mode == "count":
        return f"{number.middle:.0f}"
    if form == "share":
        return rf"{100 * number.middle:.0f}\,\%"
    if form == "measured":
        return decimal(number.middle)
    if math.isnan(number.low):
        message = rf"{key} has no interval: ask for it by \measured"
        raise QueryError(message)
    return rf"{decimal(number.middle)} \interval{{{decimal(number.low)}}}{{{decimal(number.high)}}}"


def _constant(key: str, tables: Tables) -> str:  # noqa: ARG001
    if key == "confidence":
        return rf"{100 * CONFIDENCE:.0f}\,\%"
    if key not in CONSTANTS:
        message = f"there is no constant {key!r}: choose confidence, {', '.join(CONSTANTS)}"
        raise QueryError(message)
    return f"{CONSTANTS[key]():.3f}".removeprefix("0")


def _counted(key: str, tables: Tables) -> str:
    kind, _, name = key.partition(": ")
    if name:
        about = stored_provenance(tables.results / name)
        if not about:
            return ""
        each = {"bases": len(about["seeds"]), "rows": sum(cell["rows"] for cell in about["cells"])}
    else:
        seconds = sum(stored_provenance(tables.results / name)["seconds"] for name in tables.here)
        each = {
            "theorems": len(load_theorems()),
            "proved": sum(theorem.status == "proved" for theorem in load_theorems()),
            "controls": sum(len(theorem.controls) for theorem in load_theorems()),
            "experiments": len(tables.here),
            "core hours": round(seconds / 3600),
        }
    if kind not in each:
        message = f"{key!r} cannot be counted: choose {', '.join(each)}; or bases: NAME, rows: NAME"
        raise QueryError(message)
    return str(each[kind])


FORMS: Mapping[str, Callable[[str, Tables], str]] = {
    "measured": _measured,
    "within": partial(_measured, form="within"),
    "share": partial(_measured, form="share"),
    "counted": _counted,
    "constant": _constant,
}
