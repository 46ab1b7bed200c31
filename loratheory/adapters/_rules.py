r"""Merge rules in closed form: rules that act on updates, and two that act on their factors.

A rule makes one (m, n) update of several: ``rule(updates, weights, options)`` is given one update
and one weight for each adapter (1 for rules without weights) and the settings of the merge. The
formulas, sources and costs of all rules are in `_merge`, as are sum and mean; entrywise rules are
in `_entrywise`.

The last two act on factors instead of updates and are kept as warnings: :math:`B A` and
:math:`(B G)(G^{-1} A)` are the same update for every invertible :math:`G`, but these rules treat
them differently (**gauge dependent**), and even in a fixed gauge the product of means is not the
mean of products (``thm:factor-mean-residual``).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.adapters._adapter import AdapterError
from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    device,
    double,
    thin_svd,
    total,
    truncate,
)
from loratheory.shapes import Float


class MergeError(AdapterError):
    """A merge cannot be carried out with the arguments given; the message says why."""


NEGLIGIBLE = 1e-12
"""A singular value below this share of the largest counts as zero."""

SAME = 1e-8
"""Unit vectors closer than this count as the same: rounding cannot tell them apart reliably."""


@dataclass(frozen=True)
class Options:
    """The settings of one merge, for one module."""

    module: str = "update"  #: The module's name, for messages and for the random stream.
    space: str = "full"  #: Coordinates of entrywise rules: ``full``, ``knots`` or ``core``.
    rank: int | None = None  #: Largest rank of the result; None truncates nothing.
    density: int | float = 1.0  #: Share of entries kept, in (0, 1].
    ridge: int | float = 0.0  #: Relative ridge of the interpolating merge and of RegMean.
    moments: tuple[Array, ...] = ()  #: For each adapter a (k, n) root of its second moment.
    seed: int = 0  #: Seed of rules that draw at random.

    def generator(self, position: int) -> np.random.Generator:
        """Return the random stream of the adapter at `position`, fixed by seed and module name."""
        return np.random.default_rng([self.seed, position, *self.module.encode()])

    def limit(self, low: LowRank) -> LowRank:
        """Return `low` truncated to the rank, if one is given; `low` itself may be overwritten."""
        if self.rank is None or low.width <= self.rank:
            return low
        return truncate(low, self.rank)


Updates = Sequence[LowRank]
Weights = Sequence[float]
Rule = Callable[[Updates, Weights, Options], LowRank]
"""``rule(updates, weights, options)``: the merged update of one module."""


def chebyshev(updates: Updates, _: Weights, __: Options) -> LowRank:
    """Return the centre of the smallest ball that contains all updates.

    It is a convex combination of the updates, found from inner products alone; of two, the mean.
    Its largest distance to an adapter is the least of all merges made without data
    (``thm:minimax-merge``).
    """
    updates = [low.map(double) for low in updates]
    gram = np.array([[low.inner(other) for other in updates] for low in updates])
    return total(updates, enclosing_weights(gram).tolist())


def enclosing_weights(gram: Float[Array, "k k"]) -> Float[Array, " k"]:
    """Return convex weights of the centre of the smallest ball around points, from inner products.

    In each round the farthest point joins those on the sphere, and the centre is solved for; if a
    weight would become negative, the step stops where it is zero and that point is left out. This
    is exact up to rounding after about k rounds, O(k^4). The number of rounds is limited, which
    matters only if squares underflow.
    """
    k = len(gram)
    # of size 1, and a little height of its own for each point, so that each solution exists
    gram = gram / (np.diagonal(gram).max() or 1.0) + 1e-13 * np.eye(k)
    energies, weights, chosen = np.diagonal(gram), np.eye(k)[0], [0]
    for _ in range(10 * k):
        distances = energies - 2 * gram @ weights  # squared, less those of the centre from 0
        far = int(np.argmax(distances))
        if distances[far] - distances[chosen].max() <= 1e-12:
            break
        chosen.append(far)
        while True:
            one = np.ones((len(chosen), 1))
            system = np.block([[2 * gram[np.ix_(chosen, chosen)], one], [one.T, np.zeros((1, 1))]])
            solution = np.linalg.solve(system, np.append(energies[chosen], 1.0))[:-1]
            before = weights[chosen]
            falling = solution <= 0
            step = min([1.0, *(before[falling] / (before - solution)[falling])])
            moved = before + step * (solution - before)
            weights = np.zeros(k)
            weights[chosen] = np.maximum(moved, 0)
            if not falling.any():
                break
            chosen = [i for i in chosen if weights[i] > 1e-15]
    return weights / weights.sum()


def truncated(updates: Updates, weights: Weights, options: Options) -> LowRank:
    """Return the matrix of the given rank nearest to the weighted sum, without its (m, n) array."""
    return options.limit(total(list(updates), weights))


def iso(updates: Updates, weights: Weights, _: Options) -> LowRank:
    r"""Return the weighted sum with each nonzero singular value replaced by their mean.

    The published code averages over all :math:`\min(m, n)` singular values and fills the null space
    with arbitrary pairs of directions; that suits task vectors of full rank, but shrinks adapters
    strongly and adds noise. Here singular values below 1e-12 of the largest do not count, so that
    the nuclear norm is kept. The rule is discontinuous where the rank changes.
    """
    left, sigma, right = total(list(updates), weights).svd().above(NEGLIGIBLE)
    if not sigma.shape[0]:
        return LowRank(left, right)
    return LowRank(float(array_namespace(sigma).mean(sigma)) * left, right)


def tsv(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the sum of all singular triples :math:`U_j \Sigma_j V_j^\top`, made orthonormal.

    As published, each update contributes its :math:`\min(m, n) / K` strongest triples, at least
    one; most adapters have no more. Where vectors of different adapters coincide (up to 1e-8) the
    polar factor, which makes them orthonormal, is not unique; the one taken here adds no new
    direction, so that copies of one adapter merge to that adapter.
    """
    share = max(1, min(updates[0].shape) // len(updates))
    parts = [low.svd().above(NEGLIGIBLE).leading(share) for low in updates]
    xp = array_namespace(parts[0].sigma)
    left = _polar(xp.concat([part.left for part in parts], axis=1))
    right = _polar(xp.concat([part.right.T for part in parts], axis=1))
    sigma = xp.concat([weight * part.sigma for part, weight in zip(parts, weights, strict=True)])
    return options.limit(LowRank(left * sigma, right.T))


def _polar(frames: Float[Array, "m c"]) -> Float[Array, "m c"]:
    """The partial isometry nearest to these columns, zero where they are dependent."""
    if 0 in frames.shape:
        return frames
    left, _, right = thin_svd(frames).above(SAME)
    return left @ right


def interpolate(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the least matrix that acts as :math:`w_j \Delta_j` on each row space :math:`S_j`.

    With orthonormal bases :math:`Q_j` of the row spaces and projectors :math:`P_j`,

    .. math::
        \Delta^* = [w_1 \Delta_1 Q_1 \dots w_K \Delta_K Q_K]\,[Q_1 \dots Q_K]^+
                 = \Big(\sum_j w_j \Delta_j\Big) \Big(\sum_j P_j\Big)^+ .

    Where the row spaces are not independent it minimises
    :math:`\sum_j \|(\Delta - w_j \Delta_j) Q_j\|_F^2`. With a ridge :math:`\lambda` the second
    inverse becomes :math:`(\sum_j P_j + \lambda \mu I)^{-1}`, :math:`\mu` the largest eigenvalue of
    :math:`\sum_j P_j`. An adapter of weight zero is not left out: the merge then does nothing on
    its row space. ``thm:interpolation-price`` says how large the merge can become. When the row
    spaces are independent, RegMean without shrinkage on data that fill them and the fixed point of
    least norm of WUDI-Merging are this matrix.
    """
    updates = [low.map(double) for low in updates]
    bases = [low.row_space() for low in updates]
    images = [w * (low @ basis) for low, basis, w in zip(updates, bases, weights, strict=True)]
    xp = array_namespace(bases[0])
    image = xp.concat(images, axis=1)
    left, sigma, right = thin_svd(xp.concat(bases, axis=1)).above(SAME)
    if not sigma.shape[0]:
        return LowRank(image[:, :0], left.T)
    inverse = sigma / (sigma**2 + options.ridge * float(sigma[0]) ** 2)
    return options.limit(LowRank(image @ (right.T * inverse), left.T))


def regmean(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the merge that is nearest to each adapter on that adapter's own inputs.

    With the second moments :math:`M_j = R_j^\top R_j` of the inputs, from roots :math:`R_j`, it is
    :math:`(\sum_j w_j \Delta_j M_j) (\sum_j M_j)^+`, which minimises :math:`\sum_j
    \operatorname{tr}(\Delta - w_j \Delta_j) M_j (\Delta - w_j \Delta_j)^\top`
    (``thm:fisher-floor``) and is 0 orthogonally to all inputs. A ridge :math:`\lambda` adds to each
    :math:`M_j` the mean of its diagonal times :math:`\lambda`: on directions without inputs the
    merge is then a mean of the updates, and similar inputs cannot make it arbitrarily large. With a
    rank, it minimises the same among matrices of that rank. Without moments all inputs count
    equally. No dense update or moment is formed.
    """
    updates = [low.map(double) for low in updates]
    xp, (_, n) = array_namespace(updates[0].up), updates[0].shape
    place = {"dtype": updates[0].up.dtype, "device": device(updates[0].up)}
    roots, shares = [xp.zeros((0, n), **place) for _ in updates], [1.0] * len(updates)
    if options.moments:
        roots = [xp.asarray(root, **place) for root in options.moments]
        shares = [options.ridge * float(xp.sum(root**2)) / max(n, 1) for root in roots]
    left, sigma, right = thin_svd(xp.concat(roots, axis=0)).above(SAME)
    ends = np.cumsum([0, *(int(root.shape[0]) for root in roots)]).tolist()
    seen, unseen = [], []  # the rows of sum_j w_j D_j M_j on the axes seen by anybody, and beside
    for j, (low, weight, root, share) in enumerate(
        zip(updates, weights, roots, shares, strict=True)
    ):
        rows = low.down @ right.T
        answers = (low.down @ root.T) @ left[ends[j] : ends[j + 1], :] * sigma
        seen.append(weight * (answers + share * rows))
        unseen.append(weight * share * (low.down - rows @ right))
    spectrum, rest = (sigma**2 + sum(shares)) ** 0.5, sum(shares) ** 0.5 or 1.0
    ups = xp.concat([low.up for low in updates], axis=1)
    white = xp.concat(seen, axis=0) / spectrum @ right + xp.concat(unseen, axis=0) / rest
    kept = options.limit(LowRank(ups, white))  # where inputs are white the nearest is the best
    rows = kept.down @ right.T
    return LowRank(kept.up, rows / spectrum @ right + (kept.down - rows @ right) / rest)


def factor_mean(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the product of averaged factors, as when adapter files are averaged by tensor.

    Each adapter's own product has the coefficient :math:`1/k^2`, not :math:`1/k`, and there are
    cross terms :math:`B_i A_j`. This and `factor_linear` raise MergeError where widths differ.
    """
    share = [weight / len(updates) for weight in weights]
    return _summed(updates, share, share, options)


def factor_linear(updates: Updates, weights: Weights, options: Options) -> LowRank:
    """Return the product of two weighted sums of factors: the weighted sum plus all cross terms.

    Each weight's sign goes to the second factor. It equals PEFT's ``linear`` if all adapters have
    the same scale, which PEFT splits between the factors while here it is part of the first.
    """
    root = [math.sqrt(abs(weight)) for weight in weights]
    signed = [math.copysign(side, weight) for side, weight in zip(root, weights, strict=True)]
    return _summed(updates, root, signed, options)


def _summed(updates: Updates, ups: Weights, downs: Weights, options: Options) -> LowRank:
    """Sum the factors with their own coefficients."""
    widths = sorted({low.width for low in updates if low.width})
    if len(widths) > 1:
        message = (
            f"{options.module} has factors of inner sizes {widths}: a rule that adds factors needs "
            "equal ranks; choose cat, svd or mean, which add the updates themselves"
        )
        raise MergeError(message)
    updates = [low.map(double) for low in updates]
    (m, n), width = updates[0].shape, widths[0] if widths else 0
    xp = array_namespace(updates[0].up)
    place = {"dtype": updates[0].up.dtype, "device": device(updates[0].up)}
    up, down = xp.zeros((m, width), **place), xp.zeros((width, n), **place)
    for low, left, right in zip(updates, ups, downs, strict=True):
        if low.width:
            up, down = up + left * low.up, down + right * low.down
    return LowRank(up, down)
