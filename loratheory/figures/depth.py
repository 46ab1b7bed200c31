"""Edited chains of bases that read their weights once, twice in two layers, or twice in one."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._means import interval
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

WORDS = ("reads", "rule")
NUMBERS = (
    "seed",
    "two_hop",
    "hop_1",
    "hop_2",
    "other_two_hop",
    "chance",
    "circuit",
    "patterns",
    "ceiling",
)
READS = ("one layer", "two layers", "one layer twice", "one layer twice, window 2")
RULES = (
    "base",
    "hop 1 alone",
    "hop 2 alone",
    "mean",
    "sum",
    "arrow",
    "gates",
    "oracle placement",
    "best pattern",
)
PLACED = "oracle placement"
NO_FACTS = (PLACED, "best pattern")
TITLE = "Who composes two edits: one read of the weights, or two?"
NOTE = (
    "Predicted: one read stays below its ceiling; two reads compose as far as the base "
    "does on chains that it never saw, and no further."
)
CIRCUIT: strips.Look = {"color": "#D55E00", "ls": "--", "lw": 1.2, "label": "base, unseen chains"}
CEILING: strips.Look = {"marker": "<", "label": "ceiling of one read"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what each rule answers, by how often the base reads its weights.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `depth`.

    Returns
    -------
    matplotlib.figure.Figure
        Above the edited chains and what theory allows, below what else is answered; a column a
        base.

    Raises
    ------
    TableError
        If the table lacks a column or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS)
    words(rows, *WORDS)
    grouped(rows, "rule", RULES)
    both = [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows]
    bases = {name: here for name, here in strips.by(both, "reads", READS).items() if here}
    figure = Figure(figsize=(7.6, 5.0))
    grid = figure.subplots(2, len(bases), sharex=True, sharey=True, squeeze=False)
    for (above, below), (name, here) in zip(grid.T, bases.items(), strict=True):
        groups = strips.by(here, "rule", RULES)
        above.set_title(name.replace(", ", ",\n"), fontsize=9)
        strips.chance(above, here)
        above.axvline(interval(here, "circuit")[0], **CIRCUIT)
        if min(row["ceiling"] for row in here) < 1:
            strips.marks(above, groups, "ceiling", **CEILING)
        strips.strip(above, groups, "two_hop", **strips.MEASURED)
        strips.strip(below, strips.but(groups, *NO_FACTS), "facts", shift=-0.15, **strips.FACTS)
        asked = strips.but(groups, "best pattern")  # its patterns are chosen for edited chains
        strips.strip(below, asked, "other_two_hop", shift=0.15, **strips.KEPT)
        strips.framed(above, RULES)
        strips.framed(below, RULES)
    grid[0][0].set_ylabel("edited chains")
    grid[1][0].set_ylabel("what else is answered")
    strips.titled(figure, TITLE, _answer(bases) + NOTE, ncols=4)
    return figure


def _answer(bases: strips.Groups) -> str:
    """How far each base gets with every adapter in its own place."""
    told = [f"{strips.share(here, 'two_hop', rule=PLACED)} in {n}" for n, here in bases.items()]
    return f"Each adapter in its own place answers {'; '.join(told)}. "
