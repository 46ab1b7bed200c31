r"""Superposition floor: the cross-talk of more facts than ranks.

**Statement.** A rank-r update stores N ≥ 2 facts, each with a key and an output. To each key, the
output of the same fact responds with strength one. Then, whatever the keys and outputs are, the
mean squared response of outputs to the keys of other facts is at least (N − r)/(r(N − 1)).

Let :math:`\Delta` be an update of rank at most :math:`r`. For :math:`N \ge 2` facts let
:math:`x_{ij} = u_i^\top \Delta e_j` be the response of output :math:`i` to key :math:`j`, and let
:math:`x_{jj} = 1` for all :math:`j`. Then, whatever keys and outputs are,

.. math::
    \frac1{N(N-1)} \sum_{i \ne j} x_{ij}^2 \;\ge\; \frac{(N - r)_+}{r (N - 1)}.

For independent keys and independent outputs, equality is attained. For :math:`r < N` it holds if
:math:`X` is :math:`N/r` times a projector of constant diagonal. Such an :math:`X` is the Gram
matrix of a tight frame of unit vectors.

**Proof.** The matrix :math:`X = U^\top \Delta E` has rank at most :math:`q = \min(r, N)` and trace
:math:`N`. The trace is at most :math:`\sum_{i \le q} \sigma_i \le \sqrt q\, \|X\|_F`, so
:math:`\|X\|_F^2 \ge N^2/q`. The diagonal contributes :math:`N` to :math:`\|X\|_F^2`. The other
entries contribute at least :math:`N^2/q - N`, which is the claim. Now let :math:`r < N`. Let column
:math:`j` of :math:`F` hold :math:`\sqrt{2/r} (\cos, \sin)(2\pi k j/N)` for :math:`k = 1, \dots,
\lfloor r/2 \rfloor` and, for odd :math:`r`, the constant :math:`1/\sqrt r`. As :math:`k < N/2`, the
rows of :math:`F` are orthogonal with squared length :math:`N/r`. The columns of :math:`F` are unit
vectors. So :math:`X = F^\top F` is :math:`N/r` times a projector of constant diagonal. For :math:`r
\ge N`, the identity as :math:`X` attains equality. Independent columns can be inverted from one
side, so :math:`\Delta = U^{+\top} X E^+` has the responses :math:`X`. :math:`\square`

**Implication.** If an adapter holds more facts than it has ranks, its outputs also respond to the
keys of other facts, even before a merge. With many more facts than ranks, the mean squared response
is at least about :math:`1/r`. A merge of several adapters that keeps the rank of one adapter stores
more facts in this rank. So responses to other facts' keys grow.

**Scope.** The bound is on a mean, so `argmax` may still be right for all facts. Rank 2 suffices for
that (``thm:argmax-rank``). The bound holds for outputs and keys of any length and angle.

References
----------
Welch (1974); von Neumann (1937); Alon (2003), the same inequality on ranks; Benedetto and Fickus
(2003); Elhage et al. (2022), arXiv:2209.10652.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal
from loratheory.theorems._arrays import beside, condition_number, eye, harmonic_frame, largest, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on Welch (1974) and von Neumann (1937)"

RANK = "rank(update) <= r"
UNIT = "a response of one to each fact's own key"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N) and outputs (m, N) of the facts, and the largest rank of the update."""

    keys: Array
    outputs: Array
    rank: int

    @property
    def facts(self) -> int:
        """Number of facts N."""
        return int(self.keys.shape[1])


def least_crosstalk(facts: int, rank: int) -> float:
    """Return (N - r)/(r (N - 1)), or 0: the least mean cross-talk of facts that each answer 1."""
    if rank < 1:
        message = f"an update of rank {rank} answers nothing: give a rank of at least 1"
        raise ValueError(message)
    return (facts - rank) / (rank * (facts - 1)) if rank < facts else 0.0


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw independent keys and outputs, orthonormal or skew, of lengths between 1e-3 and 1e3."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    facts = int(rng.integers(1, min(m, n, 32) + 1))
    skew = float(rng.choice([0.0, 0.5]))
    frames = []
    for d in (n, m):
        # skew frames must give the floor of orthonormal ones
        mix = np.eye(facts) + skew * orthonormal(rng, facts, facts)
        frames.append(orthonormal(rng, d, facts) @ mix * 10.0 ** int(rng.integers(-3, 4)))
    return Case(frames[0], frames[1], int(rng.integers(1, facts + 2)))


def bound(case: Case) -> float:
    """Return (N - r)/(r (N - 1)), or 0 if negative, for the case's N facts and rank r."""
    return least_crosstalk(case.facts, case.rank)


def answer_with(case: Case, left: Array, right: Array) -> LowRank:
    """Return the update whose responses u_i · Δ e_j are the entries of ``left.T @ right``.

    Both are (r, N); the keys e and outputs u are those of the case.
    """
    solve, qr = array_namespace(case.keys).linalg.solve, array_namespace(case.keys).linalg.qr
    # U^{+T} X E^+ by triangular factors, so that skew frames lose their condition number only once.
    outer, inner = qr(case.outputs), qr(case.keys)
    return LowRank(outer[0] @ solve(outer[1].T, left.T), solve(inner[1].T, right.T).T @ inner[0].T)


def attain(case: Case) -> LowRank:
    """Return the update whose responses are the products of the columns of `harmonic_frame`."""
    frame = beside(case.keys, harmonic_frame(case.facts, min(case.rank, case.facts)))
    return answer_with(case, frame, frame)


def responses(case: Case, update: LowRank) -> Array:
    """Return the responses (N, N): row i, column j is output i's score at key j."""
    return case.outputs.T @ (update @ case.keys)


def measure(case: Case, update: LowRank) -> float:
    """Return the mean of x_ij² over i ≠ j: the update's squared responses to other facts' keys."""
    table = responses(case, update)
    # the response to a fact's own key is no cross-talk
    other = table * (1 - eye(table, case.facts))
    return norm(other) ** 2 / max(case.facts * (case.facts - 1), 1)


def condition(case: Case) -> float:
    """Return the condition number of the keys times that of the outputs; both are inverted."""
    return condition_number(case.keys) * condition_number(case.outputs)


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return an update that answers each own key with one, near the best or far from it."""
    facts = case.keys.shape[1]
    codes = rng.standard_normal((case.rank, facts))
    if rng.random() < 0.5 and case.rank <= facts:
        codes = harmonic_frame(facts, case.rank)
    codes = codes / np.linalg.norm(codes, axis=0)
    step = 10.0 ** int(rng.integers(-12, 2)) * rng.standard_normal(codes.shape)
    # Steps at right angles to the codes keep every own response at one.
    return answer_with(case, codes + step - codes * (codes * step).sum(axis=0), codes)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return an update found by lowering the energy of its responses in one factor at a time.

    Each step keeps the response to every own key at one.
    """
    left = right = rng.standard_normal((case.rank, case.keys.shape[1]))
    right = right / np.linalg.norm(right, axis=0)
    for _ in range(40):
        # least energy at a given response to the own key
        quiet = np.linalg.lstsq(right @ right.T, right, rcond=None)[0]
        left, right = right, quiet / (quiet * right).sum(axis=0)
    return answer_with(case, left / (left * right).sum(axis=0), right)


def _unit(case: Case, update: LowRank) -> bool:
    own = array_namespace(case.keys).sum(case.outputs * (update @ case.keys), axis=0)
    return largest(own - 1.0) <= SAFETY / 4 * condition(case)


ASSUMPTIONS = {RANK: lambda case, update: update.width <= case.rank, UNIT: _unit}


def _example(rank: int, table: np.ndarray) -> tuple[Case, LowRank]:
    return Case(np.eye(2), np.eye(2), rank), LowRank(table, np.eye(2)[: table.shape[1]])


CONTROLS = (
    Control("a rank for each fact where half is allowed", RANK, lambda: _example(1, np.eye(2))),
    Control("one fact twice, the other not", UNIT, lambda: _example(1, 2 * np.eye(2)[:, :1])),
)


COMPUTE = (least_crosstalk,)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
