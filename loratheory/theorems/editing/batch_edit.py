r"""Batch edit: the best compromise between editing and leaving alone, at rank `r` (MEMIT).

**Statement.** A rank-r edit disturbs inputs of second moment C and misses its values by at least
tr R (1 + K' C^-1 K)^-1 R' plus the energy of R K' (C + KK')^-1/2 beyond rank r (MEMIT).

Let :math:`C \succ 0` weigh the inputs to be left alone and :math:`S = C + K K^\top`. For every
:math:`\Delta` of rank at most :math:`r`

.. math::
    \operatorname{tr} \Delta C \Delta^\top + \|\Delta K - R\|_F^2 \;\ge\;
    \underbrace{\operatorname{tr} R (1 + K^\top C^{-1} K)^{-1} R^\top}_{\text{compromise}}
    + \underbrace{\sum_{i > r} \sigma_i(R K^\top S^{-1/2})^2}_{\text{shortage}},

with equality at :math:`\mathrm{LR}_r(R K^\top S^{-1/2}) S^{-1/2}`; for :math:`r \ge
\operatorname{rank} R K^\top` that is MEMIT's :math:`R K^\top (C + K K^\top)^{-1}`.

**Proof.** Completing the square, the left side is :math:`\|\Delta S^{1/2} - R K^\top
S^{-1/2}\|_F^2 + \|R\|_F^2 - \|R K^\top S^{-1/2}\|_F^2`. Woodbury's identity :math:`1 - K^\top
S^{-1} K = (1 + K^\top C^{-1} K)^{-1}` turns the last two terms into the compromise; Eckart and
Young bound the first by the shortage, attained as stated. Any root :math:`S = L L^\top` may stand
for :math:`S^{1/2}`, singular values being the same. :math:`\square`

**What it tells someone who merges adapters.** Summing the edits of two batches is not the edit of
the joint batch: that one is computed from all keys together, and is never worse on them.

**What it does not say.** Which weight on the inputs left alone is right; answers are not errors.

References
----------
Meng et al. (2023), arXiv:2210.07229; Eckart and Young (1936).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian
from loratheory.lowrank import truncate as truncated
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.editing import least_change_edit

SENSE = "lower"
SOURCE = "own at rank r; Meng et al. (2023) at full rank"

RANK = "rank(edit) <= r"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), values (m, N), weights of what to leave alone (n, n), and the rank."""

    keys: Array
    values: Array
    moment: Array
    rank: int

    def __post_init__(self) -> None:
        """Refuse weights under which some change of the outputs is free or a gain."""
        least = float(array_namespace(self.moment).linalg.eigvalsh(self.moment)[0])
        if least <= 0:
            message = f"the second moment has eigenvalue {least:.3g}: add a positive ridge to it"
            raise ValueError(message)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Fewer or more keys than dimensions; weak and strong weights; 12 decades of values."""
    base = least_change_edit.draw(rng, size)
    facts = int(rng.integers(1, min(size + 3, 32)))
    (m, _), n = base.values.shape, len(base.keys)
    keys = rng.standard_normal((n, facts))
    values = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((m, facts))
    weight = 10.0 ** rng.uniform(-2, 2) / np.trace(base.moment)
    return Case(keys, values, weight * base.moment, int(rng.integers(0, min(m, n, facts) + 1)))


def _root(case: Case) -> tuple[Array, Array, Array]:
    """``K' L^-T`` (N, n), its complement (N, N) and ``L'``, never forming ``S = L L'``.

    The complement times its transpose is ``1 - K' S^-1 K``: small keys do not round in large ones.
    """
    xp, (n, facts) = array_namespace(case.keys), case.keys.shape
    # The rows [K'; L_C'] have the Gram matrix S, so their triangular factor is a root of S.
    both = xp.concat([case.keys.T, xp.linalg.cholesky(case.moment).T], axis=0)
    turn, root = xp.linalg.qr(both, mode="complete")
    return turn[:facts, :n], turn[:facts, n:], root[:n, :]


def bound(case: Case) -> float:
    """Compromise plus shortage."""
    xp, (reads, rest, _) = array_namespace(case.keys), _root(case)
    shortage = LowRank(case.values, reads).tail_energy(case.rank)
    return float(xp.sum((case.values @ rest) ** 2)) + shortage


def attain(case: Case) -> LowRank:
    """Truncate where distances are Euclidean, and come back."""
    reads, _, root = _root(case)
    best = truncated(LowRank(case.values, reads), case.rank)
    return LowRank(best.up, array_namespace(case.keys).linalg.solve(root, best.down.T).T)


def measure(case: Case, edit: LowRank) -> float:
    """What is disturbed plus what is missed."""
    xp = array_namespace(case.keys)
    disturbed = float(xp.sum((edit.up.T @ edit.up) * (edit.down @ case.moment @ edit.down.T)))
    return disturbed + float(xp.sum((edit @ case.keys - case.values) ** 2))


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    return float(array_namespace(case.values).sum(case.values**2))


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    values = array_namespace(case.keys).linalg.svdvals(case.moment)
    both = array_namespace(case.keys).linalg.svdvals(_root(case)[2])
    return float(values[0] / values[-1]) * float(both[0] / both[-1])


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """A random edit of the case's rank, or the optimum nudged by 1e-12 to 1."""
    best, nudge = attain(case), 10.0 ** int(rng.integers(-12, 1))
    if rng.random() < 0.5:
        return gaussian(rng, *best.shape, case.rank, 10.0 ** int(rng.integers(-6, 7)))
    return LowRank(best.up * (1 + nudge * rng.standard_normal(best.up.shape)), best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Alternating least squares on keys and inputs stacked: no singular value is ever taken."""
    inputs = np.concatenate([case.keys, np.linalg.cholesky(case.moment)], axis=1)
    wanted = np.pad(case.values, ((0, 0), (0, len(case.keys))))
    up = rng.standard_normal((len(wanted), case.rank))
    down = np.zeros((case.rank, len(inputs)))
    for _ in range(30 if case.rank else 0):
        reads = np.linalg.lstsq(up, wanted, rcond=None)[0]
        down = np.linalg.lstsq(inputs.T, reads.T, rcond=None)[0].T
        up = np.linalg.lstsq((down @ inputs).T, wanted.T, rcond=None)[0].T
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, edit: edit.width <= case.rank}


def _too_rich() -> tuple[Case, LowRank]:
    one = np.eye(2)
    return Case(one, one, one, rank=1), LowRank(one / 2, one)


CONTROLS = (Control("spend rank 2 where 1 is allowed", RANK, _too_rich),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
