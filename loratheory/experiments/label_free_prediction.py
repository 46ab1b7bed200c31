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

from dataclasses import dataclass, field

from loratheory.experiments.engine import Experiment, Row
from loratheory.experiments.words._problems import Pair
from loratheory.experiments.words._settings import (
    MEASURED,
    QUICK,
    SIZES,
    SMALL,
    Apart,
    Overlapping,
    Size,
)

REUSED = ("mean", "sum", "ties", "arrow", "gates")


@dataclass(frozen=True)
class Config:
    """One base; its adapters are those of two other experiments.

    Attributes
    ----------
    kind : str
        What the base has seen, of `words._problems.KINDS`.
    seed : int
        Of the base.
    pairs : tuple of pair of str
        Those of `template_overlap`.
    alone : bool
        Whether those of `skill_composition` are asked too.
    size : Size
        Of all.
    """

    kind: str = "problems"
    seed: int = 0
    pairs: tuple[Pair, ...] = MEASURED
    alone: bool = True
    size: Size = field(default_factory=Size)


def cell(config: Config) -> list[Row]:
    """Return one row for each pair of adapters.

    Parameters
    ----------
    config : Config
        What to look at and to reuse.

    Returns
    -------
    list of dict
        `held_out`, 0 for the pair that measures were designed on; what predicts, of
        `words._likeness.PROXIES`; the share of problems that the base and each of `REUSED` solves.
    """
    from loratheory.experiments.words._likeness import proxies

    kind, seed, size = config.kind, config.seed, config.size
    parts = [Overlapping(kind, seed, config.pairs, size).trained()]
    parts += [Apart(kind, seed, size).trained()] * config.alone
    table: list[Row] = []
    for models in parts:
        asked, acting = models.targets(size.asked), models.acting()
        columns = proxies(models, asked)
        for rule in ("base", *REUSED):
            columns[rule] = models.accuracies(asked, acting[rule])["stepwise"]
        for e, case in enumerate(models.cases):
            row: Row = {"kind": kind, "seed": seed, "first": case.pair[0], "second": case.pair[1]}
            row |= {"bridge": case.bridge, "share": case.share}
            row["held_out"] = int({*case.pair} != {*MEASURED[0]})
            numbers = {name: round(float(x[e]), 4) for name, x in columns.items()}
            table.append({**row, **numbers})
    return table


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="torch",
    profiles={
        "quick": (Config("single steps", pairs=MEASURED[:1], alone=False, size=QUICK),),
        "small": tuple(Config("single steps", k, MEASURED[:1], False, QUICK) for k in SMALL),
        "paper": tuple(Config(seed=seed, size=SIZES["problems"]) for seed in range(3)),
    },
    minutes={"quick": 0.15, "small": 1, "paper": 1},
)
