"""The one place that knows which array library a call came with; thin QR and SVD of one array."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from array_api_compat import device as device
from array_api_compat import is_numpy_array

from loratheory.shapes import Float

EPS = 2.0**-52
"""The rounding unit of float64."""

Array = Any
"""Any array of the Array API standard: NumPy, PyTorch (CPU or GPU), JAX, CuPy."""


def array_namespace(*arrays: Array) -> Any:
    """Return the Array API namespace of these arrays, for NumPy's its own.

    Since 2.1 NumPy keeps to the standard but for `argsort` without `descending` and `pinv`, which
    needs ``rtol=None`` for the default; the copy that `array_api_compat` makes of it loads all of
    NumPy, tests and f2py included, a third of what a small merge takes.
    """
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    return array_api_compat.array_namespace(*arrays)


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


_LARGE = 2**16  # entries from which it pays to load what `_by_cholesky` needs


def frame(matrix: Float[Array, "m r"], overwrite: bool = False) -> Frame:
    """Return the thin QR decomposition of a float64 matrix, ``k = min(m, r)``; ``O(m r^2)``.

    Of ``Q`` only products with small matrices are needed, so that NumPy's is never written out,
    which would take as long again. With `overwrite` the matrix may be lost: one copy less.
    """
    xp = array_namespace(matrix)
    if not is_numpy_array(matrix) or 0 in matrix.shape:
        q, triangle = xp.linalg.qr(matrix)
        return Frame(triangle, partial(xp.matmul, q))
    tall = matrix.size >= _LARGE and matrix.shape[0] > matrix.shape[1]
    return (tall and _by_cholesky(matrix, overwrite)) or _by_reflections(matrix)


def _by_reflections(matrix: Float[np.ndarray, "m r"]) -> Frame:
    """LAPACK's reflections, applied together: their product is ``I - V inv(S) V.T``.

    ``V`` has their vectors as columns and ``S`` is the upper triangle with ``S + S.T == V.T @ V``.

    References
    ----------
    Joffrain, Low, Quintana-Ortí, van de Geijn and Van Zee (2006), *Accumulating Householder
    transformations, revisited*, ACM TOMS 32.
    """
    packed, sizes = np.linalg.qr(matrix, mode="raw")
    k, packed = len(sizes), packed.T
    acts = sizes != 0
    top, low = np.tril(packed[:k, :k], -1) + np.eye(k), packed[k:, :k]
    top, low = (top, low) if acts.all() else (top * acts, low * acts)
    middle = np.triu(top.T @ top + low.T @ low, 1) + np.diag(1 / np.where(acts, sizes, 1))
    return Frame(np.triu(packed[:k, :]), partial(_reflected, top, low, middle))


def _reflected(top: Array, low: Array, middle: Array, small: Array) -> Array:
    """No inner function: the tests' import hook would instrument it at every call."""
    inner = np.linalg.solve(middle, top.T @ small)
    return np.concatenate([small - top @ inner, -low @ inner])


def _by_cholesky(matrix: Float[np.ndarray, "m r"], overwrite: bool = False) -> Frame | None:
    """Cholesky's factor of the Gram matrix, and once more for what rounding left in the frame.

    Products of matrices alone, in a fraction of the time. None where the columns are so nearly
    dependent (a condition of 1e6, each scaled to length 1) that the first frame would not be near
    to orthonormal: then only reflections are precise.

    References
    ----------
    Yamamoto, Nakatsukasa, Yanagisawa and Fukaya (2015), *Roundoff error analysis of the CholeskyQR2
    algorithm*, ETNA 44.
    """
    from scipy.linalg.blas import dtrsm  # here, since loading it takes a while

    try:
        first = np.linalg.cholesky(matrix.T @ matrix).T
    except np.linalg.LinAlgError:
        return None
    sigma = np.linalg.svdvals(first / np.linalg.vector_norm(first, axis=0))
    if not sigma[-1] > 1e-6 * sigma[0]:
        return None
    # a solution for each row of the matrix
    near = dtrsm(1.0, first, matrix, side=1, overwrite_b=overwrite)
    second = np.linalg.cholesky(near.T @ near).T
    return Frame(second @ first, partial(_times, near, second))


def _times(near: Array, second: Array, small: Array) -> Array:
    return near @ np.linalg.solve(second, small)


class Svd(NamedTuple):
    """``(left * sigma) @ right``: orthonormal columns, descending sigma, orthonormal rows."""

    left: Float[Array, "m k"]
    sigma: Float[Array, " k"]
    right: Float[Array, "k n"]

    def leading(self, rank: int | None) -> "Svd":
        """The first `rank` triples; all of them for None."""
        if rank is None or rank >= int(self.sigma.shape[0]):
            return self
        return Svd(self.left[:, :rank], self.sigma[:rank], self.right[:rank, :])

    def above(self, tolerance: int | float) -> "Svd":
        """The triples whose singular value exceeds `tolerance` times the largest."""
        return self.leading(count_above(self.sigma, tolerance))


def thin_svd(matrix: Float[Array, "m n"]) -> Svd:
    """Singular value decomposition of a dense float64 matrix; an empty one has no triples."""
    xp = array_namespace(matrix)
    if 0 in matrix.shape:
        none = xp.zeros(0, dtype=xp.float64, device=device(matrix))
        return Svd(matrix[:, :0], none, matrix[:0, :])
    return Svd(*xp.linalg.svd(matrix, full_matrices=False))


def signs(columns: Float[Array, "m k"]) -> Float[Array, " k"]:
    """For each column 1, or -1 where the entry of the largest magnitude is negative."""
    xp = array_namespace(columns)
    if 0 in columns.shape:
        return xp.ones(columns.shape[1], dtype=columns.dtype, device=device(columns))
    high, deep = xp.max(columns, axis=0), xp.min(columns, axis=0)
    return xp.where(high >= -deep, xp.ones_like(high), -xp.ones_like(high))


def count_above(sigma: Float[Array, " k"], tolerance: int | float) -> int:
    """How many of these descending numbers exceed `tolerance` times the first."""
    if not sigma.shape[0]:
        return 0
    return int(array_namespace(sigma).count_nonzero(tolerance * float(sigma[0]) < sigma))


def leading_svd(matrix: Float[Array, "m n"], rank: int) -> Svd | None:
    """The first triples by Lanczos' method to rounding; None where it does not pay or would lose.

    It finds eigenvectors of ``matrix.T @ matrix``, where what is a thousandth of the largest is a
    millionth, and no further down are they precise.
    """
    if not 0 < 16 * rank <= min(matrix.shape) or min(matrix.shape) < 512:
        return None
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds  # slow to load

    xp, place = array_namespace(matrix), device(matrix)

    def _by(side: Array) -> Callable[[Any], Any]:
        return lambda x: host(side @ xp.asarray(x, dtype=xp.float64, device=place))

    act, back = _by(matrix), _by(matrix.T)
    shape = tuple(matrix.shape)
    operator = LinearOperator(
        shape, matvec=act, rmatvec=back, matmat=act, rmatmat=back, dtype=np.float64
    )
    start = np.random.default_rng(0).standard_normal(min(shape))
    rounds = 10 + min(shape) // (2 * rank)  # after which the whole decomposition has its turn
    try:
        triples = svds(operator, rank, tol=0, v0=start, maxiter=rounds)
    except ArpackError:
        return None
    left, sigma, right = (xp.asarray(part.copy(), device=place) for part in triples)
    found = Svd(xp.flip(left, axis=1), xp.flip(sigma), xp.flip(right, axis=0))
    return found if float(found.sigma[-1]) > 1e-3 * float(found.sigma[0]) else None
