"""How well each measure foretold reuse: thresholds from one pair of skills, hits on the others.

`diagnosis/reliability.json`, which tells users how far to trust a measure, is `written` of the
stored table of `label_free_prediction`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Float

MEASURES = ("overlap", "shape", "read", "write", "response", "agreement")
"""What `likeness` says of a pair: the first two need the solutions; two the adapters; two also the
base and prompts."""
REUSED = ("mean", "sum", "ties", "arrow", "gates")
"""The rules of which the best counts as reuse."""
SOLVED = 0.25
"""The share of problems from which on a pair of adapters is said to compose; one half, which was
meant at first, is reached by too few to tell."""
BINS = 3

Row = Mapping[str, Any]


def composed(rows: Sequence[Row]) -> Bool[np.ndarray, " n"]:
    """Return which pairs some merge or router composes, for a quarter of the problems."""
    return np.array([max(row[rule] for rule in REUSED) >= SOLVED for row in rows])


def threshold(values: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> float:
    """Return the cut-off from which pairs are said to compose, so that most are told rightly.

    Of several such thresholds the one in the middle: halfway between two values, at the least one,
    or beyond the largest.
    """
    steps = np.unique(values)
    grid = np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1e-3]])
    right = ((values >= grid[:, None]) == outcome).sum(axis=1)
    best = np.flatnonzero(right == right.max())
    return float(grid[best[len(best) // 2]])


def reliability(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the record of each measure in the table of `label_free_prediction`.

    The `threshold` chosen on the pair of skills that is not held out; of all pairs `above` and
    `below` it, how many composed and how many there were; `low` and `high` for the former share; of
    those held out, how often the threshold was `right`, how often the `majority` of outcomes was,
    and how many were `held_out`.
    """
    outcome, out = composed(rows), _column(rows, "held_out") > 0
    rate, record = int(outcome[out].sum()), {}
    for name in MEASURES:
        values = _column(rows, name)
        bar = round(threshold(values[~out], outcome[~out]), 4)
        above = _counted(outcome[values >= bar])
        record[name] = {
            "threshold": bar,
            "above": above,
            "below": _counted(outcome[values < bar]),
            **_interval(above),
            "right": int(((values >= bar) == outcome)[out].sum()),
            "majority": max(rate, int(out.sum()) - rate),
            "held_out": int(out.sum()),
        }
    return record


def calibration(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """Return what each measure promises of a pair of adapters, and what came of it.

    Three `BINS` a measure, of equal width over its values on the pair of skills that is not held
    out, what lies beyond in the outer ones: how many pairs of adapters composed there, of how many,
    where that is `predicted` from and among those held out (`observed`); `low` and `high` for the
    latter share, as if pairs of adapters were independent; whether the former lies between
    (`within`), None where one has no pair.
    """
    outcome, out = composed(rows), _column(rows, "held_out") > 0
    record: dict[str, list[dict[str, Any]]] = {name: [] for name in MEASURES}
    for name, bins in record.items():
        values = _column(rows, name)
        edges = np.linspace(values[~out].min(), values[~out].max(), BINS + 1)[1:-1]
        place = np.searchsorted(edges, values)
        for k in range(BINS):
            predicted, observed = (_counted(outcome[(place == k) & x]) for x in (~out, out))
            low, high = _wilson(observed)
            some = predicted[1] and observed[1]
            within = bool(low <= predicted[0] / predicted[1] <= high) if some else None
            each = {"predicted": predicted, "observed": observed, **_interval(observed)}
            bins.append({**each, "within": within})
    return record


def _column(rows: Sequence[Row], name: str) -> Float[np.ndarray, " n"]:
    return np.array([float(row[name]) for row in rows])


def _counted(outcome: Bool[np.ndarray, " n"]) -> list[int]:
    """How many composed, of how many."""
    return [int(outcome.sum()), len(outcome)]


def _wilson(count: list[int]) -> tuple[float, float]:
    """The interval at 95 % of the share of so many in so many."""
    from scipy.stats import binomtest  # slow to import

    low, high = binomtest(count[0], max(count[1], 1)).proportion_ci(method="wilson")
    return float(low), float(high)


def _interval(count: list[int]) -> dict[str, float]:
    low, high = _wilson(count)
    return {"low": round(low, 3), "high": round(high, 3)}


def written(rows: Sequence[Row]) -> str:
    """Return the file that the diagnosis reads."""
    return json.dumps(reliability(rows), indent=1) + "\n"
