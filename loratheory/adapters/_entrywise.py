r"""Merges that decide entry by entry: which entries to keep, and which sign wins.

Each rule first sparsifies every update with a *filter* (`trim` or `drop`), then combines them
(`added` or `elected`). It acts on coordinates in a *space*: the update itself (`full`), KnOTS
(`knots`) or Core Space (`core`). A space gives orthonormal frames :math:`U` (outputs) and :math:`V`
(inputs) with :math:`\Delta_j = U X_j V^\top` for every update; the rule merges the coordinates
:math:`X_j` into one array :math:`X` and the merged update is :math:`U X V^\top`. Blocks of rows are
merged one after another: beside the merged array no more than `BLOCK` entries of all updates exist
at once, except that `trim` holds the magnitudes of one update at a time.

**Cost.** In the full space it takes ``O(m n R)`` to form entries, ``O(K m n)`` to trim, and the
cost of `from_dense` to return to factors, since masks destroy low rank: ``O(m n s)`` for the ``s``
steps of Lanczos' method, a few times the rank that is kept. In `knots` the arrays are ``(R, n)``
and in `core` ``(R, R)``, with ``R`` the total width of ``K`` updates: nothing of size (m, n) is
formed, the merged array needs no decomposition, and the rank is at most ``R``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import is_numpy_array

from loratheory.adapters._rules import NEGLIGIBLE, Options, Rule, Updates, Weights
from loratheory.lowrank import Array, LowRank, array_namespace, device, double, from_dense, thin_svd
from loratheory.shapes import Float

BLOCK = 2**19
"""Entries of all updates together that are formed at once: few enough for a processor's cache."""

Filter = Callable[[Array], Array]
Sparsify = Callable[[Iterator[Array], int | float, np.random.Generator], Filter]
Combine = Callable[[Sequence[Array], Weights], Array]


def trim(blocks: Iterator[Array], density: int | float, _: np.random.Generator) -> Filter:
    """Return a filter that keeps the share `density` of an update's entries with largest magnitude.

    It keeps all entries that are at least as large as the k-th largest, with
    ``k = max(1, floor(density * size))``. Entries equal to it up to rounding are all kept (PEFT
    keeps an arbitrary choice of them).
    """
    sizes = [abs(block) for block in blocks]
    xp = array_namespace(*sizes)
    flat = xp.concat([xp.reshape(size, (-1,)) for size in sizes])
    count = int(flat.shape[0])
    place = count - max(1, math.floor(density * count + 1e-9))
    if is_numpy_array(flat):
        flat.partition(place)  # a tenth of the time that sorting takes
    else:
        flat = xp.sort(flat)
    least = float(flat[place]) * (1 - 1e-12)
    return lambda block: xp.where(abs(block) >= least, block, xp.zeros_like(block))


def drop(_: Iterator[Array], density: int | float, rng: np.random.Generator) -> Filter:
    """Return a filter that keeps each entry with probability `density` and divides it by `density`.

    The result is unbiased; an entry ``x`` gets variance ``x^2 (1 - density) / density``. Random
    numbers are drawn row by row, so that the sizes of successive blocks do not matter.
    """

    def _kept(block: Array) -> Array:
        xp = array_namespace(block)
        mask = xp.asarray(rng.random(tuple(block.shape)) < density, device=device(block))
        return xp.where(mask, block / density, xp.zeros_like(block))

    return _kept


def added(blocks: Sequence[Array], weights: Weights) -> Array:
    """Return the weighted sum of arrays."""
    return sum(weight * block for block, weight in zip(blocks, weights, strict=True))


def elected(blocks: Sequence[Array], weights: Weights) -> Array:
    r"""Return the entrywise weighted mean of those arrays whose sign agrees with the sum (TIES).

    With :math:`s = \mathrm{sign} \sum_j w_j x_j` and the agreeing adapters
    :math:`A = \{j : \mathrm{sign}(w_j x_j) = s \ne 0\}`, each entry is
    :math:`\sum_A w_j x_j / \sum_A |w_j|`, so that an entry which only one adapter has is not
    averaged down; it is 0 where the weighted sum vanishes, as in the paper's formula. Terms and
    sums below 1e-12 of :math:`\sum_j |w_j x_j|` count as 0: otherwise an entry that is zero up to
    the rounding of a factored product would agree, and halve the entries it meets.

    Tools differ once weights are unequal or negative. PEFT chooses the signs before it applies the
    weights and divides by the *number* of agreeing adapters; mergekit chooses them on weighted
    updates and divides by :math:`\sum_A w_j`, which negative weights can cancel.
    """
    xp = array_namespace(*blocks)
    total = added(blocks, weights)
    floor = NEGLIGIBLE * added([abs(block) for block in blocks], [abs(w) for w in weights])
    zero, one = xp.zeros_like(total), xp.ones_like(total)
    sign = xp.where(abs(total) > floor, xp.sign(total), zero)
    top, bottom = zero, zero
    for block, weight in zip(blocks, weights, strict=True):
        vote = weight * block
        agrees = sign * vote > floor
        top = top + xp.where(agrees, vote, zero)
        bottom = bottom + xp.where(agrees, abs(weight) * one, zero)
    return top / xp.where(bottom > 0, bottom, one)


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Updates in common orthonormal bases: each is ``left @ core @ right``."""

    cores: tuple[LowRank, ...]  #: The coordinates of each update, (p, q).
    left: Float[Array, "m p"] | None = None  #: Orthonormal columns; None stands for the identity.
    right: Float[Array, "q n"] | None = None  #: Orthonormal rows; None stands for the identity.

    def update(self, merged: Float[Array, "p q"], rank: int | None = None) -> LowRank:
        """Return the update with these coordinates; in the full space truncated to `rank`."""
        if self.left is None:
            return from_dense(merged, None if rank is None else min(rank, *merged.shape))
        return LowRank(self.left, merged if self.right is None else merged @ self.right)


def full(updates: Updates) -> Coordinates:
    """Return the updates themselves as their coordinates; costs nothing."""
    return Coordinates(tuple(updates))


def knots(updates: Updates) -> Coordinates:
    r"""Return KnOTS coordinates :math:`X_j = \Sigma V_j^\top = U^\top \Delta_j`, (k, n).

    :math:`U` holds the left singular vectors of :math:`[\Delta_1 \dots \Delta_K]`, see
    `knots_basis`. Unless singular values coincide, the coordinates are unique up to signs, which do
    not change what the rules here return.

    References
    ----------
    Stoica et al., *Model merging with SVD to tie the KnOTS* (ICLR 2025, arXiv 2410.19735).
    """
    left = knots_basis(updates)[0]
    return Coordinates(tuple(LowRank(left.T @ low.up, low.down) for low in updates), left)


def knots_basis(updates: Updates) -> tuple[Float[Array, "m k"], Float[Array, " k"]]:
    r"""Return left singular vectors and singular values of :math:`[\Delta_1 \dots \Delta_K]`.

    Only positive singular values count; the vectors span all outputs of the updates. With
    :math:`A_j^\top = P_j T_j` (QR) the stack is :math:`[B_1 T_1^\top \dots B_K T_K^\top]` times a
    block-diagonal matrix of orthonormal rows, so that the SVD of an (m, R) array gives both, ``R``
    the total width. Costs ``O((m + n) R^2)``, where a dense SVD would cost ``O(K m^2 n)``.
    """
    xp = array_namespace(updates[0].up)
    parts = [low.up @ xp.linalg.qr(low.down.T)[1].T for low in updates if low.width]
    stack = xp.concat(parts, axis=1) if parts else updates[0].up
    return thin_svd(stack).above(NEGLIGIBLE)[:2]


def core(updates: Updates) -> Coordinates:
    r"""Return Core Space coordinates :math:`X_j = U^\top \Delta_j V`, (p, q) with p, q at most R.

    :math:`U` holds the left singular vectors of the stacked first factors
    :math:`[B_1 \dots B_K]`, :math:`V` the right ones of the stacked second factors. In every gauge
    they span all column and row spaces, so that nothing is lost, but *which* axes they are depends
    on the factors: an entrywise rule in this space is **gauge dependent**. It is well defined if
    the adapters are brought into `balanced` form first. Costs ``O((m + n) R^2)``.

    References
    ----------
    Panariello, Marczak et al., *Accurate and efficient low-rank model merging in Core Space*
    (NeurIPS 2025, arXiv 2509.17786).
    """
    xp = array_namespace(updates[0].up)
    ups = xp.concat([low.up for low in updates], axis=1)
    downs = xp.concat([low.down for low in updates], axis=0)
    left, right = (thin_svd(stack).above(NEGLIGIBLE).left for stack in (ups, downs.T))
    cores = tuple(LowRank(left.T @ low.up, low.down @ right) for low in updates)
    return Coordinates(cores, left, right.T)


SPACES: dict[str, Callable[[Updates], Coordinates]] = {"full": full, "knots": knots, "core": core}


def entrywise(sparsify: Sparsify, combine: Combine) -> Rule:
    """Return the merge rule that filters the updates' coordinates and combines them by entry."""

    def _rule(updates: Updates, weights: Weights, options: Options) -> LowRank:
        coordinates = SPACES[options.space]([low.map(double) for low in updates])
        merged = _entries(sparsify, combine, coordinates.cores, weights, options)
        return options.limit(coordinates.update(merged, options.rank))

    return _rule


def _entries(
    sparsify: Sparsify, combine: Combine, cores: Updates, weights: Weights, options: Options
) -> Float[Array, "p q"]:
    """The merged coordinates, a block of rows at a time."""
    p, q = cores[0].shape
    if not p or not q:
        return cores[0].dense()
    step = max(1, BLOCK // (len(cores) * q))
    slices = [slice(start, min(start + step, p)) for start in range(0, p, step)]
    filters = [
        sparsify(
            (core.rows(rows).dense() for rows in slices), options.density, options.generator(place)
        )
        for place, core in enumerate(cores)
    ]
    merged = []
    for rows in slices:
        blocks = [keep(core.rows(rows).dense()) for keep, core in zip(filters, cores, strict=True)]
        merged.append(combine(blocks, weights))
    return array_namespace(cores[0].up).concat(merged, axis=0)
