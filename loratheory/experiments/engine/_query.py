"""Queries: one-line expressions by which the paper and the cards look numbers up in tables."""

import math
import re
from dataclasses import dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from loratheory.experiments.engine._table import (
    blocks,
    bootstrap_mean,
    lookup,
    median_over_bases,
    over_bases,
    table,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

Mode = Literal["mean", "median", "least", "most", "onset", "majority", "count", "lookup", "brier"]
MODES: tuple[str, ...] = get_args(Mode)
GROUPED = ("least", "most", "onset", "lookup", "brier")
SIGNS = {"<=": le, ">=": ge, "<": lt, ">": gt}
FORM = f"[{'|'.join(MODES[1:])}] EXPERIMENT: COLUMN [by KEY, KEY]; KEY=VALUE|VALUE; ..."


class QueryError(ValueError):
    """Raised where a query is malformed, or the stored tables lack the number it asks for."""


@dataclass(frozen=True)
class Query:
    """Which number of a table is wanted: a statistic of one column over some rows.

    Attributes
    ----------
    mode : {"mean", "median", "least", "most", "onset", "majority", "count", "lookup", "brier"}
        ``mean`` of the column over the rows; ``median`` of its means on the bases; the ``least`` or
        ``most`` of its means over the groups of `by`; ``onset``, the least value of the column in
        `by` at which the mean is half or more;
        ``majority``, the share of the more frequent value of a yes-or-no column; ``count``, the
        number of rows that have a number in the column. For a column of shares, ``lookup`` and
        ``brier`` score a table of averages that knows no adapter: what is foretold of a base is the
        mean of the other bases in the same group of `by`. ``lookup`` is how often the likelier
        outcome comes true, ``brier`` the mean squared error of the foretold chance.
    experiment, column : str
        The table's experiment, empty where only one table is meant, and the column.
    by : tuple of str
        Columns by whose values the rows are grouped.
    where : tuple of (str, str, tuple of str)
        Conditions on rows: a column, a sign (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``), values.
    """

    mode: Mode
    experiment: str
    column: str
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Value:
    """The result of a query: a number and its 95 % interval over bases.

    Both ends are NaN for exact tables, onsets, majorities and counts, which have no interval.
    """

    middle: float
    low: float = math.nan
    high: float = math.nan


def one_line(text: str) -> str:
    """Return the text with each run of spaces and line ends replaced by one space."""
    return re.sub(r"\s+", " ", text).strip()


def query(text: str) -> Query:
    """Parse the text of a query, such as ``gating: two_hop; rule=mean; pairs=1|2``.

    The form is ``[mode] [experiment:] column [by key, key]; key=value|value; key>=number; ...``.
    QueryError if the text has another form.
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
    """Return the number that a query asks for, computed from these rows of a table.

    Rows without a number in the column are ignored; ``least`` and ``most`` have the interval of
    their own group. QueryError if a column is missing, no row meets the conditions, or, for
    ``onset``, the mean never reaches half.
    """
    rows = _asked_for(asked, rows)
    if asked.mode == "count":
        return Value(float(rows[asked.column].notna().sum()))
    if asked.mode == "median":
        _having(rows, "seed")
        return _mean(rows, asked.column, median_over_bases)
    if not asked.by:
        mean = _mean(rows, asked.column)
        return mean if asked.mode == "mean" else Value(max(mean.middle, 1 - mean.middle))
    if asked.mode in ("lookup", "brier"):
        return _looked_up(rows, asked)
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


def difference(asked: Query, other: Query, rows: "pd.DataFrame") -> Value:
    """Return a mean less another of the same table, with the interval of the paired differences.

    Both means are taken on each base, and the differences are averaged over bases. QueryError if a
    query asks for no mean, or the two are not on the same bases.
    """
    if {asked.mode, other.mode} != {"mean"}:
        message = f"{asked.experiment}: a difference is of two means: leave out the mode"
        raise QueryError(message)
    one, two = (_asked_for(each, rows) for each in (asked, other))
    if set(one["seed"]) != set(two["seed"]):
        message = f"{asked.experiment}: the two means are not on the same bases: compare others"
        raise QueryError(message)
    paired = blocks(one, asked.column) - blocks(two, other.column)
    return Value(*map(float, bootstrap_mean(paired)))


def _asked_for(asked: Query, rows: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that meet all conditions; they have all the columns that are asked for."""
    for condition in asked.where:
        rows = _chosen(asked, rows, *condition)
    _having(rows, asked.column, *asked.by)
    return rows


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
    words = {each: word(each) for each in rows[key].unique()}
    missing = sorted(set(wanted) - {*words.values()})
    if missing:
        fact = f"{asked.experiment or 'the table'} has no {key} {', '.join(missing)} there"
        message = f"{fact}: choose among {', '.join(sorted({*words.values()}))}"
        raise QueryError(message)
    met = [each for each, name in words.items() if (name in wanted) == (sign == "=")]
    return rows[rows[key].isin(met)]


def _having(rows: "pd.DataFrame", *keys: str) -> None:
    for key in keys:
        if key not in rows:
            message = f"the table has no column {key}: choose among {', '.join(rows)}"
            raise QueryError(message)


def _mean(
    rows: "pd.DataFrame",
    column: str,
    of: "Callable[[pd.DataFrame, str], tuple[float, float, float]]" = over_bases,
) -> Value:
    """Over bases where there are some, else over rows."""
    rows = rows[rows[column].notna()]
    if rows.empty or isinstance(rows[column].iloc[0], str):
        message = f"column {column} holds no number there: ask for another column or other rows"
        raise QueryError(message)
    return Value(*of(rows, column)) if "seed" in rows else Value(float(rows[column].mean()))


def _looked_up(rows: "pd.DataFrame", asked: Query) -> Value:
    """The score of a table of averages over the other bases; groups with one base have none."""
    _having(rows, "seed")
    means = rows.groupby([*asked.by, "seed"], dropna=False)[asked.column].mean().reset_index()
    means = means.dropna(subset=[asked.column])
    share, chance = means[asked.column], lookup(means, asked.column, asked.by)
    if asked.mode == "lookup":
        score = share.where(chance >= 0.5, 1 - share)
    else:
        score = share * (1 - chance) ** 2 + (1 - share) * chance**2
    scores = means.assign(score=score)[chance == chance]
    if scores.empty:
        message = f"{asked.column} has one base in each group: a lookup table needs two"
        raise QueryError(message)
    return _mean(scores, "score")


SHORT = re.compile(r"^\[(\w+)\]: (.+)$", flags=re.M)
"""A line that gives a name to conditions which many queries of a card share."""
EXPRESSION = re.compile(r"(percent )?(.+?)(?: (minus|over) (.+))?")


def finding(folder: Path) -> str:
    """Return the text of a study's ``card.md``, with each query replaced by its number.

    In the card ``{two_hop; rule=mean; pairs=1}`` stands for a number (see `query`), ``{percent
    …}`` for a percentage, ``{… minus …}`` for a difference and ``{… over …}`` for a ratio. A query
    reads the table in the card's folder or, if it names an experiment, that experiment's table in
    the neighbouring folder. A line ``[main]: rank=8; modules=mlp`` defines ``main`` as a short form
    of these conditions, for instance in ``{two_hop; main; pairs=1}``. Numbers are rounded to two
    decimals. The text is empty where there is no card.

    Raises
    ------
    QueryError
        If a query is malformed, or its table lacks the column or the rows.
    TableError
        If there is no table of an experiment that a query names.
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
    """Return a number rounded to two decimals as text, such as ``.62``."""
    sign = "-" if round(number, 2) < 0 else ""
    return sign + f"{abs(number):.2f}".removeprefix("0")
