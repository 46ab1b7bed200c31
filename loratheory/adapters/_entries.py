r"""What entrywise rules are made of: filters that sparsify an array, and ways to combine several.

A filter maps a block of rows to that block with some entries set to zero. It is made once for
each update, from its blocks, its density and its random stream.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from loratheory.adapters._options import NEGLIGIBLE
from loratheory.lowrank import Array, array_namespace, device

Filter = Callable[[Array], Array]
Sparsify = Callable[[Iterator[Array], int | float, np.random.Generator], Filter]
Combine = Callable[[Sequence[Array], Sequence[float]], Array]


def trim(blocks: Iterator[Array], density: int | float, rng: np.random.Generator) -> Filter:
    """Return the filter that keeps the top `density` share of the entries by magnitude.

    Parameters
    ----------
    blocks : iterator of (rows, q) arrays
        The update, block by block.
    density : float
        Share of the entries to keep, in (0, 1].
    rng : numpy.random.Generator
        Not used.

    Returns
    -------
    callable
        Keeps what is at least the k-th largest magnitude, ``k = floor(density size)`` but no less
        than 1. Equals up to rounding are all kept, so that no order among them is invented (PEFT
        keeps arbitrary ones). Costs a sort of all magnitudes of this update.
    """
    del rng
    sizes = [abs(block) for block in blocks]
    xp = array_namespace(*sizes)
    ordered = xp.sort(xp.concat([xp.reshape(size, (-1,)) for size in sizes]))
    count = int(ordered.shape[0])
    keep = max(1, math.floor(density * count + 1e-9))
    least = float(ordered[count - keep]) * (1 - 1e-12)
    return lambda block: xp.where(abs(block) >= least, block, xp.zeros_like(block))


def drop(blocks: Iterator[Array], density: int | float, rng: np.random.Generator) -> Filter:
    """Return the filter that keeps each entry with probability `density` and divides by it.

    Parameters
    ----------
    blocks : iterator of (rows, q) arrays
        Not used.
    density : float
        Probability to keep an entry, in (0, 1].
    rng : numpy.random.Generator
        Read row by row: as long as blocks come in order, their sizes do not matter.

    Returns
    -------
    callable
        Unbiased; the variance of an entry ``x`` is ``x^2 (1 - density) / density``.
    """
    del blocks

    def _kept(block: Array) -> Array:
        xp = array_namespace(block)
        mask = xp.asarray(rng.random(tuple(block.shape)) < density, device=device(block))
        return xp.where(mask, block / density, xp.zeros_like(block))

    return _kept


def added(blocks: Sequence[Array], weights: Sequence[float]) -> Array:
    """Return the weighted sum of arrays."""
    return sum(weight * block for block, weight in zip(blocks, weights, strict=True))


def elected(blocks: Sequence[Array], weights: Sequence[float]) -> Array:
    r"""Return the disjoint weighted mean of arrays: only those who agree with the sum count.

    Parameters
    ----------
    blocks : list of (p, q) arrays
        One an adapter.
    weights : list of float
        One an adapter; signs count.

    Returns
    -------
    (p, q) array
        With :math:`s = \mathrm{sign} \sum_j w_j x_j` and the agreeing adapters
        :math:`A = \{j : \mathrm{sign}(w_j x_j) = s \ne 0\}`, each entry is
        :math:`\sum_A w_j x_j / \sum_A |w_j|`; it is 0 where the weighted sum vanishes. Votes and
        sums below 1e-12 of :math:`\sum_j |w_j x_j|` count as 0: an entry that is zero but for the
        rounding of a factored product has no vote, or it would halve the entries it meets.
    """
    xp = array_namespace(*blocks)
    total = added(blocks, weights)
    floor = NEGLIGIBLE * added([abs(block) for block in blocks], [abs(w) for w in weights])
    zero, one = xp.zeros_like(total), xp.ones_like(total)
    sign = xp.where(abs(total) > floor, xp.sign(total), zero)
    top, bottom = zero, zero
    for block, weight in zip(blocks, weights, strict=True):
        vote = weight * block
        agrees = (xp.sign(vote) == sign) & (abs(vote) > floor)
        top = top + xp.where(agrees, vote, zero)
        bottom = bottom + xp.where(agrees, abs(weight) * one, zero)
    return top / xp.where(bottom > 0, bottom, one)
