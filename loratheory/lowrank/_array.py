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


def host(array: Array) -> Any:
    """The same numbers as a NumPy array, wherever they were."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return array if isinstance(array, np.ndarray) else np.from_dlpack(array)


class Frame(NamedTuple):
    """``matrix = Q @ triangle``, ``Q`` with orthonormal columns; ``times(c)`` is ``Q @ c``."""

    triangle: Float[Array, "k r"]
    times: Callable[[Array], Array]


_LARGE = 2**16  # entries from which LAPACK's QR takes longer than loading what spares it


def frame(matrix: Float[Array, "m r"]) -> Frame:
    """Return the thin QR decomposition of a float64 matrix, ``k = min(m, r)``; ``O(m r^2)``.

    Of ``Q`` only products with small matrices are needed. Large tall NumPy matrices are decomposed
    by matrix products, as precisely and in a fraction of the time, see `_by_cholesky`.
    """
    xp = array_namespace(matrix)
    if is_numpy_array(matrix) and matrix.size >= _LARGE and matrix.shape[0] > matrix.shape[1]:
        found = _by_cholesky(matrix)
        if found:
            return found
    q, triangle = xp.linalg.qr(matrix)
    return Frame(triangle, partial(xp.matmul, q))


def _by_cholesky(matrix: Float[np.ndarray, "m r"]) -> Frame | None:
    """Cholesky's factor of the Gram matrix, and once more for what rounding left in the frame.

    None where the columns are so nearly dependent (condition 1e7 or so, each scaled to length 1)
    that the first frame is far from orthonormal: then only reflections are precise.

    References
    ----------
    Yamamoto, Nakatsukasa, Yanagisawa and Fukaya (2015), *Roundoff error analysis of the CholeskyQR2
    algorithm*, ETNA 44.
    """
    from scipy.linalg.blas import dtrsm  # here, since loading it takes a while

    try:
        first = np.linalg.cholesky(matrix.T @ matrix).T
        near = dtrsm(1.0, first, matrix, side=1)  # a solution for each row of the matrix
        gram = near.T @ near
        if not abs(gram - np.eye(len(gram))).max() < 0.01:
            return None
        second = np.linalg.cholesky(gram).T
    except np.linalg.LinAlgError:
        return None
    return Frame(second @ first, partial(_times, near, second))


def _times(near: Array, second: Array, small: Array) -> Array:
    """No inner function of `_by_cholesky`: the tests' hook would instrument it at every call."""
    return near @ np.linalg.solve(second, small)
