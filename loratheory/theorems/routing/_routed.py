"""How often a score picks the right adapter: by count, and for Arrow in closed form."""

from math import erf, exp, pi, sqrt

from scipy.integrate import quad

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY


def chance(scores: Float[Array, "t k"], right: int, room: float = SAFETY) -> float:
    """How often the best score is that of `right`, ties within `room` broken at random."""
    xp = array_namespace(scores)
    best = xp.astype(scores >= xp.max(scores, axis=1, keepdims=True) - room, scores.dtype)
    return float(xp.mean(best[:, right] / xp.sum(best, axis=1)))


def accuracy(facts: int, experts: int, noise: int | float = 0.0) -> float:
    r"""Return how often Arrow picks the right adapter on a random edited key.

    Parameters
    ----------
    facts : int
        Edited keys per adapter, orthonormal, with one strength ahead of the others.
    experts : int
        How many adapters.
    noise : float
        Standard deviation of the isotropic Gaussian noise in every entry of the unit query.

    Returns
    -------
    float
        :math:`p/N + (1 - 1/N)/E`, ``p`` the accuracy on the top keys, 1 without noise.
    """
    top = 1.0
    if noise:
        shift = 1 / noise

        def _wins(g: float) -> float:
            return erf(abs(shift + g) / sqrt(2)) ** (experts - 1) * exp(-(g**2) / 2) / sqrt(2 * pi)

        top = quad(_wins, -12, 12, points=[max(-shift, -12.0)], epsabs=1e-13)[0]
    return top / facts + (1 - 1 / facts) / experts
