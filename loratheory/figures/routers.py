"""What routers give the adapters that a chain's two reads need, and what they answer with it."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped
from loratheory.theorems.composition.two_read_region import threshold

NUMBERS = (
    "pairs",
    "seed",
    "two_hop",
    "other_two_hop",
    "chance",
    "weight_1",
    "weight_2",
    "expected",
    "predicted",
)
RULES = (
    "base",
    "sum",
    "uniform",
    "arrow",
    "arrow, power",
    "arrow, peft",
    "subspace",
    "norm",
    "norm, soft",
    "norm, z",
    "gates",
    "best one",
    "best by read",
    "oracle placement",
)
TITLE = "Do routers choose the wrong adapter, or give the right one too little?"
NOTE = (
    "Predicted: a chain is answered where the weights below, times the strength of each adapter "
    "alone, are enough at both reads, as often as the base answers unseen chains."
)
READ_1: strips.Look = {
    "color": "#0072B2",
    "fmt": "^",
    "label": "right adapter's weight, read 1",
}
READ_2: strips.Look = {"color": "#CC79A7", "fmt": "v", "label": "the same, read 2"}
ARROW: strips.Look = {
    "marker": "s",
    "color": "#D55E00",
    "label": "Arrow right twice, by theory",
}
NEED: strips.Look = {
    "color": "#D55E00",
    "ls": "--",
    "lw": 1,
    "label": "needed at both reads, exact edits",
}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the chains answered under each router, and the weights that its reads were given.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `routers`.

    Returns
    -------
    matplotlib.figure.Figure
        Above chains, edited and not, below weights; a column a size of shelf.

    Raises
    ------
    TableError
        If the table lacks a column or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS)
    grouped(rows, "rule", RULES)
    shelves = sorted({row["pairs"] for row in rows})
    figure = Figure(figsize=(7.6, 6.4))
    grid = figure.subplots(2, len(shelves), sharex=True, sharey=True, squeeze=False)
    for (above, below), pairs in zip(grid.T, shelves, strict=True):
        here = strips.those(rows, pairs=pairs)
        groups = strips.by(here, "rule", RULES)
        above.set_title(f"{2 * pairs:g} adapters", fontsize=9)
        strips.chance(above, here)
        strips.strip(above, groups, "other_two_hop", shift=0.2, **{**strips.KEPT, "ms": 2.5})
        strips.marks(above, strips.only(groups, "arrow"), "expected", **ARROW)
        strips.versus(above, groups, "two_hop", "predicted")
        below.axvline(threshold(2), **NEED)
        strips.strip(below, groups, "weight_1", shift=-0.15, **READ_1)
        strips.strip(below, groups, "weight_2", shift=0.15, **READ_2)
        strips.framed(above, RULES)
        strips.framed(below, RULES)
    grid[0][0].set_ylabel("chains answered")
    grid[1][0].set_ylabel("weight given")
    strips.titled(figure, TITLE, _answer(rows, shelves[-1]) + NOTE, ncols=3)
    return figure


def _answer(rows: Sequence[Row], pairs: float) -> str:
    """What the reads of the largest shelf get, and what is answered with it."""
    first, second, chains = (
        strips.share(rows, column, pairs=pairs, rule="arrow")
        for column in ("weight_1", "weight_2", "two_hop")
    )
    gates = strips.share(rows, "two_hop", pairs=pairs, rule="gates")
    return (
        f"With {2 * pairs:g} adapters the right one gets {first} of Arrow's weight at read 1, "
        f"{second} at read 2; {chains} of the edited chains are answered, with gates {gates}. "
    )
