r"""Attention reach: the rank that leads a head's queries and keys to a wanted score form.

**Statement.** Updates of rank at most R lead h×d queries and keys of full row rank h exactly to a
score form N of rank at most h iff R is at least half the rank of N − W_Q'W_K, the rank of N on the
inputs that W_K ignores, and the rank of N' on those that W_Q ignores.

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
:math:`c \le R`. Then as many steps of the keys as :math:`c` lead to :math:`D = 0`. (Steps with
:math:`\rho_Q = 0` may cost the queries :math:`p \le h - \operatorname{rank} N` of their row rank.
The keys' subspace where :math:`\beta = 0` then has more than :math:`p` dimensions as long as
:math:`\rho_K > 0`, which suffices; afterwards full row rank is not used.) :math:`\square`

**What it tells someone who merges adapters.** To turn a head to inputs that it ignored costs a rank
for each direction, a change among those it reads half a rank. A sum of :math:`k` adapters of rank
:math:`R` has :math:`kR` for both.

**What it does not say.** How near updates get to a form that they do not reach: for that there is
the floor of ``thm:attention-budget``, of the same three ranks and the head's. Whether frozen
weights need full row rank: the proof uses it, but least squares found no exception in 180 random
heads of lower rank.

References
----------
Wedderburn, Lectures on Matrices, AMS (1934): lowering a rank by one. Zeng and Lee, arXiv:2310.17513
(2024): square weights.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    from_dense,
    orthonormal,
    with_spectrum,
)
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye, norm
from loratheory.theorems._theorem import Assumption, Control, Theorem
from loratheory.theorems.expressiveness import attention_budget
from loratheory.theorems.expressiveness.attention_budget import FULL, full_rows, ignored

SENSE = "lower"
SOURCE = "own; square weights: Zeng and Lee (2024)"
USES = ("thm:attention-budget",)

HEAD = "a score form of rank at most the head size"
ROUNDING = 1e-9  # relative: a singular value below it is not counted

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen queries and keys of a head, and the score form wanted of the adapted head."""

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]
    form: Float[Array, "d d"]

    @property
    def room(self) -> float:
        """Size below which a singular value of a form counts as rounding."""
        return ROUNDING * (norm(self.form) + norm(self.queries) * norm(self.keys))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw wanted forms that differ from QᵀK inside the row spaces, outside them, or both."""
    d = int(rng.integers(1, min(size, 6) + 1))
    h = int(rng.integers(1, d + 1))
    spectra = np.exp(rng.uniform(-0.5, 0.5, (2, h))).tolist()
    queries, keys = (with_spectrum(rng, h, d, sigma).dense() for sigma in spectra)
    inner, *outer = rng.integers(0, h + 1, 3).tolist()

    def _low(columns: int, rank: int) -> Array:
        return orthonormal(rng, h, rank) @ orthonormal(rng, columns, rank).T

    core = np.eye(h) + 0.7 * _low(h, inner)
    if rng.random() < 0.3:
        core = core * rng.integers(0, 2, h)
    left, right = (w + _low(d, rank) for w, rank in zip((queries, keys), outer, strict=True))
    factor = 10.0 ** int(rng.integers(-6, 7))
    return Case(queries, factor * keys, factor * left.T @ core @ right)


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


def bound(case: Case) -> float:
    """Return max(⌈c/2⌉, ρ_K, ρ_Q), the rank that the case's form asks of both updates."""
    change = case.form - case.queries.T @ case.keys
    beyond = (case.form @ ignored(case.keys), case.form.T @ ignored(case.queries))
    return float(rank_needed(*(_rank(matrix, case.room) for matrix in (change, *beyond))))


def _step(case: Case, rng: np.random.Generator) -> tuple[Array, Array] | None:
    """Return z and m of the proof's step to Q + z mᵀ; None where the queries have no step left."""
    xp, head = array_namespace(case.form), case.keys.shape[0]
    left, sigma, right = xp.linalg.svd(case.form - case.queries.T @ case.keys)
    c = int(xp.count_nonzero(sigma > case.room))
    columns, rows = left[:, :c], right[:c, :]
    sizes = [ROUNDING * norm(w) for w in (case.keys, case.queries)]
    z = _annihilated((case.keys @ right[c:, :].T).T, sizes[0])
    w = _annihilated((case.queries @ left[:, c:]).T, sizes[1])
    if c == 0 or z.shape[1] == 0:
        return None
    inverse = (rows.T / sigma[:c]) @ columns.T
    pairing = z.T @ (w + case.keys @ (inverse @ (case.queries.T @ w)))
    if beyond := _rank(case.form.T @ ignored(case.queries), case.room):
        kept = head - _rank(case.form, case.room) + beyond
        z = z @ xp.linalg.svd(pairing)[0][:, z.shape[1] - kept :]
    z = z @ xp.linalg.svd(z.T @ case.keys)[0][:, 0]  # the one that keys answer most
    x = inverse.T @ (case.keys.T @ z)
    noise = beside(x, rng.standard_normal(c))
    other = columns @ (noise / norm(noise))
    other = other - x * ((x @ other) / (x @ x))
    return z, x / (x @ x) + other / norm(x)


def attain(case: Case) -> Updates:
    """Return updates that lower the rank of N − QᵀK by one a step, first those of the queries."""
    xp, rng, updates = array_namespace(case.form), np.random.default_rng(0), []
    weights, form = [case.queries, case.keys], case.form
    for own, other in ((0, 1), (1, 0)):
        steps = []
        for _ in range(int(bound(case))):
            now = Case(weights[own], weights[other], form)
            if (step := _step(now, rng)) is None:
                break
            steps.append(step)
            weights[own] = weights[own] + step[0][:, None] * step[1][None, :]
        form = form.T
        up, down = weights[own][:, :0], weights[own][:0, :]
        updates.append(
            LowRank(
                xp.concat([up, *(z[:, None] for z, _ in steps)], axis=1),
                xp.concat([down, *(m[None, :] for _, m in steps)], axis=0),
            )
        )
    return tuple(updates)


def measure(case: Case, updates: Updates) -> float:
    """Return the larger rank of the two updates; infinity where they do not lead to the form N."""
    xp, frozen = array_namespace(case.form), (case.queries, case.keys)
    new = [weight + low.dense() for weight, low in zip(frozen, updates, strict=True)]
    if norm(new[0].T @ new[1] - case.form) > case.room:
        return np.inf
    return float(
        max(
            int(xp.count_nonzero(ROUNDING * norm(weight) < low.S))
            for weight, low in zip(frozen, updates, strict=True)
        )
    )


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """Return updates that replace queries and keys by two factors of the wanted form N."""
    head, size = len(case.keys), 10.0 ** int(rng.integers(-3, 2))
    best, one = from_dense(case.form, head), np.eye(head)
    basis = case.queries @ np.linalg.pinv(best.up.T) + size * orthonormal(rng, head, head)
    new = basis @ best.up.T, np.linalg.solve(basis.T, best.down)
    return LowRank(one, new[0] - case.queries), LowRank(one, new[1] - case.keys)


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Return updates of one rank less than the bound, fitted by alternating least squares."""
    less = max(int(bound(case)) - 1, 0)
    return attention_budget.adversary(
        attention_budget.Case(case.queries, case.keys, case.form, less), rng
    )


ASSUMPTIONS: tuple[Assumption[Case, Updates], ...] = (
    Assumption(HEAD, lambda case, _: _rank(case.form, case.room) <= case.keys.shape[0]),
    Assumption(
        FULL,
        lambda case, _: full_rows(case),
        unbroken="the proof needs it, whether the statement does is open",
    ),
)


def _too_rich() -> tuple[Case, Updates]:
    case = Case(np.eye(1, 2), np.eye(1, 2), np.eye(2))
    return case, tuple(LowRank(np.eye(1), np.eye(1, 2, k=1)) for _ in range(2))


CONTROLS = (Control("a form of rank 2 for a head of size 1", HEAD, _too_rich, fails="tight"),)

THEOREM: Theorem[Case, Updates] = Theorem.of(__name__)
