"""Two single-hop adapters reused on the two-hop question, against what pretraining covered."""

from dataclasses import dataclass

import numpy as np

from loratheory.theorems.routing.arrow import accuracy as right_by_arrow
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import of, rule
from paper.studies._shared.rows import arm, compared, expert
from paper.studies._shared.run import Row, part
from paper.studies._shared.theory import forecast, survival
from paper.studies._shared.training import alike, exchanged

COVERAGE = (0.0, 0.1, 0.25, 0.5, 0.9)
FAMILIARITY = ("real", "half", "fake")


@dataclass(frozen=True)
class Config(Small):
    """Edits of entities of one `familiarity`, real, half or fake, on some bases.

    TIES, DARE and KnOTS keep a share `density` of entries; gates allow a `budget` of false alarms.
    """

    familiarity: str = "real"
    density: float = 0.3
    budget: float = 0.3


def cell(config: Config) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions;
    `strength_1` and `strength_2`, median strengths of the edits; `claimed`, whether the source
    paper says that the rule fails or works, or is silent; `predicted`, the predicted accuracy on
    `two_hop` (for the rule `direct` the measured one).
    """
    library = config.library(kinds=("hops", "joint"), familiarity=config.familiarity)
    direct, (joint,) = expert(library), library.others["joint"]
    first, second = library.adapters
    theory, jointly = forecast(library), forecast(library, placed=lambda *_: joint)
    both = theory.composed([1, 1])
    once, third = (survival(library, direct, c) for c in (1.0, 1 / 3))
    three = np.maximum(third, theory.composed([1 / 3, 1 / 3]))
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


PART = part(
    "two_hop_coverage",
    cell,
    tuple(Config(coverage=coverage) for coverage in (0.0, 0.5)),
    on_all_bases(Config(kind, coverage=c) for c in COVERAGE for kind in FAMILIARITY),
)
