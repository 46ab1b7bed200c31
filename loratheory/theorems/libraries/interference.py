r"""Interference angle: how strongly one adapter answers the keys of another.

**Statement.** Let θ be the smallest principal angle between the row spaces of two adapters, and σ
the spectral norm of the second one, Δ. Then ‖Δk‖ ≤ σ cos θ ‖k‖ for every key k in the first row
space. Some adapter of this norm that reads only the second row space attains this.

Let :math:`\theta` be the smallest principal angle of the row spaces :math:`S_1, S_2`. Every
:math:`\Delta` that reads only :math:`S_2` and has spectral norm at most :math:`\sigma` satisfies

.. math:: \|\Delta k\| \;\le\; \sigma \cos\theta \, \|k\| \qquad (k \in S_1).

For the second adapter :math:`\Delta_2` itself the worst case is exactly :math:`\|\Delta_2 Q_1\|_2`,
where :math:`Q_1` is an orthonormal basis of :math:`S_1`. It is zero iff :math:`S_1 \perp S_2`.

**Proof.** Let :math:`P_2` project on :math:`S_2`. Then :math:`\Delta k = \Delta P_2 k`. As
:math:`\|P_2 Q_1\|_2` is the largest cosine, :math:`\|P_2 k\| \le \cos\theta\, \|k\|`. *Attained.*
Let the unit vectors :math:`p \in S_1` and :math:`q \in S_2` enclose the angle :math:`\theta`, and
let :math:`u` be any unit vector. Then :math:`\Delta = \sigma u q^\top` and :math:`k = p` attain the
bound. :math:`\square`

**Implication.** Two adapters leave all keys in each other's row spaces unchanged if and only if
these spaces are orthogonal. The smallest angle between the spaces bounds the damage before any data
are seen. The function `loratheory.adapters.crosstalk_bound` computes this bound.

**Scope.** The second adapter may stay below the bound: its strongest direction need not be the one
near :math:`S_1`. A zero Frobenius inner product of two adapters does not make their interference
zero. Orthogonal column spaces suffice for a zero product, whatever the row spaces are.

References
----------
Zhang and Zhou (OSRM), arXiv:2505.22934.

============================================================

Packing floor: the overlap of row spaces that no library of adapters avoids.

**Statement.** Take K ≥ 2 adapters of rank r in width n. Let the overlap of two adapters be the mean
squared cosine of the r principal angles of their row spaces. Averaged over all pairs, the overlap
is at least max(0, (Kr − n)/(n(K − 1))). Some library attains this if Kr ≤ n, and whenever r ≤ n/2
and K ≥ n/r + 2.

Let :math:`P_i` project orthogonally onto the row space of adapter i. The overlap of two adapters is
:math:`\operatorname{tr}(P_i P_j)/r`, the mean squared cosine of their principal angles. Then

.. math::
    \frac{1}{K(K-1)} \sum_{i \ne j} \frac{\operatorname{tr}(P_i P_j)}{r} \;\ge\;
    \max\Bigl(0, \frac{Kr - n}{n(K - 1)}\Bigr).

Where the bound is positive, equality holds iff :math:`\sum_i P_i = (Kr/n)\, I`. Such row spaces are
a *tight fusion frame*. So some pair has at least this overlap.

**Proof.** The matrix :math:`S = \sum_i P_i` has rank at most n and trace :math:`Kr`. So
:math:`\|S\|_F^2 \ge (\operatorname{tr} S)^2/n = (Kr)^2/n` by Cauchy–Schwarz on its eigenvalues,
with equality iff all n eigenvalues are equal. On the other hand, :math:`\|S\|_F^2 = Kr + \sum_{i
\ne j} \operatorname{tr}(P_i P_j)`, and no term of this sum is negative. *Attained* if :math:`Kr \le
n`, by disjoint sets of axes.

*Attained* for :math:`\lambda = Kr/n \ge 2` *and* :math:`r \le n/2`. We fill a matrix with n rows
and :math:`Kr` unit columns, row by row, so that the squares in each row add up to :math:`\lambda`.
Put columns :math:`e_j` until less than 1 is missing in row j. If :math:`x > 0` is missing, put the
two columns :math:`\sqrt{x/2}\, e_j \pm \sqrt{1 - x/2}\, e_{j+1}`. They give :math:`2 - x \le
\lambda` to the next row. All rows are orthogonal. The columns that share a row are consecutive, and
fewer than :math:`\lambda + 3`. So they are at most :math:`K \ge 2 \lambda` columns, and columns
:math:`K` apart are orthogonal. Columns :math:`i, i + K, \dots, i + (r - 1) K` span the row space of
adapter i.

*The rest.* Let :math:`F` be the frames of a tight fusion frame side by side, so that :math:`F
F^\top = \lambda I`. The rows that complete those of :math:`F / \sqrt\lambda` to an orthogonal
matrix are, up to a factor, a tight fusion frame with the same r and K, of width :math:`Kr - n`
(Naimark). If :math:`K \ge n/r + 2`, one of the two has :math:`\lambda \ge 2` and rank at most half
the width. The orthogonal complements of a tight fusion frame are another one, of rank :math:`n -
r`. These two steps decide all cases (Casazza et al.), and `tight_frames` follows them. If r divides
n and :math:`Kr \ge n`, they end well. :math:`\square`

**Implication.** Training for orthogonal row spaces helps as long as the ranks fit into the width.
Beyond that, row spaces overlap, however they are turned. Unrelated row spaces have the overlap
:math:`r/n`. The gain of a design over them is then at most :math:`(n - r)/(n(K - 1))`, so with
twice the adapters it is about half as large. Suppose that the answers of all adapters are equally
strong and orthogonal. A sum with coefficients then keeps at most the share n/(Kr) of them, however
the row spaces are packed.

**Scope.** Row spaces do not decide everything. An adapter may answer weakly where its row space
overlaps another, and inputs may avoid the overlap. Some libraries with fewer than n/r + 2 adapters
cannot attain the floor: two planes in three dimensions share a line. Three planes in five
dimensions cannot either.

References
----------
Welch (1974), for lines; Massey, Ruiz and Stojanoff (2010), "The structure of minimizers of the
frame potential on fusion frames". Which tight fusion frames exist: Casazza, Fickus, Mixon, Wang and
Zhou (2011), "Constructing tight fusion frames", Appl. Comput. Harmon. Anal. 30. That some pair
overlaps by so much is the simplex bound of Conway, Hardin and Sloane (1996), "Packing lines,
planes, etc."; Lemmens and Seidel (1973), "Equi-isoclinic subspaces".

============================================================

Random interference: how many unrelated adapters an edit survives beside it, by width.

**Statement.** On a unit key of dimension n, an edit leads each other token by a margin m > 0. Other
adapters are merged with coefficients c, each turned at random and independently on its input side.
Let a be the difference of the answer's row and the other token's row in such an adapter. The lead
is overturned with probability at most Σ exp(−n m²/(2 Σ c²‖a‖²)), with the outer sum over the other
tokens and the inner one over the adapters.

Let the answer :math:`s` of an edit lead each other token :math:`t` by a margin :math:`m_t > 0`.
Merge with it other adapters :math:`\Delta_j O_j` with coefficients :math:`c_j`, each turned at
random on its input side: the :math:`O_j` are independent and uniform in :math:`O(n)`. On a prompt
with unit key :math:`k` they add

.. math::
    \varepsilon = \sum_j c_j \Delta_j O_j k, \qquad \mathbb{E}\,\varepsilon = 0, \qquad
    \mathbb{E}\|\varepsilon\|^2 = \tfrac1n \sum_j c_j^2 \|\Delta_j\|_F^2.

With :math:`a_{tj} = \Delta_j^\top (e_s - e_t)`, the answer :math:`s` loses with probability at most
:math:`\sum_t \exp(-n\,m_t^2 / 2\sum_j c_j^2 \|a_{tj}\|^2)`. Now let there be :math:`T` other tokens
and :math:`K - 1` other adapters, with all :math:`m_t \ge m` and all :math:`\|a_{tj}\| \le \sigma`.
The edit survives their sum with probability at least :math:`1 - \delta` if :math:`K - 1 < n\,m^2 /
(2\sigma^2 \ln (T/\delta))`. Let :math:`m_0` be the deficit and :math:`m_1` the margin of
``thm:averaging-survival``. With the same probability the edit survives the mean of all adapters if

.. math:: m_1 > (K-1)\,m_0 + \sigma\sqrt{2 (K-1) \ln(T/\delta) / n}.

**Proof.** The vector :math:`u_j = O_j k` is uniform on the sphere. So :math:`\mathbb{E}\,u_j = 0`
and :math:`\mathbb{E}\,u_j u_j^\top = 1/n`, which gives the moments. A coordinate of :math:`u` has
:math:`\mathbb{E}\,u_1^{2q} = \frac{(2q-1)!!}{n(n+2)\cdots(n+2q-2)} \le (2q-1)!!\,n^{-q}`. The right
side is the moment of :math:`N(0, 1/n)`, and odd moments vanish. So :math:`\mathbb{E}\,
e^{\lambda\langle a, u \rangle} \le e^{\lambda^2\|a\|^2/2n}`. Multiply these bounds over :math:`j`,
and apply Markov's inequality with the best :math:`\lambda` to the event :math:`\varepsilon_t -
\varepsilon_s \ge m_t`. Then add the probabilities over :math:`t`. For the mean, put :math:`m = (m_1
- (K-1)\,m_0)/K` and :math:`c_j = 1/K`. :math:`\square`

**Implication.** Unrelated adapters disturb each other like noise of variance :math:`1/n`. The
number that a sum can hold grows in proportion to the width, and to the squared ratio of margin to
adapter size. In the mean, the margin also has to make up for the deficit.

**Scope.** The theorem does not say how many adapters a sum cannot hold. Trained adapters share
directions: measure their angles instead (``thm:interference-angle``). For one other token and one
other adapter, the probability is exactly :math:`\frac12 I_{1 - m^2/\|a\|^2} \bigl(\frac{n-1}2,
\frac12\bigr)` if :math:`0 < m < \|a\|`, with the regularised incomplete beta function. In a large
width, at x standard deviations, the bound is about :math:`\sqrt{2\pi}\,x` times that.

References
----------
Moments: Muirhead (1982), section 1.5.
"""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, largest_cosine, orthonormal, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import (
    beside,
    eye,
    is_orthonormal,
    largest,
    nearest_columns,
    norm,
    read_outside,
    share_true,
)
from loratheory.theorems._sampling import SIGMAS, allow_for_sampling, unit_vectors
from loratheory.theorems._theorem import SAFETY, Control, Theorem, spoil

SENSE = "upper"
KIND = "lemma"
SOURCE = "own; orthogonal row spaces against interference: Zhang and Zhou (2025)"

KEY = "a nonzero key in the first adapter's row space"
READS = "an update that reads only the second adapter's row space"
NORM = "an update no larger in spectral norm than the second adapter"


@dataclass(frozen=True, eq=False)
class Case:
    """The adapter that a key belongs to, and a second one whose output at that key interferes."""

    first: LowRank
    second: LowRank

    @cached_property
    def spaces(self) -> tuple[Array, Array]:
        """Orthonormal bases of the two row spaces, (n, r) each."""
        return self.first.row_space(), self.second.row_space()

    @cached_property
    def condition(self) -> float:
        """Larger condition number of the two adapters, by which rounding turns a row space."""
        worst = 1.0
        for low, space in zip((self.first, self.second), self.spaces, strict=True):
            # singular values that are rounding do not count
            if rank := int(space.shape[1]):
                worst = max(worst, float(low.S[0] / low.S[rank - 1]))
        return worst


@dataclass(frozen=True, eq=False)
class Answer:
    """An update, and the key (n, 1) at which its output is measured."""

    update: LowRank
    key: Array


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters of any size whose row spaces are unrelated, orthogonal or nearly equal."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    one, two = rng.integers(1, min(m, n, 16) + 1, 2).tolist()
    sigmas = [10.0 ** (rng.uniform(-2, 0, r) + rng.integers(-6, 7)) for r in (one, two)]
    first = LowRank(orthonormal(rng, m, one) * sigmas[0], orthonormal(rng, n, one).T)
    reads = rng.standard_normal((n, two))
    # row spaces at random, at right angles, or nearly the same
    kind, basis, same = int(rng.integers(3)), first.row_space(), min(one, two)
    if kind == 1 and one + two <= n:
        reads = reads - project(reads, basis)
    elif kind == 2:
        reads = reads * float(rng.choice([1e-8, 1e-2, 1.0]))
        reads[:, :same] += basis[:, :same]
    return Case(first, LowRank(orthonormal(rng, m, two) * sigmas[1], np.linalg.qr(reads)[0].T))


def bound(case: Case) -> float:
    """Return σ cos θ, σ the second adapter's spectral norm, θ the row spaces' least angle."""
    return case.second.spectral_norm * largest_cosine(*case.spaces)


def worst_response(case: Case) -> float:
    """Return ‖Δ₂Q₁‖₂, the second adapter's largest output at unit keys of the first.

    Costs ``O((m + n) r^2)``.
    """
    return LowRank(case.second.up, case.second.down @ case.spaces[0]).spectral_norm


def attain(case: Case) -> Answer:
    """Return the key and the update of the proof, whose output meets the bound.

    The key is the first adapter's nearest to the second's row space.
    """
    one, two = case.spaces
    # The singular vectors of the bases' product are the principal directions.
    u, _, v = array_namespace(one).linalg.svd(one.T @ two, full_matrices=False)
    output = case.second.svd().left[:, :1] * case.second.spectral_norm
    return Answer(LowRank(output, v[:1, :] @ two.T), one @ u[:, :1])


def measure(_: Case, answer: Answer) -> float:
    """Return the norm of the update's output at the key over the norm of the key."""
    return norm(answer.update @ answer.key) / norm(answer.key)


def rival(case: Case, rng: np.random.Generator) -> Answer:
    """Return the second adapter at its worst key, a random pair, or the best pair perturbed."""
    best, (one, two) = attain(case), case.spaces
    kind, size = int(rng.integers(3)), 10.0 ** int(rng.integers(-12, 1))
    if kind == 0:
        return Answer(case.second, one @ np.linalg.svd(case.second @ one)[2][:1, :].T)
    key = one @ rng.standard_normal((one.shape[1], 1))
    if kind == 1:
        # an update that reads only the second adapter's row space
        free = rng.standard_normal((case.second.shape[0], two.shape[1]))
        share = case.second.spectral_norm * float(rng.random()) / float(np.linalg.norm(free, 2))
        return Answer(LowRank(share * free, two.T), key)
    return Answer(best.update, best.key + size * key)


def adversary(case: Case, rng: np.random.Generator) -> Answer:
    """Return the pair found by projecting a key from one row space to the other in turn."""
    key, read = nearest_columns(rng, case.first.down.T, case.second.down.T)
    output = np.eye(case.second.shape[0], 1) * np.linalg.norm(case.second.dense(), 2)
    return Answer(LowRank(output, read.T), key)


def _reads_only(case: Case, low: LowRank, which: int) -> bool:
    outside = read_outside(low, case.spaces[which])
    return outside.spectral_norm <= SAFETY / 4 * case.condition * low.spectral_norm


def _key_fits(case: Case, answer: Answer) -> bool:
    row = LowRank(answer.key[:1, :] ** 0, answer.key.T)
    return row.spectral_norm > 0 and _reads_only(case, row, 0)


def _norm_fits(case: Case, answer: Answer) -> bool:
    return answer.update.spectral_norm <= (1 + SAFETY / 4) * case.second.spectral_norm


ASSUMPTIONS = {
    KEY: _key_fits,
    READS: lambda case, answer: _reads_only(case, answer.update, 1),
    NORM: _norm_fits,
}


def _planar(second: int, reads: int, key: int, size: float = 1.0) -> tuple[Case, Answer]:
    axes = [LowRank(np.eye(1), np.eye(2)[:1]), LowRank(np.eye(1), np.eye(2)[1:])]
    return Case(axes[0], axes[second]), Answer(size * axes[reads], axes[key].down.T)


CONTROLS = (
    Control("a key that the first adapter does not read", KEY, lambda: _planar(1, 1, 1)),
    Control("an update that reads elsewhere", READS, lambda: _planar(1, 0, 0)),
    Control("an update twice as large", NORM, lambda: _planar(0, 0, 0, 2.0)),
)


# Row spaces that no library keeps apart

SENSE_PACKING = "lower"
SOURCE_PACKING = "Welch (1974) for lines; for subspaces the fusion frame potential"

FRAMES = "orthonormal frames of row spaces of the stated rank"
FUSED = "K r <= n, or a tight fusion frame of K spaces of rank r in width n (to attain the bound)"


@dataclass(frozen=True, eq=False)
class Packed:
    """A library of `adapters` of rank `rank` on inputs of dimension `width`.

    `like` is an array on the device and of the type that `attain` uses.
    """

    adapters: int
    rank: int
    width: int
    like: Float[Array, " 1"]


Library = Float[Array, "k n r"]  # an orthonormal frame of each row space


def draw_packing(rng: np.random.Generator, size: int) -> Packed:
    """Draw libraries that fit into the width, fill it, or exceed it many times."""
    width = int(rng.integers(1, size + 2))
    rank = int(rng.integers(1, max(1, width // int(rng.choice([1, 2, 2]))) + 1))
    case = Packed(int(rng.integers(2, 3 * width // rank + 4)), rank, width, np.zeros(1))
    # the few libraries that cannot attain the floor are drawn again
    return case if _fused(case) else draw_packing(rng, size)


def least_overlap(adapters: int, rank: int, width: int) -> float:
    """Return the mean overlap of row spaces that no library avoids, as a share of the rank."""
    return max(0.0, (adapters * rank - width) / (width * (adapters - 1)))


def bound_packing(case: Packed) -> float:
    """Return max(0, (Kr − n)/(n(K − 1))), the least mean overlap of the row spaces."""
    return least_overlap(case.adapters, case.rank, case.width)


def measure_packing(case: Packed, library: Library) -> float:
    """Return the mean over pairs of adapters of tr(P_i P_j)/r, their overlap."""
    k = case.adapters
    pairs = combinations(range(k), 2)
    overlap = sum(norm(library[i, :, :].T @ library[j, :, :]) ** 2 for i, j in pairs)
    return 2 * overlap / (k * (k - 1) * case.rank)


def attain_packing(case: Packed) -> Library:
    """Return row spaces along the axes if these suffice, else the proof's tight fusion frame."""
    return beside(case.like, tight_frames(case.adapters, case.rank, case.width))


def tight_frames(adapters: int, rank: int, width: int) -> Library:
    """Return frames of row spaces with projections of sum (Kr/n) I; ValueError if none exist.

    If the ranks fit into the width, the row spaces are orthogonal to each other.
    """
    k, r, n, total = adapters, rank, width, adapters * rank
    if total <= n:
        return np.eye(total, n).reshape(k, r, n).swapaxes(1, 2)
    if r == n:
        return np.tile(np.eye(n), (k, 1, 1))
    # neither these row spaces nor their orthogonal complements fill the width
    if r > n or 2 * r > n > k * (n - r):
        message = f"no {k} spaces of dimension {r} are a tight fusion frame in width {n}: take more"
        raise ValueError(message)
    if 2 * r > n:
        return np.linalg.qr(tight_frames(k, n - r, n), mode="complete")[0][:, :, n - r :]
    if total >= 2 * n:
        return _fill_rows(total, n).reshape(n, r, k).transpose(2, 0, 1)
    # Naimark's complement: what completes the rows of all frames side by side
    rows = tight_frames(k, r, total - n).swapaxes(1, 2).reshape(total, total - n)
    rest = np.linalg.qr(rows, mode="complete")[0][:, total - n :]
    return (total / n) ** 0.5 * rest.reshape(k, r, n).swapaxes(1, 2)


def _fill_rows(total: int, width: int) -> Float[Array, "n columns"]:
    """Return the proof's matrix: unit columns, and orthogonal rows of energy total/width >= 2."""
    frame, column, missing = np.zeros((width, total)), 0, total
    # energies are counted in units of 1/width, so that they stay whole numbers
    for row in range(width):
        whole, part = divmod(missing, width)
        frame[row, column : column + whole] = 1.0
        column, missing = column + whole, total
        if part:
            x, pair = part / width, slice(column, column + 2)
            frame[row, pair] = (x / 2) ** 0.5
            frame[row + 1, pair] = (1 - x / 2) ** 0.5 * np.array([1.0, -1.0])
            column, missing = column + 2, total - 2 * width + part
    return frame


def _turned(rng: np.random.Generator, case: Packed) -> Library:
    free: Library = rng.standard_normal((case.adapters, case.width, case.rank))
    return np.linalg.qr(free)[0]


def rival_packing(case: Packed, rng: np.random.Generator) -> Library:
    """Return random row spaces, at times repeated, or the best perturbed by 1e-12 to 1."""
    kind, shape = int(rng.integers(3)), (case.adapters, case.width, case.rank)
    free = _turned(rng, case)
    if kind == 0:
        return free
    if kind == 1:
        # adapters that share row spaces overlap in full
        return free[rng.integers(0, case.adapters, case.adapters)]
    size = 10.0 ** int(rng.integers(-12, 1))
    return np.linalg.qr(attain_packing(case) + size * rng.standard_normal(shape))[0]


def adversary_packing(case: Packed, rng: np.random.Generator) -> Library:
    """Return row spaces, each replaced in turn by the directions that the others use least."""
    library = _turned(rng, case)
    for step in range(40 * case.adapters):
        i = step % case.adapters
        others = np.delete(library, i, axis=0)
        # an adapter moves to where the others read least
        used = np.einsum("knr,kmr->nm", others, others)
        library[i] = np.linalg.eigh(used)[1][:, : case.rank]
    return library


def _frames(case: Packed, library: Library) -> bool:
    shape = (case.adapters, case.width, case.rank)
    return tuple(library.shape) == shape and is_orthonormal(library)


def _fused(case: Packed) -> bool:
    try:
        attain_packing(case)
    except ValueError:
        return False
    return True


ASSUMPTIONS_PACKING = {FRAMES: _frames, FUSED: lambda case, _: _fused(case)}


def _shorter() -> tuple[Packed, Library]:
    case = Packed(3, 1, 2, np.zeros(1))
    return case, attain_packing(case) / 2


def _planes() -> tuple[Packed, Library]:
    # the floor is 1/10; a search ends at 1/8
    case = Packed(3, 2, 5, np.zeros(1))
    return case, adversary_packing(case, np.random.default_rng(0))


CONTROLS_PACKING = (
    Control("frames half as long", FRAMES, _shorter),
    Control("three planes in five dimensions", FUSED, _planes, "tight"),
)


# Unrelated adapters, turned at random

SENSE_RANDOM = "upper"
SOURCE_RANDOM = "own"
USES_RANDOM = ("thm:averaging-survival",)
UNSEEN_RANDOM = "a Chernoff bound is never met: at best it says 0.61 where the probability is 1/2"

MARGINS = "an edit with a positive margin over each other token"
UNIT = "a key of unit length"
RANDOM = "adapters turned uniformly at random on their input side"
INDEPENDENT = "adapters turned independently of each other"


@dataclass(frozen=True, eq=False)
class Turned:
    """Foreign adapters' `rows` that act on the margins of an edit over other tokens.

    ``rows[t, j]`` is adapter j's coefficient times its row of the target minus its row of token t.
    """

    rows: Float[Array, "t k n"]
    margins: Float[Array, " t"]
    trials: int = 4000


def energy(adapters: int, rank: int, width: int) -> float:
    """Return the mean energy that adapters turned at random add where the own answer has energy 1.

    They have this rank and all singular values 1. One of the `adapters` is the own.
    """
    return (adapters - 1) * rank / width


def largest_library(
    width: int, margin: int | float, strength: int | float, tokens: int, failure: float
) -> int:
    """Return how many adapters turned at random a sum may hold, if an edit fails by this chance."""
    return 1 + math.floor(width * margin**2 / (2 * strength**2 * math.log(tokens / failure)))


def draw_random(rng: np.random.Generator, size: int) -> Turned:
    """Draw one to 32 other tokens, one to six adapters, and margins near what these add."""
    magnitude = 10.0 ** int(rng.integers(-6, 7))
    if rng.random() < 0.5:
        # adapters that together just reach the margin on a line come nearest to the bound
        k = int(rng.integers(1, 3))
        rows = magnitude * np.array([1.0, -1.0])[:k, None, None] * np.ones((k, k, 1))
        return Turned(rows, (1 - 1e-9) * magnitude * k * np.ones(k), trials=60_000)
    t, k, n = (int(rng.integers(1, most)) for most in (33, 7, size + 1))
    rows = magnitude * rng.standard_normal((t, k, n))
    # margins of the order of what the foreign adapters add, at times the same over all tokens
    spread, alike = np.sqrt((rows**2).sum(axis=(1, 2)) / n), bool(rng.integers(2))
    case = Turned(rows, spread * rng.uniform(0.3, 4, 1 if alike else t))
    # a bound of one says nothing
    return case if bound_random(case) < 1 else draw_random(rng, size)


def bound_random(case: Turned) -> float:
    """Return Σ_t exp(−n m_t²/(2 Σ_j ‖a_tj‖²)), at most 1; coefficients are in the rows a_tj."""
    xp, n = array_namespace(case.rows), int(case.rows.shape[2])
    spread = xp.sum(case.rows**2, axis=(1, 2)) / n
    silent = spread == 0  # others that say nothing overturn nothing
    # Chernoff's bound, token by token, then the union
    tails = xp.exp(-(case.margins**2) / (2 * xp.where(silent, xp.ones_like(spread), spread)))
    return min(1.0, float(xp.sum(xp.where(silent, xp.zeros_like(tails), tails))))


def measure_random(case: Turned, turned: Float[Array, "trials k n"]) -> float:
    """Return the share of trials in which interference reaches the margin over some token."""
    xp, (t, k, n) = array_namespace(turned), case.rows.shape
    # what each token gains from all adapters together
    flat = xp.reshape(turned, (turned.shape[0], k * n))
    gained = flat @ xp.reshape(case.rows, (t, k * n)).T
    return share_true(xp.any(gained <= -case.margins[None, :], axis=1))


noise_random = allow_for_sampling(bound_random)


def rival_random(case: Turned, rng: np.random.Generator) -> Float[Array, "trials k n"]:
    """Draw fresh rotations, at times with random signs, which leave them uniform."""
    turned = unit_vectors(rng, case.trials, *case.rows.shape[1:])
    return turned if rng.random() < 0.7 else turned * rng.choice([-1.0, 1.0], (case.trials, 1, 1))


def _random(_: Turned, turned: Array) -> bool:
    """Whether each adapter's direction has the mean and second moments of a uniform one."""
    xp, (trials, _, n) = array_namespace(turned), turned.shape
    # uniform directions have mean 0 and second moments of the identity over n
    each = xp.permute_dims(turned, (1, 0, 2))
    mean, gram = xp.mean(turned, axis=0), xp.matrix_transpose(each) @ each / trials
    near = largest(mean) * math.sqrt(trials * n) <= SIGMAS
    return near and largest(gram - eye(turned, n) / n) * math.sqrt(trials) * n / 2 <= SIGMAS


def _independent(_: Turned, turned: Array) -> bool:
    """Whether the directions of any two adapters are uncorrelated."""
    xp, (trials, k, n) = array_namespace(turned), turned.shape
    # two adapters turned together would agree in every trial
    inner = xp.mean(turned @ xp.matrix_transpose(turned), axis=0)
    off = inner * (1 - eye(turned, k))
    return largest(off) * math.sqrt(trials * n) <= SIGMAS


ASSUMPTIONS_RANDOM = {
    MARGINS: lambda case, _: float(array_namespace(case.margins).min(case.margins)) > 0,
    UNIT: lambda _, turned: largest(array_namespace(turned).sum(turned**2, axis=-1) - 1) < 1e-9,
    RANDOM: _random,
    INDEPENDENT: _independent,
}


def _fine(margin: float = 1.5) -> tuple[Turned, Array]:
    rows = np.zeros((1, 8, 32))
    rows[:, :, 0] = 1.0
    case = Turned(rows, np.array([margin]), 2000)
    return case, unit_vectors(np.random.default_rng(0), case.trials, 8, 32)


CONTROLS_RANDOM = (
    Control("an edit that trails by as much", MARGINS, partial(_fine, -1.5)),
    spoil("a key three times as long", UNIT, _fine, lambda keys: 3 * keys),
    spoil("adapters that all read the key", RANDOM, _fine, lambda keys: 0 * keys - np.eye(1, 32)),
    spoil(
        "one random turn for all adapters", INDEPENDENT, _fine, lambda keys: keys[:, :1] + 0 * keys
    ),
)


COMPUTE_PACKING = (least_overlap,)
COMPUTE_RANDOM = (energy, largest_library)

THEOREM: Theorem[Case, Answer] = Theorem.of(
    __name__, "interference angle", scale=lambda case: case.second.spectral_norm
)

PACKING: Theorem[Packed, Library] = Theorem.of(__name__, "packing floor", "_packing")

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    PACKING,
    Theorem.of(__name__, "random interference", "_random"),
)
