r"""Spectra of factored matrices, exact and without forming them.

Everything rests on one decomposition: with thin QRs ``up = Q R`` and ``down.T = P T``, the matrix
is ``Q (R T.T) P.T`` and its singular values are those of the small core ``R T.T``. It costs
``O((m + n) r^2 + r^3)`` and runs in float64 whatever comes in.
"""

import math
from typing import NamedTuple

from loratheory.lowrank._array import Array, array_namespace, device, double
from loratheory.lowrank._factored import LowRank
from loratheory.lowrank._frames import Frame, frame
from loratheory.shapes import Float

EPS = 2.0**-52


class Svd(NamedTuple):
    """``(left * sigma) @ right``: orthonormal columns, descending sigma, orthonormal rows."""

    left: Float[Array, "m k"]
    sigma: Float[Array, " k"]
    right: Float[Array, "k n"]


def _core(low: LowRank, overwrite: bool = False) -> tuple[Frame, Array, Frame]:
    """Frames ``q``, ``p`` and the small ``core`` with ``low = q @ core @ p.T``."""
    q = frame(double(low.up, "up"), overwrite)
    p = frame(double(low.down, "down").T, overwrite)
    return q, q.triangle @ p.triangle.T, p


def svd(low: LowRank, rank: int | None = None) -> Svd:
    """Return the singular value decomposition, ``k = min(m, n, width)``, or its leading part.

    Parameters
    ----------
    low : LowRank
        Any factored matrix.
    rank : int, optional
        Keep at most so many singular values, from the largest; all where not given.

    Returns
    -------
    Svd
        In float64. Costs ``O((m + n) r^2 + r^3)``; no ``(m, n)`` array.

    Raises
    ------
    NotFiniteError
        If a factor holds NaN or infinity.
    """
    q, core, p = _core(low)
    u, sigma, vt = _leading(core, rank)
    return Svd(q.times(u), sigma, p.times(vt.T).T)


def _leading(core: Array, rank: int | None) -> tuple[Array, Array, Array]:
    """Dense singular value decomposition, its first `rank` triples; an empty core has none."""
    xp = array_namespace(core)
    if 0 in core.shape:
        empty = xp.zeros(0, dtype=xp.float64, device=device(core))
        return core[:, :0], empty, core[:0, :]
    u, sigma, vt = xp.linalg.svd(core, full_matrices=False)
    keep = int(sigma.shape[0]) if rank is None else min(rank, int(sigma.shape[0]))
    return u[:, :keep], sigma[:keep], vt[:keep, :]


def singular_values(low: LowRank) -> Float[Array, " k"]:
    """Singular values, descending, ``k = min(m, n, width)``; the cost of `svd` without vectors."""
    core = _core(low)[1]
    xp = array_namespace(core)
    if 0 in core.shape:
        return xp.zeros(0, dtype=xp.float64, device=device(core))
    return xp.linalg.svdvals(core)


def frobenius(low: LowRank) -> float:
    """Frobenius norm; unlike ``sqrt(low.inner(low))`` it survives cancelling factors."""
    core = _core(low)[1]
    xp = array_namespace(core)
    return math.sqrt(float(xp.sum(core**2)))


def spectral(low: LowRank) -> float:
    """Largest singular value, 0 for the zero matrix."""
    sigma = singular_values(low)
    return float(sigma[0]) if sigma.shape[0] else 0.0


def nuclear(low: LowRank) -> float:
    """Sum of the singular values."""
    sigma = singular_values(low)
    return float(array_namespace(sigma).sum(sigma))


def rank(low: LowRank, tolerance: int | float | None = None) -> int:
    """Numerical rank: singular values above `tolerance` times the largest.

    The default tolerance, ``max(m, n)`` rounding units, is the usual one of dense libraries.
    """
    sigma = singular_values(low)
    if not sigma.shape[0]:
        return 0
    cut = (max(low.shape) * EPS if tolerance is None else tolerance) * float(sigma[0])
    return int(array_namespace(sigma).count_nonzero(sigma > cut))


def stable_rank(low: LowRank) -> float:
    """Squared Frobenius norm over squared spectral norm; at most the rank, 0 for zero."""
    sigma = singular_values(low)
    top = float(sigma[0]) if sigma.shape[0] else 0.0
    return float(array_namespace(sigma).sum((sigma / top) ** 2)) if top else 0.0


def effective_rank(low: LowRank) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli, 2007)."""
    sigma = singular_values(low)
    xp = array_namespace(sigma)
    total = float(xp.sum(sigma))
    if not total:
        return 0.0
    share = sigma[sigma > 0] / total
    return math.exp(-float(xp.sum(share * xp.log(share))))


def tail_energy(low: LowRank, rank: int) -> float:
    r"""Return the squared singular values beyond `rank`, summed.

    Parameters
    ----------
    low : LowRank
        Any factored matrix.
    rank : int
        How many leading singular values to leave out, at least 0.

    Returns
    -------
    float
        :math:`\sum_{i > r} \sigma_i^2`: the squared distance to the nearest matrix of that rank
        (Eckart and Young, 1936), zero when `rank` reaches the rank of `low`.
    """
    sigma = singular_values(low)
    return float(array_namespace(sigma).sum(sigma[min(rank, int(sigma.shape[0])) :] ** 2))


def truncate(low: LowRank, rank: int, *, overwrite: bool = False) -> LowRank:
    """Return the best approximation of rank at most `rank`, in balanced factors.

    Parameters
    ----------
    low : LowRank
        Any factored matrix.
    rank : int
        Inner dimension of the result at most; 0 gives the zero matrix of width 0.
    overwrite : bool
        Let the factors of `low` be destroyed, which spares memory traffic.

    Returns
    -------
    LowRank
        The nearest matrix of that rank in every unitarily invariant norm, in float64, with the
        singular values split evenly between the factors. Costs as `svd`.
    """
    q, core, p = _core(low, overwrite)
    u, sigma, vt = _leading(core, rank)
    root = array_namespace(sigma).sqrt(sigma)  # scales the small vectors, before they grow tall
    return LowRank(up=q.times(u * root), down=p.times(vt.T * root).T)


def from_dense(matrix: Float[Array, "m n"], rank: int | None = None) -> LowRank:
    """Factor a dense matrix, truncated to `rank` if given; costs a dense SVD, in float64."""
    xp = array_namespace(matrix)
    left, sigma, right = xp.linalg.svd(double(matrix, "matrix"), full_matrices=False)
    root = xp.sqrt(sigma[:rank])
    return LowRank(up=left[:, :rank] * root, down=root[:, None] * right[:rank, :])
