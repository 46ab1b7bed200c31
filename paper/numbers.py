r"""Look up numbers in stored tables, for the paper's text and for the studies' results pages.

In ``main.tex`` ``\measured{QUERY}`` is a number, ``\within{QUERY}`` a number with its interval
(both may be a paired difference, ``{… minus …}``), ``\counted{…}`` a count and ``\constant{…}`` a
constant of a theorem. A command with arguments whose body has queries is a row of a table: its
queries are those of its calls. In ``results.md`` ``{QUERY}`` or ``{number QUERY}`` is a number,
``{percent QUERY}`` a percentage, ``{… minus …}`` a difference and ``{… over …}`` a ratio; a query
reads the part that its section is named after. ``{within QUERY}`` is a percentage with its
interval, and ``{points … minus …}`` is a difference of shares in points. A line ``[main]: rank=8;
modules=mlp`` abbreviates conditions that queries share.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loratheory.theorems import LABELS, load_theorems
from loratheory.theorems.composition.two_read_region import threshold
from paper.studies import NAMES
from paper.tables import (
    STUDIES,
    QueryError,
    Value,
    decimal,
    look_up,
    one_line,
    parse_query,
    percent,
    value,
)

MACRO = re.compile(r"\\(measured|within|counted|constant)\{([^}]*)\}")
ROW = re.compile(r"\\newcommand\{\\(\w+)\}\[\d\]\{\n(.*?)\n\}", flags=re.S)
SHORT = re.compile(r"^\[(\w+)\]: (.+)$", flags=re.M)
FORM = r"(?:(number|percent|points|within) )?(.+)"


def provenance(name: str, folder: Path = STUDIES) -> list[dict[str, Any]]:
    """Return the provenance of a study's parts, ``STUDY``, or of one part, ``STUDY/PART``."""
    study, _, part = name.partition("/")
    parts = []
    # A part may have a table of its own.
    for file in sorted((folder / study).glob("**/provenance.json")):
        parts += json.loads(file.read_bytes())["parts"]
    return [each for each in parts if each["part"] == (part or each["part"])]


def latex_numbers(source: str, folder: Path = STUDIES) -> str:
    r"""Return a ``\generated`` command for every number that a document queries, in sorted lines.

    QueryError if a table lacks a number.
    """
    # Queries in comments are ignored.
    text = re.sub(r"(?<!\\)%[^\n]*", "", source)
    short = dict(re.findall(r"\\newcommand\{\\(\w+)\}\{(\w+=[^{}]*)\}", text))
    lines = set()
    for kind, query in MACRO.findall(_fill_rows(text)):
        # Abbreviations of conditions are spelt out, as TeX does it.
        key = one_line(re.sub(r"\\(\w+)", lambda name: short.get(name[1], name[0]), query))
        read = kind in ("measured", "within")
        shown = _measured(kind, key, folder) if read else _counted(key, folder)
        lines.add(rf"\generated{{{kind}}}{{{key}}}{{{shown}}}")
    return "\n".join(sorted(lines)) + "\n"


def _fill_rows(text: str) -> str:
    """Replace the calls of a document's rows by the rows' bodies."""
    rows = ROW.findall(text)
    text = ROW.sub("", text)
    for name, body in rows:
        for call in re.findall(rf"\\{name}((?:\{{[^{{}}]*\}})+)", text):
            made = body
            for place, argument in enumerate(re.findall(r"\{([^{}]*)\}", call), 1):
                made = made.replace(f"#{place}", argument)
            text += made
    return text


def _measured(kind: str, key: str, folder: Path) -> str:
    number = look_up(key, folder=folder)
    if key.startswith("count "):
        return f"{number.middle:.0f}"
    shown = rf"\found{_latex(number.middle)}"
    if kind == "measured":
        return shown
    if math.isnan(number.low):
        message = rf"{key} has no interval: use \measured"
        raise QueryError(message)
    return rf"{shown}\ends{_latex(number.low)}{_latex(number.high)}"


def _latex(number: float) -> str:
    """Return a number in percent and as a decimal, of which the text chooses one."""
    return f"{{{percent(number)}}}{{{decimal(number)}}}".replace("-", "$-$")


def _counted(key: str, folder: Path) -> str:
    """Return a count or a constant."""
    kind, _, name = key.partition(": ")

    def _read_parts() -> list[dict[str, Any]]:
        names = [name] if name else NAMES
        return [part for each in names for part in provenance(each, folder)]

    found: dict[str, Callable[[], object]] = {
        "bases": lambda: len(set().union(*(part["seeds"] for part in _read_parts()))),
        "core hours": lambda: round(sum(part["seconds"] for part in _read_parts()) / 3600),
        "experiments": lambda: len(NAMES),
        "theorems": lambda: len(LABELS),
        "proved": lambda: sum(each.status == "proved" for each in load_theorems()),
        "own": lambda: sum(each.source.startswith("own") for each in load_theorems()),
        "confidence": lambda: r"95\%",
        "two hops": lambda: decimal(threshold(2), 3),
    }
    if kind not in found:
        message = f"there is no constant and no count {key!r}: choose {', '.join(found)}"
        raise QueryError(message)
    return str(found[kind]())


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their heading ``## …``; the text before them has key ``""``.

    A heading at the top of the page is left out.
    """
    first, *rest = re.split(r"^## ", re.sub(r"\A# [^\n]*\n", "", text), flags=re.M)
    found = {"": first.strip()}
    for section in rest:
        name, _, body = section.partition("\n")
        found[name.strip()] = body.strip()
    return found


def results(study: str, folder: Path = STUDIES) -> dict[str, str]:
    """Return the sections of a study's ``results.md``, with each query replaced by its number.

    QueryError, with the query, if the tables lack a number.
    """
    text = (folder / study / "results.md").read_text(encoding="utf-8")
    found = {}
    for name, section in sections(text).items():
        table = f"{study}/{name}" if name else study
        found[name] = fill_queries(section, table, folder)
    return found


def fill_queries(text: str, table: str, folder: Path = STUDIES) -> str:
    """Replace the queries in a text by numbers; `table` is the default table."""
    # Lines that define abbreviations are removed.
    short = dict(SHORT.findall(text))
    text = re.sub(r"\n{3,}", "\n\n", SHORT.sub("", text)).strip()

    def _evaluate(query: str) -> Value:
        conditions = [short.get(part.strip(), part) for part in query.split(";")]
        return value(parse_query("; ".join(conditions), table), folder)

    def _fill(braces: re.Match[str]) -> str:
        try:
            return _in_form(one_line(braces[1]), _evaluate)
        except QueryError as error:
            message = f"{table}, {one_line(braces[0])}: {error}"
            raise QueryError(message) from None

    return re.sub(r"\{([^{}]+)\}", _fill, text)


def _in_form(text: str, evaluate: Callable[[str], Value]) -> str:
    """Format the number of a query in the form that its first word names."""
    form, query = re.fullmatch(FORM, text).groups()  # type: ignore[union-attr]
    one, sign, two = re.fullmatch(r"(.+?)(?: (minus|over) (.+))?", query).groups()  # type: ignore[union-attr]
    first = evaluate(one)
    number = first.middle
    if two:
        number = number - evaluate(two).middle if sign == "minus" else number / evaluate(two).middle
    if math.isnan(number):
        message = "the result is not a number"
        raise QueryError(message)
    if form == "within":
        if two or math.isnan(first.low):
            message = "an interval needs one query of a table with seeds"
            raise QueryError(message)
        return f"{percent(number)}% [{percent(first.low)}, {percent(first.high)}]"
    if form in ("percent", "points"):
        return percent(number) + "%" * (form == "percent")
    if one.startswith("count ") and not two:
        return f"{number:.0f}"
    return decimal(number)
