"""Two single-hop adapters reused on the two-hop question, against what pretraining covered.

**Question.** Which ways of reusing adapters for A→B and B→C answer A→C, at which coverage of such
two-hop questions in pretraining, for entities that are real, half fake or fake?

**Prediction.** Chen, Hoang, Hahn and Sarfraz (arXiv 2506.13479) claim that the uniform average and
Arrow fail with the two adapters, at every familiarity, and that it takes an A→C expert, alone or in
the library (column `claimed`). Theory says more (column `predicted`), from each adapter alone and
the unedited base: edits of strength s compose with coefficient c where `thm:two-read-region` puts
(c s1, c s2), times the base's own accuracy on unseen questions. So all that reuses the two is near
0 at coverage 0, and rises with the circuit for the sum, the oracle and the gates. The mean fails
for real entities below strength 1.236, for half-fake ones below 1 (`thm:averaging-survival`), and
needs no strength for fake ones; but these have bridges that the base cannot read, and fail under
every rule. TIES, DARE and KnOTS are expected where the sum is (`thm:ties-disjoint`,
`thm:dare-variance`), which leaves out what trimming and dropping lose. Arrow: as the sum, if it
finds both adapters (`thm:arrow-blind-spot`, squared). An A→C adapter needs no circuit; in the mean
of three it must have strength 3/2 where the base composes, and nearly none where it does not. What
interference takes is not predicted: it is the difference of the sum to its prediction.

**Chance.** One answer always given (column `chance`); among all entities one in their number.

**Controls.** The base; each adapter alone; noise of the adapters' norms; A→B adapters of another
edit; unedited facts and questions; a third of the A→C adapter without the others; the edited
answers given to other subjects (`shortcut`); bases without any two-hop question in pretraining. At
coverage .9 edited subjects are drawn from all, so most had a two-hop question of their own; below,
from those that had none.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.rules import rule
from loratheory.experiments.engine import Row, study
from loratheory.theorems.routing.arrow import accuracy as right_by_arrow

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
    direct, (joint,) = bench.expert(library), library.others["joint"]
    first, second = library.adapters
    theory, jointly = bench.forecast(library), bench.forecast(library, placed=lambda *_: joint)
    both = theory.composed([1, 1])
    once, third = (bench.survival(library, direct, c) for c in (1.0, 1 / 3))
    three = np.maximum(third, theory.composed([1 / 3, 1 / 3]))
    blind = both * right_by_arrow(config.facts, 2) ** 2
    noise = bench.of(bench.alike(first), bench.alike(second, 1))
    shuffled = bench.of(bench.exchanged(first, config.sets), second)
    trim = {"density": config.density, "rank": config.width}
    thirds = bench.of(first, second, direct, times=1 / 3)
    arms = [
        *(bench.arm(name, 0.0) for name in ("base", "hop 1 alone", "hop 2 alone")),
        bench.arm("noise", 0.0, noise),
        bench.arm("shuffled", 0.0, shuffled),
        bench.arm("mean", theory.composed([0.5, 0.5]), claimed="fails"),
        bench.arm("sum", both),
        *(bench.arm(name, both, rule(name, **trim)) for name in ("ties", "dare", "knots")),
        bench.arm("arrow", blind, claimed="fails"),
        bench.arm("gates", both, rule("gates", budget=config.budget)),
        bench.arm("oracle placement", both),
        bench.arm("direct", once, bench.of(direct), claimed="works"),
        bench.arm("third of direct", third, bench.of(direct, times=1 / 3)),
        bench.arm("mean of three", three, thirds, claimed="works"),
        bench.arm("joint", jointly.composed([1, 1]), bench.of(joint)),
    ]
    head = {"coverage": config.coverage, "familiarity": config.familiarity}
    beside = {"circuit": theory.circuit, **theory.medians, "claimed": "silent"}
    return bench.compared(library, head, arms, **beside)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=tuple(Config(coverage=coverage) for coverage in (0.0, 0.5)),
    paper=on_all_bases(Config(kind, coverage=c) for c in COVERAGE for kind in FAMILIARITY),
    minutes=(0.5, 19),
)
