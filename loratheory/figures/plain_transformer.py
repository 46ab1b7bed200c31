"""How a plain transformer comes to compose, and what its adapters answer by where they are."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._means import bars, curve, interval
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

NUMBERS = ("stage", "seed", "two_hop", "hop_1", "hop_2", "predicted", "inside", "chance")
GROWN = {
    "facts": ("single facts", "#000000", "o"),
    "trained": ("chains it is trained on", "#0072B2", "s"),
    "held_out": ("held-out chains", "#D55E00", "D"),
    "first_unseen": ("first fact in no trained chain", "#009E73", "^"),
    "second_unseen": ("second fact in none", "#CC79A7", "v"),
    "both_unseen": ("neither in any", "#777777", "x"),
}
LAYERS = {
    "together": "in both layers\nat once",
    "own": "each in\nits own layer",
    "each": "once in\neach layer",
}
RULES = {
    "mean": "mean",
    "sum": "sum",
    "oracle placement": "sum, each in its layer",
    "reversed placement": "sum, layers swapped",
    "block gates, z = 0": "block gates, z = 0",
    "block gates, z = 2": "block gates, z = 2",
    "sum, second pass": "sum, second pass",
    "sum, hop by hop": "sum, hop by hop",
}
GATES = ("block gates, z = 0", "block gates, z = 2")
"""Of these nothing was predicted."""
FACTS: strips.Look = {"color": "#0072B2", "fmt": "^", "label": "edited facts"}
INSIDE: strips.Look = {
    "color": "#777777",
    "ls": "--",
    "lw": 1.2,
    "label": "both edits in force alone",
}
COMPOSES = "A plain transformer composes its own facts, and edits only where a chain reads them"
QUESTION = "Does a plain transformer compose edits as it composes its own facts?"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw how the base learns, and at its last stage what every rule answers.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `plain_transformer`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, kinds of questions that the base answers against its steps; then a column each
        choice of layers in which adapters were trained: edited chains, facts and theory's ceiling.

    Raises
    ------
    TableError
        If the table lacks a column, a rule or a choice of layers.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS, *GROWN)
    words(rows, "layers", "rule")
    places = grouped(rows, "layers", LAYERS)
    last = max(row["stage"] for row in rows)
    figure = Figure(figsize=(7.6, 5.6))
    halves: Any = figure.subfigures(2, 1, height_ratios=[1, 1.3])
    above, below = halves
    panels = below.subplots(1, len(LAYERS), sharey=True)
    for axes, (where, label) in zip(panels, LAYERS.items(), strict=True):
        here = strips.those(places[where], stage=last)
        grouped(here, "rule", RULES)
        groups = strips.by(here, "rule", list(RULES))
        facts = [{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in here]
        strips.chance(axes, here)
        axes.axvline(interval(here, "inside")[0], **INSIDE)
        strips.versus(axes, strips.but(groups, *GATES), "two_hop", "predicted")
        strips.strip(axes, strips.only(groups, *GATES), "two_hop", **strips.MEASURED)
        strips.strip(axes, strips.by(facts, "rule", list(RULES)), "facts", shift=-0.25, **FACTS)
        strips.framed(axes, list(RULES.values()))
        axes.set_title(label, fontsize=9)
    title = COMPOSES if _in_place(places, last) else QUESTION
    note = (
        f"Below: edited chains after {last:g} steps of the base, by where adapters were trained. "
        "Predictions are ceilings; of gates nothing was predicted."
    )
    strips.titled(figure, title, note, ncols=3)
    _growth(above.subplots(), places["together"])
    return figure


def _growth(axes: Any, rows: Sequence[Row]) -> None:
    """What the base answers, a line each kind of question."""
    base = strips.those(rows, rule="base")
    for name, (label, colour, mark) in GROWN.items():
        stages, found = curve(base, "stage", name)
        bars(axes, stages, found, fmt=f"{mark}-", color=colour, ms=3.5, label=label)
    stages = sorted({row["stage"] for row in base})
    axes.set_xscale("log")
    axes.set_xticks(stages, [f"{stage:g}" for stage in stages], fontsize=7)
    axes.minorticks_off()
    axes.set(xlabel="steps", ylabel="answered right", ylim=(-0.06, 1.06), yticks=[0, 0.5, 1])
    axes.set_title("the base's own questions", fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _in_place(places: strips.Groups, last: float) -> bool:
    """Whether held-out chains and edits in their own layers are clearly above, and no others."""
    chance = interval(places["own"], "chance")[0]
    asked = (
        ("own", "base", "held_out"),
        ("own", "oracle placement", "two_hop"),
        ("own", "reversed placement", "two_hop"),
        ("together", "sum", "two_hop"),
    )
    held_out, placed, swapped, together = (
        interval(strips.those(places[where], stage=last, rule=rule), column)
        for where, rule, column in asked
    )
    return min(held_out[1], placed[1]) > chance > max(swapped[2], together[2])
