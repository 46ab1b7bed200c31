"""The drawing engine of all figures: panels over data frames, and the page that holds them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.experiments import TableError
from loratheory.experiments.engine import QueryError, blocks, bootstrap_mean, query, value
from loratheory.figures._look import (
    CONSTANT,
    GREY,
    INK,
    LINES,
    MEASURED,
    OUTLINE,
    SERIES,
    TAKEAWAY,
    Look,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 6.3
"""Inches, as wide as a line of the paper."""
Panel = Callable[[Any], None]
"""A function that draws into axes, such as an `Along` or a `Heat`."""


def chosen(table: "pd.DataFrame", **values: Any) -> "pd.DataFrame":
    """Return the rows of a table with all of these values; TableError if there are none."""
    rows = table
    for name, wanted in values.items():
        rows = rows[rows[name] == wanted]
    if rows.empty:
        what = ", ".join(f"{name} = {wanted}" for name, wanted in values.items())
        message = f"no row of the table has {what}: draw the table of the figure's own experiment"
        raise TableError(message)
    return rows


def stacked(*tables: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of all tables below each other."""
    import pandas as pd

    return pd.concat(tables)


def mean(table: "pd.DataFrame", column: str, **values: Any) -> float:
    """Return the mean over bases of a column, in the rows that have all of these values."""
    return float(blocks(chosen(table, **values), column).mean())


def spread(table: "pd.DataFrame", along: str, column: str) -> "pd.DataFrame":
    """Return means of a column over bases with 95 % bootstrap intervals.

    The result has a row for each value of `along`, in rising order, and columns ``mean``, ``low``
    and ``high``. All bases (by `seed`) have equal weight, however many rows they have; rows without
    a number in the column are left out.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(table[column]):
        message = f"column {column} of the table holds words; this figure needs numbers there"
        raise TableError(message)
    known = table[table[column].notna()]
    parts = {
        name: [float(one) for one in bootstrap_mean(blocks(rows, column))]
        for name, rows in known.groupby(along, sort=True)
    }
    columns = ["mean", "low", "high"]
    return pd.DataFrame.from_dict(parts, orient="index", columns=columns).sort_index()


@dataclass(frozen=True)
class Mark:
    """One series of a panel: a column's means over bases, intervals and predictions."""

    rows: "pd.DataFrame"  # nothing is drawn where the column has no number
    column: str  # what was measured; empty where there are only predictions
    label: str = "measured"
    look: Look = MEASURED  # with a line it is a curve, and the intervals are a band
    predicted: str = ""  # the column of predictions: open signs, or a dashed line
    foreseen: str = "predicted"  # their name in the legend
    interval: bool = True


@dataclass(frozen=True)
class Line:
    """A straight line across a panel at one value: a measurement, or a place (`along`)."""

    value: float
    label: str
    kind: str = "measured"  # of `LINES`
    colour: str = GREY
    along: bool = False


def constant(table: "pd.DataFrame") -> Line:
    """Return a line at the score of one constant answer, from the table's column `chance`."""
    return Line(float(blocks(table, "chance").mean()), CONSTANT, "chance", INK)


@dataclass(frozen=True)
class Along:
    """A panel that shows means along the values of one column.

    If the values have names, given in `places`, they are listed from top to bottom, with the marks
    of one place side by side. If they are numbers, they run from left to right.
    """

    title: str
    along: str  # the column
    marks: Sequence[Mark]
    places: Mapping[Any, str] = field(default_factory=dict)  # from the column's values to names
    lines: Sequence[Line] = ()
    across: str = ""  # names of the axes
    up: str = ""
    standing: bool = False  # names run to the right, instead of down
    shares: bool = True  # what is measured lies between 0 and 1
    log: str = ""  # anything where the axis to the right is logarithmic
    ticks: Sequence[float] = ()  # of numbered places
    rules: Sequence[float] = ()  # where thin lines part named places
    span: int = 1  # the panel's share of the width
    takeaway: Sequence[Any] = ()  # the places that the title speaks of, or two ends in numbers

    @property
    def down(self) -> bool:
        """Whether places run down, and measurements to the right."""
        return bool(self.places) and not self.standing

    def __call__(self, axes: Any) -> None:
        """Draw the panel."""
        there = {place for mark in self.marks for place in mark.rows[self.along].unique()}
        missing = ", ".join(str(place) for place in self.places if place not in there)
        if missing:
            message = (
                f"no row of the table has {missing} in column {self.along}: draw the table of the "
                "figure's own experiment"
            )
            raise TableError(message)
        for line in self.lines:
            across = axes.axvline if self.down != line.along else axes.axhline
            look = {"color": line.colour, "ls": LINES[line.kind], "lw": 1.1, "zorder": 1.2}
            across(line.value, label=line.label, **look)
        self._band(axes)
        step = min(0.8 / len(self.marks), 0.3) if self.places else 0.0
        for number, mark in enumerate(self.marks):
            shift = step * (number - (len(self.marks) - 1) / 2)
            if mark.predicted:
                self._prediction(axes, mark, shift)
            if mark.column:
                self._measurement(axes, mark, shift)
        self._frame(axes)

    def _band(self, axes: Any) -> None:
        """Behind the places that the title speaks of, or between two numbers."""
        spots = list(self.places)
        ends = [(spots.index(x) - 0.46, spots.index(x) + 0.46) for x in self.takeaway if spots]
        if self.takeaway and not spots:
            ends = [(self.takeaway[0], self.takeaway[1])]
        for low, high in ends:
            (axes.axhspan if self.down else axes.axvspan)(low, high, **TAKEAWAY)

    def _means(self, rows: "pd.DataFrame", column: str, shift: float) -> tuple[Any, Any]:
        """The means that have a place, and where it is."""
        means = spread(rows, self.along, column)
        if not self.places:
            return means, means.index.to_numpy(float)
        spots = {place: spot + shift for spot, place in enumerate(self.places)}
        means = means[means.index.isin(spots)]
        return means, np.array([spots[place] for place in means.index])

    def _measurement(self, axes: Any, mark: Mark, shift: float) -> None:
        means, at = self._means(mark.rows, mark.column, shift)
        look, middle = mark.look, means["mean"].to_numpy()
        style: Any = {"color": look.colour, "marker": look.sign, "ls": look.line or "none"}
        style |= {"label": mark.label, "ms": 3.5 if len(self.marks) < 4 else 2.8}
        style |= {} if look.filled else {"mfc": "none"}
        points = (middle, at) if self.down else (at, middle)
        if look.line:
            if mark.interval:
                axes.fill_between(at, means["low"], means["high"], color=look.colour, alpha=0.15)
            axes.plot(*points, **style)
            return
        # the mean may lie outside the percentiles by rounding alone
        off = np.maximum([middle - means["low"], means["high"] - middle], 0)
        ends = {"xerr" if self.down else "yerr": off} if mark.interval else {}
        axes.errorbar(*points, **ends, elinewidth=1, **style)

    def _prediction(self, axes: Any, mark: Mark, shift: float) -> None:
        """Open signs, by dashes joined to what was measured; or a dashed line."""
        means, at = self._means(mark.rows, mark.predicted, shift)
        look: dict[str, Any] = {"color": mark.look.colour}
        if not self.places:
            axes.plot(at, means["mean"], label=mark.foreseen, ls=LINES["predicted"], **look)
            return
        if mark.column:
            found, _ = self._means(mark.rows, mark.column, shift)
            ends = np.array([means["mean"], found["mean"].reindex(means.index)])
            pairs = (ends, [at] * 2) if self.down else ([at] * 2, ends)
            axes.plot(*pairs, ls=LINES["predicted"], lw=0.9, **look)
        points = (means["mean"], at) if self.down else (at, means["mean"])
        look |= {"marker": "d", "ls": "none", "mfc": "none", "mew": 0.9, "label": mark.foreseen}
        axes.plot(*points, ms=5.5 if len(self.marks) < 5 else 4, **look)

    def _frame(self, axes: Any) -> None:
        axes.set_title(self.title)
        across = self.across or ("accuracy" if self.down and self.shares else "")
        axes.set(xlabel=across, ylabel=self.up, xscale="log" if self.log else "linear")
        names, values = (axes.yaxis, axes.xaxis) if self.down else (axes.xaxis, axes.yaxis)
        if self.shares:
            (axes.set_xlim if self.down else axes.set_ylim)(-0.06, 1.06)
            values.set_ticks([0, 0.5, 1], ["0", "½", "1"])
        if self.places:
            names.set_ticks(range(len(self.places)), list(self.places.values()))
            ends = (-0.5, len(self.places) - 0.5)
            (axes.set_ylim if self.down else axes.set_xlim)(*ends[:: -1 if self.down else 1])
            for place in self.rules:
                (axes.axhline if self.down else axes.axvline)(place, color="#777777", lw=0.6)
        elif len(self.ticks):
            names.set_ticks(self.ticks, [f"{tick:g}" for tick in self.ticks])
        axes.minorticks_off()


def series(table: "pd.DataFrame", by: str, column: str, text: str, **more: Any) -> list[Mark]:
    """Return a mark for each value in column `by`; `text` formatted with the value labels it."""
    settings = sorted(table[by].unique())
    if len(settings) > len(SERIES):
        message = (
            f"the table has {len(settings)} values of {by}, and signs tell {len(SERIES)} apart: "
            "draw a table of fewer"
        )
        raise TableError(message)
    return [
        Mark(chosen(table, **{by: one}), column, text.format(one), look, **more)
        for one, look in zip(settings, SERIES, strict=False)
    ]


def strips(
    table: "pd.DataFrame",
    rules: Mapping[str, str],
    by: str,
    text: str,
    columns: Mapping[str, str],
    predicted: Mapping[str, str] | None = None,
    lines: Mapping[str, Sequence[Line]] | None = None,
    across: Mapping[str, str] | None = None,
    parted: Sequence[float] = (),
    takeaway: Sequence[str] = (),
) -> list[Along]:
    """Return a panel for each column, its title given: rules run down, a mark for each setting.

    `by` is the column of the setting, and `text` is formatted with its values; `predicted`, `lines`
    and `across` say for columns what is predicted of them, which lines cross their panel and what
    their axis is called if not accuracy. The title speaks of the rules in `takeaway`.
    """
    return [
        Along(
            title,
            "rule",
            series(table, by, column, text, predicted=(predicted or {}).get(column, "")),
            rules,
            (lines or {}).get(column, ()),
            (across or {}).get(column, ""),
            rules=parted,
            takeaway=takeaway,
        )
        for column, title in columns.items()
    ]


@dataclass(frozen=True)
class Heat:
    """A map of means: a colour and a number for each pair of values of two columns."""

    title: str
    rows: "pd.DataFrame"
    down: str  # the columns
    right: str
    column: str  # of shares
    downs: Mapping[Any, str]  # from values to names, from above
    rights: Mapping[Any, str]  # and from the left
    takeaway: Sequence[Any] = ()  # the values to the right that the title speaks of

    def __call__(self, axes: Any) -> None:
        """Draw the panel."""
        from matplotlib.patches import Rectangle

        by = [self.down, self.right]
        each = self.rows.groupby([*by, "seed"])[self.column].mean().reset_index()
        table = each.pivot_table(self.column, *by)
        cells = table.reindex(index=list(self.downs), columns=list(self.rights)).to_numpy()
        axes.imshow(cells, vmin=0, vmax=1, aspect="auto", interpolation="none")
        for (i, j), share in np.ndenumerate(cells):
            if not math.isnan(share):
                text, colour = f"{share:.2f}", "black" if share > 0.55 else "white"
                look = {"ha": "center", "va": "center", "fontsize": 7.7, "color": colour}
                axes.text(j, i, text.removeprefix("0"), **look)
        for told in self.takeaway:
            spot = list(self.rights).index(told)
            axes.add_patch(Rectangle((spot - 0.5, -0.5), 1, len(self.downs), **OUTLINE))
        axes.set_title(self.title)
        axes.set_yticks(range(len(self.downs)), list(self.downs.values()))
        axes.set_xticks(range(len(self.rights)), list(self.rights.values()))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)


@dataclass(frozen=True)
class Page:
    """A figure: its title, which states its message, and its panels in rows.

    In the title ``{two_hop; rule=sum}`` is replaced by that number of the table. If the table lacks
    such rows, the title is the first line of the figure's docstring instead.
    """

    table: "pd.DataFrame"  # that the title speaks of
    title: str  # what to take away
    rows: Sequence[Sequence[Panel]]  # from above and from the left
    height: float = 5.4  # inches; what is higher is made smaller in the paper
    note: str = ""  # below the panels
    heights: Sequence[float] | None = None  # of the rows, relative to each other
    scale: str = ""  # what the colours of maps mean
    width: float = WIDTH

    def drawn(self, otherwise: str) -> Any:
        """Return the drawing, not registered with pyplot; `otherwise` is the fallback title."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width, self.height))
        spans = [[getattr(panel, "span", 1) for panel in row] for row in self.rows]
        columns = math.lcm(*map(sum, spans))
        grid = figure.add_gridspec(len(self.rows), columns, height_ratios=self.heights)
        for number, (row, widths) in enumerate(zip(self.rows, spans, strict=True)):
            start, before = 0, None
            for panel, width in zip(row, widths, strict=True):
                stop = start + width * columns // sum(widths)
                axes = figure.add_subplot(grid[number, start:stop])
                panel(axes)
                letters = 10.2 * self.width * width / sum(widths)
                axes.set_title(_wrapped(axes.get_title(loc="left"), letters))
                upward = (
                    axes.get_ylabel(),
                    axes.get_ylim(),
                    list(map(str, axes.get_yticklabels())),
                )
                if upward == before:  # names and numbers are written once a row
                    axes.tick_params(labelleft=False)
                    axes.set_ylabel("")
                start, before = stop, upward
        title = _wrapped(self._title(otherwise), 11.8 * self.width)
        figure.suptitle(title, x=0.01, ha="left")
        if self.scale:
            maps = [axes for axes in figure.axes if axes.images]
            look: Any = {"ticks": [0, 0.5, 1], "label": self.scale, "fraction": 0.05, "aspect": 30}
            figure.colorbar(maps[0].images[0], ax=maps, **look)
        self._legend(figure)
        return figure

    def _title(self, otherwise: str) -> str:
        def _share(asked: re.Match[str]) -> str:
            return f"{value(query(asked[1]), self.table).middle:.0%}"

        try:
            return re.sub(r"\{([^{}]+)\}", _share, self.title)
        except QueryError:
            return otherwise

    def _legend(self, figure: Any) -> None:
        """Everything that some panel names, once, below them all; predictions last."""
        found: dict[str, Any] = {}
        for axes in figure.axes:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(name, handle)
        names = sorted(found, key=lambda name: name.startswith(("predicted", "chance")))
        if names or self.note:
            note = {"title": _wrapped(self.note, 14 * self.width) or None, "alignment": "left"}
            where = {"loc": "outside lower center", "ncols": self._columns(names)}
            figure.legend([found[name] for name in names], names, **where, **note)

    def _columns(self, names: Sequence[str]) -> int:
        """How many columns of a legend are sure to fit: 4.7 points a letter, 32 a sign."""
        for count in (5, 4, 3, 2):
            deep = -(-len(names) // count) or 1
            parts = [names[k : k + deep] for k in range(0, len(names), deep)]
            if sum(32 + 4.7 * max(map(len, part)) for part in parts) <= 72 * self.width:
                return len(parts)
        return 1


def _wrapped(text: str, letters: float) -> str:
    """The text in lines of at most so many letters; its own ends of lines stay."""
    lines: Iterable[str] = text.split("\n")
    return "\n".join("\n".join(wrap(x, round(letters), break_on_hyphens=False)) for x in lines)


FIGURES: dict[str, Callable[[Any], Any]] = {}
"""From the names of the experiments that have a figure to their `draw`."""
COLUMNS: dict[str, tuple[str, ...]] = {}
"""The columns of which each figure is drawn."""


def figure(columns: str) -> Callable[[Callable[["pd.DataFrame"], Page]], Callable[[Any], Any]]:
    """Return a decorator that turns a function from a table to a `Page` into a figure in `FIGURES`.

    The function has the name of its experiment, whose table must have these columns. The figure is
    a function of that table, a data frame or a sequence of rows, that returns a drawing and raises
    `TableError` if the table lacks columns or rows.
    """

    def _figure(declared: Callable[["pd.DataFrame"], Page]) -> Callable[[Any], Any]:
        @wraps(declared)
        @styled
        def _draw(rows: Any) -> Any:
            import pandas as pd

            table = pd.DataFrame(rows)
            missing = ", ".join(name for name in columns.split() if name not in table)
            if missing:
                there = ", ".join(table) or "none"
                message = f"the table has no column {missing}; this figure needs it, found {there}"
                raise TableError(message)
            return declared(table).drawn((declared.__doc__ or "").split("\n")[0].rstrip("."))

        FIGURES[declared.__name__] = _draw
        COLUMNS[declared.__name__] = tuple(columns.split())
        return _draw

    return _figure
