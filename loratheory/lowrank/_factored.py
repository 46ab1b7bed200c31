"""A matrix kept as the product of a tall and a wide factor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

from loratheory.lowrank._array import Array, array_namespace
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
