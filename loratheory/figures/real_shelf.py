"""Several pairs of adapters at once on a language model: what each way of using them answers."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

CHANCE = 0.05
WAYS = {
    "base": "base alone",
    "mean": "mean of all",
    "sum": "all, at 1",
    "KnOTS": "KnOTS, with TIES",
    "interpolating": "interpolating merge",
    "PEFT's Arrow": "Arrow, by PEFT",
    "Arrow": "Arrow, exact",
    "gates, z = 2": "gates, maps",
    "block gates, z = 2": "gates, blocks",
    "sum, cut": "cut at the middle",
    "gates, z = 2, cut": "gates, maps, and cut",
    "alone": "right pair only",
    "alone, cut": "right pair only, cut",
}
LOOKS = ((-0.22, "#000000", "o"), (0.0, "#D55E00", "s"), (0.22, "#0072B2", "^"))
"""Of the numbers of pairs, the least first."""
PANELS = {
    "chains": "person to animal",
    "facts": "single facts",
    "known": "known facts",
}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what a library answers, by the way it is used.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_shelf`.

    Returns
    -------
    matplotlib.figure.Figure
        A column each for chains, single facts and what the base knew, a row a way; means over
        seeds, pairs averaged within each.

    Raises
    ------
    TableError
        If the table lacks a column or a way.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "pair", "pairs", "chains", "hop_1", "hop_2", "known")
    grouped(rows, "way", WAYS)
    told = [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows]
    counts = sorted({row["pairs"] for row in rows})
    figure = Figure(figsize=(7.2, 4.6))
    for axes, (column, title) in zip(
        figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True
    ):
        for count, (shift, colour, mark) in zip(counts, LOOKS, strict=False):
            groups = strips.by(strips.those(told, pairs=count), "way", list(WAYS))
            look = {
                "color": colour,
                "fmt": mark,
                "label": f"{count:g} pair{'s' * (count > 1)} at once",
            }
            strips.strip(axes, groups, column, shift=shift, **look)
        strips.framed(axes, list(WAYS.values()))
        if column != "known":
            axes.axvline(CHANCE, color="black", ls=":", lw=1)
        axes.axhline(len(WAYS) - 2.5, color="#777777", lw=0.6)
        axes.set_title(title, fontsize=9)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    title = "Several pairs of adapters at once on SmolLM2-135M; dotted: chance"
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure
