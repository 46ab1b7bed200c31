r"""Merges that decide entry by entry: which entries to keep, and who wins where they disagree.

Each rule first sparsifies every update, then combines them. It acts on coordinates in a space
(`full`, `knots`, `core`), in blocks of rows: beside the merged array no more than `BLOCK` entries
of all updates exist at once, except that `trim` sorts the magnitudes of one update at a time.

**Cost.** In the full space ``O(m n R)`` to form entries, ``O(K m n log(m n))`` to trim, and a dense
SVD, ``O(m n min(m, n))``, to return to factors, since masks destroy low rank. In `knots` read
``(R, n)`` for ``(m, n)`` and in `core` ``(R, R)``; both without a dense SVD. ``R`` is the total
width of ``K`` updates.

All four take ``density`` and ``rank``; ``rank`` is needed in the full space, where the merge
before truncation generally has full rank.
"""

from collections.abc import Sequence

from loratheory.adapters._entries import Combine, Sparsify, added, drop, elected, trim
from loratheory.adapters._exact import cut
from loratheory.adapters._options import Options, widened
from loratheory.adapters._spaces import SPACES
from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float

BLOCK = 2**22
"""Entries of all updates together that are formed at once."""


def ties(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the TIES merge: trim, elect a sign, average those who agree.

    :math:`\hat\Delta_j` keeps the top ``density`` of the entries of :math:`\Delta_j`; entry by
    entry, :math:`\sum_A w_j \hat\Delta_j / \sum_A |w_j|` over the adapters :math:`A` whose
    :math:`w_j \hat\Delta_j` has the sign of :math:`\sum_j w_j \hat\Delta_j`. An entry that one
    adapter alone holds is not averaged down.

    Tools differ once weights are unequal or negative. PEFT elects the signs before it applies the
    weights and divides by the *number* of agreeing adapters; mergekit elects on weighted updates
    and divides by :math:`\sum_A w_j`, which negative weights can cancel. Where the sum vanishes
    exactly, both elect plus; here, as in the paper's formula, the entry is 0.

    References
    ----------
    Yadav et al., *TIES-Merging* (NeurIPS 2023, arXiv 2306.01708).
    """
    return _merged(trim, elected, updates, weights, options)


def magnitude(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return :math:`\sum_j w_j \hat\Delta_j` with the top ``density`` of each update's entries.

    References
    ----------
    PEFT, ``magnitude_prune``; the first and the third step of Yadav et al. (2023) with a sum.
    """
    return _merged(trim, added, updates, weights, options)


def dare(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return :math:`\sum_j w_j M_j \odot \Delta_j / p`, masks :math:`M_j` Bernoulli(p).

    ``p`` is the density. Unbiased; the variance of output ``i`` on an input ``x`` is
    :math:`\frac{1-p}{p} \sum_j w_j^2 \sum_l (\Delta_j)_{il}^2 x_l^2`.

    References
    ----------
    Yu et al., *Language models are super Mario* (ICML 2024, arXiv 2311.03099); there ``p`` is
    the share dropped.
    """
    return _merged(drop, added, updates, weights, options)


def dare_ties(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    """Return the TIES election and disjoint mean of updates thinned at random as in `dare`.

    References
    ----------
    Yu et al. (ICML 2024, arXiv 2311.03099) with the election of Yadav et al. (2023).
    """
    return _merged(drop, elected, updates, weights, options)


def _merged(
    sparsify: Sparsify,
    combine: Combine,
    updates: Sequence[LowRank],
    weights: Sequence[float],
    options: Options,
) -> LowRank:
    """Merge in coordinates and come back."""
    coordinates = SPACES[options.space](widened(updates))
    merged = _entries(sparsify, combine, coordinates.cores, weights, options)
    return cut(coordinates.update(merged, options.rank), options)


def _entries(
    sparsify: Sparsify,
    combine: Combine,
    cores: Sequence[LowRank],
    weights: Sequence[float],
    options: Options,
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
