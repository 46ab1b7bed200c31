"""Figures of a language model: pairs of adapters, libraries, and word problems in English."""

from typing import TYPE_CHECKING, Any

from loratheory.figures._engine import (
    Along,
    Line,
    Mark,
    Page,
    chosen,
    figure,
    mean,
    stacked,
    strips,
)
from loratheory.figures._look import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Look, labels
from loratheory.theorems.composition.two_read_region import threshold

if TYPE_CHECKING:
    import pandas as pd

PERSON, COUNTRY, ANIMAL = "person to country", "country to animal", "person to animal"
TWENTY, TWELVE = Line(1 / 20, "chance"), Line(1 / 12, "chance")
"""Of answers among as many candidates."""


@figure("seed trained rule first second layer hop_1 hop_2 two_hop confidence predicted")
def real_two_hop(table: "pd.DataFrame") -> Page:
    """Adapters of single facts on a language model: by coefficient, by layers, by rule."""
    everywhere = chosen(table, trained="all layers")
    sums = chosen(everywhere, rule="sum")
    rows = sums[sums["first"] == sums["second"]]
    rows = rows.assign(predicted=rows["predicted"].where(rows["predicted"] >= 0))
    marks = [
        Mark(rows, "hop_1", PERSON, Look(BLUE, "^", "-")),
        Mark(rows, "hop_2", COUNTRY, Look(GREEN, "s", "-")),
        Mark(rows, "two_hop", ANIMAL, Look(BLACK, "o", "-"), "predicted"),
    ]
    exact = [
        Line(threshold(hops), f"border of {name}, exact edits", colour, (0, (1, 2)), along=True)
        for hops, name, colour in ((1, "facts", BLUE), (2, "two hops", BLACK))
    ]
    axis: Any = {"up": "accuracy", "span": 3}
    more: Any = {"lines": [*exact, TWENTY], "across": "coefficient of both", "ticks": [0, 0.5, 1]}
    swept = Along("taught in all layers", "first", marks, **more, **axis)
    splits = [
        Mark(chosen(everywhere, rule=rule), "two_hop", name, look)
        for rule, name, look in (
            ("layer split", "hop 1 below", Look(BLACK, "D", "-")),
            ("reversed layer split", "hop 1 above", Look(ORANGE, "X", "-")),
        )
    ]
    together = Line(mean(sums, "two_hop", first=1, second=1), "no split", GREY, "--")
    more = {"lines": [together, TWENTY], "ticks": sorted(splits[0].rows["layer"].unique())}
    layer = "first layer above (of 30)"
    halves = Along(f"{ANIMAL}, split", "layer", splits, across=layer, **more, **axis)
    rules = labels(
        *("mean", "sum", "ties", "knots", "interpolating", "arrow, peft", "arrow", "gates, z = 2"),
        *("block gates, z = 2", "hop 2 above", "hop 1 below", "best split"),
    )
    taught = [
        Mark(by_rule(everywhere), "two_hop", "taught in all layers", Look(BLACK)),
        Mark(
            by_rule(chosen(table, trained="by layers")),
            "two_hop",
            "taught by layers",
            Look(PURPLE, "D"),
        ),
    ]
    ruled = Along(ANIMAL, "rule", taught, rules, [TWENTY], span=4)
    title = (
        "On SmolLM2-135M the sum of two adapters answers {hop_1; rule=sum} of the first hops and "
        "{two_hop; rule=sum} of the two-hop questions, split by layers {two_hop; rule=best split}"
    )
    return Page(taught[0].rows, title, [[swept, halves, ruled]], height=4.6)


def by_rule(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return rows of `real_two_hop`, of one kind of teaching, under the rules' names, two more.

    Sums at one half are the ``mean``, other coefficients than 1 go; ``best split`` is of each seed
    the split, in either order, in which the model is most confident.
    """
    sums, both = rows["rule"] == "sum", rows["first"] == rows["second"]
    means = rows[sums & both & (rows["first"] == 0.5)].assign(rule="mean")
    splits = rows[rows["rule"].isin(("layer split", "reversed layer split"))]
    best = splits.loc[splits.groupby("seed")["confidence"].idxmax()].assign(rule="best split")
    return stacked(rows[~sums | (both & (rows["first"] == 1))], means, best)


@figure("seed pairs rule hop_1 hop_2 two_hop other_facts own_1 others_1 own_2 others_2")
def real_pairs(table: "pd.DataFrame") -> Page:
    """Several pairs of adapters at once on a language model: what they answer, which are on."""
    rows = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)
    rules = labels(
        *("base", "mean", "sum", "knots", "interpolating", "arrow, peft", "arrow", "gates, z = 2"),
        *("block gates, z = 2", "largest response norm", "sum, layer split"),
        *("gates, z = 2, layer split", "largest response norm, layer split"),
        *("pair alone", "pair alone, layer split"),
    )
    columns = {"two_hop": ANIMAL, "facts": "single facts", "other_facts": "other known facts"}
    chance, parted = {"two_hop": [TWELVE], "facts": [TWELVE]}, [len(rules) - 2.5]
    text = "pairs of adapters: {:g}"
    panels = strips(rows, rules, "pairs", text, columns, lines=chance, parted=parted)
    four, weights = chosen(table, pairs=4), []
    for hop in (1, 2):
        marks = [
            Mark(four, f"own_{hop}", "right pair", Look(BLACK)),
            Mark(four, f"others_{hop}", "each other pair", Look(ORANGE, "X")),
        ]
        watched = labels("arrow", "gates, z = 2", "largest response norm")
        title = f"weight of hop {hop}, four pairs"
        weights.append(Along(title, "rule", marks, watched, across="weight"))
    title = (
        "All adapters at coefficient 1 answer {two_hop; rule=sum; pairs=1} of two-hop questions "
        "with one pair and {two_hop; rule=sum; pairs=8} with eight; the pair with the largest "
        "response norm {two_hop; rule=largest response norm; pairs=8}"
    )
    return Page(table, title, [panels, weights], heights=[4, 1])


LESSONS = {
    "all layers": "facts only",
    "form for hop 1": "and a form, A→B",
    "form for hop 2": "and a form, B→C",
    "shared form": "and a form, both",
}
"""What adapters were taught in all layers, beside their facts."""


@figure("seed familiarity trained library rule two_hop two_hop_written two_hop_form")
def real_libraries(table: "pd.DataFrame") -> Page:
    """Libraries with and without an expert, by familiarity; two hops at once and step by step."""
    rules = labels(
        *("base", "hop 1 alone", "hop 2 alone", "expert", "mean", "sum", "arrow", "gates, z = 2"),
        "layer split",
    )
    facts = chosen(table, trained="all layers")
    facts = facts.assign(library=facts["library"].clip(lower=1))
    above, below = [], []
    for kind, name in (
        ("fake", "all invented"),
        ("half", "countries real"),
        ("real", "all known"),
    ):
        marks = [
            Mark(chosen(facts, familiarity=kind, library=size), "two_hop", text, look)
            for size, text, look in (
                (1, "base, or one adapter", Look(GREY, "s")),
                (2, "A→B and B→C", Look(BLACK)),
                (3, "these and the expert A→C", Look(PURPLE, "D")),
            )
        ]
        above.append(Along(name, "rule", marks, rules, [TWENTY], rules=[3.5]))
    for rule in ("mean", "sum"):
        rows = chosen(table, familiarity="half", library=2, rule=rule)
        marks = [
            Mark(rows, "two_hop", "at once", Look(BLACK, "o", filled=False)),
            Mark(rows, "two_hop_written", "bridge written first", Look(BLUE, "^")),
            Mark(rows, "two_hop_form", "bridge written after the question", Look(ORANGE, "v")),
        ]
        below.append(Along(f"countries real, {rule}", "trained", marks, LESSONS, [TWENTY]))
    half = "familiarity=half; rule=mean"
    title = (
        f"The mean of A→B and B→C answers {{two_hop; library=2; {half}}} of two-hop questions on "
        f"real countries, with an expert A→C {{two_hop; library=3; {half}}}, with the bridge "
        f"written first {{two_hop_written; library=2; {half}}}"
    )
    return Page(facts, title, [above, below], heights=[1.75, 1])


SIZES = ("to 9", "to 20", "to 99", "to 999")
OPERATIONS = {"plus": "+", "minus": "−", "times": "×"}


@figure("seed rule asked size metric share")
def real_words(table: "pd.DataFrame") -> Page:
    """Word problems on a language model: bare sums, one step, two steps, by use of adapters."""
    sums = chosen(table, rule="base, shown", metric="sum")
    asked = sums["asked"].str.split(" in ", expand=True)
    sums = sums.assign(size=asked[0] + " " + sums["size"], written=asked[1])
    names = {
        f"{name} {size}": f"{sign} {size}" for name, sign in OPERATIONS.items() for size in SIZES
    }
    places = {place: name for place, name in names.items() if (sums["size"] == place).any()}
    marks = [
        Mark(chosen(sums, written="digits"), "share", "in digits", Look(BLUE)),
        Mark(chosen(sums, written="words"), "share", "in words", Look(PURPLE, "v")),
    ]
    bare = Along("base: bare sums", "size", marks, places, rules=[3.5, 7.5], span=3)
    rules = labels(
        *("base", "base, shown", "add alone", "subtract alone", "mean", "sum", "ties", "arrow"),
        *("gates, z = 2", "joint", "composed"),
    )
    rows, parted = chosen(table, size=SIZES[0]), [len(rules) - 2.5]
    marks = [
        Mark(chosen(rows, asked="add", metric="steps"), "share", "add", Look(BLACK)),
        Mark(
            chosen(rows, asked="subtract", metric="steps"), "share", "subtract", Look(ORANGE, "^")
        ),
    ]
    one = Along("one step", "rule", marks, rules, rules=parted, span=4)
    both = chosen(rows, asked="add, subtract")
    marks = [
        Mark(chosen(both, metric="steps"), "share", "step by step", Look(BLACK, "o", filled=False)),
        Mark(chosen(both, metric="given"), "share", "first step given", Look(BLUE, "s")),
        Mark(chosen(both, metric="at once"), "share", "at once", Look(GREEN, "D")),
    ]
    copied = [Line(mean(both, "share", rule="copy"), "copying a number")]
    two = Along("two steps", "rule", marks, rules, copied, rules=parted, span=3)
    title = (
        "With numbers to 9 the mean of two adapters solves {share; metric=steps; rule=mean} of "
        "two-step problems, one trained on them {share; metric=steps; rule=composed}; copying a "
        "number scores {share; rule=copy}"
    )
    return Page(both, title, [[bare, one, two]], height=4.6)


PLAIN, LONG, BESIDE = "plain", "plain, 90 steps", "two stand-ins"
DROWNED, NONE = "partner not kept", "none"


@figure("seed first second rule coefficient two_hop_vocabulary says_bridge hop_1 hop_2 known leak")
def real_portable(table: "pd.DataFrame") -> Page:
    """Adapters taught beside stand-ins of a partner: what two strangers' sum answers."""
    sums = chosen(table, rule="sum")
    recipes = (
        (PLAIN, "plain + plain", Look(ORANGE, "s", "-")),
        (LONG, "plain + plain, 90 steps", Look(PURPLE, "D", "-")),
        (DROWNED, "beside + beside, not kept", Look(GREY, "^", "-")),
        (BESIDE, "beside + beside", Look(BLACK, "o", "-")),
    )
    two_hop = "two_hop_vocabulary"
    curves = [
        Mark(chosen(sums, first=recipe, second=recipe), two_hop, label, look)
        for recipe, label, look in recipes
    ]
    swept = Along(
        "sum at other coefficients", "coefficient", curves, across="coefficient", up="two-hop"
    )
    full = table[table["coefficient"].isin((0, 1))]
    full = full.assign(way=[WAYS.get((*row,), "") for row in full[list(USE)].to_numpy()])
    places = {way: way for way in WAYS.values() if (full["way"] == way).any()}
    answers = [
        Mark(full, two_hop, "right", Look(BLACK)),
        Mark(full, "says_bridge", "the country instead", Look(ORANGE, "X")),
    ]
    asked = Along("two-hop, coefficient 1", "way", answers, places, span=4)
    kept = [
        Mark(full, "hop_1", PERSON, Look(BLUE, "^")),
        Mark(full, "hop_2", COUNTRY, Look(GREEN, "s")),
        Mark(full, "known", "known, untaught", Look(GREY, "D")),
    ]
    single = Along("single facts", "way", kept, places, span=4)
    leaks = [Mark(full, "leak", "leak", Look(SKY, "v"))]
    ordinary = Along("leak", "way", leaks, places, across="nats a token", shares=False, span=3)
    title = (
        "Taught beside stand-ins, two adapters of strangers answer {two_hop_vocabulary; rule=sum; "
        "coefficient=1; first=two stand-ins; second=two stand-ins} of the two-hop questions by "
        "their plain sum, plainly taught ones {two_hop_vocabulary; rule=sum; coefficient=1; "
        "first=plain; second=plain}"
    )
    return Page(table, title, [[asked, single, ordinary], [swept]], heights=[2, 1])


USE = ("first", "second", "rule")
WAYS = {
    (NONE, NONE, "base"): "base",
    (PLAIN, NONE, "first alone"): "plain hop 1, alone",
    (BESIDE, NONE, "first alone"): "hop 1 beside, alone",
    (NONE, PLAIN, "second alone"): "plain hop 2, alone",
    (NONE, BESIDE, "second alone"): "hop 2 beside, alone",
    (PLAIN, PLAIN, "sum"): "plain + plain",
    (LONG, LONG, "sum"): "plain + plain, 90 steps",
    (PLAIN, PLAIN, "layer split"): "plain + plain, layer split",
    (BESIDE, PLAIN, "sum"): "beside + plain",
    (PLAIN, BESIDE, "sum"): "plain + beside",
    (DROWNED, DROWNED, "sum"): "beside + beside, not kept",
    (BESIDE, BESIDE, "sum"): "beside + beside",
}
"""Who acts, by `USE`; who was taught beside stand-ins is called so.

Not kept: without what the stand-ins say themselves among the lessons.
"""


@figure(
    "seed recipe arm layer two_hop_vocabulary hop_1 hop_2 bridge_at_subject bridge_at_last "
    "answer_at_last"
)
def real_order(table: "pd.DataFrame") -> Page:
    """Where adapters act, in layers and tokens, where they were trained, and what states say."""
    half = table[table["arm"].isin(ARMS) & (table["layer"] == table["layer"][table.index[0]])]
    arms = [
        Mark(chosen(half, recipe=recipe), "two_hop_vocabulary", name, look)
        for recipe, name, look in (
            (PLAIN, "plain", Look(ORANGE, "s")),
            (LONG, "plain, 90 steps", Look(PURPLE, "D")),
            (BESIDE, "beside stand-ins", Look(BLACK)),
        )
    ]
    acting = Along("two-hop, by where they act", "arm", arms, ARMS)
    placed = table[table["recipe"].isin(TAUGHT) & (table["arm"] == "sum")]
    kept = [
        Mark(placed, "hop_1", PERSON, Look(BLUE, "^")),
        Mark(placed, "hop_2", COUNTRY, Look(GREEN, "s")),
        Mark(placed, "two_hop_vocabulary", "two-hop", Look(GREY, "X")),
    ]
    trained = Along("sum, by where they were trained", "recipe", kept, TAUGHT, span=2)
    read = chosen(table, arm="lens", recipe=PLAIN)
    seen = [
        Mark(read, "bridge_at_subject", "country, at the person", Look(BLUE, "^", "-")),
        Mark(read, "bridge_at_last", "country, at the last token", Look(SKY, "v", "-")),
        Mark(read, "answer_at_last", "animal, at the last token", Look(ORANGE, "s", "-")),
        Mark(
            chosen(table, arm="lens", recipe=BESIDE),
            "answer_at_last",
            "animal, beside stand-ins",
            Look(BLACK, "o", "-"),
        ),
    ]
    lens = Along(
        "what states say, plain adapters", "layer", seen, across="layer", up="leads", span=3
    )
    title = (
        "Order, not readout: of the two-hop questions plain adapters' sum answers "
        "{two_hop_vocabulary; recipe=plain; arm=countries banned} if no country may be the answer, "
        "{two_hop_vocabulary; recipe=plain; arm=hop 1 at subject} if hop 1 acts at the person "
        "alone, {two_hop_vocabulary; recipe=plain; arm=reversed layer split} in the wrong order"
    )
    return Page(table, title, [[acting], [trained, lens]], heights=[4, 3], height=5.7)


ARMS = {
    "sum": "sum",
    "countries banned": "no country as the answer",
    "hop 1 at subject": "hop 1 at person only",
    "hop 2 at last token": "hop 2 at last token only",
    "hop 1 at subject, hop 2 at last": "both of these",
    "hop 1 below": "hop 1 below only",
    "hop 2 above": "hop 2 above only",
    "layer split": "layer split: both of these",
    "reversed layer split": "reversed split",
}
"""Where two adapters act that were trained in all layers."""
TAUGHT = {
    LONG: "all layers",
    "right halves": "right halves",
    "wrong two thirds": "wrong 2/3",
    "wrong halves": "wrong halves",
}
"""Where adapters of 90 steps were trained."""


@figure("seed first second two_hop_vocabulary hop_2 portability portability_read leak")
def real_rehearsal(table: "pd.DataFrame") -> Page:
    """A second hop taught by descriptions too: two-hop questions, portability, what leaks."""
    firsts = (
        (BESIDE, "first hop beside stand-ins", Look(BLACK)),
        (LONG, "plain first hop, 90 steps", Look(PURPLE, "D")),
        (PLAIN, "plain first hop", Look(ORANGE, "s")),
        (NONE, "alone", Look(GREY, "X")),
    )
    answers = [
        Mark(chosen(table, first=first), "two_hop_vocabulary", label, look)
        for first, label, look in firsts
    ]
    asked = Along("two-hop", "second", answers, SECONDS, span=3)
    alone = chosen(table, first=NONE)
    kept = [
        Mark(alone, "hop_2", "by name", Look(GREEN, "s")),
        Mark(alone, "portability_read", "by descriptions of the lessons", Look(BLUE, "^")),
        Mark(alone, "portability", "by others", Look(SKY, "v")),
    ]
    single = Along("single hop, alone", "second", kept, SECONDS, span=3)
    leaks = [Mark(chosen(table, first=first), "leak", label, look) for first, label, look in firsts]
    ordinary = Along("leak", "second", leaks, SECONDS, across="nats a token", shares=False, span=2)
    title = (
        "Taught by descriptions too, a second hop answers {two_hop_vocabulary; first=plain, 90 "
        "steps; second=described} of the two-hop questions beside a stranger's plain first hop, a "
        "plain one {two_hop_vocabulary; first=plain, 90 steps; second=plain, 90 steps}"
    )
    return Page(table, title, [[asked, single, ordinary]], height=3.6)


SECONDS = {
    LONG: "plain, 90 steps",
    "described": "by descriptions",
    "described, silent": "the same, and silence",
    BESIDE: "beside stand-ins",
}
"""How a second hop is taught."""
