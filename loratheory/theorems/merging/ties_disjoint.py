r"""TIES on disjoint supports: its exact error, and why it is not the error that matters.

**Statement.** On disjoint supports TIES with a weighted mean over the agreeing entries is the sum
of the trimmed updates for all positive weights: it misses the sum by the trimmed energy, and
untrimmed its mean squared error is exactly K times the merge floor of unlimited rank.

Let :math:`\Delta_1, \dots, \Delta_K` have disjoint supports, :math:`E` the sum of all their squared
entries and :math:`T` that of the entries trimmed, those beyond the :math:`q = \max(1, \lfloor p\,m
n \rfloor)` largest of each, where no two equal ones are at the cut. The TIES merge :math:`M` has

.. math::
    \Bigl\|M - \sum_j \Delta_j\Bigr\|_F^2 = T, \qquad
    \frac1K \sum_j \|M - \Delta_j\|_F^2 = \frac{(K - 1)(E - T) + T}{K} .

**Proof.** An entry that one adapter alone holds elects that adapter's sign, and its weighted mean
is :math:`w_j x / w_j = x`: :math:`M` is the sum of the trimmed updates. On task :math:`j` it misses
its own trimmed entries and has all kept ones of the others: summed over tasks :math:`T + (K - 1)(E
- T)`. The merge floor (``thm:merge-floor``) is :math:`E/K - E/K^2`. :math:`\square`

**What it tells someone who merges adapters.** A merge of K times the least mean squared error can
keep every entry of every edit, so do not choose a rule for single facts by that error.

**What it does not say.** Updates of real adapters are dense: there signs collide and weights count.
Implementations that divide by a count of the agreeing entries keep :math:`w_j x`. The rule is not
continuous: a zero that is not quite one, as out of a singular value decomposition, has a vote.

References
----------
the rule: Yadav et al., TIES (arXiv 2306.01708).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, total
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
KIND = "lemma"
SOURCE = "own; the rule: Yadav et al. (arXiv 2306.01708)"
USES = ("thm:merge-floor",)

DISJOINT = "disjoint supports"
POSITIVE = "positive weights"
CLEAR = "no equal magnitudes at the cut"
HELD = "adapters that hold the entries of the case, zeros as zeros"

Goal = Literal["sum", "tasks"]


@dataclass(frozen=True, eq=False)
class Case:
    """Dense updates, the share of entries kept, and whether sum or tasks are compared with."""

    entries: Float[Array, "k m n"]
    density: float
    goal: Goal


@dataclass(frozen=True, eq=False)
class Library:
    """The updates in factored form, and their weights."""

    updates: tuple[LowRank, ...]
    weights: tuple[float, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw updates in which each entry belongs to one adapter or to none."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    owner = rng.integers(-1, k, (m, n))
    values = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((m, n))
    entries = np.stack([np.where(owner == j, values, 0.0) for j in range(k)])
    density = 1.0 if rng.random() < 0.3 else float(rng.uniform(0.01, 1))
    return Case(entries, density, "sum" if rng.random() < 0.5 else "tasks")


def _ordered(case: Case) -> tuple[Array, int]:
    k, m, n = case.entries.shape
    xp = array_namespace(case.entries)
    flat = xp.sort(abs(xp.reshape(case.entries, (k, m * n))), axis=1)
    return flat, m * n - max(1, math.floor(case.density * m * n + 1e-9))


def trimmed_energy(case: Case) -> float:
    """Return T, the sum of squares of the entries that trimming removes, over all adapters."""
    flat, cut = _ordered(case)
    return float(array_namespace(flat).sum(flat[:, :cut] ** 2))


def error(adapters: int, energy: int | float, trimmed: int | float = 0.0) -> float:
    """Return ((K − 1)(E − T) + T)/K, the mean squared error over K tasks."""
    return ((adapters - 1) * (energy - trimmed) + trimmed) / adapters


def bound(case: Case) -> float:
    """Return T if the case's goal is the sum, else ((K − 1)(E − T) + T)/K, from its entries."""
    trimmed = trimmed_energy(case)
    energy = float(array_namespace(case.entries).sum(case.entries**2))
    return trimmed if case.goal == "sum" else error(case.entries.shape[0], energy, trimmed)


def attain(case: Case) -> Library:
    """Return the updates as products with an identity on the right, with equal weights."""
    (k, _, n), entries = case.entries.shape, case.entries
    return Library(tuple(LowRank(entries[j, :, :], eye(entries, n)) for j in range(k)), (1.0,) * k)


def measure(case: Case, library: Library) -> float:
    """Return the TIES merge's squared distance from the sum, or its mean over tasks, by `goal`."""
    k, m, n = case.entries.shape
    options = Options(rank=min(m, n), density=case.density)
    merged = MERGE_METHODS["ties"].rule(list(library.updates), list(library.weights), options)
    if case.goal == "sum":
        return (merged - total(list(library.updates))).norm ** 2
    return sum((merged - low).norm ** 2 for low in library.updates) / k


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Return the updates as products with an identity on the left, with any positive weights."""
    k, m, _ = case.entries.shape
    weights = tuple((10.0 ** rng.uniform(-3, 3, k)).tolist())
    return Library(tuple(LowRank(np.eye(m), case.entries[j]) for j in range(k)), weights)


def _disjoint(case: Case, _: Library) -> bool:
    held = array_namespace(case.entries).count_nonzero(case.entries, axis=0)
    return int(array_namespace(held).max(held)) <= 1


def _clear(case: Case, _: Library) -> bool:
    flat, cut = _ordered(case)
    if not cut:
        return True
    below, above = flat[:, cut - 1], flat[:, cut]
    equal = (above > 0) & (below > above * (1 - 1e-9))
    return not bool(array_namespace(equal).any(equal))


def _held(case: Case, library: Library) -> bool:
    xp = array_namespace(case.entries)
    dense = xp.stack([low.dense() for low in library.updates])
    top = float(xp.max(abs(case.entries)))
    near = float(xp.max(abs(dense - case.entries))) <= SAFETY * top
    return near and not bool(xp.any((case.entries == 0) & (dense != 0)))


ASSUMPTIONS = {
    DISJOINT: _disjoint,
    POSITIVE: lambda _, library: min(library.weights) > 0,
    CLEAR: _clear,
    HELD: _held,
}


def _example(kind: str, density: float = 1.0) -> tuple[Case, Library]:
    entries = np.array([[[3.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 4.0]]])
    if kind == "overlap":
        entries[1, 0, 0] = 1.0
    if kind == "equal":
        entries[0, 0, 1] = 3.0
    case = Case(entries, density, "sum")
    library = attain(case)
    if kind == "negative":
        return case, Library(library.updates, (1.0, -1.0))
    if kind == "stronger":
        return case, Library((library.updates[0], 2 * library.updates[1]), library.weights)
    if kind == "rounded":
        dust = LowRank(np.array([[3e-12], [0.0]]), np.array([[0.0, 1.0]]))
        return case, Library((library.updates[0], library.updates[1] + dust), library.weights)
    return case, library


CONTROLS = (
    Control("two adapters that share an entry", DISJOINT, partial(_example, "overlap")),
    Control("a weight of -1", POSITIVE, partial(_example, "negative")),
    Control("two entries tie for one place", CLEAR, partial(_example, "equal", 0.25)),
    Control("an adapter twice as strong", HELD, partial(_example, "stronger", 0.25)),
    Control("a zero that is zero up to rounding", HELD, partial(_example, "rounded")),
)

THEOREM: Theorem[Case, Library] = Theorem.of(
    __name__,
    # energy of all entries
    scale=lambda case: float(array_namespace(case.entries).sum(case.entries**2)) + 1e-300,
)
