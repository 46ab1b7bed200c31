r"""Interpolating merge: the least matrix that does on each row space what its adapter does.

**Statement.** Among all matrices that do on each row space what its adapter does, the least in
Frobenius norm is (ΣΔ_j)(ΣP_j)⁺, P_j the projectors on the row spaces; one exists whenever these
are independent.

Adapters :math:`\Delta_1, \dots, \Delta_K \in \mathbb{R}^{m \times n}` have row spaces with
orthonormal bases :math:`Q_j` and projectors :math:`P_j`; let :math:`F = [Q_1 \dots Q_K]` and
:math:`T = [\Delta_1 Q_1 \dots \Delta_K Q_K]`. A matrix :math:`X` with :math:`X P_j = \Delta_j` for
all :math:`j` exists iff :math:`\ker F \subseteq \ker T`, always when the row spaces are
independent. Every such :math:`X` has

.. math::
    \|X\|_F \ge \|\Delta^*\|_F, \qquad
    \Delta^* = T F^+ = \Bigl(\sum_j \Delta_j\Bigr) \Bigl(\sum_j P_j\Bigr)^+,

with equality only at :math:`\Delta^*`, whose rank is at most :math:`\sum_j r_j`. If none exists,
:math:`\Delta^*` has the least misfit, :math:`\sum_j \|X P_j - \Delta_j\|_F^2 \ge
\|T (1 - F^+ F)\|_F^2`.

**Proof.** :math:`X P_j = \Delta_j` for all :math:`j` says :math:`X F = T`, as :math:`\Delta_j =
\Delta_j P_j`. Solvable means that each row of :math:`T` is a combination of rows of :math:`F`:
the condition on kernels. Then :math:`X = T F^+ + X (1 - F F^+)`, two parts whose rows are
orthogonal, since those of the first lie in the span of :math:`F`: Pythagoras. Without a solution,
:math:`X F - T = (X F - T F^+ F) - T (1 - F^+ F)` splits likewise, and :math:`X = T F^+` removes the
first part. Finally :math:`F^+ = F^\top (F F^\top)^+` with :math:`F F^\top = \sum_j P_j`,
:math:`T F^\top = \sum_j \Delta_j P_j`. :math:`\square`

**What it tells someone who merges adapters.** Where the row spaces of a library are independent,
one matrix does what every adapter does on its own inputs. Use `interpolate`; its rank is the sum of
the ranks, and its size tells how oblique the adapters are.

**What it does not say.** It removes interference on inputs inside the row spaces, for each adapter
alone; outside them see ``thm:interpolation-price``. The rule is old under other names
(``thm:merge-collapse``).

References
----------
Penrose (1956).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import LowRank, array_namespace, project
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import frame, images, library, worst

SENSE = "lower"
SOURCE = "own as a statement on adapters; rests on Penrose (1956)"

EXACT = "a merge that does on each row space what its adapter does"


@dataclass(frozen=True)
class Case:
    """The adapters to merge."""

    updates: tuple[LowRank, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Independent row spaces, or one adapter twice: shared directions on which they agree."""
    updates = library(rng, size)
    return Case(updates + updates[:1] if rng.random() < 0.2 else updates)


def bound(case: Case) -> float:
    """The norm of the least solution, from the Gram matrix of the frame."""
    reads, answers = frame(case.updates), images(case.updates)
    xp = array_namespace(reads)
    inverse = xp.linalg.pinv(reads.T @ reads, rtol=1e-10)
    return float(xp.sum((answers @ inverse) * answers)) ** 0.5


def conflict(updates: tuple[LowRank, ...]) -> float:
    """The least misfit of any merge on the adapters' own row spaces: 0 iff they agree there."""
    reads, answers = frame(updates), images(updates)
    xp = array_namespace(reads)
    rest = answers - (answers @ xp.linalg.pinv(reads, rtol=1e-8)) @ reads
    return float(xp.sum(rest**2))


def misfit(updates: tuple[LowRank, ...], merged: LowRank) -> float:
    """How far a merge is from each adapter on the adapter's own row space, squared and summed."""
    return sum(
        (LowRank(merged.up, merged.down @ (q := low.row_space())) - LowRank(low @ q, q.T @ q)).norm
        ** 2
        for low in updates
    )


def attain(case: Case) -> LowRank:
    """The library's rule of that name."""
    updates = list(case.updates)
    return METHODS["interpolate"].rule(updates, [1.0] * len(updates), Options())


def measure(_: Case, merged: LowRank) -> float:
    """Frobenius norm of a merge."""
    return merged.norm


def scale(case: Case) -> float:
    """The norms that meet."""
    return sum(low.norm for low in case.updates)


def condition(case: Case) -> float:
    """Of the frame, squared, as the bound inverts its Gram matrix."""
    return worst(frame(case.updates)) ** 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """The least merge plus anything that reads only outside all row spaces, small or large."""
    best, reads = attain(case), np.linalg.qr(frame(case.updates))[0]
    size = 10.0 ** int(rng.integers(-12, 3)) * scale(case) / max(best.shape)
    rows = rng.standard_normal((best.shape[1], 2))
    outside = (rows - project(rows, reads)).T
    return best + LowRank(size * rng.standard_normal((best.shape[0], 2)), outside)


def adversary(case: Case, _: np.random.Generator) -> LowRank:
    """LAPACK's least-norm solution of the dense equations with projectors; no factor, no basis."""
    dense = [low.dense() for low in case.updates]
    projectors = [np.linalg.pinv(d, rcond=1e-10) @ d for d in dense]
    rows = np.concatenate([d.T for d in dense])
    merged = np.linalg.lstsq(np.concatenate(projectors), rows, rcond=1e-10)[0].T
    return LowRank(merged, np.eye(merged.shape[1]))


def _exact(case: Case, merged: LowRank) -> bool:
    return misfit(case.updates, merged) ** 0.5 <= SAFETY * condition(case) * scale(case)


ASSUMPTIONS = {EXACT: _exact}


def _mean() -> tuple[Case, LowRank]:
    pair = tuple(
        LowRank(np.eye(2)[:, [i]], np.array([row])) for i, row in enumerate(([3, 4.0], [1.0, 0]))
    )
    return Case(pair), (pair[0] + pair[1]) / 2


CONTROLS = (Control("the mean, which does half of each", EXACT, _mean),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
