r"""Attention budget: rank `R` on both factors of a score form; half the width is enough.

**Statement.** Queries and keys of head size h get updates of rank at most R, and their score form
W_QᵀW_K is to match a target. The spectral error is at least each of three values. They are the
(2R+1)st singular value of the target minus the frozen form, the (h+1)st of the target, and the
(R+1)st of the target on inputs that W_K, or that W_Q, ignores.

Let :math:`W_Q, W_K \in \mathbb{R}^{h \times d}` be frozen with score form :math:`M = W_Q^\top
W_K`, :math:`P_Q, P_K` the projections onto their row spaces, and :math:`T` the form one wants.
Whatever updates of rank at most :math:`R` both get, the error :math:`\|(W_Q + \Delta_Q)^\top (W_K +
\Delta_K) - T\|_2` is at least

.. math::
    \max\bigl(\sigma_{2R+1}(T - M),\; \sigma_{h+1}(T),\; \sigma_{R+1}(T (I - P_K)),\;
    \sigma_{R+1}((I - P_Q) T)\bigr).

**Proof.** The new form :math:`N` has rank at most :math:`h`; it differs from :math:`M` by
:math:`\Delta_Q^\top (W_K + \Delta_K) + W_Q^\top \Delta_K`, of rank at most :math:`2R`; and :math:`N
(I - P_K) = (W_Q + \Delta_Q)^\top \Delta_K (I - P_K)` has rank at most :math:`R`, as has :math:`(I -
P_Q) N`. No projection enlarges the error; Eckart, Young, Mirsky. :math:`\square`

*Met* if both factors are square and invertible: they are a linear network of two layers
(``thm:depth-budget``), and :math:`\sigma_{d+1} = 0`, so that half the width reaches every form. Met
also if :math:`R \ge h`: replace both factors by :math:`U, V` with :math:`U^\top V` the
rank-:math:`h` truncation of :math:`T`; then :math:`\sigma_{2R+1}(T - M) \le \sigma_{2h+1}(T - M)
\le \sigma_{h+1}(T)` by Weyl, as are the others.

**Corollary (score-change rank).** Updates of ranks r_Q and r_K, both at most h, change h×d queries
and keys. The score form then changes by a matrix of rank at most min(r_Q + r_K, d). If both weights
have full row rank h <= d, some updates reach exactly this rank.

The change is :math:`\Delta_Q^\top (W_K + \Delta_K) + W_Q^\top \Delta_K`. *Attained,* by almost all
updates. With :math:`W_Q = L_Q P_Q`, :math:`W_K = L_K P_K`, orthonormal rows in the :math:`P`, and
:math:`L_Q^\top L_K = U S V^\top`, :math:`q = U^\top P_Q`, :math:`k = V^\top P_K`, the updates
:math:`L_Q U x` and :math:`L_K V y` turn the form :math:`\sum_i s_i q_i k_i^\top` into :math:`\sum_i
s_i (q_i + x_i) (k_i + y_i)^\top`. Let only the first :math:`r_Q` rows of :math:`x` and the last
:math:`r_K` of :math:`y` move. Where one does, put :math:`x_i = q_i` or :math:`y_i = k_i`: the term
doubles. Where both do, let them be new unit vectors orthogonal to all :math:`q` and :math:`k`, as
long as :math:`d - h` such last: the term changes by rank 2, as :math:`(q + x)(k + y)^\top - q
k^\top` has determinant :math:`-1` on those axes; after that :math:`q_i` and :math:`k_i` again: rank
1. Changes in orthogonal directions add their ranks. A minor not zero there is zero almost nowhere.

**Scope.** For :math:`R < h < d` these ranks alone decide which forms can be reached exactly
(``thm:attention-reach``). The floor itself need not be attained. From :math:`e_1 e_1^\top + e_2
e_2^\top`, for example, no updates of rank 1 come within the floor 2 of :math:`T =
\operatorname{diag}(2, 4, 3)`. To make :math:`T` singular at this distance the error must be
:math:`-2 e_1 e_1^\top + E`, :math:`\|E\| \le 2`, with :math:`E` on the other axes, and :math:`T -
M` stays regular. Between random forms with :math:`d \le 8`, a search came within a hundredth of the
floor in 41 of 48 draws. Equal attention patterns need less than equal forms.

**Implication.** A sum of :math:`k` adapters has the floor of rank :math:`kR`, but adapters that
were trained separately need not attain it. A transformer of the same size is matched product by
product, and each product needs half the width as rank. A narrow head needs a whole rank for each
input direction that it ignored.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).

============================================================

Attention reach: the rank that leads a head's queries and keys to a wanted score form.

**Statement.** Take h×d queries and keys of full row rank h, and a score form N of rank at most h.
Updates of rank at most R reach N exactly iff R is at least three numbers. They are half the rank of
N − W_QᵀW_K, the rank of N on the inputs that W_K ignores, and the rank of Nᵀ on the inputs that W_Q
ignores.

Let :math:`Q, K \in \mathbb{R}^{h \times d}` have full row rank, :math:`D = N - Q^\top K`, :math:`c
= \operatorname{rank} D`, and let :math:`\rho_K` be the rank of :math:`N` on :math:`\ker K` and
:math:`\rho_Q` that of :math:`N^\top` on :math:`\ker Q`. Then :math:`(Q + \Delta_Q)^\top (K +
\Delta_K) = N` for some updates of rank at most :math:`R`

.. math:: \text{iff}\quad \operatorname{rank} N \le h \quad\text{and}\quad
    R \ge \max\bigl(\lceil c/2 \rceil,\; \rho_K,\; \rho_Q\bigr).

**Proof.** *Needed:* :math:`D = \Delta_Q^\top (K + \Delta_K) + Q^\top \Delta_K` has rank at most
:math:`2R`, and on :math:`\ker K` :math:`N` is :math:`(Q + \Delta_Q)^\top \Delta_K`; likewise for
:math:`\ker Q`.

*Enough:* pay one rank at a time. A *step* replaces :math:`Q` by :math:`Q + z m^\top`, which leaves
:math:`\rho_K` as it is. Let :math:`\mathcal Z` hold the :math:`z` with :math:`z^\top K` in the row
space of :math:`D`, and :math:`\mathcal W` the :math:`w` with :math:`Q^\top w` in its column space.
As :math:`N = D` on :math:`\ker K` and on :math:`\ker Q`, the dimensions are :math:`c - \rho_K` and
:math:`c - \rho_Q`. The matrix of rows :math:`(I, K)` and :math:`(-Q^\top, D)` has rank :math:`h +
\operatorname{rank} N` by the Schur complement of :math:`I`; by that of :math:`D` it has rank
:math:`c + (h - c + \rho_K) + (h - c + \rho_Q) + \operatorname{rank} \beta` with :math:`\beta(z, w)
= z^\top (I + K D^+ Q^\top) w` on :math:`\mathcal Z \times \mathcal W`. Hence :math:`\beta(z, \cdot)
= 0` on a subspace of :math:`\mathcal Z` of dimension :math:`h - \operatorname{rank} N + \rho_Q`.

If :math:`\rho_Q > 0` take :math:`z \ne 0` from that subspace, otherwise any with :math:`z^\top K
\ne 0` in :math:`\mathcal Z`; write :math:`z^\top K = x^\top D` with :math:`x` in the column space
of :math:`D`, and take :math:`m` there too, with :math:`x^\top m = 1` and otherwise generic. The new
difference :math:`D - m x^\top D` has rank :math:`c - 1`, and its column space is that of :math:`D`
where :math:`x^\top v = 0` (Wedderburn). For :math:`v = Q^\top w` in the column space of :math:`D`
with :math:`\beta(z, w) = z^\top w + x^\top v = 0`, the vector :math:`(Q + z m^\top)^\top w = v -
(x^\top v) m` is in both the new column space and the new row space of the queries. Such vectors
fill :math:`c - \rho_Q` dimensions if :math:`\rho_Q > 0`, as :math:`m` is no row of the queries
then, and :math:`c - 1` if :math:`\rho_Q = 0`: either :math:`\beta(z, \cdot) \ne 0` costs one, or
the multiple of :math:`m`. So a step lowers :math:`\rho_Q` by one with :math:`c`, or leaves it at 0.
Up to :math:`R` steps of the queries, as long as :math:`c > \rho_K`, leave :math:`\rho_Q = 0` and
:math:`c \le R`. Then :math:`D^\top = N^\top - K^\top Q` vanishes on :math:`\ker Q`, as
:math:`N^\top` does, so :math:`D = Q^\top Y` with :math:`Y` of rank :math:`c`: add it to the keys.
:math:`\square`

**Implication.** A head needs one rank for each new direction among the inputs that it ignored, and
half a rank for each among the inputs that it reads. A sum of :math:`k` adapters of rank :math:`R`
has the rank :math:`kR` for both.

**Scope.** The theorem does not say how near updates come to a form that they do not reach. For that
``thm:attention-budget`` gives a floor, from the same three ranks and the head size. Without full
row rank, some forms can be approached by ever larger updates of this rank, but not reached.

References
----------
Wedderburn, Lectures on Matrices, AMS (1934): lowering a rank by one. Zeng and Lee, arXiv:2310.17513
(2024): square weights.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense, gaussian, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, condition_number, disturb, eye, norm, spectral_norm
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness import depth_budget
from loratheory.theorems.expressiveness._steering import inverses
from loratheory.toy import AttentionHead

SENSE = "lower"
SOURCE = "Zeng and Lee (2024); narrow heads: own"
USES = ("thm:depth-budget",)
UNSEEN = "met for certain only by square factors or where R reaches the head size"

RANK = "rank(update) <= R of queries and of keys"
NOTHING = 1e-12  # of the largest: a singular value below it is zero

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case(AttentionHead):
    """A frozen head, the score form that is wanted of it, and the rank of each update."""

    target: Float[Array, "d d"]
    rank: int

    @property
    def layers(self) -> depth_budget.Case:
        """The head as a linear network of two layers: the keys, then the transposed queries."""
        return depth_budget.Case((self.keys, self.queries.T), self.target, self.rank)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw square or narrow heads, and wanted forms that are near, a low rank away, or any."""
    d = int(rng.integers(1, min(size, 8) + 1))
    h = d if rng.random() < 0.5 else int(rng.integers(1, d + 1))
    queries, keys = _frozen(rng, h, d)
    # one factor carries the size: the form has it too
    keys = keys * 10.0 ** int(rng.integers(-6, 7))
    form, rank = queries.T @ keys, int(rng.integers(0, d + 1))
    spread = float(np.linalg.norm(form)) / d
    far = spread * rng.standard_normal((d, d))
    low = gaussian(rng, d, d, int(rng.integers(0, d + 1)), spread).dense()
    return Case(queries, keys, (far, form + 1e-6 * far, form + low, low)[rng.integers(4)], rank)


def _frozen(rng: np.random.Generator, h: int, d: int) -> list[Array]:
    spectra = np.exp(rng.uniform(-0.5, 0.5, (2, h)))
    return [(orthonormal(rng, h, h) * sigma) @ orthonormal(rng, d, h).T for sigma in spectra]


def ignored(weight: Array) -> Array:
    """Return an orthonormal basis of the inputs that `weight` maps to zero, up to rounding."""
    return _annihilated(weight, NOTHING * spectral_norm(weight))


def bound(case: Case) -> float:
    """Return the largest of the statement's four singular values, for the case's M, T, R and h."""
    target, floors = case.target, [0.0]
    # each bounds the form by a rank: of the change, of the head, of ignored inputs
    for matrix, first in (
        (target - case.form, 2 * case.rank),
        (target, case.keys.shape[0]),
        (target @ ignored(case.keys), case.rank),
        (target.T @ ignored(case.queries), case.rank),
    ):
        if first < min(matrix.shape):
            floors.append(float(array_namespace(matrix).linalg.svdvals(matrix)[first]))
    return max(floors)


def attain_square(case: Case) -> Updates:
    """Return updates of rank R that meet the floor of square factors, and wherever R is at least h.

    They treat the head as a linear network of two layers or, if R is at least h, replace both
    factors.
    """
    h, d = case.keys.shape
    # square factors can be steered as two linear layers; else both are replaced
    if case.rank < h == d:
        down, up = depth_budget.attain(case.layers)
        return up.T, down
    best, one = from_dense(case.target, h), eye(case.target, h)
    return LowRank(one, best.up.T - case.queries), LowRank(one, best.down - case.keys)


def measure(case: Case, updates: Updates) -> float:
    """Return the spectral norm of (W_Q + Δ_Q)ᵀ(W_K + Δ_K) − T, T being the case's target."""
    return spectral_norm(case.adapted(*updates).form - case.target)


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """Return the construction cut to rank R and perturbed by 1e-12 to 1, or noise of that size."""
    r = case.rank
    # the factors are cut to the rank that is allowed, then disturbed
    cut = [LowRank(low.up[:, :r], low.down[:r, :]) for low in attain_square(case)]
    return disturb(rng, cut)


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Return updates fitted by alternating least squares to the head as two linear layers."""
    # least squares is done at unit size, where its own tolerances fit
    size = float(np.linalg.norm(case.keys)) or 1.0
    network = depth_budget.Case((case.keys / size, case.queries.T), case.target / size, case.rank)
    keys, queries = depth_budget.adversary(network, rng)
    return queries.T, keys * size


ASSUMPTIONS = {RANK: lambda case, updates: max(low.width for low in updates) <= case.rank}


def _too_rich() -> tuple[Case, Updates]:
    one = np.eye(3)
    return Case(one, one, 2 * one, 1), (LowRank(one[:, :0], one[:0]), LowRank(one, one))


CONTROLS = (Control("spend rank 3 on the keys where 1 is allowed", RANK, _too_rich),)

# By which rank scores move


SENSE_CHANGE = "upper"

RANKS = "rank(update) <= r_Q for queries and <= r_K for keys"
FULL = "frozen weights of full row rank h <= d (to attain the bound)"
ROUNDING = 1e-11  # of the product of norms: a singular value below it is not counted


@dataclass(frozen=True, eq=False)
class Change(AttentionHead):
    """A frozen head, and the largest rank of the update of its queries and of its keys."""

    ranks: tuple[int, int]


def draw_change(rng: np.random.Generator, size: int) -> Change:
    """Draw narrow or square heads of any size, and ranks r_Q and r_K from 0 to full."""
    d = int(rng.integers(1, size + 1))
    h = int(rng.integers(1, d + 1))
    sizes, (first, second) = 10.0 ** rng.integers(-6, 7, 2), rng.integers(0, h + 1, 2).tolist()
    queries, keys = _frozen(rng, h, d)
    return Change(sizes[0] * queries, sizes[1] * keys, (first, second))


def bound_change(case: Change) -> float:
    """Return min(r_Q + r_K, d), the statement's largest rank of the change."""
    return float(min(sum(case.ranks), case.queries.shape[1]))


def attain_change(case: Change) -> Updates:
    """Return updates with random factors, almost all of which change the form by that rank."""
    rng, updates, (h, d) = np.random.default_rng(0), [], case.keys.shape
    for weight, rank in zip((case.queries, case.keys), case.ranks, strict=True):
        # as large as the weight, so that neither part of the change is lost in rounding
        low = gaussian(rng, h, d, rank, spectral_norm(weight))
        updates.append(low.map(partial(beside, weight)))
    return tuple(updates)


def measure_change(case: Change, updates: Updates) -> float:
    """Return the rank of the score form's change, up to rounding, computed from its factors."""
    xp = array_namespace(case.keys)
    queries, keys = case.queries + updates[0].dense(), case.keys + updates[1].dense()
    # rounding is that of both products that are subtracted
    size = norm(queries) * norm(keys) + norm(case.queries) * norm(case.keys)
    change = LowRank(queries.T, keys) - LowRank(case.queries.T, case.keys)
    return float(xp.count_nonzero(ROUNDING * size < change.S))


def rival_change(case: Change, rng: np.random.Generator) -> Updates:
    """Return random updates of the ranks r_Q and r_K, or ones near the construction."""
    return disturb(rng, attain_change(case))


def _within(case: Change, updates: Updates) -> bool:
    return all(low.width <= rank for low, rank in zip(updates, case.ranks, strict=True))


def full_rows(case: Any) -> bool:
    """Return whether queries and keys have full row rank, up to rounding."""
    h, d = case.keys.shape
    return h <= d and max(map(condition_number, (case.queries, case.keys))) < 1e10


_ONE = np.eye(3)
_AXES = tuple(LowRank(_ONE[:, i : i + 1], _ONE[i : i + 1]) for i in range(3))


_TWO = (Change(_ONE, _ONE, (1, 0)), (_AXES[0] + _AXES[1], 0 * _AXES[2]))
_DEAD = (Change(0 * _ONE, 0 * _ONE, (1, 1)), (_AXES[0], _AXES[0]))

ASSUMPTIONS_CHANGE = {RANKS: _within, FULL: lambda case, _: full_rows(case)}

CONTROLS_CHANGE = (
    Control("load two adapters on the queries where one is allowed", RANKS, lambda: _TWO),
    Control("a head that is frozen at zero", FULL, lambda: _DEAD, fails="tight"),
)


# The rank that reaches a wanted form exactly

SENSE_REACH = "lower"
SOURCE_REACH = "own; square weights: Zeng and Lee (2024)"
USES_REACH = ("thm:attention-budget",)

HEAD = "a score form of rank at most the head size"
ROUNDING_REACH = 1e-9  # relative: a singular value below it is not counted


@dataclass(frozen=True, eq=False)
class Reached(AttentionHead):
    """A frozen head, and the score form that is wanted of the adapted head."""

    wanted: Float[Array, "d d"]

    @property
    def room(self) -> float:
        """Size below which a singular value of a form counts as rounding."""
        return ROUNDING_REACH * (norm(self.wanted) + norm(self.queries) * norm(self.keys))


def draw_reach(rng: np.random.Generator, size: int) -> Reached:
    """Draw wanted forms that differ from QᵀK inside the row spaces, outside them, or both."""
    d = int(rng.integers(1, min(size, 6) + 1))
    h = int(rng.integers(1, d + 1))
    queries, keys = _frozen(rng, h, d)
    inner, *outer = rng.integers(0, h + 1, 3).tolist()

    def _low(columns: int, rank: int) -> Array:
        return orthonormal(rng, h, rank) @ orthonormal(rng, columns, rank).T

    # the wanted form differs from the frozen one inside the row spaces by this core
    core = np.eye(h) + 0.7 * _low(h, inner)
    if rng.random() < 0.3:
        core = core * rng.integers(0, 2, h)
    left, right = (w + _low(d, rank) for w, rank in zip((queries, keys), outer, strict=True))
    factor = 10.0 ** int(rng.integers(-6, 7))
    return Reached(queries, factor * keys, factor * left.T @ core @ right)


def _rank(matrix: Array, room: float) -> int:
    xp = array_namespace(matrix)
    return int(xp.count_nonzero(xp.linalg.svdvals(matrix) > room)) if 0 not in matrix.shape else 0


def _annihilated(matrix: Array, room: float) -> Array:
    """Return an orthonormal basis of the kernel; singular values below `room` count as zero."""
    xp = array_namespace(matrix)
    if 0 in matrix.shape:
        return eye(matrix, matrix.shape[1])
    return xp.linalg.svd(matrix)[2][_rank(matrix, room) :, :].T


def rank_needed(change: int, keys: int, queries: int) -> int:
    """Return max(⌈c/2⌉, ρ_K, ρ_Q), `change` being c, `keys` ρ_K and `queries` ρ_Q."""
    return max((change + 1) // 2, keys, queries)


def bound_reach(case: Reached) -> float:
    """Return max(⌈c/2⌉, ρ_K, ρ_Q), the rank that the case's form asks of both updates."""
    change = case.wanted - case.form
    # what the form reads where a frozen factor reads nothing must come from its update
    beyond = (case.wanted @ ignored(case.keys), case.wanted.T @ ignored(case.queries))
    return float(rank_needed(*(_rank(matrix, case.room) for matrix in (change, *beyond))))


def _step(case: Reached, rng: np.random.Generator) -> tuple[Array, Array] | None:
    """Return z and m of the proof's step to Q + z mᵀ; None where the queries have no step left."""
    xp, head = array_namespace(case.wanted), case.keys.shape[0]
    left, sigma, right = xp.linalg.svd(case.wanted - case.form)
    c = int(xp.count_nonzero(sigma > case.room))
    columns, rows = left[:, :c], right[:c, :]
    sizes = [ROUNDING_REACH * norm(w) for w in (case.keys, case.queries)]
    z = _annihilated((case.keys @ right[c:, :].T).T, sizes[0])
    w = _annihilated((case.queries @ left[:, c:]).T, sizes[1])
    if c == 0 or z.shape[1] == 0:
        return None
    inverse = (rows.T / sigma[:c]) @ columns.T
    pairing = z.T @ (w + case.keys @ (inverse @ (case.queries.T @ w)))
    if beyond := _rank(case.wanted.T @ ignored(case.queries), case.room):
        kept = head - _rank(case.wanted, case.room) + beyond
        z = z @ xp.linalg.svd(pairing)[0][:, z.shape[1] - kept :]
    z = z @ xp.linalg.svd(z.T @ case.keys)[0][:, 0]  # the one that keys answer most
    x = inverse.T @ (case.keys.T @ z)
    noise = beside(x, rng.standard_normal(c))
    other = columns @ (noise / norm(noise))
    other = other - x * ((x @ other) / (x @ x))
    return z, x / (x @ x) + other / norm(x)


def attain_reach(case: Reached) -> Updates:
    """Return the proof's updates: the queries' lower the rank of N − QᵀK, the keys' ends it."""
    rng, now = np.random.default_rng(0), case
    first = LowRank(case.queries[:, :0], case.queries[:0, :])
    for _ in range(int(bound_reach(case))):
        if (step := _step(now, rng)) is None:
            break
        first = first + LowRank(step[0][:, None], step[1][None, :])
        now = replace(case, queries=case.queries + first.dense())
    missing = case.wanted - now.form
    # its columns lie in the row space of the queries by now
    inverse = array_namespace(missing).linalg.pinv(now.queries.T, rtol=ROUNDING_REACH)
    return first, from_dense(inverse @ missing, _rank(missing, case.room))


def measure_reach(case: Reached, updates: Updates) -> float:
    """Return the larger rank of the two updates; infinity where they do not lead to the form N."""
    new, ranks = [], []
    for weight, low in zip((case.queries, case.keys), updates, strict=True):
        new.append(weight + low.dense())
        ranks.append(_rank(low.dense(), ROUNDING_REACH * norm(weight)))
    # an update that does not lead to the wanted form counts as no answer
    missed = norm(new[0].T @ new[1] - case.wanted) > case.room
    return np.inf if missed else float(max(ranks))


def rival_reach(case: Reached, rng: np.random.Generator) -> Updates:
    """Return updates that replace queries and keys by two factors of the wanted form N."""
    head, size = len(case.keys), 10.0 ** int(rng.integers(-3, 2))
    best, one = from_dense(case.wanted, head), np.eye(head)
    # the head basis nearest to the frozen queries, or one far from it
    basis = case.queries @ np.linalg.pinv(best.up.T) + size * orthonormal(rng, head, head)
    new = basis @ best.up.T, np.linalg.solve(basis.T, best.down)
    return LowRank(one, new[0] - case.queries), LowRank(one, new[1] - case.keys)


def adversary_reach(case: Reached, rng: np.random.Generator) -> Updates:
    """Return updates of one rank less than the bound, fitted by alternating least squares."""
    less = max(int(bound_reach(case)) - 1, 0)
    return adversary(Case(case.queries, case.keys, case.wanted, less), rng)


ASSUMPTIONS_REACH = {
    HEAD: lambda case, _: _rank(case.wanted, case.room) <= case.keys.shape[0],
    FULL: lambda case, _: full_rows(case),
}


def _too_rich_reach() -> tuple[Reached, Updates]:
    case = Reached(np.eye(1, 2), np.eye(1, 2), np.eye(2))
    return case, (LowRank(np.eye(1), np.eye(1, 2, k=1)),) * 2


def _lost_row() -> tuple[Reached, Updates]:
    # rank 1 of both only comes near this form: it would need infinite entries
    wanted = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    case = Reached(np.diag([1.0, 0.0, 0.0])[:2], np.eye(2, 3), wanted)
    return case, attain_reach(case)


CONTROLS_REACH = (
    Control("a form of rank 2 for a head of size 1", HEAD, _too_rich_reach, fails="tight"),
    Control("queries with an empty row", FULL, _lost_row, fails="tight"),
)


COMPUTE_REACH = (rank_needed,)

THEOREM: Theorem[Case, Updates] = Theorem.of(
    __name__,
    scale=lambda case: depth_budget.scale(case.layers),
    condition=lambda case: inverses(case.layers.weights),
)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("score-change rank", "_change"),
    Theorem.of(__name__, "attention reach", "_reach"),
)
