"""Random matrices with a known spectrum, and random subspaces at known angles.

All are NumPy float64; ``low.map(torch.asarray)``, for instance, moves a `LowRank` to PyTorch.
"""

from collections.abc import Sequence

import numpy as np

from loratheory.lowrank._array import Array
from loratheory.lowrank._factored import LowRank
from loratheory.shapes import Float


def orthonormal(rng: np.random.Generator, n: int, k: int) -> Float[Array, "n k"]:
    """Return `k` orthonormal columns, uniformly distributed (Haar); costs ``O(n k^2)``."""
    if k > n:
        message = f"{k} orthonormal columns do not fit into dimension {n}: ask for at most {n}"
        raise ValueError(message)
    q, r = np.linalg.qr(rng.standard_normal((n, k)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def gaussian(rng: np.random.Generator, m: int, n: int, r: int, scale: int | float = 1.0) -> LowRank:
    """Return a product of Gaussian factors whose entries have standard deviation `scale`.

    Examples
    --------
    >>> gaussian(np.random.default_rng(0), m=6, n=5, r=2).rank
    2
    """
    root = np.sqrt(scale / np.sqrt(max(r, 1)))
    return LowRank(root * rng.standard_normal((m, r)), root * rng.standard_normal((r, n)))


def with_spectrum(rng: np.random.Generator, m: int, n: int, sigma: Sequence[float]) -> LowRank:
    """Return a matrix with singular values `sigma` and Haar singular vectors, balanced factors."""
    values = np.asarray(sigma, dtype=float)
    if np.any(values < 0):
        message = f"singular values cannot be negative, got {values.min()}: drop the sign"
        raise ValueError(message)
    root = np.sqrt(values)
    left = orthonormal(rng, m, values.size) * root
    return LowRank(left, root[:, None] * orthonormal(rng, n, values.size).T)


def subspaces_at(
    rng: np.random.Generator, n: int, angles: Sequence[float]
) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
    """Return bases of two subspaces with the given principal angles, in radians.

    The bases are orthonormal columns; ``k`` is the number of angles, and ``n >= 2 k`` is needed.
    """
    theta = np.asarray(angles, dtype=float)
    frame = orthonormal(rng, n, 2 * theta.size)
    first, other = frame[:, : theta.size], frame[:, theta.size :]
    return first, first * np.cos(theta) + other * np.sin(theta)
