"""What was found: a card of text beside a table, whose numbers are queries to that table."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from loratheory.experiments.engine._query import Query, QueryError, Value, one_line, query, value
from loratheory.experiments.engine._table import table

if TYPE_CHECKING:
    import pandas as pd

SHORT = re.compile(r"^\[(\w+)\]: (.+)$", flags=re.M)
"""A line that gives a name to conditions which many queries of a card share."""
EXPRESSION = re.compile(r"(percent )?(.+?)(?: (minus|over) (.+))?")


def finding(folder: Path) -> str:
    """Return what was found in a table, every number looked up in it.

    Parameters
    ----------
    folder : Path
        Of the table, with ``card.md``: text in which ``{two_hop; rule=mean; pairs=1}`` stands for
        a number (see `query`), ``{percent …}`` for a percentage, ``{… minus …}`` for a difference
        and ``{… over …}`` for a ratio. Without an experiment's name a query is to the table
        beside the card; with one to the table of that experiment in the folder next to it. A line
        ``[main]: rank=8; modules=mlp`` makes ``{two_hop; main; pairs=1}`` the same as with these
        conditions written out.

    Returns
    -------
    str
        Its paragraphs, numbers to two places; empty where there is no card.

    Raises
    ------
    QueryError
        If a table does not have what is asked for.
    TableError
        If the card asks for a table that is not there.
    """
    file = folder / "card.md"
    if not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8")
    short, tables = dict(SHORT.findall(text)), dict[Path, "pd.DataFrame"]()

    def _looked_up(query: re.Match[str]) -> str:
        return _number(one_line(query[1]), folder, short, tables)

    paragraphs = SHORT.sub("", text).strip().split("\n\n")
    return "\n\n".join(re.sub(r"\{([^{}]+)\}", _looked_up, one_line(part)) for part in paragraphs)


def decimal(number: float) -> str:
    """A number to two places, without the zero before the point."""
    sign = "-" if round(number, 2) < 0 else ""
    return sign + f"{abs(number):.2f}".removeprefix("0")


def _number(
    text: str, folder: Path, short: dict[str, str], tables: dict[Path, "pd.DataFrame"]
) -> str:
    """What stands in the text in place of one pair of braces."""
    parts = EXPRESSION.fullmatch(text)
    if parts is None:
        message = f"{folder / 'card.md'}: {{{text}}} asks for no number"
        raise QueryError(message)
    percent, first, sign, second = parts.groups()
    one, kind = _value(first, folder, short, tables)
    if sign:
        other, _ = _value(second, folder, short, tables)
        one = one - other if sign == "minus" else one / other
    if percent:
        return f"{100 * one:.0f} %"
    return f"{one:.0f}" if kind.mode == "count" and not sign else decimal(one)


def _value(
    text: str, folder: Path, short: dict[str, str], tables: dict[Path, "pd.DataFrame"]
) -> tuple[float, Query]:
    """One query of a card, its shared conditions written out, and its value."""
    head, *conditions = (part.strip() for part in text.split(";"))
    asked = query("; ".join([head, *(short.get(part, part) for part in conditions)]))
    file = (folder.parent / asked.experiment if asked.experiment else folder) / "table.csv"
    if file not in tables:
        tables[file] = table(file)
    try:
        found: Value = value(asked, tables[file])
    except QueryError as error:
        message = f"{folder / 'card.md'}, {{{text}}}: {error}"
        raise QueryError(message) from None
    if math.isnan(found.middle):
        message = f"{folder / 'card.md'}, {{{text}}} is no number"
        raise QueryError(message)
    return found.middle, asked
