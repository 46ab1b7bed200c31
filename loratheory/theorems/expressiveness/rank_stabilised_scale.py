r"""Rank-stabilised scale: how an adapter's first step depends on its rank.

**Statement.** The first gradient step of an adapter of rank r and scale s, up zero and down
Gaussian, moves the output by a length of mean square s^4 r(r+2) times a rank-free factor: of order
one in the rank iff s is of order r^-1/2.

Let :math:`s B A` start at :math:`B = 0` and independent entries :math:`N(0, \varsigma^2)` of
:math:`A`, and take a step of rate :math:`\eta` on an input :math:`x` with output gradient
:math:`g`. The output moves by :math:`-\eta s^2 \|A x\|^2 g`, of mean and mean squared length

.. math::
    \eta s^2 \varsigma^2 r \, \|x\|^2 \|g\|, \qquad
    \eta^2 s^4 \varsigma^4 r (r + 2) \, \|x\|^4 \|g\|^2 .

**Proof.** The gradient by :math:`B` is :math:`s g (A x)^\top` and that by :math:`A` is zero, as
:math:`B` is; the output then moves by :math:`s B A x`. The entries of :math:`A x` are independent
:math:`N(0, \varsigma^2 \|x\|^2)`: :math:`\chi^2_r` has mean :math:`r` and mean square :math:`r (r +
2)`. :math:`\square`

**What it tells someone who merges adapters.** Adapters of different rank trained at :math:`s =
\alpha/r` have moved by different amounts in their first gradient step: equal coefficients do not
weigh them equally.

**What it does not say.** It is the first step only. A sign step, as Adam's first is, moves the
output by a length proportional to :math:`s r` (``thm:two-learning-rates`` with one step): there
:math:`\alpha/r` is the rank-free scale.

References
----------
Kalajdzievski (2023), arXiv:2312.03732.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness._frozen_rows import Rows, gaussian_rows
from loratheory.theorems.expressiveness._frozen_rows import attain as attain
from loratheory.theorems.expressiveness._frozen_rows import rival as rival

SENSE = "equal"
KIND = "lemma"
SOURCE = "own; after Kalajdzievski (2023)"

INDEPENDENT = "rows drawn independently, all of them"
GAUSSIAN = "rows with the second and fourth moments of independent normal entries"


@dataclass(frozen=True, eq=False)
class Case:
    """Input (n,), output gradient (m,), adapter's rank and scale, learning rate, and init std."""

    query: Array
    gradient: Array
    rank: int
    strength: float
    rate: float
    deviation: float


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw ranks up to 256, a scale s of 1, 16/r or 16/√r, and inputs and gradients of any size."""
    n, m = int(rng.integers(1, min(size, 8) + 1)), int(rng.integers(1, size + 1))
    rank, decades = int(rng.integers(1, 257)), 10.0 ** rng.integers(-3, 4, 2)
    strength = float(rng.choice([1.0, 16 / rank, 16 / rank**0.5]))
    query, gradient = decades[0] * rng.standard_normal(n), decades[1] * rng.standard_normal(m)
    return Case(query, gradient, rank, strength, float(rng.uniform(0.1, 1.0)), n**-0.5)


def bound(case: Case) -> float:
    """Return η² s⁴ ς⁴ r(r + 2) ‖x‖⁴ ‖g‖², the statement's mean square of the output's move."""
    xp, r = array_namespace(case.query), case.rank
    length = float(xp.sum(case.query**2)) * case.deviation**2 * case.strength**2 * case.rate
    return length**2 * r * (r + 2) * float(xp.sum(case.gradient**2))


def measure(case: Case, rows: Rows) -> float:
    """Return the mean square of η s² ‖A x‖² ‖g‖, from the moments of one row's part of it."""
    xp = array_namespace(case.query)
    mean, square = rows.moments(case.query, case.query)
    repeats = case.rank / rows.drawn
    # A sum of `drawn` independent terms, each repeated: its mean square is mean^2 plus variance.
    total = case.rank**2 * mean**2 + repeats**2 * rows.drawn * (square - mean**2)
    one = case.rate * case.strength**2 * case.deviation**2
    return total * one**2 * float(xp.sum(case.gradient**2))


ASSUMPTIONS = {
    INDEPENDENT: lambda case, rows: rows.drawn == case.rank,
    GAUSSIAN: lambda _, rows: rows.standard,
}


def _example(rows: Rows) -> tuple[Case, Rows]:
    return Case(np.array([1.0, 0.0]), np.ones(1), 4, 0.5, 1.0, 1.0), rows


def _uniform() -> tuple[Case, Rows]:
    sides = 3**0.5 * np.array([-1.0, -(0.2**0.5), 0.2**0.5, 1.0])
    grid = np.stack(np.meshgrid(sides, sides), axis=-1).reshape(-1, 2)
    shares = np.outer(*[np.array([1, 5, 5, 1]) / 12] * 2).reshape(-1)
    return _example(Rows(grid, shares, drawn=4))


CONTROLS = (
    Control("one row, four times", INDEPENDENT, lambda: _example(gaussian_rows(2, 1))),
    Control("uniform entries, as Kaiming's rule draws them", GAUSSIAN, _uniform),
)

THEOREM: Theorem[Case, Rows] = Theorem.of(
    __name__,
    scale=lambda case: 8 * bound(case),
)
