"""Adapters trained for ever longer, then averaged two by two.

**Question.** How strong must two edits be so that their mean still recalls each, and composes them?

**Prediction.** The mean of two gives each half its strength. A fact with deficit ``m0`` survives if
its margin alone is ``m1 > m0`` (`thm:averaging-survival`); both together answer the two-hop
question from ``m1 = 1.472 m0`` on (`thm:two-read-region`, equal margins; else the region of the
two). Between lies the window in which every single-hop test passes and the composition is lost.
Margins grow with training, so short training fails at both, some training falls into the window,
and long training leaves it. Under the sum the same adapters need a positive margin only, for facts,
and a strength of .618, for two-hop questions. If the bridge is decided between the reads
(`thm:clean-up-bridge`), there is no window.

**Chance.** One answer always given is right once in as many as there are two-hop questions.

**Controls.** The sum; each adapter in its own loop; the best adapter alone; adapters of another
edit set, and random ones of equal norm; other subjects (shortcut); unedited facts and questions.
"""

from dataclasses import dataclass, field

import numpy as np

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.engine import Row, study


@dataclass(frozen=True)
class Config(Small):
    """Adapters that are trained for `trained` steps on some bases."""

    facts: int = field(default=3, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per base, edit set and rule, which is the mean or the sum.

    `margin_1` and `margin_2` are median margins of the facts with their own adapter alone, in units
    of their deficits; `margin_two_hop` the median over questions of the smaller of its two.
    `window` is the share of questions whose two facts are predicted to survive while the question
    is not. The other columns are those of `bench.switched`.
    """
    library = config.library()
    alone, case = bench.margins(library), bench.pattern(library)
    ratio, rows = alone.margin / alone.deficit, list[Row]()
    strength = {"margin_1": ratio[0], "margin_2": ratio[1], "margin_two_hop": ratio.min(axis=0)}
    for rule, (c, columns) in zip(
        ("mean", "sum"), bench.switched(library, [0.5, 1.0]).items(), strict=True
    ):
        lost = alone.survives(c).all(axis=0) & ~alone.composes(c, case)
        found = {name: np.median(x, axis=1) for name, x in strength.items()}
        found |= {"window": lost.mean(axis=1)}
        found |= {name: x.reshape(len(x), -1).mean(axis=1) for name, x in columns.items()}
        head = {"trained": config.trained, "rule": rule}
        rows += bench.rows(library, head, {n: np.round(x, 3) + 0.0 for n, x in found.items()})
    return rows


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(trained=60), Config(trained=240)),
    paper=on_all_bases(Config(trained=steps) for steps in (30, 60, 120, 240, 480, 960)),
    minutes=(0.3, 6),
)
