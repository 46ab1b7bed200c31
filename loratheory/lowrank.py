r"""Low-rank matrices kept as factors: exact algebra, spectra and subspaces without a dense array.

Everything rests on one decomposition. With thin QRs ``up = Q R`` and ``down.T = P T``, the matrix
is ``Q (R T.T) P.T``, and its singular values are those of the small core ``R T.T``. It costs
``O((m + n) r^2 + r^3)``, is computed in float64 whatever the type of the factors, and is cached on
the object after its first use. What concerns one matrix is a property or a method of `LowRank`;
functions take several matrices. Every function works with any array of the Array API standard.

Sections: arrays, decompositions, subspaces, `LowRank`, sums, random matrices.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, overload

import array_api_compat
import numpy as np
from array_api_compat import device as device
from array_api_compat import is_numpy_array

from loratheory.arguments import check_constructor, checked
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


# Decompositions.


def triangle(matrix: Float[Array, "m r"]) -> Float[Array, "k r"]:
    """Return the triangular factor of a thin QR decomposition, ``k = min(m, r)``; ``O(m r^2)``."""
    if is_numpy_array(matrix):
        # The Array API always forms Q, which takes four fifths of the time at m = 64 r.
        return np.linalg.qr(matrix, mode="r")
    return array_namespace(matrix).linalg.qr(matrix).R


def _count(rank: int) -> int:
    """Return the rank; ValueError if it is negative, which would count from the end."""
    if rank < 0:
        message = f"the rank is {rank}: give 0 or more"
        raise ValueError(message)
    return rank


class Svd(NamedTuple):
    """``(left * sigma) @ right``: orthonormal columns, descending values, orthonormal rows."""

    left: Float[Array, "m k"]
    sigma: Float[Array, " k"]
    right: Float[Array, "k n"]

    def leading(self, rank: int | None) -> "Svd":
        """Return the `rank` leading singular triples, or all of them for None."""
        if rank is None or _count(rank) >= int(self.sigma.shape[0]):
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
    millionth; smaller ones would not be precise. It may miss copies of a value that occurs several
    times, so what is left is searched for a larger one than the last.
    """
    if not 0 < 16 * rank <= min(matrix.shape) or min(matrix.shape) < 512:
        return None
    # SciPy takes longer to load than a small merge takes.
    from scipy.sparse.linalg import ArpackError, LinearOperator, aslinearoperator, svds

    xp, place = array_namespace(matrix), device(matrix)

    # ARPACK hands out read-only views, of which PyTorch makes no tensor without a warning.
    def _act(x: Any) -> Any:
        return host(matrix @ xp.asarray(x, dtype=xp.float64, device=place, copy=True))

    def _act_back(x: Any) -> Any:
        return host(matrix.T @ xp.asarray(x, dtype=xp.float64, device=place, copy=True))

    operator = LinearOperator(
        tuple(matrix.shape),
        matvec=_act,
        rmatvec=_act_back,
        matmat=_act,
        rmatmat=_act_back,
        dtype=np.float64,
    )
    # A fixed start makes the result the same every time.
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    # After so many rounds the dense decomposition would have been cheaper.
    rounds = 10 + min(matrix.shape) // (2 * rank)
    try:
        left, sigma, right = svds(operator, rank, tol=0, v0=start, maxiter=rounds)
        rest = operator - aslinearoperator(left * sigma) @ aslinearoperator(right)
        # From another start: the first one has no share in the copies that it missed.
        again = np.random.default_rng(1).standard_normal(min(matrix.shape))
        [more] = svds(rest, 1, tol=1e-6, v0=again, maxiter=rounds, return_singular_vectors=False)
    except ArpackError:
        return None
    if more > sigma[0] * (1 + 1e-6):
        return None
    left, sigma, right = (xp.asarray(part.copy(), device=place) for part in (left, sigma, right))
    # ARPACK sorts upwards.
    found = Svd(xp.flip(left, axis=1), xp.flip(sigma), xp.flip(right, axis=0))
    return found if float(found.sigma[-1]) > 1e-3 * float(found.sigma[0]) else None


# Subspaces.


@checked
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
    # A cosine near 1 cannot tell a small angle, nor a sine near 1 a large one: each has its half.
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


# The matrix.


@check_constructor
@dataclass(frozen=True, eq=False)
class LowRank:
    """The matrix ``up @ down``, never formed unless asked for.

    Attributes
    ----------
    up : (m, r) array
        The output side (``B`` in most LoRA papers).
    down : (r, n) array
        The input side (``A`` in most LoRA papers).

    Raises
    ------
    ValueError
        If a factor is not a matrix or the two inner dimensions differ.

    Examples
    --------
    >>> low = from_dense(np.diag([3.0, 4.0]))
    >>> low.rank, low.norm, low.S
    (2, 5.0, array([4., 3.]))
    """

    up: Float[Array, "m r"]
    down: Float[Array, "r n"]

    __array_ufunc__ = None  # NumPy operands then defer to the methods below

    def __post_init__(self) -> None:
        """Raise ValueError unless the factors can be multiplied."""
        up, down = tuple(self.up.shape), tuple(self.down.shape)
        if len(up) != 2 or len(down) != 2 or up[1] != down[0]:
            message = f"up has shape {up} and down {down}; they must be (m, r) and (r, n)"
            raise ValueError(message)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of outputs m and of inputs n."""
        return int(self.up.shape[0]), int(self.down.shape[1])

    @property
    def width(self) -> int:
        """Inner dimension r of the two factors: an upper bound on the rank."""
        return int(self.up.shape[1])

    @property
    def T(self) -> "LowRank":
        """The transpose; costs nothing."""
        return LowRank(self.down.T, self.up.T)

    def svd(self, rank: int | None = None) -> Svd:
        """Return the singular value decomposition in float64, or its `rank` leading triples.

        Costs ``O((m + n) r^2 + r^3)`` at the first call, nothing later; the result is cached,
        ``k (m + n)`` numbers with ``k = min(m, n, width)``.

        Raises
        ------
        NotFiniteError
            If a factor holds NaN or infinity.
        """
        return self._svd.leading(rank)

    @cached_property
    def _svd(self) -> Svd:
        xp = array_namespace(self.up, self.down)
        q, up = xp.linalg.qr(double(self.up, "up"))
        p, down = xp.linalg.qr(double(self.down, "down").T)
        u, sigma, vt = thin_svd(up @ down.T)
        return Svd(q @ u, sigma, (p @ vt.T).T)

    @cached_property
    def _core(self) -> Float[Array, "k l"]:
        """A small matrix with the same singular values."""
        return triangle(double(self.up, "up")) @ triangle(double(self.down, "down").T).T

    @property
    def U(self) -> Float[Array, "m k"]:
        """Left singular vectors as columns; see `svd`."""
        return self._svd.left

    @cached_property
    def S(self) -> Float[Array, " k"]:
        """Singular values, descending; cheaper than `svd`, since no vectors are computed."""
        if "_svd" in self.__dict__:
            return self._svd.sigma
        return array_namespace(self._core).linalg.svdvals(self._core)

    @property
    def Vh(self) -> Float[Array, "k n"]:
        """Right singular vectors as rows; see `svd`."""
        return self._svd.right

    @property
    def rank(self) -> int:
        """Numerical rank, see `rank_at`."""
        return self.rank_at()

    def rank_at(self, tolerance: int | float | None = None) -> int:
        """Return how many singular values exceed `tolerance` times the largest.

        By default the tolerance is ``max(m, n) * EPS``, what rounding can make of zero.
        """
        return count_above(self.S, max(self.shape) * EPS if tolerance is None else tolerance)

    @cached_property
    def norm(self) -> float:
        """Frobenius norm; precise where factors cancel, unlike ``sqrt(low.inner(low))``."""
        return math.sqrt(float(array_namespace(self._core).sum(self._core**2)))

    @property
    def spectral_norm(self) -> float:
        """Largest singular value, 0 for the zero matrix."""
        return float(self.S[0]) if self.S.shape[0] else 0.0

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm; at most the rank, 0 for zero."""
        top = self.spectral_norm
        return float(array_namespace(self.S).sum((self.S / top) ** 2)) if top else 0.0

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the normalised singular values (Roy and Vetterli, 2007)."""
        xp, positive = array_namespace(self.S), self.S[self.S > 0]
        if not positive.shape[0]:
            return 0.0
        share = positive / xp.sum(positive)
        return math.exp(-float(xp.sum(share * xp.log(share))))

    def tail_energy(self, rank: int) -> float:
        r"""Return :math:`\sum_{i > r} \sigma_i^2`, the squared distance to the matrices of rank r.

        References
        ----------
        Eckart and Young (1936).
        """
        # No singular value beyond the width need be computed to be zero.
        if _count(rank) >= self.width:
            return 0.0
        beyond = self.S[min(rank, int(self.S.shape[0])) :]
        return float(array_namespace(beyond).sum(beyond**2))

    def truncated(self, rank: int) -> "LowRank":
        """Return the nearest matrix of rank at most `rank`; see `truncate`."""
        return truncate(self, rank)

    def row_space(self, tolerance: int | float | None = None) -> Float[Array, "n k"]:
        """Return the right singular vectors that span the row space, strongest first, as columns.

        ``k`` is the number of singular values above `tolerance` times the largest, by default the
        numerical `rank`. Costs the same as `svd`.
        """
        return self.Vh.T[:, : self.rank_at(tolerance)]

    def column_space(self, tolerance: int | float | None = None) -> Float[Array, "m k"]:
        """Return the left singular vectors that span the column space; see `row_space`."""
        return self.U[:, : self.rank_at(tolerance)]

    def balanced(self, tolerance: int | float | None = None) -> "LowRank":
        """Return the same matrix in canonical factors: ``up.T @ up == down @ down.T``, diagonal.

        Each factor gets the square root of the singular values, in descending order; the width
        becomes the numerical rank (see `row_space`), and the largest entry of each column of `up`
        is positive. In float64. The result does not depend on the factors that this matrix has now,
        except that equal singular values leave a rotation free.
        """
        self.svd()  # first, so that the rank costs no second decomposition
        left, sigma, right = self.svd(self.rank_at(tolerance))
        root, sign = array_namespace(sigma).sqrt(sigma), signs(left)
        return LowRank(left * (sign * root), (sign * root)[:, None] * right)

    def regauged(self, gauge: Float[Array, "r r"]) -> "LowRank":
        """Return the same matrix with factors ``up @ gauge`` and ``inv(gauge) @ down``.

        Any invertible matrix can be the *gauge*; rounding errors grow with its condition number. A
        method that acts on the two factors separately gives a different result in every gauge: put
        its input in `balanced` form first. Costs ``O((m + n) r^2)``.
        """
        xp = array_namespace(self.up, gauge)
        return LowRank(self.up @ gauge, xp.linalg.solve(gauge, self.down))

    def dense(self) -> Float[Array, "m n"]:
        """Return the matrix as an ``(m, n)`` array; costs ``O(m n r)``."""
        return self.up @ self.down

    def map(self, change: Callable[[Array], Array]) -> "LowRank":
        """Return a LowRank with `change` applied to both factors: ``low.map(torch.asarray)``."""
        return LowRank(change(self.up), change(self.down))

    def rows(self, index: slice) -> "LowRank":
        """Return the chosen rows of the matrix; costs nothing."""
        return LowRank(self.up[index, :], self.down)

    def inner(self, other: "LowRank") -> float:
        """Return the Frobenius inner product; costs ``O((m + n) r s)``, ``s`` the other's width."""
        xp = array_namespace(self.up, other.up)
        return float(xp.sum((self.up.T @ other.up) * (self.down @ other.down.T)))

    @overload
    def __matmul__(self, other: "LowRank") -> "LowRank": ...
    @overload
    def __matmul__(self, other: Array) -> Array: ...
    def __matmul__(self, other: Any) -> Any:
        """Product with a LowRank, a vector or a matrix; ``O((m + n) r)`` for each column."""
        if not isinstance(other, LowRank):
            return self.up @ (self.down @ other)
        core = self.down @ other.up
        # The small matrix goes to the side where the product stays narrowest.
        if self.width <= other.width:
            return LowRank(self.up, core @ other.down)
        return LowRank(self.up @ core, other.down)

    def __rmatmul__(self, other: Array) -> Array:
        """Product of a row vector or matrix with this matrix; ``O((m + n) r)`` for each row."""
        return (other @ self.up) @ self.down

    def __add__(self, other: "LowRank") -> "LowRank":
        """Exact sum, by concatenating the factors; the widths add up."""
        xp = array_namespace(self.up, other.up)
        up = xp.concat([self.up, other.up], axis=1)
        return LowRank(up, xp.concat([self.down, other.down], axis=0))

    def __sub__(self, other: "LowRank") -> "LowRank":
        """Exact difference, by concatenating the factors; the widths add up."""
        return self + (-other)

    def __neg__(self) -> "LowRank":
        """The negative; costs ``O(m r)``."""
        return LowRank(-self.up, self.down)

    def __mul__(self, factor: int | float) -> "LowRank":
        """Scale by a number; costs ``O(m r)``."""
        return LowRank(self.up * factor, self.down)

    __rmul__ = __mul__

    def __truediv__(self, factor: int | float) -> "LowRank":
        """Divide by a number; costs ``O(m r)``."""
        return LowRank(self.up / factor, self.down)


def truncate(low: LowRank, rank: int) -> LowRank:
    r"""Return the best approximation of rank at most `rank`, in balanced factors.

    It is the nearest matrix in every unitarily invariant norm; each factor gets the square root of
    the singular values, in float64. Directions whose singular value is mere rounding of the product
    are left out, so that the width can be less than `rank`.

    Costs ``O((m + n) r^2 + r^3)``, without the orthonormal frames that `LowRank.svd` forms: with
    the triangles ``R``, ``T`` of the factors and the triples of ``R T.T = U S V.T``, the new
    factors are ``up T.T V / sqrt(S)`` and ``U.T R down / sqrt(S)``.

    Examples
    --------
    >>> truncate(from_dense(np.diag([3.0, 4.0])), rank=1).dense()
    array([[0., 0.],
           [0., 4.]])
    """
    up, down = double(low.up, "up"), double(low.down, "down")
    left, right = triangle(up), triangle(down.T)
    xp = array_namespace(left)
    u, sigma, vt = thin_svd(left @ right.T)
    # The quotients below would blow rounding up where a singular value is nothing but rounding.
    lengths = [xp.linalg.vector_norm(side, axis=0) for side in (left, right)]
    noise = EPS * float(xp.sum(lengths[0] * lengths[1]))
    kept = min(_count(rank), int(xp.count_nonzero(sigma > noise)))
    root = xp.sqrt(sigma[:kept])
    return LowRank(
        up=up @ ((right.T @ vt[:kept, :].T) / root),
        down=((u[:, :kept].T @ left) / root[:, None]) @ down,
    )


def from_dense(matrix: Float[Array, "m n"], rank: int | None = None) -> LowRank:
    """Return a dense matrix as a float64 `LowRank`, truncated to `rank` if given.

    Costs a dense SVD, ``O(m n min(m, n))``. For a large matrix and a `rank` of at most a sixteenth
    of its sides it is Lanczos' method instead: a few times `rank` products of the matrix, and of
    its transpose, with a vector.

    Examples
    --------
    >>> from_dense(np.diag([3.0, 2.0, 0.1]), rank=2).shape
    (3, 3)
    """
    matrix = double(matrix, "matrix")
    found = None if rank is None else leading_svd(matrix, rank)
    left, sigma, right = found or thin_svd(matrix).leading(rank)
    root = array_namespace(sigma).sqrt(sigma)
    return LowRank(up=left * root, down=root[:, None] * right)


def total(updates: list[LowRank], weights: Sequence[int | float] | None = None) -> LowRank:
    """Return the weighted sum of updates, exact to rounding, in float64; weights default to 1.

    The factors are concatenated while their widths add up to at most half of ``min(m, n)``. A
    longer list is summed in two halves, and what is wider than ``min(m, n)`` is compressed on the
    way: a thousand adapters cost ``O(count (m + n) min(m, n) r)``, not a QR of all factors at once.

    Raises
    ------
    ValueError
        If the list is empty, the shapes differ, or there is not one weight for each update.

    Examples
    --------
    >>> one, two = from_dense(np.diag([2.0, 0.0])), from_dense(np.diag([0.0, 4.0]))
    >>> total([one, two], weights=[0.5, 0.5]).dense()
    array([[1., 0.],
           [0., 2.]])
    """
    if not updates:
        message = "an empty sum has no shape: give at least one update"
        raise ValueError(message)
    if weights is not None and len(weights) != len(updates):
        message = f"{len(weights)} weights for {len(updates)} updates: give one for each"
        raise ValueError(message)
    shapes = {low.shape for low in updates}
    if len(shapes) > 1:
        message = f"updates of shapes {sorted(shapes)} do not add: only equal shapes combine"
        raise ValueError(message)
    weights = [1] * len(updates) if weights is None else weights
    if len(updates) == 1 or 2 * sum(low.width for low in updates) <= min(updates[0].shape):
        return concatenated(updates, weights)
    # Halves keep every intermediate sum narrower than the matrix.
    half = len(updates) // 2
    joined = total(updates[:half], weights[:half]) + total(updates[half:], weights[half:])
    return joined if joined.width <= min(joined.shape) else joined.balanced()


def concatenated(updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
    """Return the weighted sum with all factors side by side, in new float64 arrays.

    The factors are joined before they become float64 and weighted in place, since memory traffic
    is half the cost.
    """
    xp = array_namespace(updates[0].up)
    (m, n), widths = updates[0].shape, [low.width for low in updates]
    # Columns of `up` become rows, so that QR later finds them in the order that LAPACK wants.
    parts = [low.up.T for low in updates] + [low.down for low in updates]
    for low in updates:
        finite(low.up, "up")
        finite(low.down, "down")
    flat = xp.concat([xp.reshape(part, (-1,)) for part in parts])
    flat = xp.astype(flat, xp.float64, copy=False)
    width = sum(widths)
    up = xp.reshape(flat[: width * m], (width, m)).T
    down = xp.reshape(flat[width * m :], (width, n))
    if any(weight != 1 for weight in weights):
        up *= spread(weights, widths, up)
    return LowRank(up, down)


def spread(weights: Sequence[int | float], widths: Sequence[int], like: Array) -> Array:
    """Return each weight repeated as often as the width of its update."""
    xp = array_namespace(like)
    repeated: list[float] = []
    for weight, width in zip(weights, widths, strict=True):
        repeated += [float(weight)] * width
    return xp.asarray(repeated, dtype=xp.float64, device=device(like))


def in_common_frames(updates: Sequence[LowRank]) -> list[LowRank]:
    """Return updates of one shape in orthonormal bases of their joint column and row spaces.

    Neither side is then longer than the total width ``R``, and all norms, angles, singular values
    and inner products of the updates and of their factors stay the same. Costs two QRs,
    ``O((m + n) R^2)``.
    """
    together = concatenated(updates, [1] * len(updates))
    up, down = _shorten(together.up), _shorten(together.down.T)
    moved, start = [], 0
    for low in updates:
        own = slice(start, start + low.width)
        moved.append(LowRank(up[:, own], down[:, own].T))
        start += low.width
    return moved


def _shorten(side: Float[Array, "m r"]) -> Array:
    """Coordinates in an orthonormal basis, or the columns themselves where these are no longer."""
    if not side.shape[0] > side.shape[1] > 0:
        return side
    return array_namespace(side).linalg.qr(side)[1]


# Random matrices: NumPy float64; ``low.map(torch.asarray)`` moves one to PyTorch.


def orthonormal(rng: np.random.Generator, n: int, k: int) -> Float[Array, "n k"]:
    """Return `k` orthonormal columns, uniformly distributed (Haar); costs ``O(n k^2)``."""
    if k > n:
        message = f"{k} orthonormal columns do not fit into dimension {n}: ask for at most {n}"
        raise ValueError(message)
    q, r = np.linalg.qr(rng.standard_normal((n, k)))
    # LAPACK's signs depend on the draw; a positive diagonal makes the frame uniform.
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def gaussian(rng: np.random.Generator, m: int, n: int, r: int, scale: int | float = 1.0) -> LowRank:
    """Return a product of Gaussian factors whose entries have standard deviation `scale`.

    Examples
    --------
    >>> gaussian(np.random.default_rng(0), m=6, n=5, r=2).rank
    2
    """
    root = np.sqrt(scale / np.sqrt(max(r, 1)))
    return LowRank(root * rng.standard_normal((m, r)), root * rng.standard_normal((r, n)))


def with_spectrum(rng: np.random.Generator, m: int, n: int, sigma: Sequence[float]) -> LowRank:
    """Return a matrix with singular values `sigma` and Haar singular vectors, balanced factors."""
    root = np.sqrt(np.asarray(sigma, dtype=float))
    left = orthonormal(rng, m, root.size) * root
    return LowRank(left, root[:, None] * orthonormal(rng, n, root.size).T)


def subspaces_at(
    rng: np.random.Generator, n: int, angles: Sequence[float]
) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
    """Return bases of two subspaces with the given principal angles, in radians.

    The bases are orthonormal columns; ``k`` is the number of angles, and ``n >= 2 k`` is needed.
    """
    theta = np.asarray(angles, dtype=float)
    basis = orthonormal(rng, n, 2 * theta.size)
    first, other = basis[:, : theta.size], basis[:, theta.size :]
    return first, first * np.cos(theta) + other * np.sin(theta)
