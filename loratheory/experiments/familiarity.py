"""Edits of entities that the base never met, with and without identity prompts for them.

**Question.** Do edits of unfamiliar entities compose, and does it help that the base was trained to
repeat these entities?

**Prediction.** Known bridges (`half`): as for real entities, but nothing competes at the first hop,
so that the mean needs strength 1 of the second adapter only. Unknown bridges (`fake`): the base has
no map from the new value to a key, so no coefficient and no rank composes
(``thm:two-read-region`` asks for a bridge), though both adapters know their facts; the A→C adapter
does. Prompts ``e id -> e`` for *all* entities store such a map (``thm:composition-merge``; Lin,
Chen and Xu, arXiv 2509.24653, who see it help): then no old fact competes, and every positive
coefficient composes, the mean's too. Identity prompts for the *known* entities alone leave fake
bridges unread. They also raise what a base without chains composes (column `circuit`). `predicted`
counts chains in the feasible region, none where the bridge is in no prompt of the base, times
`circuit`. The source paper claims the direction alone: less familiar, less reuse.

**Chance.** One answer always given (column `chance`).

**Controls.** The base; each adapter alone; an A→C adapter; adapters of another edit, which fail;
unedited facts and chains; half-fake edits, whose bridges are familiar; bases without chains.

**Found.** The source paper's direction holds for the sum, .42 of half-fake and .09 of fake chains,
and the prediction fails. Bridges that no prompt of the base knows are read all the same if nothing
disturbs: gates answer .74 of fake chains. Identity prompts for all entities raise that to .88, and
halve the base's own circuit, .98 to .47, rather than raise it; the mean, for which .47 were
predicted, answers .05. Prompts for known entities alone do harm: adapters learn .68 and .40 of the
fake facts, gates answer .20. An A→C adapter learns fake chains with identity prompts for all
(1.00), hardly without (.25). Without chains in pretraining, reuse answers .01 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loratheory.experiments._small import CROWDS, Small
from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.toy.transformer import Adapt


@dataclass(frozen=True)
class Config(Small):
    """Some bases with or without identity prompts, and edits of one familiarity.

    Attributes
    ----------
    familiarity, identity : str
        Edited entities: half or fake; those in identity prompts: none, known or all.
    budget : float
        False alarms that gates allow.
    """

    familiarity: str = "fake"
    identity: str = "none"
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return the marks of a few ways of reuse.

    Parameters
    ----------
    config : Config
        What to train and to ask.

    Returns
    -------
    list of dict
        One row for each rule, base and repetition: the marks; `circuit`, the base's accuracy on
        unseen chains; `strength_1`, `strength_2`, medians over the edited facts; `bridge`, whether
        some prompt of the base has the new bridges as its answer; `predicted` accuracy, of
        `direct` the measurement itself.
    """
    from dataclasses import replace

    from loratheory.adapters import calibrate
    from loratheory.experiments.reuse import _rules as rules
    from loratheory.experiments.reuse._controls import exchanged
    from loratheory.experiments.reuse._forecast import forecast, said
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._rows import rows
    from loratheory.experiments.reuse._shelves import expert

    known = config.bases(identity=config.identity)
    here = config.shelf(known, familiarity=config.familiarity)
    direct, (first, second) = expert(here), here.adapters
    theory = forecast(here)
    bridge = theory.familiar | (config.identity == "all")
    theory = replace(theory, familiar=bridge)
    both, nothing = theory.composed([1, 1]), np.zeros(len(here.replicas))
    gates = rules.routed(lambda updates, x: calibrate(updates, x, budget=config.budget))
    found: list[tuple[str, Sequence[Adapt | None], np.ndarray]] = [
        ("base", [None], nothing),
        ("hop 1 alone", [first], nothing),
        ("hop 2 alone", [second], nothing),
        ("exchanged", [rules.added([exchanged(first, config.sets), second], [1.0, 1.0])], nothing),
        ("mean", rules.mean(here), theory.composed([0.5, 0.5])),
        ("sum", rules.summed()(here), both),
        ("gates", gates(here), both),
        ("oracle placement", rules.oracle(here), both),
        ("direct", [direct], said(here, direct, 1.0)),
    ]
    names: Row = {name: getattr(config, name) for name in ("coverage", "familiarity", "identity")}
    beside = {"circuit": theory.circuit, **theory.medians, "bridge": bridge[0].astype(float)}
    return [
        row
        for rule, acting, predicted in found
        for row in rows(
            here,
            names | {"rule": rule},
            marks(here, acting),
            **beside,
            predicted=predicted,
        )
    ]


_CELLS = (
    (0.5, "half", "none"),
    (0.5, "half", "all"),
    (0.5, "fake", "none"),
    (0.5, "fake", "known"),
    (0.5, "fake", "all"),
    (0.0, "fake", "none"),
    (0.0, "fake", "all"),
)

EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": tuple(Config("fake", identity, seeds=(0,)) for identity in ("none", "all")),
        "paper": tuple(
            Config(familiarity, identity, coverage=coverage, seeds=seeds)
            for coverage, familiarity, identity in _CELLS
            for seeds in CROWDS
        ),
    },
    minutes={"quick": 0.5, "paper": 9},
)
