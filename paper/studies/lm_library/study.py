"""Every pair of a library of 24 adapters on a language model, and what tells beforehand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from loratheory.evaluate.task_library import NAMES
from paper.studies._shared import Language
from paper.studies._shared.run import Row, part, study
from paper.studies.lm_library.collection import Stage, collection

SEED = 300
COSTLY = ("one coefficient", "a coefficient each", "knots-ties", "tsv", "interpolate", "chebyshev")
GATES = ("map gates", "block gates", "prompt gates")


STAGES: Mapping[str, Stage] = {
    "alone": Stage(1, len(NAMES), 1, ()),
    "beside": Stage(1, len(NAMES), 2, ()),
    "pairs": Stage(2, 276, 23, ("mean", "sum")),
    "generated": Stage(2, 92, 23, ("mean", "sum"), generated=True),
    "ways": Stage(2, 40, 2, (*COSTLY, *GATES)),
    "full ties": Stage(2, 10, 2, ("full ties",)),
    "triples": Stage(3, 100, 10, ("mean", 0.5, 0.7, "sum")),
    "ways of triples": Stage(3, 12, 1, ("one coefficient", "a coefficient each", "prompt gates")),
    "sixes": Stage(6, 30, 3, ("mean", 0.5, "sum", "prompt gates")),
}
"""The first two stages measure adapters alone, and what may foretell reuse of each two. The mean of
a pair is its sum with coefficient .5. Of 60 groups drawn for "ways" the first 40 are run.
Seconds of one core: training an adapter takes 5 to 45; a pass .8 for a pair, 1.2 for three, 2.5 for
six; a search 3 for one coefficient and 8 for two; a merge 3.5; gates 2 to 5."""
KEPT = ("right", "kept", "kl_few", "kl", "agreement")
ALONE = ("base", "leak", "norm", "rate")
BESIDE = ("own_kl", "partner_kl", "mixed_kl", "mixed", "heard", "ordinary")
WEIGHTS = ("crosstalk", "worst", "cosine", "overlap")


@dataclass(frozen=True)
class Config(Language):
    """One part of a stage in `STAGES`, with adapters whose lessons include silence or do not."""

    silence: bool = False
    stage: str = "alone"
    part: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row for each adapter of each group of this part, and each way of reuse.

    Returns
    -------
    list of dict
        ``lessons`` (``plain`` or ``silence``), ``stage``, ``way``, ``group``; ``coefficient``, that
        of this adapter under the way; ``adapter`` and its ``partners``; then the columns of
        `StudiedCollection.acted` (in the stage ``generated`` `acted_on_generated`),
        `taught` and `beside`, NaN where not measured. Numbers are rounded to three digits.
    """
    found = collection(config.model, config.device, config.seed, taught_silence=config.silence)
    stage, rows = STAGES[config.stage], list[Row]()
    lessons = "silence" if config.silence else "plain"
    # Every row has all columns: stages measure different ones.
    nothing = dict.fromkeys((*KEPT, *ALONE, *BESIDE, *WEIGHTS), nan)

    def _row(way: str, group: int, c: float, adapter: int, partners: Any, some: Any) -> None:
        row: Row = {"lessons": lessons, "stage": config.stage, "way": way, "group": group}
        row |= {"coefficient": c, "adapter": NAMES[adapter]}
        row["partners"] = ", ".join(NAMES[j] for j in partners if j != adapter) or "none"
        rows.append(row | nothing | {name: float(f"{x:.3g}") for name, x in some.items()})

    for number in range(stage.groups)[config.part * stage.each :][: stage.each]:
        if config.stage == "alone":
            _row("alone", number, 1.0, number, (), found.taught(number))
        elif config.stage == "beside":
            for j, told in enumerate(found.beside(number)):
                if j != number:
                    _row("none", number, 0.0, number, (j,), told)
        else:
            group = stage.group(number, config.seed)
            for name, way in stage.acts():
                act = found.acted_on_generated if stage.generated else found.acted
                numbers, kept = act(group, way)
                # A merged adapter has one coefficient, for all.
                for i, c, one in zip(group, np.resize(numbers, len(group)), kept, strict=True):
                    _row(name, number, float(c), i, group, one)
    return rows


PLAIN = ("alone", "pairs", "beside", "ways", "triples", "sixes", "generated")
RUN = [(False, name) for name in PLAIN]
RUN[3:3] = [(True, name) for name in PLAIN[:3]]
RUN += [(True, "sixes"), (False, "ways of triples"), (False, "full ties")]
"""The stages that have been run, with self-distillation (True) or without, in this order."""


def configs() -> Iterator[Config]:
    """Yield the configs of all cells, in the order of the stages in `RUN`."""
    for silence, name in RUN:
        for number in range(-(-STAGES[name].groups // STAGES[name].each)):
            yield Config(silence, name, number, seed=SEED)


STUDY = study(__name__, part("lm_library", cell, (Config(seed=SEED),), configs()), minutes=(1, 310))
