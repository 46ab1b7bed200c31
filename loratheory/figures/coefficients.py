"""Figures of two edits: with which coefficient, how strong and where they act, and compose."""

from typing import TYPE_CHECKING, Any

from loratheory.figures._engine import (
    Along,
    Line,
    Mark,
    Page,
    chosen,
    constant,
    figure,
    stacked,
)
from loratheory.figures._look import (
    BLUE,
    EDITED,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SERIES,
    SINGLE,
    SKY,
    UNEDITED,
    Look,
    label,
    labels,
)
from loratheory.theorems.composition.two_read_region import OVER_OLD, PATTERNS, threshold
from loratheory.theorems.composition.two_read_region import window as borders

if TYPE_CHECKING:
    import pandas as pd

FACTS, QUESTIONS = Look(BLUE, "^", "-"), Look(INK, "o", "-")
FIRST = "edited first hops"


@figure(
    "case coverage seed coefficient two_hop chance oracle_placement facts predicted oracle_curved"
)
def merge_coefficient(table: "pd.DataFrame") -> Page:
    """Facts and two-hop questions answered against the coefficient, beside the prediction.

    On the left both adapters act in both passes, on the right each acts only in its own. The edits
    overwrite old facts; all coverages above zero are averaged.
    """
    rows = chosen(table, case="overwrite")
    rows, panels = rows[rows["coverage"] > 0], []
    for title, column, predicted in (
        ("both adapters in both passes", "two_hop", "predicted"),
        ("each in its own pass", "oracle_placement", "oracle_curved"),
    ):
        marks = [
            Mark(rows, "facts", SINGLE, FACTS),
            Mark(rows, column, EDITED, QUESTIONS, predicted, "predicted, two hops"),
        ]
        axis: Any = {"across": "coefficient of both adapters", "up": "accuracy"}
        window = (0.5, threshold(2))
        panels.append(
            Along(title, "coefficient", marks, lines=[constant(rows)], takeaway=window, **axis)
        )
    title = (
        "The mean keeps {facts; coefficient=0.5; coverage>0} of the edited facts and answers "
        "{two_hop; coefficient=0.5; coverage>0} of the two-hop questions"
    )
    note = "Band: the window that theory has for exact edits in the case overwrite, ½ to .618."
    return Page(rows, title, [panels], height=3.3, note=note)


@figure("recipe hop case read coefficient seed right line law")
def real_window(table: "pd.DataFrame") -> Page:
    """Single hops and two-hop questions of a language model against the coefficient of edits."""
    held_out = chosen(table, read=False)
    rows, plain = chosen(held_out, recipe="two stand-ins"), chosen(held_out, recipe="plain")
    over, over_plain = chosen(rows, case="overwrite"), plain[plain["case"].isin(OVER_OLD)]
    law = ("law", "predicted by single hops")
    laws = [
        Mark(chosen(over, hop="hop 1"), "right", FIRST, FACTS, *law),
        Mark(chosen(over, hop="two hops"), "right", EDITED, QUESTIONS, *law),
    ]
    cases = [
        Mark(chosen(rows, hop="two hops", case=case), "right", case, look)
        for case, look in CASES.items()
    ]
    apart = [
        Mark(chosen(over_plain, hop="hop 1"), "right", FIRST, FACTS),
        Mark(chosen(plain, hop="hop 2"), "right", "edited second hops", Look(GREEN, "v", "-")),
        Mark(chosen(over_plain, hop="two hops"), "right", EDITED, QUESTIONS),
    ]
    axis: Any = {"across": "coefficient of both", "up": "accuracy", "ticks": [0, 0.5, 1, 1.5]}
    axis |= {"takeaway": (0.5, threshold(2))}
    panels = [
        Along("overwrite", "coefficient", laws, **axis),
        Along("two-hop, by case", "coefficient", cases, **axis),
        Along("over old facts, plain-short", "coefficient", apart, **axis),
    ]
    where = "case=overwrite; recipe=two stand-ins; read=0"
    half, whole = f"coefficient=0.5; {where}", f"coefficient=1; {where}"
    title = (
        "A language model that composes has a window: of two edits that overwrite, the mean "
        f"keeps {{right; hop=hop 1; {half}}} of the first hops and {{right; hop=two hops; {half}}} "
        f"of the two-hop questions, the sum {{right; hop=hop 1; {whole}}} and "
        f"{{right; hop=two hops; {whole}}}"
    )
    note = "Band: the window that theory has for exact edits in the case overwrite, ½ to .618."
    return Page(table, title, [panels], height=3.4, note=note)


CASES = dict(
    zip(
        PATTERNS,
        (Look(ORANGE, "s", "-"), Look(PURPLE, "D", "-"), Look(SKY, "v", "-"), Look(GREY, "X", "-")),
        strict=True,
    )
)
"""Looks of the cases of old facts."""


@figure("hops seed coefficient k_hop chance hop_by_hop facts")
def number_of_hops(table: "pd.DataFrame") -> Page:
    """Single facts and questions of two, three and four edited hops against the coefficient."""
    counts = sorted(table["hops"].unique())
    looks = (Look(BLUE, "o", "-"), Look(ORANGE, "s", "-"), Look(GREEN, "^", "-"))
    hops = [(chosen(table, hops=count), count, x) for count, x in zip(counts, looks, strict=False)]
    panels = []
    for title, column in (
        ("single facts", "facts"),
        ("all hops in one pass", "k_hop"),
        ("hop by hop", "hop_by_hop"),
    ):
        marks = [Mark(rows, column, f"{count:g} hops", look) for rows, count, look in hops]
        lines = [constant(table)]
        if column == "k_hop":
            lines += [
                Line(threshold(int(k)), "predicted border", "predicted", look.colour, along=True)
                for _, k, look in hops
            ]
        axis: Any = {"across": "coefficient", "up": "accuracy", "ticks": [0, 0.5, 1]}
        panels.append(
            Along(title, "coefficient", marks, lines=lines, takeaway=(0.48, 0.52), **axis)
        )
    title = (
        "At coefficient ½ {facts; coefficient=0.5} of single facts survive; {k_hop; hops=2; "
        "coefficient=0.5} of questions of two hops, {k_hop; hops=3; coefficient=0.5} of three and "
        "{k_hop; hops=4; coefficient=0.5} of four are answered"
    )
    return Page(table, title, [panels], height=3.3)


@figure(
    "trained rule seed margin_1 margin_2 two_hop chance facts predicted predicted_facts curvature"
)
def edit_strength(table: "pd.DataFrame") -> Page:
    """Margins of edits by the steps of their training, and what their mean keeps of them."""
    alone = chosen(table, rule="mean")
    alone = alone.assign(margin=(alone["margin_1"] + alone["margin_2"]) / 2)
    # a margin at half strength that is off the straight line by the curvature is that of an edit
    # whose margin is larger by twice as much
    alone["acting"] = alone["margin"] + 2 * alone["curvature"]
    steps = sorted(table["trained"].unique())
    axis: Any = {"ticks": steps, "log": "x", "across": "steps of training"}
    axis |= {"takeaway": (0.9 * steps[0], 1.1 * steps[0])}
    margins = [
        Mark(alone, "margin", "an edit alone", Look(GREEN, "v", "-")),
        Mark(alone, "acting", "as it acts at half strength", Look(INK, "D", "-")),
    ]
    needed = zip(borders(2, 2), (BLUE, INK), ("facts", "two hops"), strict=True)
    lines = [
        Line(value, f"predicted need of {what}", "predicted", colour)
        for value, colour, what in needed
    ]
    up = "margin in deficits"
    left = Along("strength", "trained", margins, lines=lines, up=up, shares=False, **axis)
    kept = [
        Mark(alone, "facts", SINGLE, FACTS, "predicted_facts", "predicted, facts"),
        Mark(alone, "two_hop", EDITED, QUESTIONS, "predicted", "predicted, two hops"),
    ]
    lines = [constant(alone)]
    right = Along("what the mean keeps", "trained", kept, lines=lines, up="accuracy", **axis)
    title = (
        "After 30 steps the mean keeps {facts; rule=mean; trained=30} of edited facts, where a "
        "straight line between none and all of an edit predicts {predicted_facts; rule=mean; "
        "trained=30}"
    )
    return Page(table, title, [[left, right]], height=3.8)


PLACES = {
    "both loops": "both in both passes",
    "oracle placement": "each in its own pass",
    "first loop": "both in the first pass",
    "second loop": "both in the second",
    "reversed placement": "in the wrong order",
}


@figure("modules place seed two_hop hop_1 hop_2 chance inside")
def placement(table: "pd.DataFrame") -> Page:
    """What two edits answer by the passes in which they act, and by the modules that hold them."""
    rows, panels = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2), []
    for kind, name in {"mlp": "in MLPs", "attention": "in attention", "all": "in both"}.items():
        some = rows[rows["modules"] == kind]
        if some.empty:
            continue
        marks = [
            Mark(some, "facts", SINGLE, Look(BLUE, "^"), interval=False),
            Mark(some, "two_hop", EDITED, Look(INK), "inside", "predicted from facts in context"),
        ]
        told = ("oracle placement", "first loop")
        panels.append(Along(name, "place", marks, PLACES, [constant(some)], takeaway=told))
    title = (
        "Order decides: with each MLP edit in its own pass {two_hop; modules=mlp; place=oracle "
        "placement} of two-hop questions are answered, with both in the first {two_hop; "
        "modules=mlp; place=first loop}, though {facts; modules=mlp; place=first loop} of the "
        "facts are"
    )
    return Page(rows, title, [panels], height=3.3)


@figure("reads rule seed two_hop hop_1 hop_2 chance ceiling")
def depth(table: "pd.DataFrame") -> Page:
    """Edited questions answered by bases of one layer, of two, and of one layer passed twice."""
    names = ("mean", "sum", "arrow", "gates", "oracle placement")
    rules = {**labels(*names), "best pattern": label("best pattern")}
    rows = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)
    # patterns are chosen for the edited questions, and placed adapters follow a pass of two hops
    apart = rows["rule"].isin(("oracle placement", "best pattern"))
    rows["facts"] = rows["facts"].mask(apart)
    rows["ceiling"] = rows["ceiling"].mask(rows["ceiling"] == 1)
    kinds = ("one layer", "two layers", "one layer twice", "one layer twice, window 2")
    bases = [
        (kind, look, chosen(rows, reads=kind))
        for kind, look in zip(kinds, SERIES, strict=False)
        if (rows["reads"] == kind).any()
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
            [constant(rows)] if foreseen else (),
            takeaway=("oracle placement",) if foreseen else (),
        )
        for column, title, foreseen in (("two_hop", EDITED, "ceiling"), ("facts", SINGLE, ""))
    ]
    placed = "rule=oracle placement; reads=one layer"
    title = (
        f"Each adapter in its own pass answers {{two_hop; {placed}}} of the two-hop questions in "
        f"one layer, {{two_hop; {placed} twice}} in one layer twice, {{two_hop; {placed} twice, "
        "window 2} with an attention window of two"
    )
    return Page(rows, title, [panels], height=3.9)


TRAINED = {"all": "trained in all layers", "halves": "each in its own half"}


@figure(
    "coverage stage layers rule coefficient seed two_hop hop_1 hop_2 other_two_hop chance "
    "predicted survives_1 survives_2 strength_1 strength_2"
)
def untied_transformer(table: "pd.DataFrame") -> Page:
    """Four untied layers: facts and questions by coefficient, by strength, and by rule."""
    rows = table[table["coverage"] == table["coverage"].max()].assign(
        facts=(table["hop_1"] + table["hop_2"]) / 2,
        survives=(table["survives_1"] + table["survives_2"]) / 2,
    )
    last = chosen(rows, stage=rows["stage"].max())
    curves, strips = [], []
    for where, name in TRAINED.items():
        some = chosen(last, layers=where, rule="sum")
        marks = [
            Mark(some, "facts", SINGLE, FACTS, "survives", "predicted, facts"),
            Mark(some, "two_hop", EDITED, QUESTIONS, "predicted", "predicted, two hops"),
        ]
        axis: Any = {"across": "coefficient", "up": "accuracy", "ticks": [0, 0.5, 1, 1.5]}
        chance = [constant(some)]
        curves.append(
            Along(name, "coefficient", marks, lines=chance, takeaway=(0.48, 0.52), **axis)
        )
        # a coefficient of one half is the mean
        half, grid = last["coefficient"] == 0.5, ~last["coefficient"].isin((0.5, 1.0))
        named = last["rule"].mask(half, last["rule"].str.replace("sum", "mean"))
        ruled = chosen(last.assign(rule=named)[~grid], layers=where)
        marks = [
            Mark(ruled, "facts", SINGLE, Look(BLUE, "^")),
            Mark(ruled, "two_hop", EDITED, Look(INK)),
            Mark(ruled, "other_two_hop", UNEDITED, Look(GREEN, "s")),
        ]
        strips.append(Along(name, "rule", marks, WAYS, chance, takeaway=("mean",)))
    title = (
        "In four untied layers the mean keeps {facts; rule=sum; coefficient=0.5} of the edited "
        "facts and answers {two_hop; rule=sum; coefficient=0.5} of the two-hop "
        "questions, the sum {two_hop; rule=sum; coefficient=1}"
    )
    return Page(last, title, [[*curves, _kept(rows)], strips], heights=[1, 1.5], height=5.2)


WAYS = labels(
    *("mean", "sum", "ties", "knots", "arrow", "norm, soft", "block gates, z = 0"),
    *("block gates, z = 2", "mean, hop by hop", "sum, hop by hop"),
)


def _kept(rows: "pd.DataFrame") -> Along:
    """Single facts that the mean keeps, by the strength of the edit alone, in tenths."""
    mean = chosen(rows, rule="sum", coefficient=0.5)
    each = [
        mean[["seed", f"strength_{hop}", f"hop_{hop}", f"survives_{hop}"]].set_axis(
            ["seed", "strength", "kept", "predicted"], axis=1
        )
        for hop in (1, 2)
    ]
    facts = stacked(*each)
    facts = facts.assign(strength=facts["strength"].round(1).clip(0.7, 1.3))
    mark = Mark(facts, "kept", SINGLE, FACTS, "predicted", "predicted, facts")
    axis: Any = {"across": "strength of an edit alone", "up": "accuracy", "ticks": [0.8, 1, 1.2]}
    return Along("kept by the mean", "strength", [mark], **axis)
