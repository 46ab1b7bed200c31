r"""Merged memory: summing adapters with frozen random factors adds no capacity, routing does.

**Statement.** A sum of adapters with independent frozen Gaussian factors of rank r answers with
the second moment of one rank-r adapter holding all facts, however they are shared.

Share :math:`N` facts with orthonormal keys among :math:`K` adapters of rank :math:`r`, each
Hebbian through its own independent Gaussian factor: :math:`\Delta = \sum_k H_k A_k^\top A_k`,
:math:`H = \sum_k H_k`. At a query :math:`x` along one key, or foreign to all, the sum answers
every read :math:`u` with the mean and second moment of *one* rank-:math:`r` adapter that holds all
facts,

.. math::
    \mathbb{E}\, (u^\top \Delta x)^2 = \bigl(1 + \tfrac1r\bigr) (u^\top H x)^2
    + \tfrac1r \|H^\top u\|^2 \|x\|^2,

whatever :math:`K` and the shares are, although the sum has rank up to :math:`K r`.

**Proof.** The adapters' factors are independent, so by ``thm:hebbian-memory`` the mean is
:math:`u^\top H x` and the variance :math:`\frac1r \sum_k \bigl[(u^\top H_k x)^2 + \|H_k^\top u\|^2
\|x\|^2\bigr]`. The facts of different adapters have orthogonal keys, so that :math:`\sum_k
\|H_k^\top u\|^2 = \|H^\top u\|^2`; and at most one :math:`H_k x` differs from zero, so that
:math:`\sum_k (u^\top H_k x)^2 = (u^\top H x)^2`.

For Gaussian keys and outputs the same holds in the mean over them: terms of different facts are
uncorrelated, so a foreign read of a foreign query has variance :math:`\frac Nd \bigl(\frac1r +
\frac1d + \frac1{rd}\bigr)` for every :math:`K`. An oracle that switches on only the adapter of the
fact asked for leaves :math:`N/K` in place of :math:`N`. :math:`\square`

**What it tells someone who merges adapters.** Summing adapters that were trained over frozen random
factors buys no capacity: the noise is that of one adapter with all facts. Switching on the right
one divides it by the number of adapters.

**What it does not say.** Trained factors aligned with the keys interfere less; equal second moments
are no equal recall curves, though simulated ones agree to a few per cent.
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, device, orthonormal
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.editing import hebbian_memory
from loratheory.theorems.expressiveness._frozen_rows import gaussian_rows

SENSE = "equal"
SOURCE = "own"
USES = ("thm:hebbian-memory",)

KEYS = "orthonormal keys"
QUERY = "a query along one key or foreign to all"
SUM = "every adapter switched on at strength one"
RANK = "adapters of rank r each"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), their outputs (m, N), a read (m,), a query (n,) and each adapter's rank."""

    keys: Array
    outputs: Array
    read: Array
    query: Array
    rank: int


@dataclass(frozen=True)
class Library:
    """Which adapter holds each fact, and each adapter's rank and strength."""

    owner: tuple[int, ...]
    ranks: tuple[int, ...]
    strengths: tuple[float, ...]


def merged_crosstalk(facts: int, adapters: int, width: int, rank: int) -> float:
    """Variance of a foreign score in the sum of `adapters`, `facts` in all: that of one adapter."""
    _refuse_none(adapters)
    return hebbian_memory.foreign_crosstalk(facts, width, rank)


def routed_crosstalk(facts: int, adapters: int, width: int, rank: int) -> float:
    """The same where only the adapter asked for answers, facts shared as evenly as can be."""
    _refuse_none(adapters)
    return hebbian_memory.foreign_crosstalk(math.ceil(facts / adapters), width, rank)


def _refuse_none(adapters: int) -> None:
    if adapters < 1:
        message = f"{adapters} adapters hold no facts: give at least 1"
        raise ValueError(message)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Up to as many facts as dimensions, the query one of them, foreign or any; 12 decades."""
    n, m = int(rng.integers(1, min(size, 8) + 1)), int(rng.integers(1, size + 1))
    facts, frame = int(rng.integers(1, n + 1)), orthonormal(rng, n, n)
    outputs = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((m, facts))
    query = 10.0 ** int(rng.integers(-3, 4)) * frame[:, int(rng.integers(n))]
    read = outputs[:, 0] if rng.random() < 0.5 else rng.standard_normal(m)
    return Case(frame[:, :facts], outputs, read, query, int(rng.integers(1, 17)))


def _in_one(case: Case, rank: int) -> float:
    """The second moment if one adapter of this rank held all facts."""
    memory = LowRank(case.outputs, case.keys.T)
    return hebbian_memory.bound(hebbian_memory.Case(memory, case.read, case.query, rank))


def bound(case: Case) -> float:
    """The second moment in one adapter of the same rank."""
    return _in_one(case, case.rank)


def summed(owner: tuple[int, ...], rank: int) -> Library:
    """All adapters on, of one rank; as many as the owners name."""
    adapters = max(owner) + 1
    return Library(owner, (rank,) * adapters, (1.0,) * adapters)


def attain(case: Case) -> Library:
    """An adapter for each fact."""
    return summed(tuple(range(case.keys.shape[1])), case.rank)


def measure(case: Case, library: Library) -> float:
    """Second moment of the sum: the adapters' means added and squared, their variances added."""
    xp = array_namespace(case.keys)
    rows, mean, variance = gaussian_rows(int(case.keys.shape[0]), 1).like(case.keys), 0.0, 0.0
    for k, (rank, strength) in enumerate(zip(library.ranks, library.strengths, strict=True)):
        reached = xp.zeros_like(case.query)  # H_k' u: what this adapter's facts make of the read
        for i, owner in enumerate(library.owner):
            if owner == k:
                answer = xp.sum(case.outputs[:, i] * case.read)
                reached = reached + strength * answer * case.keys[:, i]
        one, square = rows.moments(reached, case.query)
        mean, variance = mean + one, variance + (square - one**2) / rank
    return mean**2 + variance


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    return 8 * _in_one(case, 1)


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Any number of adapters, any shares, idle adapters included."""
    adapters = int(rng.integers(1, case.keys.shape[1] + 2))
    owner = tuple(rng.integers(0, adapters, case.keys.shape[1]).tolist())
    return summed(owner, case.rank)


def _orthonormal(case: Case, _: Library) -> bool:
    xp = array_namespace(case.keys)
    gram = case.keys.T @ case.keys
    one = xp.eye(gram.shape[0], dtype=xp.float64, device=device(gram))
    return bool(xp.all(xp.abs(gram - one) <= 1e-12))


def _along_one(case: Case, _: Library) -> bool:
    xp = array_namespace(case.keys)
    seen = xp.abs(case.query @ case.keys)
    return int(xp.count_nonzero(seen > 1e-12 * float(xp.max(xp.abs(case.query))))) <= 1


def _example(keys: Array, query: Array, library: Library) -> tuple[Case, Library]:
    return Case(keys, np.ones((1, 2)), np.ones(1), query, rank=1), library


ASSUMPTIONS = {
    KEYS: _orthonormal,
    QUERY: _along_one,
    SUM: lambda _, library: all(s == 1.0 for s in library.strengths),
    RANK: lambda case, library: all(r == case.rank for r in library.ranks),
}

_PLANE, _ALIKE = np.eye(2), np.array([[1.0, 0.8], [0.0, 0.6]])
_ONE, _TWO, _ROUTED = summed((0, 0), 2), summed((0, 1), 1), Library((0, 1), (1, 1), (1.0, 0.0))

CONTROLS = (
    Control("two keys nearly alike", KEYS, lambda: _example(_ALIKE, _PLANE[1], _TWO)),
    Control("ask for two facts at once", QUERY, lambda: _example(_PLANE, np.ones(2), _TWO)),
    Control("only the adapter asked for is on", SUM, lambda: _example(_PLANE, _PLANE[0], _ROUTED)),
    Control("one adapter of twice the rank", RANK, lambda: _example(_PLANE, _PLANE[0], _ONE)),
)

THEOREM: Theorem[Case, Library] = Theorem.of(__name__)
