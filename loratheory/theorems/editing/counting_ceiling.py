r"""Counting ceiling: how many sets of facts rank-`r` updates can tell apart by argmax.

**Statement.** From N given keys to M >= 2 given outputs m×n updates of rank r >= 1 realise at most
M^N argmax maps without ties, and at most (4eNM(M-1)/p)^p where p = r(m+n-r) <= NM(M-1)/2.

Fix outputs :math:`u_1, \dots, u_M \in \mathbb{R}^m` and keys :math:`e_1, \dots, e_N \in
\mathbb{R}^n`. The maps :math:`j \mapsto \operatorname{argmax}_t u_t^\top \Delta e_j` that have no
ties, over all :math:`\Delta` of rank at most :math:`r \le \min(m, n)`, are at most

.. math::
    \min\Bigl\{ M^N, \Bigl( \frac{4 e N M (M - 1)}{p} \Bigr)^{p} \Bigr\}, \qquad
    p = r (m + n - r) \le N M (M - 1) / 2 .

A rank-:math:`r` update can therefore store every map of :math:`N` facts only while :math:`N \ln M
\le p \ln (4 e N M (M - 1) / p)`: no training or precision helps as long as the outputs are fixed
beforehand and the answer is the argmax.

**Proof.** A map without ties is read off the signs of the :math:`N M (M - 1)/2` differences
:math:`(u_t - u_s)^\top \Delta e_j`, none of them zero. These are open conditions, so each map is
realised by a :math:`\Delta` of rank exactly :math:`r` whose first :math:`r` columns, after one
generic change of input basis fixed for all (there are finitely many maps), are independent. Then
:math:`\Delta = B [1 \; Z]` with :math:`B` of size :math:`m \times r` and :math:`Z` of size
:math:`r \times (n - r)`: the differences are polynomials of degree at most two in :math:`p`
variables. Warren bounds the sign patterns without zeros of :math:`P \ge p` polynomials of degree
:math:`q` in :math:`p` variables by :math:`(4 e q P/p)^p`; here :math:`q P = N M (M - 1)`.
:math:`\square`

**What it tells someone who merges adapters.** Merging does not escape the count: one adapter of
rank :math:`r` in place of many holds at most what its own :math:`r (m + n - r)` numbers can tell
apart.

**What it does not say.** It is a ceiling, loose by constants and logarithms: for :math:`p = M = 2`
there are :math:`2 N` maps, not :math:`(4 e N)^2`. Keys or outputs chosen after the facts escape
it: rank 2 then stores all (``thm:argmax-rank``).

References
----------
Warren (1968), theorem 3; Cover (1965).
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._theorem import Control, Theorem

SENSE = "upper"
SOURCE = "own; rests on Warren (1968)"
UNSEEN = "Warren's constant is not sharp"

RANK = "rank(update) <= r"
FIXED = "the same keys for every map"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N) and outputs (m, M), fixed before the facts, and the rank of the updates."""

    keys: Array
    outputs: Array
    rank: int


@dataclass(frozen=True, eq=False)
class Memories:
    """k updates by their factors, and the keys (n, N) of each, or one set of keys for all."""

    up: Array
    down: Array
    keys: Array


def log_ceiling(facts: int, tokens: int, outputs: int, inputs: int, rank: int) -> float:
    """Return the logarithm of the ceiling on argmax maps from `facts` keys to `tokens` outputs.

    It is the smaller of Warren's value and ``facts * log(tokens)``; minus infinity at rank 0, where
    all tokens tie.
    """
    if min(facts, outputs, inputs) < 1 or tokens < 2 or not 0 <= rank <= min(outputs, inputs):
        message = (
            f"{facts} facts, {tokens} tokens, shape ({outputs}, {inputs}), rank {rank}: give at "
            "least one fact, two tokens, and a rank from 0 to the smaller dimension"
        )
        raise ValueError(message)
    # a rank-r matrix has r(m + n - r) free numbers
    every, free = facts * math.log(tokens), rank * (outputs + inputs - rank)
    # each pair of tokens at each fact is a polynomial whose sign is counted
    pairs = facts * tokens * (tokens - 1)
    if rank == 0:
        return -math.inf  # every answer is a tie
    if 2 * free > pairs:
        return every  # fewer polynomials than variables: Warren's count says nothing
    return min(every, free * (1 + math.log(4 * pairs / free)))


def largest_memory(tokens: int, outputs: int, inputs: int, rank: int) -> int:
    """Return the most facts N for which the ceiling reaches M^N, the number of all maps."""
    shape = tokens, outputs, inputs, rank
    low, high = 0, 1
    while log_ceiling(high, *shape) >= high * math.log(tokens) * (1 - 1e-12):
        low, high = high, 2 * high
    # the ceiling crosses M^N once: bisection finds where
    while high - low > 1:
        middle = (low + high) // 2
        fits = log_ceiling(middle, *shape) >= middle * math.log(tokens) * (1 - 1e-12)
        low, high = (middle, high) if fits else (low, middle)
    return low


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one or two dimensions, and mostly more facts than these can tell apart."""
    m, n = rng.integers(1, 3, 2).tolist()
    # few free numbers, so that not every map is realised
    facts, tokens = int(rng.integers(1, 4 * size)), int(rng.integers(2, 4))
    scales = 10.0 ** rng.integers(-3, 4, 2)
    keys, outputs = rng.standard_normal((n, facts)), rng.standard_normal((m, tokens))
    return Case(scales[0] * keys, scales[1] * outputs, int(rng.integers(1, min(m, n) + 1)))


def bound(case: Case) -> float:
    """Return the logarithm of the ceiling: of Warren's value or of M^N, whichever is smaller."""
    (n, facts), (m, tokens) = case.keys.shape, case.outputs.shape
    return log_ceiling(int(facts), int(tokens), int(m), int(n), case.rank)


def answers(case: Case, memories: Memories) -> set[tuple[int, ...]]:
    """Return the argmax maps without ties that the updates realise, as one token for each key."""
    xp = array_namespace(memories.up)
    scores = case.outputs.T @ (memories.up @ (memories.down @ memories.keys))
    top = xp.max(scores, axis=1, keepdims=True)
    # a tie is no answer
    clear = xp.all(xp.count_nonzero(scores == top, axis=1) == 1, axis=1)
    best, found = xp.argmax(scores, axis=1), set()
    for k in range(scores.shape[0]):
        if bool(clear[k]):
            found.add(tuple(map(int, best[k, :])))
    return found


def measure(case: Case, memories: Memories) -> float:
    """Return the logarithm of how many different maps the updates realise; -inf if none."""
    count = len(answers(case, memories))
    return math.log(count) if count else -math.inf


def rival(case: Case, rng: np.random.Generator) -> Memories:
    """Return 24 random updates of the case's rank."""
    n, m, count = case.keys.shape[0], case.outputs.shape[0], 24
    up = rng.standard_normal((count, m, case.rank))
    return Memories(up, rng.standard_normal((count, case.rank, n)), case.keys[None])


def adversary(case: Case, rng: np.random.Generator) -> Memories:
    """Return updates along two random closed curves of rank-r matrices, which cross many maps."""
    n, m, r = case.keys.shape[0], case.outputs.shape[0], case.rank
    # a curve crosses every border between maps that lies in its way
    turns = np.linspace(0, 2 * np.pi, 120)[:, None, None]
    ups, downs = rng.standard_normal((2, 2, m, r)), rng.standard_normal((2, 2, r, n))
    up = np.concatenate([np.cos(turns) * a + np.sin(turns) * b for a, b in ups])
    down = np.concatenate([np.cos(3 * turns) * a + np.sin(3 * turns) * b for a, b in downs])
    return Memories(up, down, case.keys[None])


ASSUMPTIONS = {
    RANK: lambda case, memories: memories.up.shape[2] <= case.rank,
    FIXED: lambda _, memories: memories.keys.shape[0] == 1,
}


def _free_keys() -> tuple[Case, Memories]:
    # One number per memory, but keys with every pattern of signs: all 512 maps occur.
    signs = 1.0 - 2.0 * ((np.arange(512)[:, None] >> np.arange(9)) & 1)
    one = np.ones((512, 1, 1))
    case = Case(np.ones((1, 9)), np.array([[1.0, -1.0]]), rank=1)
    return case, Memories(one, one, signs[:, None, :])


def _some_rank() -> tuple[Case, Memories]:
    one = np.ones((1, 1, 1))
    return Case(np.ones((1, 9)), np.array([[1.0, -1.0]]), rank=0), Memories(one, one, one)


CONTROLS = (
    Control("choose the keys after the facts", FIXED, _free_keys),
    Control("spend rank 1 where none is allowed", RANK, _some_rank),
)

COMPUTE = (largest_memory,)

THEOREM: Theorem[Case, Memories] = Theorem.of(__name__)
