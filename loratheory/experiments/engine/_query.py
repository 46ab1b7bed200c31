"""Numbers of stored tables, asked for in a line: by the paper's text and by cards beside them."""

import math
import re
from dataclasses import dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from loratheory.experiments.engine._table import over_bases, table, word

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["mean", "least", "most", "onset", "majority", "count"]
MODES: tuple[str, ...] = get_args(Mode)
GROUPED = ("least", "most", "onset")
SIGNS = {"<=": le, ">=": ge, "<": lt, ">": gt}
FORM = "[least|most|onset|majority|count] EXPERIMENT: COLUMN [by KEY, KEY]; KEY=VALUE|VALUE; ..."


class QueryError(ValueError):
    """A number that is asked for cannot be found in the stored tables."""


@dataclass(frozen=True)
class Query:
    """A number, by experiment and cell.

    Attributes
    ----------
    mode : {"mean", "least", "most", "onset", "majority", "count"}
        The mean over the rows; the least or most of such means, one a group of `by`; the least
        value of the column in `by` at which the mean is half or more; how often one answer always
        given would be right, where the column says yes or no; how many rows have a number there.
    experiment, column : str
        Whose table, or none where the text speaks of one table only, and what of it.
    by : tuple of str
        Columns whose values make groups.
    where : tuple of (str, str, tuple of str)
        Which rows: a column, a sign (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``), and values.
    """

    mode: Mode
    experiment: str
    column: str
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Value:
    """What a table says to a query: a number and its 95 % interval over bases.

    Both ends are NaN where none is defined: exact tables, onsets, majorities and counts.
    """

    middle: float
    low: float = math.nan
    high: float = math.nan


def one_line(text: str) -> str:
    """Return the text as TeX and Markdown see it: line ends are spaces, and many spaces are one."""
    return re.sub(r"\s+", " ", text).strip()


def query(text: str) -> Query:
    """Return what a text such as ``gating: two_hop; rule=mean; pairs=1|2`` asks for.

    ``[mode] [experiment:] column [by key, key]; key=value|value; key>=number; ...``; QueryError if
    the text has another form.
    """
    head, *rest = (part.strip() for part in one_line(text).split(";"))
    modes = "|".join(MODES)
    found = re.fullmatch(rf"(?:({modes}) )?(?:(\w+): )?(\w+)(?: by (\w+(?:, \w+)*))?", head)
    conditions = [re.fullmatch(r"(\w+)\s*(!=|<=|>=|=|<|>)\s*(.+)", part) for part in rest]
    if not found or not all(conditions):
        message = f"{one_line(text)!r} asks for no number: write {FORM}"
        raise QueryError(message)
    mode, experiment, column, by = found.groups()
    if bool(by) != (mode in GROUPED):
        message = f"{one_line(text)!r}: least, most and onset need `by`, others have none; {FORM}"
        raise QueryError(message)
    where = [condition.groups() for condition in conditions if condition]
    return Query(
        mode or "mean",  # type: ignore[arg-type]
        experiment or "",
        column,
        tuple(by.split(", ")) if by else (),
        tuple((key, sign, tuple(values.split("|"))) for key, sign, values in where),
    )


def value(asked: Query, rows: "pd.DataFrame") -> Value:
    """Return a number from the stored table of its experiment.

    Rows without a number in the column do not count; ``least`` and ``most`` come with the interval
    of the group that has it. QueryError if the table has no such column, no row with such values,
    or never reaches half.
    """
    for condition in asked.where:
        rows = _chosen(asked, rows, *condition)
    _having(rows, asked.column, *asked.by)
    if asked.mode == "count":
        return Value(float(rows[asked.column].notna().sum()))
    if not asked.by:
        mean = _mean(rows, asked.column)
        return mean if asked.mode == "mean" else Value(max(mean.middle, 1 - mean.middle))
    means = {names: _mean(group, asked.column) for names, group in rows.groupby(list(asked.by))}
    if asked.mode == "onset":
        reached = [names[0] for names, mean in means.items() if mean.middle >= 0.5]
        if not reached:
            fact = f"{asked.experiment}: {asked.column} never reaches half"
            message = f"{fact}: say so without a number"
            raise QueryError(message)
        return Value(float(reached[0]))
    best = min if asked.mode == "least" else max
    return best(means.values(), key=lambda each: each.middle)


def _chosen(
    asked: Query, rows: "pd.DataFrame", key: str, sign: str, wanted: tuple[str, ...]
) -> "pd.DataFrame":
    """The rows that one condition lets in."""
    _having(rows, key)
    if sign in SIGNS:
        try:
            return rows[SIGNS[sign](rows[key], float(wanted[0]))]
        except (TypeError, ValueError):
            message = f"{key}{sign}{'|'.join(wanted)}: write = or != where there are words"
            raise QueryError(message) from None
    words = rows[key].map(word)
    missing = sorted(set(wanted) - set(words))
    if missing:
        fact = f"{asked.experiment or 'the table'} has no {key} {', '.join(missing)} there"
        message = f"{fact}: choose among {', '.join(sorted(set(words)))}"
        raise QueryError(message)
    return rows[words.isin(wanted) == (sign == "=")]


def _having(rows: "pd.DataFrame", *keys: str) -> None:
    for key in keys:
        if key not in rows:
            message = f"the table has no column {key}: choose among {', '.join(rows)}"
            raise QueryError(message)


def _mean(rows: "pd.DataFrame", column: str) -> Value:
    """Over bases where there are some, else over rows."""
    rows = rows[rows[column].notna()]
    if rows.empty or isinstance(rows[column].iloc[0], str):
        message = f"column {column} holds no number there: ask for another column or other rows"
        raise QueryError(message)
    return Value(*over_bases(rows, column)) if "seed" in rows else Value(float(rows[column].mean()))


SHORT = re.compile(r"^\[(\w+)\]: (.+)$", flags=re.M)
"""A line that gives a name to conditions which many queries of a card share."""
EXPRESSION = re.compile(r"(percent )?(.+?)(?: (minus|over) (.+))?")


def finding(folder: Path) -> str:
    """Return the card beside a table as text, every number looked up in its table.

    In ``card.md`` ``{two_hop; rule=mean; pairs=1}`` stands for a number (see `query`), ``{percent
    …}`` for a percentage, ``{… minus …}`` for a difference and ``{… over …}`` for a ratio. Without
    an experiment's name a query is to the table beside the card; with one to the table of that
    experiment in the folder next to it. A line ``[main]: rank=8; modules=mlp`` makes ``{two_hop;
    main; pairs=1}`` the same as with these conditions written out. Numbers come to two places;
    empty where there is no card.

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

    def _refused(asked: str, why: object) -> QueryError:
        return QueryError(f"{file}, {{{asked}}}: {why}")

    def _value(text: str) -> tuple[float, Query]:
        head, *conditions = (part.strip() for part in text.split(";"))
        try:
            asked = query("; ".join([head, *(short.get(part, part) for part in conditions)]))
            near = folder.parent / asked.experiment if asked.experiment else folder
            if near not in tables:
                tables[near] = table(near / "table.csv")
            found = value(asked, tables[near]).middle
        except QueryError as error:
            raise _refused(text, error) from None
        if math.isnan(found):
            raise _refused(text, "it is no number")
        return found, asked

    def _looked_up(braces: re.Match[str]) -> str:
        """What stands in the text in place of one pair of braces."""
        parts = EXPRESSION.fullmatch(one_line(braces[1]))
        if parts is None:
            raise _refused(braces[1], "it asks for no number")
        percent, first, sign, second = parts.groups()
        one, asked = _value(first)
        if sign:
            other, _ = _value(second)
            one = one - other if sign == "minus" else one / other
        if percent:
            return f"{100 * one:.0f} %"
        return f"{one:.0f}" if asked.mode == "count" and not sign else decimal(one)

    paragraphs = SHORT.sub("", text).strip().split("\n\n")
    return "\n\n".join(re.sub(r"\{([^{}]+)\}", _looked_up, one_line(part)) for part in paragraphs)


def decimal(number: float) -> str:
    """Return a number to two places, without the zero before the point."""
    sign = "-" if round(number, 2) < 0 else ""
    return sign + f"{abs(number):.2f}".removeprefix("0")
