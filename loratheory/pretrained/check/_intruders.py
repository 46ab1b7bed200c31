r"""Intruder dimensions without decomposing the adapted weight.

Let the base weight have the left singular vectors :math:`U` and no more outputs than inputs (else
all is transposed). In these coordinates :math:`(W + \Delta)(W + \Delta)^\top` is
:math:`\Sigma^2` plus rank :math:`2r`, so that a product with it costs ``O(k r)``: Lanczos iteration
finds the few eigenvectors that are looked at, and their entries are the cosines with the base's own
directions.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import LowRank
from loratheory.pretrained.check._basis import Basis
from loratheory.shapes import Float, Float64

TOP, ALIKE = 10, 0.5
SMALL = 64
CLEAR = 1e-6  # a base direction this weak, relative to the strongest, is not compared with


@dataclass(frozen=True, eq=False)
class Intruders:
    """The top singular directions of an adapted weight.

    Attributes
    ----------
    sigma : (top,) array
        Singular values of the adapted weight, descending.
    cosines : (top,) array
        Of each left singular vector, the largest absolute cosine with one of the base's.
    loudest : (m,) array
        The first of these vectors.
    """

    sigma: Float64[np.ndarray, " top"]
    cosines: Float64[np.ndarray, " top"]
    loudest: Float64[np.ndarray, " m"]

    def count(self, alike: float = ALIKE) -> int:
        """How many of them are no direction of the base: their cosine is below `alike`."""
        return int((self.cosines < alike).sum())


def intruders(
    matrix: Float[np.ndarray, "m n"], base: Basis, update: LowRank, top: int = TOP
) -> Intruders:
    """Return the top directions of an adapted weight and how alike each is to one of the base.

    Parameters
    ----------
    matrix : (m, n) array
        The base weight.
    base : Basis
        Its own singular vectors.
    update : LowRank
        What an adapter adds to it, NumPy.
    top : int
        How many directions to look at.

    Returns
    -------
    Intruders
        To about the root of the precision that the basis was kept with. Costs ``O(m n r)`` once,
        then ``O(k r)`` a step of Lanczos iteration; no decomposition of an (m, n) matrix.

    References
    ----------
    Shuttleworth et al. (arXiv 2410.21228).
    """
    wide, sigma = matrix.shape[0] <= matrix.shape[1], base.sigma
    near, far = (update.up, update.down.T) if wide else (update.down.T, update.up)
    through = (matrix if wide else matrix.T) @ far.astype(matrix.dtype)  # what the base makes of it
    own, cross = (base.frame.T @ part.astype(np.float64) for part in (near, through))
    inner = far.T.astype(np.float64) @ far

    def _squared(y: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """The smaller Gram matrix of the adapted weight, in the base's coordinates."""
        y = y.ravel()
        codes = own.T @ y
        return sigma**2 * y + cross @ codes + own @ (cross.T @ y + inner @ codes)

    values, vectors = _top(_squared, len(sigma), min(top, len(sigma)))
    found = np.sqrt(np.maximum(values, 0.0))
    safe = np.where(found > 0, found, 1.0)
    first = base.frame @ vectors[:, 0]
    if wide:
        return Intruders(found, np.abs(vectors).max(axis=0), first)
    clear = sigma > CLEAR * sigma[0]
    seen = (sigma[:, None] ** 2 * vectors + cross @ (own.T @ vectors))[clear]
    loudest = (matrix @ first + update.up @ (update.down @ first)) / safe[0]
    return Intruders(
        found, np.abs(seen / sigma[clear, None] / safe).max(axis=0), loudest.astype(np.float64)
    )


def _top(squared: object, size: int, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Its largest eigenvalues, descending, and their vectors."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=squared, dtype=np.float64)
    if size <= max(SMALL, 4 * keep + 2):
        values, vectors = np.linalg.eigh(operator @ np.eye(size))
    else:
        start = 1.0 + np.arange(size) / size
        values, vectors = eigsh(operator, k=keep, v0=start, ncv=4 * keep + 2)
    order = np.argsort(values)[::-1][:keep]
    return values[order], vectors[:, order]
