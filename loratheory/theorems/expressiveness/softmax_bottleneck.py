r"""Softmax bottleneck: the log-odds that a rank-`r` change of the logits cannot reach.

**Statement.** A change of rank at most r of a softmax head's logits leaves a squared log-odds
error, summed over contexts and pairs of tokens and divided by the number of tokens, of at least the
energy beyond rank r of the centred log-probabilities that were missing; some change leaves no more.

Let the columns of :math:`A \in \mathbb{R}^{m \times n}` be log-probabilities of :math:`m` tokens in
:math:`n` contexts, :math:`B` the logits of a frozen head (0 for a new one), and :math:`J = 1 -
\mathbf{1}\mathbf{1}^\top / m`. For every :math:`\Delta` of rank at most :math:`r` the softmax of
:math:`B + \Delta` misses the log-odds :math:`A_{sj} - A_{tj}` by some :math:`\delta_{stj}` with

.. math:: \frac1m \sum_j \sum_{s < t} \delta_{stj}^2 \;\ge\; \sum_{i > r} \sigma_i\bigl(J (A - B)
    \bigr)^2,

with equality at the rank-:math:`r` truncation of :math:`J(A - B)`. So the distributions are reached
exactly iff :math:`r \ge \operatorname{rank} J(A - B)`, which is :math:`\operatorname{rank}(A - B)`
or one less. A head of hidden size :math:`d` is the case :math:`B = 0`, :math:`r = d`.

**Proof.** Softmax subtracts a number from each column, which log-odds do not see. For a column
:math:`x`, :math:`\sum_{s<t} (x_s - x_t)^2 = m \sum_t x_t^2 - (\sum_t x_t)^2 = m \|J x\|^2`, so the
left side is :math:`\|J(B + \Delta - A)\|_F^2`. As :math:`J \Delta` has rank at most :math:`r`,
Eckart and Young give the bound, and the truncation, whose columns sum to 0 like those of :math:`J(A
- B)`, attains it. :math:`J X` differs from :math:`X` by rank one. :math:`\square`

**What it does not say.** The floor is on log-odds; cross-entropy weighs them by probability, and
top-1 needs far less (``thm:argmax-rank``). It assumes free hidden states: frozen ones with fewer
than :math:`n` independent columns raise it.

**What it tells someone who merges adapters.** An unembedding adapter of rank :math:`r` moves the
centred log-probabilities of any contexts by rank :math:`r` only, and a sum of :math:`k` such
adapters by :math:`kr`.

References
----------
Yang et al., arXiv:1711.03953 (2018), whose condition :math:`d < \operatorname{rank} A - 1` is
sharpened here. :math:`J \log p` is the centred log-ratio, the norm Aitchison's (1986).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense, gaussian, truncate
from loratheory.shapes import Float
from loratheory.theorems._arrays import nudged
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "Yang et al. (2018); the exact floor: own, from Eckart and Young (1936)"

RANK = "rank(change of the logits) <= r"


def log_softmax(logits: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Return the log-probabilities of each column of logits."""
    xp = array_namespace(logits)
    low = logits - xp.max(logits, axis=0)
    return low - xp.log(xp.sum(xp.exp(low), axis=0))


def centred(logits: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Subtract from each column its mean, which gives the centred log-ratios of its softmax."""
    return logits - array_namespace(logits).mean(logits, axis=0)


def log_odds_error(logits: Float[Array, "m n"], target: Float[Array, "m n"]) -> float:
    """Return the squared log-odds error, summed over contexts and pairs of tokens, divided by m."""
    xp = array_namespace(logits, target)
    missed = log_softmax(logits) - target
    pairs = missed[:, None, :] - missed[None, :, :]
    return float(xp.sum(pairs**2)) / (2 * missed.shape[0])


@dataclass(frozen=True, eq=False)
class Case:
    """Wanted log-probabilities, frozen logits (tokens as rows), and the rank of the change."""

    target: Float[Array, "m n"]
    base: Float[Array, "m n"]
    rank: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw wanted log-probabilities, and frozen logits: zero, near, a low rank away, or any."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    scale, side = 10.0 ** int(rng.integers(-4, 4)), min(m, n)
    target = log_softmax(scale * rng.standard_normal((m, n)))
    far = scale * rng.standard_normal((m, n))
    low = gaussian(rng, m, n, int(rng.integers(0, side + 1)), scale).dense()
    bases = (0 * far, far, target + 1e-3 * far, target + low + far[:1])
    return Case(target, bases[rng.integers(4)], int(rng.integers(0, side + 1)))


def bound(case: Case) -> float:
    """Return the energy beyond rank r of J(A − B), the centred difference of target and base."""
    xp = array_namespace(case.target)
    sigma = xp.linalg.svdvals(centred(case.target - case.base))
    return float(xp.sum(sigma[min(case.rank, sigma.shape[0]) :] ** 2))


def attain(case: Case) -> LowRank:
    """Return the rank-r truncation of J(A − B), the centred difference of target and base."""
    return truncate(from_dense(centred(case.target - case.base)), case.rank)


def measure(case: Case, change: LowRank) -> float:
    """Return the squared log-odds error of the softmax of the changed logits."""
    return log_odds_error(case.base + change.dense(), case.target)


def scale(case: Case) -> float:
    """Return the squared norms of target and base added up, the unit of rounding errors."""
    return float(array_namespace(case.target).sum(case.target**2 + case.base**2))


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a random change of rank r, or the best one slightly perturbed."""
    return nudged(rng, attain(case), case.rank, decades=4)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a change fitted by alternating least squares, with a free shift for each context."""
    missing, (m, n) = case.target - case.base, case.target.shape
    up, down = rng.standard_normal((m, case.rank)), np.zeros((case.rank, n))
    for _ in range(30 if case.rank else 0):
        # A last column of ones fits the shift of each context, which softmax does not see.
        bordered = np.concatenate([up, np.ones((m, 1))], axis=1)
        both = np.linalg.lstsq(bordered, missing, rcond=None)[0]
        down = both[:-1]
        up = np.linalg.lstsq(down.T, (missing - both[-1:]).T, rcond=None)[0].T
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, change: change.width <= case.rank}


def _too_rich() -> tuple[Case, LowRank]:
    target = log_softmax(np.diag([3.0, 2.0, 1.0]))
    return Case(target, 0 * target, rank=1), from_dense(target)


def _mixture() -> tuple[Case, LowRank]:
    first, second = np.outer([1.0, 0.0, -1.0], [2.0, -1.0]), np.outer([0.0, 2.0, -1.0], [1.0, 3.0])
    mixed = np.logaddexp(log_softmax(first), log_softmax(second)) - np.log(2)
    return Case(mixed, 0 * mixed, rank=1), from_dense(mixed)


CONTROLS = (
    Control("spend full rank where 1 is allowed", RANK, _too_rich),
    Control("mix two softmaxes of rank 1", RANK, _mixture),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
