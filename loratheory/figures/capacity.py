"""Facts recalled by a sum of adapters, and by one adapter that learned them all."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

NUMBERS = (
    "rank",
    "pairs",
    "facts",
    "seed",
    "two_hop",
    "other_two_hop",
    "chance",
    "recall",
    "predicted",
    "crosstalk",
)
RULES = {
    "base": "base",
    "noise": "random, summed",
    "mean": "mean of K",
    "sum": "sum of K",
    "one": "one of rank r",
    "wide": "one of rank K r",
    "pair alone": "own pair alone",
    "oracle placement": "depth oracle",
}
TITLE = "Does a sum of K adapters of rank r recall like one of rank r, or of rank K r?"
NOTE = "Predicted for the sum: what one adapter of rank r recalls that was taught all facts."
CHAINS: strips.Look = {"color": "#CC79A7", "fmt": "v", "label": "edited chains"}
SPREAD: strips.Look = {"marker": "s", "label": "cross-talk by theory (standard deviation)"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw how much each way of holding all facts recalls, and what that does to chains.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `capacity`.

    Returns
    -------
    matplotlib.figure.Figure
        Above recall, below chains and the cross-talk; a column a rank and number of adapters.

    Raises
    ------
    TableError
        If the table lacks a column or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS)
    grouped(rows, "rule", RULES)
    spread = [{**row, "spread": row["crosstalk"] ** 0.5} for row in rows]
    places = sorted({(row["rank"], row["pairs"]) for row in rows})
    figure = Figure(figsize=(7.6, 4.6))
    grid = figure.subplots(2, len(places), sharex=True, sharey=True, squeeze=False)
    for (above, below), (rank, pairs) in zip(grid.T, places, strict=True):
        here = strips.those(spread, rank=rank, pairs=pairs)
        groups = strips.by(here, "rule", list(RULES))
        above.set_title(f"K = {pairs:g}, r = {rank:g}", fontsize=9)
        strips.versus(above, strips.only(groups, "sum"), "recall", "predicted")
        strips.strip(above, strips.but(groups, "sum"), "recall", **strips.MEASURED)
        strips.chance(above, here)
        # the column leaves out the factor 1/K of the mean
        strips.marks(below, strips.but(groups, "mean"), "spread", **SPREAD)
        strips.strip(below, groups, "two_hop", shift=-0.15, **CHAINS)
        strips.strip(below, groups, "other_two_hop", shift=0.15, **strips.KEPT)
        strips.framed(above, list(RULES.values()))
        strips.framed(below, list(RULES.values()))
    grid[0][0].set_ylabel("taught facts recalled")
    grid[1][0].set_ylabel("chains, and cross-talk")
    fullest = max(places, key=lambda place: place[1] / place[0])
    strips.titled(figure, TITLE, _answer(rows, *fullest) + NOTE, ncols=4)
    return figure


def _answer(rows: Sequence[Row], rank: float, pairs: float) -> str:
    """What is recalled with this rank and this many adapters."""
    sums, one, wide = (
        strips.share(rows, "recall", rank=rank, pairs=pairs, rule=rule)
        for rule in ("sum", "one", "wide")
    )
    return (
        f"With K = {pairs:g} and r = {rank:g} the sum recalls {sums}, one adapter of rank r {one}, "
        f"one of rank K r {wide}. "
    )
