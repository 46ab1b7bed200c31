"""The one place that knows which array library a call came with, and thin QR decompositions."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace as array_namespace
from array_api_compat import device as device
from array_api_compat import is_numpy_array

from loratheory.shapes import Float

EPS = 2.0**-52
"""The rounding unit of float64."""

Array = Any
"""Any array of the Array API standard: NumPy, PyTorch (CPU or GPU), JAX, CuPy."""


class NotFiniteError(ValueError):
    """An array holds NaN or infinity where finite numbers are needed."""


def double(array: Array, name: str = "array") -> Array:
    """Return the same numbers in float64, on their own device; refused where `finite` refuses."""
    xp = array_namespace(array)
    return xp.astype(finite(array, name), xp.float64, copy=False)


def finite(array: Array, name: str = "array") -> Array:
    """Return `array` itself, once it is known to be finite.

    Raises
    ------
    NotFiniteError
        If an entry is NaN or infinite; the message calls the array `name` and gives the first
        such entry and its position.
    """
    xp = array_namespace(array)
    good = xp.isfinite(array)
    if not bool(xp.all(good)):
        first = int(xp.argmin(xp.reshape(xp.astype(good, xp.int8), (-1,))))
        place = tuple(int(index) for index in np.unravel_index(first, tuple(array.shape)))
        message = (
            f"{name} holds {float(array[place])} at position {list(place)}; "
            "every entry must be finite: find the step that produced it and redo that step"
        )
        raise NotFiniteError(message)
    return array


class Frame(NamedTuple):
    """``matrix = Q @ triangle``, ``Q`` with orthonormal columns; ``times(c)`` is ``Q @ c``."""

    triangle: Float[Array, "k r"]
    times: Callable[[Array], Array]


_BLOCK = 64  # columns that LAPACK treats at once


def frame(matrix: Float[Array, "m r"], overwrite: bool = False) -> Frame:
    """Return the thin QR decomposition of a float64 matrix, ``k = min(m, r)``; ``O(m r^2)``.

    Of ``Q`` only products with small matrices are needed. On NumPy arrays LAPACK keeps it as
    Householder reflectors and applies them, at half of what writing it out takes. With `overwrite`
    the matrix is lost, and in Fortran order no copy of it is made.
    """
    xp = array_namespace(matrix)
    if not is_numpy_array(matrix) or 0 in matrix.shape:
        q, triangle = xp.linalg.qr(matrix)
        return Frame(triangle, partial(xp.matmul, q))
    from scipy.linalg import lapack  # here, since loading it takes a while

    k, r = min(matrix.shape), matrix.shape[1]
    reflectors, scales, _, _ = lapack.dgeqrf(matrix, lwork=_BLOCK * r, overwrite_a=overwrite)
    return Frame(xp.triu(reflectors[:k, :]), partial(_applied, reflectors[:, :k], scales))


def _applied(reflectors: Array, scales: Array, small: Array) -> Array:
    """Reflectors acting on `small` with rows of zeros below it.

    No inner function of `frame`: the tests' import hook would instrument it at every call.
    """
    from scipy.linalg import lapack

    tall = np.zeros((reflectors.shape[0], small.shape[1]), order="F")
    tall[: small.shape[0], :] = small
    room = _BLOCK * max(small.shape[1], 1)
    return lapack.dormqr("L", "N", reflectors, scales, tall, lwork=room, overwrite_c=1)[0]
