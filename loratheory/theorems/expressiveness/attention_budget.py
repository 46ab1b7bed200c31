r"""Attention budget: rank `R` on both factors of a score form; half the width is enough.

**Statement.** Rank-R updates of queries and keys leave a spectral error of the score form of at
least the (2R+1)st singular value of what was missing; half the width is exact if both are square
and invertible, and no rank lifts the form's rank above the head size.

Let :math:`W_Q, W_K \in \mathbb{R}^{h \times d}` be frozen with score form :math:`M = W_Q^\top
W_K`, and :math:`T` the form one wants. Whatever updates of rank at most :math:`R` both get,

.. math::
    \|(W_Q + \Delta_Q)^\top (W_K + \Delta_K) - T\|_2 \;\ge\; \max\bigl(\sigma_{2R+1}(T - M),\;
    \sigma_{h+1}(T)\bigr).

Some updates attain it if :math:`h = d` and both factors are invertible, or if :math:`R \ge h`. So
square invertible factors reach every form exactly from :math:`R = \lceil d/2 \rceil` on, and need
that for generic :math:`T`; a head of size :math:`h < d` reaches no form of rank above :math:`h`.

**Proof.** *Bound.* The new form has rank at most :math:`h`, and differs from :math:`M` by
:math:`\Delta_Q^\top (W_K + \Delta_K) + W_Q^\top \Delta_K`, of rank at most :math:`2R`; Eckart,
Young, Mirsky. *Attained.* Invertible factors are a linear network of two layers
(``thm:depth-budget``), and :math:`\sigma_{d+1} = 0`. If :math:`R \ge h`, replace both factors by
:math:`U, V` with :math:`U^\top V` the rank-:math:`h` truncation of :math:`T`; then
:math:`\sigma_{2R+1}(T - M) \le \sigma_{2h+1}(T - M) \le \sigma_{h+1}(T)` by Weyl. :math:`\square`

**What it does not say.** For :math:`R < h < d` the floor may be out of reach: from :math:`e_1
e_1^\top + e_2 e_2^\top` no updates of rank 1 get nearer than 1 to :math:`e_1 e_3^\top + e_2
e_4^\top`, where it is 0, since the new keys keep a row direction of the old ones (a control). Equal
patterns need less than equal forms (``thm:attention-bottleneck``).

**What it tells someone who merges adapters.** The sum of :math:`k` adapters has the floor of rank
:math:`kR`, and meets it only if its parts were chosen for each other. A transformer of the same
size is matched product by product, each at half the width.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense, gaussian, with_spectrum
from loratheory.shapes import Float
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness import depth_budget
from loratheory.theorems.expressiveness._steering import inverses

SENSE = "lower"
SOURCE = "Zeng and Lee (2024); narrow heads: own"
USES = ("thm:depth-budget",)

RANK = "rank(update) <= R of queries and of keys"
SQUARE = "square invertible factors, or R >= head size (to attain the bound)"

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen factors of a head, the score form to reach, the rank each factor may spend."""

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]
    target: Float[Array, "d d"]
    rank: int

    @property
    def form(self) -> Array:
        """The frozen score form."""
        return self.queries.T @ self.keys

    @property
    def layers(self) -> depth_budget.Case:
        """The head as a linear network: keys first, then queries back."""
        return depth_budget.Case((self.keys, self.queries.T), self.target, self.rank)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Square heads at any rank and narrow ones at full rank; forms far, near, away by low rank."""
    d = int(rng.integers(1, min(size, 8) + 1))
    h = d if rng.random() < 0.5 else int(rng.integers(1, d + 1))
    # Narrow heads below full rank are left out: there the floor may be out of reach.
    spectra = np.exp(rng.uniform(-0.5, 0.5, (2, h))).tolist()
    queries, keys = (with_spectrum(rng, h, d, sigma).dense() for sigma in spectra)
    keys = keys * 10.0 ** int(rng.integers(-6, 7))
    form, rank = queries.T @ keys, int(rng.integers(0 if h == d else h, d + 1))
    spread = float(np.linalg.norm(form)) / d
    far = spread * rng.standard_normal((d, d))
    low = gaussian(rng, d, d, int(rng.integers(0, d + 1)), spread).dense()
    return Case(queries, keys, (far, form + 1e-6 * far, form + low, low)[rng.integers(4)], rank)


def bound(case: Case) -> float:
    """The first singular value that rank cannot pay for, or the first that the head cannot hold."""
    xp, h = array_namespace(case.target), case.keys.shape[0]
    floors = [0.0]
    for matrix, first in ((case.target - case.form, 2 * case.rank), (case.target, h)):
        sigma = xp.linalg.svdvals(matrix)
        floors += [float(sigma[first])] if first < sigma.shape[0] else []
    return max(floors)


def attain(case: Case) -> Updates:
    """Pay as a network of two layers, or replace both factors if the rank allows it."""
    h, d = case.keys.shape
    if case.rank < h == d:
        down, up = depth_budget.attain(case.layers)
        return up.T, down
    best, xp = from_dense(case.target, h), array_namespace(case.target)
    one = xp.eye(h, dtype=xp.float64, device=case.target.device)
    return LowRank(one, best.up.T - case.queries), LowRank(one, best.down - case.keys)


def measure(case: Case, updates: Updates) -> float:
    """Spectral error of the adapted score form."""
    queries, keys = case.queries + updates[0].dense(), case.keys + updates[1].dense()
    return float(array_namespace(keys).linalg.svdvals(queries.T @ keys - case.target)[0])


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    return depth_budget.scale(case.layers)


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    return inverses(case.layers.weights)


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """The construction nudged by 1e-12 to 1, or replaced by noise of that size."""
    nudge, keep = 10.0 ** int(rng.integers(-12, 1)), float(rng.integers(2))
    best = [(low.up, low.down) for low in attain(case)]
    return tuple(LowRank(keep * u + nudge * rng.standard_normal(u.shape), v) for u, v in best)


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Alternating least squares, one factor of one update at a time, on the Frobenius error."""
    (h, d), r = case.keys.shape, case.rank
    size = float(np.linalg.norm(case.keys)) or 1.0  # the unit of keys; queries are of order one
    queries, keys = (LowRank(rng.standard_normal((h, r)), np.zeros((r, d))) for _ in "qk")
    wanted, frozen = case.target / size, case.keys / size
    for _ in range(10 if r else 0):
        left = case.queries + queries.dense()
        keys = _fitted(left.T, keys, wanted - left.T @ frozen)
        right = frozen + keys.dense()
        queries = _fitted(right.T, queries, (wanted - case.queries.T @ right).T)
    return queries, keys * size


def _fitted(reads: Array, low: LowRank, wanted: Array) -> LowRank:
    """Improve one factor after the other of ``reads @ low``, the nearest to `wanted`."""
    down = np.linalg.lstsq(reads @ low.up, wanted, rcond=1e-10)[0]
    up = np.linalg.lstsq(reads, wanted @ np.linalg.pinv(down, rcond=1e-10), rcond=1e-10)[0]
    return LowRank(up, np.linalg.lstsq(reads @ up, wanted, rcond=1e-10)[0])


def _attainable(case: Case) -> bool:
    xp, (h, d) = array_namespace(case.keys), case.keys.shape
    sigmas = [xp.linalg.svdvals(factor) for factor in (case.queries, case.keys)]
    return case.rank >= h or (h == d and all(float(s[-1]) > 1e-14 * float(s[0]) for s in sigmas))


ASSUMPTIONS = {
    RANK: lambda case, updates: max(low.width for low in updates) <= case.rank,
    SQUARE: lambda case, _: _attainable(case),
}


def _too_rich() -> tuple[Case, Updates]:
    one = np.eye(3)
    return Case(one, one, 2 * one, 1), (LowRank(one[:, :0], one[:0]), LowRank(one, one))


def _dead_queries() -> tuple[Case, Updates]:
    one, target = np.eye(4), np.diag([4.0, 3.0, 2.0, 1.0])
    best = LowRank(one[:, :1], 4 * one[:1])  # the form now has rank 1: it loses 3, not 2
    return Case(0 * one, one, target, 1), (best, LowRank(one[:, :0], one[:0]))


def _narrow() -> tuple[Case, Updates]:
    one, axis = np.eye(4), np.eye(2)
    case = Case(one[:2], one[:2], np.eye(4, k=2), 1)
    return case, (LowRank(axis[:, 1:], -one[1:2]), LowRank(axis[:, :1], one[2:3] - one[:1]))


CONTROLS = (
    Control("spend rank 3 on the keys where 1 is allowed", RANK, _too_rich),
    Control("queries frozen at zero", SQUARE, _dead_queries, fails="tight"),
    Control("a head of half the width, rank below its size", SQUARE, _narrow, fails="tight"),
)

THEOREM: Theorem[Case, Updates] = Theorem.of(__name__)
