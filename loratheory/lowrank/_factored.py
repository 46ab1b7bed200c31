r"""A matrix kept as the product of a tall and a wide factor: everything to know of one, and sums.

Spectra are exact and no ``(m, n)`` array is formed. Everything rests on one decomposition: with
thin QRs ``up = Q R`` and ``down.T = P T``, the matrix is ``Q (R T.T) P.T`` and its singular values
are those of the small core ``R T.T``. It costs ``O((m + n) r^2 + r^3)``, runs in float64 whatever
comes in, and is kept on the value once it was asked for.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from loratheory.lowrank._array import (
    EPS,
    Array,
    Frame,
    Svd,
    array_namespace,
    count_above,
    device,
    double,
    finite,
    frame,
    leading_svd,
    signs,
    thin_svd,
)
from loratheory.shapes import Float


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
        """Refuse factors that do not chain."""
        up, down = tuple(self.up.shape), tuple(self.down.shape)
        if len(up) != 2 or len(down) != 2 or up[1] != down[0]:
            message = f"up has shape {up} and down {down}; they must be (m, r) and (r, n)"
            raise ValueError(message)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, inputs."""
        return int(self.up.shape[0]), int(self.down.shape[1])

    @property
    def width(self) -> int:
        """Inner dimension: an upper bound on the rank."""
        return int(self.up.shape[1])

    @property
    def T(self) -> "LowRank":
        """The transpose; costs nothing."""
        return LowRank(self.down.T, self.up.T)

    def svd(self, rank: int | None = None) -> Svd:
        """Return the singular value decomposition in float64, or its `rank` leading triples.

        Costs ``O((m + n) r^2 + r^3)`` at the first call, nothing later; keeps ``k (m + n)``
        numbers, ``k = min(m, n, width)``, as long as this value lives.

        Raises
        ------
        NotFiniteError
            If a factor holds NaN or infinity.
        """
        return self._svd.leading(rank)

    @cached_property
    def _svd(self) -> Svd:
        q, core, p = _core(self)
        u, sigma, vt = thin_svd(core)
        return Svd(q.times(u), sigma, p.times(vt.T).T)

    @property
    def U(self) -> Float[Array, "m k"]:
        """Left singular vectors, one a column; see `svd`."""
        return self._svd.left

    @cached_property
    def S(self) -> Float[Array, " k"]:
        """Singular values, descending; of what `svd` costs, the vectors are spared."""
        if "_svd" in self.__dict__:
            return self._svd.sigma
        core = _core(self)[1]
        if 0 in core.shape:
            return thin_svd(core).sigma
        return array_namespace(core).linalg.svdvals(core)

    @property
    def Vh(self) -> Float[Array, "k n"]:
        """Right singular vectors, one a row; see `svd`."""
        return self._svd.right

    @property
    def rank(self) -> int:
        """Numerical rank: singular values above ``max(m, n)`` rounding units of the largest."""
        return self.rank_at(max(self.shape) * EPS)

    def rank_at(self, tolerance: int | float) -> int:
        """How many singular values exceed `tolerance` times the largest."""
        return count_above(self.S, tolerance)

    @cached_property
    def norm(self) -> float:
        """Frobenius norm; unlike ``sqrt(low.inner(low))`` it survives cancelling factors."""
        core = _core(self)[1]
        return math.sqrt(float(array_namespace(core).sum(core**2)))

    @property
    def spectral_norm(self) -> float:
        """Largest singular value, 0 for the zero matrix."""
        return float(self.S[0]) if self.S.shape[0] else 0.0

    @property
    def nuclear_norm(self) -> float:
        """Sum of the singular values."""
        return float(array_namespace(self.S).sum(self.S))

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm; at most the rank, 0 for zero."""
        top = self.spectral_norm
        return float(array_namespace(self.S).sum((self.S / top) ** 2)) if top else 0.0

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the normalised singular values (Roy and Vetterli, 2007)."""
        xp, total = array_namespace(self.S), self.nuclear_norm
        if not total:
            return 0.0
        share = self.S[self.S > 0] / total
        return math.exp(-float(xp.sum(share * xp.log(share))))

    def tail_energy(self, rank: int) -> float:
        r"""Return :math:`\sum_{i > r} \sigma_i^2`: the squared distance to the matrices of `rank`.

        References
        ----------
        Eckart and Young (1936).
        """
        beyond = self.S[min(rank, int(self.S.shape[0])) :]
        return float(array_namespace(beyond).sum(beyond**2))

    def truncated(self, rank: int) -> "LowRank":
        """The nearest matrix of rank at most `rank`; see `truncate`."""
        return truncate(self, rank)

    def row_space(self, tolerance: int | float | None = None) -> Float[Array, "n k"]:
        """Orthonormal basis of the inputs that the matrix reads, strongest first; costs as `svd`.

        `tolerance`, relative to the largest singular value, decides the numerical rank ``k``.
        """
        return self.Vh.T[:, : self._rank(tolerance)]

    def column_space(self, tolerance: int | float | None = None) -> Float[Array, "m k"]:
        """Orthonormal basis of the outputs that the matrix writes; as `row_space`."""
        return self.U[:, : self._rank(tolerance)]

    def _rank(self, tolerance: int | float | None) -> int:
        return self.rank if tolerance is None else self.rank_at(tolerance)

    def balanced(self, tolerance: int | float | None = None) -> "LowRank":
        """Return the canonical factorisation: ``up.T @ up == down @ down.T``, diagonal.

        The width becomes the numerical rank (see `row_space`), the singular values are split evenly
        and descend, and the largest entry of each column of `up` is positive. In float64; the same
        in every gauge, but for a rotation among equal singular values.
        """
        self.svd()  # first, so that the rank costs no second decomposition
        left, sigma, right = self.svd(self._rank(tolerance))
        root, sign = array_namespace(sigma).sqrt(sigma), signs(left)
        return LowRank(left * (sign * root), (sign * root)[:, None] * right)

    def regauged(self, gauge: Float[Array, "r r"]) -> "LowRank":
        """Return the same matrix with factors ``up @ gauge`` and ``inv(gauge) @ down``.

        Any invertible matrix will do as a *gauge*; rounding grows with its condition number. A
        method that acts on the factors separately gives another answer in every gauge: put its
        input in `balanced` form first. Costs ``O((m + n) r^2)``.
        """
        xp = array_namespace(self.up, gauge)
        return LowRank(self.up @ gauge, xp.linalg.solve(gauge, self.down))

    def dense(self) -> Float[Array, "m n"]:
        """Form the product; costs ``O(m n r)`` and an ``(m, n)`` array."""
        return self.up @ self.down

    def map(self, change: Callable[[Array], Array]) -> "LowRank":
        """Apply `change` to both factors, e.g. ``low.map(torch.asarray)``."""
        return LowRank(change(self.up), change(self.down))

    def rows(self, index: slice) -> "LowRank":
        """The chosen rows of the matrix; costs nothing."""
        return LowRank(self.up[index, :], self.down)

    def columns(self, index: slice) -> "LowRank":
        """The chosen columns of the matrix; costs nothing."""
        return LowRank(self.up, self.down[:, index])

    def inner(self, other: "LowRank") -> float:
        """Frobenius inner product; costs ``O((m + n) r s)``, no ``(m, n)`` array."""
        self._same_shape(other)
        xp = array_namespace(self.up, other.up)
        return float(xp.sum((self.up.T @ other.up) * (self.down @ other.down.T)))

    @overload
    def __matmul__(self, other: "LowRank") -> "LowRank": ...
    @overload
    def __matmul__(self, other: Array) -> Array: ...
    def __matmul__(self, other: Any) -> Any:
        """Product with a vector or matrix, ``O((m + n) r)`` a column, or with a LowRank."""
        if not isinstance(other, LowRank):
            return self.up @ (self.down @ other)
        core = self.down @ other.up  # attach it where the result stays narrowest
        if self.width <= other.width:
            return LowRank(self.up, core @ other.down)
        return LowRank(self.up @ core, other.down)

    def __rmatmul__(self, other: Array) -> Array:
        """Row vector or matrix times this one; ``O((m + n) r)`` a row."""
        return (other @ self.up) @ self.down

    def __add__(self, other: "LowRank") -> "LowRank":
        """Exact sum by concatenation; the widths add."""
        self._same_shape(other)
        xp = array_namespace(self.up, other.up)
        up = xp.concat([self.up, other.up], axis=1)
        return LowRank(up, xp.concat([self.down, other.down], axis=0))

    def __sub__(self, other: "LowRank") -> "LowRank":
        """Exact difference by concatenation; the widths add."""
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

    def _same_shape(self, other: "LowRank") -> None:
        if self.shape != other.shape:
            message = f"shapes {self.shape} and {other.shape} differ: only equal shapes combine"
            raise ValueError(message)


def _core(low: LowRank, overwrite: bool = False) -> tuple[Frame, Array, Frame]:
    """Frames ``q``, ``p`` and the small ``core`` with ``low = q @ core @ p.T``."""
    q = frame(double(low.up, "up"), overwrite)
    p = frame(double(low.down, "down").T, overwrite)
    return q, q.triangle @ p.triangle.T, p


def truncate(low: LowRank, rank: int, *, overwrite: bool = False) -> LowRank:
    """Return the best approximation of rank at most `rank`, in balanced factors.

    It is the nearest in every unitarily invariant norm, in float64, with the singular values split
    evenly between the factors; of rank 0, a zero of width 0. With `overwrite` the factors of `low`
    may be destroyed, which spares memory traffic. Costs as `LowRank.svd`.

    Examples
    --------
    >>> truncate(from_dense(np.diag([3.0, 4.0])), rank=1).dense()
    array([[0., 0.],
           [0., 4.]])
    """
    q, core, p = _core(low, overwrite)
    u, sigma, vt = thin_svd(core).leading(rank)
    root = array_namespace(sigma).sqrt(sigma)  # scales the small vectors, before they grow tall
    return LowRank(up=q.times(u * root), down=p.times(vt.T * root).T)


def from_dense(matrix: Float[Array, "m n"], rank: int | None = None) -> LowRank:
    """Factor a dense matrix, truncated to `rank` if given, in float64.

    Costs a dense SVD, ``O(m n min(m, n))``. Of a large matrix and a rank of at most a sixteenth of
    its sides it costs Lanczos' method: some multiples of `rank` products with a vector each way.

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
    """Return the weighted sum, exact and in float64, its width never far above ``min(m, n)``.

    Concatenation while the widths fit; beyond half of ``min(m, n)`` the list is summed in halves
    that are compressed on the way, so that a library of a thousand adapters costs
    ``O(count (m + n) min(m, n) r)`` instead of a QR of the whole stack.

    Raises
    ------
    ValueError
        If the list is empty, the shapes differ, or there is not one weight an update.

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
        message = f"{len(weights)} weights for {len(updates)} updates: give one a piece"
        raise ValueError(message)
    shapes = {low.shape for low in updates}
    if len(shapes) > 1:
        message = f"updates of shapes {sorted(shapes)} do not add: only equal shapes combine"
        raise ValueError(message)
    weights = [1] * len(updates) if weights is None else weights
    if len(updates) == 1 or 2 * sum(low.width for low in updates) <= min(updates[0].shape):
        return concatenated(updates, weights)
    half = len(updates) // 2
    joined = total(updates[:half], weights[:half]) + total(updates[half:], weights[half:])
    return joined if joined.width <= min(joined.shape) else joined.balanced()


def concatenated(updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
    """The sum as it stands, in one array of its own, in the order that LAPACK likes.

    Joined before it is widened, and weighted where it lies: memory traffic is half the cost.
    """
    xp = array_namespace(updates[0].up)
    (m, n), width = updates[0].shape, sum(low.width for low in updates)
    parts = [low.up.T for low in updates] + [low.down for low in updates]
    for low in updates:
        finite(low.up, "up"), finite(low.down, "down")
    flat = xp.concat([xp.reshape(part, (-1,)) for part in parts])
    flat = xp.astype(flat, xp.float64, copy=False)
    up = xp.reshape(flat[: width * m], (width, m)).T
    down = xp.reshape(flat[width * m :], (width, n))
    if any(weight != 1 for weight in weights):
        up *= spread(weights, [low.width for low in updates], up)
    return LowRank(up, down)


def spread(weights: Sequence[int | float], widths: Sequence[int], like: Array) -> Array:
    """Each weight as often as its update is wide."""
    xp = array_namespace(like)
    each = [float(w) for w, width in zip(weights, widths, strict=True) for _ in range(width)]
    return xp.asarray(each, dtype=xp.float64, device=device(like))
