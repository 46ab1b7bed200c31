r"""Merge rules in closed form: of the updates themselves, and of their factors as a warning.

A rule makes one (m, n) update of several: ``rule(updates, weights, options)`` is given one update
and one weight an adapter (1 each where it takes none) and the settings of the merge. Formulas,
sources and costs of all rules stand in `_merge`, and there the sum and the mean; rules of entries
are in `_entrywise`.

The last two act on factors instead of updates and are kept as warnings: :math:`B A` and
:math:`(B G)(G^{-1} A)` are the same update for every invertible :math:`G`, but they treat them
differently (**gauge dependent**), and even in a fixed gauge the product of means is not the mean of
products (``thm:factor-mean-residual``).
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
    """A merge was asked for that cannot be carried out as stated."""


NEGLIGIBLE = 1e-12
"""A singular value below this share of the largest counts as zero."""

SAME = 1e-8
"""Unit directions closer than this count as one: rounding cannot tell them apart reliably."""


@dataclass(frozen=True)
class Options:
    """The settings of one merge, for one module."""

    module: str = "update"  #: Its name, for messages and for the random stream.
    space: str = "full"  #: Where entrywise rules look at entries: ``full``, ``knots``, ``core``.
    rank: int | None = None  #: Truncate the result to this rank; None keeps everything.
    density: int | float = 1.0  #: Share of entries kept, in (0, 1].
    ridge: int | float = 0.0  #: Relative ridge of the interpolating merge and of RegMean.
    moments: tuple[Array, ...] = ()  #: Roots (k, n) of the inputs' second moments, one an adapter.
    seed: int = 0  #: Where the random rules start.

    def generator(self, position: int) -> np.random.Generator:
        """Random stream of the adapter at `position`: the same in whatever order modules come."""
        return np.random.default_rng([self.seed, position, *self.module.encode()])

    def limit(self, low: LowRank) -> LowRank:
        """Truncate a matrix of the rule's own, which is lost, to the rank if one is given."""
        if self.rank is None or low.width <= self.rank:
            return low
        return truncate(low, self.rank, overwrite=True)


Updates = Sequence[LowRank]
Weights = Sequence[float]
Rule = Callable[[Updates, Weights, Options], LowRank]
"""``rule(updates, weights, options)``: the merged update of one module."""


def chebyshev(updates: Updates, _: Weights, __: Options) -> LowRank:
    """The centre of the smallest ball that holds all updates, which serves the worst adapter best.

    Convex weights of the adapters, found from inner products alone; the mean for two. No merge
    that sees no data has a smaller largest distance to an adapter (``thm:minimax-merge``).
    """
    updates = [low.map(double) for low in updates]
    gram = np.array([[low.inner(other) for other in updates] for low in updates])
    return total(updates, enclosing_weights(gram).tolist())


def enclosing_weights(gram: Float[Array, "k k"]) -> Float[Array, " k"]:
    """Convex weights of the centre of the smallest ball around points with these inner products.

    Grow the set of points on the sphere by the farthest one and solve for the centre; where a
    weight would turn negative, go as far as it stays positive and leave that point out. Exact but
    for rounding after about k rounds, O(k^4); more are cut off, for only squares that underflow
    could ask for them.
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
    """The matrix of that rank nearest to the weighted sum; PEFT's `svd` forms the (m, n) sum."""
    return options.limit(total(list(updates), weights))


def iso(updates: Updates, weights: Weights, _: Options) -> LowRank:
    r"""The weighted sum with its nonzero singular values made equal to their mean.

    The published code averages over all :math:`\min(m, n)` singular values and fills null
    directions with arbitrary pairs: right for full-rank task vectors, a strong shrinkage plus noise
    for adapters. Here singular values below 1e-12 of the largest do not count, so the nuclear norm
    stays. Discontinuous where the rank changes.
    """
    left, sigma, right = total(list(updates), weights).svd().above(NEGLIGIBLE)
    if not sigma.shape[0]:
        return LowRank(left, right)
    return LowRank(float(array_namespace(sigma).mean(sigma)) * left, right)


def tsv(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""All singular triples :math:`U_j \Sigma_j V_j^\top` kept, their vectors made orthonormal.

    As published, each update brings at most its :math:`\min(m, n) / K` strongest triples (but at
    least one), which most adapters stay below. Where vectors of different adapters coincide (up to
    1e-8) the polar factor is not unique; this one adds no direction of its own, so that copies of
    one adapter merge to that adapter.
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
    r"""The least matrix that acts as :math:`w_j \Delta_j` on each row space :math:`S_j`.

    With orthonormal bases :math:`Q_j` of the row spaces and projectors :math:`P_j`,

    .. math::
        \Delta^* = [w_1 \Delta_1 Q_1 \dots w_K \Delta_K Q_K]\,[Q_1 \dots Q_K]^+
                 = \Big(\sum_j w_j \Delta_j\Big) \Big(\sum_j P_j\Big)^+ .

    Where the row spaces are not independent it minimises
    :math:`\sum_j \|(\Delta - w_j \Delta_j) Q_j\|_F^2`. With a ridge :math:`\lambda` the second
    inverse becomes :math:`(\sum_j P_j + \lambda \mu I)^{-1}`, :math:`\mu` the largest eigenvalue of
    :math:`\sum_j P_j`. An adapter of weight zero is not left out: the merge then does nothing on
    its row space. The price is ``thm:interpolation-price``. When the row spaces are independent,
    RegMean without shrinkage on data that fill them, and WUDI-Merging at its fixed point of least
    norm, are this matrix.
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
    r"""The merge nearest to each adapter on that adapter's own inputs, of second moments M.

    With roots :math:`R_j`, :math:`M_j = R_j^\top R_j`, it is :math:`(\sum_j w_j \Delta_j M_j)
    (\sum_j M_j)^+`, which minimises :math:`\sum_j \operatorname{tr}(\Delta - w_j \Delta_j) M_j
    (\Delta - w_j \Delta_j)^\top` (``thm:fisher-floor``) and is 0 on inputs that nobody has seen. A
    ridge :math:`\lambda` adds :math:`\lambda` times the mean of its diagonal to each :math:`M_j`:
    inputs that nobody has seen then get a mean of the updates, and answers to inputs that are
    almost alike do not grow without bound. A rank is kept as the floor does. Without moments all
    inputs count alike. Factors only: no update and no moment is formed.
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
    r"""What averaging adapter files tensor by tensor gives, the default of some libraries.

    Each adapter's own product enters with :math:`1/k^2`, not :math:`1/k`, beside cross terms
    :math:`B_i A_j`. Refused with `MergeError` where the widths differ, as `factor_linear`.
    """
    share = [weight / len(updates) for weight in weights]
    return _summed(updates, share, share, options)


def factor_linear(updates: Updates, weights: Weights, options: Options) -> LowRank:
    """The weighted sum plus all cross terms; the signs of weights go to the second factor.

    Equal to PEFT's `linear` where all adapters have one scale; PEFT splits each scale between the
    factors, here it sits in the first.
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
