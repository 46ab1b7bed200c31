r"""Sum capacity: how many foreign adapters a sum holds on white inputs, and not one more.

**Statement.** On white normal inputs of mean squared length 1 in width n foreign adapters of a sum
overturn a fixed margin γ > 0 between two tokens with probability exactly Q(γ√n/‖w‖), w the sum over
these adapters of the difference of their rows for the two, Q the upper tail of the standard normal
law.

Let x be normal with covariance :math:`I/n` and let a token lead another by the margin
:math:`\gamma` before foreign adapters :math:`\Delta_j` are added. Their sum moves the difference of
the two logits by :math:`\langle w, x\rangle`, where :math:`w = \sum_j w_j` and :math:`w_j` is the
difference of the two tokens' rows (of the output map times :math:`\Delta_j`). Then

.. math:: \Pr(\gamma + \langle w, x \rangle < 0) = Q\bigl(\gamma \sqrt n / \|w\|\bigr), \qquad
    Q(z) = \Pr(N(0, 1) > z).

So :math:`K - 1 \le n` foreign adapters with rows of length :math:`\sigma` at right angles overturn
it with probability at most :math:`\delta < \frac12` iff :math:`K - 1 \le n (\gamma / \sigma z)^2`,
:math:`Q(z) = \delta`.

**Proof.** :math:`\langle w, x\rangle` is normal with variance :math:`\|w\|^2/n`. For rows of length
:math:`\sigma` at right angles :math:`\|w\|^2 = (K - 1) \sigma^2`, and Q decreases.
:math:`\square`

**What it tells someone who merges adapters.** On white inputs no sharper analysis lets a sum hold
many more adapters, unless their rows are turned against each other: interference is a matter of the
summed row, not of norms. It is the converse of ``thm:random-interference``, whose union bound says
how many a sum holds *at least*: for one competing token the two differ by the factor :math:`2
\ln(1/\delta)/z^2` alone, 2.2 at δ = .05.

**What it does not say.** At most n rows are at right angles; rows in independent random directions,
of any number, have the same :math:`\|w\|^2` in the mean. With several competing tokens the
probability is at least the largest of theirs and at most their sum. Inputs of trained models are
not white.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import ndtr, ndtri

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, norm
from loratheory.theorems._sampling import SIGMAS, sampled, standard_normal
from loratheory.theorems._theorem import Control, Theorem

SENSE = "equal"
SOURCE = "own"
USES = ("thm:random-interference",)

WHITE = "white normal inputs of mean squared length 1"


@dataclass(frozen=True, eq=False)
class Case:
    """For each foreign adapter its row of one token minus its row of another; the margin."""

    rows: Float[Array, "k n"]
    margin: float
    trials: int = 4000

    @cached_property
    def length(self) -> float:
        """Norm of the sum of the rows."""
        return norm(array_namespace(self.rows).sum(self.rows, axis=0))


def failure(length: float, width: int, margin: float) -> float:
    """Return Q(γ√n/‖w‖), how often a summed row w of norm `length` overturns the margin γ."""
    return float(ndtr(-margin * width**0.5 / length)) if length else 0.0


def largest_sum(width: int, margin: float, size: float, failure: float) -> int:
    """Return how many foreign adapters with orthogonal rows of norm `size` may be summed.

    More overturn the margin with a probability above `failure`, which is below ½.
    """
    return min(width, int(width * (margin / size / float(ndtri(failure))) ** 2 + 1e-9))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw rows that are orthogonal, alike or nearly cancel, and a margin near what they add."""
    n, k, kind = rng.integers((1, 1, 0), (size + 1, size + 1, 3)).tolist()
    magnitude = 10.0 ** int(rng.integers(-6, 7))
    rows = rng.standard_normal((k, n))
    if kind == 0 and k <= n:
        rows = orthonormal(rng, n, k).T
    elif kind == 1:
        rows = rows - 0.9 * np.mean(rows, axis=0)
    length = float(np.linalg.norm(np.sum(rows, axis=0)))
    return Case(magnitude * rows, magnitude * length / n**0.5 * float(rng.uniform(0.1, 2.5)))


def bound(case: Case) -> float:
    """Return Q(γ√n/‖w‖), the probability that the case's rows overturn its margin."""
    return failure(case.length, int(case.rows.shape[1]), case.margin)


def measure(case: Case, inputs: Float[Array, "t n"]) -> float:
    """Return the share of inputs at which the foreign adapters overturn the margin."""
    xp = array_namespace(inputs)
    moved = sum((inputs @ case.rows[j, :] for j in range(case.rows.shape[0])), 0 * inputs[:, 0])
    return int(xp.count_nonzero(moved + case.margin < 0)) / int(inputs.shape[0])


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Float[Array, "t n"]:
    """Return fresh white normal inputs of mean squared length 1."""
    n = case.rows.shape[1]
    return rng.standard_normal((case.trials, n)) / n**0.5


def _white(_: Case, inputs: Float[Array, "t n"]) -> bool:
    # Second moments within ten standard errors of the identity over n, and fourth ones.
    xp, (trials, n) = array_namespace(inputs), inputs.shape
    one = eye(inputs, n)
    off = xp.abs(n * (inputs.T @ inputs) / trials - one)
    fits = bool(xp.all(off <= SIGMAS * ((1 + one) / trials) ** 0.5))
    return fits and standard_normal(n**0.5 * inputs)


ASSUMPTIONS = {WHITE: _white}


def _along(stretch: float) -> tuple[Case, Float[Array, "t n"]]:
    case = Case(np.eye(4)[:2], 1.0)
    axis = np.array([stretch, stretch, 1.0, 1.0])
    return case, rival(case, np.random.default_rng(0)) * axis


def _signs() -> tuple[Case, Float[Array, "t n"]]:
    case = Case(np.ones((1, 1)), 0.5)
    return case, np.random.default_rng(0).choice([-1.0, 1.0], (case.trials, 1))


CONTROLS = (
    Control("inputs that favour what the adapters read", WHITE, partial(_along, 2.0)),
    Control("white inputs that are plus or minus one", WHITE, _signs),
)

THEOREM: Theorem[Case, Array] = Theorem.of(__name__)
