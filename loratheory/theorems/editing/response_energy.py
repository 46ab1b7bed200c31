r"""Response energy: the least norm of a rank-`r` update that answers `N` facts.

**Statement.** A rank-r update that answers N facts with one on average has squared norm at least
N^2 over the energy of the pairing of outputs and keys within rank r: N^2/r if orthonormal.

Let :math:`G = \sum_i u_i e_i^\top` pair the outputs of :math:`N` facts with their keys. Every
:math:`\Delta` of rank at most :math:`r` whose mean response :math:`\frac1N \sum_i u_i^\top \Delta
e_i` is one satisfies

.. math:: \|\Delta\|_F^2 \;\ge\; \frac{N^2}{\sum_{i \le r} \sigma_i(G)^2},

with equality at :math:`\Delta \propto \mathrm{LR}_r(G)`. For orthonormal keys and outputs this is
:math:`N^2/r`: :math:`N/r` times as much as :math:`N` ranks would need.

**Proof.** :math:`N = \langle \Delta, G \rangle \le \sum_{i \le r} \sigma_i(\Delta) \sigma_i(G)` by
von Neumann, and Cauchy and Schwarz bound this by :math:`\|\Delta\|_F` times the root of the sum
above. For :math:`\Delta = c\, \mathrm{LR}_r(G)` both are equalities; :math:`c` sets the response.
For orthonormal frames the singular values of :math:`G` are ones. :math:`\square`

**What it tells someone who merges adapters.** Facts squeezed into fewer ranks need a larger update:
an adapter of rank :math:`r` that answers :math:`N` facts in full has a squared norm of at least
:math:`N^2/r`, and what it does to other inputs grows with it.

**What it does not say.** The mean response may hide unequal ones: that every response is one costs
more unless the optimum happens to do it. Norm is a price, not an error; what the answers disturb is
``thm:superposition-floor``.

References
----------
von Neumann (1937).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    gaussian,
    truncate,
)
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on von Neumann (1937)"

RANK = "rank(update) <= r"
MEAN = "a mean response of one"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), the outputs (m, N) that answer them, and the rank of the update."""

    keys: Array
    outputs: Array
    rank: int

    @property
    def pairing(self) -> LowRank:
        """The sum of outputs times keys."""
        return LowRank(self.outputs, self.keys.T)

    @property
    def facts(self) -> int:
        """How many there are."""
        return int(self.keys.shape[1])


def least_energy(facts: int, rank: int) -> float:
    """Least squared norm for orthonormal keys and outputs; at least one rank and one fact."""
    if min(facts, rank) < 1:
        message = f"{facts} facts at rank {rank}: give at least one of each"
        raise ValueError(message)
    return facts**2 / min(facts, rank)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Fewer or more facts than dimensions, some of one output; 12 decades of length."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    facts = int(rng.integers(1, min(size + 3, 32)))
    scales = 10.0 ** rng.integers(-3, 4, 2)
    outputs = scales[0] * rng.standard_normal((m, facts))
    if rng.random() < 0.3:
        outputs = outputs[:, rng.integers(0, facts, facts)]
    keys = scales[1] * rng.standard_normal((n, facts))
    return Case(keys, outputs, int(rng.integers(1, min(m, n, facts) + 1)))


def bound(case: Case) -> float:
    """Facts squared over the pairing's energy within the rank."""
    sigma = case.pairing.S
    return case.facts**2 / float(array_namespace(sigma).sum(sigma[: case.rank] ** 2))


def scaled(case: Case, update: LowRank) -> LowRank:
    """The same update at mean response one."""
    return update * (case.facts / case.pairing.inner(update))


def attain(case: Case) -> LowRank:
    """The truncated pairing, at mean response one."""
    return scaled(case, truncate(case.pairing, case.rank))


def measure(_: Case, update: LowRank) -> float:
    """Squared Frobenius norm."""
    return update.norm**2


scale = bound  # the squared norm that the theorem says is needed


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    return case.pairing.norm * bound(case) ** 0.5 / case.facts


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """A random update of that rank or the optimum nudged by 1e-12 to 1, at mean response one."""
    best, nudge = attain(case), 10.0 ** int(rng.integers(-12, 1))
    if rng.random() < 0.5:
        return scaled(case, gaussian(rng, *best.shape, case.rank))
    return scaled(case, LowRank(best.up * (1 + nudge * rng.random(best.up.shape)), best.down))


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Alternating least squares on the dense pairing: no singular value is ever taken."""
    dense = case.outputs @ case.keys.T
    up, down = rng.standard_normal((dense.shape[0], case.rank)), np.zeros((0, 0))
    for _ in range(30):
        down = np.linalg.lstsq(up, dense, rcond=None)[0]
        up = np.linalg.lstsq(down.T, dense.T, rcond=None)[0].T
    return scaled(case, LowRank(up, down))


def _mean_is_one(case: Case, update: LowRank) -> bool:
    xp = array_namespace(case.keys)
    mean = float(xp.sum(case.outputs * (update @ case.keys))) / case.facts
    room = update.norm * case.pairing.norm / case.facts
    return abs(mean - 1) <= SAFETY / 4 * room


ASSUMPTIONS = {
    RANK: lambda case, update: update.width <= case.rank,
    MEAN: _mean_is_one,
}


def _example(table: np.ndarray) -> tuple[Case, LowRank]:
    return Case(np.eye(2), np.eye(2), rank=1), LowRank(table, np.eye(2)[: table.shape[1]])


CONTROLS = (
    Control("a rank for each fact where half is allowed", RANK, lambda: _example(np.eye(2))),
    Control("answer one fact of two, at strength one", MEAN, lambda: _example(np.eye(2)[:, :1])),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
