"""How well each measure foretold reuse: thresholds from one pair of skills, hits on the others.

``python -m loratheory.experiments.words._reliability`` writes what the diagnosis tells its users.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.experiments.engine import wilson
from loratheory.experiments.label_free_prediction import REUSED
from loratheory.shapes import Bool, Float

MEASURES = ("overlap", "shape", "read", "write", "response", "agreement")
SOLVED = 0.25
"""The share of problems from which on a pair of adapters is said to compose; one half, which was
meant at first, is reached by too few to tell."""
BINS = 3

Row = Mapping[str, Any]


def composed(rows: Sequence[Row]) -> Bool[np.ndarray, " n"]:
    """Return which pairs some merge or router composes, for a quarter of the problems."""
    return np.array([max(row[rule] for rule in REUSED) >= SOLVED for row in rows])


def threshold(values: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> float:
    """Return the threshold that is right most often: of several, the one in the middle.

    Parameters
    ----------
    values : (n,) array
        Of a measure.
    outcome : (n,) array of bool
        Whether a pair composed.

    Returns
    -------
    float
        Halfway between two values, or beyond the largest; from it on a pair is expected to compose.
    """
    steps = np.unique(values)
    grid = np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1e-3]])
    right = [int(((values >= bar) == outcome).sum()) for bar in grid]
    best = np.flatnonzero(np.array(right) == max(right))
    return float(grid[best[len(best) // 2]])


def reliability(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the record of each measure.

    Parameters
    ----------
    rows : sequence of mappings
        The table of `label_free_prediction`.

    Returns
    -------
    dict
        For each of `MEASURES`: the `threshold` chosen on the pair of skills that is not held out;
        of all pairs `above` and `below` it, how many composed and how many there were; `low` and
        `high` for the former share; of those held out, how often the threshold was `right`, how
        often the `majority` of outcomes was, and how many were `held_out`.
    """
    outcome = composed(rows)
    out = np.array([bool(row["held_out"]) for row in rows])
    record = {}
    for name in MEASURES:
        values = np.array([float(row[name]) for row in rows])
        bar = round(threshold(values[~out], outcome[~out]), 4)
        over = values >= bar
        count = int(over.sum())
        low, high = wilson(int(outcome[over].sum()), max(count, 1))
        rate = int(outcome[out].sum())
        record[name] = {
            "threshold": bar,
            "above": [int(outcome[over].sum()), count],
            "below": [int(outcome[~over].sum()), len(rows) - count],
            "low": round(float(low), 3),
            "high": round(float(high), 3),
            "right": int((over == outcome)[out].sum()),
            "majority": max(rate, int(out.sum()) - rate),
            "held_out": int(out.sum()),
        }
    return record


def calibration(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """Return what each measure promises of a pair of adapters, and what came of it.

    Parameters
    ----------
    rows : sequence of mappings
        The table of `label_free_prediction`.

    Returns
    -------
    dict
        For each of `MEASURES` three `BINS` of equal width over its values on the pair of skills
        that is not held out, what lies beyond in the outer ones: how many pairs of adapters
        composed there, of how many, where that is `predicted` from and among those held out
        (`observed`); `low` and `high` for the latter share, at 95 %, as if pairs of adapters were
        independent; whether the former share lies between (`within`), None where one has no pair.
    """
    outcome = composed(rows)
    out = np.array([bool(row["held_out"]) for row in rows])
    record: dict[str, list[dict[str, Any]]] = {}
    for name in MEASURES:
        values = np.array([float(row[name]) for row in rows])
        cuts = np.linspace(values[~out].min(), values[~out].max(), BINS + 1)[1:-1]
        place = np.searchsorted(cuts, values)
        record[name] = [_bin(outcome, (place == k) & ~out, (place == k) & out) for k in range(BINS)]
    return record


def _bin(
    outcome: Bool[np.ndarray, " n"], old: Bool[np.ndarray, " n"], new: Bool[np.ndarray, " n"]
) -> dict[str, Any]:
    """What came of some pairs of adapters, held against new ones."""
    predicted, observed = ([int(outcome[x].sum()), int(x.sum())] for x in (old, new))
    low, high = wilson(observed[0], max(observed[1], 1))
    some = predicted[1] and observed[1]
    within = bool(low <= predicted[0] / predicted[1] <= high) if some else None
    bounds = {"low": round(float(low), 3), "high": round(float(high), 3)}
    return {"predicted": predicted, "observed": observed, **bounds, "within": within}


def written(rows: Sequence[Row]) -> str:
    """Return the file that the diagnosis reads."""
    return json.dumps(reliability(rows), indent=1) + "\n"


if __name__ == "__main__":
    from loratheory import diagnosis
    from loratheory.experiments import table

    root = Path(__file__).parents[3]
    rows = table(root / "paper" / "results" / "label_free_prediction" / "table.csv").to_dict(
        "records"
    )
    Path(diagnosis.__file__).with_name("reliability.json").write_text(written(rows))
