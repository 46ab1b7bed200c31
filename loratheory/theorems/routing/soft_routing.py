r"""Soft routing: what is left when a router may mix adapters instead of choosing one.

**Statement.** Where the answers of K adapters to every input are orthonormal, whatever is answered
from the input alone misses the answer of the adapter that the input belongs to, in mean square, by
at least 1 − E‖p‖², p the probabilities of the adapters given the input; their answers mixed with
the weights p miss it by no more.

Let :math:`(x, e)` have any joint law, :math:`p_e(x) = P(e | x)`, and let :math:`a_e(x)` be the
answers. For every function g of the input

.. math:: E \|g(x) - a_e(x)\|^2 \;\ge\; 1 - E \|p(x)\|^2 , \qquad
    \|p\|^2 = \sum_e p_e^2 ,

with equality iff :math:`g(x) = \sum_e p_e(x)\, a_e(x)` at almost every input. Since :math:`(\max
p)^2 \le \|p\|^2 \le \max p`, this is between half of what the best choice of one adapter leaves
(``thm:hard-routing``) and all of it. The half holds for answers of any kind: an adapter that is
drawn by the probabilities p misses, on average, by twice as much as the mixture.

**Proof.** Given x the mean of :math:`\|g - a_e\|^2` is least at the mean :math:`m = \sum_e p_e a_e`
of the answers, and larger by :math:`\|g - m\|^2` elsewhere; at m it is :math:`\sum_e p_e \|a_e\|^2
- \|m\|^2 = 1 - \|p\|^2`. :math:`\square`

**Corollary (hard routing).** Where the answers of K adapters to every input are orthonormal, a
router that answers with one of them, chosen from the input alone, misses the answer of the adapter
that the input belongs to, in mean square, by at least 2(1 − E max p), p the probabilities of the
adapters given the input; to choose the most probable one misses it by no more.

A wrong adapter misses by :math:`\|a_f - a_e\|^2 = 2`, and the chosen one is wrong with probability
at least :math:`1 - \max p`.

**What it tells someone who merges adapters.** Mixing adapters by their probabilities saves at most
half of the squared error of choosing one: half where answers at right angles are equally likely,
next to nothing where the router is nearly sure. Neither goes below what the overlap of the inputs
leaves open.

**What it does not say.** Squared error is not accuracy: a mixture of two answers may be neither.
Answers of real adapters agree in part, which makes wrong choices cheaper. The probabilities have to
be known; weights that are off cost :math:`E\|w - p\|^2` more.

References
----------
The mean as the least-squares estimate: any text. Jacobs, Jordan, Nowlan and Hinton (1991),
"Adaptive mixtures of local experts", compare the error of a mixture with the mean error of single
experts, as aims of training.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import is_orthonormal
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "the projection theorem; own form"

ANSWERS = "answers of the adapters to each input that are orthonormal"
LAW = "probabilities of at least 0 that sum to one"
ONE = "a router that answers with one adapter"


@dataclass(frozen=True, eq=False)
class Case:
    """Joint probabilities of input and adapter (X, K), and each adapter's output (X, m, K)."""

    joint: Float[Array, "x k"]
    answers: Float[Array, "x m k"]

    @cached_property
    def posterior(self) -> Array:
        """Probability of each adapter given each input (X, K); zeros if the input never occurs."""
        xp = array_namespace(self.joint)
        total = xp.sum(self.joint, axis=1, keepdims=True)
        return self.joint / xp.where(total > 0, total, 1.0)

    def mixed(self, weights: Float[Array, "x k"]) -> Array:
        """Return each input's mixture of the adapters' outputs with these weights (X, m)."""
        return array_namespace(weights).sum(self.answers * weights[:, None, :], axis=2)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw inputs that reveal their adapter fully, partly or barely; some hardly ever occur."""
    inputs, k = int(rng.integers(1, size + 1)), int(rng.integers(1, size // 2 + 2))
    sharp = float(rng.choice([0.05, 1.0, 1e6]))
    rare = float(rng.choice([0.1, 1.0]))
    each = rng.dirichlet([rare] * inputs)[:, None] * rng.dirichlet([sharp] * k, inputs)
    wide = k + int(rng.integers(3))
    return Case(each, np.stack([orthonormal(rng, wide, k) for _ in range(inputs)]))


def bound(case: Case) -> float:
    """Return 1 − E‖p‖², p the probabilities of the adapters given the input."""
    xp = array_namespace(case.joint)
    return max(0.0, 1 - float(xp.sum(case.joint * case.posterior)))


def measure(case: Case, given: Float[Array, "x m"]) -> float:
    """Return E‖g(x) − a_e(x)‖² for the answers `given`, one row g(x) for each input."""
    xp = array_namespace(given)
    off = xp.sum((given[:, :, None] - case.answers) ** 2, axis=1)
    return float(xp.sum(case.joint * off))


def attain(case: Case) -> Array:
    """Return for each input the adapters' answers mixed with their probabilities p as weights."""
    return case.mixed(case.posterior)


def rival(case: Case, rng: np.random.Generator) -> Array:
    """Return answers mixed with random or even weights, or the best mixture slightly perturbed."""
    (x, k), m = case.joint.shape, case.answers.shape[1]
    weights = (rng.dirichlet([1.0] * k, x), np.full((x, k), 1 / k), rng.standard_normal((x, k)))
    kind = int(rng.integers(4))
    if kind < len(weights):
        return case.mixed(weights[kind])
    return attain(case) + 10.0 ** int(rng.integers(-12, 1)) * rng.standard_normal((x, m))


def adversary(case: Case, _: np.random.Generator) -> Array:
    """Return for each input the answer of least expected squared error, fitted by LAPACK."""
    found = np.zeros(case.answers.shape[:2])
    for x, (weight, answers) in enumerate(zip(case.joint, case.answers, strict=True)):
        root = np.sqrt(weight)[:, None]
        design = np.kron(root, np.eye(len(answers)))
        found[x] = np.linalg.lstsq(design, (root * answers.T).ravel(), rcond=None)[0]
    return found


def _sums(case: Case, _: Array) -> bool:
    xp = array_namespace(case.joint)
    return bool(xp.all(case.joint >= 0)) and abs(float(xp.sum(case.joint)) - 1) <= SAFETY


ASSUMPTIONS = {ANSWERS: lambda case, _: is_orthonormal(case.answers), LAW: _sums}

EVEN = Case(np.full((1, 2), 0.5), np.eye(2)[None])


def _alike() -> tuple[Case, Array]:
    case = Case(EVEN.joint, np.ones((1, 1, 2)))
    return case, attain(case)


def _half() -> tuple[Case, Array]:
    # Of the cases only half are counted, and the promise is made for all.
    case = Case(EVEN.joint / 2, EVEN.answers)
    return case, case.answers[:, :, 0]


def _below_zero() -> tuple[Case, Array]:
    case = Case(np.array([[1.5, -0.5]]), EVEN.answers)
    return case, case.answers[:, :, 0]


CONTROLS = (
    Control("two adapters that answer alike", ANSWERS, _alike),
    Control("probabilities that sum to a half", LAW, _half),
    Control("a probability below zero", LAW, _below_zero),
)

THEOREM: Theorem[Case, Array] = Theorem.of(__name__)


# One adapter


def likeliest(case: Case) -> Array:
    """Return the output of the most probable adapter for each input."""
    xp = array_namespace(case.joint)
    best = xp.argmax(case.joint, axis=1)[:, None] == xp.arange(
        case.joint.shape[1], device=case.joint.device
    )
    return case.mixed(xp.where(best, 1.0, 0.0 * case.joint))


def another(case: Case, rng: np.random.Generator) -> Array:
    """Choose one adapter for each input: any, or the most probable except at some inputs."""
    (x, k), given = case.joint.shape, likeliest(case)
    any_one = case.mixed(np.eye(k)[rng.integers(0, k, x)])
    but = rng.random(x) < 0.5 if rng.random() < 0.5 else np.arange(x) == rng.integers(x)
    return np.where(but[:, None], any_one, given)


def one_by_one(case: Case, _: np.random.Generator) -> Array:
    """Return for each input the adapter's output that errs least, found by trying all."""
    given = np.zeros(case.answers.shape[:2])
    for x, (weight, answers) in enumerate(zip(case.joint, case.answers, strict=True)):
        off = [weight @ np.sum((answers - each[:, None]) ** 2, axis=0) for each in answers.T]
        given[x] = answers[:, np.argmin(off)]
    return given


def _one(case: Case, given: Array) -> bool:
    xp = array_namespace(given)
    off = xp.max(xp.abs(given[:, :, None] - case.answers), axis=1)
    return bool(xp.all(xp.min(off, axis=1) <= SAFETY))


def _unsure(case: Case) -> float:
    xp = array_namespace(case.joint)
    return max(0.0, 2 - 2 * float(xp.sum(xp.max(case.joint, axis=1))))


CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "hard routing",
        bound=_unsure,
        attain=likeliest,
        rival=another,
        adversary=one_by_one,
        assumptions={**ASSUMPTIONS, ONE: _one},
        controls=(
            *CONTROLS,
            Control("a mixture", ONE, lambda: (EVEN, attain(EVEN))),
        ),
    ),
)
