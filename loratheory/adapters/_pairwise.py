"""Interference of a whole shelf of adapters, module by module, pair by pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.adapters._adapter import Adapter
from loratheory.lowrank import LowRank, Svd, array_namespace, svd
from loratheory.shapes import Float


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
        message = "an empty shelf has no pairs: give at least one adapter"
        raise ValueError(message)
    shapes = sorted({low.shape for low in updates if low is not None})
    if len(shapes) > 1:
        message = f"updates of shapes {shapes} do not compare: give adapters of one base model"
        raise ValueError(message)
    return between([None if low is None else svd(low) for low in updates])


def between(parts: Sequence[Svd | None]) -> Interference:
    """Return `interference` of updates whose singular value decompositions are known already.

    Parameters
    ----------
    parts : sequence of Svd or None
        From `svd`, all of one shape.

    Returns
    -------
    Interference
        Costs ``O(k^2 (m + n) r^2)``.
    """
    parts = [None if part is None else _trimmed(part) for part in parts]
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
        The shelf; a module that an adapter lacks counts as zero.

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
        message = "an empty shelf has no pairs: give at least one adapter"
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
