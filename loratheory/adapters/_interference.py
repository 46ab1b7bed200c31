r"""Interference: what one adapter does to inputs that another reads, and how alike they are.

The edited inputs (*keys*) of an adapter lie in its row space :math:`S_1`, orthonormal basis
:math:`Q_1`. Another update sends a unit key to at most

.. math:: \|\Delta_2 Q_1\|_2 \;\le\; \sigma_1(\Delta_2)\,\cos\theta_1,

where :math:`\theta_1` is the smallest principal angle between the row spaces: nothing for every
key iff the row spaces are orthogonal. The Frobenius cosine of the updates vanishes also where
only their *column* spaces are orthogonal, and says little.

What an adapter reads is described by :math:`\Delta^\top \Delta`, what it writes by
:math:`\Delta \Delta^\top`: directions with their energies, the same in every gauge and whatever the
other side does. Their cosines, the likenesses, need the two adapters alone; `response_likeness`
needs inputs too, such as a base's activations on prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.adapters._adapter import Adapter
from loratheory.lowrank import (
    Array,
    LowRank,
    Svd,
    array_namespace,
    double,
    largest_cosine,
    principal_angles,
)
from loratheory.shapes import Float


def row_angles(first: LowRank, second: LowRank) -> Float[Array, " k"]:
    """Principal angles between what two updates read, ascending; costs ``O((m + n) r^2)``."""
    return principal_angles(first.row_space(), second.row_space())


def column_angles(first: LowRank, second: LowRank) -> Float[Array, " k"]:
    """Principal angles between what two updates write, ascending; costs ``O((m + n) r^2)``."""
    return principal_angles(first.column_space(), second.column_space())


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
    return LowRank(double(other.up), double(other.down) @ reader.row_space()).spectral_norm


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
    return other.spectral_norm * largest_cosine(reader.row_space(), other.row_space())


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
    size = first.norm * second.norm
    return max(-1.0, min(1.0, first.inner(second) / size)) if size else 0.0


def read_likeness(first: LowRank, second: LowRank) -> float:
    r"""Return the cosine of :math:`\Delta_1^\top\Delta_1` and :math:`\Delta_2^\top\Delta_2`.

    Parameters
    ----------
    first, second : LowRank
        Updates with the same inputs.

    Returns
    -------
    float
        :math:`\|\Delta_1 \Delta_2^\top\|_F^2 / (\|\Delta_1 \Delta_1^\top\|_F
        \|\Delta_2 \Delta_2^\top\|_F)`, from 0 to 1: 0 iff the row spaces are orthogonal or an
        update is zero, 1 iff both read the same directions in the same proportions. Costs
        ``O((m + n) r^2)``, in float64.
    """
    one, two = (low.map(double) for low in (first, second))
    shared, *own = ((a @ b.T).norm for a, b in ((one, two), (one, one), (two, two)))
    size = own[0] * own[1]
    return min(1.0, shared**2 / size) if size else 0.0


def write_likeness(first: LowRank, second: LowRank) -> float:
    r"""Return the cosine of :math:`\Delta_1\Delta_1^\top` and :math:`\Delta_2\Delta_2^\top`.

    Parameters
    ----------
    first, second : LowRank
        Updates with the same outputs.

    Returns
    -------
    float
        `read_likeness` of the transposes.
    """
    return read_likeness(first.T, second.T)


def response_likeness(first: LowRank, second: LowRank, x: Float[Array, "t n"]) -> float:
    r"""Return the cosine of what two updates add to the same inputs, all inputs together.

    Parameters
    ----------
    first, second : LowRank
        Updates of one shape.
    x : (t, n) array
        Inputs, one a row.

    Returns
    -------
    float
        :math:`\langle \Delta_1 X, \Delta_2 X \rangle / (\|\Delta_1 X\| \|\Delta_2 X\|)`, from -1 to
        1; 0 if one of them answers nothing. Costs ``O(t (m + n) r)``, in float64.
    """
    xp, inputs = array_namespace(x), double(x)
    one, two = ((inputs @ low.down.T) @ low.up.T for low in (first.map(double), second.map(double)))
    size = float(xp.linalg.vector_norm(one)) * float(xp.linalg.vector_norm(two))
    return max(-1.0, min(1.0, float(xp.sum(one * two)) / size)) if size else 0.0


@dataclass(frozen=True, eq=False)
class Interference:
    """Pairwise measures for the adapters of one module; NumPy, float64.

    Attributes
    ----------
    crosstalk : (k, k) array
        Entry ``i, j``: the most that adapter `j` answers to a unit input from the row space of
        `i`. On the diagonal the spectral norm of `i`.
    bound : (k, k) array
        Its ceiling, spectral norm of `j` times ``row_cosine[i, j]``; equal to it on the diagonal.
    row_cosine, column_cosine : (k, k) array
        Cosine of the smallest principal angle; symmetric, diagonal 1.
    frobenius_cosine : (k, k) array
        Symmetric, diagonal 1; see the warning at the function of that name.

    An adapter that leaves the module alone has zeros everywhere, on the diagonal too.
    """

    crosstalk: Float[np.ndarray, "k k"]
    bound: Float[np.ndarray, "k k"]
    row_cosine: Float[np.ndarray, "k k"]
    column_cosine: Float[np.ndarray, "k k"]
    frobenius_cosine: Float[np.ndarray, "k k"]


def interference(updates: Sequence[LowRank | None]) -> Interference:
    """Return the pairwise measures of one module.

    Parameters
    ----------
    updates : sequence of LowRank or None
        One of each adapter, all of one shape; None where an adapter leaves the module alone.

    Returns
    -------
    Interference
        Costs ``O(k (m + n) r^2 + k^2 (m + n) r^2)`` and the singular vectors of all updates at
        once, ``k r (m + n)`` numbers; no ``(m, n)`` array.

    Raises
    ------
    ValueError
        If the sequence is empty or the shapes differ.
    """
    if not updates:
        message = "an empty library has no pairs: give at least one adapter"
        raise ValueError(message)
    shapes = sorted({low.shape for low in updates if low is not None})
    if len(shapes) > 1:
        message = f"updates of shapes {shapes} do not compare: give adapters of one base model"
        raise ValueError(message)
    parts = [None if low is None else _trimmed(low.svd()) for low in updates]
    tables = np.zeros((5, len(parts), len(parts)))
    for i, reader in enumerate(parts):
        for j, other in enumerate(parts):
            if reader is not None and other is not None:
                tables[:, i, j] = _pair(reader, other)
    return Interference(*tables)


def pairwise(adapters: Sequence[Adapter]) -> Iterator[tuple[str, Interference]]:
    """Yield ``(module, measures)`` for every module that one of the adapters changes.

    Parameters
    ----------
    adapters : sequence of Adapter
        The library; a module that an adapter lacks counts as zero.

    Yields
    ------
    tuple of str and Interference
        One module is loaded at a time, in the order of the first adapter that has it; the cost
        of `interference` each.

    Raises
    ------
    ValueError
        If there is no adapter, or one module has different shapes.
    """
    if not adapters:
        message = "an empty library has no pairs: give at least one adapter"
        raise ValueError(message)
    for name in dict.fromkeys(name for adapter in adapters for name in adapter):
        shapes = sorted({adapter.shapes[name] for adapter in adapters if name in adapter})
        if len(shapes) > 1:
            message = f"{name} has shapes {shapes}: give adapters of one base model"
            raise ValueError(message)
        here = [adapter[name] if name in adapter.shapes else None for adapter in adapters]
        yield name, interference(here)


def _trimmed(part: Svd) -> Svd | None:
    """The singular value decomposition without null directions; None for the zero matrix."""
    left, sigma, right = part
    top = float(sigma[0]) if sigma.shape[0] else 0.0
    if not top:
        return None
    side = max(int(left.shape[0]), int(right.shape[1]))
    keep = int(array_namespace(sigma).count_nonzero(sigma > side * 2.0**-52 * top))
    return Svd(left[:, :keep], sigma[:keep], right[:keep, :])


def _pair(reader: Svd, other: Svd) -> tuple[float, ...]:
    """The five numbers of one entry, in the order of `Interference`."""
    xp = array_namespace(reader.sigma, other.sigma)
    rows, columns = other.right @ reader.right.T, other.left.T @ reader.left
    first, second = (part.sigma / xp.linalg.vector_norm(part.sigma) for part in (reader, other))
    inner = float(xp.sum(second[:, None] * rows * columns * first))
    crosstalk, row, column = (
        float(xp.linalg.svdvals(matrix)[0])
        for matrix in (other.sigma[:, None] * rows, rows, columns)
    )
    row, column = min(1.0, row), min(1.0, column)
    return crosstalk, float(other.sigma[0]) * row, row, column, max(-1.0, min(1.0, inner))
