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

from dataclasses import dataclass, replace

import numpy as np

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import frame, images, interpolated, library, worst
from loratheory.toy import Chain, Hop, branching, chain

SENSE = "lower"
SOURCE = "own as a statement on adapters; rests on Penrose (1956)"

EXACT = "a merge that does on each row space what its adapter does"


@dataclass(frozen=True)
class Case:
    """Updates of the adapters to merge."""

    updates: tuple[LowRank, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters with independent row spaces, at times one of them listed twice."""
    updates = library(rng, size)
    return Case(updates + updates[:1] if rng.random() < 0.2 else updates)


def bound(case: Case) -> float:
    """Return ‖Δ*‖, the norm of T F⁺, computed from the Gram matrix of the frame F."""
    reads, answers = frame(case.updates), images(case.updates)
    xp = array_namespace(reads)
    inverse = xp.linalg.pinv(reads.T @ reads, rtol=1e-10)
    return float(xp.sum((answers @ inverse) * answers)) ** 0.5


def misfit(updates: tuple[LowRank, ...], merged: LowRank) -> float:
    """Return Σ_j ‖X P_j − Δ_j‖², what the merge X misses of each adapter on its row space."""
    return sum(
        (LowRank(merged.up, merged.down @ (q := low.row_space())) - LowRank(low @ q, q.T @ q)).norm
        ** 2
        for low in updates
    )


def attain(case: Case) -> LowRank:
    """Return Δ* as the rule ``METHODS["interpolate"]`` of `loratheory.adapters` computes it."""
    return interpolated(case.updates)


def measure(_: Case, merged: LowRank) -> float:
    """Return the Frobenius norm of a merge."""
    return merged.norm


def scale(case: Case) -> float:
    """Return the sum of the adapters' norms, the unit of rounding errors."""
    return sum(low.norm for low in case.updates)


def condition(case: Case) -> float:
    """Return the squared condition number of the frame F, whose Gram matrix is inverted."""
    return worst(frame(case.updates)) ** 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return Δ* plus a small or large update that is zero on all row spaces."""
    best, reads = attain(case), np.linalg.qr(frame(case.updates))[0]
    size = 10.0 ** int(rng.integers(-12, 3)) * scale(case) / max(best.shape)
    rows = rng.standard_normal((best.shape[1], 2))
    outside = (rows - project(rows, reads)).T
    return best + LowRank(size * rng.standard_normal((best.shape[0], 2)), outside)


def adversary(case: Case, _: np.random.Generator) -> LowRank:
    """Return the least-norm solution X of all X P_j = Δ_j, which LAPACK finds."""
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


# Questions over several reads


INSIDE = "edited keys inside the row spaces of their adapters"

Libraries = tuple[tuple[LowRank, ...], ...]  # one library of adapters a read


@dataclass(frozen=True, eq=False)
class Reads:
    """Keys and values of each read, and ``owners[read][adapter]``, the entities that it edits."""

    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]
    owners: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def edited(self) -> int:
        """Number of edited entities; these come first, and are the same in every read."""
        return sum(len(owned) for owned in self.owners[0])

    @property
    def hops(self) -> list[Hop]:
        """Facts of each read; the values of the last are one-hot tokens."""
        last = self.keys[-1]
        one_hot = eye(last, last.shape[1] + self.edited)
        pairs = zip(self.keys, (*self.values, one_hot), strict=True)
        return [branching(keys, frame) for keys, frame in pairs]

    @property
    def edits(self) -> list[list[tuple[Array, Array]]]:
        """Keys that each adapter of each read edits, and the change of value at each key."""
        xp = array_namespace(self.keys[0])
        return [
            [
                (
                    xp.stack([hop.keys[:, e] for e in owned], axis=1),
                    xp.stack([hop.new[:, e] - hop.old[:, e] for e in owned], axis=1),
                )
                for owned in read
            ]
            for hop, read in zip(self.hops, self.owners, strict=True)
        ]


def model(case: Reads, libraries: Libraries, method: str = "interpolate") -> Chain:
    """Return the chain of reads in which each read's adapters are merged by `method`."""
    rule = METHODS[method].rule
    merged = tuple(rule(list(library), [1.0] * len(library), Options()) for library in libraries)
    return replace(chain(case.hops, case.values), edits=merged)


def margins(case: Reads, merged: Chain) -> Float[Array, " e"]:
    """Return the new answer's margin on each prompt whose hops are all edited."""
    logits = merged.output(case.keys[0][:, : case.edited], [1.0] * len(case.keys))
    xp = array_namespace(logits)
    own = eye(logits, logits.shape[0])[:, : logits.shape[1]]
    others = xp.where(own > 0, xp.full_like(logits, -xp.inf), logits)
    return xp.sum(own * logits, axis=0) - xp.max(others, axis=0)


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
