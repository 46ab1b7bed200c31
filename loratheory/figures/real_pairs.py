"""Several pairs of adapters at once on a language model: what they answer, and which are on."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

CHANCE = 1 / 12
WAYS = {
    "base": "base alone",
    "mean": "mean of all",
    "sum": "all, at 1",
    "knots": "KnOTS, with TIES",
    "interpolating": "interpolating merge",
    "arrow, peft": "Arrow, by PEFT",
    "arrow": "Arrow, exact",
    "gates, z = 2": "gates, maps",
    "block gates, z = 2": "gates, blocks",
    "largest response norm": "loudest pair",
    "sum, layer split": "cut at the middle",
    "gates, z = 2, layer split": "gates, maps, and cut",
    "largest response norm, layer split": "loudest pair, cut",
    "pair alone": "right pair only",
    "pair alone, layer split": "right pair only, cut",
}
LOOKS = (
    (-0.3, "#000000", "o"),
    (-0.1, "#D55E00", "s"),
    (0.1, "#0072B2", "^"),
    (0.3, "#009E73", "v"),
)
"""Of the numbers of pairs, the least first."""
PANELS = {
    "two_hop": "person to animal",
    "facts": "single facts",
    "other_facts": "known facts",
}


WATCHED = 4
"""Pairs whose weights are shown."""
RULES = ("arrow", "gates, z = 2", "largest response norm")
WEIGHTS: dict[str, strips.Look] = {
    "own_1": {"color": "#000000", "fmt": "o", "label": "right pair"},
    "others_1": {"color": "#D55E00", "fmt": "s", "label": "each other pair"},
}
HOPS = {"1": "weight of hop 1 on chains", "2": "weight of hop 2 on chains"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what a library answers, by the way it is used, and how its adapters are weighed.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_pairs`.

    Returns
    -------
    matplotlib.figure.Figure
        Above, a column each for chains, single facts and what the base knew, a row a way; means
        over seeds, pairs averaged within each. Below, weights of right and wrong adapters when
        chains are asked, with four pairs.

    Raises
    ------
    TableError
        If the table lacks a column or a way.
    """
    from matplotlib.figure import Figure

    weights = [f"{name[:-1]}{hop}" for name in WEIGHTS for hop in HOPS]
    columns(rows, "seed", "pair", "pairs", "two_hop", "hop_1", "hop_2", "other_facts", *weights)
    grouped(rows, "rule", WAYS)
    figure = Figure(figsize=(7.2, 6.2))
    halves: Any = figure.subfigures(2, 1, height_ratios=[3.2, 1])
    _answers(halves[0], [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows])
    _weights(halves[1], strips.by(strips.those(rows, pairs=WATCHED), "rule", RULES))
    title = "Several pairs of adapters at once on SmolLM2-135M; dotted: chance"
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def _answers(figure: Any, rows: Sequence[Row]) -> None:
    """A panel a kind of question, a line a way, a mark a number of pairs."""
    counts = sorted({row["pairs"] for row in rows})
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for count, (shift, colour, mark) in zip(counts, LOOKS, strict=False):
            groups = strips.by(strips.those(rows, pairs=count), "rule", list(WAYS))
            label = f"{count:g} pair{'s' * (count > 1)} at once"
            look = {"color": colour, "fmt": mark, "label": label}
            strips.strip(axes, groups, column, shift=shift, **look)
        strips.framed(axes, list(WAYS.values()))
        if column != "other_facts":
            axes.axvline(CHANCE, color="black", ls=":", lw=1)
        axes.axhline(len(WAYS) - 2.5, color="#777777", lw=0.6)
        axes.set_title(title, fontsize=9)
    _legend(panels[0], figure)


def _weights(figure: Any, groups: strips.Groups) -> None:
    """How much rules give to the right pair and to each other, hop by hop."""
    panels = figure.subplots(1, len(HOPS), sharey=True)
    for axes, (hop, title) in zip(panels, HOPS.items(), strict=True):
        for shift, (column, look) in zip((-0.15, 0.15), WEIGHTS.items(), strict=True):
            strips.strip(axes, groups, f"{column[:-1]}{hop}", shift=shift, **look)
        strips.framed(axes, [f"{WAYS[rule]}, {WATCHED} pairs" for rule in RULES])
        axes.set_title(title, fontsize=9)
    _legend(panels[0], figure)


def _legend(axes: Any, figure: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
