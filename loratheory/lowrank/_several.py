r"""Several matrices together: inner products of many sums, common frames, angles of subspaces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from loratheory.lowrank._array import Array, Frame, array_namespace, device, frame
from loratheory.lowrank._factored import LowRank, concatenated, spread
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class Grams:
    """Inner products of the factors of some updates: they decide every weighted sum.

    One product of each side's stacked factors with itself, a matrix as wide as all ranks together,
    gives norms, distances and singular values without a QR. The price is precision: squares are
    right to rounding of the largest square that enters, so distances below 1e-7 of the norms are
    lost. Where those matter, use `LowRank.norm`.
    """

    up: Float[Array, "c c"]  #: Of the columns of all up factors, ``c`` the sum of the widths.
    down: Float[Array, "c c"]  #: Of the rows of all down factors.
    widths: tuple[int, ...]  #: Of the updates, in order.

    def squared(self, weights: Sequence[int | float]) -> float:
        """Squared norm of the weighted sum, never negative; costs ``O(c^2)``."""
        each, xp = spread(weights, self.widths, self.up), array_namespace(self.up)
        return max(0.0, float(xp.sum(self.up * self.down * each[:, None] * each)))

    def energies(self, weights: Sequence[int | float]) -> Float[Array, " c"]:
        """Squared singular values of the weighted sum, descending, zeros included; ``O(c^3)``."""
        xp = array_namespace(self.up)
        if not self.up.shape[0]:
            return xp.zeros(0, dtype=xp.float64, device=device(self.up))
        each = spread(weights, self.widths, self.up)
        values, vectors = xp.linalg.eigh(self.up)
        root = vectors * xp.sqrt(xp.clip(values, 0.0, None))  # root @ root.T is the Gram matrix
        inner = root.T @ (each[:, None] * self.down * each) @ root
        return xp.flip(xp.clip(xp.linalg.eigvalsh((inner + inner.T) / 2), 0.0, None))

    def tail(self, weights: Sequence[int | float], rank: int) -> float:
        """Squared singular values beyond `rank`, summed; at no cost where there are none."""
        width = sum(r for w, r in zip(weights, self.widths, strict=True) if w)
        if rank >= width:
            return 0.0
        energies = self.energies(weights)
        return float(array_namespace(energies).sum(energies[rank:]))


def grams(updates: Sequence[LowRank]) -> Grams:
    """Return the inner products of all factors of updates of one shape, in float64.

    Costs ``O((m + n) c^2)`` and a float64 copy of the factors, ``c`` the sum of the widths.

    Raises
    ------
    NotFiniteError
        If a factor holds NaN or infinity.
    """
    side_by_side = concatenated(updates, [1] * len(updates))
    widths = tuple(low.width for low in updates)
    return Grams(
        side_by_side.up.T @ side_by_side.up, side_by_side.down @ side_by_side.down.T, widths
    )


def in_common_frames(updates: Sequence[LowRank]) -> tuple[list[LowRank], Callable[[Array], Array]]:
    """Return updates of one shape in orthonormal coordinates of what they read and write together.

    Neither side is then longer than the total width ``R``, and every norm, angle, singular value
    and inner product stays, of the updates and of their factors. The function takes columns on the
    side of outputs back to the coordinates they had. Costs two QRs, ``O((m + n) R^2)``.
    """
    together = concatenated(updates, [1] * len(updates))
    (up, back), (down, _) = (_short(side) for side in (together.up, together.down.T))
    ends = list(accumulate((low.width for low in updates), initial=0))
    return [LowRank(up[:, a:b], down[:, a:b].T) for a, b in pairwise(ends)], back


def _short(side: Float[Array, "m r"]) -> Frame:
    """Its QR decomposition, or itself where that is no shorter."""
    return frame(side) if side.shape[0] > side.shape[1] > 0 else Frame(side, lambda small: small)


def principal_angles(p: Float[Array, "n a"], q: Float[Array, "n b"]) -> Float[Array, " k"]:
    """Return the principal angles of two orthonormal bases, in radians, ascending.

    There are ``min(a, b)``. Small ones come from sines and large ones from cosines, so that both
    are accurate to rounding (Knyazev and Argentati, 2002). Costs ``O(n a b)``.

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
    """Cosine of the smallest principal angle: 0 iff orthogonal, 1 if they share a direction."""
    if not p.shape[1] or not q.shape[1]:
        return 0.0
    return min(1.0, float(array_namespace(p, q).linalg.svdvals(p.T @ q)[0]))


def project(x: Float[Array, "n c"], basis: Float[Array, "n k"]) -> Float[Array, "n c"]:
    """The nearest points, column by column, in the span of orthonormal `basis`; ``O(n k)`` each."""
    return basis @ (basis.T @ x)
