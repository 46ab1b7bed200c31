"""Random matrices with a known spectrum and random subspaces at known angles, from a generator.

Draws are NumPy float64; move them with ``low.map(torch.asarray)`` or the like.
"""

from collections.abc import Sequence

import numpy as np

from loratheory.lowrank._array import Array
from loratheory.lowrank._factored import LowRank
from loratheory.shapes import Float


def orthonormal(rng: np.random.Generator, n: int, k: int) -> Float[Array, "n k"]:
    """A frame of `k` orthonormal columns, uniform (Haar); costs ``O(n k^2)``."""
    if k > n:
        message = f"{k} orthonormal columns do not fit into dimension {n}: ask for at most {n}"
        raise ValueError(message)
    q, r = np.linalg.qr(rng.standard_normal((n, k)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def gaussian(rng: np.random.Generator, m: int, n: int, r: int, scale: int | float = 1.0) -> LowRank:
    """Independent normal factors, each product entry of standard deviation `scale`.

    Examples
    --------
    >>> gaussian(np.random.default_rng(0), m=6, n=5, r=2).rank
    2
    """
    root = np.sqrt(scale / np.sqrt(max(r, 1)))
    return LowRank(root * rng.standard_normal((m, r)), root * rng.standard_normal((r, n)))


def with_spectrum(rng: np.random.Generator, m: int, n: int, sigma: Sequence[float]) -> LowRank:
    """A matrix with these singular values and Haar singular vectors, balanced."""
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
    """Two orthonormal frames whose principal angles (radians) are these; needs ``n >= 2 k``."""
    theta = np.asarray(angles, dtype=float)
    frame = orthonormal(rng, n, 2 * theta.size)
    first, other = frame[:, : theta.size], frame[:, theta.size :]
    return first, first * np.cos(theta) + other * np.sin(theta)
