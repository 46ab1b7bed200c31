"""Define the style of all figures, and draw means over bases as curves or dots.

Measured lines are solid, predicted lines dashed, chance is dotted and grey. A yellow band marks the
subject of a figure's title. ``python -m paper.style`` draws every figure into its study's folder. A
study's ``figure.py`` has a function ``draw()`` that reads the study's table and returns a
matplotlib figure.
"""

from collections.abc import Mapping
from importlib import import_module
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure

from loratheory.store import write_whole
from paper.tables import STUDIES, decimal, over_bases

# Okabe and Ito's colours, which colour-blind readers can distinguish; markers differ in grey.
INK, GREY, BLUE, SKY = "#1a1a1a", "#777777", "#0072B2", "#56B4E9"
ORANGE, GREEN, PURPLE, YELLOW = "#D55E00", "#009E73", "#CC79A7", "#E69F00"
CHANCE = GREY
LINES: dict[str, Any] = {"measured": "-", "predicted": (0, (4, 1.6)), "chance": ":"}
BAND: dict[str, Any] = {"color": YELLOW, "alpha": 0.22, "lw": 0, "zorder": 0}
"""The band behind the subject of the title."""
LOOKS = ((BLUE, "^"), (ORANGE, "s"), (GREEN, "o"), (PURPLE, "D"), (SKY, "v"), (INK, "X"))
"""Colour and marker of the series of a panel, in this order."""
WIDTH = 6.3  # inches, a line of the paper
UNDATED: dict[str, Any] = {"pdf": {"CreationDate": None}, "png": {}, "svg": {"Date": None}}
STYLE: list[Any] = ["default", Path(__file__).with_name("paper.mplstyle")]


def drawing(name: str) -> Figure:
    """Draw the figure of a study from its stored table."""
    with matplotlib.style.context(STYLE):
        return import_module(f"paper.studies.{name}.figure").draw()


def file_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a ``pdf``, ``png`` or ``svg`` file, reproducibly."""
    buffer = BytesIO()
    with matplotlib.style.context(STYLE):
        figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
    return buffer.getvalue()


def panels(columns: int, height: float, **more: Any) -> tuple[Figure, Any]:
    """Return a figure as wide as the paper's text, and its axes."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(1, columns, **more)


def finish(figure: Figure, title: str, note: str = "") -> Figure:
    """Put the title above, and one legend of all panels below; return the figure."""
    figure.suptitle(fill(title, 78), x=0.01, ha="left")
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            # A series of several panels is named once.
            found.setdefault(label, handle)
    where: dict[str, Any] = {"loc": "outside lower center", "title": note or None}
    figure.legend(list(found.values()), list(found), ncols=min(len(found), 3), **where)
    return figure


def accuracy_axis(axes: Axes, *, across: bool = False) -> None:
    """Set an axis to accuracies, from 0 to 1."""
    (axes.set_xlim if across else axes.set_ylim)(-0.04, 1.04)
    (axes.set_xlabel if across else axes.set_ylabel)("accuracy")


def curve(
    axes: Axes,
    rows: pd.DataFrame,
    along: str,
    column: str,
    label: str,
    look: tuple[str, str] = LOOKS[0],
    *,
    predicted: str = "",
) -> None:
    """Draw a column's means over bases along another column, with bands of 95% intervals.

    `predicted` names a column of predictions, which becomes a dashed line.
    """
    colour, marker = look
    rows = rows[rows[column].notna()]
    # Sort by the axis, because the table may have another order.
    places = sorted(rows[along].unique())
    parts = (rows[rows[along] == place] for place in places)
    middle, low, high = np.transpose([over_bases(part, column) for part in parts])
    axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(places, middle, color=colour, marker=marker, ms=3, label=label)
    if predicted:
        expected = rows.groupby(along)[predicted].mean()
        axes.plot(
            expected.index, expected, color=colour, ls=LINES["predicted"], lw=1, label="predicted"
        )


def dots(axes: Axes, groups: Mapping[str, pd.DataFrame], columns: Mapping[str, str]) -> None:
    """Draw means over bases with 95% intervals: a line for each group, a marker for each column.

    `groups` maps names, from above, to rows; `columns` maps columns to labels.
    """
    for number, (column, label) in enumerate(columns.items()):
        colour, marker = LOOKS[number]
        # markers of a row are shifted, without overlap of rows
        shift = min(0.18, 0.6 / len(columns)) * (number - (len(columns) - 1) / 2)
        for place, rows in enumerate(groups.values()):
            known = rows[rows[column].notna()]
            if known.empty:
                continue
            middle, low, high = over_bases(known, column)
            # the mean may lie outside the percentiles by rounding alone
            ends = np.maximum([[middle - low], [high - middle]], 0)
            look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 3.5, "elinewidth": 1}
            axes.errorbar(middle, place + shift, xerr=ends, ls="", **look)
        # An empty series, for the legend alone.
        axes.plot([], [], color=colour, marker=marker, ls="", label=label)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    accuracy_axis(axes, across=True)


def chance(axes: Axes, value: float, *, across: bool = False) -> None:
    """Draw the accuracy of a constant answer as a dotted grey line."""
    line = axes.axvline if across else axes.axhline
    line(value, color=CHANCE, ls=LINES["chance"], lw=1.1, label="chance (a constant answer)")


def percent(rows: pd.DataFrame, column: str) -> str:
    """Return the mean over bases of a share, in integer percent, such as ``53%``."""
    return decimal(100 * over_bases(rows, column)[0], 0) + "%"


def by(rows: pd.DataFrame, column: str, names: Mapping[Any, str]) -> dict[str, pd.DataFrame]:
    """Group rows by the values of a column; return the groups by `names`, in their order.

    KeyError if no row has one of the values, since a figure would show an empty line.
    """
    groups = rows.groupby(column)
    return {name: groups.get_group(value) for value, name in names.items()}


if __name__ == "__main__":
    for file in sorted(STUDIES.glob("*/figure.py")):
        write_whole(file.with_suffix(".svg"), file_bytes(drawing(file.parent.name), "svg"))
