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

**What it tells someone who merges adapters.** Training for orthogonal row spaces helps while the
ranks fit into the width; beyond it row spaces overlap, however they are turned. What a design gains
over unrelated row spaces, whose overlap is :math:`r/n`, then shrinks as :math:`(n - r)/(n(K - 1))`:
with twice the adapters, half the gain.

**What it does not say.** Row spaces are not all: an adapter may answer weakly where it overlaps,
and inputs may avoid the overlap. If r does not divide n the floor need not be attained: two planes
in three dimensions share a line.

References
----------
Welch (1974), for lines; Massey, Ruiz and Stojanoff (2010), "The structure of minimizers of the
frame potential on fusion frames"; Lemmens and Seidel (1973), "Equi-isoclinic subspaces".
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import is_orthonormal
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "Welch (1974) for lines; for subspaces the fusion frame potential"

FRAMES = "orthonormal frames of row spaces of the stated rank"
DIVIDES = "a rank that divides the width, or room for all row spaces at right angles"


@dataclass(frozen=True, eq=False)
class Case:
    """K adapters of rank r in width n; `like` says on which device the numbers are made."""

    adapters: int
    rank: int
    width: int
    like: Float[Array, " 1"]


Library = Float[Array, "k n r"]  # an orthonormal frame of each row space


def draw(rng: np.random.Generator, size: int) -> Case:
    """Libraries that fit into the width, fill it, or exceed it many times."""
    rank, blocks = rng.integers(1, size // 2 + 2, 2).tolist()
    return Case(int(rng.integers(2, 3 * blocks + 3)), rank, rank * blocks, np.zeros(1))


def least_overlap(adapters: int, rank: int, width: int) -> float:
    """The mean overlap that no library of this size avoids, as a share of the rank."""
    return max(0.0, (adapters * rank - width) / (width * (adapters - 1)))


def bound(case: Case) -> float:
    """What the trace of the sum of projectors leaves no way around."""
    return least_overlap(case.adapters, case.rank, case.width)


def measure(case: Case, library: Library) -> float:
    """Mean squared cosine over ordered pairs, pair by pair."""
    xp, k = array_namespace(library), case.adapters
    pairs = ((i, j) for i in range(k) for j in range(i))
    overlap = sum(float(xp.sum((library[i, :, :].T @ library[j, :, :]) ** 2)) for i, j in pairs)
    return 2 * overlap / (k * (k - 1) * case.rank)


def attain(case: Case) -> Library:
    """Axes where they suffice, or equally spaced waves, each times a frame of its own."""
    k, d, xp = case.adapters, case.width // case.rank, array_namespace(case.like)
    if k <= d:
        vectors = np.eye(k, d)
    else:
        angles = 2 * math.pi * np.outer(np.arange(k), np.arange(1, d // 2 + 1)) / k
        waves = [np.cos(angles), np.sin(angles)] + [np.full((k, 1), 0.5**0.5)] * (d % 2)
        vectors = np.concatenate(waves, axis=1) * (2 / d) ** 0.5
    frames = np.stack([np.kron(vector[:, None], np.eye(case.rank)) for vector in vectors])
    return xp.asarray(frames, dtype=case.like.dtype, device=case.like.device)


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Row spaces at random, one of them repeated, or the best ones nudged by 1e-12 to 1."""
    kind, shape = int(rng.integers(3)), (case.adapters, case.width, case.rank)
    free = np.stack([orthonormal(rng, case.width, case.rank) for _ in range(case.adapters)])
    if kind == 0:
        return free
    if kind == 1:
        return free[rng.integers(0, case.adapters, case.adapters)]
    return np.linalg.qr(attain(case) + 10.0 ** rng.integers(-12, 1) * rng.standard_normal(shape))[0]


def adversary(case: Case, rng: np.random.Generator) -> Library:
    """Turn each row space in turn into the directions that the others use least."""
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
