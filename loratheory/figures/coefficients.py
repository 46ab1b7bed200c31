"""Figures of two edits on small transformers: how strong and where they must act to compose."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.figures._engine import (
    Along,
    Heat,
    Line,
    Mark,
    Page,
    chosen,
    constant,
    figure,
    mean,
)
from loratheory.figures._look import (
    BLACK,
    BLUE,
    EDITED,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SERIES,
    SINGLE,
    UNEDITED,
    Look,
    label,
)
from loratheory.theorems.composition.two_read_region import threshold
from loratheory.theorems.composition.two_read_region import window as borders

if TYPE_CHECKING:
    import pandas as pd

Panels = Callable[..., Along]


def _control(table: "pd.DataFrame", along: str) -> Mark:
    """The best of the controls of a sweep."""
    columns = ["alone", "exchanged", "random"]
    means = table.groupby([along, "seed"])[columns].mean().groupby(along).mean()
    rows = means.max(axis=1).rename("best").reset_index().assign(seed=0)
    return Mark(rows, "best", "best control", Look(GREY, "", "-"), interval=False)


def _right(rows: "pd.DataFrame", column: str, right: str) -> str:
    """How often theory is right, and how often the more frequent outcome would be."""
    score = mean(rows, column)
    return f"right: theory {mean(rows, right):.0%}, majority {max(score, 1 - score):.0%}"


@figure(
    "case coverage seed coefficient two_hop chance oracle_placement facts predicted "
    "oracle_curved predicted_right oracle_curved_right"
)
def merge_coefficient(table: "pd.DataFrame") -> Page:
    """Which cells of coverage and coefficient compose, and where theory draws the border.

    Left both adapters act in both passes, right each in its own only; edits that overwrite.
    """
    rows = chosen(table, case="overwrite")
    some, across = rows[rows["coverage"] > 0], "coefficient of both adapters"
    maps, curves = [], []
    for title, column, predicted in (
        ("both adapters everywhere", "two_hop", "predicted"),
        ("oracle placement", "oracle_placement", "oracle_curved"),
    ):
        maps.append(_map(rows, title, column, predicted))
        marks = [
            Mark(some, "facts", SINGLE, Look(BLUE, "", "-")),
            Mark(some, column, EDITED, Look(BLACK, "o", "-")),
            Mark(some, "", look=Look(ORANGE), predicted=predicted),
        ]
        name, up = _right(rows, column, f"{predicted}_right"), "accuracy, coverage > 0"
        lines = [constant(some)]
        curves.append(Along(name, "coefficient", marks, lines=lines, across=across, up=up))
    title = (
        "Above coverage 0 coefficient ½ keeps {facts; coefficient=0.5; coverage>0} of edited facts "
        "and answers {two_hop; coefficient=0.5; coverage>0} of two-hop questions; 1 answers "
        "{two_hop; coefficient=1; coverage>0}, with oracle placement {oracle_placement; "
        "coefficient=1; coverage>0}"
    )
    note = "Orange: predicted border; dotted: that of exact edits, .618. Right: over all cells."
    return Page(rows, title, [maps, curves], note=note, scale=EDITED)


def _map(rows: "pd.DataFrame", title: str, column: str, predicted: str) -> Heat:
    """The measured cells, and the steps where half of the questions are predicted answered."""
    by = ["coverage", "coefficient"]
    foreseen = rows.pivot_table(predicted, *by).sort_index(ascending=False)
    values = foreseen.columns.to_numpy()
    step = (values[-1] - values[0]) / max(len(values) - 1, 1) or 1.0

    def _border(axes: Any) -> None:
        for row, answered in enumerate(foreseen.to_numpy() >= 0.5):
            if answered.any():
                place = [answered.argmax() - 0.5] * 2
                for colour, width in (("white", 4), (ORANGE, 2)):
                    look = {"color": colour, "lw": width, "solid_capstyle": "butt"}
                    axes.plot(place, [row - 0.5, row + 0.5], **look)
        axes.axvline((threshold(2) - values[0]) / step, color="white", lw=1, ls=":")

    downs = {x: f"{x:g}" for x in foreseen.index}
    rights = {x: f"{x:g}" if round(x / step) % 10 == 0 else "" for x in values}
    more: Any = {"across": "coefficient of both adapters", "up": "coverage", "over": _border}
    axes = ("coverage", "coefficient", column, downs, rights)
    return Heat(title, rows, *axes, numbers=False, **more)


WAYS = {
    "all adapters in every pass": ("k_hop", "predicted"),
    "oracle placement": ("oracle_placement", "oracle_inside"),
    "hop by hop": ("hop_by_hop", "each_hop"),
}


@figure(
    "hops seed coefficient k_hop chance oracle_placement hop_by_hop facts predicted "
    "oracle_inside each_hop predicted_right oracle_inside_right each_hop_right held_out alone "
    "exchanged random"
)
def number_of_hops(table: "pd.DataFrame") -> Page:
    """Questions of two, three and four edited hops against the merge coefficient.

    Dotted the root of ``c^K + c = 1``, where exact edits compose; 1/2 hop by hop.
    """
    colours = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))
    counts = sorted(table["hops"].unique())
    hops = [
        (int(count), table[table["hops"] == count], f"{count:g} hops", Look(*look, "-"))
        for count, look in zip(counts, colours, strict=False)
    ]
    axis: Any = {"across": "merge coefficient of all adapters", "up": "accuracy"}
    swept: Panels = partial(Along, along="coefficient", **axis)
    chance, panels = constant(table), []
    for way, (column, predicted) in WAYS.items():
        marks = [Mark(rows, column, name, look, predicted) for _, rows, name, look in hops]
        borders = [1 if column == "hop_by_hop" else count for count, *_ in hops]
        lines = [
            Line(threshold(border), "border of exact edits", look.colour, (0, (1, 2)), along=True)
            for border, (*_, look) in zip(borders, hops, strict=True)
        ]
        title = f"{way}\n{_right(table, column, f'{predicted}_right')}"
        panels.append(swept(title, marks=marks, lines=[chance, *lines]))
    marks = [Mark(rows, "facts", name, look) for _, rows, name, look in hops]
    lines = [
        Line(mean(rows, "held_out"), "unedited questions, base", look.colour, (0, (6, 2)))
        for _, rows, _, look in hops
    ]
    marks.append(_control(table, "coefficient"))
    panels.append(swept("single facts, and controls", marks=marks, lines=[chance, *lines]))
    title = (
        "At coefficient ½ {k_hop; hops=2; coefficient=0.5} of questions of two edited hops are "
        "answered, {k_hop; hops=3; coefficient=0.5} of three and {k_hop; hops=4; coefficient=0.5} "
        "of four; {facts; coefficient=0.5} of the single facts survive"
    )
    return Page(table, title, [panels[:2], panels[2:]])


@figure(
    "trained rule seed margin_1 margin_2 two_hop other_two_hop chance oracle_placement facts "
    "predicted predicted_facts alone exchanged random curvature"
)
def edit_strength(table: "pd.DataFrame") -> Page:
    """Margins of edits trained for ever longer, and what mean and sum keep of them."""
    alone = chosen(table, rule="mean")
    alone = alone.assign(margin=(alone["margin_1"] + alone["margin_2"]) / 2)
    # a margin at half strength that is off the straight line by the curvature is that of an edit
    # whose margin is larger by twice as much
    alone["acting"] = alone["margin"] + 2 * alone["curvature"]
    axis: Any = {"ticks": sorted(table["trained"].unique()), "log": "x"}
    over: Panels = partial(Along, along="trained", across="steps of training", **axis)
    half, weak = Look(BLACK, "o", "-", filled=False), Look(BLACK, "o", "-")
    margins = [
        Mark(alone, "margin", "margin alone", weak),
        Mark(alone, "acting", "margin as it acts at half strength", half),
    ]
    facts, questions = borders(2, 2)
    lines = [
        Line(facts, "theory: facts survive the mean", BLUE, "--"),
        Line(questions, "theory: two hops compose in the mean", ORANGE, "--"),
    ]
    panels = [over("margins", marks=margins, lines=lines, up="margin in deficits", shares=False)]
    for rule in ("mean", "sum"):
        rows = chosen(table, rule=rule)
        chance = [constant(rows)]
        panels.append(over(label(rule), marks=_strengths(rows), lines=chance, up="accuracy"))
    title = (
        "After 30 steps of training {facts; rule=mean; trained=30} of edited facts survive the "
        "mean, where theory foresees {predicted_facts; rule=mean; trained=30}, and {two_hop; "
        "rule=mean; trained=30} of two-hop questions are answered"
    )
    return Page(table, title, [panels], height=4.3)


def _strengths(rows: "pd.DataFrame") -> list[Mark]:
    """Facts and questions with their predictions; what placement would do; what is kept."""
    orange = Look(ORANGE, "D", "-", filled=False)
    facts, both = Look(BLUE, "^", "-"), Look(ORANGE, "o", "-")
    return [
        Mark(rows, "facts", SINGLE, facts, "predicted_facts", "predicted, facts"),
        Mark(rows, "two_hop", EDITED, both, "predicted", "predicted, two hops"),
        Mark(rows, "oracle_placement", "the same, oracle placement", orange, interval=False),
        Mark(rows, "other_two_hop", UNEDITED, Look(GREEN, "s", "-"), interval=False),
        _control(rows, "trained"),
    ]


PLACES = {
    "both loops": "both in both passes",
    "oracle placement": "each in its own pass",
    "first loop": "both in the first pass",
    "second loop": "both in the second",
    "reversed placement": "in the wrong order",
    "nowhere": "no adapter",
}
ANSWERS: dict[str, tuple[str, Look, Sequence[str]]] = {
    "two_hop": ("new answer", Look(ORANGE), ("both loops", "oracle placement")),
    "half_way": ("old answer of the new bridge", Look(GREEN, "^"), ("first loop",)),
    "unchanged": (
        "old answer",
        Look(BLUE, "s"),
        ("second loop", "reversed placement", "nowhere"),
    ),
}
"""What a question can be answered, and the places where the order of reads leaves that answer."""


@figure(
    "modules place seed two_hop hop_1 hop_2 chance half_way unchanged predicted inside "
    "predicted_right inside_right"
)
def placement(table: "pd.DataFrame") -> Page:
    """Where two edits act, and what is answered, by the modules that hold them.

    Above single facts and two-hop questions; below the three answers, and which of them the order
    of reads leaves.
    """
    kinds = {"mlp": "in MLPs", "attention": "in attention", "all": "in both"}
    above, below = [], []
    for kind, name in kinds.items():
        rows = table[table["modules"] == kind]
        if rows.empty:
            continue
        marks = [
            Mark(rows, "hop_1", "edited facts of hop 1", Look(BLUE, "^"), interval=False),
            Mark(rows, "hop_2", "edited facts of hop 2", Look(PURPLE, "v"), interval=False),
            Mark(rows, "", look=Look(GREY), predicted="predicted", foreseen="predicted from facts"),
            Mark(
                rows, "two_hop", EDITED, Look(ORANGE), "inside", "predicted from facts in context"
            ),
        ]
        alone, inside = mean(rows, "predicted_right"), mean(rows, "inside_right")
        title = f"{name}\nright {alone:.0%} / {inside:.0%}"
        above.append(Along(title, "place", marks, PLACES, [constant(rows)]))
        marks = []
        for column, (text, look, places) in ANSWERS.items():
            due = rows.assign(due=np.where(rows["place"].isin(places), 1.0, np.nan))
            marks.append(Mark(due, column, text, look, "due", "due by the order of reads"))
        below.append(Along("answers", "place", marks, PLACES, across="share of questions"))
    title = (
        "With both MLP edits in the first pass {hop_1; modules=mlp; place=first loop} of first "
        "facts, {hop_2; modules=mlp; place=first loop} of second ones and {two_hop; modules=mlp; "
        "place=first loop} of two-hop questions are answered; each in its own pass {two_hop; "
        "modules=mlp; place=oracle placement}"
    )
    note = "Right: how often the predictions from facts alone / from facts in context come true."
    return Page(table, title, [above, below], note=note)


@figure("reads rule seed two_hop hop_1 hop_2 other_two_hop chance circuit ceiling")
def depth(table: "pd.DataFrame") -> Page:
    """Edited questions of bases that read their weights once, twice in two layers, or in one."""
    names = ("base", "hop 1 alone", "hop 2 alone", "mean", "sum", "arrow", "gates")
    rules = {name: label(name) for name in (*names, "oracle placement", "best pattern")}
    rows = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)
    best = rows["rule"] == "best pattern"  # its patterns are chosen for the edited questions
    rows["facts"] = rows["facts"].mask(best | (rows["rule"] == "oracle placement"))
    rows["other_two_hop"] = rows["other_two_hop"].mask(best)
    rows["ceiling"] = rows["ceiling"].mask(rows["ceiling"] == 1)
    kinds = ("one layer", "two layers", "one layer twice", "one layer twice, window 2")
    bases = [
        (kind, look, chosen(rows, reads=kind))
        for kind, look in zip(kinds, SERIES, strict=False)
        if (rows["reads"] == kind).any()
    ]
    lines = [
        Line(mean(some, "circuit"), "unseen questions, base", look.colour, "--")
        for _, look, some in bases
    ]
    panels = [
        Along(
            title,
            "rule",
            [
                Mark(some, column, kind, look, foreseen, "predicted ceiling of one read")
                for kind, look, some in bases
            ],
            rules,
            [constant(rows), *lines] if foreseen else (),
        )
        for column, title, foreseen in (
            ("two_hop", EDITED, "ceiling"),
            ("facts", SINGLE, ""),
            ("other_two_hop", UNEDITED, ""),
        )
    ]
    placed = "rule=oracle placement; reads=one layer"
    title = (
        f"With each adapter in its own read {{two_hop; {placed}}} of edited two-hop questions are "
        f"answered in one layer, {{two_hop; {placed} twice}} in one layer twice, {{two_hop; "
        f"{placed} twice, window 2}} with an attention window of two"
    )
    return Page(rows, title, [panels], height=4.6)
