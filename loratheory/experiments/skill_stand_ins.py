"""Two adapters of a skill each, taught beside stand-ins of other skills, asked for both.

**Question.** Adapters of facts compose if each was taught beside stand-ins for its partner
(`number_of_stand_ins`, `real_portable`). Do adapters of skills, in word problems that need both?

**Prediction.** Written when one other base (seed 100) had been tried. Shares of problems whose
whole solution is right. Bases know every skill in single steps and two steps of addition and
subtraction. (a) Adapters of single steps compose nothing. (b) Where each practised its skill in two
steps with the skills that the base knows, the sum solves .35, and as much, to .1, where it
practised with all skills but the partner's. (c) While adapters of these skills act in training, .2
by the sum and .1 by the mean, against .35: they do the other step then and know how to begin, which
nobody does later. So what helps facts harms skills. (d) More of the single steps are kept by the
sum for it, .6 instead of .5. (e) Alone the second adapter solves .15 of what needs both after
practice by itself, and .05 after practice beside others.

**Chance.** A whole solution is hardly ever right by chance; a single step's about once in seven.

**Controls.** The base; each adapter alone; the same lessons while nobody else acts; lessons without
two steps; single steps of both skills beside every share.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments.bench.problems import (
    PRACTISED,
    SEEN,
    Covered,
    drawn,
    profiles,
    single,
)
from loratheory.experiments.engine import Row, study


@dataclass(frozen=True, kw_only=True)
class Config(Covered):
    """Adapters of `problems.PRACTISED`, on a base that has `seen` other pairs of skills alone."""

    seen: str = SEEN[3]


def cell(config: Config) -> list[Row]:
    """Return a row for each way to teach, ordered pair of skills and rule.

    `stepwise` is the share of problems of the pair whose whole solution is right, `step_1` and
    `step_2` those of one step of the first and of the second skill.
    """
    from loratheory.experiments.bench import words

    bases = words.pretrained(config.prompts(), config.seed, config.size)
    table, count = list[Row](), config.size.asked
    for name, how in PRACTISED.items():
        models = words.taught_apart(bases, how, config.size)
        asked, rng = {"stepwise": models.targets(count)}, np.random.default_rng([config.seed, 20])
        for k in (0, 1):
            steps = [single([case.pair[k]]) for case in models.cases]
            asked[f"step_{k + 1}"] = [drawn(one, count, rng) for one in steps]
        for rule, adapt in models.acting().items():
            right = {key: models.right(one, adapt).mean(axis=1) for key, one in asked.items()}
            head: Row = {"lessons": name, "rule": rule, "seed": config.seed}
            table += models.rows(head, right, lambda _: {})
    return table


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(Config(), [Config(seed=seed) for seed in range(6)]),
    minutes=(0.5, 15, 2),
)
