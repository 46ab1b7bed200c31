"""Overlap of solutions and likeness of adapters, held against measured reuse.

**Question.** Does overlap, or likeness that needs no labels, tell which pairs of adapters compose?

**Prediction.** The share of solutions with the shape that the target needs (`shape`) ranks reuse by
the sum best where the base has not met that shape (`thm:template-vote`), less well where it has.
The overlap of whole templates ranks worse: adapters that each have two steps of their own skill
share the shape and no template. Likeness of weights and of answers grows with what adapters share,
and so ranks in the same direction; what is read says less than what is written
(`thm:interference-angle`: only the inputs that occur matter), and none ranks better than the shape
does. A threshold chosen on one pair of skills tells more than the base rate on the others, which
were not looked at.

**Chance.** A rank correlation of 0; hits as often as the majority.

**Controls.** The base rate; pairs of skills that were never used to choose a measure or threshold;
the base alone.
"""

from dataclasses import dataclass

from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.problems import (
    MEASURED,
    SIZES,
    Apart,
    Overlapping,
    Pair,
    profiles,
)
from loratheory.experiments.bench.reliability import REUSED
from loratheory.experiments.engine import Row, study


@dataclass(frozen=True, kw_only=True)
class Config(Apart):
    """The `pairs` of `template_overlap`; if `alone`, also the adapters of `skill_composition`."""

    pairs: tuple[Pair, ...] = MEASURED
    alone: bool = True


def cell(config: Config) -> list[Row]:
    """Return a row per pair of adapters; these were trained in two other experiments.

    `held_out` is 0 for the pair of skills on which the measures were designed, else 1. Then come
    `bench.reliability.MEASURES`, and the shares of problems that the base and each rule in `REUSED`
    solve.
    """
    kind, seed, size = config.kind, config.seed, config.size
    parts: list[Apart] = [Overlapping(kind=kind, seed=seed, size=size, pairs=config.pairs)]
    parts += [Apart(kind=kind, seed=seed, size=size)] * config.alone
    table: list[Row] = []
    for part in parts:
        models = part.trained()
        asked, acting = models.targets(size.asked), models.acting()
        columns = bench.likeness(models, asked)
        for rule in ("base", *REUSED):
            columns[rule] = models.accuracies(asked, acting[rule])["stepwise"]
        table += models.rows(
            {"kind": kind, "seed": seed},
            columns,
            lambda case: {
                "bridge": case.bridge,
                "share": case.share,
                "held_out": int({*case.pair} != {*MEASURED[0]}),
            },
        )
    return table


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(
        Config(kind="single steps"),
        [Config(seed=seed, size=SIZES["problems"]) for seed in range(3)],
        pairs=MEASURED[:1],
        alone=False,
    ),
    minutes=(0.15, 1, 1),
)
