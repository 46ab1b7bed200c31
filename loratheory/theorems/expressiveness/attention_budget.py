r"""Attention budget: rank `R` on both factors of a score form; half the width is enough.

**Statement.** Updates of rank at most R of queries and keys leave a spectral error of the score
form of at least the (2R+1)st singular value of what was missing, the (h+1)st of the form wanted, h
the head size, and the (R+1)st of what that form does with inputs that W_K, or that W_Q, ignores.

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

**Corollary (half the width).** Some updates of rank at most R meet the floor of the score form if
both factors are square and invertible, or if R is at least the head size: square invertible ones
reach every form from half the width on.

Invertible factors are a linear network of two layers (``thm:depth-budget``), and
:math:`\sigma_{d+1} = 0`. If :math:`R \ge h`, replace both factors by :math:`U, V` with
:math:`U^\top V` the rank-:math:`h` truncation of :math:`T`; then :math:`\sigma_{2R+1}(T - M) \le
\sigma_{2h+1}(T - M) \le \sigma_{h+1}(T)` by Weyl, as are the others.

**Corollary (score-change rank).** Updates of ranks r_Q, r_K <= h of h×d queries and keys change the
score form by a matrix of rank at most min(r_Q + r_K, d), and some by one of just that rank if both
weights have full row rank h <= d.

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

**What it does not say.** For :math:`R < h < d` these ranks are all that keeps updates from a form
(``thm:attention-reach``), but no form may be nearest in all: from :math:`e_1 e_1^\top + e_2
e_2^\top` no updates of rank 1 come within the floor 2 of :math:`T = \operatorname{diag}(2, 4, 3)`.
To make it singular at this distance the error must be :math:`-2 e_1 e_1^\top + E`, :math:`\|E\| \le
2`, with :math:`E` on the other axes, and :math:`T - M` stays regular (a control). Between random
forms, :math:`d \le 8`, a search came within a hundredth of the floor in 41 of 48 draws. Equal
patterns need less than equal forms (``thm:attention-bottleneck``).

**What it tells someone who merges adapters.** The sum of :math:`k` adapters has the floor of rank
:math:`kR`, and nothing makes parts that were trained apart meet it. A transformer of the same
size is matched product by product, each at half the width; a narrow head pays a whole rank for each
input direction that it ignored.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense, gaussian, with_spectrum
from loratheory.shapes import Float
from loratheory.theorems._arrays import condition_number, eye, norm
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness import depth_budget
from loratheory.theorems.expressiveness._steering import inverses

SENSE = "lower"
SOURCE = "Zeng and Lee (2024); narrow heads: own"
USES = ("thm:depth-budget",)
UNSEEN = "met for certain only in the cases of its clause thm:half-the-width"

RANK = "rank(update) <= R of queries and of keys"
SQUARE = "square invertible factors, or R >= head size"
NOTHING = 1e-12  # of the largest: a singular value below it is zero

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen queries and keys of a head, the wanted score form, and the rank of each update."""

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]
    target: Float[Array, "d d"]
    rank: int

    @property
    def form(self) -> Array:
        """Score form of the frozen weights."""
        return self.queries.T @ self.keys

    @property
    def layers(self) -> depth_budget.Case:
        """The head as a linear network of two layers: the keys, then the transposed queries."""
        return depth_budget.Case((self.keys, self.queries.T), self.target, self.rank)


def draw(rng: np.random.Generator, size: int, least: int = 0) -> Case:
    """Draw square or narrow heads, and wanted forms that are near, a low rank away, or any.

    Narrow heads get a rank of at least `least`, or of the head size if that is less.
    """
    d = int(rng.integers(1, min(size, 8) + 1))
    h = d if rng.random() < 0.5 else int(rng.integers(1, d + 1))
    spectra = np.exp(rng.uniform(-0.5, 0.5, (2, h))).tolist()
    queries, keys = (with_spectrum(rng, h, d, sigma).dense() for sigma in spectra)
    keys = keys * 10.0 ** int(rng.integers(-6, 7))
    form, rank = queries.T @ keys, int(rng.integers(0 if h == d else min(least, h), d + 1))
    spread = float(np.linalg.norm(form)) / d
    far = spread * rng.standard_normal((d, d))
    low = gaussian(rng, d, d, int(rng.integers(0, d + 1)), spread).dense()
    return Case(queries, keys, (far, form + 1e-6 * far, form + low, low)[rng.integers(4)], rank)


def ignored(weight: Array) -> Array:
    """Return an orthonormal basis of the inputs that `weight` maps to zero, up to rounding."""
    xp = array_namespace(weight)
    _, sigma, rows = xp.linalg.svd(weight)
    return rows[int(xp.count_nonzero(sigma > NOTHING * xp.max(sigma))) :, :].T


def bound(case: Case) -> float:
    """Return the largest of the statement's four singular values, for the case's M, T, R and h."""
    xp, target, floors = array_namespace(case.target), case.target, [0.0]
    for matrix, first in (
        (target - case.form, 2 * case.rank),
        (target, case.keys.shape[0]),
        (target @ ignored(case.keys), case.rank),
        (target.T @ ignored(case.queries), case.rank),
    ):
        if first < min(matrix.shape):
            floors.append(float(xp.linalg.svdvals(matrix)[first]))
    return max(floors)


def paid(case: Case) -> Updates:
    """Return updates of rank R that meet the floor in the cases of the clause half the width.

    They treat the head as a linear network of two layers or, if R is at least h, replace both
    factors.
    """
    h, d = case.keys.shape
    if case.rank < h == d:
        down, up = depth_budget.attain(case.layers)
        return up.T, down
    best, one = from_dense(case.target, h), eye(case.target, h)
    return LowRank(one, best.up.T - case.queries), LowRank(one, best.down - case.keys)


def measure(case: Case, updates: Updates) -> float:
    """Return the spectral norm of (W_Q + Δ_Q)ᵀ(W_K + Δ_K) − T, T being the case's target."""
    queries, keys = case.queries + updates[0].dense(), case.keys + updates[1].dense()
    return float(array_namespace(keys).linalg.svdvals(queries.T @ keys - case.target)[0])


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """Return the updates of `paid` perturbed by 1e-12 to 1, or noise of that size alone."""
    nudge, keep = 10.0 ** int(rng.integers(-12, 1)), float(rng.integers(2))
    best = [(low.up[:, : case.rank], low.down[: case.rank, :]) for low in paid(case)]
    return tuple(LowRank(keep * u + nudge * rng.standard_normal(u.shape), v) for u, v in best)


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Return updates fitted by alternating least squares to the head as two linear layers."""
    size = float(np.linalg.norm(case.keys)) or 1.0
    network = depth_budget.Case((case.keys / size, case.queries.T), case.target / size, case.rank)
    keys, queries = depth_budget.adversary(network, rng)
    return queries.T, keys * size


def _worst(case: Any) -> float:
    return max(condition_number(case.queries), condition_number(case.keys))


def _attainable(case: Case) -> bool:
    h, d = case.keys.shape
    return case.rank >= h or (h == d and _worst(case) < 1e14)


ASSUMPTIONS = {RANK: lambda case, updates: max(low.width for low in updates) <= case.rank}


def _too_rich() -> tuple[Case, Updates]:
    one = np.eye(3)
    return Case(one, one, 2 * one, 1), (LowRank(one[:, :0], one[:0]), LowRank(one, one))


def _narrow() -> tuple[Case, Updates]:
    one, axis = np.eye(3), np.eye(2)
    case = Case(one[:2], one[:2], np.diag([2.0, 4.0, 3.0]), 1)
    return case, (LowRank(axis[:, :1], one[:1]), LowRank(axis[:, 1:], 3 * one[1:2]))


CONTROLS = (Control("spend rank 3 on the keys where 1 is allowed", RANK, _too_rich),)


# By which rank scores move


RANKS = "rank(update) <= r_Q for queries and <= r_K for keys"
FULL = "frozen weights of full row rank h <= d (to attain the bound)"
ROUNDING = 1e-11  # of the product of norms: a singular value below it is not counted


@dataclass(frozen=True, eq=False)
class Change:
    """Frozen queries and keys, and the largest rank of the update of each."""

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]
    ranks: tuple[int, int]


def draw_change(rng: np.random.Generator, size: int) -> Change:
    """Draw narrow or square heads of any size, and ranks r_Q and r_K from 0 to full."""
    d = int(rng.integers(1, size + 1))
    h = int(rng.integers(1, d + 1))
    spectra = 10.0 ** rng.integers(-6, 7, (2, 1)) * np.exp(rng.uniform(-0.5, 0.5, (2, h)))
    queries, keys = (with_spectrum(rng, h, d, sigma).dense() for sigma in spectra.tolist())
    first, second = rng.integers(0, h + 1, 2).tolist()
    return Change(queries, keys, (first, second))


def ranks_added(case: Change) -> float:
    """Return min(r_Q + r_K, d), the statement's largest rank of the change."""
    return float(min(sum(case.ranks), case.queries.shape[1]))


def _frames(factor: Array) -> tuple[Array, Array]:
    """Return square ``lower`` and orthogonal ``frame`` with ``factor == lower @ frame[:h]``."""
    q, r = array_namespace(factor).linalg.qr(factor.T, mode="complete")
    return r[: factor.shape[0], :].T, q.T


def in_new_directions(case: Change) -> Updates:
    """Return the proof's updates, which change the form by rank min(r_Q + r_K, d).

    They double a term of the form where one factor moves it, and use new directions where both do.
    """
    xp, (h, d) = array_namespace(case.keys), case.keys.shape
    # The form is a sum of terms s q k' in bases that turn both factors: see the proof.
    (lower_q, frame_q), (lower_k, frame_k) = _frames(case.queries), _frames(case.keys)
    left, _, right = xp.linalg.svd(lower_q.T @ lower_k)
    first, other = case.ranks[0], h - case.ranks[1]
    fresh = range(other, min(first, other + d - h))  # moved by both, while directions last
    updates = []
    for lower, turn, frame, moved in (
        (lower_q, left, frame_q, range(first)),
        (lower_k, right.T, frame_k, range(other, h)),
    ):
        basis = xp.concat([turn.T @ frame[:h, :], frame[h:, :]], axis=0)
        axes = [h + i - other if i in fresh else i for i in moved]
        rows = [basis[axis : axis + 1, :] for axis in axes]
        down = xp.concat([basis[:0, :], *rows], axis=0)
        updates.append(LowRank((lower @ turn)[:, moved.start : moved.stop], down))
    return tuple(updates)


def rank_of_change(case: Change, updates: Updates) -> float:
    """Return the rank of the score form's change, up to rounding, computed from its factors."""
    xp = array_namespace(case.keys)
    queries, keys = case.queries + updates[0].dense(), case.keys + updates[1].dense()
    size = norm(queries) * norm(keys) + norm(case.queries) * norm(case.keys)
    change = LowRank(queries.T, keys) - LowRank(case.queries.T, case.keys)
    return float(xp.count_nonzero(ROUNDING * size < change.S))


def other_updates(case: Change, rng: np.random.Generator) -> Updates:
    """Return random updates of the ranks r_Q and r_K, or ones near the construction."""
    nudge, keep = 10.0 ** int(rng.integers(-12, 1)), float(rng.integers(2))
    best, noise = [(low.up, low.down) for low in in_new_directions(case)], rng.standard_normal
    return tuple(
        LowRank(u * (keep + nudge * noise(u.shape)), keep * v + nudge * noise(v.shape))
        for u, v in best
    )


def _within(case: Change, updates: Updates) -> bool:
    return all(low.width <= rank for low, rank in zip(updates, case.ranks, strict=True))


def full_rows(case: Any) -> bool:
    """Return whether queries and keys have full row rank, up to rounding."""
    h, d = case.keys.shape
    return h <= d and _worst(case) < 1e10


_ONE = np.eye(3)
_AXES = tuple(LowRank(_ONE[:, i : i + 1], _ONE[i : i + 1]) for i in range(3))


def _two_adapters() -> tuple[Change, Updates]:
    return Change(_ONE, _ONE, (1, 0)), (_AXES[0] + _AXES[1], 0 * _AXES[2])


def _dead_head() -> tuple[Change, Updates]:
    return Change(0 * _ONE, 0 * _ONE, (1, 1)), (_AXES[0], _AXES[0])


THEOREM: Theorem[Case, Updates] = Theorem.of(
    __name__,
    scale=lambda case: depth_budget.scale(case.layers),
    condition=lambda case: inverses(case.layers.weights),
)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "half the width",
        draw=partial(draw, least=8),
        attain=paid,
        assumptions={**ASSUMPTIONS, SQUARE: lambda case, _: _attainable(case)},
        controls=(
            *CONTROLS,
            Control("half the width, rank below its size", SQUARE, _narrow, fails="tight"),
        ),
    ),
    THEOREM.clause(
        "score-change rank",
        sense="upper",
        draw=draw_change,
        bound=ranks_added,
        measure=rank_of_change,
        attain=in_new_directions,
        rival=other_updates,
        adversary=None,
        scale=lambda _: 1.0,
        condition=lambda _: 1.0,
        assumptions={RANKS: _within, FULL: lambda case, _: full_rows(case)},
        controls=(
            Control("load two adapters on the queries where one is allowed", RANKS, _two_adapters),
            Control("a head that is frozen at zero", FULL, _dead_head, fails="tight"),
        ),
    ),
)
