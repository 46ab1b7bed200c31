"""Which two skills compose, by what the base has seen of their pair.

**Question.** Which pairs of skills does a merge combine, and must pretraining have shown the pair?

**Prediction.** Each adapter is taught one skill: half single steps, half two steps with a skill of
the context. Step by step each skill is asked for by its own word, so the order of steps is what a
merge may lack: both adapters bring it, and the sum of two composes all pairs (`thm:template-vote`:
a share of 1/2 wins the vote with coefficient 1; with 1/2 it stands at the border), if nothing
interferes; single-step bases alone never do. Bases that have met two steps of other skills compose
by themselves, less surely, and adapters add. A pair that pretraining has shown is composed at least
as well as one it has not, and no worse in its other order. All skills have as many facts: all pairs
behave alike. At once only pairs that were shown may be answered (`thm:two-read-region`).

**Chance.** An answer is right once in seven; a whole solution hardly ever.

**Controls.** The base; each adapter alone; an adapter of both skills (joint); one trained on the
pair itself (composed); the same pair in the other order; pairs that pretraining has not shown.
"""

from loratheory.experiments.bench.problems import KINDS, SIZES, Apart, covered, profiles
from loratheory.experiments.engine import Row, study


def cell(config: Apart) -> list[Row]:
    """Return a row per ordered pair of skills and rule.

    `shown` is 1 if pretraining contained the pair in this order. `stepwise` is the share of
    problems whose whole solution is right, `answered` the share answered rightly without steps.
    """
    models = config.trained()
    shown = covered(config.seed) if config.kind == KINDS[-1] else frozenset()
    asked = models.targets(config.size.asked)
    return models.compared(
        {"kind": config.kind, "seed": config.seed},
        lambda adapt: models.accuracies(asked, adapt),
        lambda case: {"shown": int(case.pair in shown)},
    )


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(
        Apart(kind="single steps"),
        [Apart(kind=k, seed=seed, size=SIZES[k]) for seed in range(3) for k in KINDS],
    ),
    minutes=(0.3, 16, 2),
)
