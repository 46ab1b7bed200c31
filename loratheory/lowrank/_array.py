"""Whatever depends on the array library (NumPy, PyTorch, JAX, CuPy); QR, SVD and subspaces."""

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
    """Return the module whose functions follow the Array API standard for these arrays.

    For NumPy arrays it is ``numpy`` itself, which follows the standard since version 2.1, except
    that `argsort` lacks `descending` and `pinv` needs ``rtol=None`` for the default. The wrapper of
    `array_api_compat` would load all of NumPy, tests and f2py included, which takes a third of the
    time of a small merge.
    """
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    return array_api_compat.array_namespace(*arrays)


class NotFiniteError(ValueError):
    """An array holds NaN or infinity where finite numbers are needed."""


def double(array: Array, name: str = "array") -> Array:
    """Return the same numbers in float64 on the same device; errors are those of `finite`."""
    xp = array_namespace(array)
    return xp.astype(finite(array, name), xp.float64, copy=False)


def finite(array: Array, name: str = "array") -> Array:
    """Return `array` unchanged, after checking that every entry is finite.

    Raises
    ------
    NotFiniteError
        If an entry is NaN or infinite; the message gives the first one, its position and `name`.
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
    """Return the same numbers as a NumPy array, copied from another device if necessary."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return array if isinstance(array, np.ndarray) else np.from_dlpack(array)


class Frame(NamedTuple):
    """A QR decomposition, ``matrix = Q @ triangle``; ``times(c)`` returns ``Q @ c``."""

    triangle: Float[Array, "k r"]
    times: Callable[[Array], Array]


_LARGE = 2**16  # entries from which it pays to load what `_by_cholesky` needs


def frame(matrix: Float[Array, "m r"], overwrite: bool = False) -> Frame:
    """Return the thin QR decomposition of a float64 matrix, ``k = min(m, r)``; ``O(m r^2)``.

    Callers need only products of ``Q`` with small matrices, so with NumPy ``Q`` is never formed,
    which would double the time. With `overwrite` the matrix may be destroyed, which saves a copy.
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
    """``(left * sigma) @ right``: orthonormal columns, descending values, orthonormal rows."""

    left: Float[Array, "m k"]
    sigma: Float[Array, " k"]
    right: Float[Array, "k n"]

    def leading(self, rank: int | None) -> "Svd":
        """Return the `rank` leading singular triples, or all of them for None."""
        if rank is None or rank >= int(self.sigma.shape[0]):
            return self
        return Svd(self.left[:, :rank], self.sigma[:rank], self.right[:rank, :])

    def above(self, tolerance: int | float) -> "Svd":
        """Return the triples whose singular value exceeds `tolerance` times the largest."""
        return self.leading(count_above(self.sigma, tolerance))


def thin_svd(matrix: Float[Array, "m n"]) -> Svd:
    """Return the SVD of a dense float64 matrix; that of an empty matrix has no triples."""
    xp = array_namespace(matrix)
    if 0 in matrix.shape:
        none = xp.zeros(0, dtype=xp.float64, device=device(matrix))
        return Svd(matrix[:, :0], none, matrix[:0, :])
    return Svd(*xp.linalg.svd(matrix, full_matrices=False))


def signs(columns: Float[Array, "m k"]) -> Float[Array, " k"]:
    """Return for each column the sign of its entry of largest magnitude, 1 or -1."""
    xp = array_namespace(columns)
    if 0 in columns.shape:
        return xp.ones(columns.shape[1], dtype=columns.dtype, device=device(columns))
    high, deep = xp.max(columns, axis=0), xp.min(columns, axis=0)
    return xp.where(high >= -deep, xp.ones_like(high), -xp.ones_like(high))


def count_above(sigma: Float[Array, " k"], tolerance: int | float) -> int:
    """Return how many of these descending numbers exceed `tolerance` times the first."""
    if not sigma.shape[0]:
        return 0
    return int(array_namespace(sigma).count_nonzero(tolerance * float(sigma[0]) < sigma))


def leading_svd(matrix: Float[Array, "m n"], rank: int) -> Svd | None:
    """Return the leading singular triples, exact to rounding, by Lanczos' method.

    None where it would be slower than a dense SVD or not precise enough. It finds eigenvectors of
    ``matrix.T @ matrix``, in which a singular value of a thousandth of the largest appears as a
    millionth; smaller ones would not be precise.
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


def principal_angles(p: Float[Array, "n a"], q: Float[Array, "n b"]) -> Float[Array, " k"]:
    """Return the principal angles of two orthonormal bases, in radians, ascending.

    There are ``min(a, b)`` of them. Small angles are computed from sines and large ones from
    cosines, so that both are accurate to rounding (Knyazev and Argentati, 2002). ``O(n a b)``.

    Examples
    --------
    >>> first, second = np.array([[1.0], [0.0]]), np.array([[0.6], [0.8]])
    >>> np.cos(principal_angles(first, second)).round(3)
    array([0.6])
    """
    if p.shape[1] < q.shape[1]:
        p, q = q, p
    xp = array_namespace(p, q)
    count = int(q.shape[1])
    if not count:
        return xp.zeros(0, dtype=xp.float64, device=q.device)
    shared = p.T @ q
    cosine = xp.clip(xp.linalg.svdvals(shared), 0.0, 1.0)
    sine = xp.flip(xp.clip(xp.linalg.svdvals(q - p @ shared)[:count], 0.0, 1.0))
    return xp.where(cosine**2 < 0.5, xp.acos(cosine), xp.asin(sine))


def largest_cosine(p: Float[Array, "n a"], q: Float[Array, "n b"]) -> float:
    """Return the cosine of the smallest principal angle between two orthonormal bases.

    It is 0 iff the subspaces are orthogonal and 1 iff they share a direction.
    """
    if not p.shape[1] or not q.shape[1]:
        return 0.0
    return min(1.0, float(array_namespace(p, q).linalg.svdvals(p.T @ q)[0]))


def project(x: Float[Array, "n c"], basis: Float[Array, "n k"]) -> Float[Array, "n c"]:
    """Return the columns of `x` projected onto the span of orthonormal `basis`; ``O(n k)`` each."""
    return basis @ (basis.T @ x)
