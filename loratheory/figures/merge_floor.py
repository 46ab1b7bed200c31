"""What one adapter for many tasks must lose: a part that rank buys back and a part it cannot."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw disagreement and truncation against the rank, one panel a share of own energy.

    Parameters
    ----------
    rows : sequence of mappings
        Columns `own`, the share of each task's update that no other task shares; `rank`;
        `disagreement` and `truncation`, the two parts of the floor; `achieved`, the error of the
        truncated mean: all three in units of the updates' mean squared norm.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    names = ("own", "rank", "disagreement", "truncation", "achieved")
    shares = sorted(set(columns(rows, *names)[0]))
    figure = Figure(figsize=(7.6, 3.4))
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for axes, share in zip(panels, shares, strict=True):
        here = [row for row in rows if row["own"] == share]
        _, rank, floor, truncation, achieved = columns(here, *names)
        top = [a + b for a, b in zip(floor, truncation, strict=True)]
        axes.fill_between(rank, 0, floor, color="#0072B2", label="disagreement: no rank helps")
        axes.fill_between(rank, floor, top, color="#F0C27A", label="truncation: rank buys it back")
        label = "achieved by the truncated mean"
        axes.plot(rank, achieved, "o", color="black", ms=3, label=label, clip_on=False)
        axes.set(title=f"{share:.0%} of each task its own", xlabel="rank of the one adapter")
        axes.set(xlim=(0, max(rank)), ylim=(0, 1.02))
        axes.grid(False)
    panels[0].set_ylabel("error, as a share of the updates' energy")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(
        "What one adapter for several tasks must lose", x=0.01, ha="left", weight="bold"
    )
    return figure
