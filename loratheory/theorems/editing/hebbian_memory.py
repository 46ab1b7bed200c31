r"""Hebbian memory: what a frozen random factor of rank `r` does to stored facts.

**Statement.** An adapter stores facts through a frozen factor of rank r with independent entries
N(0, 1/r). Let H be the memory that the facts would form without this factor, x a query and u a
read. The adapter's answer to x, read along u, has the second moment (1 + 1/r)(u·Hx)² +
‖Hᵀu‖²‖x‖²/r.

Let :math:`H = \sum_i u_i e_i^\top` store facts with keys :math:`e_i` and outputs :math:`u_i`. The
rank-:math:`r` adapter :math:`\Delta = H A^\top A` writes :math:`H` through a frozen :math:`A \in
\mathbb{R}^{r \times n}` of independent entries :math:`N(0, 1/r)`. Its trained factor is
:math:`\sum_i u_i (A e_i)^\top`. For every read :math:`u` and query :math:`x`

.. math::
    \mathbb{E}\, u^\top \Delta x = u^\top H x, \qquad
    \mathbb{E}\, (u^\top \Delta x)^2 = \bigl(1 + \tfrac1r\bigr) (u^\top H x)^2
    + \tfrac1r \|H^\top u\|^2 \|x\|^2 .

Let the :math:`N` keys, the distinct outputs, the read and the query be independent of each other
and of :math:`A`, and all Gaussian :math:`N(0, 1_d/d)`. Let :math:`g = \frac1r + \frac1d +
\frac1{rd}`. Take a read that is no fact's output. If the query is no fact's key, the answer has
variance :math:`\frac Nd g`. If the query is a fact's key, the answer has variance :math:`\frac1d
\bigl[(N - 1) g + (1 + \frac2d)(1 + \frac2r) \bigr]`.

**Proof.** Let :math:`a_k/\sqrt r` be the rows of :math:`A`, and let :math:`y = H^\top u`. Then
:math:`u^\top \Delta x = \frac1r \sum_k z_k` with independent :math:`z_k = (y^\top a_k)(a_k^\top
x)`. Isserlis' theorem gives :math:`\mathbb{E} z_k = y^\top x` and :math:`\mathbb{E} z_k^2 = \|x\|^2
\|y\|^2 + 2 (y^\top x)^2`. So the variance of the mean is :math:`\frac1r \bigl(\|x\|^2 \|y\|^2 +
(y^\top x)^2\bigr)`. For Gaussian embeddings the terms of different facts are uncorrelated, as
:math:`\mathbb{E}\, (u^\top u_i) (u^\top u_j) = 0`. The variance of one fact's term is
:math:`\mathbb{E} (u^\top u_i)^2 = \frac1d` times a second factor. For :math:`x` independent of
:math:`e_i` this factor is :math:`(1 + \frac1r) \frac1d + \frac1r = g`. For :math:`x = e_i` it is
:math:`(1 + \frac2r)\, \mathbb{E} \|x\|^4 = (1 + \frac2r)(1 + \frac2d)`. :math:`\square`

**Corollary (merged memory).** Facts with orthonormal keys are divided among Hebbian adapters, whose
independent frozen factors have rank r and entries N(0, 1/r). Take a query along one key, or
orthogonal to all keys. However the facts are divided, the answer of the adapters' sum has the same
second moment there as that of one such adapter with all facts.

Divide the facts among :math:`K` adapters, and let :math:`\Delta = \sum_k H_k A_k^\top A_k` be the
adapters' sum. The answer has the mean :math:`u^\top H x` and the variance :math:`\frac1r \sum_k
\bigl[(u^\top H_k x)^2 + \|H_k^\top u\|^2 \|x\|^2\bigr]`. Keys of different adapters are orthogonal,
so :math:`\sum_k \|H_k^\top u\|^2 = \|H^\top u\|^2`. At most one :math:`H_k x` is not zero, so
:math:`\sum_k (u^\top H_k x)^2 = (u^\top H x)^2`. This gives the law above, though the sum has rank
up to :math:`K r`. Suppose the facts are divided evenly, and an oracle switches on only the adapter
that holds the fact asked for. Then :math:`N/K` facts are left in place of :math:`N`.

**Implication.** A frozen random factor mixes all facts that are stored through it. Each fact adds
noise, :math:`1/r` of the fact's energy, to every answer. So it is better to route a library of such
adapters than to sum it (``thm:merged-memory``).

**Scope.** Second moments are not recall rates. As a heuristic, the right answer beats :math:`M - 1`
others up to about :math:`N < rd / (2 \ln M)` facts, and only if :math:`r > 2 \ln M`. A trained
:math:`A` that is aligned with the keys does better: it stores :math:`r` orthonormal facts exactly.

References
----------
Isserlis (1918); Nichani, Lee and Bietti (2025), arXiv:2412.06538; Barnfield et al. (2026),
arXiv:2605.05189; Giorlandino, Maillard and Goldt (2026), arXiv:2605.10795 (sharp capacity of a
linear memory).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal
from loratheory.theorems._arrays import beside, eye, is_orthonormal, largest, norm
from loratheory.theorems._theorem import Control, Theorem


@dataclass(frozen=True, eq=False)
class Rows:
    """Quadrature nodes (P, n), weights (P,); `drawn` rows are independent, others repeat them."""

    nodes: Array
    weights: Array
    drawn: int

    def like(self, array: Array) -> "Rows":
        """Return the same nodes and weights in the array library and on the device of `array`."""
        return Rows(beside(array, self.nodes), beside(array, self.weights), self.drawn)

    def moments(self, read: Array, query: Array) -> tuple[float, float]:
        """Return mean and mean square of ``(read . a)(a . query)`` over the law of a row ``a``."""
        xp = array_namespace(self.nodes)
        product = (self.nodes @ read) * (self.nodes @ query)
        return float(xp.sum(self.weights * product)), float(xp.sum(self.weights * product**2))

    @property
    def standard(self) -> bool:
        """Whether second and fourth moments are those of independent standard normal entries."""
        xp, (count, n) = array_namespace(self.nodes), self.nodes.shape
        one = eye(self.nodes, n)
        pairs = xp.reshape(self.nodes[:, :, None] * self.nodes[:, None, :], (count, n * n))
        fourth = xp.reshape((self.weights[:, None] * pairs).T @ pairs, (n, n, n, n))
        wanted = (  # Isserlis: the sum over the three pairings of four indices
            one[:, :, None, None] * one[None, None, :, :]
            + one[:, None, :, None] * one[None, :, None, :]
            + one[:, None, None, :] * one[None, :, :, None]
        )
        second = (self.weights[:, None] * self.nodes).T @ self.nodes
        return max(largest(fourth - wanted), largest(second - one)) <= 1e-9


def gaussian_rows(n: int, drawn: int, turn: np.ndarray | None = None) -> Rows:
    """Return nodes and weights that integrate polynomials of degree up to five over normal rows.

    The rule is Stroud and Secrest's (1963); the matrix `turn` rotates its nodes.
    """
    # the centre, points on the axes, and the middles of all pairs of axes
    one = np.eye(n)
    first, other = np.triu_indices(n, 1)
    corners = np.concatenate([one[first] + one[other], one[first] - one[other]])
    corners = np.concatenate([corners, -corners]) * np.sqrt((n + 2) / 2)
    axes = np.concatenate([one, -one]) * np.sqrt(n + 2)
    shares = [2 / (n + 2)], [(4 - n) / (2 * (n + 2) ** 2)] * 2 * n, [(n + 2) ** -2] * len(corners)
    nodes = np.concatenate([np.zeros((1, n)), axes, corners])
    return Rows(nodes if turn is None else nodes @ turn, np.concatenate(shares), drawn)


def attain(case: Any) -> Rows:
    """Return nodes and weights that stand for the Gaussian law of the frozen factor's rows.

    Sums over them are exact means of polynomials of degree up to five. The case has a `query` of
    the rows' length and the factor's `rank`.
    """
    return gaussian_rows(int(case.query.shape[0]), case.rank).like(case.query)


def rival(case: Any, rng: np.random.Generator) -> Rows:
    """Return nodes that give the same means, rotated at random."""
    n = int(case.query.shape[0])
    return gaussian_rows(n, case.rank, orthonormal(rng, n, n))


SENSE = "equal"
SOURCE = "own; rests on Isserlis (1918)"

INDEPENDENT = "rows drawn independently, all of them"
GAUSSIAN = "rows with the second and fourth moments of independent standard normal entries"


@dataclass(frozen=True, eq=False)
class Case:
    """Memory ``H`` (m, n) of stored facts, a read (m,), a query (n,) and the adapter's rank."""

    memory: LowRank
    read: Array
    query: Array
    rank: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a memory H of size 1e-6 to 1e6, and a read and a query, each stored in it or random."""
    m, n = rng.integers(1, min(size, 8) + 1, 2).tolist()
    memory = gaussian(rng, m, n, int(rng.integers(1, size + 1)), 10.0 ** int(rng.integers(-6, 7)))
    # a stored fact adds signal, a random one is cross-talk alone
    query = memory.down[0] if rng.random() < 0.5 else rng.standard_normal(n)
    read = memory.up[:, 0] if rng.random() < 0.5 else rng.standard_normal(m)
    return Case(memory, read, query, int(rng.integers(1, 17)))


def bound(case: Case) -> float:
    """Return (1 + 1/r)(u·Hx)² + ‖Hᵀu‖²‖x‖²/r, the statement's second moment of the answer uᵀΔx."""
    reached = case.memory.T @ case.read
    signal = float(reached @ case.query)
    energy = (norm(reached) * norm(case.query)) ** 2
    return (1 + 1 / case.rank) * signal**2 + energy / case.rank


def measure(case: Case, rows: Rows) -> float:
    """Return the second moment of uᵀΔx, from mean and mean square of what one row of A adds."""
    # rows are independent: variances add up, and each has one r-th of the weight
    mean, square = rows.moments(case.memory.T @ case.read, case.query)
    return mean**2 + (square - mean**2) / rows.drawn


ASSUMPTIONS = {
    INDEPENDENT: lambda case, rows: rows.drawn == case.rank,
    GAUSSIAN: lambda _, rows: rows.standard,
}


def _example(rows: Rows) -> tuple[Case, Rows]:
    pair = np.array([1.0, 0.0])
    return Case(LowRank(np.eye(2), np.eye(2)), pair, pair, rank=2), rows


def _signs() -> tuple[Case, Rows]:
    nodes = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    return _example(Rows(nodes, np.full(4, 0.25), drawn=2))


def _stretched() -> tuple[Case, Rows]:
    rows = gaussian_rows(2, drawn=2)
    return _example(replace(rows, nodes=rows.nodes * np.array([1.2, 1.0])))


CONTROLS = (
    Control("the second row repeats the first", INDEPENDENT, lambda: _example(gaussian_rows(2, 1))),
    Control("entries plus or minus one", GAUSSIAN, _signs),
    Control("one direction stronger than the other", GAUSSIAN, _stretched),
)


# Facts shared among adapters


KEYS = "orthonormal keys"
QUERY = "a query along one key or foreign to all"
SUM = "every adapter switched on at strength one"
EQUAL = "adapters of rank r each"


@dataclass(frozen=True)
class Library:
    """Which adapter stores each fact of the memory, and each adapter's rank and coefficient."""

    owner: tuple[int, ...]
    ranks: tuple[int, ...]
    strengths: tuple[float, ...]


def merged_crosstalk(facts: int, adapters: int, width: int, rank: int) -> float:
    """Return the variance of an unstored output's score at an unstored key in a sum of adapters.

    Factors and embeddings are random, as in `routed_crosstalk`. It is that of one adapter with all
    `facts`, however many `adapters` share them.
    """
    # as if each adapter held all facts and only one of them acted
    return routed_crosstalk(facts * adapters, adapters, width, rank)


def routed_crosstalk(facts: int, adapters: int, width: int, rank: int) -> float:
    """Return the variance of an unstored output's score at an unstored key in one adapter of many.

    The `adapters` share the `facts` evenly, and a router lets only one of them act. Its frozen
    factor is Gaussian N(0, 1/r), and embeddings are Gaussian N(0, 1/d), d being `width`.
    """
    if adapters < 1:
        message = f"{adapters} adapters hold no facts: give at least 1"
        raise ValueError(message)
    # (N/d) g of the statement, for the facts that the one adapter holds
    held = math.ceil(facts / adapters)
    return held / width * (1 / rank + 1 / width + 1 / (rank * width))


def draw_shared(rng: np.random.Generator, size: int) -> Case:
    """Draw facts at orthonormal keys, and a query along a stored key or along an unused one."""
    n, m = int(rng.integers(1, min(size, 8) + 1)), int(rng.integers(1, size + 1))
    facts, frame = int(rng.integers(1, n + 1)), orthonormal(rng, n, n)
    outputs = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((m, facts))
    # along a stored key, or along one that no fact has
    query = 10.0 ** int(rng.integers(-3, 4)) * frame[:, int(rng.integers(n))]
    read = outputs[:, 0] if rng.random() < 0.5 else rng.standard_normal(m)
    return Case(LowRank(outputs, frame[:, :facts].T), read, query, int(rng.integers(1, 17)))


def share(owner: tuple[int, ...], rank: int) -> Library:
    """Return adapters of one rank with coefficient 1; adapter ``owner[i]`` stores fact ``i``."""
    adapters = max(owner) + 1
    return Library(owner, (rank,) * adapters, (1.0,) * adapters)


def attain_shared(case: Case) -> Library:
    """Return a library with one adapter for each fact."""
    return share(tuple(range(case.memory.width)), case.rank)


def measure_shared(case: Case, library: Library) -> float:
    """Return the second moment of uᵀΔx, where Δ is the sum of the library's adapters.

    It is the squared mean plus the variance of each adapter's part.
    """
    keys, answers = case.memory.down, case.read @ case.memory.up
    rows, mean, variance = gaussian_rows(int(keys.shape[1]), 1).like(keys), 0.0, 0.0
    for k, (rank, strength) in enumerate(zip(library.ranks, library.strengths, strict=True)):
        reached = 0 * case.query  # H_k' u: what this adapter's facts make of the read
        for i, owner in enumerate(library.owner):
            if owner == k:
                reached = reached + strength * answers[i] * keys[i, :]
        # adapters are drawn independently of each other
        one, square = rows.moments(reached, case.query)
        mean, variance = mean + one, variance + (square - one**2) / rank
    return mean**2 + variance


def rival_shared(case: Case, rng: np.random.Generator) -> Library:
    """Share the facts at random among any number of adapters, some of which may hold none."""
    adapters = int(rng.integers(1, case.memory.width + 2))
    return share(tuple(rng.integers(0, adapters, case.memory.width).tolist()), case.rank)


def _along_one(case: Case, _: Library) -> bool:
    seen = abs(case.memory.down @ case.query) > 1e-12 * largest(case.query)
    return int(array_namespace(seen).count_nonzero(seen)) <= 1


def _pair(keys: Array, query: Array, library: Library) -> tuple[Case, Library]:
    return Case(LowRank(np.ones((1, 2)), keys.T), np.ones(1), query, rank=1), library


_PLANE, _ALIKE = np.eye(2), np.array([[1.0, 0.8], [0.0, 0.6]])
_ONE, _TWO, _ROUTED = share((0, 0), 2), share((0, 1), 1), Library((0, 1), (1, 1), (1.0, 0.0))

ASSUMPTIONS_SHARED = {
    KEYS: lambda case, _: is_orthonormal(case.memory.down.T),
    QUERY: _along_one,
    SUM: lambda _, library: all(s == 1.0 for s in library.strengths),
    EQUAL: lambda case, library: all(r == case.rank for r in library.ranks),
}

CONTROLS_SHARED = (
    Control("two keys nearly alike", KEYS, lambda: _pair(_ALIKE, _PLANE[1], _TWO)),
    Control("ask for two facts at once", QUERY, lambda: _pair(_PLANE, np.ones(2), _TWO)),
    Control("only the adapter asked for is on", SUM, lambda: _pair(_PLANE, _PLANE[0], _ROUTED)),
    Control("one adapter of twice the rank", EQUAL, lambda: _pair(_PLANE, _PLANE[0], _ONE)),
)


COMPUTE_SHARED = (merged_crosstalk, routed_crosstalk)

THEOREM: Theorem[Case, Rows] = Theorem.of(
    __name__, scale=lambda case: 8 * bound(replace(case, rank=1))
)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("merged memory", "_shared", scale=THEOREM.scale),
)
