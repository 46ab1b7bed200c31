"""Measured reuse against each measure that needs no labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from loratheory.experiments.label_free_prediction import REUSED
from loratheory.experiments.words._reliability import MEASURES, SOLVED, reliability
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
        the others, marks by base; rank correlation over all, and hits on the blue ones.

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
    figure = Figure(figsize=(7.8, 4.6))
    grid = figure.subplots(2, 3, sharey=True)
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
    for axes in grid[:, 0]:
        axes.set_ylabel("solved by the best\nmerge or router")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5)
    figure.suptitle(
        "Which measure tells, without labels, whether two adapters compose?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _said(values: Any, best: Any, record: Any) -> str:
    """Rank correlation, and hits on what was held out."""
    flat = np.ptp(values) == 0 or np.ptp(best) == 0
    rank = "–" if flat else f"{spearmanr(values, best).statistic:.2f}"
    hits = f"{record['right']}/{record['held_out']}"
    return f"rank correlation {rank}; right {hits}\n(majority {record['majority']})"
