r"""Attention's low-rank bottleneck: which patterns a head of size `h` can compute.

**Statement.** A head of size h misses the log-odds of an attention pattern over n given tokens by a
squared error, summed over queries and pairs of tokens and divided by n, of at least that of the
scores that these tokens allow plus the energy of the best such scores, centred, beyond rank h; some
head misses by no more.

Let the columns of :math:`X \in \mathbb{R}^{d \times n}` be tokens and those of :math:`A \in
\mathbb{R}^{n \times n}` the log-attention that each as a query should pay to all. With :math:`J =
1 - \mathbf{1}\mathbf{1}^\top / n`, let :math:`C = \Pi J A\, \Pi'` for the projections :math:`\Pi`
on the range of :math:`J X^\top` and :math:`\Pi'` on that of :math:`X^\top`. A head with
:math:`W_Q, W_K \in \mathbb{R}^{h \times d}` misses the log-odds of the pattern by

.. math:: \frac1n \sum_j \sum_{s < t} \delta_{stj}^2 \;\ge\; \|J A - C\|_F^2 + \sum_{i > h}
    \sigma_i(C)^2,

and some head attains it. If the tokens are linearly independent, :math:`C = J A`: the pattern is
reached exactly iff :math:`h \ge \operatorname{rank} J A = \min_c \operatorname{rank}(A +
\mathbf{1} c^\top)`, so :math:`h = n - 1` suffices for every positive pattern and is needed for all
but a null set of them, where :math:`\operatorname{rank} J A < n - 1`.

**Proof.** The scores are :math:`X^\top M X` with :math:`M = W_K^\top W_Q / \sqrt h`, any matrix of
rank at most :math:`h`. As for ``thm:softmax-bottleneck`` the left side is :math:`\|Z - J A\|_F^2`
with :math:`Z = J X^\top M X = \Pi Z \Pi'`, and each such :math:`Z` of rank :math:`\le h` arises,
from :math:`M = (J X^\top)^+ Z X^+`. By Pythagoras that is :math:`\|J A - C\|_F^2 + \|Z - C\|_F^2`;
Eckart and Young minimise the second part, and the truncation of :math:`C` is such a :math:`Z`. If
:math:`X` has rank :math:`n`, then :math:`\Pi = J` and :math:`\Pi' = 1`. :math:`\square`

**What it does not say.** The literature's head size :math:`n` is not necessary, :math:`n - 1` is.
One head: averaging two leaves the class (a control); top-1 attention needs size 2.

**What it tells someone who merges adapters.** Adapters of :math:`W_Q, W_K` cannot widen a head,
however many are summed: graded retrieval among :math:`n` stored items with free targets needs a
head of size :math:`n - 1` from the start.

References
----------
Bhojanapalli et al., arXiv:2002.07028 (2020).
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, Svd, array_namespace, from_dense, with_spectrum
from loratheory.shapes import Float
from loratheory.theorems._arrays import alternating
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness.softmax_bottleneck import (
    centred,
    log_odds_error,
    log_softmax,
)

SENSE = "lower"
SOURCE = "Bhojanapalli et al. (2020); the exact floor and the threshold n - 1: own"
USES = ("thm:softmax-bottleneck",)

SIZE = "rank of the score form <= head size"


@dataclass(frozen=True, eq=False)
class Case:
    """Tokens as columns, wanted log-attention with one column for each query, and head size."""

    tokens: Float[Array, "d n"]
    target: Float[Array, "n n"]
    head: int

    @property
    def sides(self) -> tuple[Svd, Svd]:
        """Singular value decompositions of the keys ``J X.T`` and queries ``X``, without zeros."""
        xp, sides = array_namespace(self.tokens), []
        tiny = 1e-13 * float(xp.linalg.svdvals(self.tokens)[0])
        for matrix in (centred(self.tokens.T), self.tokens):
            left, sigma, right = xp.linalg.svd(matrix, full_matrices=False)
            keep = int(xp.count_nonzero(sigma > tiny))
            sides.append(Svd(left[:, :keep], sigma[:keep], right[:keep, :]))
        return sides[0], sides[1]

    @property
    def within(self) -> Array:
        """C of the statement: what scores of these tokens can reach of the centred pattern."""
        keys, queries = self.sides
        inner = keys.left.T @ centred(self.target) @ queries.right.T
        return keys.left @ inner @ queries.right


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw independent or dependent tokens, and a pattern of any rank, nearly uniform or sharp."""
    d, n = rng.integers(1, size + 1, 2).tolist()
    width = int(rng.integers(1, min(d, n) + 1)) if rng.random() < 0.3 else min(d, n)
    tokens = with_spectrum(rng, d, n, np.exp(rng.uniform(-1, 1, width)).tolist()).dense()
    scale, ranks = 10.0 ** int(rng.integers(-3, 4)), rng.integers(0, [n + 1, d + 1]).tolist()
    low, form = (with_spectrum(rng, k, k, [scale] * r) for k, r in zip((n, d), ranks, strict=True))
    any_pattern = scale * rng.standard_normal((n, n))
    logits = (any_pattern, low.dense(), tokens.T @ form.dense() @ tokens)[rng.integers(3)]
    tokens = tokens * 10.0 ** int(rng.integers(-3, 4))
    return Case(tokens, log_softmax(logits), int(rng.integers(0, d + 1)))


def bound(case: Case) -> float:
    """Return ‖J A − C‖² plus the energy of C beyond rank h, C being the case's `within`."""
    xp, within = array_namespace(case.target), case.within
    outside = float(xp.sum((centred(case.target) - within) ** 2))
    sigma = xp.linalg.svdvals(within)
    return outside + float(xp.sum(sigma[min(case.head, sigma.shape[0]) :] ** 2))


def attain(case: Case) -> LowRank:
    """Return the score form whose centred scores are the truncation of C to rank h."""
    best, (keys, queries) = from_dense(case.within, case.head), case.sides
    up = keys.right.T @ ((keys.left.T @ best.up) / keys.sigma[:, None])
    return LowRank(up, ((best.down @ queries.right.T) / queries.sigma) @ queries.left.T)


def measure(case: Case, form: LowRank) -> float:
    """Return the squared log-odds error of a head with the score form ``W_K.T @ W_Q / sqrt(h)``."""
    return log_odds_error(case.tokens.T @ form.up @ (form.down @ case.tokens), case.target)


def scale(case: Case) -> float:
    """Return the squared norm of the wanted log-attention, the unit of rounding errors."""
    return float(array_namespace(case.target).sum(case.target**2))


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a random head of the case's size, or the best one perturbed by 1e-12 to 1."""
    best, size = attain(case), 10.0 ** int(rng.integers(-12, 4))
    keep = float(rng.integers(2)) if size < 1 else 0.0
    return LowRank(keep * best.up + size * rng.standard_normal(best.up.shape), best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a head whose two weights are fitted by alternating least squares."""
    wanted, keys = case.target - case.target.mean(axis=0), centred(case.tokens.T)
    return alternating(rng, wanted, case.head, reads=case.tokens, writes=keys, steps=15)


ASSUMPTIONS = {SIZE: lambda case, form: form.width <= case.head}

_TOKENS = np.eye(3)


def _too_wide() -> tuple[Case, LowRank]:
    target = log_softmax(np.diag([3.0, 2.0, 1.0]))
    return Case(_TOKENS, target, head=1), from_dense(centred(target), 2)


def _two_heads() -> tuple[Case, LowRank]:
    first, second = np.outer([1.0, 0, -1], [2.0, -1, 1]), np.outer([0.0, 2, -1], [1.0, 3, -2])
    mixed = np.logaddexp(log_softmax(first), log_softmax(second)) - np.log(2)
    return Case(_TOKENS, mixed, head=1), from_dense(centred(mixed))


CONTROLS = (
    Control("a head of size n - 1 where 1 is allowed", SIZE, _too_wide),
    Control("average the patterns of two heads of size 1", SIZE, _two_heads),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(
    __name__,
    condition=lambda case: math.prod(
        float(s[0]) / float(s[-1]) for _, s, _ in case.sides if s.shape[0]
    ),
)
