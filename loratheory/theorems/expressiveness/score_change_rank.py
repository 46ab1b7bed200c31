r"""Score change: the rank by which adapters of queries and keys move attention scores.

**Statement.** Updates of rank r_Q of the queries and r_K of the keys change the attention scores
by a matrix of rank at most min(r_Q + r_K, d), which almost all updates reach.

Let :math:`W_Q, W_K \in \mathbb{R}^{h \times d}` get updates of rank at most :math:`r_Q, r_K \le
h`. The score form moves by

.. math:: \operatorname{rank}\bigl((W_Q + \Delta_Q)^\top (W_K + \Delta_K) - W_Q^\top W_K\bigr)
    \;\le\; \min(r_Q + r_K,\; d),

and the scores :math:`X^\top M X` of any tokens by no more. If both weights have full row rank
:math:`h \le d`, some updates attain it; then almost all do.

**Proof.** The change is :math:`\Delta_Q^\top (W_K + \Delta_K) + W_Q^\top \Delta_K`, of rank at most
:math:`r_Q + r_K`. *Attained.* Write :math:`W_Q = L_Q P_Q`, :math:`W_K = L_K P_K` with orthonormal
rows in the :math:`P`, and :math:`L_Q^\top L_K = U S V^\top`. With :math:`q = U^\top P_Q` and
:math:`k = V^\top P_K` the form is :math:`\sum_i s_i q_i k_i^\top`, all :math:`s_i > 0`, and
:math:`\Delta_Q = L_Q U x`, :math:`\Delta_K = L_K V y` turn it into :math:`\sum_i s_i (q_i + x_i)
(k_i + y_i)^\top`. Let only the first :math:`r_Q` rows of :math:`x` and the last :math:`r_K` of
:math:`y` move. Where one does, put :math:`x_i = q_i` or :math:`y_i = k_i`: the term doubles. Where
both do, :math:`r_Q + r_K - h` times, let :math:`x_i` and :math:`y_i` be new unit vectors,
orthogonal to all :math:`q` and all :math:`k`, as long as :math:`d - h` such last: the term changes
by rank 2, since :math:`(q + x)(k + y)^\top - q k^\top` has determinant :math:`-1` on those axes;
after that, :math:`q_i` and :math:`k_i` again: rank 1. Changes in orthogonal directions add their
ranks, to :math:`\min(r_Q + r_K, d)`. A minor not zero there is zero almost nowhere. :math:`\square`

**What it does not say.** How large the change is. One adapter alone moves the form by rank
:math:`r_Q \le h`. Frozen weights of lower rank may stop it earlier (a control).

**What it tells someone who merges adapters.** Merged, :math:`k` adapters of rank :math:`r` move the
scores by rank :math:`\min(2kr, 2h, d)` at most, and the merge adds cross terms
:math:`\Delta_{Q,i}^\top \Delta_{K,j}` that none of them had alone.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, with_spectrum
from loratheory.shapes import Float
from loratheory.theorems._theorem import Control, Theorem

SENSE = "upper"
SOURCE = "own"

RANK = "rank(update) <= r_Q for queries and <= r_K for keys"
FULL = "frozen weights of full row rank h <= d (to attain the bound)"
ROUNDING = 1e-11  # of the product of norms: a singular value below it is not counted

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen queries and keys, and the rank that the update of each may have."""

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]
    ranks: tuple[int, int]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Narrow and square heads, over decades of size; ranks from none to full."""
    d = int(rng.integers(1, size + 1))
    h = int(rng.integers(1, d + 1))
    spectra = 10.0 ** rng.integers(-6, 7, (2, 1)) * np.exp(rng.uniform(-0.5, 0.5, (2, h)))
    queries, keys = (with_spectrum(rng, h, d, sigma).dense() for sigma in spectra.tolist())
    first, second = rng.integers(0, h + 1, 2).tolist()
    return Case(queries, keys, (first, second))


def bound(case: Case) -> float:
    """The ranks added, up to the width."""
    return float(min(sum(case.ranks), case.queries.shape[1]))


def _frames(factor: Array) -> tuple[Array, Array]:
    """Square ``lower`` and orthogonal ``frame`` with ``factor == lower @ frame[:h]``."""
    q, r = array_namespace(factor).linalg.qr(factor.T, mode="complete")
    return r[: factor.shape[0], :].T, q.T


def attain(case: Case) -> Updates:
    """Double terms of the form; turn them into new directions where both factors move."""
    xp, (h, d) = array_namespace(case.keys), case.keys.shape
    # The form is a sum of terms s q k' in bases that turn both factors: see the proof.
    (lower_q, frame_q), (lower_k, frame_k) = _frames(case.queries), _frames(case.keys)
    left, _, right = xp.linalg.svd(lower_q.T @ lower_k)
    first, other = case.ranks[0], h - case.ranks[1]
    fresh = range(other, min(first, other + d - h))  # moved by both, while directions last

    def update(lower: Array, turn: Array, frame: Array, moved: range) -> LowRank:
        """Of one factor, in the head basis that its `turn` makes diagonal."""
        axes = [h + i - other if i in fresh else i for i in moved]
        basis = xp.concat([turn.T @ frame[:h, :], frame[h:, :]], axis=0)
        rows = [basis[axis : axis + 1, :] for axis in axes]
        down = xp.concat([basis[:0, :], *rows], axis=0)
        return LowRank((lower @ turn)[:, moved.start : moved.stop], down)

    queries = update(lower_q, left, frame_q, range(first))
    return queries, update(lower_k, right.T, frame_k, range(other, h))


def measure(case: Case, updates: Updates) -> float:
    """How many singular values of the form's change exceed rounding; no ``d x d`` array."""
    xp = array_namespace(case.keys)
    queries, keys = case.queries + updates[0].dense(), case.keys + updates[1].dense()
    norm = xp.linalg.matrix_norm
    size = float(norm(queries) * norm(keys) + norm(case.queries) * norm(case.keys))
    change = LowRank(queries.T, keys) - LowRank(case.queries.T, case.keys)
    return float(xp.count_nonzero(ROUNDING * size < change.S))


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """Random updates of those ranks, far or next to the construction."""
    nudge, keep = 10.0 ** int(rng.integers(-12, 1)), float(rng.integers(2))
    best, noise = [(low.up, low.down) for low in attain(case)], rng.standard_normal
    return tuple(
        LowRank(u * (keep + nudge * noise(u.shape)), keep * v + nudge * noise(v.shape))
        for u, v in best
    )


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Hill climbing on the singular value that ought to vanish, by dense arrays."""
    frozen, index = case.queries.T @ case.keys, int(bound(case))
    best, strongest = -1.0, attain(case)
    for _ in range(20):
        tried = rival(case, rng)
        queries, keys = case.queries + tried[0].dense(), case.keys + tried[1].dense()
        sigma = np.linalg.svd(queries.T @ keys - frozen, compute_uv=False)
        value = float(sigma[index] / sigma[0]) if index < len(sigma) and sigma[0] else 0.0
        best, strongest = max((best, strongest), (value, tried), key=lambda pair: pair[0])
    return strongest


def _within(case: Case, updates: Updates) -> bool:
    return all(low.width <= rank for low, rank in zip(updates, case.ranks, strict=True))


def _full(case: Case) -> bool:
    xp, (h, d) = array_namespace(case.keys), case.keys.shape
    sigmas = [xp.linalg.svdvals(factor) for factor in (case.queries, case.keys)]
    return h <= d and all(float(s[-1]) > 1e-10 * float(s[0]) for s in sigmas)


ASSUMPTIONS = {
    RANK: _within,
    FULL: lambda case, _: _full(case),
}

_ONE = np.eye(3)
_AXES = tuple(LowRank(_ONE[:, i : i + 1], _ONE[i : i + 1]) for i in range(3))


def _two_adapters() -> tuple[Case, Updates]:
    return Case(_ONE, _ONE, (1, 0)), (_AXES[0] + _AXES[1], 0 * _AXES[2])


def _dead_head() -> tuple[Case, Updates]:
    return Case(0 * _ONE, 0 * _ONE, (1, 1)), (_AXES[0], _AXES[0])


CONTROLS = (
    Control("load two adapters on the queries where one is allowed", RANK, _two_adapters),
    Control("a head that is frozen at zero", FULL, _dead_head, fails="tight"),
)

THEOREM: Theorem[Case, Updates] = Theorem.of(__name__)
