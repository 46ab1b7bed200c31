r"""Several matrices at once: norms of many weighted sums, common coordinates, principal angles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from loratheory.lowrank._array import Array, Frame, array_namespace, device, frame
from loratheory.lowrank._factored import LowRank, concatenated, spread
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class Grams:
    """Gram matrices of the factors of some updates, which give the norm of every weighted sum.

    Two ``(c, c)`` matrices, ``c`` the sum of the widths, suffice for norms, distances and singular
    values of all weighted sums, without a QR for each. The price is precision: a squared distance
    is exact to rounding of the largest squared norm involved, so distances below 1e-7 of the norms
    are lost. Where those matter, use `LowRank.norm`.
    """

    up: Float[Array, "c c"]  #: Inner products of the columns of all `up` factors.
    down: Float[Array, "c c"]  #: Inner products of the rows of all `down` factors.
    widths: tuple[int, ...]  #: Width of each update, in order.

    def squared(self, weights: Sequence[int | float]) -> float:
        """Return the squared norm of the weighted sum, never negative; costs ``O(c^2)``."""
        each, xp = spread(weights, self.widths, self.up), array_namespace(self.up)
        return max(0.0, float(xp.sum(self.up * self.down * each[:, None] * each)))

    def energies(self, weights: Sequence[int | float]) -> Float[Array, " c"]:
        """Return the `c` squared singular values of the weighted sum, descending; ``O(c^3)``."""
        xp = array_namespace(self.up)
        if not self.up.shape[0]:
            return xp.zeros(0, dtype=xp.float64, device=device(self.up))
        each = spread(weights, self.widths, self.up)
        values, vectors = xp.linalg.eigh(self.up)
        root = vectors * xp.sqrt(xp.clip(values, 0.0, None))  # root @ root.T is the Gram matrix
        inner = root.T @ (each[:, None] * self.down * each) @ root
        return xp.flip(xp.clip(xp.linalg.eigvalsh((inner + inner.T) / 2), 0.0, None))

    def tail(self, weights: Sequence[int | float], rank: int) -> float:
        """Return the sum of the squared singular values beyond the first `rank`; ``O(c^3)``."""
        width = sum(r for w, r in zip(weights, self.widths, strict=True) if w)
        if rank >= width:
            return 0.0
        energies = self.energies(weights)
        return float(array_namespace(energies).sum(energies[rank:]))


def grams(updates: Sequence[LowRank]) -> Grams:
    """Return the Gram matrices of the factors of updates of one shape, in float64.

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
    """Return updates of one shape in orthonormal bases of their joint column and row spaces.

    Neither side is then longer than the total width ``R``, and all norms, angles, singular values
    and inner products of the updates and of their factors stay the same. The function returned
    takes columns of outputs back to the original coordinates. Costs two QRs, ``O((m + n) R^2)``.
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
