r"""Packing floor: the overlap of row spaces that no library of adapters avoids.

**Statement.** In the mean over ordered pairs of K >= 2 adapters of rank r in width n the squared
cosines of the principal angles of two row spaces sum to at least the share (Kr − n)/(n(K − 1)) of
r, or 0 if that is negative; where r divides n, some library attains it.

Let :math:`P_i` project orthogonally onto the row space of adapter i and let the overlap of two be
:math:`\operatorname{tr}(P_i P_j)/r`, the mean squared cosine of their principal angles. Then

.. math::
    \frac{1}{K(K-1)} \sum_{i \ne j} \frac{\operatorname{tr}(P_i P_j)}{r} \;\ge\;
    \max\Bigl(0, \frac{Kr - n}{n(K - 1)}\Bigr),

with equality, where it is positive, iff :math:`\sum_i P_i = (Kr/n)\, I`. Hence some pair overlaps
by so much.

**Proof.** :math:`S = \sum_i P_i` has rank at most n and trace :math:`Kr`, so :math:`\|S\|_F^2 \ge
(\operatorname{tr} S)^2/n = (Kr)^2/n` by Cauchy–Schwarz on its eigenvalues, with equality iff all n
are equal. And :math:`\|S\|_F^2 = Kr + \sum_{i \ne j} \operatorname{tr}(P_i P_j)`, whose terms are
not negative. *Attained:* if :math:`Kr \le n`, by disjoint sets of axes. Otherwise take K unit
vectors :math:`f_i` in dimension :math:`d = n/r` with :math:`\sum f_i f_i^\top = (K/d) I` (cosines
and sines of equally spaced angles) and the row spaces :math:`f_i \otimes \mathbb{R}^r`. They are
equally far apart, pair by pair, if the :math:`f_i` are, as the corners of a simplex for
:math:`K = d + 1`. :math:`\square`

**Corollary (coefficient packing).** If K >= 2 adapters of rank r in width n have all their nonzero
singular values equal and answers at right angles to each other's, their sum with any coefficients
errs, in squares over all their row spaces together, by at least the share 1 − n/(Kr), or 0 if that
is negative, of the energy of what each answers on its own; where r divides n, some row spaces with
coefficients min(1, n/(Kr)) err by no more.

On the directions of row space i adapter i is to answer alone. With answers at right angles the
squared error is :math:`\sum_j (1 - c_j)^2 r + c_j^2 (\operatorname{tr} P_j S - r)`, at best
:math:`c_j = r / \operatorname{tr} P_j S`, which keeps the share :math:`\frac1K \sum_j r /
\operatorname{tr} P_j S`. As the range of :math:`P_j` lies in that of S, Cauchy–Schwarz gives
:math:`r^2 = (\operatorname{tr} P_j S^{1/2} S^{+1/2})^2 \le \operatorname{tr} P_j S
\operatorname{tr} P_j S^+`, so :math:`\sum_j r^2 / \operatorname{tr} P_j S \le \operatorname{tr} S
S^+ \le n`. Where :math:`S = (Kr/n) I` both are equalities. For given row spaces the floor is
``thm:coefficient-floor``.

**What it tells someone who merges adapters.** Training for orthogonal row spaces helps while the
ranks fit into the width; beyond it row spaces overlap, however they are turned. What a design gains
over unrelated row spaces, whose overlap is :math:`r/n`, then shrinks as :math:`(n - r)/(n(K - 1))`:
with twice the adapters, half the gain. A sum with coefficients then keeps of equally strong answers
at right angles at most the share n/(Kr), however the row spaces are packed.

**What it does not say.** Row spaces are not all: an adapter may answer weakly where it overlaps,
and inputs may avoid the overlap. If r does not divide n the floor need not be attained: two planes
in three dimensions share a line.

References
----------
Welch (1974), for lines; Massey, Ruiz and Stojanoff (2010), "The structure of minimizers of the
frame potential on fusion frames". That some pair overlaps by so much is the simplex bound of
Conway, Hardin and Sloane (1996), "Packing lines, planes, etc."; Lemmens and Seidel (1973),
"Equi-isoclinic subspaces".
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, is_orthonormal
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "Welch (1974) for lines; for subspaces the fusion frame potential"

FRAMES = "orthonormal frames of row spaces of the stated rank"
ANSWERS = "answers at right angles with one flat spectrum"
DIVIDES = (
    "a rank that divides the width, or room for all row spaces at right angles "
    "(to attain the bound)"
)


@dataclass(frozen=True, eq=False)
class Case:
    """A library of `adapters` of rank `rank` on inputs of dimension `width`.

    `like` is an array on the device and of the type that `attain` uses.
    """

    adapters: int
    rank: int
    width: int
    like: Float[Array, " 1"]


Library = Float[Array, "k n r"]  # an orthonormal frame of each row space


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw libraries that fit into the width, fill it, or exceed it many times."""
    rank, blocks = rng.integers(1, size // 2 + 2, 2).tolist()
    return Case(int(rng.integers(2, 3 * blocks + 3)), rank, rank * blocks, np.zeros(1))


def least_overlap(adapters: int, rank: int, width: int) -> float:
    """Return the mean overlap that no library of this size avoids, as a share of the rank."""
    return max(0.0, (adapters * rank - width) / (width * (adapters - 1)))


def bound(case: Case) -> float:
    """Return max(0, (Kr − n)/(n(K − 1))), the least mean overlap of the row spaces."""
    return least_overlap(case.adapters, case.rank, case.width)


def measure(case: Case, library: Library) -> float:
    """Return the mean over pairs of adapters of tr(P_i P_j)/r, their overlap."""
    xp, k = array_namespace(library), case.adapters
    pairs = ((i, j) for i in range(k) for j in range(i))
    overlap = sum(float(xp.sum((library[i, :, :].T @ library[j, :, :]) ** 2)) for i, j in pairs)
    return 2 * overlap / (k * (k - 1) * case.rank)


def attain(case: Case) -> Library:
    """Return row spaces along the axes if these suffice, else the proof's, of cosines and sines."""
    k, d = case.adapters, case.width // case.rank
    if k <= d:
        vectors = np.eye(k, d)
    else:
        angles = 2 * math.pi * np.outer(np.arange(k), np.arange(1, d // 2 + 1)) / k
        waves = [np.cos(angles), np.sin(angles)] + [np.full((k, 1), 0.5**0.5)] * (d % 2)
        vectors = np.concatenate(waves, axis=1) * (2 / d) ** 0.5
    frames = [np.kron(vector[:, None], np.eye(case.rank)) for vector in vectors]
    return beside(case.like, np.stack(frames))


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Return random row spaces, at times repeated, or the best perturbed by 1e-12 to 1."""
    kind, shape = int(rng.integers(3)), (case.adapters, case.width, case.rank)
    free = np.stack([orthonormal(rng, case.width, case.rank) for _ in range(case.adapters)])
    if kind == 0:
        return free
    if kind == 1:
        return free[rng.integers(0, case.adapters, case.adapters)]
    return np.linalg.qr(attain(case) + 10.0 ** rng.integers(-12, 1) * rng.standard_normal(shape))[0]


def adversary(case: Case, rng: np.random.Generator) -> Library:
    """Return row spaces, each replaced in turn by the directions that the others use least."""
    library = np.stack([orthonormal(rng, case.width, case.rank) for _ in range(case.adapters)])
    for step in range(40 * case.adapters):
        i = step % case.adapters
        others = np.delete(library, i, axis=0)
        used = np.einsum("knr,kmr->nm", others, others)
        library[i] = np.linalg.eigh(used)[1][:, : case.rank]
    return library


def _frames(case: Case, library: Library) -> bool:
    shape = (case.adapters, case.width, case.rank)
    return tuple(library.shape) == shape and is_orthonormal(library)


ASSUMPTIONS = {
    FRAMES: _frames,
    DIVIDES: lambda case, _: case.width % case.rank == 0 or case.adapters * case.rank <= case.width,
}


def _shorter() -> tuple[Case, Library]:
    case = Case(3, 1, 2, np.zeros(1))
    return case, attain(case) / 2


def _planes() -> tuple[Case, Library]:
    # Two planes of three dimensions share a line, however they are turned.
    return Case(2, 2, 3, np.zeros(1)), np.stack([np.eye(3)[:, :2], np.eye(3)[:, 1:]])


CONTROLS = (
    Control("frames half as long", FRAMES, _shorter),
    Control("two planes in three dimensions", DIVIDES, _planes, "tight"),
)

THEOREM: Theorem[Case, Library] = Theorem.of(__name__)


# Numbers times adapters


@dataclass(frozen=True, eq=False)
class Scaled:
    """Orthonormal frames of row spaces (K, n, r) and of outputs (K, m, r), and coefficients (K)."""

    rows: Library
    answers: Float[Array, "k m r"]
    coefficients: Float[Array, " k"]


def lost(_: Case, merge: Scaled) -> float:
    """Return the merge's squared error on all row spaces over the energy wanted there."""
    xp = array_namespace(merge.rows)
    updates = merge.answers @ xp.matrix_transpose(merge.rows)
    merged = xp.sum(merge.coefficients[:, None, None] * updates, axis=0)
    wanted, given = updates @ merge.rows, merged[None, :, :] @ merge.rows
    return float(xp.sum((given - wanted) ** 2)) / float(xp.sum(wanted**2))


def _axes(case: Case) -> Array:
    # A block of axes for each adapter's answers.
    k, r = case.adapters, case.rank
    return beside(case.like, np.moveaxis(np.eye(k * r).reshape(k * r, k, r), 1, 0))


def packed(case: Case) -> Scaled:
    """Return the row spaces of `attain` with equal coefficients min(1, n/(Kr))."""
    rows, share = attain(case), min(1.0, case.width / (case.adapters * case.rank))
    return Scaled(rows, _axes(case), share * array_namespace(rows).ones_like(rows[:, 0, 0]))


def _fitted(case: Case, rows: Library, answers: Array) -> Scaled:
    # Least squares on the dense answers to all row spaces.
    updates = answers @ np.matrix_transpose(rows)
    table = np.einsum("jmn,inr->jimr", updates, rows).reshape(case.adapters, -1)
    wanted = (updates @ rows).ravel()
    return Scaled(rows, answers, np.linalg.lstsq(table.T, wanted, rcond=None)[0])


def scaled(case: Case, rng: np.random.Generator) -> Scaled:
    """Return random or nearly best row spaces, with their best coefficients or others."""
    rows, size = rival(case, rng), case.adapters * case.rank
    turn = orthonormal(rng, size, size)
    best = _fitted(case, rows, turn @ _axes(case))
    off = float(rng.choice([0.0, 10.0 ** int(rng.integers(-12, 1))]))
    return Scaled(rows, best.answers, best.coefficients + off * rng.standard_normal(case.adapters))


def _right_angles(_: Case, merge: Scaled) -> bool:
    xp = array_namespace(merge.answers)
    k, m, r = merge.answers.shape
    side_by_side = xp.reshape(xp.permute_dims(merge.answers, (1, 0, 2)), (m, k * r))
    gram = side_by_side.T @ side_by_side
    return is_orthonormal(side_by_side / (xp.linalg.trace(gram) / (k * r)) ** 0.5)


def _one_plane() -> tuple[Case, Scaled]:
    # Frames with an empty column: what is called rank 2 has rank 1, and two such fit into a plane.
    case, rows = Case(2, 2, 2, np.zeros(1)), np.zeros((2, 2, 2))
    rows[0, 0, 0] = rows[1, 1, 1] = 1.0
    return case, _fitted(case, rows, _axes(case))


def _alike() -> tuple[Case, Scaled]:
    case = Case(2, 1, 1, np.zeros(1))
    return case, _fitted(case, np.ones((2, 1, 1)), np.ones((2, 1, 1)))


def _weaker() -> tuple[Case, Scaled]:
    # The strong one has a line for itself; the two weak ones share another and lose half of little.
    case, rows = Case(3, 1, 2, np.zeros(1)), np.eye(2)[[0, 1, 1]][:, :, None]
    return case, _fitted(case, rows, np.diag([1.0, 0.1, 0.1])[:, :, None])


def _shared_line() -> tuple[Case, Scaled]:
    case, rows = _planes()
    return case, _fitted(case, rows, _axes(case))


CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "coefficient packing",
        bound=lambda case: max(0.0, 1 - case.width / (case.adapters * case.rank)),
        measure=lost,
        attain=packed,
        rival=scaled,
        adversary=lambda case, rng: _fitted(case, adversary(case, rng), _axes(case)),
        assumptions={
            FRAMES: lambda case, merge: _frames(case, merge.rows),
            ANSWERS: _right_angles,
            DIVIDES: ASSUMPTIONS[DIVIDES],
        },
        controls=(
            Control("frames with an empty column", FRAMES, _one_plane),
            Control("two adapters that answer alike", ANSWERS, _alike),
            Control("two adapters a tenth as strong", ANSWERS, _weaker),
            Control("two planes in three dimensions", DIVIDES, _shared_line, "tight"),
        ),
    ),
)
