"""Figures of rules of reuse on small transformers: which answer edited two-hop questions."""

from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.figures._engine import (
    Along,
    Line,
    Mark,
    Page,
    chosen,
    constant,
    figure,
    mean,
    series,
    spread,
    stacked,
    strips,
)
from loratheory.figures._look import (
    BLACK,
    BLUE,
    CONSTANT,
    EDITED,
    FACTS,
    GREEN,
    GREY,
    KEPT,
    LOOKS,
    ORANGE,
    PURPLE,
    SINGLE,
    UNEDITED,
    Look,
    label,
    labels,
)
from loratheory.theorems.composition.two_read_region import threshold

if TYPE_CHECKING:
    import pandas as pd


def _facts(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with the mean accuracy of both hops as `facts`."""
    return table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)


@figure(
    "facts pairs bridges rank modules coverage pretrained rule seed two_hop other_two_hop chance"
)
def gating(table: "pd.DataFrame") -> Page:
    """Edited and unedited two-hop questions under every rule, by the pairs that act at once.

    Of the table the plain cells: five fresh facts, rank 8, MLPs, the usual base.
    """
    plain = {"facts": 5, "bridges": "fresh", "rank": 8, "modules": "mlp", "coverage": 0.5}
    rows = chosen(table, **plain, pretrained=700)
    rules = labels(
        *("base", "hop 1 alone", "hop 2 alone", "mean", "sum", "ties", "knots", "interpolating"),
        *("arrow", "norm, soft", "norm, z", "gates", "block gates, z = 2", "oracle placement"),
    )
    columns = {"two_hop": EDITED, "other_two_hop": UNEDITED}
    chance, text = {"two_hop": [constant(rows)]}, "pairs of adapters at once: {:g}"
    panels = strips(rows, rules, "pairs", text, columns, lines=chance)
    title = (
        "With four pairs of adapters block gates answer {two_hop; pairs=4; rule=block gates, z = 2}"
        " of the edited two-hop questions and keep {other_two_hop; pairs=4; rule=block gates, z = "
        "2} of the others; the sum answers {two_hop; pairs=4; rule=sum}"
    )
    return Page(rows, title, [panels], height=5)


@figure("pairs rule seed two_hop other_two_hop chance weight_1 weight_2 expected predicted")
def routers(table: "pd.DataFrame") -> Page:
    """What routers give the adapters that a question's two reads need, and what is answered."""
    rules = labels(
        *("base", "sum", "uniform", "arrow", "arrow, by theory", "arrow, power", "arrow, peft"),
        *("subspace", "norm", "norm, soft", "norm, z", "gates", "best one", "best by read"),
        "oracle placement",
    )
    columns = {
        "two_hop": EDITED,
        "other_two_hop": "unedited\nquestions",
        "weight_1": "right adapter's weight, read 1",
        "weight_2": "right adapter's weight, read 2",
    }
    theory = chosen(table, rule="arrow").assign(rule="arrow, by theory")
    theory["predicted"] = theory["expected"]  # the chance that Arrow is right at both reads
    theory[list(columns)] = np.nan
    rows = stacked(table, theory)
    rows["adapters"] = 2 * rows["pairs"]
    exact = [Line(threshold(2), "weight that exact edits need", ORANGE, "--")]
    lines = {"two_hop": [constant(table)], "weight_1": exact, "weight_2": exact}
    foreseen = {"two_hop": "predicted"}
    weight = {"weight_1": "weight", "weight_2": "weight"}
    panels = strips(rows, rules, "adapters", "{:g} adapters", columns, foreseen, lines, weight)
    title = (
        "Of eight adapters Arrow gives the right one {weight_1; pairs=4; rule=arrow} of its weight "
        "at read 1 and {weight_2; pairs=4; rule=arrow} at read 2 and answers {two_hop; pairs=4; "
        "rule=arrow} of the questions; gates answer {two_hop; pairs=4; rule=gates}"
    )
    note = (
        "Predicted: a question is answered where the weights, times the strength of each adapter "
        "alone, are enough at both reads, as often as the base answers unseen questions."
    )
    return Page(table, title, [panels], note=note)


@figure("rank pairs rule seed two_hop other_two_hop chance recall predicted crosstalk")
def capacity(table: "pd.DataFrame") -> Page:
    """Facts recalled by a sum of K adapters, by one that learned them all, and their questions."""
    rules = labels("base", "noise", "mean", "sum", "one", "wide", "pair alone", "oracle placement")
    settings = zip(table["rank"], table["pairs"], strict=True)
    rows = table.assign(
        setting=[f"r = {rank:g}, K = {pairs:g}" for rank, pairs in settings],
        foreseen=table["predicted"].where(table["rule"] == "sum"),
        # the column leaves out the factor 1/K of the mean
        crosstalk=np.sqrt(table["crosstalk"]).where(table["rule"] != "mean"),
    )
    columns = {
        "recall": "taught facts recalled",
        "two_hop": EDITED,
        "other_two_hop": UNEDITED,
        "crosstalk": "cross-talk by theory (deviation)",
    }
    chance = [constant(rows)]
    lines = {"recall": chance, "two_hop": chance}
    foreseen, noise = {"recall": "foreseen"}, {"crosstalk": "deviation"}
    panels = strips(rows, rules, "setting", "{}", columns, foreseen, lines, noise)
    title = (
        "With K = 8 adapters of rank r = 1 the sum recalls {recall; rank=1; pairs=8; rule=sum} of "
        "the facts, one adapter of rank r {recall; rank=1; pairs=8; rule=one}, one of rank K r "
        "{recall; rank=1; pairs=8; rule=wide}"
    )
    note = "Predicted for the sum: what one adapter of rank r recalls that was taught all facts."
    return Page(table, title, [panels[:2], panels[2:]], note=note)


FAMILIARITIES = {"half": "half-fake", "fake": "fake"}
IDENTITIES = {"none": "", "known": ", known repeated", "all": ", all repeated"}


@figure(
    "coverage familiarity identity rule seed two_hop hop_1 hop_2 other_two_hop chance circuit "
    "predicted"
)
def familiarity(table: "pd.DataFrame") -> Page:
    """Questions on edits of entities that the base never met, with and without identity prompts."""
    names = {
        (coverage, kind, identity): f"{fake}{repeated}{'' if coverage else ', no two-hop'}"
        for coverage in sorted(table["coverage"].unique(), reverse=True)
        for kind, fake in FAMILIARITIES.items()
        for identity, repeated in IDENTITIES.items()
    }
    keys = zip(table["coverage"], table["familiarity"], table["identity"], strict=True)
    rows = _facts(table).assign(entities=[names[key] for key in keys])
    # an A→C adapter is foreseen to answer what it answers; placed ones follow the pass, so that
    # single hops do not meet both
    rows["predicted"] = rows["predicted"].mask(rows["rule"] == "direct")
    rows["facts"] = rows["facts"].mask(rows["rule"] == "oracle placement")
    places = {name: name for name in names.values() if (rows["entities"] == name).any()}
    chance, panels = [constant(rows)], []
    for rule in ("mean", "sum", "gates", "oracle placement", "direct"):
        some = chosen(rows, rule=rule)
        marks = [
            Mark(some, "two_hop", EDITED, Look(BLACK), "predicted"),
            Mark(some, "facts", SINGLE, FACTS),
            Mark(some, "other_two_hop", UNEDITED, KEPT),
        ]
        panels.append(Along(label(rule), "entities", marks, places, chance))
    base = chosen(rows, rule="base")
    controls = [Mark(base, "circuit", "base, unseen questions", Look(PURPLE, "*"))]
    for rule, sign in (("hop 1 alone", "1"), ("hop 2 alone", "2"), ("exchanged", "x")):
        some, name = chosen(rows, rule=rule), f"{label(rule)}, edited"
        controls.append(Mark(some, "two_hop", name, Look(GREY, sign)))
    controls.append(Mark(base, "other_two_hop", UNEDITED, KEPT))
    panels.append(Along("controls and base", "entities", controls, places, chance))
    title = (
        "Of entities that are new throughout gates answer {two_hop; entities=fake; rule=gates} of "
        "the edited two-hop questions, where {predicted; entities=fake; rule=gates} was predicted, "
        "the mean {two_hop; entities=fake; rule=mean}"
    )
    note = (
        "Half-fake: new subjects, known bridges; fake: all new. Repeated: the base was trained on "
        "e → e for these entities. No two-hop: pretraining asked no two-hop question."
    )
    return Page(rows, title, [panels[:3], panels[3:]], note=note)


@figure(
    "facts rank pairs rule seed two_hop chance crosstalk_in random_in crosstalk_out "
    "random_out predicted"
)
def interference(table: "pd.DataFrame") -> Page:
    """What unrelated adapters take from a question, and the cross-talk that should take it."""
    rows = table.sort_values(["facts", "rank", "pairs"])
    shapes = list(zip(rows["facts"], rows["rank"], rows["pairs"], strict=True))
    rows["shape"] = [
        f"{facts:g} facts, r = {rank:g}, K = {pairs:g}" for facts, rank, pairs in shapes
    ]
    places = {name: name for name in rows["shape"].unique()}
    unlike = [one[:2] for one in dict.fromkeys(shapes)]
    parted = [k - 0.5 for k in range(1, len(unlike)) if unlike[k] != unlike[k - 1]]
    chance = Mark(rows, "chance", CONSTANT, Look(BLACK, "|"), interval=False)
    panels = []
    for title, rules in (
        ("merged", ("pair alone", "beside noise", "sum")),
        ("chosen by input", ("oracle placement", "gates")),
    ):
        marks = [
            Mark(chosen(rows, rule=rule), "two_hop", label(rule), LOOKS[rule], "predicted")
            for rule in rules
        ]
        panels.append(
            Along(title, "shape", [*marks, chance], places, rules=parted, across="edited two-hop")
        )
    sums = chosen(rows, rule="sum")
    energy = [
        Mark(sums, f"crosstalk_{side}", f"MLP {side}", look, f"random_{side}")
        for side, look in (("in", Look(BLUE, "v")), ("out", Look(GREEN, "X")))
    ]
    tolerated = [Line(1 / 16, "tolerated at two reads", BLACK, "--")]
    more: Any = {"across": "at a read", "shares": False, "log": "x", "rules": parted}
    panels.append(Along("foreign energy over own", "shape", energy, places, tolerated, **more))
    title = (
        "Beside three unrelated pairs the sum answers {two_hop; pairs=4; rule=sum} of the edited "
        "two-hop questions, beside noise of their norms {two_hop; pairs=4; rule=beside noise}, "
        "alone {two_hop; pairs=4; rule=pair alone}"
    )
    note = (
        "Rows: facts an adapter, its rank, pairs at once. Predicted energy: that of responses in "
        "random directions; tolerated: by thm:perturbed-region, (1/4)²."
    )
    return Page(table, title, [panels], note=note)


@figure(
    "coverage rule seed two_hop hop_1 hop_2 other_two_hop chance bridge_written written_out "
    "predicted predicted_written_out"
)
def joint_and_bridge(table: "pd.DataFrame") -> Page:
    """One adapter for both hops, and examples of whole questions, plain or spelt out."""
    rules = labels(
        *("base", "hop 1 alone", "hop 2 alone", "sum", "oracle placement", "direct", "joint"),
        *("bridged, plain", "bridged, written out"),
    )
    rows = _facts(table)
    # an A→C adapter is foreseen to answer what it answers
    rows["predicted"] = rows["predicted"].mask(rows["rule"] == "direct")
    rows["facts"] = rows["facts"].mask(rows["rule"] == "oracle placement")
    columns = {
        "two_hop": EDITED,
        "written_out": "the same, spelt out",
        "bridge_written": "bridge written when spelt out",
        "facts": SINGLE,
        "other_two_hop": UNEDITED,
    }
    foreseen = {"two_hop": "predicted", "written_out": "predicted_written_out"}
    chance = {"two_hop": [constant(rows)]}
    panels = strips(rows, rules, "coverage", "coverage {:g}", columns, foreseen, chance)
    title = (
        "At coverage ½ one adapter for both hops answers {two_hop; coverage=0.5; rule=joint} of "
        "edited two-hop questions, with 40 examples of whole questions {two_hop; coverage=0.5; "
        "rule=bridged, plain}; two placed ones {two_hop; coverage=0.5; rule=oracle placement}"
    )
    return Page(table, title, [panels[:2], panels[2:]])


FAMILIES = {"real": "real entities", "half": "half-fake entities", "fake": "fake entities"}
CONTROLS = ("base", "hop 1 alone", "hop 2 alone", "noise", "shuffled")


@figure("coverage familiarity rule seed two_hop other_two_hop chance claimed predicted")
def two_hop_coverage(table: "pd.DataFrame") -> Page:
    """Two-hop accuracy of every way of reuse against coverage, beside its forecast."""
    rules = labels(
        *("base", "mean", "sum", "ties", "dare", "knots", "arrow", "gates", "oracle placement"),
        *("joint", "direct", "mean of three", "third of direct", "best control"),
    )
    rows, chance, text = _with_best(table), [constant(table)], "coverage {:g}"
    there = [kind for kind in FAMILIES if (table["familiarity"] == kind).any()]
    panels = []
    for kind in there:
        some = chosen(rows, familiarity=kind)
        marks = series(some, "coverage", "two_hop", text, predicted="predicted")
        panels.append(Along(FAMILIES[kind], "rule", marks, rules, chance))
    some = chosen(rows, familiarity=there[0])
    kept = series(some, "coverage", "other_two_hop", text)
    panels.append(Along(f"unedited,\n{FAMILIES[there[0]]}", "rule", kept, rules))
    some_coverage = "familiarity=real; coverage=0.25"
    title = (
        f"At coverage ¼ gates answer {{two_hop; {some_coverage}; rule=gates}} of edited two-hop "
        f"questions, the sum {{two_hop; {some_coverage}; rule=sum}}, Arrow {{two_hop; "
        f"{some_coverage}; rule=arrow}}; at coverage 0 gates answer {{two_hop; familiarity=real; "
        "coverage=0; rule=gates}"
    )
    claims = {
        claim: ", ".join(map(label, table["rule"][table["claimed"] == claim].unique()))
        for claim in ("fails", "works")
    }
    note = (
        f"Published to fail: {claims['fails']}; to work: {claims['works']}. Predicted from each "
        "adapter alone."
    )
    return Page(table, title, [panels], note=note)


def _with_best(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table, and the rows of the control that is best in each cell under a name of its own."""
    best = []
    for _, rows in table[table["rule"].isin(CONTROLS)].groupby(["familiarity", "coverage"]):
        means = spread(rows, "rule", "two_hop")["mean"]
        best.append(rows[rows["rule"] == means.idxmax()])
    empty = {"predicted": np.nan, "other_two_hop": np.nan}
    return stacked(table, *(rows.assign(rule="best control", **empty) for rows in best))


LAYERS = {
    "together": "in both layers at once",
    "own": "each in its own layer",
    "each": "once in each layer",
}
GROWN = {
    "facts": ("single facts", Look(BLACK, "o", "-")),
    "trained": ("two-hop, trained on", Look(BLUE, "s", "-")),
    "held_out": ("two-hop, held out", Look(ORANGE, "D", "-")),
    "first_unseen": ("first fact in no trained question", Look(GREEN, "^", "-")),
    "second_unseen": ("second fact in none", Look(PURPLE, "v", "-")),
    "both_unseen": ("neither in any", Look(GREY, "X", "-")),
}


@figure(
    "stage layers rule seed two_hop hop_1 hop_2 chance predicted facts trained held_out "
    "first_unseen second_unseen both_unseen inside"
)
def plain_transformer(table: "pd.DataFrame") -> Page:
    """How a plain transformer comes to compose, and what its adapters answer by their layers."""
    rules = labels(
        *("mean", "sum", "oracle placement", "reversed placement", "block gates, z = 0"),
        *("block gates, z = 2", "sum, second pass", "sum, hop by hop"),
    )
    base = chosen(table, layers="together", rule="base")
    stages = sorted(base["stage"].unique())
    marks = [Mark(base, column, name, look) for column, (name, look) in GROWN.items()]
    axis: Any = {"across": "steps of pretraining", "up": "accuracy", "log": "x"}
    grown = Along("the base's own questions", "stage", marks, ticks=stages, **axis)
    last = _facts(chosen(table, stage=stages[-1]))
    last["predicted"] = last["predicted"].mask(last["rule"].str.startswith("block gates"))
    panels = []
    for where, name in LAYERS.items():
        rows = chosen(last, layers=where)
        marks = [
            Mark(rows, "facts", SINGLE, FACTS),
            Mark(rows, "two_hop", EDITED, Look(BLACK), "predicted", "predicted ceiling"),
        ]
        both = Line(mean(rows, "inside"), "both edits in force alone", GREY, "--")
        panels.append(Along(name, "rule", marks, rules, [constant(rows), both]))
    title = (
        "A plain transformer answers {held_out; layers=together; rule=base} of its own held-out "
        "two-hop questions; of edited ones {two_hop; layers=own; rule=oracle placement} with each "
        "edit in its own layer, {two_hop; layers=together; rule=sum} with both in both"
    )
    return Page(last, title, [[grown], panels], heights=[1, 1.5])
