r"""Intruder threshold: when an edit becomes a top singular direction, when merging hides it.

**Statement.** A base of width d has independent N(0, 1/d) entries, and an independent rank-one edit
of strength s is added with coefficient c > 0. As d grows, the squared overlap of the sum's top left
singular vector with the edit's output direction tends to max(0, 1 − 1/(cs)²).

Let :math:`W \in \mathbb{R}^{d \times d}` have independent entries :math:`N(0, 1/d)`. Let
:math:`\Delta = s\,u v^\top` with unit vectors that do not depend on :math:`W`. To leading order in
:math:`d`, :math:`W + c\,\Delta` has a top singular pair with

.. math::
    \sigma \to \begin{cases} t + 1/t & t > 1 \\ 2 & t \le 1 \end{cases}, \qquad
    \langle \hat u, u \rangle^2 \to \max(0,\; 1 - 1/t^2), \qquad t = c\,s .

The mean of :math:`K` adapters removes the direction for :math:`s \le K`. Whether the edit itself
survives the mean is decided by another threshold (``thm:averaging-survival``).

**Status.** The law is cited. It is asymptotic and not a bound. We compare the mean overlap of T
samples of one width with the limit, within a *tolerance* for chance and for the finite width. Above
the threshold it is six standard errors, :math:`6 \sqrt{2 / (d T)} / (t \sqrt{t^2 - 1})`, and
:math:`1/(d t^2)`. Below it, it is :math:`4/\sqrt{d T} + d^{-2/3}`. Trials at widths 32, 64 and 128
agree with these terms. The cases keep away from the threshold: :math:`t \le 0.7` or :math:`t \ge
1.5`. Near the threshold the overlap passes smoothly from small to large. At :math:`t = 1` it was
still 0.12 at width 256.

**Implication.** A new top singular direction shows that an edit is strong, not that it works. A
small merge coefficient can hide the direction while the edit survives. An edit can also fail while
its direction is visible.

**Scope.** Weights of trained models are not Gaussian. Here the singular values of :math:`W` fill
the interval from 0 to 2. Trained weights have another spectrum, and so another threshold.

References
----------
Benaych-Georges and Nadakuditi, *J. Multivariate Anal.* 111 (2012), section 3.1; intruder
dimensions: Shuttleworth et al. (arXiv 2410.21228).
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import largest
from loratheory.theorems._sampling import SIGMAS, standard_normal, unit_vectors
from loratheory.theorems._theorem import SAFETY, Assumption, Theorem, spoil

SENSE = "equal"
STATUS = "cited"
SOURCE = "Benaych-Georges and Nadakuditi (2012); the reading for merges is our own"

GAUSSIAN = "a base of independent normal entries of variance 1/d"
APART = "an edit that does not depend on the base"
UNIT = "an edit of the strength of the case"
AWAY = "a merged strength at most 0.7 or at least 1.5"


@dataclass(frozen=True)
class Case:
    """Singular value of a rank-one edit, its coefficient in a merge, and the base's dimension.

    `trials` bases and edits are drawn.
    """

    strength: float
    coefficient: float
    width: int
    trials: int = 24

    @property
    def merged(self) -> float:
        """Strength of the edit in the merge."""
        return self.strength * self.coefficient


@dataclass(frozen=True, eq=False)
class Sample:
    """t random bases, and the output (`left`) and input (`right`) unit vector of each edit."""

    bases: Float[Array, "t d d"]
    left: Float[Array, "t d"]
    right: Float[Array, "t d"]


def overlap(strength: int | float, coefficient: int | float = 1.0) -> float:
    """Return max(0, 1 − 1/(cs)²), the limit on a wide Gaussian base of the squared overlap."""
    t = abs(strength * coefficient)
    return 1 - 1 / t**2 if t > 1 else 0.0


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw merged strengths well below or above the threshold, with usual coefficients."""
    # next to the threshold the limit is approached too slowly
    below = rng.random() < 0.5
    merged = float(rng.uniform(0, 0.7) if below else rng.uniform(1.5, 6))
    coefficient = float(rng.choice([1.0, 0.5, 0.25]))
    # some cases with many bases tell the law's exponent
    trials = 400 if rng.random() < 0.05 else 24
    return Case(merged / coefficient, coefficient, max(64, size), trials)


def bound(case: Case) -> float:
    """Return max(0, 1 − 1/(cs)²), s being the case's strength and c its coefficient."""
    return overlap(case.strength, case.coefficient)


def noise(case: Case) -> float:
    """Return how far chance and the finite width may lead from the limit, as the text states."""
    t, d = case.merged, case.width
    if t < 1:
        return 4 / (d * case.trials) ** 0.5 + d ** (-2 / 3)
    return 6 * (2 / (d * case.trials)) ** 0.5 / (t * (t**2 - 1) ** 0.5) + 1 / (d * t**2)


def measure(case: Case, sample: Sample) -> float:
    """Return the mean squared cosine of the top left singular vector and the edit's output."""
    xp = array_namespace(sample.bases)
    edit = sample.left[:, :, None] * sample.right[:, None, :]
    left = xp.linalg.svd(sample.bases + case.merged * edit)[0][:, :, 0]
    # relative to the edit's own length, which a control may change
    cosines = xp.sum(left * sample.left, axis=1) ** 2 / xp.sum(sample.left**2, axis=1)
    return float(xp.mean(cosines))


def rival(case: Case, rng: np.random.Generator) -> Sample:
    """Draw Gaussian bases, with edits in random directions or along an axis."""
    t, d = case.trials, case.width
    bases = rng.standard_normal((t, d, d)) / d**0.5
    # the base has no preferred direction: an axis is as good as any
    axis = np.tile(np.eye(1, d), (t, 1))
    left = axis if rng.random() < 0.3 else unit_vectors(rng, t, d)
    return Sample(bases, left, unit_vectors(rng, t, d))


def _apart(_: Case, sample: Sample) -> bool:
    xp, d = array_namespace(sample.bases), sample.bases.shape[1]
    # an independent edit meets the base like one more normal entry of variance 1/d
    lengths = xp.sum(sample.left**2, axis=1) * xp.sum(sample.right**2, axis=1)
    answers = xp.sum(sample.left[:, :, None] * sample.bases * sample.right[:, None, :], axis=(1, 2))
    return largest(answers / xp.sqrt(lengths)) * d**0.5 <= SIGMAS


def _unit(_: Case, sample: Sample) -> bool:
    xp = array_namespace(sample.left)
    lengths = xp.concat([xp.sum(sample.left**2, axis=1), xp.sum(sample.right**2, axis=1)])
    return largest(lengths - 1) <= SAFETY


ASSUMPTIONS: tuple[Assumption[Case, Sample], ...] = (
    Assumption(GAUSSIAN, lambda _, s: standard_normal(s.bases.shape[1] ** 0.5 * s.bases)),
    Assumption(APART, _apart),
    Assumption(UNIT, _unit),
    Assumption(
        AWAY,
        lambda case, _: not 0.7 < case.merged < 1.5,
        unbroken="the limit is the same next to 1, but samples come near it at large widths only",
    ),
)


def _own_direction(sample: Sample) -> Sample:
    left, _, right = np.linalg.svd(sample.bases)
    return Sample(sample.bases, left[:, :, 0], right[:, 0, :])


def _fine(merged: float) -> tuple[Case, Sample]:
    case = Case(merged, 1.0, 64)
    return case, rival(case, np.random.default_rng(1))


_WEAK, _STRONG = partial(_fine, 0.7), partial(_fine, 1.5)

CONTROLS = (
    spoil("a larger base", GAUSSIAN, _STRONG, lambda s: replace(s, bases=2 * s.bases)),
    spoil("an edit of the base's own top direction", APART, _WEAK, _own_direction),
    spoil("an edit thrice as strong", UNIT, _WEAK, lambda s: replace(s, left=3 * s.left)),
)

COMPUTE = (overlap,)

THEOREM: Theorem[Case, Sample] = Theorem.of(__name__)
