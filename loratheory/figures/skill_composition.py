"""Which two skills compose: a map of ordered pairs for each base and way of reuse."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loratheory.figures._means import mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

KINDS = {
    "single steps": "single steps\nof all skills",
    "problems": "also two steps\nof other skills",
    "half the pairs": "also half of the\npairs: the others",
    "shown": "and the pairs\nthat were shown",
}
"""Rows: what bases have seen; of those that were shown half of the pairs, these are a row apart."""
RULES = {
    "base": "the base\nalone",
    "mean": "mean",
    "sum": "sum",
    "gates": "calibrated\ngates",
    "joint": "joint\ntraining",
    "composed": "trained on\nthe task",
}
"""Columns: how the two adapters are reused, and ceilings."""
SIGNS = {"multiply": "×", "divide": "÷", "percent": "%"}
LIGHT = 0.55


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the share of problems solved step by step, for every ordered pair of skills.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `skill_composition`.

    Returns
    -------
    matplotlib.figure.Figure
        A row each base, a column each way of reuse; in each map the first step's skill runs down
        and the second's to the right. Means over base seeds.

    Raises
    ------
    TableError
        If a column or a rule is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "shown", "stepwise")
    words(rows, "kind", "rule", "first", "second")
    grouped(rows, "rule", RULES)
    skills = list(dict.fromkeys(row["first"] for row in rows))
    rows = [{**row, "kind": "shown"} if row["shown"] else row for row in rows]
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    figure = Figure(figsize=(8.2, 1.4 + 1.08 * len(kinds)))
    grid = figure.subplots(len(kinds), len(RULES), sharex=True, sharey=True, squeeze=False)
    image: Any = None
    for kind, panels in zip(kinds, grid, strict=True):
        for rule, axes in zip(RULES, panels, strict=True):
            here = [row for row in rows if row["kind"] == kind and row["rule"] == rule]
            image = _map(axes, here, skills)
        panels[0].set_ylabel(KINDS[kind], rotation=0, ha="right", va="center", labelpad=6)
    for axes, told in zip(grid[0], RULES.values(), strict=True):
        axes.set_title(told, fontsize=8.5)
    figure.colorbar(image, ax=grid, shrink=0.6, label="solved, all steps right", ticks=[0, 0.5, 1])
    figure.supxlabel(
        "down: skill of the first step; to the right: of the second, which takes its result",
        fontsize=9,
    )
    figure.suptitle(
        "Which pairs of skills compose, and must the base have seen them together?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _map(axes: Any, rows: Sequence[Row], skills: Sequence[str]) -> Any:
    """One map, with numbers where there are any."""
    count = len(skills)
    found = np.full((count, count), np.nan)
    for i, first in enumerate(skills):
        for j, second in enumerate(skills):
            here = [row for row in rows if (row["first"], row["second"]) == (first, second)]
            if not here:
                continue
            found[i, j] = mean(here, "stepwise")
            colour = "black" if found[i, j] > LIGHT else "white"
            told = f"{found[i, j]:.2f}".replace("0.", ".")
            axes.text(j, i, told, ha="center", va="center", fontsize=7.5, color=colour)
    image = axes.imshow(found, vmin=0, vmax=1, cmap="cividis")
    short = [SIGNS.get(skill, skill) for skill in skills]
    axes.set(xticks=range(count), yticks=range(count))
    axes.set_xticklabels(short, fontsize=9)
    axes.set_yticklabels(short, fontsize=9)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    return image
