r"""Arrow margin: how near a query must be to its prototype to be routed right whatever it is.

**Statement.** A query at angle φ from its prototype's line, θ the smallest angle to another line,
leads in Arrow's scores by at least cos φ − cos(θ − φ): half the angle between prototypes is the
largest safe radius, whatever the adapters' sizes.

Arrow scores a unit query by :math:`|\langle x, v_j \rangle|`, :math:`v_j` the top right singular
vector of :math:`\Delta_j`. Let :math:`\varphi` be the angle of the query to the line of
:math:`v_i`, and :math:`\theta \le \pi/2` the smallest angle between that line and the line of
another prototype. If :math:`\varphi \le \theta`,

.. math::
    |\langle x, v_i \rangle| - \max_{j \ne i} |\langle x, v_j \rangle| \;\ge\;
    \cos\varphi - \cos(\theta - \varphi),

with equality for the query in the plane of the two lines. So all queries within :math:`\varphi <
\theta / 2` go to adapter `i`, and half the angle is the best radius there is: at :math:`\varphi =
\theta/2` one query ties. *Size does not enter:* an adapter scaled by :math:`10^{-9}` is chosen as
before, on queries that it hardly answers.

**Proof.** Angles between lines obey the triangle inequality, so the angle of the query to the line
of :math:`v_j` is at least :math:`\theta_{ij} - \varphi \ge \theta - \varphi \ge 0` and the cosine
falls on :math:`[0, \pi/2]`. On the plane curve :math:`\cos\varphi\, v_i + \sin\varphi\, w`,
:math:`w` towards the nearest line, the inequality is an equality for that :math:`j`, and others
score no more. :math:`\cos\varphi > \cos(\theta - \varphi)` iff :math:`\varphi < \theta/2`.
:math:`\square`

**What it tells someone who merges adapters.** How far apart the prototypes are tells how far a
query may stray and still be routed right. Nothing in the score tells how much the chosen adapter
answers.

**What it does not say.** Edited keys are seldom near the top singular vector
(``thm:arrow-blind-spot``); the condition is sufficient, not necessary.

References
----------
Arrow (arXiv 2405.11157).
"""

from dataclasses import dataclass
from functools import partial
from math import acos, cos, pi, sin

import numpy as np

from loratheory.adapters import arrow_scores
from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; the rule is Arrow's (arXiv 2405.11157)"
USES = ("thm:arrow-blind-spot",)

UNIT = "a query of unit length"
NEAR = "a query within the angle of the case from the line of prototype 0"
INSIDE = "an angle not above the smallest one between the lines"


@dataclass(frozen=True, eq=False)
class Case:
    """Prototypes as unit columns, the first one right; sizes of the adapters; the query's angle."""

    prototypes: Float[Array, "n k"]
    sizes: tuple[float, ...]
    angle: float

    @property
    def adapters(self) -> list[LowRank]:
        """Adapters of rank one with these prototypes and sizes."""
        xp = array_namespace(self.prototypes)
        one = xp.ones((1, 1), dtype=xp.float64, device=self.prototypes.device)
        rows = self.prototypes.T
        return [LowRank(size * one, rows[j : j + 1, :]) for j, size in enumerate(self.sizes)]

    @property
    def cosines(self) -> list[float]:
        """Of the angles between the line of prototype 0 and the others."""
        cosines = abs(self.prototypes.T @ self.prototypes[:, 0])
        return [min(1.0, float(c)) for c in cosines[1:]]


def least_margin(between: float, angle: float) -> float:
    """The least margin at this angle, lines at least `between` apart (radians)."""
    return cos(angle) - cos(between - angle)


def safe_angle(between: float) -> float:
    """Below this angle to its prototype's line every query is routed right, and at it not."""
    return between / 2


def draw(rng: np.random.Generator, size: int) -> Case:
    """Prototypes far apart or nearly equal, adapters over 18 decades, any angle that is allowed."""
    k, n = int(rng.integers(2, 6)), int(rng.integers(2, size + 2))
    near = 10.0 ** float(rng.uniform(-3, 1))
    frame = rng.standard_normal((n, 1)) + near * rng.standard_normal((n, k))
    frame = frame / np.linalg.norm(frame, axis=0)
    sizes = tuple((10.0 ** rng.uniform(-9, 9, k)).tolist())
    between = acos(max(Case(frame, sizes, 0.0).cosines))
    share = float(rng.choice([0.0, 0.5, 1.0, rng.random()]))
    return Case(frame, sizes, share * between)


def bound(case: Case) -> float:
    """The closed form, at the nearest line."""
    return least_margin(acos(max(case.cosines)), case.angle)


def attain(case: Case) -> Float[Array, " n"]:
    """Turn from the first prototype towards the nearest line."""
    own, cosines = case.prototypes[:, 0], case.cosines
    other = case.prototypes[:, 1 + cosines.index(max(cosines))]
    xp = array_namespace(own)
    shared = float(other @ own)
    off = (other - shared * own) * (1.0 if shared >= 0 else -1.0)
    off = off - (off @ own) * own
    length = float(xp.linalg.vector_norm(off))
    if length < SAFETY:
        return own
    return cos(case.angle) * own + sin(case.angle) / length * off


def measure(case: Case, query: Float[Array, " n"]) -> float:
    """Margin of adapter 0 in Arrow's scores."""
    scores = arrow_scores(case.adapters)(query[None, :])[0, :]
    return float(scores[0] - array_namespace(scores).max(scores[1:]))


def rival(case: Case, rng: np.random.Generator) -> Float[Array, " n"]:
    """A query anywhere within the angle, or the worst one nudged and brought back."""
    own, wild = case.prototypes[:, 0], rng.standard_normal(len(case.prototypes))
    nudged = attain(case) + 10.0 ** int(rng.integers(-12, 1)) * wild
    chosen = nudged if rng.random() < 0.5 else wild
    off = chosen - (chosen @ own) * own
    off = off - (off @ own) * own
    angle = case.angle * (1 - 1e-9) * float(rng.choice([1.0, rng.random()]))
    turned = cos(angle) * own + sin(angle) * off / np.linalg.norm(off)
    return float(rng.choice([-1.0, 1.0])) * turned


def adversary(case: Case, rng: np.random.Generator) -> Float[Array, " n"]:
    """Two hundred queries on the rim, the one with the least margin."""
    rims = [rival(case, rng) for _ in range(200)]
    return min(rims, key=partial(measure, case))


def _near(case: Case, query: Float[Array, " n"]) -> bool:
    return abs(float(case.prototypes[:, 0] @ query)) >= cos(case.angle) - SAFETY


def _length(query: Float[Array, " n"]) -> float:
    return float(array_namespace(query).linalg.vector_norm(query))


ASSUMPTIONS = {
    INSIDE: lambda case, _: case.angle <= acos(max(case.cosines)) + 1e-9,
    UNIT: lambda _, query: abs(_length(query) - 1) <= SAFETY,
    NEAR: _near,
}


def _example(angle: float, turn: float, length: float) -> tuple[Case, Float[Array, " n"]]:
    frame = np.array([[1.0, cos(pi / 3), cos(1.4)], [0.0, sin(pi / 3), sin(1.4)]])
    query = length * np.array([cos(turn), sin(turn)])
    return Case(frame, (1.0, 1e-9, 1.0), angle), query


CONTROLS = (
    Control("a query at twice the angle", NEAR, partial(_example, 0.3, 0.6, 1.0)),
    Control("a longer query beyond the middle", UNIT, partial(_example, 0.9, 0.9, 2.0)),
    Control("an angle at which a third line waits", INSIDE, partial(_example, 1.4, 1.4, 1.0)),
)

THEOREM: Theorem[Case, Array] = Theorem.of(__name__)
