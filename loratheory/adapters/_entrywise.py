r"""Merges that decide entry by entry: which entries to keep, and who wins where they disagree.

Each rule first sparsifies every update with a *filter* (`trim` or `drop`), then combines them
(`added` or `elected`). It acts on coordinates in a *space*: the update itself (`full`), KnOTS
(`knots`) or Core Space (`core`). A space gives orthonormal frames :math:`U` (outputs) and :math:`V`
(inputs) with :math:`\Delta_j = U X_j V^\top` for every update; the rule merges the coordinates
:math:`X_j` into one array :math:`X` and the merged update is :math:`U X V^\top`. Blocks of rows are
merged one after another: beside the merged array no more than `BLOCK` entries of all updates exist
at once, except that `trim` holds the magnitudes of one update at a time.

**Cost.** In the full space ``O(m n R)`` to form entries, ``O(K m n)`` to trim, and as `from_dense`
to return to factors, since masks destroy low rank: ``O(m n s)`` for the ``s`` steps of Lanczos'
method, some multiples of the rank that is kept. In `knots` read ``(R, n)`` for ``(m, n)`` and in
`core` ``(R, R)``; both without a decomposition of the merged array, nothing of size (m, n) is
formed and the rank stays within ``R``, the total width of ``K`` updates.
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
    """Return the filter that keeps the top `density` share of an update's entries by magnitude.

    It keeps what is at least the k-th largest, ``k = floor(density size)`` but no less than 1.
    Equals up to rounding are all kept, so that no order among them is invented (PEFT keeps
    arbitrary ones).
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
    """Return the filter that keeps each entry with probability `density` and divides by it.

    Unbiased; the variance of an entry ``x`` is ``x^2 (1 - density) / density``. Draws come row by
    row: as long as blocks come in order, their sizes do not matter.
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
    r"""Return the disjoint weighted mean of arrays: only those who agree with the sum count.

    With :math:`s = \mathrm{sign} \sum_j w_j x_j` and the agreeing adapters
    :math:`A = \{j : \mathrm{sign}(w_j x_j) = s \ne 0\}`, each entry is
    :math:`\sum_A w_j x_j / \sum_A |w_j|`, so that an entry which one adapter alone holds is not
    averaged down; it is 0 where the weighted sum vanishes, as in the paper's formula. Votes and
    sums below 1e-12 of :math:`\sum_j |w_j x_j|` count as 0: an entry that is zero but for the
    rounding of a factored product has no vote, or it would halve the entries it meets.

    Tools differ once weights are unequal or negative. PEFT elects the signs before it applies the
    weights and divides by the *number* of agreeing adapters; mergekit elects on weighted updates
    and divides by :math:`\sum_A w_j`, which negative weights can cancel.
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
    """Updates written in common frames; a missing frame is the identity."""

    cores: tuple[LowRank, ...]  #: The coordinates of each update, (p, q).
    left: Float[Array, "m p"] | None = None  #: Orthonormal columns.
    right: Float[Array, "q n"] | None = None  #: Orthonormal rows.

    def update(self, merged: Float[Array, "p q"], rank: int | None = None) -> LowRank:
        """Back from merged coordinates; in the full space by `from_dense`."""
        if self.left is None:
            return from_dense(merged, None if rank is None else min(rank, *merged.shape))
        return LowRank(self.left, merged if self.right is None else merged @ self.right)


def full(updates: Updates) -> Coordinates:
    """The entries of the updates themselves; costs nothing until they are formed."""
    return Coordinates(tuple(updates))


def knots(updates: Updates) -> Coordinates:
    r"""Return KnOTS coordinates :math:`X_j = \Sigma V_j^\top = U^\top \Delta_j`, (k, n).

    In the left singular basis of :math:`[\Delta_1 \dots \Delta_K]`, see `knots_basis`. Unique up to
    signs, which no rule here can see, unless singular values coincide.

    References
    ----------
    Stoica et al., *Model merging with SVD to tie the KnOTS* (ICLR 2025, arXiv 2410.19735).
    """
    left = knots_basis(updates)[0]
    return Coordinates(tuple(LowRank(left.T @ low.up, low.down) for low in updates), left)


def knots_basis(updates: Updates) -> tuple[Float[Array, "m k"], Float[Array, " k"]]:
    r"""Return left singular vectors and positive singular values of :math:`[\Delta_1 \dots]`.

    The vectors span all outputs of the updates, strongest first. With :math:`A_j^\top = P_j T_j`
    (QR) the stack is :math:`[B_1 T_1^\top \dots B_K T_K^\top]` times a block diagonal of
    orthonormal rows, so that the SVD of an (m, R) array gives both, ``R`` the total width. Costs
    ``O((m + n) R^2)``; the dense road ``O(K m^2 n)``.
    """
    xp = array_namespace(updates[0].up)
    parts = [low.up @ xp.linalg.qr(low.down.T)[1].T for low in updates if low.width]
    return _frame(xp.concat(parts, axis=1) if parts else updates[0].up)


def core(updates: Updates) -> Coordinates:
    r"""Return Core Space coordinates :math:`X_j = U^\top \Delta_j V`, (p, q) with p, q at most R.

    :math:`U` are the left singular vectors of the stacked first factors
    :math:`[B_1 \dots B_K]`, :math:`V` the right ones of the stacked second factors. They span the
    right spaces in every gauge, so that no update loses anything, but *which* axes they are depends
    on the factorisation: an entrywise rule here is **gauge dependent**. Bring the adapters into
    `balanced` form first and it is well defined. Costs ``O((m + n) R^2)``.

    References
    ----------
    Panariello, Marczak et al., *Accurate and efficient low-rank model merging in Core Space*
    (NeurIPS 2025, arXiv 2509.17786).
    """
    xp = array_namespace(updates[0].up)
    left = _frame(xp.concat([low.up for low in updates], axis=1))[0]
    right = _frame(xp.concat([low.down for low in updates], axis=0).T)[0]
    cores = tuple(LowRank(left.T @ low.up, low.down @ right) for low in updates)
    return Coordinates(cores, left, right.T)


SPACES: dict[str, Callable[[Updates], Coordinates]] = {"full": full, "knots": knots, "core": core}


def _frame(stack: Float[Array, "m c"]) -> tuple[Float[Array, "m k"], Float[Array, " k"]]:
    """Left singular vectors and values of a tall array, without the negligible ones."""
    left, sigma, _ = thin_svd(stack).above(NEGLIGIBLE)
    return left, sigma


def entrywise(sparsify: Sparsify, combine: Combine) -> Rule:
    """Return the rule that filters each update, combines them entry by entry, and comes back."""

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
