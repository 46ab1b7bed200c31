"""Reuse against the share of solution templates that two adapters have in common."""

from collections.abc import Sequence
from typing import Any

from loratheory.experiments.bench.problems import share_needed
from loratheory.figures._means import bars, curve, interval, line, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

RULES = {"mean": ("#0072B2", "o", 0.5), "sum": ("#D55E00", "s", 1.0)}
"""The merges that the theory speaks of: colour, mark, coefficient."""
OTHERS = {"ties": ":", "arrow": "--", "gates": "-"}
GREY, BLACK, GREEN = "#777777", "#000000", "#009E73"
BASES = {
    "single steps": "base of single steps",
    "problems": "base of two steps",
}
BRIDGES = {
    "serial": "shared: both skills,\nin the other order",
    "neutral": "shared: two steps\nof other skills",
    "own": "shape alone: two steps\nof each one's own skill",
}
NEEDED = (*RULES, *OTHERS, "base", "composed", "first alone", "second alone")


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what is solved step by step against the share of two-step problems in each lesson.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `template_overlap`.

    Returns
    -------
    matplotlib.figure.Figure
        A row each base, a column each kind of two-step problems; 95 % intervals over base seeds;
        the borders of ``thm:template-vote``, right of which the vote is won, as vertical lines.

    Raises
    ------
    TableError
        If a column or a rule is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "share", "stepwise")
    words(rows, "kind", "bridge", "rule")
    grouped(rows, "rule", NEEDED)
    kinds = [kind for kind in BASES if any(row["kind"] == kind for row in rows)]
    figure = Figure(figsize=(7.6, 1.7 + 2.1 * len(kinds)))
    grid = figure.subplots(len(kinds), len(BRIDGES), sharex=True, sharey=True, squeeze=False)
    for kind, panels in zip(kinds, grid, strict=True):
        for bridge, axes in zip(BRIDGES, panels, strict=True):
            here = [
                row for row in rows if row["kind"] == kind and row["bridge"] in (bridge, "none")
            ]
            _panel(axes, here, habit=kind != "single steps")
        panels[0].set_ylabel(f"{BASES[kind]}:\nsolved, all steps right")
    for axes, told in zip(grid[0], BRIDGES.values(), strict=True):
        axes.set_title(told, fontsize=8.5)
    for axes in grid[-1]:
        axes.set_xlabel("share of problems in two steps")
    grid[0][0].set(ylim=(-0.04, 1.04), xlim=(-0.04, 1.04), xticks=[0, 0.25, 0.5, 1])
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7.5)
    figure.suptitle(
        "How much must two adapters share before their merge solves what needs both?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _panel(axes: Any, rows: Sequence[Row], *, habit: bool) -> None:
    """Merges as points, other rules and ceilings as lines, theory's borders upright."""
    by = grouped(rows, "rule", NEEDED)
    for rule, (colour, mark, coefficient) in RULES.items():
        border = share_needed(coefficient, habit=habit)
        axes.axvline(border, color=colour, ls=":", lw=1.1, label=f"vote won from here: {rule}")
        places, found = curve(by[rule], "share", "stepwise")
        axes.plot(places, [middle for middle, *_ in found], color=colour, lw=1.2)
        bars(axes, places, found, color=colour, fmt=mark, label=rule)
    for rule, look in OTHERS.items():
        places = sorted({row["share"] for row in by[rule]})
        axes.plot(
            places, line(by[rule], "share", "stepwise"), color=GREY, ls=look, lw=1.1, label=rule
        )
    ceiling = interval(by["composed"], "stepwise")[0]
    axes.axhline(ceiling, color=GREEN, ls=":", lw=1, label="trained on the task")
    alone = max(mean(by[name], "stepwise") for name in ("base", "first alone", "second alone"))
    axes.axhline(alone, color=BLACK, ls=":", lw=0.8, label="base or one adapter")
