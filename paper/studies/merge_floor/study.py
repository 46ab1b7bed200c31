"""Compute the error floor of one adapter for many tasks, by its rank and the tasks' own shares."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.lowrank import with_spectrum
from loratheory.theorems.expressiveness.rank_floor import Tasks, attain, bound
from paper.studies._shared.run import Row, part, study


@dataclass(frozen=True)
class Config:
    """Tasks whose updates have a common part and a part of their own, orthogonal on average.

    Both parts are matrices of `size` rows and columns and of rank `width`. `own` lists the share of
    each update's squared norm in its own part, and `ranks` the ranks of the shared adapter.
    """

    tasks: int = 4
    width: int = 8
    size: int = 64
    own: tuple[float, ...] = (0.1, 0.5, 0.9)
    ranks: tuple[int, ...] = tuple(range(0, 41, 2))
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per share `own` and `rank`, in units of the updates' mean squared norm.

    `disagreement` and `truncation` add up to the floor; `achieved` is the mean squared error of the
    truncated mean.
    """
    rng, rows = np.random.default_rng(config.seed), list[Row]()
    sigma = [1 - i / (2 * config.width) for i in range(config.width)]
    drawn = partial(with_spectrum, rng, config.size, config.size, sigma)
    # All parts have one spectrum, so that energy shares are shares of the squared coefficients.
    common, *others = (drawn() for _ in range(config.tasks + 1))
    for own in config.own:
        updates = tuple(math.sqrt(1 - own) * common + math.sqrt(own) * x for x in others)
        unit = sum(update.norm**2 for update in updates) / len(updates)
        for rank in config.ranks:
            case = Tasks(updates, rank)
            # The truncation error falls with the rank; the disagreement does not.
            truncation = case.mean.tail_energy(rank)
            energies = {
                "disagreement": bound(case) - truncation,
                "truncation": truncation,
                "achieved": case.error(attain(case)),
            }
            rows.append({"own": own, "rank": rank, **{n: x / unit for n, x in energies.items()}})
    return rows


STUDY = study(__name__, part("merge_floor", cell, [Config()], [Config()]), minutes=(0.02, 0.02))
