"""One read against two: decoders of one layer, of two, and of one layer passed twice.

**Question.** Can any merge or router compose two edits in a base that reads its weights once?

**Prediction.** No (`thm:single-read-no-go`): in one read the answer to a chain does not depend on
what adapter 1 taught, but for the choice of a gate pattern, so with the two adapters on or off a
chain is right at most ``patterns × chance`` of the time, even if an oracle chooses the best pattern
for every single question (row `best pattern`, column `ceiling`); and the base itself, on chains
that it never saw, is at one in the number of entities (column `circuit`). Two layers with weights
of their own read twice, so nothing forbids it; but they compose only where the second layer holds
the facts of hop 2 (`thm:invisible-placement`): as far as `circuit` is above chance, and no further.
One layer passed twice has them there: the sum and, above it, each adapter in its own loop compose
as in `thm:two-read-region`, the mean does not.

**Chance.** One answer always given is right once in as many as there are chains.

**Controls.** The base; each adapter alone; the edited facts themselves, which every base recalls;
other subjects (shortcut); unedited facts and chains; the same two reads without a window.

**Found.** One read composes nothing: .00 of the chains under every rule, the best pattern for each
question included, while both facts pass at 1.00 under the sum. Two layers, and one layer twice
without a window, have no circuit after this training (.00), and no rule answers more than .05 of
their chains. With the window the circuit is at .98, and the sum answers .61, each adapter in its
own pass .83, gates .90; the mean .20.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loratheory.experiments._small import CROWDS, Small
from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    import numpy as np

    from loratheory.experiments.reuse._rules import Rule
    from loratheory.experiments.reuse._shelves import Shelf

READS = {
    "one layer": (1, 1, None),
    "two layers": (2, 1, None),
    "one layer twice": (1, 2, None),
    "one layer twice, window 2": (1, 2, 2),
}
"""Layers, passes and the window of attention."""


@dataclass(frozen=True)
class Config(Small):
    """What a base is made of.

    Attributes
    ----------
    reads : str
        One of `READS`.
    """

    reads: str = "one layer"


def cell(config: Config) -> list[Row]:
    """Return one row for each rule, base and edit set.

    Parameters
    ----------
    config : Config
        What to train and reuse.

    Returns
    -------
    list of dict
        `circuit`, the base's accuracy on unseen chains; `patterns`, how many gate patterns the
        rule can choose from on one read, and the `ceiling` that this puts in one layer (1
        elsewhere); the marks.
    """
    import numpy as np

    from loratheory.experiments.reuse._forecast import circuit
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._rows import rows

    layers, loops, window = READS[config.reads]
    shelved = config.shelf(config.bases(depth=layers, loops=loops, window=window))
    seen = np.repeat(circuit(shelved.bases), config.sets).round(3)
    told: list[Row] = []
    for name, (rule, patterns) in reused().items():
        found = marks(shelved, rule(shelved))
        if name == "best pattern":
            found["two_hop"] = best(shelved)
        ceiling = np.minimum(patterns * found["chance"], 1) if layers * loops == 1 else 1.0
        head = {"reads": config.reads, "rule": name}
        told += rows(shelved, head, found, circuit=seen, patterns=patterns, ceiling=ceiling)
    return told


def reused() -> "dict[str, tuple[Rule, int]]":
    """Return the rules, and from how many patterns of adapters each chooses on one read.

    `best pattern` is marked as the sum but for its chains.
    """
    from loratheory.adapters import Router, arrow_scores, calibrate
    from loratheory.experiments.reuse import _rules as rules

    return {
        "base": (lambda shelf: rules.everywhere(None, shelf), 1),
        "hop 1 alone": (rules.alone(0), 1),
        "hop 2 alone": (rules.alone(1), 1),
        "mean": (rules.mean, 1),
        "sum": (rules.summed(), 1),
        "arrow": (rules.routed(lambda updates, _: Router(arrow_scores(updates))), 2),
        "gates": (rules.routed(lambda updates, x: calibrate(updates, x, budget=0.3)), 4),
        "oracle placement": (own_place, 1),
        "best pattern": (rules.summed(), 4),
    }


def own_place(shelf: "Shelf") -> "list":  # type: ignore[type-arg]
    """Adapter 1 in the first of all reads, adapter 2 in the last, nothing between them."""
    from loratheory.experiments.reuse._rules import everywhere

    config, (first, second) = shelf.bases.config, shelf.adapters

    def _chosen(site, x):  # type: ignore[no-untyped-def]
        read = site.loop * config.depth + site.layer
        acting = [first] * (read == 0) + [second] * (read == config.loops * config.depth - 1)
        parts = [part for adapter in acting if (part := adapter(site, x)) is not None]
        return sum(parts) if parts else None

    return everywhere(_chosen, shelf)


def best(shelf: "Shelf") -> "np.ndarray":
    """How many chains are right under some choice of adapters on or off: (E,)."""
    import numpy as np

    from loratheory.experiments.reuse._marks import leads
    from loratheory.experiments.reuse._rules import added

    prompts, (one, two) = [x.chains for x in shelf.trials[0]], shelf.adapters
    choices = [None, one, two, added([one, two], [1.0, 1.0])]
    right = [leads(shelf.bases, prompts, choice) > 0 for choice in choices]
    return np.asarray(np.any(right, axis=0).mean(axis=1))


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config("one layer", seeds=(0,)), Config("one layer twice, window 2")),
        "paper": tuple(Config(reads, seeds=seeds) for reads in READS for seeds in CROWDS),
    },
    minutes={"quick": 0.25, "paper": 7},
)
