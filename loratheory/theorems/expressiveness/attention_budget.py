r"""Attention budget: rank `R` on both factors of a score form; half the width is enough.

**Statement.** Query and key weights of head size h, with score form M = W_QᵀW_K, get updates of
rank at most R. Let T be the form that is wanted, T_K this form on the inputs that W_K ignores, and
T_Q its transpose on those that W_Q ignores. The spectral error of the form is at least
max(σ_{2R+1}(T − M), σ_{h+1}(T), σ_{R+1}(T_K), σ_{R+1}(T_Q)).

Let :math:`W_Q, W_K \in \mathbb{R}^{h \times d}` be frozen, with score form :math:`M = W_Q^\top
W_K`. Let :math:`P_Q` and :math:`P_K` project onto their row spaces, and let :math:`T` be the target
form. For all updates of rank at most :math:`R`, the error :math:`\|(W_Q + \Delta_Q)^\top (W_K +
\Delta_K) - T\|_2` is at least

.. math::
    \max\bigl(\sigma_{2R+1}(T - M),\; \sigma_{h+1}(T),\; \sigma_{R+1}(T (I - P_K)),\;
    \sigma_{R+1}((I - P_Q) T)\bigr).

**Proof.** We use the theorem of Eckart, Young and Mirsky: a matrix of rank at most :math:`q` has a
spectral distance of at least :math:`\sigma_{q+1}(Z)` from a matrix :math:`Z`. The new form
:math:`N` has rank at most :math:`h`. It differs from :math:`M` by :math:`\Delta_Q^\top (W_K +
\Delta_K) + W_Q^\top \Delta_K`, which has rank at most :math:`2R`. This gives the first two values.
Further, :math:`N (I - P_K) = (W_Q + \Delta_Q)^\top \Delta_K (I - P_K)` has rank at most :math:`R`,
and so has :math:`(I - P_Q) N`. A projection does not enlarge the error, which gives the last two
values. :math:`\square`

**Corollary (attained budget).** Let both weights be square and invertible, or let R ≥ h, or let the
wanted change of the form be zero on all inputs that W_K reads, or on all that W_Q reads. In the
last case let both weights have full row rank, and let the target have rank at most h. Then some
updates of rank at most R meet the attention budget.

Square and invertible weights are a linear network of two layers, and ``thm:depth-budget`` attains
the bound. As :math:`\sigma_{d+1} = 0`, half the width as rank reaches every form. If :math:`R \ge
h`, replace both weights by :math:`U` and :math:`V`, where :math:`U^\top V` is the rank-:math:`h`
truncation of :math:`T`. The error is then :math:`\sigma_{h+1}(T)`, and no other value is larger.
For the first value this is :math:`\sigma_{2R+1}(T - M) \le \sigma_{2h+1}(T - M) \le
\sigma_{h+1}(T)`, by Weyl. In the last case let :math:`(T - M) P_K = 0`. Then :math:`T P_K = M` has
rank :math:`h`, so that the column space of :math:`T` is that of :math:`W_Q^\top`. Hence :math:`T -
M = W_Q^\top Y`, and updating the keys alone truncates this matrix to rank :math:`R`. The error is
:math:`\sigma_{R+1}(T - M)`, which is the third value. If :math:`P_Q (T - M) = 0`, update the
queries.

**Corollary (score-change rank).** Query and key weights of shape h × d get updates of ranks r_Q and
r_K, both at most h. The score form then changes by a matrix of rank at most min(r_Q + r_K, d). If
both weights have full row rank h ≤ d, some updates reach exactly this rank.

The change is :math:`\Delta_Q^\top (W_K + \Delta_K) + W_Q^\top \Delta_K`, which gives the bound.
*Attained,* by almost all updates. Write :math:`W_Q = L_Q P_Q` and :math:`W_K = L_K P_K`, where
:math:`P_Q` and :math:`P_K` now are matrices with :math:`h` orthonormal rows. Let :math:`L_Q^\top
L_K = U S V^\top` be a singular value decomposition, :math:`q = U^\top P_Q` and :math:`k = V^\top
P_K`. The updates :math:`L_Q U x` and :math:`L_K V y` turn the form :math:`\sum_i s_i q_i k_i^\top`
into :math:`\sum_i s_i (q_i + x_i) (k_i + y_i)^\top`. Let only the first :math:`r_Q` rows of
:math:`x` and the last :math:`r_K` rows of :math:`y` be nonzero. Where only :math:`x_i` is, put
:math:`x_i = q_i`. Where only :math:`y_i` is, put :math:`y_i = k_i`. The term then doubles, a change
of rank 1. Where both are nonzero, take for :math:`x_i` a new unit vector orthogonal to all
:math:`q`, and for :math:`y_i` one orthogonal to all :math:`k`. There are :math:`d - h` of each. The
term then changes by rank 2, as :math:`(q + x)(k + y)^\top - q k^\top` has determinant :math:`-1` on
the axes :math:`q, x` and :math:`k, y`. Once these vectors are used up, put :math:`x_i = q_i` and
:math:`y_i = k_i`, a change of rank 1. The changes of different terms lie in orthogonal directions,
so their ranks add up. For these updates some minor of that size is not zero. It is a polynomial in
the entries of the updates' factors, so it is zero almost nowhere.

**Scope.** For :math:`R < h < d` the ranks of the four matrices in the bound decide alone which
forms can be reached exactly (``thm:attention-reach``). The floor itself need not be attained. For
example, no updates of rank 1 bring :math:`M = e_1 e_1^\top + e_2 e_2^\top` within the floor 2 of
:math:`T = \operatorname{diag}(2, 4, 3)`. Suppose that a singular form :math:`N` is at this distance
from :math:`T`. Then :math:`N - T = -2 e_1 e_1^\top + E`, where :math:`\|E\| \le 2` and :math:`E`
acts on the other two axes. So :math:`N - M` has rank 3, and updates of rank 1 allow rank 2. For
random frozen and target forms with :math:`d \le 8`, a search came within a hundredth of the floor
in 41 of 48 draws. To make attention patterns equal takes less than to make score forms equal.

**Implication.** A sum of :math:`k` adapters has the floor of rank :math:`kR`, but adapters that
were trained separately need not attain it. One transformer can be matched to another of the same
size product by product, and each product needs half the width as rank. A narrow head needs a whole
rank for each input direction that it ignored.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).

============================================================

Attention reach: the ranks that lead a head's queries and keys to a wanted score form.

**Statement.** Let query and key weights of shape h × d have full row rank h, and let N be a score
form of rank at most h. Let N − W_QᵀW_K have rank c, let N have rank ρ_K on the inputs that W_K
ignores, and let Nᵀ have rank ρ_Q on those that W_Q ignores. Updates of ranks at most R_Q and R_K
reach N exactly iff R_Q ≥ ρ_Q, R_K ≥ ρ_K and R_Q + R_K ≥ c.

Let :math:`Q, K \in \mathbb{R}^{h \times d}` have full row rank. Let :math:`D = N - Q^\top K` have
rank :math:`c`. Let :math:`\rho_K` be the rank of :math:`N` on :math:`\ker K`, and :math:`\rho_Q`
that of :math:`N^\top` on :math:`\ker Q`. Then :math:`(Q + \Delta_Q)^\top (K + \Delta_K) = N` for
some updates of ranks at most :math:`R_Q` and :math:`R_K`

.. math:: \text{iff}\quad \operatorname{rank} N \le h, \quad R_Q \ge \rho_Q, \quad
    R_K \ge \rho_K \quad\text{and}\quad R_Q + R_K \ge c.

With equal ranks this is :math:`R \ge \max(\lceil c/2 \rceil, \rho_K, \rho_Q)`. If the queries
may have :math:`s` more, the keys need :math:`\max(\lceil (c - s)/2 \rceil, \rho_K, \rho_Q - s)`.

**Proof.** *Needed.* A product of factors with :math:`h` rows has rank at most :math:`h`. The matrix
:math:`D = \Delta_Q^\top (K + \Delta_K) + Q^\top \Delta_K` has rank at most :math:`R_Q + R_K`. On
:math:`\ker K`, :math:`N` equals :math:`(Q + \Delta_Q)^\top \Delta_K`, so :math:`\rho_K \le R_K`.
Likewise :math:`\rho_Q \le R_Q`.

*Enough.* We lower :math:`c` by one rank at a time. A *step* replaces :math:`Q` by :math:`Q + z
m^\top`. It leaves :math:`\rho_K` as it is. Let :math:`\mathcal Z` be the space of all :math:`z` for
which :math:`z^\top K` is in the row space of :math:`D`. Let :math:`\mathcal W` be the space of all
:math:`w` for which :math:`Q^\top w` is in the column space of :math:`D`. As :math:`N = D` on
:math:`\ker K` and :math:`N^\top = D^\top` on :math:`\ker Q`, their dimensions are :math:`c -
\rho_K` and :math:`c - \rho_Q`. Count the rank of the matrix of block rows :math:`(I, K)` and
:math:`(-Q^\top, D)` in two ways. By the Schur complement of :math:`I` it is :math:`h +
\operatorname{rank} N`. By that of :math:`D` it is :math:`c + (h - c + \rho_K) + (h - c + \rho_Q) +
\operatorname{rank} \beta`, where :math:`\beta(z, w) = z^\top (I + K D^+ Q^\top) w` on
:math:`\mathcal Z \times \mathcal W`. Hence :math:`\beta(z, \cdot) = 0` for all :math:`z` in a
subspace :math:`\mathcal Z_0` of :math:`\mathcal Z` of dimension :math:`h - \operatorname{rank} N +
\rho_Q`.

*One step.* If :math:`\rho_Q > 0`, take :math:`z \ne 0` from :math:`\mathcal Z_0`. Otherwise take
any :math:`z` of :math:`\mathcal Z` with :math:`z^\top K \ne 0`. Write :math:`z^\top K = x^\top D`
with :math:`x` in the column space of :math:`D`. Take :math:`m` from that space too, with
:math:`x^\top m = 1` and otherwise generic. The new difference :math:`D - m x^\top D` has rank
:math:`c - 1` (Wedderburn). Its column space consists of those :math:`v` in the column space of
:math:`D` for which :math:`x^\top v = 0`. Now let :math:`v = Q^\top w` be in the column space of
:math:`D`, with :math:`\beta(z, w) = z^\top w + x^\top v = 0`. Then :math:`(Q + z m^\top)^\top w = v
- (x^\top v) m` is in the new column space, and in the row space of the new queries. We count the
dimensions that such vectors fill. If :math:`\rho_Q > 0`, they fill :math:`c - \rho_Q` dimensions,
as a generic :math:`m` is not in the row space of :math:`Q`; the new queries keep full row rank. If
:math:`\rho_Q = 0`, they fill :math:`c - 1` dimensions, whatever the rank of :math:`Q`. One
dimension is lost to the condition :math:`\beta(z, w) = 0` or, if :math:`\beta(z, \cdot) = 0`,
because the multiples of :math:`m` are mapped to 0. So a step that lowers :math:`c` by one also
lowers :math:`\rho_Q` by one, or leaves it at 0.

*All steps.* Take steps until :math:`R_Q` of them are taken or :math:`c = \rho_K`. In both cases
:math:`c \le R_K` and :math:`\rho_Q = 0` at the end. In the second case this is because :math:`c =
\rho_K` means :math:`\mathcal Z = 0`, and :math:`\mathcal Z_0` has at least :math:`\rho_Q`
dimensions. With the new queries :math:`Q`, the matrix :math:`D^\top = N^\top - K^\top Q` vanishes
on :math:`\ker Q`, as :math:`N^\top` does there. So :math:`D = Q^\top Y` for some :math:`Y` of rank
:math:`c`. Adding :math:`Y` to the keys completes the updates. :math:`\square`

**Implication.** A head needs one rank for each new direction among the inputs that it ignored. It
needs half a rank for each new direction among the inputs that it reads. A sum of :math:`k` adapters
of rank :math:`R` has the rank :math:`kR` for queries and for keys.

**Scope.** The theorem does not say how near updates come to a form that they do not reach. For that
``thm:attention-budget`` gives a floor, from the same three ranks and the head size. Full row rank
is needed: without it, some forms can be approached by ever larger updates of these ranks, but not
reached (a control).

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
UNSEEN = "met for certain only in the three cases of thm:attained-budget"

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


def floors(case: Case) -> dict[str, float]:
    """Return the statement's four singular values by name; those beyond all ranks are left out."""
    target, found = case.target, {}
    # each bounds the form by a rank: of the change, of the head, of ignored inputs
    for name, matrix, first in (
        ("change", target - case.form, 2 * case.rank),
        ("head size", target, case.keys.shape[0]),
        ("keys", target @ ignored(case.keys), case.rank),
        ("queries", target.T @ ignored(case.queries), case.rank),
    ):
        if first < min(matrix.shape):
            found[name] = float(array_namespace(matrix).linalg.svdvals(matrix)[first])
    return found


def bound(case: Case) -> float:
    """Return the largest of the statement's four singular values, for the case's M, T, R and h."""
    return max(floors(case).values(), default=0.0)


def branch(case: Case) -> str:
    """Return the name of the largest of the four singular values."""
    found = floors(case)
    return max(found, key=lambda name: found[name], default="")


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


# Where the floor is met

ATTAINED = "one of the three cases of the statement (to attain the bound)"


def draw_square(rng: np.random.Generator, size: int) -> Case:
    """Draw square heads, ranks from h on, and targets that give other scores to ignored inputs."""
    d, kind = int(rng.integers(2, min(size, 8) + 1)), int(rng.integers(4))
    h = d if kind == 0 else int(rng.integers(1, d))
    queries, keys = _frozen(rng, h, d)
    keys = keys * 10.0 ** int(rng.integers(-6, 7))
    form = queries.T @ keys
    if kind < 2:
        rank = int(rng.integers(h * kind, d + 1))
        return Case(queries, keys, norm(form) / d * rng.standard_normal((d, d)), rank)
    # what one weight reads is combined with inputs that the other one ignores
    new = ignored((keys, queries)[kind - 2]) @ rng.standard_normal((d - h, h))
    change = queries.T @ new.T if kind == 2 else new @ keys
    target = form + change * (norm(form) / norm(change))
    return Case(queries, keys, target, int(rng.integers(0, h)))


def attain_square(case: Case) -> Updates:
    """Return updates of rank R that meet the floor in the three cases of the corollary.

    They treat a square head as a linear network of two layers or, if R is at least h, replace both
    weights. Otherwise they update one of the two.
    """
    (h, d), linalg = case.keys.shape, array_namespace(case.keys).linalg
    if case.rank < h == d:
        down, up = depth_budget.attain(case.layers)
        return up.T, down
    if case.rank >= h:
        best, one = from_dense(case.target, h), eye(case.target, h)
        return LowRank(one, best.up.T - case.queries), LowRank(one, best.down - case.keys)
    change, nothing = from_dense(case.target - case.form, case.rank), 0 * case.keys
    updates = [LowRank(nothing[:, :0], nothing[:0, :])] * 2
    # the weight that reads what the change combines with ignored inputs stays
    if norm(change @ ignored(case.keys)) > norm(change.T @ ignored(case.queries)):
        updates[1] = LowRank(linalg.pinv(case.queries.T) @ change.up, change.down)
    else:
        updates[0] = LowRank(linalg.pinv(case.keys.T) @ change.down.T, change.up.T)
    return tuple(updates)


def _attained(case: Case, _: Updates) -> bool:
    (h, d), change = case.keys.shape, case.target - case.form
    if case.rank >= h or not full_rows(case):
        return case.rank >= h
    ignores = norm(change @ ignored(case.keys)), norm(change.T @ ignored(case.queries))
    alone = max(ignores) >= (1 - NOTHING) * norm(change)
    return h == d or (alone and _rank(case.target, NOTHING * spectral_norm(case.target)) <= h)


def _three_axes() -> tuple[Case, Updates]:
    frozen = np.eye(2, 3)
    case = Case(frozen, frozen, np.diag([2.0, 4.0, 3.0]), 1)
    return case, adversary(case, np.random.default_rng(0))


ASSUMPTIONS_SQUARE = ASSUMPTIONS | {ATTAINED: _attained}
CONTROLS_SQUARE = (
    *CONTROLS,
    Control("other scores for all inputs", ATTAINED, _three_axes, "tight"),
)

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
    """A frozen head, and the score form that is wanted of the adapted head.

    The update of the queries may have a rank that is larger than that of the keys by `surplus`.
    """

    wanted: Float[Array, "d d"]
    surplus: int = 0

    @property
    def room(self) -> float:
        """Size below which a singular value of a form counts as rounding."""
        return ROUNDING_REACH * (norm(self.wanted) + norm(self.queries) * norm(self.keys))


def draw_reach(rng: np.random.Generator, size: int) -> Reached:
    """Draw wanted forms that differ from QᵀK inside the row spaces, outside them, or both."""
    d = int(rng.integers(2, min(size, 8) + 1))
    h = d if rng.random() < 0.1 else int(rng.integers(1, d))
    queries, keys = _frozen(rng, h, d)
    # the form changes most inside the row spaces, or on what queries or keys ignore
    ranks, most = (
        rng.integers(0, h + 1, 3) * (rng.random(3) < 0.2),
        int(rng.choice([0, 1, 1, 2, 2])),
    )
    ranks[most] = rng.integers(1, h + 1)
    inner, *outer = ranks.tolist()
    surplus = (0, -1, 1)[most] * int(rng.integers(0, 3))

    def _low(columns: int, rank: int) -> Array:
        return orthonormal(rng, h, rank) @ orthonormal(rng, columns, rank).T

    # the wanted form differs from the frozen one inside the row spaces by this core
    core = np.eye(h) + 0.7 * _low(h, inner)
    if rng.random() < 0.3:
        core = core * rng.integers(0, 2, h)
    left, right = (w + _low(d, rank) for w, rank in zip((queries, keys), outer, strict=True))
    factor = 10.0 ** int(rng.integers(-6, 7))
    return Reached(queries, factor * keys, factor * left.T @ core @ right, surplus)


def _rank(matrix: Array, room: float) -> int:
    xp = array_namespace(matrix)
    return int(xp.count_nonzero(xp.linalg.svdvals(matrix) > room)) if 0 not in matrix.shape else 0


def _annihilated(matrix: Array, room: float) -> Array:
    """Return an orthonormal basis of the kernel; singular values below `room` count as zero."""
    xp = array_namespace(matrix)
    if 0 in matrix.shape:
        return eye(matrix, matrix.shape[1])
    return xp.linalg.svd(matrix)[2][_rank(matrix, room) :, :].T


def rank_needed(change: int, keys: int, queries: int, surplus: int = 0) -> int:
    """Return the rank of both updates that leads weights of full row rank to a form of rank <= h.

    This is max(⌈(c − s)/2⌉, ρ_K, ρ_Q − s), where `change` is c, `keys` ρ_K and `queries` ρ_Q. The
    update of the queries may have a rank that is larger by s, the `surplus`.
    """
    return max((change - surplus + 1) // 2, keys, queries - surplus)


def _counts(case: Reached) -> tuple[int, int, int]:
    """Return c, ρ_K and ρ_Q of the statement."""
    change = _rank(case.wanted - case.form, case.room)
    # what the form reads where a frozen factor reads nothing must come from its update
    keys = _rank(case.wanted @ ignored(case.keys), case.room)
    return change, keys, _rank(case.wanted.T @ ignored(case.queries), case.room)


def bound_reach(case: Reached) -> float:
    """Return max(⌈(c − s)/2⌉, ρ_K, ρ_Q − s), the rank that the form asks of the keys' update."""
    return float(rank_needed(*_counts(case), case.surplus))


def branch_reach(case: Reached) -> str:
    """Return which of the three ranks is the largest."""
    change, keys, queries = _counts(case)
    ranks = {"change": (change - case.surplus + 1) // 2, "keys": keys}
    ranks["queries"] = queries - case.surplus
    return max(ranks, key=lambda name: ranks[name])


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
    for _ in range(int(bound_reach(case)) + case.surplus):
        if (step := _step(now, rng)) is None:
            break
        first = first + LowRank(step[0][:, None], step[1][None, :])
        now = replace(case, queries=case.queries + first.dense())
    missing = case.wanted - now.form
    # its columns lie in the row space of the queries by now
    inverse = array_namespace(missing).linalg.pinv(now.queries.T, rtol=ROUNDING_REACH)
    return first, from_dense(inverse @ missing, _rank(missing, case.room))


def measure_reach(case: Reached, updates: Updates) -> float:
    """Return the larger rank, less the surplus for the queries; infinity where N is not reached."""
    new, ranks = [], []
    for weight, low in zip((case.queries, case.keys), updates, strict=True):
        new.append(weight + low.dense())
        ranks.append(_rank(low.dense(), ROUNDING_REACH * norm(weight)))
    # an update that does not lead to the wanted form counts as no answer
    missed = norm(new[0].T @ new[1] - case.wanted) > case.room
    return np.inf if missed else float(max(ranks[0] - case.surplus, ranks[1]))


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
    less = max(int(bound_reach(case)) - 1 + min(case.surplus, 0), 0)
    return adversary(Case(case.queries, case.keys, case.wanted, less), rng)


ASSUMPTIONS_REACH = {
    HEAD: lambda case, _: _rank(case.wanted, case.room) <= case.keys.shape[0],
    FULL: lambda case, _: full_rows(case),
}


def _too_rich_reach() -> tuple[Reached, Updates]:
    case = Reached(np.eye(1, 2), np.eye(1, 2), np.eye(2))
    return case, (LowRank(np.eye(1), np.eye(1, 2, k=1)),) * 2


def _lost_row() -> tuple[Reached, Updates]:
    # updates of rank 1 come near this form, c being 2 and both ρ being 1, but grow without limit
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
    THEOREM.clause("attained budget", "_square"),
    THEOREM.clause("score-change rank", "_change"),
    Theorem.of(__name__, "attention reach", "_reach"),
)
