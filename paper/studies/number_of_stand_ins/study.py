"""Adapters of a small transformer trained with stand-in partners, by their number."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paper.studies._shared.configs import Untied
from paper.studies._shared.library import by_hop, coefficients
from paper.studies._shared.rows import compared, condition, grown_libraries
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import margins
from paper.studies._shared.training import Taught
from paper.studies.number_of_stand_ins.stand_ins import StandIns, beside_stand_ins

LESSONS: tuple[tuple[str, int], ...] = (
    *(("disagreeing", count) for count in (1, 2, 3, 4)),
    ("agreeing", 4),
    ("single facts", 4),
)
"""What stand-ins say or, last, that examples with them ask single facts alone; their number."""
COEFFICIENTS = (0.5, 0.7, 1.0)
PLAIN, BESIDE = "standard", "stand-ins"
USES = ((BESIDE, BESIDE), (BESIDE, PLAIN), (PLAIN, BESIDE))


@dataclass(frozen=True)
class Config(Untied):
    """A base as in `untied_transformer`, and some of `LESSONS` for its adapters."""

    training: tuple[tuple[str, int], ...] = LESSONS


def cell(config: Config) -> list[Row]:
    """Return a row per training condition, number of stand-ins, use, rule and edit set.

    ``first`` and ``second`` say how the two adapters are trained: ``standard``, or with
    ``stand-ins``. Columns are accuracies; of each adapter alone `inside_1` and `inside_2`, how
    often an edit is in force within a two-hop question whose other fact is old, and `memorised_1`
    and `memorised_2`, how many of its two-hop examples it answers without their stand-ins.
    """
    # The last stage alone.
    *_, (_, _, plain) = grown_libraries(config, {"all": ()})
    nothing = by_hop("memorised", [float("nan")] * 2)
    table = _rows(plain, {"training": PLAIN, "stand_ins": 0}, (PLAIN, PLAIN), nothing)
    for training, count in config.training:
        how = StandIns(count, agree=training == "agreeing", two_hop=training != "single facts")
        made, head = beside_stand_ins(plain, how), {"training": training, "stand_ins": count}
        heard = by_hop("memorised", map(made.memorised, (0, 1)))
        for use in USES if training == "disagreeing" else USES[:1]:
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
    conditions = [condition("sum", act=coefficients(c), coefficient=c) for c in COEFFICIENTS]
    # Mixed pairs have adapters that another use measures alone already.
    if use[0] == use[1]:
        conditions += [condition(f"hop {hop} alone", coefficient=1.0) for hop in (1, 2)]
        conditions.append(condition("sum, two-step prompting", coefficient=1.0))
    return compared(library, {**head, "first": use[0], "second": use[1]}, conditions, **more)


STUDY = study(
    __name__,
    part(
        "number_of_stand_ins",
        cell,
        (Config(training=LESSONS[3:4], sets=1),),
        grid(Config, seed=range(8)),
    ),
    minutes=(0.6, 35),
)
