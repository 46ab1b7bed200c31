"""The plane of two merge coefficients: which answer each pair gives, predicted and simulated."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns
from loratheory.theorems.composition.two_read_region import margin, threshold

ANSWERS = {"unedited": "#D9D9D9", "halfway": "#9ECAE1", "composed": "#E69F00"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the winning answer of every simulated cell, and the predicted border on top.

    Parameters
    ----------
    rows : sequence of mappings
        Columns `c1` and `c2`, the centres of the cells of a square grid; `unedited`, `halfway`
        and `composed`, the logits of the answer before both edits, of the old second fact about
        the new bridge, and of the answer that both edits make together.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    c1, c2, *logits = columns(rows, "c1", "c2", *ANSWERS)
    across, up = sorted(set(c1)), sorted(set(c2))
    winners = [[float("nan")] * len(across) for _ in up]
    for x, y, *scores in zip(c1, c2, *logits, strict=True):
        winners[up.index(y)][across.index(x)] = scores.index(max(scores))
    figure = Figure(figsize=(5.2, 5.0))
    axes = figure.subplots()
    colours = ListedColormap(list(ANSWERS.values()))
    axes.pcolormesh(across, up, winners, cmap=colours, vmin=0, vmax=2, edgecolor="white", lw=0.3)
    _predicted(axes, top=max(across) + min(across))
    return figure


def _predicted(axes: Any, top: float) -> None:
    """The border from the theorem, and the merges that people use."""
    fine = [i * top / 240 for i in range(241)]
    lead = [[margin((x, y)) for x in fine] for y in fine]
    axes.contour(fine, fine, lead, levels=[0], colors="black", linewidths=2)
    axes.plot([0, top], [0, top], color="black", lw=0.8, ls=":")
    axes.plot([0, 1], [1, 0], color="black", lw=0.8, ls="--")
    for c, name in ((0.5, "mean"), (threshold(2), "0.618"), (1.0, "sum")):
        axes.plot(c, c, "o", color="black", ms=5)
        axes.annotate(name, (c, c), (8, 2), textcoords="offset points", fontweight="bold")
    axes.text(0.08, 0.95, "weights that add to 1", rotation=-45, rotation_mode="anchor")
    axes.text(0.03, 1.17, "cells: simulated\nline: the theorem", va="top", fontsize=8)
    axes.text(0.8, 1.06, "the composed answer", ha="center")
    axes.text(0.96, 0.3, "half-way: old second fact\nabout the new bridge", ha="center")
    axes.text(0.18, 0.45, "the old answer", ha="center")
    axes.set(
        title="Which answer do two merged edits give?",
        xlabel="$c_1$, strength of the first-hop edit after the merge",
        ylabel="$c_2$, strength of the second-hop edit after the merge",
        xlim=(0, top),
        ylim=(0, top),
        aspect="equal",
    )
    axes.grid(False)
