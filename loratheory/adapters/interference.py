r"""Interference: what one adapter does to inputs that another reads, and how alike they are.

The inputs that an adapter's edits react to (*keys*) lie in its row space :math:`S_1`, with
orthonormal basis :math:`Q_1`. The norm of what another update adds to a unit key is at most

.. math:: \|\Delta_2 Q_1\|_2 \;\le\; \sigma_1(\Delta_2)\,\cos\theta_1,

where :math:`\theta_1` is the smallest principal angle between the row spaces; it is zero for every
key iff the row spaces are orthogonal. The Frobenius cosine of the updates says little, since it is
also zero where only their *column* spaces are orthogonal.

Every measure takes two updates of one module, costs ``O((m + n) r^2)`` and runs in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import (
    EPS,
    Array,
    LowRank,
    array_namespace,
    double,
    in_common_frames,
    largest_cosine,
)
from loratheory.shapes import Float


def crosstalk(reader: LowRank, other: LowRank) -> float:
    r"""Return the largest output norm of `other` on unit inputs in the row space of `reader`.

    It is :math:`\|\Delta_2 Q_1\|_2`, which some input attains; 0 iff the row spaces are orthogonal.

    Examples
    --------
    Both updates read the first coordinate, so each reacts to the other's inputs, although their
    outputs are orthogonal:

    >>> one = from_dense(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> two = from_dense(np.array([[0.0, 0.0], [2.0, 0.0]]))
    >>> round(crosstalk(one, two), 3)
    2.0
    """
    return _answer(other, reader.row_space())


def _answer(other: LowRank, basis: Float[Array, "n k"]) -> float:
    # The left singular vectors change no norm.
    shared = other.S[:, None] * (other.Vh @ basis)
    if 0 in shared.shape:
        return 0.0
    return float(array_namespace(shared).linalg.svdvals(shared)[0])


def crosstalk_bound(reader: LowRank, other: LowRank) -> float:
    r"""Return :math:`\sigma_1(\Delta_2) \cos\theta_1`, an upper bound of `crosstalk`.

    They are equal where the first right singular vector of `other` makes the smallest angle with
    the row space of `reader`.
    """
    return other.spectral_norm * largest_cosine(reader.row_space(), other.row_space())


def frobenius_cosine(first: LowRank, second: LowRank) -> float:
    """Return the cosine between two updates taken as vectors of entries; 0 if one is zero.

    It says little about interference: it is 0 where the column spaces are orthogonal, even if the
    row spaces agree and each adapter reacts fully to the other's inputs. Use `crosstalk` instead.

    Examples
    --------
    >>> one = from_dense(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> two = from_dense(np.array([[0.0, 0.0], [2.0, 0.0]]))
    >>> frobenius_cosine(one, two)
    0.0
    """
    product, size = first.map(double).inner(second.map(double)), first.norm * second.norm
    # Rounding must not lead beyond 1.
    return max(-1.0, min(1.0, product / size)) if size else 0.0


@dataclass(frozen=True, eq=False)
class Interference:
    """Measures for each pair of adapters in one module, as (k, k) NumPy arrays in float64.

    An adapter that does not change the module has zeros everywhere, also on the diagonal.
    """

    #: Entry ``i, j``: largest output norm of adapter `j` on unit inputs in the row space of `i`.
    crosstalk: Float[np.ndarray, "k k"]
    #: Upper bound of `crosstalk`, met on the diagonal: spectral norm of `j` times `row_cosine`.
    bound: Float[np.ndarray, "k k"]
    #: Cosine of the smallest principal angle between two row spaces; 1 on the diagonal.
    row_cosine: Float[np.ndarray, "k k"]
    column_cosine: Float[np.ndarray, "k k"]  #: The same for two column spaces.
    frobenius_cosine: Float[np.ndarray, "k k"]  #: As the function of that name, with its warning.


def interference(updates: Sequence[LowRank], tolerance: int | float | None = None) -> Interference:
    """Return the pairwise measures of one module from one update for each adapter.

    They are computed in common coordinates, without an ``(m, n)`` array: costs two QRs of all
    factors side by side, ``O((m + n) R^2)`` with the total width ``R``, and ``O(k^2 R r^2)``.
    `tolerance` decides numerical ranks, as in `LowRank.row_space`.

    Raises
    ------
    ValueError
        If there is no update or their shapes differ.
    """
    if not updates:
        message = "an empty library has no pairs: give at least one adapter"
        raise ValueError(message)
    shapes = sorted({low.shape for low in updates})
    if len(shapes) > 1:
        message = f"updates of shapes {shapes} do not compare: give adapters of one base model"
        raise ValueError(message)
    tolerance = max(shapes[0]) * EPS if tolerance is None else tolerance
    # Norms and angles are the same there, and every later step is small.
    updates = in_common_frames(updates)
    rows = [low.row_space(tolerance) for low in updates]
    columns = [low.column_space(tolerance) for low in updates]
    tables = np.zeros((5, len(updates), len(updates)))
    for i, reader in enumerate(updates):
        for j, other in enumerate(updates):
            row, column = (largest_cosine(bases[i], bases[j]) for bases in (rows, columns))
            measured = (_answer(other, rows[i]), other.spectral_norm * row, row, column)
            tables[:, i, j] = *measured, frobenius_cosine(reader, other)
    return Interference(*tables)
