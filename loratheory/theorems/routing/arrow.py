r"""Arrow blind spot: a router that looks at top singular vectors sees one fact per adapter.

**Statement.** Each of E adapters edits N keys with orthonormal outputs, all E·N keys are
orthonormal, and one edit of each adapter is stronger than its others. Arrow routes by top right
singular vectors, with ties broken at random. Over the edited keys it chooses the right adapter with
probability 1/N + (1 − 1/N)/E.

Adapters :math:`\Delta_i = \sum_{j=1}^N s_{ij}\, b_{ij} k_{ij}^T`, :math:`i = 1, \dots, E`, edit
orthonormal keys. The outputs :math:`b_{i1}, \dots, b_{iN}` of each adapter are orthonormal, and its
strengths are at least 0, of which :math:`s_{i1}` is the largest and has no equal. Arrow scores a
query by :math:`|\langle x, v_i\rangle|`, where :math:`v_i` is the top right singular vector. Then
every adapter scores exactly 0 on all edited keys except the :math:`E` top ones, the :math:`k_{i1}`.
With ties broken at random, the right adapter is chosen with probability

.. math:: \frac1N + \Bigl(1 - \frac1N\Bigr)\frac1E

over all edited keys. Isotropic noise on the query breaks the ties in the same way. On keys :math:`j
> 1` the accuracy is then :math:`1/E` at every noise level :math:`\nu`. On top keys it is
:math:`P(|1/\nu + g_0| > \max_{0<e<E} |g_e|)`, with independent standard normal :math:`g`. The
scores :math:`\|P_i x\|` (projection on the row space) and :math:`\|\Delta_i x\|` are right on every
edited key of positive strength.

**Proof.** As :math:`\Delta_i^T\Delta_i = \sum_j s_{ij}^2 k_{ij} k_{ij}^T`, the top vector is
:math:`v_i = \pm k_{i1}`. It is orthogonal to every other key. With noise, first let the key be none
of the :math:`k_{e1}`. Then the scores :math:`\nu |\langle g, k_{e1}\rangle|` are independent, with
the same law for all :math:`e`. On a top key one of them is shifted by 1 before the absolute value.
On :math:`x = k_{ij}` the other two scores are 1 and :math:`s_{ij}` for adapter :math:`i`, and 0 for
all others. :math:`\square`

**Remark (arrow margin).** Arrow scores a query by its absolute inner product with each adapter's
prototype, the top right singular vector. Let a unit query have the angle φ to the line of its own
prototype, and let the lines of all other prototypes have an angle of at least θ ≥ φ to that line.
Then the score of its own prototype leads by at least cos φ − cos(θ − φ), whatever the adapters'
norms.

Angles between lines obey the triangle inequality, so the query has an angle of at least
:math:`\theta - \varphi \ge 0` to every other line. The cosine falls with the angle, which gives the
bound. For a query in the plane of the two lines, turned towards the other line, both steps are
equalities. So half the angle between prototypes is the largest safe radius. *Size does not matter:*
an adapter scaled by :math:`10^{-9}` is chosen as before, on queries that it hardly answers.

**Implication.** If keys are orthogonal, a router that compares top singular directions recognises
one fact of each adapter. For adapters of several facts, score by the whole row space or by the
response norm.

**Scope.** If all strengths are equal, :math:`v_i` can be any unit vector in the span of the
adapter's keys. Arrow is then right without noise, and less accurate with it. Adapters of one fact
(:math:`N = 1`) have no blind spot.

References
----------
Arrow (arXiv 2405.11157); SpectR (2504.03454).

============================================================

Arrow law: how often a router that keeps one direction per adapter finds an adapter's facts.

**Statement.** Each of E adapters holds facts at independent random keys, with orthonormal answers,
and Arrow scores a query by each adapter's top right singular vector. Take a key of s < 1 times the
strength of its adapter's strongest fact, and let all g_e be independent standard normal. As the
width grows, Arrow routes the key to its adapter with a probability that tends to P(|g₀| > (1 − s²)
max_{0<e<E} |g_e|).

Adapter e is :math:`\sum_i s_i y_i k_i^\top` with orthonormal answers :math:`y_i`, keys :math:`k_i`
uniform on the unit sphere of dimension n, and :math:`1 = s_1 > s_2, \dots`. Arrow sends a query q
to the adapter whose top right singular vector :math:`v_e` has the largest :math:`|\langle v_e,
q\rangle|`. For the query :math:`k_i`, :math:`s = s_i < 1`,

.. math::
    \Pr(\text{right}) \;\to\; \int_0^\infty 2\varphi(z)
    \Bigl(2\Phi\bigl(\tfrac{z}{1-s^2}\bigr) - 1\Bigr)^{E-1} dz \qquad (n \to \infty).

For the top key :math:`k_1` the probability tends to 1. For two adapters the integral is
:math:`\frac2\pi \arctan \frac1{1-s^2}`.

**Proof.** The right singular vectors are eigenvectors of :math:`\sum_i s_i^2 k_i k_i^\top`. Let
:math:`\gamma_i = \langle k_1, k_i\rangle = O(n^{-1/2})`. To first order in the :math:`\gamma_i`,
the top eigenvector is :math:`v = k_1 + \sum_{i>1} a_i k_i`. Its component along :math:`k_i` has to
satisfy :math:`s_i^2 (\gamma_i + a_i) = a_i`. So :math:`\langle v, k_i\rangle = \gamma_i + a_i =
\gamma_i/(1 - s_i^2) + O(1/n)`. The vector :math:`v_e` of another adapter is independent of
:math:`k_i`. So :math:`\sqrt n \langle v_e, k_i\rangle` and :math:`\sqrt n \gamma_i` tend to
independent standard normals, and n cancels from the comparison of scores. The probabilities
converge, since ties have probability 0. The top key scores :math:`1 - O(1/n)` at its own adapter.
For two adapters, the ratio of two standard normals is a Cauchy variable, which gives the
arctangent. :math:`\square`

**Implication.** Arrow finds the fact that an adapter holds most strongly. It finds weaker facts
less often. Among four adapters (chance 25%) it finds a fact of half that strength in 36% of cases.
For a fact of 0.9 times that strength, it does so in 80% of cases. Only the ratios of an adapter's
singular values decide, and they can be computed from its file.

**Scope.** If two strengths agree within :math:`n^{-1/2}`, the first order is not enough. If keys
are exactly orthogonal within an adapter, all but the strongest score 0: see
``thm:arrow-blind-spot``.

References
----------
Arrow: Ostapenko et al., arXiv 2405.11157.
"""

from dataclasses import dataclass, replace
from functools import partial
from math import acos, atan2, cos, erf, exp, pi, prod, sin, sqrt
from typing import Any

import numpy as np
from scipy.integrate import quad

from loratheory.adapters import arrow_scores
from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye, is_orthonormal, lead, norm, share_true
from loratheory.theorems._sampling import SIGMAS, allow_for_sampling, unit_vectors
from loratheory.theorems._theorem import SAFETY, Control, Theorem, spoil

SENSE = "equal"
SOURCE = "own; the rule is Arrow's (arXiv 2405.11157)"

KEYS = "edited keys that are orthonormal, within adapters and across them"
FACTS = "adapters that edit these keys with these strengths and orthonormal outputs"
PEAK = "one strength of each adapter above its others"


@dataclass(frozen=True, eq=False)
class Case:
    """Adapters, each with the `keys` that it edits and the `strengths` of these edits."""

    keys: tuple[Float[Array, "n facts"], ...]
    strengths: tuple[Float[Array, " facts"], ...]


def chance(scores: Float[Array, "t k"], right: int, room: float = SAFETY) -> float:
    """Return the share of rows in which the score of column `right` is the largest.

    A tie within `room` counts as one over the number of columns that share it.
    """
    xp = array_namespace(scores)
    # tied columns share the row
    best = xp.astype(scores >= xp.max(scores, axis=1, keepdims=True) - room, scores.dtype)
    return float(xp.mean(best[:, right] / xp.sum(best, axis=1)))


def _scores_highest(experts: int, shift: float, gain: float) -> float:
    """Return P(gain |shift + g₀| > max |g_e|) over the other experts, all g standard normal."""

    def _density(g: float) -> float:
        beaten = erf(gain * abs(shift + g) / sqrt(2)) ** (experts - 1)
        return beaten * exp(-(g**2) / 2) / sqrt(2 * pi)

    # the integrand has a kink where the shifted score is zero
    return float(quad(_density, -12, 12, points=[max(-shift, -12.0)], epsabs=1e-13)[0])


def accuracy(facts: int, experts: int, noise: int | float = 0.0) -> float:
    r"""Return how often Arrow picks the right adapter, if all edited keys are orthonormal.

    :math:`p/N + (1 - 1/N)/E`, ``p`` the accuracy on the top keys: 1 without noise, else that of
    isotropic Gaussian noise of this standard deviation in every entry of the unit query.
    """
    # in units of the noise
    top = _scores_highest(experts, 1 / noise, 1.0) if noise else 1.0
    return top / facts + (1 - 1 / facts) / experts


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four adapters of one to four facts; the strongest fact leads by .001 to .9."""
    experts, facts = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    frame = orthonormal(rng, experts * facts + int(rng.integers(0, size + 1)), experts * facts)
    strengths = []
    for _ in range(experts):
        ahead = float(rng.choice([1e-3, 0.1, 0.9]))
        others = 10.0 ** rng.uniform(-1, 0, facts) * (1 - ahead)
        # one fact of each adapter leads by a known gap
        others[int(rng.integers(facts))] = 1.0
        strengths.append(10.0 ** int(rng.integers(-6, 7)) * others)
    return Case(tuple(np.split(frame, experts, axis=1)), tuple(strengths))


def bound(case: Case) -> float:
    """Return 1/N + (1 − 1/N)/E, for the case's E adapters of N facts each."""
    return accuracy(int(case.strengths[0].shape[0]), len(case.keys))


def attain(case: Case) -> tuple[LowRank, ...]:
    """Return adapters that write each of their facts to an output coordinate of its own."""
    return tuple(
        LowRank(eye(s, s.shape[0]) * s, keys.T)
        for keys, s in zip(case.keys, case.strengths, strict=True)
    )


def measure(case: Case, adapters: tuple[LowRank, ...]) -> float:
    """Return how often Arrow's scores choose the right adapter, averaged over all edited keys."""
    scores, room = arrow_scores(list(adapters)), SAFETY * condition(case)
    return sum(chance(scores(k.T), i, room) for i, k in enumerate(case.keys)) / len(case.keys)


def condition(case: Case) -> float:
    """Return the largest strength over its lead on the next, for the adapter where this is worst.

    Rounding errors in a top singular vector grow by this factor.
    """
    worst = 1.0
    for s in case.strengths:
        xp = array_namespace(s)
        order = xp.sort(xp.abs(s))
        gap = float(order[-1] - order[-2]) / float(order[-1]) if s.shape[0] > 1 else 1.0
        worst = max(worst, 1 / max(gap, 1e-6))
    return worst


def rival(case: Case, rng: np.random.Generator) -> tuple[LowRank, ...]:
    """Return adapters of the same edits with random orthonormal outputs and other factors."""
    adapters = []
    for low in attain(case):
        m, r = low.width + int(rng.integers(0, 5)), low.width
        # other outputs and other factors of the same edits
        turned = LowRank(orthonormal(rng, m, r) @ low.up, low.down)
        adapters.append(turned.regauged(orthonormal(rng, r, r) * 10.0 ** rng.uniform(-2, 2, r)))
    return tuple(adapters)


def _edited(case: Case, adapters: tuple[LowRank, ...]) -> bool:
    for keys, s, low in zip(case.keys, case.strengths, adapters, strict=True):
        xp, values, energy = array_namespace(s), low @ keys, float(array_namespace(s).sum(s**2))
        # outputs at right angles, as long as their strengths, and nothing elsewhere
        off = xp.max(xp.abs(values.T @ values - eye(keys, s.shape[0]) * s**2))
        if max(float(off), abs(low.norm**2 - energy)) > SAFETY * energy:
            return False
    return True


ASSUMPTIONS = {
    KEYS: lambda case, _: is_orthonormal(array_namespace(*case.keys).concat(case.keys, axis=1)),
    FACTS: _edited,
    PEAK: lambda case, _: condition(case) < 1e5,
}


def _example(
    angle: float = np.pi / 2, second: float = 0.5, parallel: bool = False, shared: bool = False
) -> tuple[Case, tuple[LowRank, ...]]:
    pair = np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
    # each adapter has a plane of its own, unless they share one
    keys = tuple(np.kron(np.eye(2)[:, [i * (not shared)]], pair) for i in range(2))
    case = Case(keys, (np.array([1.0, second]),) * 2)
    adapters = (
        LowRank(np.ones((1, 2)) @ low.up if parallel else low.up, low.down) for low in attain(case)
    )
    return case, tuple(low.regauged(np.array([[0.8, -0.6], [0.6, 0.8]])) for low in adapters)


CONTROLS = (
    Control("keys of one adapter overlap", KEYS, partial(_example, angle=np.pi / 3)),
    Control("both adapters edit the same keys", KEYS, partial(_example, shared=True)),
    Control("all facts share one output: rank 1", FACTS, partial(_example, parallel=True)),
    Control("a flat spectrum", PEAK, partial(_example, second=1.0)),
)


# Near a prototype


SENSE_NEAR = "lower"

UNIT = "a query of unit length"
NEAR = "a query within the angle of the case from the line of prototype 0"
INSIDE = "an angle not above the smallest one between the lines"


@dataclass(frozen=True, eq=False)
class Near:
    """Unit `prototypes`, the right adapter's first, and the largest `angle` of a query to it.

    `sizes` are the norms of the adapters, which Arrow's scores ignore; `angle` is in radians.
    """

    prototypes: Float[Array, "n k"]
    sizes: tuple[float, ...]
    angle: float

    @property
    def adapters(self) -> list[LowRank]:
        """Adapters of rank one with these prototypes and sizes."""
        one, rows = eye(self.prototypes, 1), self.prototypes.T
        return [LowRank(size * one, rows[j : j + 1, :]) for j, size in enumerate(self.sizes)]

    @property
    def cosines(self) -> list[float]:
        """Cosines of the angles between prototype 0's line and each other prototype's."""
        cosines = abs(self.prototypes.T @ self.prototypes[:, 0])
        return [min(1.0, float(c)) for c in cosines[1:]]


def safe_angle(between: float) -> float:
    """Return half the angle between two prototypes.

    Every query nearer to its own prototype's line than that is routed right; one just there may
    tie.
    """
    return between / 2


def draw_near(rng: np.random.Generator, size: int) -> Near:
    """Draw prototypes far apart or nearly equal, adapters of any size, and any allowed angle."""
    k, n = int(rng.integers(2, 6)), int(rng.integers(2, size + 2))
    # prototypes that differ by this much from a common direction
    near = 10.0 ** float(rng.uniform(-3, 1))
    frame = rng.standard_normal((n, 1)) + near * rng.standard_normal((n, k))
    frame = frame / np.linalg.norm(frame, axis=0)
    sizes = tuple((10.0 ** rng.uniform(-9, 9, k)).tolist())
    between = acos(max(Near(frame, sizes, 0.0).cosines))
    share = float(rng.choice([0.0, 0.5, 1.0, rng.random()]))
    return Near(frame, sizes, share * between)


def bound_near(case: Near) -> float:
    """Return cos φ − cos(θ − φ), φ the case's angle and θ that to the nearest other line."""
    return cos(case.angle) - cos(acos(max(case.cosines)) - case.angle)


def attain_near(case: Near) -> Float[Array, " n"]:
    """Return prototype 0 rotated by the case's angle towards the nearest other line."""
    # the shortest way to the nearest line, whichever its sign
    own, cosines = case.prototypes[:, 0], case.cosines
    other = case.prototypes[:, 1 + cosines.index(max(cosines))]
    shared = float(other @ own)
    off = (other - shared * own) * (1.0 if shared >= 0 else -1.0)
    off = off - (off @ own) * own
    length = norm(off)
    if length < SAFETY:
        return own
    return cos(case.angle) * own + sin(case.angle) / length * off


def measure_near(case: Near, query: Float[Array, " n"]) -> float:
    """Return Arrow's score of adapter 0 at the query less the best score of another adapter."""
    return lead(arrow_scores(case.adapters)(query[None, :])[0, :])


def rival_near(case: Near, rng: np.random.Generator) -> Float[Array, " n"]:
    """Draw a query within the angle of prototype 0, at random or near the worst one."""
    own, wild = case.prototypes[:, 0], rng.standard_normal(len(case.prototypes))
    nudged = attain_near(case) + 10.0 ** int(rng.integers(-12, 1)) * wild
    chosen = nudged if rng.random() < 0.5 else wild
    off = chosen - (chosen @ own) * own
    off = off - (off @ own) * own
    # just inside the allowed cone
    angle = case.angle * (1 - 1e-9) * float(rng.choice([1.0, rng.random()]))
    turned = cos(angle) * own + sin(angle) * off / np.linalg.norm(off)
    return float(rng.choice([-1.0, 1.0])) * turned


def adversary_near(case: Near, rng: np.random.Generator) -> Float[Array, " n"]:
    """Return the query of least margin among two hundred drawn by `rival_near`."""
    # the margin is least on the rim: many queries there are tried
    rim = np.stack([rival_near(case, rng) for _ in range(200)])
    scores = arrow_scores(case.adapters)(rim)
    return rim[int(np.argmin(scores[:, 0] - scores[:, 1:].max(axis=1)))]


def _near(case: Near, query: Float[Array, " n"]) -> bool:
    own = case.prototypes[:, 0]
    along = float(own @ query)
    # the angle itself: next to a line its cosine hides what is far beyond rounding
    return atan2(norm(query - along * own), abs(along)) <= case.angle + SAFETY / 4


def _three_lines(angle: float, turn: float, length: float) -> tuple[Near, Float[Array, " n"]]:
    frame = np.array([[1.0, cos(pi / 3), cos(1.4)], [0.0, sin(pi / 3), sin(1.4)]])
    query = length * np.array([cos(turn), sin(turn)])
    return Near(frame, (1.0, 1e-9, 1.0), angle), query


ASSUMPTIONS_NEAR = {
    INSIDE: lambda case, _: case.angle <= acos(max(case.cosines)) + 1e-9,
    UNIT: lambda _, query: abs(norm(query) - 1) <= SAFETY / 4,
    NEAR: _near,
}

CONTROLS_NEAR = (
    Control("a query at twice the angle", NEAR, partial(_three_lines, 0.3, 0.6, 1.0)),
    Control("a millionth off the line itself", NEAR, partial(_three_lines, 0.0, 1e-6, 1.0)),
    Control("a longer query beyond the middle", UNIT, partial(_three_lines, 0.9, 0.9, 2.0)),
    Control("an angle at which a third line waits", INSIDE, partial(_three_lines, 1.4, 1.4, 1.0)),
)


# Facts of unequal strengths at random keys

SENSE_LAW = "equal"
SOURCE_LAW = "own"

KEYS_LAW = "keys in independent random directions"
ANSWERS = "orthonormal answers"


@dataclass(frozen=True)
class Drawn:
    """How many adapters hold facts of these strengths (the first is 1) at keys of this width.

    The keys of fact number `fact` are routed. `libraries` is how often all keys are drawn.
    """

    adapters: int
    strengths: tuple[float, ...]
    fact: int = 0
    width: int = 64
    libraries: int = 800

    @property
    def trials(self) -> int:
        """How many adapters are drawn in all, whose keys of this fact are routed independently."""
        return self.libraries * self.adapters


@dataclass(frozen=True, eq=False)
class Libraries:
    """Unit keys (trials, E, N, n) and the answers (m, N) that every adapter writes."""

    keys: Float[Array, "t e f n"]
    answers: Float[Array, "m f"]


def limit_accuracy(adapters: int, strength: float) -> float:
    """Return how often Arrow finds the adapter of a key of strength s, at random keys in the limit.

    `adapters` is E, and `strength` is s, relative to the strongest key of its adapter.
    """
    if strength >= 1:
        return 1.0
    return _scores_highest(adapters, 0.0, 1 / (1 - strength**2))


def draw_law(rng: np.random.Generator, size: int) -> Drawn:
    """Draw two to five adapters of one to three facts, of strength 0.1 to 0.8 beside the first."""
    # many libraries of two adapters show how the accuracy depends on the strength
    if rng.random() < 0.05:
        return Drawn(2, (1.0, float(rng.uniform(0.3, 0.8))), 1, width=128, libraries=10_000)
    strengths = (1.0, *(-np.sort(-rng.uniform(0.1, 0.8, int(rng.integers(0, 3))))).tolist())
    fact = int(rng.integers(len(strengths)))
    return Drawn(int(rng.integers(2, min(size, 5) + 1)), strengths, fact)


def bound_law(case: Drawn) -> float:
    """Return the statement's limit for the strength of the fact that is routed."""
    return limit_accuracy(case.adapters, case.strengths[case.fact])


def measure_law(case: Drawn, libraries: Libraries) -> float:
    """Return the share of the fact's keys at which Arrow scores their own adapter highest."""
    keys, xp = libraries.keys, array_namespace(libraries.keys)
    rows = (libraries.answers * beside(keys, case.strengths)) @ keys
    # eigenvectors of the small side: the top right singular vector, up to its length
    lefts = xp.linalg.eigh(rows @ xp.matrix_transpose(rows)).eigenvectors[..., -1:]
    right = (xp.matrix_transpose(rows) @ lefts)[..., 0]
    right = right / xp.linalg.vector_norm(right, axis=-1, keepdims=True)
    # Arrow looks at the top direction of each adapter, up to sign
    scores = xp.abs(keys[:, :, case.fact, :] @ xp.matrix_transpose(right))
    owners = xp.arange(case.adapters, device=keys.device)
    return share_true(xp.argmax(scores, axis=2) == owners)


_sampling = allow_for_sampling(bound_law)


def noise_law(case: Drawn) -> float:
    """Return how far sampling and the finite width may move the measured share from the limit."""
    return _sampling(case) + 0.5 / case.width


def rival_law(case: Drawn, rng: np.random.Generator) -> Libraries:
    """Draw fresh keys, and orthonormal answers in random directions."""
    facts = len(case.strengths)
    keys = unit_vectors(rng, case.libraries, case.adapters, facts, case.width)
    return Libraries(keys, orthonormal(rng, facts + 1, facts))


def _random_keys(_: Drawn, libraries: Libraries) -> bool:
    keys, xp = libraries.keys, array_namespace(libraries.keys)
    t, e, f, n = keys.shape
    # within adapters, then within libraries
    for group in (keys, xp.reshape(keys, (t, 1, e * f, n))):
        others = prod(group.shape[:3]) * (group.shape[2] - 1)
        squares = float(xp.sum((group @ xp.matrix_transpose(group)) ** 2)) - t * e * f
        # squared cosines have the mean 1/n and the standard deviation √2/n
        if abs(n * squares - others) > SIGMAS * 2 * max(others, 1) ** 0.5:
            return False
    return True


ASSUMPTIONS_LAW = {
    KEYS_LAW: _random_keys,
    ANSWERS: lambda _, libraries: is_orthonormal(libraries.answers),
}


def _four_libraries() -> tuple[Drawn, Libraries]:
    case = Drawn(4, (1.0, 0.7), 1)
    return case, rival_law(case, np.random.default_rng(0))


def _at_right_angles(libraries: Libraries) -> Libraries:
    frames = np.linalg.qr(np.swapaxes(libraries.keys, -1, -2))[0]
    return replace(libraries, keys=np.swapaxes(frames, -1, -2))


def _alike(libraries: Libraries) -> Libraries:
    return replace(libraries, answers=np.array([[1.0, 0.8], [0.0, 0.6]]))


CONTROLS_LAW = (
    spoil("keys at right angles within an adapter", KEYS_LAW, _four_libraries, _at_right_angles),
    spoil("two facts with answers alike", ANSWERS, _four_libraries, _alike),
)


COMPUTE = (accuracy,)
COMPUTE_LAW = (limit_accuracy,)

THEOREM: Theorem[Case, tuple[LowRank, ...]] = Theorem.of(__name__, "arrow blind spot")

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("arrow margin", "_near"),
    Theorem.of(__name__, "arrow law", "_law"),
)
