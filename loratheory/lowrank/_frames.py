"""Thin QR decompositions whose orthonormal frame is applied, not formed.

Of ``Q`` only products with small matrices are needed. On NumPy arrays LAPACK keeps it as
Householder reflectors and applies them, at half of what ``numpy.linalg.qr`` takes to write it out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from array_api_compat import is_numpy_array

from loratheory.lowrank._array import Array, array_namespace
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class Frame:
    """The factors of ``matrix = Q @ triangle``, ``Q`` with orthonormal columns.

    Attributes
    ----------
    triangle : (k, r) array
        Upper triangular, ``k = min(m, r)``.
    times : callable
        ``times(c)`` is ``Q @ c`` for a (k, c) array; costs ``O(m k c)``.
    """

    triangle: Float[Array, "k r"]
    times: Callable[[Array], Array]


def frame(matrix: Float[Array, "m r"], overwrite: bool = False) -> Frame:
    """Return the thin QR decomposition of a float64 matrix; costs ``O(m r^2)``.

    With `overwrite` the matrix is lost, and in Fortran order no copy of it is made.
    """
    xp = array_namespace(matrix)
    if not is_numpy_array(matrix) or 0 in matrix.shape:
        q, triangle = xp.linalg.qr(matrix)
        return Frame(triangle, partial(xp.matmul, q))
    k, r = min(matrix.shape), matrix.shape[1]
    reflectors, scales, _, _ = lapack().dgeqrf(matrix, lwork=BLOCK * r, overwrite_a=overwrite)
    return Frame(xp.triu(reflectors[:k, :]), partial(_applied, reflectors[:, :k], scales))


BLOCK = 64  # columns that LAPACK treats at once


def _applied(reflectors: Any, scales: Any, small: Any) -> Any:
    """``Q @ small``: the reflectors act on `small` with rows of zeros below it."""
    import numpy as np

    tall = np.zeros((reflectors.shape[0], small.shape[1]), order="F")
    tall[: small.shape[0], :] = small
    lwork = BLOCK * max(small.shape[1], 1)
    return lapack().dormqr("L", "N", reflectors, scales, tall, lwork=lwork, overwrite_c=1)[0]


def lapack() -> Any:
    """LAPACK as SciPy wraps it, imported at the first decomposition: that takes a while."""
    from scipy.linalg import lapack as routines

    return routines
