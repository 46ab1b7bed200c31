"""Measured reuse against each measure that needs no labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from loratheory.experiments.bench.reliability import (
    BINS,
    MEASURES,
    REUSED,
    SOLVED,
    calibration,
    reliability,
)
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, words

NEEDS = {
    "overlap": "template overlap\n(needs the solutions)",
    "shape": "share of the right shape\n(solutions and target)",
    "read": "likeness of reads\n(adapters alone)",
    "write": "likeness of writes\n(adapters alone)",
    "response": "likeness of responses\n(base and prompts)",
    "agreement": "same next token\n(base and prompts)",
}
DESIGN, HELD = "#777777", "#0072B2"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the best reuse of each pair of adapters against each measure.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `label_free_prediction`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel a measure: grey the pair of skills on which its threshold (dotted) was chosen, blue
        the others, marks by base; rank correlation over all, and hits on the blue ones. Below the
        share that composes in three bins of each measure, from low to high: what grey ones let
        expect, and what blue ones did, with 95 % intervals.

    Raises
    ------
    TableError
        If a column is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "held_out", *MEASURES, *REUSED)
    words(rows, "kind")
    record, best = reliability(rows), np.array([max(row[r] for r in REUSED) for row in rows])
    held = np.array([bool(row["held_out"]) for row in rows])
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure = Figure(figsize=(7.8, 6.4))
    places = figure.add_gridspec(3, 3, height_ratios=(1, 1, 0.8))
    grid = np.array([[figure.add_subplot(places[i, j]) for j in range(3)] for i in range(2)])
    below = figure.add_subplot(places[2, :])
    for name, axes in zip(MEASURES, grid.ravel(), strict=True):
        values = np.array([row[name] for row in rows])
        for kind, mark in zip(kinds, "osD", strict=False):
            here = np.array([row["kind"] == kind for row in rows])
            for chosen, colour in ((~held, DESIGN), (held, HELD)):
                one = here & chosen
                which = "held out" if colour == HELD else "on which thresholds were chosen"
                label = f"base of {kind}, skills {which}"
                look = {"color": colour, "marker": mark, "ls": "", "ms": 3.5, "alpha": 0.7}
                axes.plot(values[one], best[one], label=label, **look)
        cut = record[name]["threshold"]
        axes.axvline(cut, color="black", ls=":", lw=1)
        axes.axhline(SOLVED, color="black", lw=0.6)
        axes.set_title(NEEDS[name], fontsize=8)
        axes.set_xlabel(_said(values, best, record[name]), fontsize=7.5)
    for axes in grid.ravel():
        axes.set_ylim(-0.04, best.max() + 0.04)
    for axes in grid[:, 0]:
        axes.set_ylabel("solved by the best\nmerge or router")
    _calibrated(below, rows)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5)
    figure.suptitle(
        "Which measure tells, without labels, whether two adapters compose?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _calibrated(axes: Any, rows: Sequence[Row]) -> None:
    """Three bins a measure: a dash for what is expected, a point for what came of it."""
    ticks = []
    for group, bins in enumerate(calibration(rows).values()):
        for k, one in enumerate(bins):
            spot = group * (BINS + 1) + k
            if one["predicted"][1]:
                share = one["predicted"][0] / one["predicted"][1]
                axes.plot([spot - 0.35, spot + 0.35], [share] * 2, color=DESIGN, lw=2)
            if one["observed"][1]:
                share = one["observed"][0] / one["observed"][1]
                off = [[max(share - one["low"], 0)], [max(one["high"] - share, 0)]]
                axes.errorbar([spot], [share], off, color=HELD, fmt="o", ms=4, lw=1)
        ticks.append(group * (BINS + 1) + (BINS - 1) / 2)
    axes.set(xticks=ticks, ylim=(-0.04, 1.04))
    axes.set_xticklabels([NEEDS[name].partition("\n")[0] for name in MEASURES], fontsize=7)
    axes.set_ylabel("share that\ncomposes")
    axes.set_title("dash: expected; point: on skills held out", fontsize=8)
    axes.grid(visible=False, axis="x")


def _said(values: Any, best: Any, record: Any) -> str:
    """Rank correlation, and hits on what was held out."""
    flat = np.ptp(values) == 0 or np.ptp(best) == 0
    rank = "–" if flat else f"{spearmanr(values, best).statistic:.2f}"
    hits = f"{record['right']}/{record['held_out']}"
    return f"rank correlation {rank}; right {hits}\n(majority {record['majority']})"
