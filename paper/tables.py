"""Read stored tables, and answer the queries of the paper and the results pages.

A query is one line: ``lm_training/conditions: hop_1; rule=sum; coefficient=1`` is the mean of the
column ``hop_1`` over the rows of the part ``conditions`` of the study ``lm_training`` that meet the
conditions.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import ge, gt, le, lt
from pathlib import Path

import numpy as np
import pandas as pd

from loratheory.shapes import Float

STUDIES = Path(__file__).parent / "studies"
GROUPED = ("least", "most", "spread", "onset", "lookup")
MODES = ("mean", "median", "majority", "count", *GROUPED)
SIGNS = {"<=": le, ">=": ge, "<": lt, ">": gt}
Condition = tuple[str, str, tuple[str, ...]]
FORM = f"[{'|'.join(MODES[1:])}] STUDY[/PART]: COLUMN [by KEY, KEY]; KEY=VALUE|VALUE; ..."


class QueryError(ValueError):
    """A query is malformed, or no stored table has its number."""


@cache
def read_table(name: str, folder: Path = STUDIES) -> pd.DataFrame:
    """Return the rows of a study, ``STUDY``, or of one of its parts, ``STUDY/PART``.

    Columns that a part lacks are dropped. A study's own name stands for the part of that name, if
    it exists. A part may have a table of its own, in ``STUDY/PART_table``. QueryError if the table
    or the part does not exist.
    """
    study, _, part = name.partition("/")
    if part and (own := folder / study / f"{part}_table" / "table.csv.gz").is_file():
        return pd.read_csv(own)
    file = folder / study / "table.csv.gz"
    if not file.is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.glob("*/table.csv.gz")))
        message = f"there is no table of {study!r}: choose {known}"
        raise QueryError(message)
    # names such as "none" are words, and "nan" is a missing number
    rows = pd.read_csv(file, keep_default_na=False, na_values=["", "nan"])
    # A table without parts is one part of the study's own name.
    parts = rows["part"].unique() if "part" in rows else [study]
    if not part and study not in parts:
        return rows
    if (part or study) not in parts:
        message = f"{study} has no part {part!r}: choose {', '.join(parts)}"
        raise QueryError(message)
    if "part" not in rows:
        return rows
    mine = rows[rows["part"] == (part or study)].drop(columns="part")
    return mine.dropna(axis=1, how="all").reset_index(drop=True)


def blocks(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean of a column on each base, by `seed`, and for each template, by `template`.

    A row for each base that has a number. Without a column `template` there is one block per base.
    QueryError if a template is missing on some base.
    """
    require(rows, "seed", column)
    by = ["seed"] if "template" not in rows else ["seed", "template"]
    means = rows.groupby(by)[column].mean().dropna()
    wide: pd.DataFrame = means.unstack() if len(by) == 2 else means.to_frame("")  # noqa: PD010
    if wide.isna().to_numpy().any():
        message = f"{column}: some templates are missing on some bases: choose templates of all"
        raise QueryError(message)
    return wide


def bootstrap(values: Float[np.ndarray, "bases templates"]) -> tuple[float, float, float]:
    """Return the mean over bases and templates, and its 95% bootstrap interval: mean, low, high.

    Measurements on one base are correlated, and so are measurements in one template; so bases and
    templates are resampled as blocks, independently of each other (the pigeonhole bootstrap, whose
    intervals err on the wide side: Owen 2007, Annals of Applied Statistics 1). Intervals from fewer
    than about eight bases are too narrow.
    """
    of_bases, of_templates = _draw_weights(values.shape)
    means = (of_bases @ values * of_templates).sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return float(values.mean()), low, high


@cache
def _draw_weights(shape: tuple[int, int]) -> list[Float[np.ndarray, "draws blocks"]]:
    """Return 2,000 draws of the weights of bases, and of templates: the same for all queries."""
    rng = np.random.default_rng(0)
    return [rng.multinomial(n, np.full(n, 1 / n), 2000) / n for n in shape]


def over_bases(rows: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Return a column's mean over bases and its 95% bootstrap interval: mean, low and high.

    A base is identified by the column `seed`, and all bases have equal weight, whatever their
    numbers of rows. If rows have a column `template`, templates are resampled, too.
    """
    return bootstrap(blocks(rows, column).to_numpy(float))


def lookup(rows: pd.DataFrame, column: str, by: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Return for each row the column's mean in the same condition on all other bases.

    A condition is a set of values of the columns `by`; NaN where it is on one base alone.
    """
    every = rows.groupby([*by], dropna=False)[column]
    own = rows.groupby([*by, "seed"], dropna=False)[column]
    total = every.transform("sum") - own.transform("sum")
    count = every.transform("count") - own.transform("count")
    return np.asarray(total / count.where(count > 0), dtype=float)


@dataclass(frozen=True)
class Query:
    """A query of a table: a statistic of one column over some rows.

    Attributes
    ----------
    mode : str
        ``mean`` of the column over the rows; ``median`` of its means on the bases; the ``least`` or
        ``most`` of its means over the groups of `by`; ``spread``, the standard deviation (n - 1)
        of these means; ``onset``, the least value of the column in
        `by` at which the mean is half or more; ``majority``, the share of the more frequent value
        of a yes-or-no column; ``count``, the number of rows that have a number in the column. For a
        column of shares, ``lookup`` is the accuracy of the per-condition baseline, which predicts
        the outcome that is more frequent on the other bases in the same group of `by`.
    table, column : str
        The study, or ``STUDY/PART``, and the column.
    by : tuple of str
        Columns by whose values the rows are grouped.
    where : tuple of (str, str, tuple of str)
        Conditions on rows: a column, a sign (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``), values.
    """

    mode: str
    table: str
    column: str
    by: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Value:
    """A number and its 95% interval over bases; both ends are NaN without an interval."""

    middle: float
    low: float = math.nan
    high: float = math.nan


def one_line(text: str) -> str:
    """Return the text with each run of spaces and line ends replaced by one space."""
    return re.sub(r"\s+", " ", text).strip()


def parse_query(text: str, table: str = "") -> Query:
    """Parse the text of a query; `table` is the default table.

    QueryError if the text has another form than ``[mode] [study[/part]:] column [by key, key];
    key=value|value; key>=number; ...``.
    """
    head, *rest = (part.strip() for part in one_line(text).split(";"))
    form = rf"(?:({'|'.join(MODES)}) )?(?:(\w+(?:/\w+)?): )?(\w+)(?: by (\w+(?:, \w+)*))?"
    found = re.fullmatch(form, head)
    conditions = [re.fullmatch(r"(\w+)\s*(!=|<=|>=|=|<|>)\s*(.+)", part) for part in rest]
    if not found or not all(conditions):
        message = f"{one_line(text)!r} is not a query: write {FORM}"
        raise QueryError(message)
    mode, named, column, by = found.groups()
    if bool(by) != (mode in GROUPED):
        message = f"{one_line(text)!r}: {', '.join(GROUPED)} need `by`, others have none; {FORM}"
        raise QueryError(message)
    where = []
    for condition in conditions:
        key, sign, values = condition.groups()  # type: ignore[union-attr]
        where.append((key, sign, tuple(values.split("|"))))
    keys = tuple(by.split(", ")) if by else ()
    return Query(mode or "mean", named or table, column, keys, tuple(where))


def value(query: Query, folder: Path = STUDIES) -> Value:
    """Return the number of a query.

    Rows without a number in the column are ignored; ``least`` and ``most`` have the interval of
    their own group. QueryError if a column is missing, no row meets the conditions, or, for
    ``onset``, the mean never reaches 0.5.
    """
    rows, column, mode = select(query, folder), query.column, query.mode
    if mode == "count":
        return Value(float(rows[column].notna().sum()))
    if mode == "lookup":
        return _score_baseline(rows, query)
    if not query.by:
        mean = _mean(rows, column)
        if mode == "majority":
            return Value(max(mean.middle, 1 - mean.middle))
        return _median(rows, column) if mode == "median" else mean
    means = {names: _mean(group, column) for names, group in rows.groupby(list(query.by))}
    numbers = np.array([mean.middle for mean in means.values()])
    if mode == "spread":
        if len(numbers) < 2:
            message = f"{query.table}: {column} has one group there: a spread needs two"
            raise QueryError(message)
        return Value(float(numbers.std(ddof=1)))
    if mode == "onset":
        if numbers.max() < 0.5:
            message = f"{query.table}: {column} never reaches half: say so without a number"
            raise QueryError(message)
        [first] = [*means][int((numbers >= 0.5).argmax())]
        return Value(float(first))
    best = numbers.argmin() if mode == "least" else numbers.argmax()
    return [*means.values()][int(best)]


def look_up(text: str, table: str = "", folder: Path = STUDIES) -> Value:
    """Return the number of a query, or of two queries with ``minus`` between them.

    The difference is of two means of the same table, with the interval of the paired differences.
    QueryError as in `value`, and if one of two queries is not a mean, or if they are not on the
    same bases.
    """
    first, _, second = one_line(text).partition(" minus ")
    query = parse_query(first, table)
    if not second:
        return value(query, folder)
    other = parse_query(second, query.table)
    if {query.mode, other.mode} != {"mean"}:
        message = f"{query.table}: a difference is of two means: leave out the mode"
        raise QueryError(message)
    one = blocks(select(query, folder), query.column)
    two = blocks(select(other, folder), other.column)
    if not (one.index.equals(two.index) and one.columns.equals(two.columns)):
        message = f"{query.table}: the two means are not on the same bases: compare others"
        raise QueryError(message)
    # Differences per base and template, so that their common effects cancel.
    return Value(*bootstrap((one - two).to_numpy(float)))


def select(query: Query, folder: Path = STUDIES) -> pd.DataFrame:
    """Return the rows of a query's table that meet all its conditions."""
    rows = _meet(query.table, query.where, folder)
    require(rows, query.column, *query.by)
    return rows


@cache
def _meet(table: str, where: tuple[Condition, ...], folder: Path) -> pd.DataFrame:
    """Return the rows that meet the conditions; queries of a page begin with the same ones."""
    if not where:
        return read_table(table, folder)
    rows, (key, sign, wanted) = _meet(table, where[:-1], folder), where[-1]
    require(rows, key)
    if sign in SIGNS:
        return rows[SIGNS[sign](rows[key], float(wanted[0]))]
    # Numbers are compared as they are written in a query.
    names = {each: word(each) for each in rows[key].unique()}
    if missing := sorted(set(wanted) - {*names.values()}):
        fact = f"{table} has no {key} {', '.join(missing)} there"
        message = f"{fact}: choose among {', '.join(sorted({*names.values()}))}"
        raise QueryError(message)
    met = [each for each, name in names.items() if (name in wanted) == (sign == "=")]
    return rows[rows[key].isin(met)]


def word(cell: object) -> str:
    """Format a cell's value as in a query."""
    return cell if isinstance(cell, str) else f"{cell:g}"


def require(rows: pd.DataFrame, *columns: str) -> None:
    """Raise QueryError where rows lack one of these columns."""
    for column in columns:
        if column not in rows:
            message = f"the table has no column {column}: choose among {', '.join(rows)}"
            raise QueryError(message)


def _mean(rows: pd.DataFrame, column: str) -> Value:
    """Return the mean over bases, or over rows without a column `seed`."""
    rows = rows[rows[column].notna()]
    if rows.empty or not pd.api.types.is_numeric_dtype(rows[column]):
        message = f"column {column} holds no number there: query another column or other rows"
        raise QueryError(message)
    return Value(*over_bases(rows, column)) if "seed" in rows else Value(float(rows[column].mean()))


def _median(rows: pd.DataFrame, column: str) -> Value:
    """Return the median of a column's means on the bases, with its 95% bootstrap interval."""
    values = blocks(rows, column).to_numpy(float).mean(axis=1)
    drawn = np.median(np.random.default_rng(0).choice(values, (2000, len(values))), axis=1)
    return Value(float(np.median(values)), *np.quantile(drawn, (0.025, 0.975)).tolist())


def _score_baseline(rows: pd.DataFrame, query: Query) -> Value:
    """Return the accuracy of the per-condition baseline; groups with one base are ignored."""
    require(rows, "seed")
    means = rows.groupby([*query.by, "seed"], dropna=False)[query.column].mean().reset_index()
    # Bases without a number in a condition are ignored.
    means = means.dropna(subset=[query.column])
    share, chance = means[query.column], lookup(means, query.column, query.by)
    scores = means.assign(score=share.where(chance >= 0.5, 1 - share))[chance == chance]
    if scores.empty:
        message = f"{query.column} has one base in each group: a baseline needs two"
        raise QueryError(message)
    return _mean(scores, "score")


def percent(share: float) -> str:
    """Return a share in percent, such as ``98`` for 0.975."""
    return decimal(100 * share, 0)


def decimal(number: float, digits: int = 2) -> str:
    """Return a number with so many digits, rounded half up."""
    # A mean that is half by hand may be stored as a little less.
    rounded = math.floor(round(number * 10**digits, 6) + 0.5) / 10**digits
    return f"{rounded:.{digits}f}"
