"""Means over bases with their intervals, and the marks that show them."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from loratheory.experiments.engine import bootstrap_mean
from loratheory.figures._table import Row, columns
from loratheory.shapes import Float


def interval(rows: Sequence[Row], column: str) -> tuple[float, float, float]:
    """Return the mean of a column over bases, and where it lies when the bases are drawn again.

    Parameters
    ----------
    rows : sequence of mappings
        All that belongs to one mark, at least one row; `seed` tells which base.
    column : str
        Of numbers.

    Returns
    -------
    mean, low, high : float
        Each base weighs as much as any other, however many rows it has (edit sets of one base
        share its fate); the interval covers the mean at 95 %.

    Raises
    ------
    TableError
        If a row lacks the column or its seed.
    """
    middle, low, high = bootstrap_mean(_each(rows, column)[:, None])
    return float(middle), float(low), float(high)


def mean(rows: Sequence[Row], column: str) -> float:
    """Return the mean alone of `interval`, for what is drawn without one."""
    return float(_each(rows, column).mean())


def _each(rows: Sequence[Row], column: str) -> Float[np.ndarray, " bases"]:
    seeds, values = map(np.array, columns(rows, "seed", column))
    return np.array([values[seeds == seed].mean() for seed in np.unique(seeds)])


def lead(rows: Sequence[Row], others: Sequence[Row], column: str, *keys: str) -> list[Row]:
    """Return the rows, each with a `lead`: how far it is ahead of the other row with the same keys.

    Parameters
    ----------
    rows, others : sequence of mappings
        Each of `rows` has its match among `others`, such as another rule on the same edit set.
    column : str
        Of numbers.
    *keys : str
        Columns that tell the others apart.

    Returns
    -------
    list of dict
        In the order of `rows`; the interval of their lead is narrower than the two of the column.
    """
    key = itemgetter(*keys)
    there = {key(row): row[column] for row in others}
    return [{**row, "lead": row[column] - there[key(row)]} for row in rows]


def curve(
    rows: Sequence[Row], key: str, column: str
) -> tuple[list[float], list[tuple[float, float, float]]]:
    """Return the values of a key in rising order, and the interval of the column at each.

    Parameters
    ----------
    rows : sequence of mappings
        A row may stand for any value of the key.
    key, column : str
        Of numbers.

    Returns
    -------
    places, found
        As many of each; see `interval`.

    Raises
    ------
    TableError
        If a row lacks one of the columns.
    """
    places = sorted({row[key] for row in rows})
    found = [interval([row for row in rows if row[key] == place], column) for place in places]
    return places, found


def line(rows: Sequence[Row], key: str, column: str) -> list[float]:
    """Return the means alone of `curve`, for what is drawn without intervals."""
    places = sorted({row[key] for row in rows})
    return [mean([row for row in rows if row[key] == place], column) for place in places]


def bars(
    axes: Any,
    places: Sequence[float],
    found: Sequence[tuple[float, float, float]],
    *,
    sideways: bool = False,
    **look: Any,
) -> None:
    """Draw means as points with their intervals.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    places : sequence of float
        One a point.
    found : sequence of (mean, low, high)
        As `interval` gives them.
    sideways : bool
        Means run to the right and places up, instead of the other way round.
    **look : object
        As for ``Axes.errorbar``.
    """
    middle, low, high = np.array(found).T
    # the mean may lie outside the percentiles by rounding alone
    off = np.maximum([middle - low, high - middle], 0)
    end = {"xerr": off} if sideways else {"yerr": off}
    point = (middle, places) if sideways else (places, middle)
    axes.errorbar(*point, **end, **{"fmt": "o", "ms": 4, "lw": 1, **look})
