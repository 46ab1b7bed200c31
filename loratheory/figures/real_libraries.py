"""Libraries on a language model: with and without an expert, by familiarity; chains said aloud."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

CHANCE = 0.05
PANELS = {
    "fake": "F: all invented",
    "half": "H: countries real",
    "real": "R: all known",
}
WAYS = {
    "base": "base",
    "hop 1 alone": "A→B alone",
    "hop 2 alone": "B→C alone",
    "expert": "A→C alone",
    "mean": "mean",
    "sum": "sum",
    "arrow": "Arrow, exact",
    "gates, z = 2": "gates, z = 2",
    "layer split": "cut at the middle",
}
LIBRARIES: dict[float, strips.Look] = {
    1: {"color": "#777777", "fmt": "s", "label": "base, or one adapter"},
    2: {"color": "#000000", "fmt": "o", "label": "A→B and B→C"},
    3: {"color": "#CC79A7", "fmt": "D", "label": "A→B, B→C and the expert A→C"},
}
TAUGHT = {
    "all layers": "facts only",
    "form for hop 1": "and a form, A→B",
    "form for hop 2": "and a form, B→C",
    "shared form": "and a form, both",
}
SOLVED: dict[str, strips.Look] = {
    "two_hop": {"color": "#000000", "fmt": "o", "label": "at once"},
    "two_hop_written": {"color": "#0072B2", "fmt": "^", "label": "bridge said first"},
    "two_hop_form": {"color": "#D55E00", "fmt": "v", "label": "bridge said after the question"},
}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what libraries answer of chains, by familiarity, way and form of solution.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_libraries`.

    Returns
    -------
    matplotlib.figure.Figure
        Above, a panel a familiarity, a row a way, a mark a library; below, half-fake chains asked
        at once and aloud, by what adapters read beside their facts.

    Raises
    ------
    TableError
        If the table lacks a column, a familiarity, a way or a lesson.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "library", *SOLVED)
    lessons = grouped(rows, "trained", TAUGHT)
    facts = grouped(lessons["all layers"], "familiarity", PANELS)
    figure = Figure(figsize=(7.6, 5.4))
    halves: Any = figure.subfigures(2, 1, height_ratios=[1.75, 1])
    above, below = halves
    upper = above.subplots(1, len(PANELS), sharey=True)
    for axes, (name, title) in zip(upper, PANELS.items(), strict=True):
        grouped(facts[name], "rule", WAYS)
        _libraries(axes, facts[name])
        axes.set_title(title, fontsize=9)
    _legend(upper[0], above, len(LIBRARIES))
    lower = below.subplots(1, 2, sharey=True)
    for axes, way in zip(lower, ("mean", "sum"), strict=True):
        for shift, (column, look) in zip((-0.2, 0, 0.2), SOLVED.items(), strict=True):
            groups = {
                name: strips.those(lessons[name], familiarity="half", library=2, rule=way)
                for name in TAUGHT
            }
            strips.strip(axes, groups, column, shift=shift, **look)
        strips.framed(axes, list(TAUGHT.values()))
        axes.axvline(CHANCE, color="black", ls=":", lw=1)
        axes.set_title(f"H, {way} of A→B and B→C", fontsize=9)
    _legend(lower[0], below, len(SOLVED))
    figure.suptitle(
        "Chains from libraries on SmolLM2-135M; dotted: chance",
        x=0.01,
        ha="left",
        weight="bold",
        fontsize=10,
    )
    return figure


def _libraries(axes: Any, rows: Sequence[Row]) -> None:
    """A mark for each library and way."""
    for size, look in LIBRARIES.items():
        here = [row for row in rows if max(row["library"], 1) == size]
        shift = {2: -0.15, 3: 0.15}.get(int(size), 0.0)
        strips.strip(axes, strips.by(here, "rule", list(WAYS)), "two_hop", shift=shift, **look)
    strips.framed(axes, list(WAYS.values()))
    axes.axvline(CHANCE, color="black", ls=":", lw=1)
    axes.axhline(3.5, color="#777777", lw=0.6)


def _legend(axes: Any, figure: Any, ncols: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, fontsize=8)
