"""The window in which every single-hop test passes and the two-hop answer is lost."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns
from loratheory.theorems.composition.two_read_region import margin, threshold

SINGLE, BOTH, WINDOW = "#0072B2", "#D55E00", "#F7E9A8"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the leads of the new answers against the coefficient with which edits are merged.

    Parameters
    ----------
    rows : sequence of mappings
        Columns `coefficient`, `hop_1`, `hop_2` and `two_hop`: simulated leads of the new answer
        over the best other one. The curves are the theorem's, the points are these.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    c, *hops, both = columns(rows, "coefficient", "hop_1", "hop_2", "two_hop")
    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    axes.set(
        title="Both facts survive the merge, their composition does not",
        xlim=(0.29, 1.01),
        ylim=(-0.7, 1.05),
        xlabel="strength of each edit after the merge",
        ylabel="lead of the new answer over the best other",
    )
    fine = [0.29 + 0.72 * i / 200 for i in range(201)]
    axes.plot(fine, [margin((x,)) for x in fine], color=SINGLE)
    axes.plot(fine, [margin((x, x)) for x in fine], color=BOTH, ls=(0, (5, 1.6)))
    axes.plot(c, hops[0], "o", ms=7, mfc="white", mec=SINGLE, label="hop 1, simulated")
    axes.plot(c, hops[1], "o", ms=3.2, color=SINGLE, label="hop 2, simulated")
    axes.plot(c, both, "s", ms=4.5, color=BOTH, label="both hops, simulated")
    _explained(axes, threshold(1), threshold(2))
    return figure


def _explained(axes: Any, low: float, high: float) -> None:
    """The window, its borders, and names for what is drawn."""
    axes.axvspan(low, high, color=WINDOW, lw=0)
    axes.axhline(0, color="black", lw=0.9)
    axes.set_xticks([0.3, 0.4, low, high, 0.7, 0.8, 0.9, 1.0])
    names = ["½\nmean of two", "0.618\ngolden ratio"]
    axes.set_xticklabels(["0.3", "0.4", *names, "0.7", "0.8", "0.9", "1\nsum, or alone"])
    message = "single-hop\ntests pass,\ntwo-hop\nanswer lost"
    axes.text((low + high) / 2, 1.0, message, ha="center", va="top", fontweight="bold")
    axes.text(0.77, 0.6, "each fact alone", color=SINGLE, ha="right", fontweight="bold")
    axes.text(0.79, 0.32, "both in one question", color=BOTH, ha="left", fontweight="bold")
    axes.text(0.995, 0.03, "new answer ↑", ha="right", va="bottom", fontsize=8)
    axes.text(0.995, -0.03, "old answer ↓", ha="right", va="top", fontsize=8)
    axes.legend(loc="lower right", title="lines: the theorem")
