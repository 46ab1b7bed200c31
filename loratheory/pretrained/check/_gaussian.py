r"""How far a base weight is from a Gaussian matrix: its spectrum against Marchenko and Pastur.

Entries of variance :math:`s^2` give singular values between :math:`s(\sqrt n - \sqrt m)` and
:math:`s(\sqrt n + \sqrt m)`; what lies beyond that edge by more than chance is structure, and
``thm:intruder-threshold`` does not speak of it.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.pretrained.check._basis import gram
from loratheory.shapes import Float, Float64

CHANCE = 5.0  # Tracy-Widom units above the edge that noise does not reach
GRID = 2000


@dataclass(frozen=True)
class Noise:
    """A weight beside a Gaussian matrix of the same shape and size.

    Attributes
    ----------
    spread : float
        Root mean square of the entries.
    kurtosis : float
        Fourth moment over the squared second: 3 for a normal law.
    edge, top : float
        Largest singular value of the Gaussian matrix, in the limit, and of the weight.
    distance : float
        Kolmogorov's, between the squared singular values and the law of Marchenko and Pastur.
    spikes : int
        How many singular values are beyond what noise reaches.
    energy : float
        Their share of the squared norm.
    """

    spread: float
    kurtosis: float
    edge: float
    top: float
    distance: float
    spikes: int
    energy: float


def noise(
    matrix: Float[np.ndarray, "m n"], sigma: Float64[np.ndarray, " k"] | None = None
) -> Noise:
    """Return how a weight's spectrum compares with that of pure noise.

    Parameters
    ----------
    matrix : (m, n) array
        Not zero.
    sigma : (k,) array, optional
        Its singular values, descending, where they are known.

    Returns
    -------
    Noise
        Costs the eigenvalues of its smaller Gram matrix, ``O(m n min(m, n))``, if not known.

    References
    ----------
    Marchenko and Pastur (1967); Johnstone, *Annals of Statistics* 29 (2001), for the edge.
    """
    m, n = sorted(matrix.shape)
    squares = np.asarray(matrix, np.float64) ** 2
    second, fourth = float(squares.mean()), float((squares**2).mean())
    squared = (
        np.maximum(np.linalg.eigvalsh(gram(matrix)), 0.0) if sigma is None else sigma[::-1] ** 2
    )
    low, high = (1 - (m / n) ** 0.5) ** 2, (1 + (m / n) ** 0.5) ** 2
    roots = (n - 1) ** 0.5 + m**0.5
    unit = roots * (1 / max(n - 1, 1) ** 0.5 + 1 / m**0.5) ** (1 / 3)
    beyond = squared > second * (roots**2 + CHANCE * unit)
    return Noise(
        spread=second**0.5,
        kurtosis=fourth / second**2 if second else 0.0,
        edge=(second * n * high) ** 0.5,
        top=float(squared[-1]) ** 0.5,
        distance=_distance(squared / (second * n or 1.0), low, high, m / n),
        spikes=int(beyond.sum()),
        energy=float(squared[beyond].sum() / squared.sum()) if second else 0.0,
    )


def _distance(values: Float[np.ndarray, " m"], low: float, high: float, ratio: float) -> float:
    """The largest gap between the values' distribution and the law's, from both sides of a step."""
    angle = np.linspace(0, np.pi, GRID)
    points = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    half = (high - low) / 2 * np.sin(angle)
    speed = half**2 / (2 * np.pi * ratio * np.maximum(points, 1e-12))
    share = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle))])
    law = np.interp(values, points, share / share[-1])
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(law - steps[:-1]).max(), np.abs(law - steps[1:]).max()))
