r"""Coefficient floor: the best task arithmetic on given inputs, and what no coefficients reach.

**Statement.** Sums of adapters times numbers miss the wanted answers on given inputs by a squared
error of at least the energy of these answers less bᵀG⁺b, with G the Gram matrix of the adapters'
answers and b their inner products with the wanted ones; every solution of Gc = b attains it.

Let :math:`\Delta_j` be wanted on the inputs :math:`X_j`, and merge :math:`\sum_j c_j \Delta_j`.
With :math:`G_{jl} = \sum_i \langle \Delta_j X_i, \Delta_l X_i\rangle` and :math:`b_j = \sum_i
\langle \Delta_j X_i, \Delta_i X_i \rangle`,

.. math:: \sum_i \Bigl\|\sum_j c_j \Delta_j X_i - \Delta_i X_i\Bigr\|_F^2 \;\ge\;
    \sum_i \|\Delta_i X_i\|_F^2 - b^\top G^+ b,

with equality iff :math:`Gc = b`. *Equal adapters with orthogonal answers:* if each answers its own
inputs with energy :math:`E`, those of any other with :math:`\rho E`, and the answers of different
adapters to one input are orthogonal, the best coefficients are all :math:`1/(1 + (K-1)\rho)` and
leave the share :math:`(K-1)\rho/(1 + (K-1)\rho)` of the energy: the sum is best iff nothing leaks,
the mean iff foreign inputs excite an adapter like its own. Unrelated adapters of rank r with a flat
spectrum in a large width n have :math:`\rho` about :math:`r/n`: about half is lost where
:math:`(K-1)\,r` reaches n.

**Proof.** Stack the answers: with :math:`A_j = [\Delta_j X_1, \Delta_j X_2, \dots]` and :math:`T =
[\Delta_1 X_1, \Delta_2 X_2, \dots]` the left side is the squared distance of :math:`T` from a point
of the span of the :math:`A_j`: the projection theorem, with Gram matrix :math:`G` and :math:`b_j =
\langle A_j, T\rangle`. Equal adapters: :math:`G = E\,(1 + (K-1)\rho)`, :math:`b_j = E`, total
energy :math:`KE`. A turned adapter answers a unit input with :math:`\|\Delta\|_F^2/n`
(``thm:random-interference``), a random unit input of its own rows with :math:`\|\Delta\|_F^2/r`.
:math:`\square`

**What it tells someone who merges adapters.** Among adapters of equal size with orthogonal answers
the best coefficients follow from one number, how much they answer each other's inputs: 1 where they
do not, :math:`1/K` where they do as their own. No grid search over coefficients goes below this
floor.

**What it does not say.** One matrix per adapter instead of one number does better: with matrices on
both sides it is ``thm:covariance-floor``, which is never above this floor, and 0 for independent
row spaces (``thm:interpolating-merge``). Negative coefficients are allowed.

References
----------
Task arithmetic: arXiv 2212.04089; merging by projection on outputs: arXiv 2605.29101.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, total
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on the projection theorem"
USES = ("thm:covariance-floor", "thm:random-interference")

SPAN = "a merge that is a sum of the adapters times numbers"
CLEAR = 1e-8  # a combination of adapters this weak on the inputs is taken for rounding


@dataclass(frozen=True, eq=False)
class Case:
    """One adapter per task, and the inputs on which a merge should do what it does, as columns."""

    updates: tuple[LowRank, ...]
    inputs: tuple[Float[Array, "n _"], ...]

    @cached_property
    def answers(self) -> tuple[Array, Array]:
        """Each adapter's outputs on all inputs as one row of a matrix, and the wanted outputs.

        The latter are a vector in the same order.
        """
        table = [[low @ x for x in self.inputs] for low in self.updates]
        xp = array_namespace(*self.inputs)
        rows = [xp.concat([xp.reshape(part, (-1,)) for part in row]) for row in table]
        own = [xp.reshape(row[i], (-1,)) for i, row in enumerate(table)]
        return xp.stack(rows), xp.concat(own)

    @cached_property
    def axes(self) -> tuple[Array, Array, Array]:
        """Singular vectors and values of the adapters' outputs, without negligible ones."""
        rows = self.answers[0]
        left, sigma, right = array_namespace(rows).linalg.svd(rows, full_matrices=False)
        keep = sum(float(s) > CLEAR * float(sigma[0]) for s in sigma)
        return left[:, :keep], sigma[:keep], right[:keep, :]


@dataclass(frozen=True, eq=False)
class Merge:
    """A merged update, and the coefficients by which it claims to be a sum of the adapters."""

    update: LowRank
    coefficients: Float[Array, " k"]


def merged(case: Case, coefficients: Float[Array, " k"]) -> Merge:
    """Return the sum of the adapters times these coefficients, as a factored update."""
    parts = [low * float(c) for c, low in zip(coefficients, case.updates, strict=True)]
    return Merge(total(parts), coefficients)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw unrelated, related or equal adapters of any size, on few or many inputs."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    width, scale = int(rng.integers(1, min(m, n) + 1)), 10.0 ** int(rng.integers(-6, 7))
    base, spread = gaussian(rng, m, n, width, scale), float(rng.choice([0.0, 0.1, 1.0]))
    related = float(rng.choice([0.0, 1.0])) if spread else 1.0
    updates = tuple(related * base + spread * gaussian(rng, m, n, width, scale) for _ in range(k))
    inputs = tuple(orthonormal(rng, n, int(rng.integers(1, n + 1))) for _ in range(k))
    return Case(updates, inputs)


def bound(case: Case) -> float:
    """Return the energy of the wanted outputs outside the span of the adapters' outputs."""
    wanted, axes = case.answers[1], case.axes[2]
    return float(array_namespace(wanted).sum((wanted - axes.T @ (axes @ wanted)) ** 2))


def best(case: Case) -> Float[Array, " k"]:
    """Return the coefficients of least error on the inputs; of several, those of least norm."""
    left, sigma, axes = case.axes
    return left @ ((axes @ case.answers[1]) / sigma)


def attain(case: Case) -> Merge:
    """Return the sum of the adapters with the coefficients of least error."""
    return merged(case, best(case))


def measure(case: Case, merge: Merge) -> float:
    """Return the merge's squared error on the inputs, summed over tasks."""
    pairs = zip(case.updates, case.inputs, strict=True)
    errors = [merge.update @ x - low @ x for low, x in pairs]
    xp = array_namespace(*case.inputs)
    return float(sum(xp.sum(error**2) for error in errors))


def scale(case: Case) -> float:
    """Return the energy of all adapters' outputs on all inputs, the unit of rounding errors."""
    rows, wanted = case.answers
    xp = array_namespace(rows)
    return float(xp.sum(rows**2) + xp.sum(wanted**2))


def condition(case: Case) -> float:
    """Return the condition number of the adapters' outputs, without negligible directions."""
    sigma = case.axes[1]
    return float(sigma[0] / sigma[-1]) if sigma.shape[0] else 1.0


def rival(case: Case, rng: np.random.Generator) -> Merge:
    """Return the sum, the mean, a random combination or the best one perturbed by 1e-12 to 1."""
    k, kind = len(case.updates), int(rng.integers(4))
    free = rng.standard_normal(k)
    nudged = best(case) + 10.0 ** int(rng.integers(-12, 1)) * free
    return merged(case, (np.ones(k), np.ones(k) / k, free, nudged)[kind])


def adversary(case: Case, rng: np.random.Generator) -> Merge:
    """Return the merge whose coefficients are fitted one at a time by least squares."""
    answers = [
        np.concatenate([(low.dense() @ x).ravel() for x in case.inputs]) for low in case.updates
    ]
    pairs = zip(case.updates, case.inputs, strict=True)
    left = np.concatenate([(low.dense() @ x).ravel() for low, x in pairs])
    coefficients = np.zeros(len(answers))
    for _ in range(60):
        for j in rng.permutation(len(answers)).tolist():
            step = answers[j] @ left / max(answers[j] @ answers[j], 1e-300)
            coefficients[j] += step
            left = left - step * answers[j]
    return merged(case, coefficients)


def _in_span(case: Case, merge: Merge) -> bool:
    pairs = zip(merge.coefficients, case.updates, strict=True)
    size = sum(abs(float(c)) * low.norm for c, low in pairs)
    claimed = merged(case, merge.coefficients).update
    return (merge.update - claimed).norm <= SAFETY * size


ASSUMPTIONS = {SPAN: _in_span}


def _interpolated() -> tuple[Case, Merge]:
    # Two facts with keys at an angle: a matrix per adapter gets both right, numbers cannot.
    rows, eye = np.array([[1.0, 0.0], [0.6, 0.8]]), np.eye(2)
    pair = tuple(LowRank(eye[:, [i]], rows[[i]]) for i in range(2))
    exact = LowRank(np.diag(np.sum(rows**2, axis=1)), np.linalg.inv(rows.T))
    return Case(pair, tuple(rows[[i]].T for i in range(2))), Merge(exact, np.ones(2))


CONTROLS = (Control("the interpolating merge, a matrix for each adapter", SPAN, _interpolated),)

THEOREM: Theorem[Case, Merge] = Theorem.of(__name__)
