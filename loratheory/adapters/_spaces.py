r"""Where an entrywise rule looks at entries: the update itself, KnOTS or Core Space.

A space gives orthonormal frames :math:`U` (outputs) and :math:`V` (inputs) with
:math:`\Delta_j = U X_j V^\top` for every update; the rule merges the coordinates :math:`X_j` into
one array :math:`X` and the merged update is :math:`U X V^\top`. In `knots` and `core` nothing of
size (m, n) is ever formed, and the rank stays within the sum of the ranks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loratheory.adapters._options import strong
from loratheory.lowrank import Array, LowRank, array_namespace, from_dense
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Updates written in common frames; a missing frame is the identity.

    Attributes
    ----------
    cores : tuple of (p, q) LowRank
        The coordinates of each update.
    left : (m, p) array, optional
        Orthonormal columns.
    right : (q, n) array, optional
        Orthonormal rows.
    """

    cores: tuple[LowRank, ...]
    left: Float[Array, "m p"] | None = None
    right: Float[Array, "q n"] | None = None

    def update(self, merged: Float[Array, "p q"], rank: int | None = None) -> LowRank:
        """Back from merged coordinates; in the full space by a dense SVD, ``O(m n min(m, n))``."""
        if self.left is None:
            return from_dense(merged, None if rank is None else min(rank, *merged.shape))
        return LowRank(self.left, merged if self.right is None else merged @ self.right)


def full(updates: Sequence[LowRank]) -> Coordinates:
    """The entries of the updates themselves; costs nothing until they are formed."""
    return Coordinates(tuple(updates))


def knots(updates: Sequence[LowRank]) -> Coordinates:
    r"""Return KnOTS coordinates :math:`X_j = \Sigma V_j^\top = U^\top \Delta_j`, (k, n).

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.

    Returns
    -------
    Coordinates
        In the left singular basis of :math:`[\Delta_1 \dots \Delta_K]`, see `knots_basis`. Unique
        up to signs, which no rule here can see, unless singular values coincide.

    References
    ----------
    Stoica et al., *Model merging with SVD to tie the KnOTS* (ICLR 2025, arXiv 2410.19735).
    """
    left = knots_basis(updates)[0]
    return Coordinates(tuple(LowRank(left.T @ low.up, low.down) for low in updates), left)


def knots_basis(updates: Sequence[LowRank]) -> tuple[Float[Array, "m k"], Float[Array, " k"]]:
    r"""Return the left singular vectors and singular values of :math:`[\Delta_1 \dots \Delta_K]`.

    With :math:`A_j^\top = P_j T_j` (QR) the stack is
    :math:`[B_1 T_1^\top \dots B_K T_K^\top]` times a block diagonal of orthonormal rows, so that
    the SVD of an (m, R) array gives both, ``R`` the total width.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.

    Returns
    -------
    left : (m, k) array
        Orthonormal columns that span all outputs of the updates, strongest first.
    sigma : (k,) array
        Positive, descending. Costs ``O((m + n) R^2)``; the dense road ``O(K m^2 n)``.
    """
    xp = array_namespace(updates[0].up)
    parts = [low.up @ xp.linalg.qr(low.down.T)[1].T for low in updates if low.width]
    return _frame(xp.concat(parts, axis=1) if parts else updates[0].up)


def core(updates: Sequence[LowRank]) -> Coordinates:
    r"""Return Core Space coordinates :math:`X_j = U^\top \Delta_j V`, (p, q) with p, q at most R.

    :math:`U` are the left singular vectors of the stacked first factors
    :math:`[B_1 \dots B_K]`, :math:`V` the right ones of the stacked second factors. They span the
    right spaces in every gauge, but *which* axes they are depends on the factorisation: an
    entrywise rule here is **gauge dependent**. Bring the adapters into `balanced` form first
    and it is well defined.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.

    Returns
    -------
    Coordinates
        Exact: no update loses anything. Costs ``O((m + n) R^2)``, ``R`` the total width.

    References
    ----------
    Panariello, Marczak et al., *Accurate and efficient low-rank model merging in Core Space*
    (NeurIPS 2025, arXiv 2509.17786).
    """
    xp = array_namespace(updates[0].up)
    left = _frame(xp.concat([low.up for low in updates], axis=1))[0]
    right = _frame(xp.concat([low.down for low in updates], axis=0).T)[0]
    cores = tuple(LowRank(left.T @ low.up, low.down @ right) for low in updates)
    return Coordinates(cores, left, right.T)


SPACES: dict[str, Callable[[Sequence[LowRank]], Coordinates]] = {
    "full": full,
    "knots": knots,
    "core": core,
}


def _frame(stack: Float[Array, "m c"]) -> tuple[Float[Array, "m k"], Float[Array, " k"]]:
    """Left singular vectors and values of a tall array, without the negligible ones."""
    if 0 in stack.shape:
        return stack[:, :0], stack[0, :0]
    left, sigma, _ = array_namespace(stack).linalg.svd(stack, full_matrices=False)
    keep = strong(sigma)
    return left[:, :keep], sigma[:keep]
