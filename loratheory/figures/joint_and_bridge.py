"""One adapter for both hops, and examples of whole chains, plain or spelt out."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped

NUMBERS = (
    "coverage",
    "seed",
    "two_hop",
    "hop_1",
    "hop_2",
    "other_two_hop",
    "chance",
    "bridge_written",
    "written_out",
    "predicted",
    "predicted_written_out",
)
RULES = {
    "base": "base",
    "hop 1 alone": "adapter 1 alone",
    "hop 2 alone": "adapter 2 alone",
    "sum": "sum of both",
    "oracle placement": "depth oracle",
    "direct": "A→C adapter",
    "joint": "joint",
    "bridged, plain": "joint + examples",
    "bridged, written out": "joint + spelt out",
}
TITLE = "Does one adapter for both hops compose them, and do examples of chains help?"
NOTE = "Examples: 40 chains of other entities, outright or spelt out."
SPELT: strips.Look = {"color": "#CC79A7", "fmt": "v", "label": "bridge written"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw how each adapter answers edited chains, outright and when it may spell them out.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `joint_and_bridge`.

    Returns
    -------
    matplotlib.figure.Figure
        From above: answers given outright, spelt out, and what else is answered; a column a
        coverage of the base's pretraining.

    Raises
    ------
    TableError
        If the table lacks a column or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS)
    grouped(rows, "rule", RULES)
    both = [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows]
    coverages = sorted({row["coverage"] for row in rows})
    figure = Figure(figsize=(7.6, 6.6))
    grid = figure.subplots(3, len(coverages), sharex=True, sharey=True, squeeze=False)
    for (outright, spelt, beside), coverage in zip(grid.T, coverages, strict=True):
        here = strips.those(both, coverage=coverage)
        groups = strips.by(here, "rule", list(RULES))
        outright.set_title(f"{coverage:.0%} of chains in pretraining", fontsize=9)
        strips.chance(outright, here)
        # for an A→C adapter `predicted` is what it answers itself
        strips.versus(outright, strips.but(groups, "direct"), "two_hop", "predicted")
        strips.strip(outright, strips.only(groups, "direct"), "two_hop", **strips.MEASURED)
        strips.strip(spelt, groups, "bridge_written", shift=-0.25, **SPELT)
        strips.versus(spelt, groups, "written_out", "predicted_written_out")
        strips.strip(
            beside, strips.but(groups, "oracle placement"), "facts", shift=-0.15, **strips.FACTS
        )
        strips.strip(beside, groups, "other_two_hop", shift=0.15, **strips.KEPT)
    for axes in grid.flat:
        strips.framed(axes, list(RULES.values()))
    for axes, label in zip(grid[:, 0], ("asked outright", "spelt out", "what else"), strict=True):
        axes.set_ylabel(label)
    strips.titled(
        figure, TITLE, _answer(strips.those(rows, coverage=coverages[-1])) + NOTE, ncols=4
    )
    return figure


def _answer(rows: Sequence[Row]) -> str:
    """What each kind of teaching answers at one coverage."""
    joint, plain, oracle = (
        strips.share(rows, "two_hop", rule=rule)
        for rule in ("joint", "bridged, plain", "oracle placement")
    )
    spelt = strips.share(rows, "written_out", rule="bridged, written out")
    return (
        f"With {rows[0]['coverage']:.0%} of chains in pretraining: joint {joint}, with plain "
        f"examples {plain}, depth oracle {oracle}; spelt out after spelt-out examples {spelt}. "
    )
