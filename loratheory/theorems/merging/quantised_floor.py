r"""Quantised floor: how far rounding the adapters can move the merge floor.

**Statement.** Rounding the adapters by a root mean squared error ε moves the root of the merge
floor by at most ε, whatever rank and number; their optimal merge errs on the true tasks by at most
the root floor plus 2ε.

Let :math:`f_r(\Delta_1, \dots, \Delta_k)` be the merge floor, the least mean squared error of one
rank-:math:`r` adapter (``thm:merge-floor``). If each task is replaced by :math:`\Delta_j + E_j`
with :math:`\frac1k \sum_j \|E_j\|_F^2 \le \varepsilon^2`,

.. math::
    \bigl|\sqrt{f_r(\Delta + E)} - \sqrt{f_r(\Delta)}\bigr| \le \varepsilon ,

and the optimal merge of the rounded adapters errs on the **true** tasks by at most
:math:`(\sqrt{f_r} + 2\varepsilon)^2`. The first bound is sharp wherever :math:`\varepsilon \le
\sqrt{f_r}`. So rounding to :math:`b` bits, of relative error :math:`\delta`, moves the root by at
most :math:`\delta` times the adapters' root mean square norm: no rank, no number of adapters and no
condition number enters.

**Proof.** In the space of :math:`k`-tuples with norm :math:`\|X\|^2 = \frac1k \sum_j \|X_j\|_F^2`,
:math:`\sqrt{f_r}` is the distance to the closed set of tuples :math:`(\Delta, \dots, \Delta)`,
:math:`\operatorname{rank} \Delta \le r`, and a distance to a set is 1-Lipschitz. Let :math:`X^*` be
nearest to the rounded tuple: its distance to the true one is at most the rounded distance plus
:math:`\varepsilon`, itself at most :math:`\sqrt{f_r} + \varepsilon`. *Sharp:* moving from
:math:`\Delta` towards its nearest point :math:`X^*` by :math:`\varepsilon` leaves :math:`X^*`
nearest, by the triangle inequality, and shortens the distance by all of :math:`\varepsilon`.
:math:`\square`

**What it tells someone who merges adapters.** Rounding adapters before a merge is harmless as long
as the rounding error is below the merge floor, which it mostly is by far.

**What it does not say.** How large the error of a format is: `rounding_error` and
`grid_error` bound it. Rounding errors that are independent and unbiased raise an unlimited-rank
floor by :math:`(1 - 1/k)` of their mean energy in expectation, far less than the worst case here.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.lowrank import LowRank, gaussian, total
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging import merge_floor

SENSE = "upper"
SOURCE = "own"
USES = ("thm:merge-floor",)

CLOSE = "rounded adapters within the error of the case in the mean"
COUNT = "one rounded adapter for each task"

BITS = {"bfloat16": 8, "float16": 11, "float32": 24}  # of precision, the leading one included
Rounded = tuple[LowRank, ...]


@dataclass(frozen=True)
class Case:
    """Tasks, the rank of the merge, and the root mean squared error of the rounding."""

    updates: tuple[LowRank, ...]
    rank: int
    error: float

    @property
    def floor(self) -> float:
        """Root of the merge floor of the exact adapters."""
        return _root_floor(self.updates, self.rank)


def _root_floor(updates: tuple[LowRank, ...], rank: int) -> float:
    return max(0.0, merge_floor.bound(merge_floor.Case(updates, rank))) ** 0.5


def draw(rng: np.random.Generator, size: int) -> Case:
    """Tasks with a floor, and errors from 1e-6 of it up to all of it."""
    k, (m, n) = int(rng.integers(2, 5)), rng.integers(2, size + 2, 2).tolist()
    width, magnitude = int(rng.integers(1, min(m, n, 8) + 1)), 10.0 ** int(rng.integers(-6, 7))
    updates = tuple(gaussian(rng, m, n, width, magnitude) for _ in range(k))
    rank = int(rng.integers(0, min(m, n, 8) + 1))
    return Case(updates, rank, _root_floor(updates, rank) * 10.0 ** float(rng.uniform(-6, 0)))


def bound(case: Case) -> float:
    """The error itself."""
    return case.error


def rounding_error(width: int, bits: int) -> float:
    r"""Relative error of an update whose factors are rounded to so many bits of precision, at most.

    With unit roundoff :math:`u = 2^{-b}` every entry of a factor moves by a share :math:`u` at
    most, so :math:`\|E\|_F \le (2u + u^2) \|U\|_F \|V\|_F`, which in balanced factors of width
    :math:`r` is at most :math:`\sqrt r\,(2u + u^2) \|U V\|_F`.
    """
    unit = 2.0**-bits
    return float(width**0.5 * (2 * unit + unit**2))


def grid_error(entries: int, bits: int) -> float:
    """Relative error of a block of entries on one symmetric grid of so many bits, at most.

    The step is the largest magnitude over ``2**(bits - 1) - 1``, and an entry moves by half of it.
    """
    return float(entries**0.5 / (2 * (2.0 ** (bits - 1) - 1)))


def attain(case: Case) -> Rounded:
    """Every task moved towards the optimal merge, in proportion to its distance."""
    best = merge_floor.attain(merge_floor.Case(case.updates, case.rank))
    share = case.error / case.floor if case.floor else 0.0
    return tuple(total([low, best], [1 - share, share]) for low in case.updates)


def measure(case: Case, rounded: Rounded) -> float:
    """How far the root of the floor has moved."""
    return abs(_root_floor(rounded, case.rank) - case.floor)


def scale(case: Case) -> float:
    """The largest adapter, and the error."""
    return max(low.norm for low in case.updates) + case.error


def rival(case: Case, rng: np.random.Generator) -> Rounded:
    """Errors in random directions, of the same or of unequal sizes, at the limit in the mean."""
    m, n = case.updates[0].shape
    errors = [gaussian(rng, m, n, min(m, n), float(rng.random()) + 0.1) for _ in case.updates]
    mean = sum(e.norm**2 for e in errors) / len(errors)
    size = case.error / mean**0.5 * (1 - 1e-12)
    return tuple(low + size * e for low, e in zip(case.updates, errors, strict=True))


def adversary(case: Case, rng: np.random.Generator) -> Rounded:
    """Twenty random errors, the worst kept: no optimum is used."""
    tries = [rival(case, rng) for _ in range(20)]
    return max(tries, key=partial(measure, case))


def _close(case: Case, rounded: Rounded) -> bool:
    pairs = zip(rounded, case.updates, strict=False)
    mean = sum((new - old).norm ** 2 for new, old in pairs) / len(case.updates)
    return mean**0.5 <= case.error + SAFETY * scale(case)


ASSUMPTIONS = {
    COUNT: lambda case, rounded: len(rounded) == len(case.updates),
    CLOSE: _close,
}


def _example(kind: str) -> tuple[Case, Rounded]:
    pair = (LowRank(np.eye(2)[:, :1], np.eye(2)[:1]), LowRank(np.eye(2)[:, 1:], np.eye(2)[1:]))
    case = Case(pair, 2, 0.1)
    return case, pair[:1] if kind == "one" else (2 * pair[0], 2 * pair[1])


CONTROLS = (
    Control("adapters twice as strong", CLOSE, partial(_example, "twice")),
    Control("one adapter forgotten", COUNT, partial(_example, "one")),
)

THEOREM: Theorem[Case, Rounded] = Theorem.of(__name__)
