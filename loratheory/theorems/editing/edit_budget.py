r"""Edit budget: what an update of rank `r` can write at given keys.

**Statement.** A rank-r update errs at the edited keys by at least the contradiction (what no
matrix can yield there) plus the shortage (the energy of the reachable rest beyond rank r).

Let the columns of :math:`K \in \mathbb{R}^{n \times N}` be keys and those of :math:`R \in
\mathbb{R}^{m \times N}` what each should additionally yield. For every :math:`\Delta` of rank at
most :math:`r`,

.. math::
    \|\Delta K - R\|_F^2 \;\ge\; \underbrace{\|R (1 - K^+ K)\|_F^2}_{\text{contradiction}}
    + \underbrace{\sum_{i > r} \sigma_i(R K^+ K)^2}_{\text{shortage}},

with equality at :math:`\mathrm{LR}_r(R K^+ K) K^+`. Hence the edits are exactly possible if and
only if :math:`\ker K \subseteq \ker R` and :math:`r \ge \operatorname{rank} R`.

**Proof.** :math:`P = K^+ K` is the orthogonal projector on the row space of :math:`K`, and
:math:`\Delta K P = \Delta K`. So :math:`\Delta K - R = (\Delta K - R P) - R (1 - P)` is a sum of
two Frobenius-orthogonal parts. The second is the contradiction; :math:`\Delta K` has rank at most
:math:`r`, so Eckart and Young bound the first by the shortage. Let :math:`Y = \mathrm{LR}_r(R P)`:
its rows lie in those of :math:`P`, so :math:`\Delta = Y K^+` gives :math:`\Delta K = Y P = Y`.
Both terms vanish iff :math:`R P = R`, that is :math:`\ker K \subseteq \ker R`, and
:math:`\operatorname{rank} R \le r`. :math:`\square`

**What it tells someone who merges adapters.** One rank holds one exact independent fact: an adapter
into which several are merged must keep the sum of their ranks, or facts of one of them are lost.
Two adapters that edit one key to different values contradict each other at every rank.

**What it does not say.** The squared error is not an answer: `argmax` can be right with far less
rank than :math:`N`. Nothing is said about other inputs than the keys; of all updates with the
same values at the keys, the one above has the least Frobenius norm.

References
----------
Eckart and Young (1936); Penrose (1956).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, truncate
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "standard; rests on Eckart and Young (1936) and Penrose (1956)"

RANK = "rank(update) <= r"
EPS = 2.0**-52


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), the residuals (m, N) wanted there, and the rank the update may spend."""

    keys: Array
    residuals: Array
    rank: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Fewer or more keys than dimensions, repeated keys, dependent residuals; 12 decades."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    count = int(rng.integers(1, min(size + 3, 32)))
    keys = rng.standard_normal((n, count)) * 10.0 ** int(rng.integers(-6, 7))
    if rng.random() < 0.3:
        keys = keys[:, rng.integers(0, count, count)]  # some keys twice
    scale, width = 10.0 ** int(rng.integers(-6, 7)), int(rng.integers(0, count + 1))
    residuals = gaussian(rng, m, count, width, scale).dense()
    return Case(keys, residuals, int(rng.integers(0, min(m, n, count) + 1)))


def _key_svd(case: Case) -> tuple[Array, Array, Array]:
    """The singular value decomposition of the keys, cut to their numerical rank."""
    xp = array_namespace(case.keys)
    left, sigma, right = xp.linalg.svd(case.keys, full_matrices=False)
    keep = int(xp.count_nonzero(sigma > max(case.keys.shape) * EPS * float(sigma[0])))
    return left[:, :keep], sigma[:keep], right[:keep, :]


def bound(case: Case) -> float:
    """Contradiction plus shortage."""
    xp = array_namespace(case.keys)
    frame = _key_svd(case)[2]
    reachable = LowRank(case.residuals @ frame.T, frame)  # R K^+ K: what some matrix can yield
    contradiction = float(xp.sum((case.residuals - reachable.dense()) ** 2))
    return contradiction + reachable.tail_energy(case.rank)


def attain(case: Case) -> LowRank:
    """Truncate what is reachable and read it through the pseudo-inverse of the keys."""
    left, sigma, right = _key_svd(case)
    written = truncate(LowRank(case.residuals @ right.T, right), case.rank)
    # Y K^+ with K^+ = V (1/sigma) U', applied to the factor only: no dense inverse is formed.
    return LowRank(written.up, ((written.down @ right.T) / sigma) @ left.T)


def measure(case: Case, update: LowRank) -> float:
    """Squared error over the keys."""
    xp = array_namespace(case.keys)
    return float(xp.sum((update @ case.keys - case.residuals) ** 2))


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    return float(array_namespace(case.residuals).sum(case.residuals**2))


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    sigma = _key_svd(case)[1]
    return float(sigma[0]) / float(sigma[-1]) if sigma.shape[0] else 1.0


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """A random update of the case's rank, or the optimum nudged by 1e-12 to 1."""
    best, nudge = attain(case), 10.0 ** int(rng.integers(-12, 1))
    if rng.random() < 0.5:
        return gaussian(rng, *best.shape, case.rank, 10.0 ** int(rng.integers(-6, 7)))
    return LowRank(best.up * (1 + nudge * rng.standard_normal(best.up.shape)), best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Alternating least squares on the factors: no singular value is ever taken."""
    up = rng.standard_normal((len(case.residuals), case.rank))
    down = np.zeros((case.rank, len(case.keys)))
    for _ in range(30 if case.rank else 0):
        reads = np.linalg.lstsq(up, case.residuals, rcond=None)[0]
        down = np.linalg.lstsq(case.keys.T, reads.T, rcond=None)[0].T
        up = np.linalg.lstsq((down @ case.keys).T, case.residuals.T, rcond=None)[0].T
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, update: update.width <= case.rank}


def _too_rich() -> tuple[Case, LowRank]:
    one = np.eye(2)
    return Case(one, one, rank=1), LowRank(one, one)


CONTROLS = (Control("two independent edits, rank 2 where 1 is allowed", RANK, _too_rich),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
