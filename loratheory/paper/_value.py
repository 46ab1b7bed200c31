"""What a stored table says to a query, with the interval that redrawn bases give."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loratheory.figures import Row
from loratheory.figures._means import interval
from loratheory.paper._query import Query, QueryError


@dataclass(frozen=True)
class Value:
    """A number of the paper.

    Attributes
    ----------
    middle : float
        The number itself.
    low, high : float
        Its 95 % interval over bases; both are NaN where none is defined: exact tables, onsets and
        majorities.
    """

    middle: float
    low: float = math.nan
    high: float = math.nan


def value(asked: Query, rows: Sequence[Row]) -> Value:
    """Return a number from the table of its experiment.

    Parameters
    ----------
    asked : Query
        What of it.
    rows : sequence of mappings
        The stored table; rows without a number in the column do not count.

    Returns
    -------
    Value
        For ``least`` and ``most`` with the interval of the group that has it.

    Raises
    ------
    QueryError
        If the table has no such column, no row with such values, or never reaches half.
    """
    chosen = list(rows)
    for key, wanted in asked.where:
        known = {_word(row[key]) for row in _having(chosen, key)}
        missing = sorted(set(wanted) - known)
        if missing:
            told = f"{asked.experiment} has no {key} {', '.join(missing)} there"
            message = f"{told}: choose among {', '.join(sorted(known))}"
            raise QueryError(message)
        chosen = [row for row in chosen if _word(row[key]) in wanted]
    _having(chosen, asked.column)
    if asked.mode == "majority":
        share = _mean(chosen, asked.column).middle
        return Value(max(share, 1 - share))
    if asked.mode == "mean":
        return _mean(chosen, asked.column)
    groups = [(names, _mean(group, asked.column)) for names, group in _grouped(chosen, asked.by)]
    if asked.mode == "onset":
        return Value(_onset(asked, groups))
    best = min if asked.mode == "least" else max
    return best((found for _, found in groups), key=lambda found: found.middle)


def _word(cell: Any) -> str:
    """A cell as a query writes it."""
    return cell if isinstance(cell, str) else f"{cell:g}"


def _having(rows: list[Row], key: str) -> list[Row]:
    if rows and key not in rows[0]:
        message = f"the table has no column {key}: choose among {', '.join(rows[0])}"
        raise QueryError(message)
    return rows


def _grouped(rows: list[Row], by: Iterable[str]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    keys = tuple(by)
    for key in keys:
        _having(rows, key)
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return sorted(groups.items())


def _mean(rows: list[Row], column: str) -> Value:
    """Over bases where there are some, else over rows."""
    told = [row for row in rows if row[column] == row[column]]
    if not told or any(isinstance(row[column], str) for row in told):
        message = f"column {column} holds no number there: ask for another column or other rows"
        raise QueryError(message)
    if "seed" in told[0]:
        return Value(*interval(told, column))
    return Value(sum(row[column] for row in told) / len(told))


def _onset(asked: Query, groups: Sequence[tuple[tuple[Any, ...], Value]]) -> float:
    for names, found in groups:
        if found.middle >= 0.5:
            return float(names[0])
    message = f"{asked.experiment}: {asked.column} never reaches half: say so without a number"
    raise QueryError(message)
