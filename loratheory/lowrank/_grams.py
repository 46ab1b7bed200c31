"""Norms and spectra of many weighted sums of the same updates, from their factors' inner products.

One product of each side's stacked factors with itself, a matrix as wide as all ranks together,
decides every norm, distance and singular value of every sum: no QR, and the tall factors are read
once. The price is precision: squares are right to rounding of the largest square that enters, so
distances below 1e-7 of the norms are lost. Where those matter, use `frobenius`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.lowrank._array import Array, array_namespace, device, double
from loratheory.lowrank._factored import LowRank
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class Grams:
    """Inner products of the factors of some updates.

    Attributes
    ----------
    up : (c, c) array
        Of the columns of all up factors, ``c`` the sum of the widths.
    down : (c, c) array
        Of the rows of all down factors.
    widths : tuple of int
        Of the updates, in order.
    """

    up: Float[Array, "c c"]
    down: Float[Array, "c c"]
    widths: tuple[int, ...]

    def _spread(self, weights: Sequence[int | float]) -> Float[Array, " c"]:
        """Each weight as often as its update is wide."""
        xp = array_namespace(self.up)
        each = [float(w) for w, r in zip(weights, self.widths, strict=True) for _ in range(r)]
        return xp.asarray(each, dtype=xp.float64, device=device(self.up))

    def squared(self, weights: Sequence[int | float]) -> float:
        """Squared norm of the weighted sum, never negative; costs ``O(c^2)``."""
        spread, xp = self._spread(weights), array_namespace(self.up)
        return max(0.0, float(xp.sum(self.up * self.down * spread[:, None] * spread)))

    def energies(self, weights: Sequence[int | float]) -> Float[Array, " c"]:
        """Squared singular values of the weighted sum, descending, zeros included; ``O(c^3)``."""
        xp = array_namespace(self.up)
        if not self.up.shape[0]:
            return xp.zeros(0, dtype=xp.float64, device=device(self.up))
        spread = self._spread(weights)
        values, vectors = xp.linalg.eigh(self.up)
        root = vectors * xp.sqrt(xp.clip(values, 0.0, None))  # root @ root.T is the Gram matrix
        inner = root.T @ (spread[:, None] * self.down * spread) @ root
        return xp.flip(xp.clip(xp.linalg.eigvalsh((inner + inner.T) / 2), 0.0, None))

    def tail(self, weights: Sequence[int | float], rank: int) -> float:
        """Squared singular values beyond `rank`, summed; at no cost where there are none."""
        width = sum(r for w, r in zip(weights, self.widths, strict=True) if w)
        if rank >= width:
            return 0.0
        found = self.energies(weights)
        return float(array_namespace(found).sum(found[rank:]))


def grams(updates: Sequence[LowRank]) -> Grams:
    """Return the inner products of all factors, in float64.

    Parameters
    ----------
    updates : sequence of LowRank
        At least one, all of one shape.

    Returns
    -------
    Grams
        Costs ``O((m + n) c^2)`` multiplications and a float64 copy of the factors, ``c`` the sum of
        the widths.

    Raises
    ------
    NotFiniteError
        If a factor holds NaN or infinity.
    """
    xp = array_namespace(updates[0].up)
    up = xp.concat([double(low.up, "up") for low in updates], axis=1)
    down = xp.concat([double(low.down, "down") for low in updates], axis=0)
    return Grams(up.T @ up, down @ down.T, tuple(low.width for low in updates))
