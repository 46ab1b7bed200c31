"""Intervals for accuracies: of one proportion, and of a mean over seeds and edit sets."""

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from loratheory.experiments.engine._table import TableError
from loratheory.shapes import Float, Shaped

if TYPE_CHECKING:
    import pandas as pd


def wilson(
    right: Shaped[np.ndarray, "*cells"] | int,
    trials: Shaped[np.ndarray, "*cells"] | int,
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Interval of a proportion: all p that the observed one does not reject.

    Parameters
    ----------
    right, trials : (*cells) array or int
        Successes, and independent trials, of which there is at least one.
    confidence : float
        Nominal coverage.

    Returns
    -------
    low, high : (*cells) array
        The roots p of ``|right - trials p| = z sqrt(trials p (1 - p))``, which lie in [0, 1].

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, square = np.asarray(right) / trials, z * z / np.asarray(trials)
    centre = (share + square / 2) / (1 + square)
    half = np.sqrt(square * share * (1 - share) + square * square / 4) / (1 + square)
    return np.asarray(centre - half), np.asarray(np.minimum(centre + half, 1.0))


def bootstrap_mean(
    values: Shaped[np.ndarray, "bases sets *cells"],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Mean over base seeds and edit sets, with the interval that redrawing both gives.

    All that was measured on one base shares its fate, as does all that was measured on one edit
    set; so bases and sets are drawn again as wholes, independently (the pigeonhole bootstrap, which
    errs on the wide side). Sets that differ from base to base belong to the base: average over
    them first and give an axis of length 1. Intervals from fewer than about eight bases are too
    narrow: a percentile can only be where a mean of the drawn bases is.

    Parameters
    ----------
    values : (bases, sets, *cells) array
        One number for each base, set and whatever else is reported side by side.
    confidence : float
        Nominal coverage.
    draws : int
        How many redrawn samples.
    seed : int
        Determines them; the same draws serve all cells.

    Returns
    -------
    mean, low, high : (*cells) array
        The plain mean, and the percentiles of the redrawn means.

    References
    ----------
    Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1.
    """
    rng = np.random.default_rng(seed)
    bases, sets = values.shape[:2]
    of_bases = rng.multinomial(bases, np.full(bases, 1 / bases), draws) / bases
    of_sets = rng.multinomial(sets, np.full(sets, 1 / sets), draws) / sets
    means = np.einsum("db,ds,bs...->d...", of_bases, of_sets, values, optimize=True)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.asarray(values.mean((0, 1))), np.asarray(low), np.asarray(high)


def over_bases(rows: "pd.DataFrame", column: str) -> tuple[float, float, float]:
    """Return the mean of a column over bases, and where it lies when the bases are drawn again.

    Parameters
    ----------
    rows : DataFrame
        All that belongs to one mean, at least one row; `seed` tells which base.
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
        If the rows have no such column, or no `seed`.
    """
    mean, low, high = bootstrap_mean(by_base(rows, column)[:, None])
    return float(mean), float(low), float(high)


def by_base(rows: "pd.DataFrame", column: str) -> Float[np.ndarray, " bases"]:
    """Return the mean of a column on each base, in the order of their seeds."""
    for name in ("seed", column):
        if name not in rows:
            message = f"the table has no column {name}; it has {', '.join(rows)}"
            raise TableError(message)
    seeds, values = rows["seed"].to_numpy(), rows[column].to_numpy(float)
    return np.array([values[seeds == seed].mean() for seed in np.unique(seeds)])
