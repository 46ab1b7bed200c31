"""The floor of one adapter for many tasks, against its rank and against what the tasks share.

**Question.** How far must one adapter be from many tasks, given its rank and what they share?

**Prediction.** `achieved` is `disagreement` plus `truncation` in every row: the truncated mean
meets the floor (`thm:merge-floor`). Rank lowers the truncation alone; the disagreement is about
``own (1 - 1/tasks)``, whatever the rank.

**Chance.** No adapter at all (rank 0) errs by 1, the unit of all columns.

**Controls.** Rank 0, where all is lost, and the rank of the whole mean, where nothing is truncated.
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.experiments.engine import Experiment, Row
from loratheory.lowrank import LowRank, with_spectrum
from loratheory.theorems.expressiveness.rank_floor import Tasks, attain, bound


@dataclass(frozen=True)
class Config:
    """Tasks ask for a common update plus one of their own, at right angles on average.

    Attributes
    ----------
    tasks, width, size : int
        How many updates, the rank of each of their two parts, and the side of the matrices.
    own : tuple of float
        The share of each update's squared norm that is the task's own.
    ranks : tuple of int
        The ranks that one adapter for all tasks may spend.
    seed : int
        Determines every draw.
    """

    tasks: int = 4
    width: int = 8
    size: int = 64
    own: tuple[float, ...] = (0.1, 0.5, 0.9)
    ranks: tuple[int, ...] = tuple(range(0, 41, 2))
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return one row a share and rank, in units of the updates' mean squared norm.

    Parameters
    ----------
    config : Config
        What to draw.

    Returns
    -------
    list of dict
        `own` and `rank`; `disagreement` and `truncation`, which add up to the floor; `achieved`,
        the mean squared error of the truncated mean.
    """
    rng = np.random.default_rng(config.seed)
    sigma = [1 - i / (2 * config.width) for i in range(config.width)]
    parts = [with_spectrum(rng, config.size, config.size, sigma) for _ in range(config.tasks + 1)]
    return [
        _row(own, Tasks(_updates(parts, own), rank)) for own in config.own for rank in config.ranks
    ]


def _updates(parts: list[LowRank], own: float) -> tuple[LowRank, ...]:
    common, *others = parts
    return tuple(math.sqrt(1 - own) * common + math.sqrt(own) * other for other in others)


def _row(own: float, case: Tasks) -> Row:
    unit = sum(update.norm**2 for update in case.updates) / len(case.updates)
    truncation = case.mean.tail_energy(case.rank)
    return {
        "own": own,
        "rank": case.rank,
        "disagreement": (bound(case) - truncation) / unit,
        "truncation": truncation / unit,
        "achieved": case.error(attain(case)) / unit,
    }


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={"quick": (Config(),), "paper": (Config(),)},
    minutes={"quick": 0.02, "paper": 0.02},
)
