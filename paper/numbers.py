r"""Numbers looked up in stored tables: for the paper's text, and for the studies' results pages.

In ``main.tex`` ``\measured{QUERY}`` asks for a number, ``\within{QUERY}`` for one with its interval
(both may be a paired difference, ``{… minus …}``), ``\share{QUERY}`` for a percentage,
``\counted{…}`` for a count and ``\constant{…}`` for a constant of a theorem. In ``results.md``
``{QUERY}`` stands for a number, ``{percent QUERY}`` for a percentage, ``{… minus …}`` for a
difference and ``{… over …}`` for a ratio; a query reads the part that its section is named for.
``{number QUERY}`` is written with its leading zero, ``{within QUERY}`` is a percentage with its
interval, and ``{points … minus …}`` is a difference of shares in points. A line
``[main]: rank=8; modules=mlp`` names conditions that many queries of a section share.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loratheory.theorems import LABELS, load_theorems
from loratheory.theorems.composition.two_read_region import strength_needed, threshold
from paper.studies import NAMES
from paper.tables import (
    STUDIES,
    QueryError,
    decimal,
    difference,
    one_line,
    parse_query,
    value,
)

ASKED = re.compile(r"\\(measured|within|share|counted|constant)\{([^}]*)\}")
SHORT = re.compile(r"^\[(\w+)\]: (.+)$", flags=re.M)
EXPRESSION = re.compile(r"(percent )?(.+?)(?: (minus|over) (.+))?")
CONSTANTS: Mapping[str, Callable[[], float]] = {
    "two hops": lambda: threshold(2),
    "three hops": lambda: threshold(3),
    "four hops": lambda: threshold(4),
    "strength under the mean": lambda: strength_needed(2, 2),
    "margin under the mean": lambda: 2 * strength_needed(2, 2) - 1,
}
"""Constants of theorems by the name under which the text asks for them."""


def provenance(name: str, folder: Path = STUDIES) -> list[dict[str, Any]]:
    """Return the provenance of a study's parts, ``STUDY``, or of one of them, ``STUDY/PART``."""
    study, _, part = name.partition("/")
    parts = json.loads((folder / study / "provenance.json").read_bytes())["parts"]
    return [each for each in parts if each["part"] == (part or each["part"])]


def latex_numbers(source: str, folder: Path = STUDIES) -> str:
    r"""Return a ``\generated`` command for every number that a document asks for, in sorted lines.

    QueryError if a table lacks what is asked for.
    """
    text = re.sub(r"(?<!\\)%[^\n]*", "", source)
    short = dict(re.findall(r"\\newcommand\{\\(\w+)\}\{(\w+=[^{}]*)\}", text))
    lines = set()
    for kind, asked in ASKED.findall(text):
        key = one_line(re.sub(r"\\(\w+)", lambda name: short.get(name[1], name[0]), asked))
        if kind == "constant":
            shown = _constant(key)
        elif kind == "counted":
            shown = str(_counted(key, folder))
        else:
            shown = _measured(kind, key, folder)
        lines.add(rf"\generated{{{kind}}}{{{key}}}{{{shown}}}")
    return "\n".join(sorted(lines)) + "\n"


def _measured(kind: str, key: str, folder: Path) -> str:
    first, _, second = key.partition(" minus ")
    asked = parse_query(first)
    if second:
        number = difference(asked, parse_query(second, asked.table), folder)
    else:
        number = value(asked, folder)
    if asked.mode == "count":
        return f"{number.middle:.0f}"
    if kind == "share":
        return rf"{100 * number.middle:.0f}\,\%"
    if kind == "measured":
        return _latex(number.middle)
    if math.isnan(number.low):
        message = rf"{key} has no interval: ask for it by \measured"
        raise QueryError(message)
    return rf"{_latex(number.middle)} \interval{{{_latex(number.low)}}}{{{_latex(number.high)}}}"


def _latex(number: float) -> str:
    return decimal(number).replace("-", "$-$")


def _constant(key: str) -> str:
    if key == "confidence":
        return r"95\,\%"
    if key not in CONSTANTS:
        message = f"there is no constant {key!r}: choose confidence, {', '.join(CONSTANTS)}"
        raise QueryError(message)
    return f"{CONSTANTS[key]():.3f}".removeprefix("0")


def _counted(key: str, folder: Path) -> int:
    kind, _, name = key.partition(": ")
    parts = provenance(name, folder) if name else [p for s in NAMES for p in provenance(s, folder)]
    counts: dict[str, Callable[[], int]] = {
        "bases": lambda: len({seed for part in parts for seed in part["seeds"]}),
        "rows": lambda: sum(cell["rows"] for part in parts for cell in part["cells"]),
        "core hours": lambda: round(sum(part["seconds"] for part in parts) / 3600),
        "experiments": lambda: len(NAMES),
        "theorems": lambda: len(LABELS),
        "proved": lambda: sum(theorem.status == "proved" for theorem in load_theorems()),
        "controls": lambda: sum(len(theorem.controls) for theorem in load_theorems()),
    }
    if kind not in counts:
        message = f"{key!r} cannot be counted: choose {', '.join(counts)}"
        raise QueryError(message)
    return counts[kind]()


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their heading ``## …``; what precedes them is under ``""``.

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
    """Return a text with its queries of a table, or of others that they name, looked up."""
    short = dict(SHORT.findall(text))
    text = re.sub(r"\n{3,}", "\n\n", SHORT.sub("", text)).strip()
    return re.sub(r"\{([^{}]+)\}", lambda one: _in_form(one[1], short, table, folder), text)


def _in_form(braces: str, short: Mapping[str, str], table: str, folder: Path) -> str:
    """A number in the form that its first word names, if it names one."""
    form, _, query = one_line(braces).partition(" ")
    if form == "number":
        return re.sub(r"^-?(?=\.)", r"\g<0>0", _filled(query, short, table, folder))
    if form == "points":
        return _filled(f"percent {query}", short, table, folder).removesuffix("%")
    if form == "within":
        conditions = [short.get(part.strip(), part) for part in query.split(";")]
        share = _filled(f"percent {query}", short, table, folder)
        found = value(parse_query("; ".join(conditions), table), folder)
        return f"{share} [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return _filled(braces, short, table, folder)


def _filled(braces: str, short: Mapping[str, str], table: str, folder: Path) -> str:
    found = EXPRESSION.fullmatch(one_line(braces))
    assert found is not None
    percent, first, sign, second = found.groups()
    mode = "mean"
    numbers = []
    for text in (first, second):
        if text is None:
            continue
        head, *conditions = (part.strip() for part in text.split(";"))
        query = "; ".join([head, *(short.get(part, part) for part in conditions)])
        try:
            asked = parse_query(query, table)
            mode = asked.mode
            numbers.append(value(asked, folder).middle)
        except QueryError as error:
            message = f"{table}, {{{one_line(braces)}}}: {error}"
            raise QueryError(message) from None
    number = numbers[0]
    if sign:
        number = numbers[0] - numbers[1] if sign == "minus" else numbers[0] / numbers[1]
    if math.isnan(number):
        message = f"{table}, {{{one_line(braces)}}}: it is no number"
        raise QueryError(message)
    if percent:
        return f"{100 * number:.0f}%"
    return f"{number:.0f}" if mode == "count" and not sign else decimal(number)
