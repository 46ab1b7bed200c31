"""Two single-hop adapters reused on two-hop questions, by what pretraining covered."""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.theorems.routing.arrow import accuracy as right_by_arrow
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import of, rule
from paper.studies._shared.rows import arm, compared, expert
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import forecast, survival
from paper.studies._shared.training import alike, exchanged

COVERAGE = (0.0, 0.1, 0.25, 0.5, 0.9)
FAMILIARITY = ("real", "half", "fake")


@dataclass(frozen=True)
class TwoHopCoverage(Small):
    """Edits of entities of one `familiarity`, real, half or fake, on some bases.

    TIES, DARE and KnOTS keep a share `density` of entries; gates allow a `budget` of false alarms.
    """

    familiarity: str = "real"
    density: float = 0.3
    budget: float = 0.3


def two_hop_coverage(config: TwoHopCoverage) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions;
    `strength_1` and `strength_2`, median strengths of the edits; `claimed`, whether the source
    paper says that the rule fails or works, or is silent; `predicted`, the predicted accuracy on
    `two_hop` (for the rule `direct` the measured one).
    """
    library = config.library(kinds=("hops", "joint"), familiarity=config.familiarity)
    # Adapters of the whole questions, and one of both hops' facts.
    direct, (joint,) = expert(library), library.others["joint"]
    first, second = library.adapters
    theory, jointly = forecast(library), forecast(library, placed=lambda *_: joint)
    both = theory.composed([1, 1])
    once, third = (survival(library, direct, c) for c in (1.0, 1 / 3))
    # The mean of three answers where the third of the expert does, or both hops do.
    three = np.maximum(third, theory.composed([1 / 3, 1 / 3]))
    # Arrow picks the right adapter at both reads by chance.
    blind = both * right_by_arrow(config.facts, 2) ** 2
    noise = of(alike(first), alike(second, 1))
    shuffled = of(exchanged(first, config.sets), second)
    trim = {"density": config.density, "rank": config.width}
    thirds = of(first, second, direct, times=1 / 3)
    arms = [
        *(arm(name, 0.0) for name in ("base", "hop 1 alone", "hop 2 alone")),
        arm("noise", 0.0, noise),
        arm("shuffled", 0.0, shuffled),
        arm("mean", theory.composed([0.5, 0.5]), claimed="fails"),
        arm("sum", both),
        *(arm(name, both, rule(name, **trim)) for name in ("ties", "dare", "knots")),
        arm("arrow", blind, claimed="fails"),
        arm("gates", both, rule("gates", budget=config.budget)),
        arm("oracle placement", both),
        arm("direct", once, of(direct), claimed="works"),
        arm("third of direct", third, of(direct, times=1 / 3)),
        arm("mean of three", three, thirds, claimed="works"),
        arm("joint", jointly.composed([1, 1]), of(joint)),
    ]
    head = {"coverage": config.coverage, "familiarity": config.familiarity}
    beside = {"circuit": theory.circuit, **theory.medians, "claimed": "silent"}
    return compared(library, head, arms, **beside)


TWO_HOP_COVERAGE_PART = part(
    "two_hop_coverage",
    two_hop_coverage,
    tuple(TwoHopCoverage(coverage=coverage) for coverage in (0.0, 0.5)),
    on_all_bases(grid(TwoHopCoverage, coverage=COVERAGE, familiarity=FAMILIARITY)),
)


@dataclass(frozen=True)
class Familiarity(Small):
    """Edits of entities of one `familiarity`, half or fake, on some bases.

    `identity` says which entities have identity prompts in pretraining: none, known or all;
    `budget` is the rate of false alarms that gates allow.
    """

    familiarity: str = "fake"
    identity: str = "none"
    budget: float = 0.3


def familiarity(config: Familiarity) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions;
    `strength_1` and `strength_2`, median strengths of the edits; `bridge`, whether some prompt in
    pretraining has the new bridges as its answer; `predicted`, the predicted accuracy on `two_hop`
    (for the rule `direct` the measured one).
    """
    library = config.library(config.bases(identity=config.identity), familiarity=config.familiarity)
    direct, (first, second) = expert(library), library.adapters
    theory = forecast(library)
    # Identity prompts for all entities make bridges familiar.
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


_PLAN = grid(Familiarity, familiarity=["half"], identity=("none", "all"))
_PLAN += grid(Familiarity, familiarity=["fake"], identity=("none", "known", "all"))
_PLAN += grid(Familiarity, coverage=[0.0], familiarity=["fake"], identity=("none", "all"))
FAMILIARITY_PART = part(
    "familiarity",
    familiarity,
    grid(Familiarity, seeds=[(0,)], identity=("none", "all")),
    on_all_bases(_PLAN),
)


STUDY = study(__name__, TWO_HOP_COVERAGE_PART, FAMILIARITY_PART, minutes=(1, 28))
