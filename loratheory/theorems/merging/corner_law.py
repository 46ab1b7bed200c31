r"""Corner law: what merges with other coefficients do, from the model with each adapter on or off.

**Statement.** K adapters are merged with coefficients c_i between 0 and 1, and an answer leads a
competitor by f(c). Let the second derivative of f in c_i be at most κ_i in magnitude, and let p be
the multilinear interpolation of f between the 2^K corners, where each coefficient is 0 or 1. Then
f(c) differs from p(c) by at most ½ Σ κ_i c_i (1 − c_i), and the constant is sharp.

No property of the network is used but the curvature of :math:`f` along each coefficient. For two
adapters with one common coefficient :math:`c` let :math:`m = f(0, 0)`, let :math:`\delta_1 = f(1,
0) - m` and :math:`\delta_2 = f(0, 1) - m` be the effects of each adapter alone, and let the
*interaction* be :math:`I = f(1, 1) - f(1, 0) - f(0, 1) + m`. Then

.. math::
    \bigl| f(c, c) - \bigl(m + (\delta_1 + \delta_2)\,c + I c^2\bigr) \bigr|
    \le \tfrac12 (\kappa_1 + \kappa_2)\, c (1 - c).

So the coefficient at which a question is answered is a root of a quadratic, which four forward
passes give. If :math:`p < -\tfrac18 \sum_i \kappa_i` at all corners for one competitor, no
coefficients in :math:`[0, 1]^K` give the answer. The golden ratio of ``thm:two-read-region`` is the
root of :math:`c^2 + c - 1`, the case :math:`\kappa = 0`, :math:`m = -1`, :math:`\delta_1 + \delta_2
= 1`, :math:`I = 1`. ``thm:averaging-survival`` is the case of one adapter.

**Proof.** A function :math:`g` on :math:`[0, 1]` differs from its chord :math:`(1 - c) g(0) + c
g(1)` by :math:`-\tfrac12 c (1 - c) g''(\xi)` for some :math:`\xi`. Replace :math:`f` by its chord
in one coordinate after another. The first step changes the value at :math:`c` by at most
:math:`\tfrac12 \kappa_1 c_1 (1 - c_1)`. What it gives is a convex combination of values of
:math:`f`, and so are its second derivatives in the other coordinates, which keep their bounds.
After K steps :math:`f` has become :math:`p`. At :math:`f = p + \tfrac12 \sum_i \kappa_i c_i (1 -
c_i)` every step meets its bound. A multilinear function is largest at a corner, and :math:`c_i (1 -
c_i) \le \tfrac14`. :math:`\square`

**Implication.** Whether two adapters answer a question together depends on their interaction, which
neither shows alone: measure both together. Four forward passes then predict the coefficients at
which they do, as far as the lead does not bend. If each lead is far below 0 at all corners, search
no coefficients; train differently or route.

**Scope.** Leads in logits have kinks where the strongest competitor changes, so that each
competitor needs its own law. Curvatures of a language model are not known: a pass at half of a
coefficient gives a lower bound of one. On two of them, interpolated corners predict two-hop answers
of merges hardly better than the best constant for each coefficient (the study ``lm_corners``), and
the base's own facts much better. Coefficients above 1 are outside.

References
----------
The remainder of linear interpolation is textbook. Quadratic models of merge coefficients, fitted to
samples: MAP, arXiv 2406.07529. Interactions of two adapters in one network are those of factorial
designs (Yates 1937).
"""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.optimize import minimize

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, largest
from loratheory.theorems._theorem import Control, Theorem, spoil

SENSE = "upper"
SOURCE = "own; the remainder of linear interpolation, coordinate by coordinate"

INSIDE = "coefficients between 0 and 1"
CURVED = "a lead whose second derivative in each coefficient is at most the case's curvature"


def answered_from(
    base: float, first: float, second: float, both: float, curvature: float = 0.0
) -> float:
    """Return the common coefficient of two adapters from which on, up to 1, an answer surely leads.

    The leads are those without adapters, with each alone and with both; the curvature is the sum of
    both adapters'. It is NaN if the answer does not lead with both.
    """
    if both <= 0:
        return math.nan
    # the least lead that is possible at c, as a polynomial in c
    square = both - first - second + base + curvature / 2
    straight = first + second - 2 * base - curvature / 2
    roots = np.roots([square, straight, base])
    inside = roots[(roots.imag == 0) & (roots.real > 0) & (roots.real < 1)].real
    return float(max(inside, default=0.0))


@dataclass(frozen=True, eq=False)
class Case:
    """Leads at the 2^K corners, a bound of each curvature, and the coefficients of a merge."""

    corners: Float[Array, "..."]
    curvatures: Float[Array, " k"]
    coefficients: Float[Array, " k"]


@dataclass(frozen=True, eq=False)
class Lead:
    """A lead as a function of the coefficients: interpolated corners, and bends along each.

    The bend along coefficient i has a strength that is multilinear in the other coefficients, by
    the entries of ``strengths[i]``, and a second derivative of that strength times ``cos(ω c_i +
    φ)`` with ``waves[i] = (ω, φ)``. A ``kink`` has none at all at one half.
    """

    corners: Float[Array, "..."]
    strengths: tuple[Array, ...]
    waves: tuple[tuple[float, float], ...]
    kink: float = 0.0

    def __call__(self, coefficients: Array) -> float:
        """Return the lead at coefficients (K,)."""
        total = _interpolate(self.corners, coefficients)
        for i, (strength, wave) in enumerate(zip(self.strengths, self.waves, strict=True)):
            x = float(coefficients[i])
            chord = (1 - x) * _bend(0.0, *wave) + x * _bend(1.0, *wave)
            total += _interpolate(strength, coefficients) * (_bend(x, *wave) - chord)
        return total + self.kink * (abs(float(coefficients[0]) - 0.5) - 0.5)


def _bend(x: float, frequency: float, phase: float) -> float:
    """Return a function of x whose second derivative is ``cos(frequency x + phase)``."""
    if frequency == 0:
        return math.cos(phase) * x * x / 2
    return -math.cos(frequency * x + phase) / frequency**2


def _interpolate(table: Array, coefficients: Array) -> float:
    """Interpolate linearly along each axis; an axis of length 1 has the same value throughout."""
    for i in range(coefficients.shape[0]):
        c = coefficients[i]
        table = (1 - c) * table[0, ...] + c * table[-1, ...]
    return float(table)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to three adapters, leads and curvatures of any size, and coefficients inside."""
    k = int(rng.integers(1, min(size, 3) + 1))
    magnitude = 10.0 ** int(rng.integers(-6, 7))
    corners = magnitude * rng.standard_normal((2,) * k)
    # the law is exact at the corners and where nothing bends
    bent = rng.uniform(size=k) < 0.8
    curvatures = magnitude * bent * 10.0 ** rng.uniform(-2, 1, k)
    coefficients = np.where(rng.uniform(size=k) < 0.9, rng.uniform(size=k), rng.integers(0, 2, k))
    return Case(corners, curvatures, coefficients)


def bound(case: Case) -> float:
    """Return half the sum of curvature times c (1 − c)."""
    c = case.coefficients
    return float(array_namespace(c).sum(case.curvatures * c * (1 - c))) / 2


def measure(case: Case, lead: Lead) -> float:
    """Return how far the lead is from the mean of its corners, weighted by the coefficients."""
    predicted = 0.0
    for corner in product((0.0, 1.0), repeat=case.coefficients.shape[0]):
        # the probability of this corner if each adapter were on with probability c
        weight = 1.0
        for i, on in enumerate(corner):
            weight *= float(case.coefficients[i]) if on else 1 - float(case.coefficients[i])
        predicted += weight * lead(beside(case.coefficients, corner))
    return abs(lead(case.coefficients) - predicted)


def scale(case: Case) -> float:
    """Return the largest lead at a corner and the sum of curvatures, which errors grow with."""
    return largest(case.corners) + float(array_namespace(case.curvatures).sum(case.curvatures))


def attain(case: Case) -> Lead:
    """Build the lead that bends as much as it may along each coefficient, towards the answer."""
    k, one = case.curvatures.shape[0], beside(case.corners, np.ones((1,) * case.corners.ndim))
    strengths = tuple(case.curvatures[i] * one for i in range(k))
    return Lead(case.corners, strengths, ((0.0, math.pi),) * k)


def rival(case: Case, rng: np.random.Generator) -> Lead:
    """Return a lead that bends elsewhere, as a wave, and by other adapters' coefficients."""
    strengths, waves = list[Array](), list[tuple[float, float]]()
    for axis, curvature in enumerate(case.curvatures):
        # along its own axis a strength is constant, or it would bend more
        shape = np.ones(case.corners.ndim, int) + (np.arange(case.corners.ndim) != axis)
        strengths.append(curvature * rng.uniform(-1, 1, shape))
        waves.append((float(rng.choice([0.0, 0.5, 3.0, 20.0])), float(rng.uniform(0, 2 * math.pi))))
    return Lead(case.corners, tuple(strengths), tuple(waves))


def adversary(case: Case, rng: np.random.Generator) -> Lead:
    """Return the wave that a search finds to leave the corners' interpolation farthest behind."""
    k = len(case.curvatures)
    full = tuple(np.full((1,) * k, each) for each in case.curvatures)

    def _wave(numbers: np.ndarray) -> Lead:
        frequencies, phases = numbers.reshape(2, k)
        return Lead(case.corners, full, tuple(zip(0.3 + abs(frequencies), phases, strict=True)))

    starts = rng.uniform(0, 6, (3, 2 * k))
    found = [minimize(lambda x: -measure(case, _wave(x)), x, method="Nelder-Mead") for x in starts]
    return _wave(min(found, key=lambda result: result.fun).x)


def _is_curved_at_most(case: Case, lead: Lead) -> bool:
    # a strength that is not constant along its own axis bends more than its entries say
    for axis, strength in enumerate(lead.strengths):
        if strength.shape[axis] != 1 or largest(strength) > float(case.curvatures[axis]):
            return False
    return lead.kink == 0


ASSUMPTIONS = {
    INSIDE: lambda case, _: bool(largest(case.coefficients - 0.5) <= 0.5),
    CURVED: _is_curved_at_most,
}


def _fine() -> tuple[Case, Lead]:
    case = Case(np.array([[-1.0, -0.5], [-0.5, 1.0]]), np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    return case, attain(case)


def _outside() -> tuple[Case, Lead]:
    case, lead = _fine()
    return replace(case, coefficients=np.array([1.5, 0.5])), lead


CONTROLS = (
    Control("merge with a coefficient of 1.5", INSIDE, _outside),
    spoil(
        "bend more", CURVED, _fine, lambda lead: replace(lead, strengths=(np.ones((1, 1)) * 2,) * 2)
    ),
    spoil("have a kink", CURVED, _fine, lambda lead: replace(lead, kink=-1.0)),
)

COMPUTE = (answered_from,)

THEOREM: Theorem[Case, Lead] = Theorem.of(__name__)
