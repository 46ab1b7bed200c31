"""Chains of two, three and four edited hops, answered from which merge coefficient on."""

from collections.abc import Sequence
from typing import Any

from loratheory.experiments import TableError
from loratheory.figures._means import bars, curve, line, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns
from loratheory.theorems.composition.two_read_region import threshold

WAYS = {
    "all adapters\nin every pass": ("k_hop", "predicted"),
    "each adapter\nin its own pass": ("oracle_placement", "oracle_inside"),
    "one relation asked\nat a time (theory: ½)": ("hop_by_hop", "each_hop"),
}
"""The rows of the figure: what was measured, and its prediction."""
CONTROLS = ("alone", "exchanged", "random")
NEEDED = (
    *("hops", "seed", "coefficient", "facts", "held_out", "chance", *CONTROLS),
    *(
        "k_hop",
        "predicted",
        "predicted_right",
        "oracle_placement",
        "oracle_inside",
        "oracle_inside_right",
    ),
    *("hop_by_hop", "each_hop", "each_hop_right"),
)
BLACK, ORANGE, BLUE, GREY = "#000000", "#D55E00", "#0072B2", "#777777"
NUMBERS = {2: "two", 3: "three", 4: "four"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw accuracies with 95 % intervals over base seeds against the merge coefficient.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `number_of_hops`.

    Returns
    -------
    matplotlib.figure.Figure
        A column each length, a row each way to ask; the root of ``c^K + c = 1`` (1/2 where one
        relation is asked at a time) as a dotted line.

    Raises
    ------
    TableError
        If a column is missing, or chains have but one hop.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    lengths = sorted({int(row["hops"]) for row in rows})
    if lengths[0] < 2:
        message = f"a chain of {lengths[0]} hop is a fact: draw the table of `number_of_hops`"
        raise TableError(message)
    figure = Figure(figsize=(7.6, 5.6))
    grid = figure.subplots(len(WAYS), len(lengths), sharex=True, sharey=True, squeeze=False)
    for length, panels in zip(lengths, grid.T, strict=True):
        here = [row for row in rows if row["hops"] == length]
        for axes, way in zip(panels, WAYS, strict=True):
            _panel(axes, here, way, threshold(1 if "hop_by_hop" in WAYS[way] else length))
        border = f"{threshold(length):.3f}".removeprefix("0")
        panels[0].set_title(f"{NUMBERS.get(length, length)} hops (theory: {border})\n ")
    for axes, way in zip(grid[:, 0], WAYS, strict=True):
        axes.set_ylabel(way)
    grid[0][0].set(ylim=(-0.05, 1.04), xlim=(-0.03, max(row["coefficient"] for row in rows) + 0.03))
    grid[0][0].set(yticks=[0, 0.5, 1])
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7.5)
    grid[-1][len(lengths) // 2].set_xlabel("merge coefficient of all adapters")
    figure.suptitle(
        "From which merge coefficient on is a chain of edited hops answered?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _panel(axes: Any, rows: Sequence[Row], way: str, border: float) -> None:
    """Chains as points; prediction, single facts, the base's ceiling and controls as lines."""
    measured, predicted = WAYS[way]
    axes.axvline(border, color=ORANGE, ls=":", lw=1.2, label="exact edits (theory)")
    places, found = curve(rows, "coefficient", measured)
    for name, look in (
        (predicted, {"color": ORANGE, "lw": 1.6, "label": "chains, predicted from margins alone"}),
        ("facts", {"color": BLUE, "lw": 1.2, "label": "single facts, measured"}),
    ):
        axes.plot(places, line(rows, "coefficient", name), **look)
    known = mean(rows, "held_out")
    axes.axhline(known, color=GREY, lw=0.8, ls=(0, (4, 2)), label="unedited chains, base")
    each = [line(rows, "coefficient", name) for name in CONTROLS]
    best = [max(means) for means in zip(*each, strict=True)]
    axes.plot(places, best, color=GREY, lw=0.8, label="best control")
    axes.axhline(mean(rows, "chance"), color=BLACK, lw=0.8, ls=":", label="one answer always")
    bars(axes, places, found, color=BLACK, ms=2.5, label="chains, measured")
    right = mean(rows, f"{predicted}_right")
    score = mean(rows, measured)
    told = f"right: theory {right:.0%}, majority {max(score, 1 - score):.0%}"
    axes.set_title(told, loc="right", fontsize=7, fontweight="normal", pad=2)
