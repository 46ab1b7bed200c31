"""Edits of entities that the base never met, with and without identity prompts for them."""

from dataclasses import dataclass, replace

from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import of, rule
from paper.studies._shared.rows import arm, compared, expert
from paper.studies._shared.run import Row, part
from paper.studies._shared.theory import forecast, survival
from paper.studies._shared.training import exchanged


@dataclass(frozen=True)
class Config(Small):
    """Edits of entities of one `familiarity`, half or fake, on some bases.

    `identity` says which entities have identity prompts in pretraining: none, known or all;
    `budget` is the rate of false alarms that gates allow.
    """

    familiarity: str = "fake"
    identity: str = "none"
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions;
    `strength_1` and `strength_2`, median strengths of the edits; `bridge`, whether some prompt in
    pretraining has the new bridges as its answer; `predicted`, the predicted accuracy on `two_hop`
    (for the rule `direct` the measured one).
    """
    library = config.library(config.bases(identity=config.identity), familiarity=config.familiarity)
    direct, (first, second) = expert(library), library.adapters
    theory = forecast(library)
    theory = replace(theory, familiar=theory.familiar | (config.identity == "all"))
    both, other = theory.composed([1, 1]), exchanged(first, config.sets)
    arms = [
        *(arm(name, 0.0) for name in ("base", "hop 1 alone", "hop 2 alone")),
        arm("exchanged", 0.0, of(other, second)),
        arm("mean", theory.composed([0.5, 0.5])),
        arm("sum", both),
        arm("gates", both, rule("gates", budget=config.budget)),
        arm("oracle placement", both),
        arm("direct", survival(library, direct, 1.0), of(direct)),
    ]
    head = {name: getattr(config, name) for name in ("coverage", "familiarity", "identity")}
    beside = {**theory.medians, "bridge": theory.familiar[0].astype(float)}
    return compared(library, head, arms, circuit=theory.circuit, **beside)


_CELLS = (
    *((0.5, "half", identity) for identity in ("none", "all")),
    *((0.5, "fake", identity) for identity in ("none", "known", "all")),
    *((0.0, "fake", identity) for identity in ("none", "all")),
)


PART = part(
    "familiarity",
    cell,
    tuple(Config("fake", identity, seeds=(0,)) for identity in ("none", "all")),
    on_all_bases(
        Config(familiarity, identity, coverage=coverage)
        for coverage, familiarity, identity in _CELLS
    ),
)
