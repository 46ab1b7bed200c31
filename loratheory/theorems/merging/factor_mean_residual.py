r"""Factor-mean residual: what averaging the factors loses, and the rank that repairs it.

**Statement.** The factors of k adapters, of inner dimension r, are averaged with weights of sum 1.
The product of the averaged factors differs from the mean of the adapters by the covariance C of the
factors, which has rank at most (k − 1)r. A correction of rank at most q leaves a squared error of
at least Σ_{i>q} σ_i(C)², and some correction attains this.

Let adapters :math:`U_i V_i`, with :math:`U_i \in \mathbb{R}^{m \times r}` and :math:`V_i \in
\mathbb{R}^{r \times n}`, have weights :math:`w_1 + \dots + w_k = 1`, and let :math:`\bar U = \sum
w_i U_i`, :math:`\bar V = \sum w_i V_i`. Then

.. math::
    \sum_i w_i U_i V_i - \bar U \bar V = \sum_i w_i (U_i - \bar U)(V_i - \bar V) =: C,
    \qquad \operatorname{rank} C \le (k - 1) r.

So every correction :math:`\Delta` of rank at most :math:`q` leaves :math:`\|\bar U \bar V + \Delta
- \sum w_i U_i V_i\|_F^2 \ge \sum_{i > q} \sigma_i(C)^2`. Equality holds at
:math:`\mathrm{LR}_q(C)`, the truncation of :math:`C` to rank :math:`q`. If all :math:`U_i` are
equal, or all :math:`V_i`, then :math:`C = 0`.

**Proof.** As the weights sum to 1, the right side expands to :math:`\sum w_i U_i V_i - \bar U \bar
V - \bar U \bar V + (\sum w_i) \bar U \bar V`, which is the left side. As :math:`\sum w_i (U_i -
\bar U) = 0`, one term :math:`j` can be eliminated: :math:`C = \sum_{i \ne j} w_i (U_i - \bar U)(V_i
- V_j)`. So the rank is at most :math:`(k - 1) r`. The theorem of Eckart and Young gives the rest.
:math:`\square`

**Implication.** Averaging the factors `A` and `B` separately is not averaging the updates. The
difference depends on how each adapter happens to be factored. A correction of rank :math:`(k - 1)
r` removes it.

**Scope.** :math:`C` is not a property of the updates alone: other factors :math:`(U G, G^{-1} V)`
of the same adapter change it. In :math:`\bar U \bar V` each adapter's own product is scaled by
:math:`w_i^2` instead of :math:`w_i`, and cross terms :math:`w_i w_j U_i V_j` appear.

References
----------
Singhal et al. (FedEx-LoRA), arXiv:2410.09432; Wang et al. (FLoRA), arXiv:2409.05976.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from operator import mul

import numpy as np

from loratheory.lowrank import Array, LowRank, gaussian, total, truncate
from loratheory.theorems._arrays import fit_alternating, norm, perturb
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "own; the residual for equal weights: Singhal et al. (2024)"

RANK = "rank(correction) <= q"
WEIGHTS = "weights that sum to 1"


@dataclass(frozen=True, eq=False)
class Case:
    """Adapters of equal shape and width, their weights, and the rank of the correction."""

    adapters: tuple[LowRank, ...]
    weights: tuple[float, ...]
    rank: int

    @property
    def factors(self) -> tuple[list[Array], list[Array]]:
        """The adapters' `up` factors and their `down` factors."""
        return [low.up for low in self.adapters], [low.down for low in self.adapters]


def factor_mean(case: Case) -> LowRank:
    """Return the adapter whose two factors are the weighted means of the adapters' factors."""
    up, down = (sum(map(mul, case.weights, factors)) for factors in case.factors)
    return LowRank(up, down)


def residual(case: Case) -> LowRank:
    """Return the mean of the updates minus the factor mean: the covariance of the factors.

    With weights of sum 1 it is the sum over pairs of the products of their factors' differences.
    """
    parts, shares = [case.adapters[0]], [0.0]
    for (w, one), (v, two) in combinations(zip(case.weights, case.adapters, strict=True), 2):
        parts.append(LowRank(one.up - two.up, one.down - two.down))
        shares.append(w * v)
    return total(parts, shares)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters whose factors are unrelated, close or shared, and any weights of sum 1."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    base = gaussian(rng, m, n, int(rng.integers(1, min(m, n, 8) + 1)))
    scale = 10.0 ** int(rng.integers(-6, 7))
    spread = rng.choice([0.0, 1e-8, 1.0], 2, p=[0.15, 0.15, 0.7])
    ups = scale * (base.up + spread[0] * rng.standard_normal((k, *base.up.shape)))
    downs = base.down + spread[1] * rng.standard_normal((k, *base.down.shape))
    # negative weights are allowed as long as they sum to 1
    signed = rng.standard_normal(k)
    choices = (np.full(k, 1 / k), rng.dirichlet(np.ones(k)), signed + (1 - signed.sum()) / k)
    weights = tuple(choices[rng.integers(3)].tolist())
    most = min(m, n, (k - 1) * base.width + 1)  # one beyond what the residual can have
    return Case(tuple(map(LowRank, ups, downs)), weights, int(rng.integers(0, most + 1)))


def bound(case: Case) -> float:
    """Return the energy of the residual C beyond rank q, which is 0 from q = (k - 1) r on."""
    # k centred factors of width r span (k - 1) r directions at most
    enough = (len(case.adapters) - 1) * case.adapters[0].width
    return residual(case).tail_energy(case.rank) if case.rank < enough else 0.0


def attain(case: Case) -> LowRank:
    """Return LR_q(C), the best rank-q approximation of the residual C, by truncation."""
    return truncate(residual(case), case.rank)


def measure(case: Case, correction: LowRank) -> float:
    """Return the squared distance of the corrected factor mean from the mean of the updates."""
    # factor mean plus correction, less the mean of the updates
    weights = [1.0, 1.0, *(-w for w in case.weights)]
    return total([factor_mean(case), correction, *case.adapters], weights).norm ** 2


def scale(case: Case) -> float:
    """Return a bound of the squared norms that are compared, the unit of rounding errors."""
    heavy = sum(map(abs, case.weights))
    up, down = (max(map(norm, factors)) for factors in case.factors)
    return (heavy * (1 + heavy) * up * down) ** 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a random correction of rank q, or the best one slightly perturbed."""
    return perturb(rng, attain(case), case.rank)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a rank-q fit of C by alternating least squares, which takes no singular values."""
    ups, downs = map(np.stack, case.factors)
    # the residual in dense arrays: the fit shares no code with the bound
    mean = np.tensordot(case.weights, ups, 1) @ np.tensordot(case.weights, downs, 1)
    return fit_alternating(rng, np.tensordot(case.weights, ups @ downs, 1) - mean, case.rank)


ASSUMPTIONS = {
    RANK: lambda case, correction: correction.width <= case.rank,
    WEIGHTS: lambda case, _: abs(math.fsum(case.weights) - 1) < 1e-12,
}


def _one_and_zero(weight: float, correction: float) -> tuple[Case, LowRank]:
    one, width = np.ones((1, 1)), int(correction != 0)
    case = Case((LowRank(one, one), LowRank(0 * one, 0 * one)), (weight, weight), rank=0)
    return case, LowRank(correction * one[:, :width], one[:width])


CONTROLS = (
    Control("correct by rank 1 where none is allowed", RANK, lambda: _one_and_zero(0.5, 0.25)),
    Control("factors added, not averaged", WEIGHTS, lambda: _one_and_zero(1.0, 0.0)),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
