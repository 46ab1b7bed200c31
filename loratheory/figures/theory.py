"""Figures of exact experiments: what theorems predict, and what simulated memories do."""

from functools import partial
from typing import TYPE_CHECKING, Any

from loratheory.figures._engine import Page, figure
from loratheory.figures._look import BLACK, BLUE, GREEN, GREY, INK, LINES, ORANGE, TAKEAWAY
from loratheory.theorems.composition.two_read_region import margin, threshold

if TYPE_CHECKING:
    import pandas as pd


@figure("coefficient hop_1 hop_2 two_hop")
def window(table: "pd.DataFrame") -> Page:
    """Margins of the new answers against the coefficient with which edits are merged.

    The curves are from the theorem, the points from the simulation.
    """
    title = "Both facts survive the merge from ½, their composition only from .618"
    return Page(table, title, [[partial(_margins, table)]], height=3.7, width=4.8)


def _margins(table: "pd.DataFrame", axes: Any) -> None:
    low, high = threshold(1), threshold(2)
    axes.axvspan(low, high, **TAKEAWAY)
    axes.axhline(0, color=INK, lw=0.9)
    fine = [0.29 + 0.72 * i / 200 for i in range(201)]
    for hops, colour, name in ((1, BLUE, "each fact alone"), (2, ORANGE, "both in one question")):
        heights = [margin((x,) * hops) for x in fine]
        axes.plot(fine, heights, color=colour, ls=LINES["predicted"], label=f"predicted: {name}")
    for column, sign, colour, name in (
        ("hop_1", {"marker": "o", "ms": 6.5, "mfc": "none"}, BLUE, "hop 1, simulated"),
        ("hop_2", {"marker": ".", "ms": 5}, BLUE, "hop 2, simulated"),
        ("two_hop", {"marker": "s", "ms": 4}, ORANGE, "both hops, simulated"),
    ):
        axes.plot(table["coefficient"], table[column], color=colour, ls="", label=name, **sign)
    axes.set(
        xlim=(0.29, 1.01),
        ylim=(-0.7, 1.05),
        xlabel="coefficient of each edit in the merge",
        ylabel="margin of the new answer",
    )
    ticks = {0.3: "0.3", 0.4: "0.4", low: "½\nmean", high: ".618", 0.7: "0.7", 0.8: "0.8"}
    axes.set_xticks([*ticks, 0.9, 1.0], [*ticks.values(), "0.9", "1\nsum"])
    inside = "single\nhops\npass,\ntwo-hop\nlost"
    axes.text((low + high) / 2, 1.0, inside, ha="center", va="top", weight="bold")
    axes.text(0.995, 0.03, "new answer ↑", ha="right", va="bottom")
    axes.text(0.995, -0.03, "old answer ↓", ha="right", va="top")


ANSWERS = {"unedited": "#D9D9D9", "halfway": "#9ECAE1", "composed": "#E69F00"}


@figure("c1 c2 unedited halfway composed")
def two_read_region(table: "pd.DataFrame") -> Page:
    """The plane of two merge coefficients: the winning answer, simulated and predicted."""
    title = "Weights that add to 1 never compose two edits; equal ones do from .618 on"
    return Page(table, title, [[partial(_plane, table)]], height=5.0, width=5.0)


def _plane(table: "pd.DataFrame", axes: Any) -> None:
    from matplotlib.colors import ListedColormap

    winners = table[list(ANSWERS)].to_numpy().argmax(axis=1)
    cells = table.assign(winner=winners).pivot_table("winner", "c2", "c1")
    across, up = cells.columns.to_numpy(), cells.index.to_numpy()
    top = across.max() + across.min()
    colours = ListedColormap(list(ANSWERS.values()))
    shades: dict[str, Any] = {"cmap": colours, "vmin": 0, "vmax": 2}
    axes.pcolormesh(across, up, cells.to_numpy(), edgecolor="white", lw=0.3, **shades)
    fine = [i * top / 240 for i in range(241)]
    lead = [[margin((x, y)) for x in fine] for y in fine]
    axes.contour(fine, fine, lead, levels=[0], colors=BLACK, linewidths=2, linestyles="--")
    axes.plot([0, top], [0, top], color=GREY, lw=0.8)
    axes.plot([0, 1], [1, 0], color=GREY, lw=0.8)
    low, high = 0.5, threshold(2)
    axes.plot([low, high], [low, high], color=ORANGE, lw=5, alpha=0.8, solid_capstyle="butt")
    look: dict[str, Any] = {"color": BLACK}
    for c, name, off in ((low, "mean", (-38, -3)), (high, ".618", (9, 2)), (1.0, "sum", (9, 2))):
        axes.plot(c, c, "o", ms=5, **look)
        axes.annotate(name, (c, c), off, textcoords="offset points", weight="bold", **look)
    axes.text(0.08, 0.94, "weights that add to 1", rotation=-45, rotation_mode="anchor", **look)
    axes.text(0.03, 1.17, "cells: simulated\ndashes: predicted", va="top", **look)
    axes.text(0.8, 1.07, "the composed answer", ha="center", **look)
    told = "half-way: old second fact\nabout the new bridge"
    axes.text(0.96, 0.3, told, ha="center", **look)
    axes.text(0.16, 0.6, "the old answer", ha="center", **look)
    axes.set(
        xlabel="c₁, coefficient of the first-hop edit",
        ylabel="c₂, coefficient of the second-hop edit",
        xlim=(0, top),
        ylim=(0, top),
        aspect="equal",
    )
    axes.grid(visible=False)


@figure("own rank disagreement truncation achieved")
def merge_floor(table: "pd.DataFrame") -> Page:
    """The two parts of the merge floor against the rank, by the share of energy that tasks own."""
    shares = sorted(table["own"].unique())
    panels = [partial(_floor, table[table["own"] == own], own) for own in shares]
    title = "What tasks do not share one adapter for all must lose, whatever its rank"
    return Page(table, title, [panels], height=3.0)


def _floor(table: "pd.DataFrame", own: float, axes: Any) -> None:
    rank, floor = table["rank"], table["disagreement"]
    axes.fill_between(rank, 0, floor, label="disagreement: no rank helps", **TAKEAWAY)
    top = floor + table["truncation"]
    axes.fill_between(rank, floor, top, color=BLUE, label="truncation: rank buys it back", lw=0)
    points = {"color": INK, "ms": 3, "clip_on": False}
    axes.plot(rank, table["achieved"], "o", label="achieved by the truncated mean", **points)
    axes.plot(rank, top, color=INK, lw=1, ls=LINES["predicted"], label="predicted floor")
    axes.set(xlabel="rank of the one adapter", xlim=(0, rank.max()), ylim=(0, 1.02))
    axes.set_title(f"each task's own: {own:.0%}")
    axes.set_ylabel("error / energy")
    axes.grid(visible=False)


@figure("family flat target_depth depth rank bound value")
def expressive_power(table: "pd.DataFrame") -> Page:
    """Relative error of adapters against the rank: bound (dashes) and construction (points)."""
    gaussian, flat = (
        partial(_errors, table[table["flat"] == kind], name)
        for kind, name in enumerate(("Gaussian target", "flat spectrum"))
    )
    relu = [partial(gaussian, f"ReLU, {depth}-layer target", 1, depth) for depth in (1, 2, 4)]
    attention = partial(gaussian, "attention products", 2, None)
    rows = [[partial(gaussian, "linear", 0, 1), partial(flat, "linear", 0, 1), attention], relu]
    title = (
        "In linear and ReLU layers each doubling of the depth halves the rank from which errors "
        "are none"
    )
    return Page(table, title, rows, height=4.6)


def _errors(
    table: "pd.DataFrame", kind: str, title: str, family: int, target: int | None, axes: Any
) -> None:
    """One colour a depth; in the band errors are none."""
    cells = table[table["family"] == family]
    cells = cells if target is None else cells[cells["target_depth"] == target]
    names = ("2 layers a target layer, or 1 block", "4, or 2 blocks", "8, or 4 blocks")
    looks = zip((BLUE, ORANGE, GREEN), "os^", names, strict=True)
    for (_, rows), (colour, sign, name) in zip(cells.groupby("depth"), looks, strict=False):
        axes.plot(rows["rank"], rows["bound"], color=colour, lw=1.2, ls=LINES["predicted"])
        axes.plot(rows["rank"], rows["value"], sign, color=colour, ms=3.2, label=name)
    axes.plot([], [], color=INK, lw=1.2, ls=LINES["predicted"], label="predicted bound")
    axes.axhspan(-0.08, 0.08, **TAKEAWAY)
    axes.set_title(f"{title}\n{kind}")
    axes.set(xlim=(0, 17), ylim=(-0.1, 1.6), xlabel="rank", ylabel="relative error")
