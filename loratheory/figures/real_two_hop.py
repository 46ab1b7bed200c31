"""Adapters of single facts on a language model: by coefficient, by layers, by rule."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._means import bars, curve, interval
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped
from loratheory.theorems.composition.two_read_region import threshold

CHANCE = 0.05
NUMBERS = ("seed", "first", "second", "layer", "hop_1", "hop_2", "two_hop")
CURVES = {
    "hop_1": ("person to country", "#0072B2", "^"),
    "hop_2": ("country to animal", "#009E73", "s"),
    "two_hop": ("person to animal", "#000000", "o"),
}
CUTS = {
    "layer split": ("hop 1 below, hop 2 above", "#000000", "o"),
    "reversed layer split": ("the wrong order", "#D55E00", "x"),
}
RULES = {
    "mean": "mean",
    "sum": "sum",
    "ties": "TIES",
    "knots": "KnOTS, with TIES",
    "interpolating": "interpolating merge",
    "arrow, peft": "Arrow, by PEFT",
    "arrow": "Arrow, exact",
    "gates, z = 2": "gates, maps",
    "block gates, z = 2": "gates, blocks",
    "hop 2 above": "hop 2 above only",
    "hop 1 below": "hop 1 below only",
    "best cut": "cut, most confident",
}
TAUGHT = {
    "all layers": {"color": "#000000", "fmt": "o", "label": "taught in all layers"},
    "by layers": {"color": "#CC79A7", "fmt": "D", "label": "taught by layers"},
}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what a pair of adapters answers on a language model.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_two_hop`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, single facts and chains against the coefficient of both adapters, with the forecast;
        middle, chains against the layer of a cut, in both orders; right, chains by rule.

    Raises
    ------
    TableError
        If the table lacks a column, a way or a kind of teaching.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS, "predicted", "confidence")
    taught = grouped(rows, "trained", TAUGHT)
    grouped(
        taught["all layers"],
        "rule",
        ("sum", "layer split", "reversed layer split", "ties", "arrow"),
    )
    figure = Figure(figsize=(7.6, 3.9))
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 0.9])
    _swept(left, strips.those(taught["all layers"], rule="sum"))
    _cut(middle, taught["all layers"])
    for shift, (name, look) in zip((-0.15, 0.15), TAUGHT.items(), strict=True):
        groups = {rule: chosen(taught[name], rule) for rule in RULES}
        strips.strip(right, groups, "two_hop", shift=shift, **look)
    strips.framed(right, list(RULES.values()))
    right.axvline(CHANCE, color="black", ls=":", lw=1)
    right.set_title("chains, by rule", fontsize=9)
    right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), fontsize=7)
    figure.suptitle(
        "Two adapters on SmolLM2-135M: facts of their own, and chains over both",
        x=0.01,
        ha="left",
        weight="bold",
        fontsize=10,
    )
    return figure


def _swept(axes: Any, rows: Sequence[Row]) -> None:
    """Against the coefficient, where both have the same."""
    rows = [row for row in rows if row["first"] == row["second"]]
    for name, (label, colour, mark) in CURVES.items():
        places, found = curve(rows, "first", name)
        bars(axes, places, found, fmt=f"{mark}-", color=colour, ms=4, label=label)
    places, found = curve([row for row in rows if row["predicted"] >= 0], "first", "predicted")
    said = [each[0] for each in found]
    axes.plot(
        places,
        said,
        "D--",
        color="#D55E00",
        mfc="none",
        ms=5,
        lw=1,
        label="person to animal, predicted",
    )
    axes.axhline(CHANCE, color="black", ls=":", lw=1, label="chance")
    axes.axvspan(threshold(1), threshold(2), color="#DDDDDD", lw=0, label="window on paper")
    axes.set(xlabel="coefficient of both adapters", xlim=(0, 1.05))
    axes.set_title("taught in all layers", fontsize=9)
    _upright(axes)


def _cut(axes: Any, rows: Sequence[Row]) -> None:
    """Against the layer at which both are cut."""
    for way, (label, colour, mark) in CUTS.items():
        places, found = curve(strips.those(rows, rule=way), "layer", "two_hop")
        bars(axes, places, found, fmt=f"{mark}-", color=colour, ms=4, label=label)
    whole = strips.those(rows, rule="sum", first=1.0, second=1.0)
    axes.axhline(interval(whole, "two_hop")[0], color="#777777", ls="--", lw=1, label="no cut")
    axes.axhline(CHANCE, color="black", ls=":", lw=1)
    axes.set(xlabel="layer of the cut (of 30)", xticks=places)
    axes.set_title("chains, cut afterwards", fontsize=9)
    _upright(axes)


def _upright(axes: Any) -> None:
    axes.set(ylim=(-0.04, 1.06), yticks=[0, 0.5, 1])
    axes.set_yticklabels(["0", "½", "1"])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=7)


def chosen(rows: Sequence[Row], rule: str) -> list[Row]:
    """Return one row a seed for a rule: of cuts, that in which the model is most confident.

    Parameters
    ----------
    rows : sequence of mappings
        Of one kind of teaching.
    rule : str
        A key of `RULES`.

    Returns
    -------
    list of mappings
        None where the rule was not tried.
    """
    if rule == "mean":
        return strips.those(rows, rule="sum", first=0.5, second=0.5)
    if rule == "sum":
        return strips.those(rows, rule="sum", first=1.0, second=1.0)
    if rule != "best cut":
        return strips.those(rows, rule=rule)
    cuts = [row for row in rows if row["rule"] in CUTS]
    each = [strips.those(cuts, seed=seed) for seed in sorted({row["seed"] for row in cuts})]
    return [max(own, key=lambda row: row["confidence"]) for own in each]
