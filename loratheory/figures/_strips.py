"""Strips: names from top to bottom, accuracies from left to right, measured beside predicted."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from loratheory.figures._means import bars, interval
from loratheory.figures._table import Row

Look = dict[str, Any]
"""How marks are drawn, and the name that they get."""

MEASURED: Look = {"color": "#000000", "fmt": "o", "label": "measured"}
PREDICTED: Look = {"color": "#D55E00", "marker": "D", "label": "predicted before"}
FACTS: Look = {"color": "#0072B2", "fmt": "^", "label": "edited single facts"}
KEPT: Look = {"color": "#009E73", "fmt": "s", "label": "unedited chains"}
PARTED: Look = {"color": "#F0B58A", "lw": 2.5, "label": "where they part"}

Groups = Mapping[str, Sequence[Row]]
"""From names, top first, to the rows that one mark stands for; none where nothing is drawn."""


def those(rows: Sequence[Row], **values: object) -> list[Row]:
    """The rows that have all of these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def by(rows: Sequence[Row], key: str, names: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of each of these names."""
    return {name: those(rows, **{key: name}) for name in names}


def only(groups: Groups, *names: str) -> Groups:
    """The same names, with rows for these alone."""
    return {name: group if name in names else [] for name, group in groups.items()}


def but(groups: Groups, *names: str) -> Groups:
    """The same names, without rows for these."""
    return only(groups, *(name for name in groups if name not in names))


def share(rows: Sequence[Row], column: str, **values: object) -> str:
    """The mean over bases of the rows that have these values, in words."""
    return f"{interval(those(rows, **values), column)[0]:.0%}"


def strip(axes: Any, groups: Groups, column: str, *, shift: float = 0.0, **look: Any) -> None:
    """A point and its interval over bases for every group that has rows."""
    places = [place + shift for place, group in enumerate(groups.values()) if group]
    found = [interval(group, column) for group in groups.values() if group]
    if found:
        bars(axes, places, found, sideways=True, **{"ms": 3.5, **look})


def marks(axes: Any, groups: Groups, column: str, **look: Any) -> None:
    """What theory says of every group that has rows: its mean over bases, an open mark."""
    places = [place for place, group in enumerate(groups.values()) if group]
    found = [interval(group, column)[0] for group in groups.values() if group]
    axes.plot(found, places, **{"ls": "none", "mfc": "none", "ms": 6, **PREDICTED, **look})


def versus(axes: Any, groups: Groups, measured: str, predicted: str) -> None:
    """Both, and a band between them where the interval of their difference leaves out zero."""
    for place, group in enumerate(groups.values()):
        if group:
            off = [{**row, "off": row[measured] - row[predicted]} for row in group]
            middle, low, high = interval(off, "off")
            if low > 1e-9 or high < -1e-9:
                said = interval(group, predicted)[0]
                axes.plot([said, said + middle], [place, place], **PARTED, zorder=1.5)
    marks(axes, groups, predicted)
    strip(axes, groups, measured, **MEASURED)


def framed(axes: Any, names: Sequence[str]) -> None:
    """All names, the first on top, and accuracies from none to all."""
    axes.set(xlim=(-0.06, 1.06), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])


def chance(axes: Any, rows: Sequence[Row]) -> None:
    """A thin line where one answer always given would be."""
    found = interval(rows, "chance")[0]
    axes.axvline(found, color="black", ls=":", lw=1, label="one answer always", zorder=1)


def titled(figure: Any, title: str, note: str, *, ncols: int) -> None:
    """A headline over all panels, and below them a note and every mark that some panel names."""
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    named: dict[str, Any] = dict.fromkeys(look["label"] for look in (MEASURED, PREDICTED, PARTED))
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named[label] = named.get(label) or handle
    named = {label: handle for label, handle in named.items() if handle}
    where: Look = {"loc": "outside lower center", "ncols": ncols, "columnspacing": 1.4}
    told: Look = {"title": fill(note, 104), "title_fontsize": 8, "alignment": "left"}
    figure.legend(named.values(), named, handletextpad=0.4, **where, **told)
