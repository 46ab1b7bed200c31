"""Both adapters of a two-hop question merged with one coefficient, from 0 to more than their sum.

**Question.** At which merge coefficient do single facts and the two-hop answer switch on, and can
that be told question by question from each edit's own margin?

**Prediction.** A fact with deficit ``m0`` before and margin ``m1`` with its adapter alone has the
coefficient ``e = c (m1 + m0) / (2 m0)``. It survives as `thm:averaging-survival` says of all its
competitors; its two-hop question is answered where `thm:two-read-region` gives a positive margin at
``(e_1, e_2)``: for exact edits from .618 where they overwrite (old bridges unedited), from 1/2
where they overwrite both (edited too) and for new subjects (without an old fact). So the latter
switch on first, all else equal. If the bridge is decided between the reads (`thm:clean-up-bridge`),
both are alike: recorded beside it; asked hop by hop, the same merged adapters need 1/2 in every
case, at every coverage. Where the unedited base fails on the old two-hop question through the same
bridge, there is no bridge, and no coefficient helps in one pass.

**Chance.** One answer always given is right once in as many as there are two-hop questions.

**Controls.** Coefficient 0; each adapter alone; adapters of another edit set, and random ones of
equal norm, merged alike; other subjects (shortcut); unedited facts and questions; coverage 0; as
rival predictors the majority of all cells, and the base's own accuracy on unedited questions.
"""

from dataclasses import dataclass, field, replace

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.engine import Row, study

ALSO = {"overwrite": "other", "overwrite both": "old", "new subject": "nothing"}
"""By case, what the second adapter is taught beside the facts of the questions."""


@dataclass(frozen=True)
class Config(Small):
    """One `case` of `ALSO` on some bases, and coefficients from 0 to `top` in `steps` steps.

    The two cases that overwrite have the same questions and first adapter, and in both the second
    adapter is trained on twice as many facts. A new subject needs spare entities.
    """

    case: str = "overwrite"
    steps: int = 30
    top: float = 1.5
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per base and coefficient, averaged over its edit sets; see `bench.switched`."""
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    head: Row = {"case": config.case, "coverage": config.coverage}
    return bench.by_coefficient(library(config), grid, head, {})


def library(config: Config) -> "bench.Taught":
    """Return the adapters; `overwrite both` takes its first adapters from `overwrite`."""
    familiarity = "half" if config.case == "new subject" else "real"
    mine = config.library(familiarity=familiarity, also=ALSO[config.case])
    if config.case != "overwrite both":
        return mine
    ((first, _),) = config.library(mine.bases, also=ALSO["overwrite"]).pairs
    return replace(mine, pairs=((first, mine.pairs[0][1]),))


_PLACES = (
    *(("overwrite", coverage) for coverage in (0.0, 0.1, 0.25, 0.5, 0.75)),
    *(("overwrite both", coverage) for coverage in (0.1, 0.25, 0.5)),
    ("new subject", 0.5),
)

EXPERIMENT = study(
    cell,
    needs="torch",
    quick=tuple(Config(case, steps=15) for case in ("overwrite", "overwrite both")),
    paper=on_all_bases(Config(case, coverage=coverage) for case, coverage in _PLACES),
    minutes=(0.45, 18),
)
