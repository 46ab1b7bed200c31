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
LOOKS = (
    (-0.3, "#000000", "o"),
    (-0.1, "#D55E00", "s"),
    (0.1, "#0072B2", "^"),
    (0.3, "#009E73", "v"),
)
"""Of the numbers of pairs, the least first."""
PANELS = {
    "chains": "person to animal",
    "facts": "single facts",
    "known": "known facts",
}


WATCHED = 4
"""Pairs whose weights are shown."""
ROUTERS = {"gates, z = 2": "gates", "Arrow": "Arrow"}
SENTENCES = {"six": "six for all", "one": "one for all", "own": "one each"}
WEIGHTS: dict[str, strips.Look] = {
    "own_weight": {"color": "#000000", "fmt": "o", "label": "adapter of the fact"},
    "alike_weight": {"color": "#D55E00", "fmt": "s", "label": "other pairs', same hop"},
    "other_weight": {"color": "#777777", "fmt": "x", "label": "of the other hop"},
}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what a library answers, by the way it is used, and how its adapters are weighed.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_shelf`.

    Returns
    -------
    matplotlib.figure.Figure
        Above, a column each for chains, single facts and what the base knew, a row a way; means
        over seeds, pairs averaged within each. Below, weights on right and wrong adapters, and
        single facts, by the sentences of four pairs.

    Raises
    ------
    TableError
        If the table lacks a column, a way or a kind of sentences.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "pair", "pairs", "chains", "hop_1", "hop_2", "known", *WEIGHTS)
    told = [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows]
    texts = grouped(told, "sentences", SENTENCES)
    grouped(texts["six"], "way", WAYS)
    figure = Figure(figsize=(7.2, 6.6))
    halves: Any = figure.subfigures(2, 1, height_ratios=[2.5, 1])
    _answers(halves[0], texts["six"])
    _weights(halves[1], strips.those(told, pairs=WATCHED))
    title = "Several pairs of adapters at once on SmolLM2-135M; dotted: chance"
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def _answers(figure: Any, rows: Sequence[Row]) -> None:
    """A panel a kind of question, a line a way, a mark a number of pairs."""
    counts = sorted({row["pairs"] for row in rows})
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for count, (shift, colour, mark) in zip(counts, LOOKS, strict=False):
            groups = strips.by(strips.those(rows, pairs=count), "way", list(WAYS))
            label = f"{count:g} pair{'s' * (count > 1)} at once"
            look = {"color": colour, "fmt": mark, "label": label}
            strips.strip(axes, groups, column, shift=shift, **look)
        strips.framed(axes, list(WAYS.values()))
        if column != "known":
            axes.axvline(CHANCE, color="black", ls=":", lw=1)
        axes.axhline(len(WAYS) - 2.5, color="#777777", lw=0.6)
        axes.set_title(title, fontsize=9)
    _legend(panels[0], figure)


def _weights(figure: Any, rows: Sequence[Row]) -> None:
    """How much a router gives right and wrong adapters, and the single facts that are left."""
    lines = {
        f"{name}, {text}": strips.those(rows, way=way, sentences=kind)
        for way, name in ROUTERS.items()
        for kind, text in SENTENCES.items()
    }
    panels = figure.subplots(1, 2, sharey=True)
    for shift, (column, look) in zip((-0.2, 0.0, 0.2), WEIGHTS.items(), strict=True):
        strips.strip(panels[0], lines, column, shift=shift, **look)
    strips.strip(panels[1], lines, "facts", **strips.MEASURED)
    titles = (f"mean weight when asked, {WATCHED} pairs", "single facts, by sentences")
    for axes, title in zip(panels, titles, strict=True):
        strips.framed(axes, list(lines))
        axes.set_title(title, fontsize=9)
    panels[0].set_xticks([0, 0.25, 0.5], ["0", "¼", "½"])
    panels[0].set_xlim(0, 0.5)
    panels[1].axvline(CHANCE, color="black", ls=":", lw=1)
    _legend(panels[0], figure)


def _legend(axes: Any, figure: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
