"""How well each measure foretold reuse, on skills and bases that it was not chosen on.

`written` makes `diagnosis/reliability.json`, which tells users how far to trust a measure, from the
stored table of the study `label_free_prediction`.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.shapes import Bool, Float

if TYPE_CHECKING:
    import pandas as pd

MEASURES = (*("overlap", "shape", "read", "write", "cosine", "subspace", "response", "agreement"),)
"""The measures of `likeness`. The first two need the training solutions, the next four only the
adapters, the last two also the base and prompts."""
REUSED = ("mean", "sum", "ties", "arrow", "gates")
"""The rules that are tried on a pair of adapters; the best one counts."""
SOLVED = 0.5
"""A pair of adapters counts as composing if it solves at least this share of problems."""


def composed(rows: "pd.DataFrame") -> Bool[np.ndarray, " n"]:
    """Return which pairs compose: some rule in `REUSED` solves the share `SOLVED` of problems."""
    return np.asarray(rows[list(REUSED)].max(axis=1) >= SOLVED)


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


def forecasts(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the chance that each pair composes, as foretold from other skills on other bases.

    Returns
    -------
    DataFrame
        A row for each of `rows`. A column for each measure: of the pairs on other bases with
        neither of the two skills, its threshold is chosen, and the chance is the share that
        composed on the same side of it (one pair of each outcome is added). ``chosen`` is the
        measure whose threshold is right about most of these, and ``constant`` the share of them all
        that composed.
    """
    outcome, seeds = composed(rows), rows["seed"].to_numpy()
    first, second = rows["first"].to_numpy(), rows["second"].to_numpy()
    found = rows[list(MEASURES)].astype(float).assign(chosen=0.0, constant=0.0)
    place = {name: k for k, name in enumerate(found)}
    chances = found.to_numpy(copy=True)
    for k in range(len(rows)):
        pair = [first[k], second[k]]
        others = (seeds != seeds[k]) & ~np.isin(first, pair) & ~np.isin(second, pair)
        known, right = outcome[others], dict[str, int]()
        chances[k, place["constant"]] = _chance(known)
        for name in MEASURES:
            values = rows[name].to_numpy(float)
            bar = threshold(values[others], known)
            above = values[others] >= bar
            right[name] = int((above == known).sum())
            chances[k, place[name]] = _chance(known[above == (values[k] >= bar)])
        best = max(right, key=lambda name: right[name])
        chances[k, place["chosen"]] = chances[k, place[best]]
    found[:] = chances
    return found


def _chance(outcome: Bool[np.ndarray, " n"]) -> float:
    return float((outcome.sum() + 1) / (len(outcome) + 2))


def reliability(rows: "pd.DataFrame") -> dict[str, dict[str, Any]]:
    """Return the record of each measure in the table of `label_free_prediction`.

    The `threshold` is chosen on all pairs of adapters. `above` and `below` count those on either
    side of it: how many composed, and how many there were; `low` and `high` are the ends of the
    95 % interval of the share that composed above it, as if pairs were independent. Of all
    `held_out` forecasts, in which threshold and chance come from other skills on other bases, so
    many were `right`; always saying the more frequent outcome would be right about `majority`.
    """
    outcome, foretold, record = composed(rows), forecasts(rows), {}
    for name in MEASURES:
        values = rows[name].to_numpy(float)
        bar = round(threshold(values, outcome), 4)
        above = _counted(outcome[values >= bar])
        record[name] = {
            "threshold": bar,
            "above": above,
            "below": _counted(outcome[values < bar]),
            **_interval(above),
            "right": int(((foretold[name].to_numpy() >= 0.5) == outcome).sum()),
            "majority": max(int(outcome.sum()), int((~outcome).sum())),
            "held_out": len(rows),
        }
    return record


def _counted(outcome: Bool[np.ndarray, " n"]) -> list[int]:
    """Return how many pairs composed, and how many there were."""
    return [int(outcome.sum()), len(outcome)]


def _interval(count: list[int]) -> dict[str, float]:
    """Return the 95 % interval of the share ``count[0] / count[1]``."""
    from scipy.stats import binomtest  # slow to import

    low, high = binomtest(count[0], max(count[1], 1)).proportion_ci(method="wilson")
    return {"low": round(float(low), 3), "high": round(float(high), 3)}


def written(rows: "pd.DataFrame") -> str:
    """Return the text of `diagnosis/reliability.json`, made from the rows of the table."""
    return json.dumps(reliability(rows), indent=1) + "\n"
