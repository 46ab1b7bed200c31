"""How well each measure foretold reuse: thresholds from one pair of skills, hits on the others.

`written` makes `diagnosis/reliability.json`, which tells users how far to trust a measure, from the
stored table of the study `label_free_prediction`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Float

MEASURES = ("overlap", "shape", "read", "write", "response", "agreement")
"""The measures of `likeness`. The first two need the training solutions, the next two only the
adapters, the last two also the base and prompts."""
REUSED = ("mean", "sum", "ties", "arrow", "gates")
"""The rules that are tried on a pair of adapters; the best one counts."""
SOLVED = 0.25
"""A pair of adapters counts as composing if it solves at least this share of problems. One half was
planned, but too few pairs reach it to tell measures apart."""
BINS = 3

Row = Mapping[str, Any]


def composed(rows: Sequence[Row]) -> Bool[np.ndarray, " n"]:
    """Return which pairs compose: some rule in `REUSED` solves the share `SOLVED` of problems."""
    return np.array([max(row[rule] for rule in REUSED) >= SOLVED for row in rows])


def threshold(values: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> float:
    """Return the threshold that predicts best which pairs compose: those at or above it.

    Candidates are the least value, the midpoints between neighbours, and one beyond the largest; of
    several that are equally good the middle one is taken.
    """
    steps = np.unique(values)
    grid = np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1e-3]])
    right = ((values >= grid[:, None]) == outcome).sum(axis=1)
    best = np.flatnonzero(right == right.max())
    return float(grid[best[len(best) // 2]])


def reliability(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the record of each measure in the table of `label_free_prediction`.

    The `threshold` is chosen on the pair of skills that is not held out. `above` and `below` count
    the pairs of adapters on either side of it: how many composed, and how many there were; `low`
    and `high` are the ends of the 95 % interval of the share that composed above it. Of the
    `held_out` pairs, the threshold was `right` about so many, and always predicting the more
    frequent outcome would be right about `majority`.
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
    """Return, for each measure and bin of its values, how often pairs composed, against prediction.

    The `BINS` have equal width over the values on the pair of skills that is not held out; what
    lies beyond falls into the outer bins. `predicted` counts that pair's adapters (how many
    composed, of how many), `observed` the held-out ones. `low` and `high` are the 95 % interval of
    the observed share, as if pairs of adapters were independent; `within` says whether the
    predicted share lies in it, None where a bin is empty on either side.
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
    """Return how many pairs composed, and how many there were."""
    return [int(outcome.sum()), len(outcome)]


def _wilson(count: list[int]) -> tuple[float, float]:
    """Return the 95 % interval of the share ``count[0] / count[1]``."""
    from scipy.stats import binomtest  # slow to import

    low, high = binomtest(count[0], max(count[1], 1)).proportion_ci(method="wilson")
    return float(low), float(high)


def _interval(count: list[int]) -> dict[str, float]:
    low, high = _wilson(count)
    return {"low": round(low, 3), "high": round(high, 3)}


def written(rows: Sequence[Row]) -> str:
    """Return the text of `diagnosis/reliability.json`, made from the rows of the table."""
    return json.dumps(reliability(rows), indent=1) + "\n"
