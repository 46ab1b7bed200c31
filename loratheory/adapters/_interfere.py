r"""Interference: what one adapter does to the inputs that another one reads.

The edited inputs (*keys*) of an adapter lie in its row space :math:`S_1`, orthonormal basis
:math:`Q_1`. Another update sends a unit key to at most

.. math:: \|\Delta_2 Q_1\|_2 \;\le\; \sigma_1(\Delta_2)\,\cos\theta_1,

where :math:`\theta_1` is the smallest principal angle between the row spaces: nothing for every
key iff the row spaces are orthogonal. The Frobenius cosine of the updates vanishes also where
only their *column* spaces are orthogonal, and says little.
"""

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    column_space,
    double,
    frobenius,
    largest_cosine,
    principal_angles,
    row_space,
    spectral,
)
from loratheory.shapes import Float


def row_angles(first: LowRank, second: LowRank) -> Float[Array, " k"]:
    """Principal angles between what two updates read, ascending; costs ``O((m + n) r^2)``."""
    return principal_angles(row_space(first), row_space(second))


def column_angles(first: LowRank, second: LowRank) -> Float[Array, " k"]:
    """Principal angles between what two updates write, ascending; costs ``O((m + n) r^2)``."""
    return principal_angles(column_space(first), column_space(second))


def crosstalk(reader: LowRank, other: LowRank) -> float:
    r"""Return the most that `other` answers to a unit input from the row space of `reader`.

    Parameters
    ----------
    reader : LowRank
        The adapter whose keys are disturbed.
    other : LowRank
        The adapter that answers to them as well.

    Returns
    -------
    float
        :math:`\|\Delta_2 Q_1\|_2`, exact and attained; zero iff the row spaces are orthogonal.
        Costs ``O((m + n) r^2)``.
    """
    return spectral(LowRank(double(other.up), double(other.down) @ row_space(reader)))


def crosstalk_bound(reader: LowRank, other: LowRank) -> float:
    r"""Return the ceiling :math:`\sigma_1(\Delta_2) \cos\theta_1` of `crosstalk`.

    Parameters
    ----------
    reader : LowRank
        The adapter whose keys are disturbed.
    other : LowRank
        The adapter that answers to them as well.

    Returns
    -------
    float
        Met where the top right singular vector of `other` makes the smallest angle with the row
        space of `reader`. Costs ``O((m + n) r^2)``.
    """
    return spectral(other) * largest_cosine(row_space(reader), row_space(other))


def crosstalk_on(other: LowRank, keys: Float[Array, "t n"]) -> Float[Array, " t"]:
    r"""Return :math:`\|\Delta_2 x\| / \|x\|` for given inputs, one per row; 0 for a zero input.

    Parameters
    ----------
    other : LowRank
        The adapter that answers.
    keys : (t, n) array
        What another adapter was trained to answer to.

    Returns
    -------
    (t,) array
        At most `crosstalk` where the keys lie in the row space of their adapter. Costs
        ``O(t (m + n) r)``, in float64.

    Raises
    ------
    NotFiniteError
        If a key is NaN or infinite.
    """
    keys, low = double(keys, "keys"), other.map(double)
    norm = array_namespace(keys).linalg.vector_norm
    length = norm(keys, axis=1)
    safe = array_namespace(keys).where(length > 0, length, 1 + length)
    return norm((keys @ low.down.T) @ low.up.T, axis=1) / safe


def frobenius_cosine(first: LowRank, second: LowRank) -> float:
    """Return the cosine of two updates as vectors of entries, 0 if one is zero.

    Little follows from it: orthogonal columns make it 0 while the row spaces may agree, and then
    each adapter answers in full to the other's keys. Use `crosstalk`.

    Parameters
    ----------
    first, second : LowRank
        Updates of one shape.

    Returns
    -------
    float
        Between -1 and 1. Costs ``O((m + n) r^2)``.
    """
    first, second = first.map(double), second.map(double)
    size = frobenius(first) * frobenius(second)
    return max(-1.0, min(1.0, first.inner(second) / size)) if size else 0.0
