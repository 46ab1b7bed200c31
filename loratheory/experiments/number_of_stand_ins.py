"""Adapters of a small transformer, each taught beside stand-ins for its partner, by their number.

**Question.** How many stand-ins that disagree make two adapters of single hops, whose publishers
never met, compose under a plain sum?

**Prediction.** The bases are those of `untied_transformer`, which learned two-hop questions by
themselves; there plain adapters compose next to nothing (.09). One stand-in can be learnt by heart,
two that disagree allow that for half of the lessons, n for 1/n (`thm:disagreeing-stand-ins`).
Written after one development seed (101), before any other: (a) of the two-hop questions the sum of
two adapters answers .1 if each was taught beside one stand-in, no more than plain ones, .45 beside
two that disagree on everything, .8 beside three and as much beside four. (b) Beside four that agree
on everything it answers .15, and as little beside four if lessons ask single facts alone: neither
more partners nor more steps, but disagreement makes them compose. (c) What an adapter alone answers
of its lessons' questions falls from .9 or more with one stand-in to a quarter or less with four,
and the edits that are in force within a two-hop question (`inside`) rise from 0 of the first hops
with one stand-in, fewer than in plain training, to .8 with three. (d) One adapter so taught beside
a plain one lies between. (e) With three or four the mean answers .5 or more, of plain adapters .05.
(f) The price: the sum of those beside four keeps .8 of unedited facts (plain .9) and .5 of unedited
two-hop questions (plain .65); edited facts are kept. (g) The product of `inside_1` and `inside_2`,
which each publisher measures alone, ranks lessons by what the sum answers with a correlation of .8
or more; as a forecast of an edit set's share it does not beat a lookup of averages by lessons.

**Chance.** One answer always given is right in one of four; in the whole vocabulary next to none.

**Controls.** Plain adapters of the same facts, steps and bases; as many stand-ins that agree; as
many beside which single facts alone are asked; each adapter alone; hop by hop; unedited facts and
questions; other subjects (shortcut). No stand-in has a subject or an answer of the partner's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loratheory.experiments.bench import Untied
from loratheory.experiments.bench import transformers as bench
from loratheory.bench.rules import coefficients
from loratheory.experiments.engine import Row, study

LESSONS: tuple[tuple[str, int], ...] = (
    *(("disagreeing", count) for count in (1, 2, 3, 4)),
    ("agreeing", 4),
    ("single facts", 4),
)
"""What stand-ins say or, last, that lessons beside them ask single facts alone; their number."""
COEFFICIENTS = (0.5, 0.7, 1.0)
PLAIN, BESIDE = "plain", "beside"
USES = ((BESIDE, BESIDE), (BESIDE, PLAIN), (PLAIN, BESIDE))


@dataclass(frozen=True)
class Config(Untied):
    """A base as in `untied_transformer`, and some of `LESSONS` for its adapters."""

    lessons: tuple[tuple[str, int], ...] = LESSONS


def cell(config: Config) -> list[Row]:
    """Return a row per lessons, number of stand-ins, use, rule and edit set.

    ``first`` and ``second`` say how the two adapters are taught: ``plain`` or ``beside``
    stand-ins. Columns are accuracies; of each adapter alone `inside_1` and `inside_2`, how often an
    edit is in force within a two-hop question whose other fact is old, `lessons_1` and `lessons_2`,
    how many of its two-hop lessons are answered beside their stand-ins, and `by_heart_1` and
    `by_heart_2`, how many without them.
    """
    *_, (_, _, plain) = bench.grown_libraries(config, {"all": ()})
    nothing = {f"{name}_{hop}": float("nan") for name in ("lessons", "by_heart") for hop in (1, 2)}
    table = _rows(plain, {"lessons": PLAIN, "stand_ins": 0}, (PLAIN, PLAIN), nothing)
    for lessons, count in config.lessons:
        how = bench.StandIns(count, agree=lessons == "agreeing", two_hop=lessons != "single facts")
        made, head = bench.beside_stand_ins(plain, how), {"lessons": lessons, "stand_ins": count}
        heard = {f"lessons_{hop + 1}": made.answered(hop) for hop in (0, 1)}
        heard |= {f"by_heart_{hop + 1}": made.answered(hop, alone=True) for hop in (0, 1)}
        for use in USES if lessons == "disagreeing" else USES[:1]:
            pairs = zip(use, made.adapters, plain.adapters, strict=True)
            chosen = tuple(ours if name == BESIDE else theirs for name, ours, theirs in pairs)
            table += _rows(replace(plain, pairs=(chosen,)), head, use, heard)
    return table


def _rows(
    library: "bench.Taught",
    head: Mapping[str, Any],
    use: tuple[str, str],
    beside: Mapping[str, Any],
) -> list[Row]:
    """The pair of adapters under each coefficient; two that are taught alike also each alone."""
    inside = bench.margins(library, inside=True).survives(1.0).mean(axis=-1)
    more = {**beside, **{f"inside_{hop + 1}": share for hop, share in enumerate(inside)}}
    arms = [bench.arm("sum", act=coefficients(c), coefficient=c) for c in COEFFICIENTS]
    if use[0] == use[1]:
        arms += [bench.arm(f"hop {hop} alone", coefficient=1.0) for hop in (1, 2)]
        arms.append(bench.arm("sum, hop by hop", coefficient=1.0))
    return bench.compared(library, {**head, "first": use[0], "second": use[1]}, arms, **more)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(lessons=LESSONS[3:4], sets=1),),
    paper=tuple(Config(seed) for seed in range(8)),
    minutes=(0.6, 35),
)
