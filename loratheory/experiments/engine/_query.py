"""Numbers of stored tables, asked for in a line: by the paper's text and by cards beside them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from loratheory.experiments.engine._means import over_bases
from loratheory.experiments.engine._table import table, word

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
        Whose table, and what of it. The name is empty where the text speaks of one table only.
    by : tuple of str
        Columns whose values make groups.
    where : tuple of (str, str, tuple of str)
        Which rows: a column, a sign (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``), and the values
        that are let in or kept out.
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
    where = tuple((key, sign, tuple(values.split("|"))) for key, sign, values in
                  (condition.groups() for condition in conditions if condition))  # fmt: skip
    keys = tuple(by.split(", ")) if by else ()
    return Query(mode or "mean", experiment or "", column, keys, where)  # type: ignore[arg-type]


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
    if asked.mode == "majority":
        share = _mean(rows, asked.column).middle
        return Value(max(share, 1 - share))
    if asked.mode == "mean":
        return _mean(rows, asked.column)
    means = [(names, _mean(group, asked.column)) for names, group in rows.groupby(list(asked.by))]
    if asked.mode == "onset":
        return Value(_onset(asked, means))
    best = min if asked.mode == "least" else max
    return best((each for _, each in means), key=lambda each: each.middle)


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
    words = {value: word(value) for value in rows[key].unique()}
    missing = sorted(set(wanted) - set(words.values()))
    if missing:
        fact = f"{asked.experiment or 'the table'} has no {key} {', '.join(missing)} there"
        message = f"{fact}: choose among {', '.join(sorted(set(words.values())))}"
        raise QueryError(message)
    let_in = rows[key].isin([value for value, text in words.items() if text in wanted])
    return rows[let_in == (sign == "=")]


def _having(rows: "pd.DataFrame", *keys: str) -> None:
    missing = [key for key in keys if key not in rows]
    if missing:
        message = f"the table has no column {missing[0]}: choose among {', '.join(rows)}"
        raise QueryError(message)


def _mean(rows: "pd.DataFrame", column: str) -> Value:
    """Over bases where there are some, else over rows."""
    rows = rows[rows[column].notna()]
    if rows.empty or isinstance(rows[column].iloc[0], str):
        message = f"column {column} holds no number there: ask for another column or other rows"
        raise QueryError(message)
    if "seed" in rows:
        return Value(*over_bases(rows, column))
    return Value(float(rows[column].mean()))


def _onset(asked: Query, means: Sequence[tuple[tuple[Any, ...], Value]]) -> float:
    for names, mean in means:
        if mean.middle >= 0.5:
            return float(names[0])
    message = f"{asked.experiment}: {asked.column} never reaches half: say so without a number"
    raise QueryError(message)


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

    def _looked_up(query: re.Match[str]) -> str:
        return _number(one_line(query[1]), folder, short, tables)

    paragraphs = SHORT.sub("", text).strip().split("\n\n")
    return "\n\n".join(re.sub(r"\{([^{}]+)\}", _looked_up, one_line(part)) for part in paragraphs)


def decimal(number: float) -> str:
    """Return a number to two places, without the zero before the point."""
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
