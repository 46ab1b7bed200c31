"""What unrelated adapters take from a chain, and the cross-talk that should take it."""

from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.figures._means import bars, curve, interval, lead, line, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

NEEDED = (
    *("facts", "rank", "pairs", "seed", "set", "two_hop", "predicted", "chance"),
    *("crosstalk_in", "crosstalk_out", "random_in", "random_out"),
)
MERGED = {
    "pair alone": ("s", "#0072B2"),
    "beside noise": ("v", "#E69F00"),
    "sum": ("o", "#D55E00"),
}
CHOSEN = {"oracle placement": ("^", "#CC79A7"), "gates": ("D", "#009E73")}
TOLERATED = 1 / 16
"""The energy over the own one that `thm:perturbed-region` tolerates of two hops: (1/4) squared."""


LABELS = (
    "merged:\nedited chains",
    "chosen by input:\nedited chains",
    "foreign energy\nover own, at a read",
)
SIDES = ("in", "out")
SAME = ("facts", "rank", "pairs", "seed", "set")
QUESTION = "What do unrelated adapters take from a chain that two of them answer?"
FINDING = (
    "Unrelated adapters take more from a chain than noise of their norms: they share directions"
)
Looks = Mapping[str, tuple[str, str]]


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw accuracies and cross-talk with 95 % intervals over base seeds against pairs of adapters.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `interference`.

    Returns
    -------
    matplotlib.figure.Figure
        A column each number of facts and rank. Above, edited chains under each rule; below,
        energy of foreign responses, measured and as if turned at random.

    Raises
    ------
    TableError
        If a column or a rule is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    by_rule = grouped(rows, "rule", [*MERGED, *CHOSEN])
    shapes = sorted({(row["facts"], row["rank"]) for row in rows})
    shelves = sorted({row["pairs"] for row in rows})
    figure = Figure(figsize=(7.6, 5.8))
    grid = figure.subplots(3, len(shapes), sharex=True, sharey="row", squeeze=False)
    for (facts, rank), (*above, below) in zip(shapes, grid.T, strict=True):
        here = [row for row in rows if (row["facts"], row["rank"]) == (facts, rank)]
        for axes, rules in zip(above, (MERGED, CHOSEN), strict=True):
            _accuracies(axes, here, rules, shelves)
        _crosstalk(below, [row for row in here if row["rule"] == "sum"], shelves)
        above[0].set_title(f"{facts:g} facts\nrank {rank:g}", fontsize=8)
    for axes, label in zip(grid[:, 0], LABELS, strict=True):
        axes.set_ylabel(label)
    for axes in grid[:2, 0]:
        axes.set(ylim=(-0.05, 1.05), yticks=[0, 0.5, 1])
    grid[0][0].set_xticks(range(len(shelves)), [f"{x:g}" for x in shelves])
    grid[0][0].set_xlim(-0.5, len(shelves) - 0.5)
    grid[2][0].set_yscale("log")
    grid[2][0].minorticks_off()
    for axes in grid[:, -1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    figure.supxlabel("pairs of adapters at once", fontsize=9)
    figure.suptitle(headline(by_rule), x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def headline(by_rule: Mapping[str, Sequence[Row]]) -> str:
    """The finding, if with other pairs noise always costs clearly less and gives less energy."""
    cells: dict[tuple[float, ...], list[Row]] = {}
    for row in lead(by_rule["sum"], by_rule["beside noise"], "two_hop", *SAME):
        if row["pairs"] > 1:
            more = {side: row[f"crosstalk_{side}"] - row[f"random_{side}"] for side in SIDES}
            cells.setdefault(tuple(row[name] for name in SAME[:3]), []).append({**row, **more})
    holds = all(
        interval(cell, "lead")[2] < 0 and all(interval(cell, side)[1] > 0 for side in SIDES)
        for cell in cells.values()
    )
    return FINDING if cells and holds else QUESTION


def _placed(places: Sequence[float], shelves: Sequence[float], shift: float) -> list[float]:
    return [shelves.index(place) + shift for place in places]


def _accuracies(axes: Any, rows: Sequence[Row], rules: Looks, shelves: Sequence[float]) -> None:
    """Measured as points, predicted as ticks; the base alone answers no edited chain."""
    for number, (rule, (mark, colour)) in enumerate(rules.items()):
        here = [row for row in rows if row["rule"] == rule]
        shift = 0.24 * (number - (len(rules) - 1) / 2)
        places, found = curve(here, "pairs", "two_hop")
        at = _placed(places, shelves, shift)
        told = line(here, "pairs", "predicted")
        axes.plot(at, told, "_", color=colour, ms=7, mew=1.4)
        bars(axes, at, found, fmt=mark, color=colour, ms=3.5, label=rule)
    axes.plot([], [], "_", color="black", ms=7, mew=1.4, label="predicted")
    chance = mean(rows, "chance")
    axes.axhline(chance, color="black", lw=0.8, ls=":", label="one answer always")


def _crosstalk(axes: Any, rows: Sequence[Row], shelves: Sequence[float]) -> None:
    for shift, side, colour in ((-0.12, "in", "#0072B2"), (0.12, "out", "#D55E00")):
        places, found = curve(rows, "pairs", f"crosstalk_{side}")
        at = _placed(places, shelves, shift)
        bars(axes, at, found, color=colour, ms=3.5, label=f"MLP {side}, measured")
        told = line(rows, "pairs", f"random_{side}")
        axes.plot(at, told, "_", color=colour, ms=9, mew=1.4, label=f"MLP {side}, if random")
    axes.axhline(TOLERATED, color="black", lw=0.8, ls="--", label="tolerated (theory)")
