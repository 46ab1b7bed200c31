"""Adapters of a small transformer trained with stand-in partners, by their number."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paper.studies._shared.configs import Untied
from paper.studies._shared.library import by_hop, coefficients
from paper.studies._shared.rows import arm, compared, grown_libraries
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import margins
from paper.studies._shared.training import Taught
from paper.studies.number_of_stand_ins.stand_ins import StandIns, beside_stand_ins

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
    edit is in force within a two-hop question whose other fact is old, and `by_heart_1` and
    `by_heart_2`, how many of its two-hop lessons it answers without their stand-ins.
    """
    # The last stage alone.
    *_, (_, _, plain) = grown_libraries(config, {"all": ()})
    nothing = by_hop("by_heart", [float("nan")] * 2)
    table = _rows(plain, {"lessons": PLAIN, "stand_ins": 0}, (PLAIN, PLAIN), nothing)
    for lessons, count in config.lessons:
        how = StandIns(count, agree=lessons == "agreeing", two_hop=lessons != "single facts")
        made, head = beside_stand_ins(plain, how), {"lessons": lessons, "stand_ins": count}
        heard = by_hop("by_heart", map(made.by_heart, (0, 1)))
        for use in USES if lessons == "disagreeing" else USES[:1]:
            pairs = zip(use, made.adapters, plain.adapters, strict=True)
            chosen = tuple(ours if name == BESIDE else theirs for name, ours, theirs in pairs)
            table += _rows(replace(plain, pairs=(chosen,)), head, use, heard)
    return table


def _rows(
    library: Taught, head: Mapping[str, Any], use: tuple[str, str], beside: Mapping[str, Any]
) -> list[Row]:
    """The pair of adapters under each coefficient; two that are taught alike also each alone."""
    # Each adapter alone, in questions whose other fact is old.
    inside = margins(library, inside=True).survives(1.0).mean(axis=-1)
    more = {**beside, **by_hop("inside", inside)}
    arms = [arm("sum", act=coefficients(c), coefficient=c) for c in COEFFICIENTS]
    # Mixed pairs have adapters that another use measures alone already.
    if use[0] == use[1]:
        arms += [arm(f"hop {hop} alone", coefficient=1.0) for hop in (1, 2)]
        arms.append(arm("sum, hop by hop", coefficient=1.0))
    return compared(library, {**head, "first": use[0], "second": use[1]}, arms, **more)


STUDY = study(
    __name__,
    part(
        "number_of_stand_ins",
        cell,
        (Config(lessons=LESSONS[3:4], sets=1),),
        grid(Config, seed=range(8)),
    ),
    minutes=(0.6, 35),
)
