"""Figures of a language model: pairs of adapters, libraries, and word problems in English."""

from typing import TYPE_CHECKING, Any

from loratheory.experiments import published
from loratheory.experiments import table as stored
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
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    Look,
    labels,
)

if TYPE_CHECKING:
    import pandas as pd

PERSON, COUNTRY, ANIMAL = "person to country", "country to animal", "person to animal"
FIRST, SECOND = Look(BLUE, "^"), Look(GREEN, "s")
"""Looks of single facts of the first and of the second hop."""


def chance(candidates: int) -> Line:
    """Return the line at which guessing among this number of candidates stands."""
    return Line(1 / candidates, "chance", "chance", INK)


@figure("seed trained rule first second layer hop_1 hop_2 two_hop confidence predicted")
def real_two_hop(table: "pd.DataFrame") -> Page:
    """Adapters for single hops on a language model: answers by coefficient, and by rule."""
    everywhere = chosen(table, trained="all layers")
    sums = chosen(everywhere, rule="sum")
    rows = sums[sums["first"] == sums["second"]]
    rows = rows.assign(predicted=rows["predicted"].where(rows["predicted"] >= 0))
    marks = [
        Mark(rows, "hop_1", PERSON, Look(BLUE, "^", "-")),
        Mark(rows, "hop_2", COUNTRY, Look(GREEN, "s", "-")),
        Mark(rows, "two_hop", ANIMAL, Look(INK, "o", "-"), "predicted", f"predicted, {ANIMAL}"),
    ]
    axis: Any = {"across": "coefficient of both", "up": "accuracy", "ticks": [0, 0.5, 1], "span": 4}
    title = "sum, taught in all layers"
    swept = Along(title, "first", marks, lines=[chance(20)], takeaway=(0.97, 1.03), **axis)
    rules = labels(
        *("mean", "sum", "ties", "arrow", "gates, z = 2", "block gates, z = 2"),
        *("reversed layer split", "best split"),
    )
    taught = [
        Mark(by_rule(everywhere), "two_hop", "taught in all layers", Look(INK)),
        Mark(
            by_rule(chosen(table, trained="by layers")),
            "two_hop",
            "taught by layers",
            Look(PURPLE, "D"),
        ),
    ]
    told = ("sum", "best split")
    ruled = Along(ANIMAL, "rule", taught, rules, [chance(20)], span=5, takeaway=told)
    title = (
        "On SmolLM2-135M the sum of two adapters answers {hop_1; rule=sum} of the first hops and "
        "{two_hop; rule=sum} of the two-hop questions, split by layers {two_hop; rule=best split}"
    )
    return Page(taught[0].rows, title, [[swept, ruled]], height=3.9)


def by_rule(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return rows of `real_two_hop` with one row per rule and seed, including two more rules.

    The ``mean`` is the sum at coefficient one half; other coefficients than 1 are left out. The
    ``best split`` is, for each seed, the split in which the model is most confident, in either
    order. `rows` must be of one kind of training.
    """
    sums, both = rows["rule"] == "sum", rows["first"] == rows["second"]
    means = rows[sums & both & (rows["first"] == 0.5)].assign(rule="mean")
    splits = rows[rows["rule"].isin(("layer split", "reversed layer split"))]
    best = splits.loc[splits.groupby("seed")["confidence"].idxmax()].assign(rule="best split")
    return stacked(rows[~sums | (both & (rows["first"] == 1))], means, best)


@figure(
    "seed recipe rule publishers two_hop_vocabulary hop_1 hop_2 unrelated first_right second_right "
    "chance"
)
def real_crossings(table: "pd.DataFrame") -> Page:
    """Twelve adapters, any first hop beside any second: answers, and which adapters are chosen."""
    rows = chosen(table, publishers=6)
    beside = chosen(rows, recipe=BESIDE)
    marks = [
        Mark(chosen(rows, recipe=recipe), "two_hop_vocabulary", name, look)
        for recipe, name, look in (
            (BESIDE, "taught beside stand-ins", Look(INK)),
            ("second hops above", "second hops plain, top third", Look(GREY, "v")),
            ("two stand-ins, silent", "second hops silent elsewhere", Look(ORANGE, "D")),
            ("plain", "taught plainly", Look(PURPLE, "s")),
        )
    ]
    told = ("right pair", "subject gates")
    asked = Along("two-hop", "rule", marks, CROSSED, [constant(beside)], span=4, takeaway=told)
    kept = [
        Mark(beside, "hop_1", PERSON, FIRST),
        Mark(beside, "hop_2", COUNTRY, SECOND),
        Mark(beside, "unrelated", "unrelated facts", Look(GREY, "X")),
    ]
    single = Along("single facts", "rule", kept, CROSSED, span=3)
    routes = {name: way for name, way in CROSSED.items() if name in ROUTES}
    right = [
        Mark(beside, "first_right", "the right first hop", FIRST),
        Mark(beside, "second_right", "the right second hop", SECOND),
        Mark(
            chosen(rows, recipe="two stand-ins, silent"),
            "second_right",
            "the same, silent elsewhere",
            Look(ORANGE, "D"),
        ),
    ]
    found = Along("chosen", "rule", right, routes, [chance(6)], span=3)
    title = (
        "Six first, six second hops, no pairs told: gates that know each one's subjects answer "
        "{two_hop_vocabulary; recipe=two stand-ins; publishers=6; rule=subject gates} of the "
        "two-hop questions, the right pair "
        "{two_hop_vocabulary; recipe=two stand-ins; publishers=6; rule=right pair}"
    )
    return Page(rows, title, [[asked, single, found]], height=3.9)


ROUTES = ("arrow", "norm, z", "gates, z = 2", "hop gates", "hop gates, tried", "subject gates")
"""Rules of `real_crossings` that weigh adapters by token or prompt."""
CROSSED = {
    **labels("mean", "sum"),
    "sum, hop by hop": "sum, hop by hop",
    **labels("arrow", "norm, z", "gates, z = 2"),
    "hop gates": "hop gates by response",
    "hop gates, tried": "hop gates, all tried",
    "subject gates": "subject gates",
    "subject gates, hop by hop": "subject gates, hop by hop",
    "right pair": "the right pair, told",
}
"""Names of rules of `real_crossings`, from top to bottom."""


@figure("seed familiarity trained library rule two_hop two_hop_written")
def real_libraries(table: "pd.DataFrame") -> Page:
    """Libraries with and without an expert, by familiarity of the facts, at once and hop by hop."""
    rules = labels("expert", "mean", "sum", "arrow", "gates, z = 2", "layer split")
    facts, panels = chosen(table, trained="all layers"), []
    for kind, name in (
        ("fake", "all invented"),
        ("half", "countries real"),
        ("real", "all known"),
    ):
        rows = chosen(facts, familiarity=kind)
        two = chosen(rows, library=2)
        expert = rows[rows["library"].eq(3) | rows["rule"].eq("expert")]
        marks = [
            Mark(two, "two_hop", "A→B and B→C", Look(INK)),
            Mark(two, "two_hop_written", "the same, bridge written first", Look(BLUE, "^")),
            Mark(expert, "two_hop", "with an A→C adapter", Look(PURPLE, "D")),
        ]
        panels.append(Along(name, "rule", marks, rules, [chance(20)], takeaway=("mean",)))
    half = "familiarity=half; rule=mean"
    title = (
        f"On real countries the mean answers {{two_hop; library=2; {half}}} of the two-hop "
        f"questions, with the bridge written first {{two_hop_written; library=2; {half}}}, with an "
        f"A→C adapter in it {{two_hop; library=3; {half}}}"
    )
    return Page(facts, title, [panels], height=3.9)


PLAIN, LONG, BESIDE = "plain", "plain, 90 steps", "two stand-ins"
DROWNED, NONE = "partner not kept", "none"


@figure("seed first second rule coefficient two_hop_vocabulary says_bridge hop_1 hop_2 leak")
def real_portable(table: "pd.DataFrame") -> Page:
    """Adapters trained beside stand-ins of a partner: what the sum of two such adapters answers."""
    full = table[table["coefficient"].isin((0, 1))]
    full = full.assign(way=[WAYS.get((*row,), "") for row in full[list(USE)].to_numpy()])
    places = {way: way for way in WAYS.values() if (full["way"] == way).any()}
    answers = [
        Mark(full, "two_hop_vocabulary", "right", Look(INK)),
        Mark(full, "says_bridge", "the country instead", Look(ORANGE, "X")),
    ]
    kept = [Mark(full, "hop_1", PERSON, FIRST), Mark(full, "hop_2", COUNTRY, SECOND)]
    leaks = [Mark(full, "leak", "leak", Look(SKY, "v"))]
    axis: Any = {
        "places": places,
        "takeaway": tuple(WAYS[one, one, "sum"] for one in (PLAIN, LONG, BESIDE)),
    }
    panels = [
        Along("two-hop", "way", answers, span=4, **axis),
        Along("single facts", "way", kept, span=4, **axis),
        Along("leak", "way", leaks, across="nats a token", shares=False, span=3, **axis),
    ]
    title = (
        "Taught beside stand-ins, strangers' adapters answer {two_hop_vocabulary; rule=sum; "
        "coefficient=1; first=two stand-ins; second=two stand-ins} of two-hop questions, "
        "plain-90 ones {two_hop_vocabulary; rule=sum; coefficient=1; "
        "first=plain, 90 steps; second=plain, 90 steps}, plain-short ones "
        "{two_hop_vocabulary; rule=sum; coefficient=1; first=plain; second=plain}"
    )
    return Page(table, title, [panels], height=3.2)


USE = ("first", "second", "rule")
WAYS = {
    (PLAIN, NONE, "first alone"): "plain-short hop 1, alone",
    (BESIDE, NONE, "first alone"): "hop 1 beside, alone",
    (NONE, PLAIN, "second alone"): "plain-short hop 2, alone",
    (NONE, BESIDE, "second alone"): "hop 2 beside, alone",
    (PLAIN, PLAIN, "sum"): "plain-short, both",
    (LONG, LONG, "sum"): "plain-90, both",
    (PLAIN, PLAIN, "layer split"): "plain-short, both, layer split",
    (BESIDE, PLAIN, "sum"): "beside + plain-short",
    (PLAIN, BESIDE, "sum"): "plain-short + beside",
    (DROWNED, DROWNED, "sum"): "beside, both, partner not kept",
    (BESIDE, BESIDE, "sum"): "beside, both",
}
"""Names of the adapters that act, by `USE`; "beside" means trained beside two stand-ins.

Plain-short trainings end once the facts are learnt, plain-90 ones after ninety steps, as those
beside stand-ins do. "Partner not kept" means that the lessons do not contain the stand-ins' own
answers.
"""


@figure("seed bridge first second rule sentence two_hop_vocabulary hop_1 hop_2 by_heart")
def real_stand_ins(table: "pd.DataFrame") -> Page:
    """What in teaching beside stand-ins makes adapters compose; lessons known by heart; sentences.

    The last panel has the sum of two adapters taught beside two stand-ins that disagree. The six
    ways to teach from "in full strength" on were tried in four worlds, an invented bridge in three.
    """
    known = chosen(table, bridge="known")
    ways = [
        PARTS.get((*pair,), "") + ("" if bridge == "known" else INVENTED)
        for bridge, *pair in table[["bridge", *USE[:2]]].to_numpy()
    ]
    pairs = table.assign(way=ways)
    every = (*PARTS.values(), *(PARTS[one, one] + INVENTED for one in (LONG, BESIDE)))
    places = {way: way for way in every if (pairs["way"] == way).any()}
    answers = [
        Mark(chosen(pairs, rule=rule), "two_hop_vocabulary", rule, look)
        for rule, look in (
            ("sum", Look(INK)),
            ("mean", Look(ORANGE, "s")),
            ("layer split", Look(PURPLE, "D")),
        )
    ]
    told = (PARTS[LONG, LONG], PARTS[BESIDE, BESIDE])
    asked = Along("two-hop", "way", answers, places, span=4, takeaway=told)
    alone = chosen(known, rule="alone")
    lessons = alone.assign(recipe=alone["first"].where(alone["first"] != NONE, alone["second"]))
    hearts = [
        Mark(lessons[lessons["second"] == NONE], "by_heart", PERSON, FIRST),
        Mark(lessons[lessons["first"] == NONE], "by_heart", COUNTRY, SECOND),
    ]
    bound = [Line(0.5, "predicted bound, two that disagree", "predicted")]
    heart = Along("by heart", "recipe", hearts, HEART, bound, span=3)
    both = chosen(known, first=BESIDE, second=BESIDE, rule="sum")
    plain = chosen(known, first=LONG, second=LONG, rule="sum")
    each = [
        Mark(both, "two_hop_vocabulary", "sum", Look(INK)),
        Mark(both, "hop_1", PERSON, FIRST),
        Mark(both, "hop_2", COUNTRY, SECOND),
        Mark(plain, "two_hop_vocabulary", "sum, plain-90", Look(GREY, "X")),
    ]
    numbers = {k: f"no. {k + 1:g}" for k in sorted(table["sentence"].unique())}
    sentences = Along("wordings", "sentence", each, numbers, span=3)
    title = (
        "Ten new worlds, ten sentences: beside two stand-ins that disagree {two_hop_vocabulary; "
        "rule=sum; bridge=known; first=two stand-ins; second=two stand-ins}, two that agree "
        "{two_hop_vocabulary; rule=sum; bridge=known; first=two that agree}, without a partner "
        "{two_hop_vocabulary; rule=sum; bridge=known; first=without a partner}"
    )
    return Page(table, title, [[asked, heart, sentences]], height=5.2)


PARTS = {
    (PLAIN, PLAIN): "plain-short",
    (LONG, LONG): "plain-90",
    ("plain, 270 steps",) * 2: "plain-270",
    ("no two-hop sentences",) * 2: "beside two, no two-hop sentences",
    ("without a partner",) * 2: "two-hop sentences, no partner",
    (LONG, "without a partner"): "no partner, the second alone",
    ("one stand-in",) * 2: "beside one stand-in",
    ("two that agree",) * 2: "beside two that agree",
    (BESIDE, BESIDE): "beside two that disagree",
    (LONG, BESIDE): "beside two, the second alone",
    (BESIDE, LONG): "beside two, the first alone",
    ("in full strength",) * 2: "beside two in full strength",
    ("in halves",) * 2: "beside two at half strength",
    ("another relation",) * 2: "beside two of another relation",
    ("noise",) * 2: "beside noise",
    ("rank 2",) * 2: "beside two, rank 2",
    ("rank 32",) * 2: "beside two, rank 32",
}
"""Names of pairs in `real_stand_ins`; plain partners in mixed pairs are plain-90."""
INVENTED = ", invented bridge"
HEART = {
    "one stand-in": "one stand-in",
    "two that agree": "two that agree",
    BESIDE: "two that disagree",
}
"""Recipes whose lessons have two-hop sentences beside stand-ins."""


@figure("seed recipe arm layer two_hop_vocabulary hop_1 hop_2")
def real_order(table: "pd.DataFrame") -> Page:
    """Where adapters act, in layers and tokens, and where they were trained."""
    half = table[table["arm"].isin(ARMS) & (table["layer"] == table["layer"][table.index[0]])]
    arms = [
        Mark(chosen(half, recipe=recipe), "two_hop_vocabulary", name, look)
        for recipe, name, look in (
            (PLAIN, "plain-short", Look(ORANGE, "s")),
            (LONG, "plain-90", Look(PURPLE, "D")),
            (BESIDE, "beside stand-ins", Look(INK)),
        )
    ]
    told = ("countries banned", "hop 1 at subject")
    acting = Along("two-hop, by where they act", "arm", arms, ARMS, takeaway=told, span=5)
    placed = table[table["recipe"].isin(TAUGHT) & (table["arm"] == "sum")]
    kept = [
        Mark(placed, "hop_1", PERSON, FIRST),
        Mark(placed, "hop_2", COUNTRY, SECOND),
        Mark(placed, "two_hop_vocabulary", "two-hop", Look(GREY, "X")),
    ]
    wrong = ("wrong two thirds",)
    trained = Along("sum, by where trained", "recipe", kept, TAUGHT, takeaway=wrong, span=4)
    title = (
        "Readout explains little: the plain-short sum answers {two_hop_vocabulary; recipe=plain; "
        "arm=sum} of the two-hop questions, {two_hop_vocabulary; recipe=plain; arm=countries "
        "banned} if no country may be the answer, {two_hop_vocabulary; recipe=plain; arm=hop 1 at "
        "subject} if hop 1 acts at the person alone"
    )
    return Page(table, title, [[acting, trained]], height=3.3)


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
"""Arms that differ in where two adapters act, which were trained in all layers."""
TAUGHT = {
    LONG: "all layers",
    "right halves": "right halves",
    "wrong two thirds": "wrong 2/3",
    "wrong halves": "wrong halves",
}
"""Recipes that differ in where adapters were trained, for 90 steps."""


@figure("seed relation first second rule sentence two_hop_vocabulary hop_1 hop_2 known")
def real_top_layers(table: "pd.DataFrame") -> Page:
    """Second hops that are taught in some layers alone, and two kinds of first hops.

    "Beside" means taught beside two stand-ins, "plain" for as many steps without. Adapters of all
    layers are those of `real_stand_ins`, in the same worlds and sentences. The last panel has other
    relations of the second hop in three worlds, beside first hops whose stand-ins were of mascots;
    mascots in the top third are from four worlds, else from ten.
    """
    others = chosen(stored(published("real_stand_ins")), bridge="known").assign(relation="mascot")
    others = others[others["seed"].isin(table["seed"]) & others["second"].isin((LONG, BESIDE))]
    every = stacked(table, others[table.columns])
    pairs, panels = chosen(every, relation="mascot"), []
    for title, first in (("two-hop, hop 1 plain", LONG), ("two-hop, hop 1 beside", BESIDE)):
        both = chosen(pairs, first=first)
        places = {key: name for key, name in HEIGHTS.items() if (both["second"] == key).any()}
        rules = [
            Mark(chosen(both, rule=rule), "two_hop_vocabulary", rule, look)
            for rule, look in (("sum", Look(INK)), ("mean", Look(ORANGE, "s")))
        ]
        panels.append(Along(title, "second", rules, places, span=3, takeaway=(TOP,)))
    kept = chosen(pairs, first=BESIDE, rule="sum")
    places = {key: name for key, name in HEIGHTS.items() if (kept["second"] == key).any()}
    facts = [
        Mark(kept, "hop_1", PERSON, FIRST),
        Mark(kept, "hop_2", COUNTRY, SECOND),
        Mark(kept, "known", "known facts", Look(GREY, "X")),
    ]
    panels.append(Along("kept, hop 1 beside", "second", facts, places, span=3))
    arms = [
        Mark(
            chosen(every, first=first, second=second, rule="sum"),
            "two_hop_vocabulary",
            f"hop 1 {how}, hop 2 in {where}",
            look,
        )
        for first, how, second, where, look in (
            (LONG, "plain", LONG, "all layers", Look(GREY, "X")),
            (LONG, "plain", THIRD, "the top third", Look(ORANGE, "s")),
            (BESIDE, "beside", LONG, "all layers", Look(PURPLE, "D")),
            (BESIDE, "beside", THIRD, "the top third", Look(INK)),
        )
    ]
    relations = {one: one for one in every["relation"].unique()}
    panels.append(Along("two-hop, five relations", "relation", arms, relations, span=3))
    title = (
        "Taught in the highest sixth of the layers alone, plainly, a second hop answers "
        "{two_hop_vocabulary; relation=mascot; rule=sum; first=plain, 90 steps; second=sixth 6} of "
        "the two-hop questions beside a plain first hop, {two_hop_vocabulary; relation=mascot; "
        "rule=sum; first=two stand-ins; second=sixth 6} beside one taught with stand-ins"
    )
    return Page(table, title, [panels[:2], panels[2:]], height=5.6)


TOP, THIRD = "sixth 6", "sixths 5 and 6"
HEIGHTS = {
    LONG: "plain, all layers",
    "sixth 5": "plain, sixth 5 of 6",
    THIRD: "plain, top third",
    TOP: "plain, top sixth",
    "described, sixth 6": "descriptions, top sixth",
    BESIDE: "beside, all layers",
    "two stand-ins, sixth 6": "beside, top sixth",
}
"""How the second hop is taught."""


FORETOLD = "predicted from the base"
LAYERS = {LONG: "all layers", **{f"sixth {k}": f"sixth {k} of 6" for k in range(1, 7)}}
LAYERS |= {"sixth 1": "lowest sixth", "sixth 6": "highest sixth"}
"""Layers in which an adapter is trained."""
MENTIONED = {
    "named": "by name",
    "portability_read": "by kinds of description",
    "portability": "by another kind",
    "person": "by a known person",
}
"""How questions mention a country; kinds are those that `loratheory rehearse` makes lessons of."""


@figure("seed first second two_hop_vocabulary hop_2 portability portability_read leak")
def real_rehearsal(table: "pd.DataFrame") -> Page:
    """A second hop taught by descriptions too: two-hop questions, portability, what leaks."""
    firsts = (
        (BESIDE, "first hop beside stand-ins", Look(INK)),
        (LONG, "plain-90 first hop", Look(PURPLE, "D")),
        (PLAIN, "plain-short first hop", Look(ORANGE, "s")),
        (NONE, "alone", Look(GREY, "X")),
    )
    answers = [
        Mark(chosen(table, first=first), "two_hop_vocabulary", label, look)
        for first, label, look in firsts
    ]
    told = ("described",)
    asked = Along("two-hop", "second", answers, SECONDS, span=3, takeaway=told)
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
        "A second hop that is taught by descriptions too answers {two_hop_vocabulary; first=plain, "
        "90 steps; second=described} of the two-hop questions beside a plain-90 first hop (a "
        "plain-90 one {two_hop_vocabulary; first=plain, 90 steps; second=plain, 90 steps}), "
        "{two_hop_vocabulary; first=two stand-ins; second=described} beside one that had stand-ins"
    )
    return Page(table, title, [[asked, single, ordinary]], height=3.6)


SECONDS = {
    LONG: "plain-90",
    "described": "by descriptions",
    "described, silent": "the same, and silence",
    BESIDE: "beside stand-ins",
}
"""How a second hop is taught."""


THREE = {
    PLAIN: "plain-270",
    "beside neighbours": "two of neighbours",
    "beside six": "six for last two hops",
    "beside both others": "of both others",
    "plain, third above": "plain, 3rd on top",
    "beside neighbours, third above": "two, 3rd on top",
    "beside both others, third above": "both others, 3rd on top",
}
"""How the adapters of `real_three_hops` are taught."""
ACT = {
    "sum": "all three",
    "mean": "all, a third each",
    "hops 1 and 2": "without the third",
    "hops 1 and 3": "without the second",
    "hops 2 and 3": "without the first",
}


@figure("lessons stage way group adapter partners kept kl_few leak")
def real_library(table: "pd.DataFrame") -> Page:
    """What each adapter keeps in pairs of a library of 24, and which measures foretell it."""
    table = table.assign(seed=table["adapter"])
    looks = (("plain", Look(INK)), ("silence", Look(BLUE, "^")))
    pairs = table[table["stage"].isin(["pairs", "ways"])]
    asked = pairs["group"][pairs["stage"] == "ways"].unique()
    same = pairs[pairs["group"].isin(asked)]
    each = [Mark(chosen(same, lessons=one), "kept", LESSONS[one], look) for one, look in looks]
    by_way = Along(
        f"of the {len(asked)} pairs asked in every way",
        "way",
        each,
        KEPT_BY,
        across="kept",
        takeaway=TOLD,
    )
    told = [
        Mark(binned(chosen(pairs, lessons="plain", stage="pairs", way=way)), "kept", way, look)
        for way, look in (("mean", Look(ORANGE, "s", "-")), ("sum", Look(PURPLE, "D", "-")))
    ]
    nats: Any = {"across": "nats", "up": "kept", "log": "10"}
    by_kl = Along(
        "plain, by divergence on four prompts", "kl_few", told, ticks=(0.0001, 0.01, 1), **nats
    )
    leaks = [
        Mark(beside(table, one), "kept", LESSONS[one], look, interval=False) for one, look in looks
    ]
    by_leak = Along("sum, by the partner's leak", "leak", leaks, ticks=(0.3, 1, 3, 10), **nats)
    sets = table[table["stage"].isin(["pairs", "ways", "triples", "ways of triples", "sixes"])]
    sets = sets.assign(size=sets["partners"].str.count(",") + 2)
    many = [
        Mark(chosen(sets, lessons=lessons, way=way), "kept", name, look, interval=False)
        for lessons, way, name, look in (
            ("plain", "mean", "mean", Look(ORANGE, "s", "-")),
            ("plain", "sum", "sum", Look(PURPLE, "D", "-")),
            ("silence", "sum", "sum, and silence", Look(BLUE, "^", "-")),
            ("plain", "prompt gates", "prompt gates", Look(INK, "o", "-")),
        )
    ]
    by_size = Along("by how many act", "size", many, ticks=(2, 3, 6), across="adapters", up="kept")
    title = (
        "One library, one seed: of 24 adapters in pairs the mean keeps "
        "{kept; stage=pairs; way=mean; lessons=plain}, the sum "
        "{kept; stage=pairs; way=sum; lessons=plain}; taught silence as well, "
        "{kept; stage=pairs; way=mean; lessons=silence} and "
        "{kept; stage=pairs; way=sum; lessons=silence}"
    )
    return Page(table, title, [[by_way], [by_size, by_kl, by_leak]], height=5.8)


LESSONS = {"plain": "taught plainly", "silence": "and silence"}
KEPT_BY = labels(
    *("mean", "sum", "one coefficient", "a coefficient each", "knots-ties", "tsv", "interpolate"),
    *("chebyshev", "map gates", "block gates", "prompt gates"),
)
TOLD = ("sum", "a coefficient each", "prompt gates")
BINS = 10


def binned(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows with each `kl_few` replaced by the median of its tenth of the rows."""
    import pandas as pd

    tenth = pd.qcut(rows["kl_few"].rank(method="first"), BINS, labels=False)
    return rows.assign(kl_few=rows.groupby(tenth)["kl_few"].transform("median"))


def beside(table: "pd.DataFrame", lessons: str) -> "pd.DataFrame":
    """Return the rows of sums of pairs, with the leak of each adapter's partner as `leak`."""
    rows = chosen(table, lessons=lessons)
    leaks = chosen(rows, stage="alone").set_index("adapter")["leak"]
    sums = chosen(rows, stage="pairs", way="sum")
    return sums.assign(leak=sums["partners"].map(leaks))
