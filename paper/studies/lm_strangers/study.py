"""The parts of the study; `prediction.md` says what was asked."""

from collections.abc import Callable, Mapping
from typing import Any

from paper.studies._shared.run import Part, Row, grid, part, study
from paper.studies.lm_strangers.draw import PAIRS
from paper.studies.lm_strangers.merges import measure_merges
from paper.studies.lm_strangers.other_texts import measure_other_texts
from paper.studies.lm_strangers.other_trainer import measure_partners
from paper.studies.lm_strangers.pairs import BASES, Config, cell, cell_in_float32

FRESH, HOP_2 = "fresh stand-ins", "fresh stand-ins, hop 2"
HOP_1 = "fresh stand-ins, hop 1, 384 texts"
INVENTED = "invented bridges"
LONG = "standard, 180 steps"  # as many as with fresh stand-ins
DISTILLED, LONG_DISTILLED = f"{FRESH}, self-distillation", f"{LONG}, self-distillation"
MORE_DISTILLED = f"{FRESH}, self-distillation, 384 texts"
WHOLE_DISTILLED = f"{FRESH}, whole answers, self-distillation"
MANY = [MORE_DISTILLED, f"{LONG_DISTILLED}, 384 texts", f"{WHOLE_DISTILLED}, 384 texts"]
TRAININGS = ("two stand-ins", "standard")
SAME_SETTINGS = ("S0", "S1", "S2", "S3", "S5")
# The other trainer's hop-2 adapter knows no stand-ins.
SAME_TRAINER = ["S0", "S1", "S2", "S3", "S4", "S5", "S6"]
EVERY, TOGETHER = [*SAME_TRAINER[:5], "S4, other trainer", *SAME_TRAINER[5:]], "S2 to S5"
# The six stand-ins have 90 steps, like two; the others 180.
MORE = ("six stand-ins", "CompAs", "completed examples", "completed examples, late layers")
PUBLISHED = ("LoRI", "CoTo", "sharpness-aware", "identity bridge", "distractor mixing", "OSD")
PARTNERED = (f"{FRESH}, hop 1", f"{FRESH}, late layers", *MORE[:2])
OTHER_METHODS = (PARTNERED[0], HOP_2, LONG, "late layers", PARTNERED[1], *PUBLISHED)
ALONE = ("late layers", *MORE[2:], *PUBLISHED)
DIFFERENCES = (*SAME_SETTINGS[2:], "S4")
GEMMA: Mapping[str, Any] = {"seed": [400], "model": BASES[1:], "rate": [2.0]}
BY_DEPTH: Mapping[str, Any] = {"model": BASES[1:], "rate": [5 / 3]}  # 30 layers over gemma's 18
OTHER_PAIRS = [*PAIRS][1:]
OPEN: Mapping[str, Any] = {"pair": ["trade, fruit"]}
TEMPLATES = ["S0", "closed templates", "open templates"]
# Processors without products in bfloat16 take three times as long for them.
FLOAT_32: Mapping[str, Any] = {"quick": DISTILLED, "act": cell_in_float32}
PARTNERS: Mapping[str, Any] = {"level": EVERY[5:6], "method": [FRESH, f"{FRESH}, whole answers"]}


def _part(
    name: str,
    *grids: Mapping[str, Any],
    quick: str = "two stand-ins",
    act: Callable[[Config], list[Row]] = cell,
) -> Part:
    """Return a part with the configs of some grids, of fact set 400 if they name none."""
    configs = list[Config]()
    for fields in grids:
        configs += grid(Config, **{"seed": [400], **fields})
    return part(name, act, (Config(seed=400, method=quick),), configs)


def _both(**fields: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return a grid for each base, at the rate that `train` takes by default."""
    return fields, {**fields, **BY_DEPTH}


STUDY = study(
    __name__,
    # The rule's own rate first: the run takes hours and can be stopped after any cell.
    _part("rates", {"rate": (1.0, 2.0, 0.5, 4.0, 0.25), "model": BASES}),
    _part("steps", {"method": ["two stand-ins, 180 steps"], "model": BASES}),
    _part("levels", {"level": SAME_SETTINGS, "method": TRAININGS}),
    _part("pairs", {"pair": OTHER_PAIRS, "method": TRAININGS}),
    _part("settings", {"level": ["S4", "S6", "S4, other trainer"], "method": TRAININGS}),
    _part(
        "fresh",
        {"model": BASES, "pair": PAIRS, "method": [FRESH]},
        {"level": [*EVERY[1:], TOGETHER], "method": [FRESH]},
        {"model": BASES[1:], "pair": PAIRS, "method": ["standard"]},
        quick=FRESH,
    ),
    _part("rivals", {"method": OTHER_METHODS}),
    _part("twice_the_rate", {"pair": PAIRS, "method": [FRESH], **GEMMA}),
    _part(
        "gemma_levels",
        {"level": [*EVERY[1:], TOGETHER], "method": [FRESH], **GEMMA},
        {"level": EVERY, "method": [LONG], **GEMMA},
    ),
    _part("rule_by_depth", {"pair": PAIRS, "method": [FRESH], **BY_DEPTH}),
    _part(
        "one_side",
        {"level": SAME_TRAINER[1:], "method": [HOP_2, LONG]},
        {"level": SAME_TRAINER, **GEMMA, "method": [HOP_2]},
    ),
    _part("more_rivals", {"method": MORE}),
    _part("fact_sets", *_both(seed=[*range(401, 410)], method=[FRESH, LONG])),
    _part("partners", PARTNERS, {**PARTNERS, **GEMMA}, act=measure_partners),
    _part(
        "matched",
        {"pair": OTHER_PAIRS, "method": [LONG]},
        {"pair": PAIRS, "method": [LONG], **BY_DEPTH},
        quick="standard",
    ),
    _part(
        "hop_2_alone",
        {"pair": OTHER_PAIRS, "method": [HOP_2]},
        {"pair": PAIRS, "method": [HOP_2], **BY_DEPTH},
        quick=HOP_2,
    ),
    _part(
        "differences_together",
        {"level": [TOGETHER], "method": [HOP_2, LONG]},
        {"level": [TOGETHER], "method": [HOP_2, LONG], **GEMMA},
        quick=HOP_2,
    ),
    _part("invented_bridges", *_both(level=[INVENTED], method=[FRESH, LONG]), quick=FRESH),
    _part("other_pairs", *_both(pair=OTHER_PAIRS, level=[TOGETHER, "S1"], method=[FRESH])),
    _part("gemma_two", {"level": EVERY, "method": ["two stand-ins, 180 steps"], **GEMMA}),
    _part("second_sets", *_both(pair=OTHER_PAIRS, seed=[401], method=[FRESH, LONG]), quick=FRESH),
    _part("one_difference", {"pair": ["pet, instrument"], "level": DIFFERENCES, "method": [FRESH]}),
    _part("gemma_partners", {"method": PARTNERED, **BY_DEPTH}, quick="six stand-ins"),
    _part("gemma_rivals", {"method": ALONE, **BY_DEPTH}),
    _part(
        "sizes",
        *_both(level=["S4, few facts", "S4, many facts"], method=[FRESH, LONG]),
        quick=FRESH,
    ),
    # The three pairs that are easiest for the sum of standard adapters.
    _part("merges", *_both(pair=[*PAIRS][:3], method=[LONG]), quick="standard", act=measure_merges),
    _part(
        "level_sets",
        *_both(level=SAME_SETTINGS[1:4], seed=[401], method=[FRESH]),
        *_both(level=SAME_SETTINGS[1:3], seed=[401], method=[LONG]),
        quick=FRESH,
    ),
    _part("merges_fresh", *_both(pair=PAIRS, method=[FRESH]), quick="standard", act=measure_merges),
    _part(
        "more_level_sets",
        *_both(level=SAME_SETTINGS[1:4], seed=[402], method=[FRESH]),
        {"level": ["S1"], "seed": [403], "method": [FRESH]},
        quick=FRESH,
    ),
    _part(
        "self_distillation",
        *_both(seed=[400, 401], method=[DISTILLED]),
        *_both(method=[LONG_DISTILLED]),
        quick=DISTILLED,
    ),
    _part(
        "self_distillation_pairs",
        *_both(pair=[OTHER_PAIRS[0], *OTHER_PAIRS[2:]], method=[DISTILLED]),
        quick=DISTILLED,
    ),
    _part(
        "self_distillation_levels",
        {"level": ["S1"], "method": [DISTILLED]},
        *_both(method=[WHOLE_DISTILLED]),
        quick=DISTILLED,
    ),
    _part("more_texts", *_both(method=[MORE_DISTILLED]), quick=DISTILLED),
    _part(
        "many_texts",
        *_both(method=MANY[1:]),
        *_both(pair=OTHER_PAIRS, method=MANY[:1]),
        *_both(level=SAME_SETTINGS[1:4], method=MANY[:1]),
        quick=DISTILLED,
    ),
    _part(
        "other_texts",
        *_both(method=[FRESH, DISTILLED, MORE_DISTILLED, MANY[2]]),
        quick=DISTILLED,
        act=measure_other_texts,
    ),
    _part(
        "merges_texts",
        *_both(pair=PAIRS, method=[MORE_DISTILLED]),
        quick="standard",
        act=measure_merges,
    ),
    _part("sets_texts", *_both(seed=[*range(401, 410)], method=MANY[:1]), quick=DISTILLED),
    _part("levels_texts", *_both(level=[*EVERY[4:], TOGETHER], method=MANY[:1]), quick=DISTILLED),
    _part(
        "second_sets_texts",
        *_both(pair=OTHER_PAIRS, seed=[401], method=MANY[:1]),
        {"pair": OTHER_PAIRS, "seed": [401], "method": MANY[2:]},
        *_both(level=SAME_SETTINGS[1:4], seed=[401], method=MANY[:1]),
        **FLOAT_32,
    ),
    # Predicted in `second_sets_texts`; apart from it, so that its numbers stay.
    _part(
        "further_sets_texts",
        *_both(pair=OTHER_PAIRS, seed=[402, 403, 404], method=MANY[:1]),
        *_both(level=SAME_SETTINGS[1:4], seed=[402, 403], method=MANY[:1]),
        quick=DISTILLED,
    ),
    _part(
        "other_pairs_texts",
        *_both(pair=OTHER_PAIRS, level=[TOGETHER, "S1"], method=MANY[:1]),
        *_both(pair=OTHER_PAIRS, method=MANY[1:2]),
        **FLOAT_32,
    ),
    _part(
        "open_templates",
        {**OPEN, "level": TEMPLATES[1:], "seed": [400, 401], "method": MANY[:1]},
        {**OPEN, "level": ["S0"], "method": MANY[:1]},
        {**OPEN, "level": TEMPLATES, "seed": [402, 403], "method": [HOP_1]},
        **FLOAT_32,
    ),
    minutes=(10, 1650),
)
