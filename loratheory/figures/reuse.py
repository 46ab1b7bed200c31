"""Figures of rules of reuse on small transformers: which answer edited two-hop questions."""

from typing import TYPE_CHECKING, Any

from loratheory.figures._engine import (
    Along,
    Line,
    Mark,
    Page,
    chosen,
    constant,
    figure,
    mean,
    strips,
)
from loratheory.figures._look import (
    BLUE,
    EDITED,
    GREEN,
    GREY,
    INK,
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

FACTS = Look(BLUE, "^")
FIRST, SECOND = Look(BLUE, "^", "-"), Look(GREEN, "s", "-")


def _facts(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with the mean accuracy of both hops as `facts`."""
    return table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)


@figure(
    "facts pairs bridges rank modules coverage pretrained rule seed two_hop other_two_hop chance"
)
def gating(table: "pd.DataFrame") -> Page:
    """Edited and unedited two-hop questions under each rule, by the pairs that act at once.

    Only the plain cells of the table are drawn: five fresh facts, rank 8, MLPs, the usual base.
    """
    plain = {"facts": 5, "bridges": "fresh", "rank": 8, "modules": "mlp", "coverage": 0.5}
    rows = chosen(table, **plain, pretrained=700)
    rules = labels(
        *("mean", "sum", "ties", "interpolating", "arrow", "norm, soft", "gates"),
        *("block gates, z = 2", "oracle placement"),
    )
    columns = {"two_hop": EDITED, "other_two_hop": UNEDITED}
    chance, text = {"two_hop": [constant(rows)]}, "pairs at once: {:g}"
    told = ("sum", "block gates, z = 2")
    panels = strips(rows, rules, "pairs", text, columns, lines=chance, takeaway=told)
    title = (
        "With four pairs of adapters block gates answer {two_hop; pairs=4; rule=block gates, z = 2}"
        " of the edited two-hop questions and keep {other_two_hop; pairs=4; rule=block gates, z = "
        "2} of the others; the sum answers {two_hop; pairs=4; rule=sum}"
    )
    return Page(rows, title, [panels], height=4.2)


@figure(
    "lessons stand_ins first second rule coefficient seed two_hop chance by_heart_1 by_heart_2 "
    "inside_1 inside_2"
)
def number_of_stand_ins(table: "pd.DataFrame") -> Page:
    """Adapters taught beside stand-ins: what their sum answers, and what each knows by heart."""
    rows = chosen(table, rule="sum", coefficient=1.0)
    told, both = rows["lessons"].isin(("plain", "disagreeing")), rows["first"] == rows["second"]
    mixed = {
        name: rows[told & (rows[name].eq("beside") & ~both | rows["stand_ins"].eq(0))]
        for name in ("first", "second")
    }
    counts = sorted(rows["stand_ins"].unique())
    axis: Any = {"across": "stand-ins in training", "ticks": counts, "takeaway": (2.85, 3.15)}
    summed = [
        Mark(rows[told & both], "two_hop", "both beside stand-ins", Look(INK, "o", "-")),
        Mark(mixed["first"], "two_hop", "first beside, second plain", FIRST),
        Mark(mixed["second"], "two_hop", "second beside, first plain", SECOND),
        Mark(chosen(rows, lessons="agreeing"), "two_hop", "both, that agree", Look(ORANGE, "X")),
        Mark(
            chosen(rows, lessons="single facts"),
            "two_hop",
            "both, single facts alone",
            Look(GREY, "P"),
        ),
    ]
    alone = rows[told & both]
    learnt = alone[alone["stand_ins"] > 0]
    learnt = learnt.assign(most=1 / learnt["stand_ins"])
    heart = [
        Mark(learnt, "by_heart_1", "first hop", FIRST, "most", "predicted bound, 1/n"),
        Mark(learnt, "by_heart_2", "second hop", SECOND),
    ]
    inside = [
        Mark(alone, "inside_1", "first hop", FIRST),
        Mark(alone, "inside_2", "second hop", SECOND),
    ]
    panels = [
        Along(
            "the sum's answers to two-hop questions",
            "stand_ins",
            summed,
            lines=[constant(rows)],
            up="accuracy",
            span=4,
            **axis,
        ),
        Along("lessons known by heart", "stand_ins", heart, up="accuracy", span=3, **axis),
        Along("edits in force in questions", "stand_ins", inside, up="share", span=3, **axis),
    ]
    taught = "two_hop; rule=sum; coefficient=1; first=beside; second=beside; lessons=disagreeing"
    title = (
        f"Each taught beside three stand-ins that disagree, two adapters answer {{{taught}; "
        f"stand_ins=3}} of the two-hop questions by their sum; beside one {{{taught}; stand_ins=1}}"
        ", taught plainly {two_hop; rule=sum; coefficient=1; lessons=plain}"
    )
    return Page(table, title, [panels], height=3.6)


@figure("pairs rule seed two_hop chance weight_1 weight_2 predicted")
def routers(table: "pd.DataFrame") -> Page:
    """The weights that routers give the right adapters at two reads, and questions answered."""
    rules = labels("arrow", "arrow, peft", "subspace", "norm, soft", "gates", "best by read")
    columns = {
        "weight_1": "right adapter's weight, read 1",
        "weight_2": "right adapter's weight, read 2",
        "two_hop": EDITED,
    }
    rows = table.assign(adapters=2 * table["pairs"])
    exact = [Line(threshold(2), "predicted need of exact edits", "predicted", INK)]
    lines = {"two_hop": [constant(table)], "weight_1": exact, "weight_2": exact}
    weight = {"weight_1": "weight", "weight_2": "weight"}
    foreseen, text = {"two_hop": "predicted"}, "{:g} adapters"
    panels = strips(
        rows, rules, "adapters", text, columns, foreseen, lines, weight, takeaway=("arrow",)
    )
    title = (
        "Of eight adapters Arrow gives the right one {weight_1; pairs=4; rule=arrow} of its weight "
        "at read 1, {weight_2; pairs=4; rule=arrow} at read 2, and answers {two_hop; pairs=4; "
        "rule=arrow} of the two-hop questions"
    )
    return Page(table, title, [panels], height=4.1)


@figure("rank pairs rule seed two_hop chance recall predicted")
def capacity(table: "pd.DataFrame") -> Page:
    """Facts and two-hop questions of a sum of K adapters, and of one adapter of all their facts."""
    rules = labels("mean", "sum", "one", "wide", "pair alone", "oracle placement")
    rows = table.assign(
        setting=[
            f"rank r = {rank:g}, K = {pairs:g}"
            for rank, pairs in zip(table["rank"], table["pairs"], strict=True)
        ],
        foreseen=table["predicted"].where(table["rule"] == "sum"),
    )
    columns = {"recall": "taught facts recalled", "two_hop": EDITED}
    chance = [constant(rows)]
    lines, foreseen = {"recall": chance, "two_hop": chance}, {"recall": "foreseen"}
    panels = strips(rows, rules, "setting", "{}", columns, foreseen, lines, takeaway=("sum",))
    title = (
        "Recalling is not composing: the sum of K = 8 adapters of rank 4 recalls {recall; rank=4; "
        "pairs=8; rule=sum} of the taught facts and answers {two_hop; rank=4; pairs=8; rule=sum} "
        "of the two-hop questions"
    )
    note = "Predicted for the sum: what one adapter of rank r recalls that was taught all facts."
    return Page(table, title, [panels], height=3.9, note=note)


FAMILIARITIES = {"half": "half-fake", "fake": "fake"}
IDENTITIES = {"none": "", "known": ", known repeated", "all": ", all repeated"}


@figure("coverage familiarity identity rule seed two_hop hop_1 hop_2 chance predicted")
def familiarity(table: "pd.DataFrame") -> Page:
    """Questions about entities that the base never met, with and without identity prompts."""
    names = {
        (coverage, kind, identity): f"{fake}{repeated}{'' if coverage else ', no two-hop'}"
        for coverage in sorted(table["coverage"].unique(), reverse=True)
        for kind, fake in FAMILIARITIES.items()
        for identity, repeated in IDENTITIES.items()
    }
    keys = zip(table["coverage"], table["familiarity"], table["identity"], strict=True)
    rows = _facts(table).assign(entities=[names[key] for key in keys])
    places = {name: name for name in names.values() if (rows["entities"] == name).any()}
    panels = []
    for rule in ("mean", "sum", "gates"):
        some = chosen(rows, rule=rule)
        marks = [
            Mark(some, "facts", SINGLE, FACTS),
            Mark(some, "two_hop", EDITED, Look(INK), "predicted"),
        ]
        panels.append(
            Along(label(rule), "entities", marks, places, [constant(rows)], takeaway=("fake",))
        )
    title = (
        "Of entities that are new throughout gates answer {two_hop; entities=fake; rule=gates} of "
        "the edited two-hop questions, where {predicted; entities=fake; rule=gates} was predicted; "
        "the mean answers {two_hop; entities=fake; rule=mean}"
    )
    note = (
        "Half-fake: new subjects, known bridges; fake: all new. Repeated: the base was trained on "
        "e → e for these entities. No two-hop: pretraining asked no two-hop question."
    )
    return Page(rows, title, [panels], height=3.9, note=note)


@figure("facts rank pairs rule seed two_hop chance")
def interference(table: "pd.DataFrame") -> Page:
    """Two-hop questions that a pair loses to three unrelated pairs of adapters, by rank."""
    rows = chosen(table, pairs=4)
    ranks = {rank: f"rank {rank:g}" for rank in sorted(rows["rank"].unique())}
    panels = []
    for count in sorted(rows["facts"].unique()):
        some = chosen(rows, facts=count)
        marks = [
            Mark(chosen(some, rule=rule), "two_hop", label(rule), LOOKS[rule])
            for rule in ("pair alone", "beside noise", "sum", "gates")
        ]
        there = {rank: name for rank, name in ranks.items() if (some["rank"] == rank).any()}
        told, lines = (8,) if 8 in there else (), [constant(some)]
        panels.append(
            Along(f"{count:g} facts an adapter", "rank", marks, there, lines, takeaway=told)
        )
    some_pairs = "pairs=4; rank=8; facts=3"
    title = (
        f"A pair's sum answers {{two_hop; {some_pairs}; rule=pair alone}} of its two-hop "
        f"questions; with three unrelated pairs added {{two_hop; {some_pairs}; rule=sum}}, with "
        f"noise of their norms {{two_hop; {some_pairs}; rule=beside noise}}"
    )
    return Page(rows, title, [panels], height=3.3)


FAMILIES = {"real": "real entities", "half": "half-fake entities", "fake": "fake entities"}


@figure("coverage familiarity rule seed two_hop chance predicted")
def two_hop_coverage(table: "pd.DataFrame") -> Page:
    """Two-hop accuracy of rules of reuse against coverage in pretraining, beside the forecast."""
    panels = []
    for kind, name in FAMILIES.items():
        rows = table[table["familiarity"] == kind]
        if rows.empty:
            continue
        marks = [
            Mark(chosen(rows, rule=rule), "two_hop", label(rule), Look(look.colour, look.sign, "-"))
            for rule, look in LOOKS.items()
            if rule in ("mean", "sum", "arrow", "gates")
        ]
        expert = chosen(rows, rule="mean of three")
        marks.append(Mark(expert, "two_hop", label("mean of three"), Look(GREEN, "^", "-")))
        forecast = "predicted, mean or sum"
        for rule, look in (("sum", Look(ORANGE)), ("mean", Look(BLUE))):
            some = chosen(rows, rule=rule)
            marks.append(Mark(some, "", look=look, predicted="predicted", foreseen=forecast))
        axis: Any = {"across": "coverage", "up": "edited two-hop", "ticks": [0, 0.5, 0.9]}
        lines = [constant(table)]
        panels.append(Along(name, "coverage", marks, lines=lines, takeaway=(-0.02, 0.02), **axis))
    nothing, some = ("familiarity=real; coverage=" + x for x in ("0", "0.25"))
    title = (
        f"Where pretraining asked no two-hop questions gates answer {{two_hop; {nothing}; "
        f"rule=gates}} of the edited ones; where it covered a quarter {{two_hop; {some}; "
        f"rule=gates}}, the sum {{two_hop; {some}; rule=sum}}, the mean {{two_hop; {some}; "
        "rule=mean}"
    )
    return Page(table, title, [panels], height=3.6)


LAYERS = {
    "together": "both layers at once",
    "own": "each its own layer",
    "each": "once in each layer",
}
GROWN = {
    "facts": ("single facts", Look(BLUE, "^", "-")),
    "held_out": ("two-hop, held out", Look(INK, "o", "-")),
    "first_unseen": ("first fact in no trained question", Look(GREEN, "s", "-")),
    "second_unseen": ("second fact in none", Look(PURPLE, "v", "-")),
}


@figure(
    "stage layers rule seed two_hop hop_1 hop_2 chance predicted facts held_out first_unseen "
    "second_unseen inside"
)
def plain_transformer(table: "pd.DataFrame") -> Page:
    """How a plain transformer learns to compose, and what adapters answer by their layers."""
    rules = labels(
        *("mean", "sum", "oracle placement", "reversed placement", "block gates, z = 2"),
        "sum, hop by hop",
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
            Mark(rows, "two_hop", EDITED, Look(INK), "predicted", "predicted ceiling"),
        ]
        lines = [
            constant(rows),
            Line(mean(rows, "inside"), "both edits in force alone", colour=GREY),
        ]
        panels.append(Along(name, "rule", marks, rules, lines, takeaway=("sum",)))
    title = (
        "A plain transformer answers {held_out; layers=together; rule=base} of its own held-out "
        "two-hop questions; of edited ones the sum answers {two_hop; layers=own; rule=sum} with "
        "each adapter trained in its own layer, {two_hop; layers=together; rule=sum} with both in "
        "both"
    )
    return Page(last, title, [[grown], panels], heights=[1, 1.5], height=5.2)
