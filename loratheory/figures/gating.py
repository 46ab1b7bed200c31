"""Edited and unedited two-hop accuracy under every rule, by the pairs that act at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loratheory.experiments import TableError
from loratheory.figures._means import bars, interval
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns

NEEDED = ("facts", "pairs", "seed", "two_hop", "other_two_hop", "chance")
PLAIN = {
    "facts": 5,
    "bridges": "fresh",
    "rank": 8,
    "modules": "mlp",
    "coverage": 0.5,
    "pretrained": 700,
}
RULES = {
    "base": "base",
    "hop 1 alone": "hop 1 alone",
    "hop 2 alone": "hop 2 alone",
    "mean": "mean",
    "sum": "sum",
    "ties": "TIES",
    "knots": "KnOTS",
    "interpolating": "interpolating merge",
    "arrow": "Arrow",
    "norm, soft": "softmax over norms",
    "norm, z": "largest z-scored norm",
    "gates": "gates on single maps",
    "block gates, z = 2": "block gates",
    "oracle placement": "oracle: right one in each pass",
}
"""Rules of the table, and what they are called in the picture."""
MARKS, COLOURS = ("o", "s", "^", "D"), ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
CURE = "block gates, z = 2"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw accuracies with 95 % intervals over base seeds, one row a rule, one mark a shelf size.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `gating`.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.

    Raises
    ------
    TableError
        If the table has no plain rows: five fresh facts, rank 8, MLPs, the usual base.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    plain = [row for row in rows if all(row.get(key) == value for key, value in PLAIN.items())]
    if not plain:
        message = f"no row of the table has {PLAIN}: draw the table of the experiment `gating`"
        raise TableError(message)
    figure = Figure(figsize=(8.6, 4.6))
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, plain, "two_hop")
    _panel(right, plain, "other_two_hop")
    chance = float(np.mean(columns(plain, "chance")[0]))
    left.axvline(chance, color="black", ls=":", lw=1)
    left.text(chance + 0.015, 0, "one answer always", fontsize=7, va="center")
    left.set_xlabel("edited two-hop questions answered")
    right.set_xlabel("unedited two-hop questions answered as before")
    left.set_yticks(range(len(RULES)), RULES.values())
    left.invert_yaxis()
    place = list(RULES).index(CURE)
    for axes in (left, right):
        axes.axhspan(place - 0.5, place + 0.5, color="#f2f2f2", zorder=0)
        axes.set_xlim(-0.03, 1.03)
    right.legend(title="pairs of adapters at once", loc="lower left", title_fontsize=8)
    figure.suptitle(
        "Which rules answer edited chains and keep unedited ones, 95 % intervals over bases",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _panel(axes: Any, rows: Sequence[Row], kind: str) -> None:
    """One mark a rule and number of pairs, a little apart."""
    shelves = sorted({row["pairs"] for row in rows})
    for place, pairs in enumerate(shelves):
        shift = (place - (len(shelves) - 1) / 2) * 0.17
        here = [row for row in rows if row["pairs"] == pairs]
        found = [interval([row for row in here if row["rule"] == rule], kind) for rule in RULES]
        bars(
            axes,
            [number + shift for number in range(len(RULES))],
            found,
            sideways=True,
            fmt=MARKS[place % 4],
            color=COLOURS[place % 4],
            label=f"{pairs:g}",
        )
