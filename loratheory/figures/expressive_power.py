"""Bound and construction over the ranks of the expressive-power grids."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns

COLOURS, MARKS = ("#0072B2", "#D55E00", "#009E73"), ("o", "s", "^")
COLUMNS = ("family", "flat", "target_depth", "depth", "rank", "threshold", "bound", "value")
PANELS = (
    ("linear", 0, 1),
    ("ReLU, 1 target layer", 1, 1),
    ("ReLU, 2 target layers", 1, 2),
    ("ReLU, 4 target layers", 1, 4),
    ("products of attention", 2, None),
)


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the relative error against the rank: lines the bound, points the construction.

    Parameters
    ----------
    rows : sequence of mappings
        Columns `family` (0 linear, 1 ReLU, 2 attention), `flat`, `target_depth`, `depth`, `rank`,
        `threshold`, `bound` and `value`: one row a cell.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    columns(rows, *COLUMNS)
    figure = Figure(figsize=(11, 5.2))
    grid = figure.subplots(2, len(PANELS), sharex=True)
    for flat, line in enumerate(grid):
        for axes, (title, family, target_depth) in zip(line, PANELS, strict=True):
            here = [
                row
                for row in rows
                if row["family"] == family
                and row["flat"] == flat
                and target_depth in (None, row["target_depth"])
            ]
            _panel(axes, here)
            axes.set_title(title if not flat else "", fontsize=9)
        line[0].set_ylabel("relative error\n" + ("flat spectrum" if flat else "Gaussian target"))
    for axes in grid[-1]:
        axes.set_xlabel("rank")
    grid[-1][-1].set_visible(False)
    grid[0][-1].set_xlabel("rank")
    grid[0][-1].tick_params(labelbottom=True)
    _explained(figure)
    return figure


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    """One colour a depth; its threshold is a dotted line."""
    for index, depth in enumerate(sorted({row["depth"] for row in rows})):
        here = [row for row in rows if row["depth"] == depth]
        rank, threshold, bound, value = columns(here, "rank", "threshold", "bound", "value")
        colour, mark = COLOURS[index], MARKS[index]
        axes.axvline(threshold[0], color=colour, ls=":", lw=0.9)
        axes.plot(rank, bound, color=colour, lw=1.2)
        axes.plot(rank, value, mark, color=colour, ms=3.2, clip_on=False)
    axes.set_ylim(0, 1.6)
    axes.set_xlim(0, 17)


def _explained(figure: Any) -> None:
    """What colours, lines and points are, in the place of the panel that does not exist."""
    from matplotlib.lines import Line2D

    names = ("2 (attention: 1 block)", "4 (attention: 2 blocks)", "8 (attention: 4 blocks)")
    handles = [
        Line2D([], [], color=colour, marker=mark, ms=4, ls="", label=name)
        for colour, mark, name in zip(COLOURS, MARKS, names, strict=True)
    ]
    handles.append(Line2D([], [], color="black", lw=1.2, label="bound of the theorem"))
    handles.append(Line2D([], [], color="black", marker="o", ms=4, ls="", label="construction"))
    handles.append(Line2D([], [], color="black", ls=":", label="rank from which all is exact"))
    title = "layers for each target layer"
    figure.legend(handles=handles, title=title, loc="lower right", fontsize=8, title_fontsize=8)
    figure.suptitle(
        "Linear and attention cells meet their bound; from the threshold on everything is exact",
        x=0.01,
        ha="left",
        weight="bold",
    )
