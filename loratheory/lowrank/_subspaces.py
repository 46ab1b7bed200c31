"""Row and column spaces, the angles between them, and projections."""

from loratheory.lowrank._array import Array, array_namespace
from loratheory.lowrank._factored import LowRank
from loratheory.lowrank._spectra import EPS, svd
from loratheory.shapes import Float


def row_space(low: LowRank, tolerance: int | float | None = None) -> Float[Array, "n k"]:
    """Orthonormal basis of the inputs that `low` reads, strongest first; costs as `svd`.

    `tolerance`, relative to the largest singular value, decides the numerical rank ``k``.
    """
    sigma, right = svd(low)[1:]
    if not sigma.shape[0]:
        return right.T
    cut = (max(low.shape) * EPS if tolerance is None else tolerance) * float(sigma[0])
    return right.T[:, : int(array_namespace(sigma).count_nonzero(sigma > cut))]


def column_space(low: LowRank, tolerance: int | float | None = None) -> Float[Array, "m k"]:
    """Orthonormal basis of the outputs that `low` writes, strongest first; costs as `svd`."""
    return row_space(low.T, tolerance)


def principal_angles(p: Float[Array, "n a"], q: Float[Array, "n b"]) -> Float[Array, " k"]:
    """Return the principal angles in radians, ascending, ``k = min(a, b)``.

    Parameters
    ----------
    p : (n, a) array
        Orthonormal columns.
    q : (n, b) array
        Orthonormal columns.

    Returns
    -------
    (k,) array
        Small angles come from sines and large ones from cosines, so that both are accurate to
        rounding (Knyazev and Argentati, 2002). Costs ``O(n a b)``.
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
    xp = array_namespace(p, q)
    if not p.shape[1] or not q.shape[1]:
        return 0.0
    return min(1.0, float(xp.linalg.svdvals(p.T @ q)[0]))


def project(x: Float[Array, "n c"], basis: Float[Array, "n k"]) -> Float[Array, "n c"]:
    """The nearest points, column by column, in the span of orthonormal `basis`; ``O(n k)`` each."""
    return basis @ (basis.T @ x)
