"""Train adapters of a small transformer with stand-in partners, and vary their number."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paper.studies._shared.configs import Untied
from paper.studies._shared.library import by_hop, coefficients
from paper.studies._shared.rows import compared, condition, train_libraries
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import margins
from paper.studies._shared.training import EditLibrary
from paper.studies.number_of_stand_ins.stand_ins import StandIns, train_with_stand_ins

TRAININGS: tuple[tuple[str, int], ...] = (
    *(("disagreeing", count) for count in (1, 2, 3, 4)),
    ("agreeing", 4),
    ("single facts", 4),
)
"""The answers of stand-ins, or single facts without two-hop examples; the number of stand-ins."""
COEFFICIENTS = (0.5, 0.7, 1.0)
STANDARD, STAND_INS = "standard", "stand-ins"
USES = ((STAND_INS, STAND_INS), (STAND_INS, STANDARD), (STANDARD, STAND_INS))


@dataclass(frozen=True)
class Config(Untied):
    """A base as in `untied_transformer`, and some of `TRAININGS` for its adapters."""

    training: tuple[tuple[str, int], ...] = TRAININGS


def cell(config: Config) -> list[Row]:
    """Return a row per training condition, number of stand-ins, use, rule and edit set.

    ``first`` and ``second`` are the training of the two adapters: ``standard`` or ``stand-ins``.
    Columns are accuracies; `inside_1` and `inside_2`, the share of each adapter's edits with a
    positive margin within a two-hop question whose other fact is old; and `memorised_1` and
    `memorised_2`, each adapter's accuracy on its two-hop examples without stand-ins.
    """
    # Only the last stage is used.
    *_, (_, _, standard) = train_libraries(config, {"all": ()})
    nothing = by_hop("memorised", [float("nan")] * 2)
    table = _rows(standard, {"training": STANDARD, "stand_ins": 0}, (STANDARD, STANDARD), nothing)
    for training, count in config.training:
        how = StandIns(count, agree=training == "agreeing", two_hop=training != "single facts")
        made, head = train_with_stand_ins(standard, how), {"training": training, "stand_ins": count}
        memorised = by_hop("memorised", map(made.memorised, (0, 1)))
        for use in USES if training == "disagreeing" else USES[:1]:
            pairs = zip(use, made.adapters, standard.adapters, strict=True)
            chosen = tuple(ours if name == STAND_INS else theirs for name, ours, theirs in pairs)
            table += _rows(replace(standard, pairs=(chosen,)), head, use, memorised)
    return table


def _rows(
    library: EditLibrary, head: Mapping[str, Any], use: tuple[str, str], more: Mapping[str, Any]
) -> list[Row]:
    """Return the rows of a pair at each coefficient; of adapters alone, if both are alike."""
    # Each adapter alone, in questions whose other fact is old.
    inside = margins(library, inside=True).survives(1.0).mean(axis=-1)
    more = {**more, **by_hop("inside", inside)}
    conditions = [condition("sum", method=coefficients(c), coefficient=c) for c in COEFFICIENTS]
    # Adapters of mixed pairs are measured alone in other rows.
    if use[0] == use[1]:
        conditions += [condition(f"hop {hop} alone", coefficient=1.0) for hop in (1, 2)]
        conditions.append(condition("sum, two-step prompting", coefficient=1.0))
    return compared(library, {**head, "first": use[0], "second": use[1]}, conditions, **more)


STUDY = study(
    __name__,
    part(
        "number_of_stand_ins",
        cell,
        (Config(training=TRAININGS[3:4], sets=1),),
        grid(Config, seed=range(8)),
    ),
    minutes=(0.6, 35),
)
