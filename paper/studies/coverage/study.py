"""Evaluate two single-hop adapters on two-hop questions, by pretraining coverage."""

from dataclasses import dataclass
from math import nan

import numpy as np

from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import only_adapters, rule
from paper.studies._shared.rows import compared, condition, expert
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import circuit, forecast

COVERAGE = (0.0, 0.1, 0.25, 0.5, 0.9)
FAMILIARITY = ("real", "half", "fake")


@dataclass(frozen=True)
class TwoHopCoverage(Small):
    """Edits of entities of one `familiarity`, real, half or fake.

    TIES, DARE and KnOTS keep a share `density` of entries; gates allow a `budget` of false alarms.
    """

    familiarity: str = "real"
    density: float = 0.3
    budget: float = 0.3


def two_hop_coverage(config: TwoHopCoverage) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies and, of the sum, `predicted`, the predicted accuracy on `two_hop`.
    """
    library = config.library(familiarity=config.familiarity)
    # An adapter that is trained on two-hop questions.
    direct = expert(library)
    trim = {"density": config.density, "rank": config.width}
    conditions = [
        *(condition(name) for name in ("base", "mean")),
        condition("sum", forecast(library, 1.0)),
        *(condition(name, method=rule(name, **trim)) for name in ("ties", "dare", "knots")),
        condition("arrow"),
        condition("per-matrix gating", method=rule("per-matrix gating", budget=config.budget)),
        condition("oracle placement"),
        condition("direct", method=only_adapters(direct)),
        condition("mean of three", method=only_adapters(*library.adapters, direct, times=1 / 3)),
    ]
    head = {"coverage": config.coverage, "familiarity": config.familiarity}
    return compared(library, head, conditions, predicted=nan)


TWO_HOP_COVERAGE_PART = part(
    "two_hop_coverage",
    two_hop_coverage,
    tuple(TwoHopCoverage(coverage=coverage) for coverage in (0.0, 0.5)),
    on_all_bases(grid(TwoHopCoverage, coverage=COVERAGE, familiarity=FAMILIARITY)),
)


@dataclass(frozen=True)
class Familiarity(Small):
    """Edits of entities of one `familiarity`, half or fake.

    `identity` are the entities with identity prompts in pretraining: none, known or all; `budget`
    is the rate of false alarms that gates allow.
    """

    familiarity: str = "fake"
    identity: str = "none"
    budget: float = 0.3


def familiarity(config: Familiarity) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `circuit`, the base's accuracy on unseen two-hop questions; and, of
    mean and sum, `predicted`, the predicted accuracy on `two_hop`.
    """
    library = config.library(config.bases(identity=config.identity), familiarity=config.familiarity)
    # Identity prompts for all entities make bridges familiar.
    known = config.identity == "all"
    conditions = [
        condition("base"),
        condition("mean", forecast(library, 0.5, familiar=known)),
        condition("sum", forecast(library, 1.0, familiar=known)),
        condition("per-matrix gating", method=rule("per-matrix gating", budget=config.budget)),
    ]
    head = {name: getattr(config, name) for name in ("coverage", "familiarity", "identity")}
    unseen = np.repeat(circuit(library.bases), library.training.sets)
    return compared(library, head, conditions, circuit=unseen, predicted=nan)


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
