"""One update, many factorisations: moving between them and choosing a canonical one.

``(up @ G, inv(G) @ down)`` is the same matrix for every invertible ``G`` (the *gauge*). A method
that acts on the factors separately gives another answer in every gauge; put its input in
`balanced` form first and the answer depends on the update alone.
"""

from collections.abc import Sequence

from loratheory.lowrank._array import Array, array_namespace, device, double
from loratheory.lowrank._factored import LowRank
from loratheory.lowrank._spectra import EPS, Svd, svd
from loratheory.shapes import Float


def regauge(low: LowRank, gauge: Float[Array, "r r"]) -> LowRank:
    """Return the same matrix with factors ``up @ gauge`` and ``inv(gauge) @ down``.

    Parameters
    ----------
    low : LowRank
        Any factored matrix.
    gauge : (r, r) array
        An invertible matrix; its condition number is what the rounding error grows with.

    Returns
    -------
    LowRank
        Equal as a matrix. Costs ``O((m + n) r^2)``.
    """
    xp = array_namespace(low.up, gauge)
    return LowRank(low.up @ gauge, xp.linalg.solve(gauge, low.down))


def balanced(low: LowRank) -> LowRank:
    """Return the canonical factorisation of the update: ``up.T @ up == down @ down.T``, diagonal.

    The width becomes the numerical rank, the singular values are split evenly and descend, and
    the largest entry of each column of `up` is positive. Unique where the nonzero singular
    values differ; equal ones leave a rotation among them free. Costs as `svd`.

    Parameters
    ----------
    low : LowRank
        Any factored matrix.

    Returns
    -------
    LowRank
        Equal as a matrix up to rounding, the same in every gauge of `low`; float64.
    """
    return even(svd(low))


def even(part: Svd) -> LowRank:
    """Return `balanced` of a matrix whose singular value decomposition is known already.

    Parameters
    ----------
    part : Svd
        From `svd`.

    Returns
    -------
    LowRank
        As of `balanced`; costs ``O((m + n) r)``.
    """
    left, sigma, right = part
    xp = array_namespace(sigma)
    keep = 0
    if sigma.shape[0]:
        side = max(int(left.shape[0]), int(right.shape[1]))
        keep = int(xp.count_nonzero(sigma > side * EPS * float(sigma[0])))
    left, root, right = left[:, :keep], xp.sqrt(sigma[:keep]), right[:keep, :]
    if keep:
        high, deep = xp.max(left, axis=0), xp.min(left, axis=0)
        sign = xp.where(high >= -deep, xp.ones_like(high), -xp.ones_like(high))
        left, right = left * sign, right * sign[:, None]
    return LowRank(left * root, root[:, None] * right)


def total(updates: list[LowRank], weights: Sequence[int | float] | None = None) -> LowRank:
    """Return the weighted sum, exact, its width never far above ``min(m, n)``.

    Concatenation while the widths fit; beyond half of ``min(m, n)`` the list is summed in halves
    that are compressed on the way, so that a shelf of a thousand adapters costs
    ``O(count (m + n) min(m, n) r)`` instead of a QR of the whole stack.

    Parameters
    ----------
    updates : list of LowRank
        At least one, all of one shape.
    weights : list of float, optional
        One a piece; 1 where not given.

    Returns
    -------
    LowRank
        The sum, in float64.

    Raises
    ------
    ValueError
        If the list is empty, the shapes differ, or the weights do not match.
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
        return _concatenated(updates, weights)
    half = len(updates) // 2
    joined = total(updates[:half], weights[:half]) + total(updates[half:], weights[half:])
    return joined if joined.width <= min(joined.shape) else balanced(joined)


def _concatenated(updates: list[LowRank], weights: Sequence[int | float]) -> LowRank:
    """The sum as it stands, in one array of its own, in the order that LAPACK likes.

    Joined before it is widened, and weighted where it lies: memory traffic is half the cost.
    """
    xp = array_namespace(updates[0].up)
    (m, n), width = updates[0].shape, sum(low.width for low in updates)
    parts = [low.up.T for low in updates] + [low.down for low in updates]
    flat = double(xp.concat([xp.reshape(part, (-1,)) for part in parts]), "factors")
    up, down = (
        xp.reshape(flat[: width * m], (width, m)).T,
        xp.reshape(flat[width * m :], (width, n)),
    )
    if any(weight != 1 for weight in weights):
        each = [float(w) for low, w in zip(updates, weights, strict=True) for _ in range(low.width)]
        up *= xp.asarray(each, dtype=xp.float64, device=device(up))
    return LowRank(up, down)
