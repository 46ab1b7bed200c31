"""Edits trained for ever longer: their margins, and what mean and sum keep of them."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._means import bars, curve, interval, line, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped
from loratheory.theorems.composition.two_read_region import window

RULES = {"mean": "mean of the two", "sum": "sum of the two"}
CONTROLS = ("alone", "exchanged", "random")
NEEDED = (
    *("trained", "seed", "margin_1", "margin_2", "curvature", "facts", "predicted_facts"),
    *("two_hop", "predicted", "oracle_placement", "other_two_hop", "chance", *CONTROLS),
)
QUESTION = "How strong must two edits be so that their mean recalls and composes them?"
FINDING = "Edits too weak by theory survive their mean as facts, and more seldom as chains"
FACTS, CHAINS, WINDOW, GREY = "#0072B2", "#D55E00", "#F7E9A8", "#777777"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw margins and accuracies with 95 % intervals over base seeds against training steps.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `edit_strength`.

    Returns
    -------
    matplotlib.figure.Figure
        Left the margins of the edits alone, and the window in which theory loses chains and
        keeps their facts; then facts and chains under the mean and the sum, measured and
        predicted.

    Raises
    ------
    TableError
        If a column or a rule is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    by_rule = grouped(rows, "rule", RULES)
    figure = Figure(figsize=(7.6, 3.9))
    left, *panels = figure.subplots(1, 3)
    _margins(left, by_rule["mean"])
    for axes, (rule, title) in zip(panels, RULES.items(), strict=True):
        _accuracies(axes, by_rule[rule])
        axes.set_title(title)
    panels[1].tick_params(labelleft=False)
    panels[0].set_ylabel("accuracy")
    steps = sorted({row["trained"] for row in rows})
    for axes in (left, *panels):
        axes.set_xscale("log")
        axes.set_xticks(steps, [f"{step:g}" for step in steps], rotation=45)
        axes.minorticks_off()
    panels[0].set_xlabel("steps of each adapter's training")
    named = [axes.get_legend_handles_labels() for axes in (left, panels[0])]
    handles, labels = ([x for one in found for x in one] for found in zip(*named, strict=True))
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5)
    title = headline(by_rule["mean"])
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def headline(rows: Sequence[Row]) -> str:
    """The finding about the mean, if it holds clearly at every length of training."""
    lengths = [
        [row for row in rows if row["trained"] == x] for x in {row["trained"] for row in rows}
    ]
    holds = all(
        interval(_alone(group), "margin")[2] < window(2, 2)[0]
        and interval(group, "facts")[1] > mean(group, "predicted_facts")
        and interval(group, "facts")[1] > interval(group, "two_hop")[2]
        for group in lengths
    )
    return FINDING if holds else QUESTION


def _alone(rows: Sequence[Row]) -> list[Row]:
    """Margins of both edits together, in deficits."""
    return [{**row, "margin": (row["margin_1"] + row["margin_2"]) / 2} for row in rows]


def _margins(axes: Any, rows: Sequence[Row]) -> None:
    """Margins in deficits over what the mean of two demands; then as half an edit really acts.

    A lead at half strength that is off the straight line by the curvature is that of an edit
    whose margin is larger by twice as much.
    """
    facts, chains = window(2, 2)
    axes.axhspan(facts, chains, color=WINDOW, zorder=0)
    axes.axhline(chains, color=CHAINS, lw=1.2)
    axes.axhline(facts, color=FACTS, lw=1.2)
    alone = _alone(rows)
    acting = [{**row, "margin": row["margin"] + 2 * row["curvature"]} for row in alone]
    for group, colour, label in (
        (acting, "white", "margin as it acts at half strength"),
        (alone, "black", "margin alone"),
    ):
        places, found = curve(group, "trained", "margin")
        bars(axes, places, found, color="black", mfc=colour, mew=1, label=label)
    text: dict[str, Any] = {"fontsize": 7, "x": places[-1], "ha": "right"}
    axes.text(y=chains + 0.02, s=f"theory: chains compose from {chains:.3f}", **text)
    axes.text(y=facts - 0.02, s=f"theory: facts survive from {facts:g}", va="top", **text)
    axes.text(y=(facts + chains) / 2, s="facts kept, chains lost", va="center", **text)
    axes.set(title="strength of the edits", ylabel="margin in deficits of the base")
    axes.set_ylim(0, None)


def _accuracies(axes: Any, rows: Sequence[Row]) -> None:
    """Measured as points, predicted as lines of the same colour; controls thin."""
    places = sorted({row["trained"] for row in rows})
    for name, told, colour, mark, label in (
        ("facts", "predicted_facts", FACTS, "s", "single facts"),
        ("two_hop", "predicted", CHAINS, "o", "chains"),
    ):
        axes.plot(
            places, line(rows, "trained", told), color=colour, lw=1.4, label=f"{label}, predicted"
        )
        found = curve(rows, "trained", name)[1]
        bars(axes, places, found, fmt=mark, color=colour, label=f"{label}, measured")
    found = curve(rows, "trained", "oracle_placement")[1]
    apart = [1.08 * place for place in places]
    bars(
        axes,
        apart,
        found,
        color=CHAINS,
        mfc="white",
        mew=1,
        label="chains, each edit in its own pass",
    )
    axes.plot(
        places,
        line(rows, "trained", "other_two_hop"),
        color="#009E73",
        lw=1,
        label="unedited chains, measured",
    )
    each = [line(rows, "trained", name) for name in CONTROLS]
    best = [max(means) for means in zip(*each, strict=True)]
    axes.plot(places, best, color=GREY, lw=0.8, label="best control")
    axes.axhline(mean(rows, "chance"), color="black", lw=0.8, ls=":", label="one answer always")
    axes.set_ylim(-0.04, 1.04)
