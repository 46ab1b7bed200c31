r"""Merge floor: the least mean error of one rank-`r` adapter that serves `k` tasks.

**Statement.** One rank-r adapter for k tasks has mean squared error at least disagreement (the
tasks' variance around their mean) plus truncation (the mean's energy beyond rank r).

Let :math:`\Delta_1,\dots,\Delta_k \in \mathbb{R}^{m \times n}` have mean :math:`\bar\Delta`. For
every :math:`\Delta` of rank at most :math:`r`,

.. math::
    \frac1k \sum_j \|\Delta - \Delta_j\|_F^2 \;\ge\;
    \underbrace{\frac1k \sum_j \|\Delta_j - \bar\Delta\|_F^2}_{\text{disagreement}}
    + \underbrace{\sum_{i > r} \sigma_i(\bar\Delta)^2}_{\text{truncation}},

with equality at the rank-:math:`r` truncation of :math:`\bar\Delta`.

**Proof.** Expanding around the mean splits the left side into the disagreement and
:math:`\|\Delta - \bar\Delta\|_F^2`, since the cross term
:math:`\langle \Delta - \bar\Delta, \sum_j (\Delta_j - \bar\Delta)\rangle` vanishes; Eckart and
Young bound the second term by the truncation, and the truncated mean attains it. :math:`\square`

**What it tells someone who merges adapters.** What one merged adapter of rank r must lose is known
before any merge: compute the floor, and if a rule is near it, a better rule cannot help, only more
rank or a router.

**What it does not say.** It bounds a distance between weights, not between answers: the mean is
optimal for it and can still lose the two-hop answer (``thm:two-read-region``).

References
----------
Eckart and Young (1936).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import LowRank, gaussian, total, truncate
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on Eckart and Young (1936)"

RANK = "rank(adapter) <= r"


@dataclass(frozen=True)
class Case:
    """The updates that `k` tasks ask for, and the rank one adapter may spend."""

    updates: tuple[LowRank, ...]
    rank: int

    @property
    def mean(self) -> LowRank:
        """Their mean, exact."""
        return total(list(self.updates)) / len(self.updates)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Identical, nearly equal or unrelated tasks, over 12 decades of size."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    width = int(rng.integers(0, min(m, n, 16) + 1))
    scale, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.0, 1e-8, 1.0]))
    base = gaussian(rng, m, n, width, scale)
    updates = tuple(base + spread * gaussian(rng, m, n, width, scale) for _ in range(k))
    return Case(updates, int(rng.integers(0, min(m, n, 16) + 1)))


def bound(case: Case) -> float:
    """Disagreement plus truncation."""
    mean = case.mean
    disagreement = sum((task - mean).norm ** 2 for task in case.updates) / len(case.updates)
    return disagreement + mean.tail_energy(case.rank)


def attain(case: Case) -> LowRank:
    """Truncate the mean update."""
    return truncate(case.mean, case.rank)


def measure(case: Case, adapter: LowRank) -> float:
    """Mean squared error of one adapter over the tasks."""
    return sum((adapter - task).norm ** 2 for task in case.updates) / len(case.updates)


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    return sum(task.norm**2 for task in case.updates)


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """A random adapter of the case's rank, or the optimum nudged by 1e-12 to 1."""
    best = attain(case)
    if rng.random() < 0.5:
        return gaussian(rng, *best.shape, case.rank, 10.0 ** int(rng.integers(-6, 7)))
    nudge = 10.0 ** int(rng.integers(-12, 1)) * best.norm
    return LowRank(best.up + nudge * rng.standard_normal(best.up.shape), best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Alternating least squares on the dense mean: no singular value is ever taken."""
    dense = sum(task.dense() for task in case.updates) / len(case.updates)
    up = rng.standard_normal((dense.shape[0], case.rank))
    down = np.zeros((case.rank, dense.shape[1]))
    for _ in range(30 if case.rank else 0):
        down = np.linalg.lstsq(up, dense, rcond=None)[0]
        up = np.linalg.lstsq(down.T, dense.T, rcond=None)[0].T
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, adapter: adapter.width <= case.rank}


def _too_rich() -> tuple[Case, LowRank]:
    identity = LowRank(np.eye(2), np.eye(2))
    return Case((identity,), rank=1), identity


CONTROLS = (Control("spend rank 2 where 1 is allowed", RANK, _too_rich),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
