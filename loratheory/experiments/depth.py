"""One read against two: decoders of one layer, of two, and of one layer passed twice.

**Question.** Can any merge or router compose two edits in a base that reads its weights once?

**Prediction.** No (`thm:single-read-no-go`): in one read the answer to a two-hop question does not
depend on what adapter 1 taught, but for the choice of a gate pattern, so with the two adapters on
or off a two-hop question is right at most ``patterns × chance`` of the time, even if an oracle
chooses the best pattern for every single question (row `best pattern`, column `ceiling`); and the
base itself, on two-hop questions that it never saw, is at one in the number of entities (column
`circuit`). Two layers with weights of their own read twice, so nothing forbids it; but they compose
only where the second layer holds the facts of hop 2 (`thm:invisible-placement`): as far as
`circuit` is above chance, and no further. One layer passed twice has them there: the sum and, above
it, each adapter in its own loop compose as in `thm:two-read-region`, the mean does not.

**Chance.** One answer always given is right once in as many as there are two-hop questions.

**Controls.** The base; each adapter alone; the edited facts themselves, which every base recalls;
other subjects (shortcut); unedited facts and questions; the same two reads without a window.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.rules import rule
from loratheory.experiments.engine import Row, study

READS = {
    "one layer": (1, 1, None),
    "two layers": (2, 1, None),
    "one layer twice": (1, 2, None),
    "one layer twice, window 2": (1, 2, 2),
}
"""For each kind of base: layers, passes through them, and the attention window (None: none)."""
PATTERNS = {"base": 1, "hop 1 alone": 1, "hop 2 alone": 1, "mean": 1, "sum": 1}
PATTERNS |= {"arrow": 2, "gates": 4, "oracle placement": 1, "best pattern": 4}
"""Rules, each with the number of on-off patterns of the adapters among which it can choose.

`best pattern` is the sum, except that each two-hop question has the pattern that is best for it.
"""


@dataclass(frozen=True)
class Config(Small):
    """Which kind of base is used, `reads`: one of `READS`."""

    reads: str = "one layer"


def cell(config: Config) -> list[Row]:
    """Return a row per rule, base and edit set.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions;
    `patterns`, the number of gate patterns among which the rule can choose on one read; `ceiling`,
    the upper bound that this puts on two-hop accuracy in one layer (1 for other bases).
    """
    layers, loops, window = READS[config.reads]
    library = config.library(config.bases(depth=layers, loops=loops, window=window))
    prompts, (one, two) = [x.questions for x in library.trials[0]], library.adapters
    choices = [None, one, two, bench.added([one, two], [1.0, 1.0])]
    right = [bench.answer_margins(library.bases, prompts, choice) > 0 for choice in choices]
    best = {"best pattern": {"two_hop": np.any(right, axis=0).mean(axis=1)}}

    def _ceiling(patterns: int, _: object, right: bench.Accuracies) -> dict[str, Any]:
        one_read = layers * loops == 1
        return {"ceiling": np.minimum(patterns * right["chance"], 1) if one_read else 1.0}

    arms = []
    for name, patterns in PATTERNS.items():
        act, columns = rule("sum" if name in best else name), best.get(name, {})
        more = partial(_ceiling, patterns)
        arms.append(bench.arm(name, None, act, more, patterns=patterns, **columns))
    circuit = np.repeat(bench.circuit(library.bases), config.sets).round(3)
    return bench.compared(library, {"reads": config.reads}, arms, circuit=circuit)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config("one layer", seeds=(0,)), Config("one layer twice, window 2")),
    paper=on_all_bases(Config(reads) for reads in READS),
    minutes=(0.25, 7),
)
