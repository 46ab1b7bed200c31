r"""Arrow blind spot: a router that looks at top singular vectors sees one fact per adapter.

**Statement.** Adapters that each edit N orthonormal keys are told apart by Arrow's top singular
vectors on one key each: with E adapters it routes edited keys right with probability 1/N + (1 −
1/N)/E.

Adapters :math:`\Delta_i = \sum_{j=1}^N s_{ij}\, b_{ij} k_{ij}^T`, :math:`i = 1, \dots, E`, edit
orthonormal keys with orthonormal outputs :math:`b_{i\cdot}` and strengths whose largest,
:math:`s_{i1}`, is alone. Arrow scores a query by :math:`|\langle x, v_i\rangle|`, :math:`v_i` the
top right singular vector. Then every adapter scores exactly 0 on each edited key but the :math:`E`
top ones, and with ties broken at random the right adapter is chosen with probability

.. math:: \frac1N + \Bigl(1 - \frac1N\Bigr)\frac1E

over all edited keys. Isotropic noise breaks the ties just so: on keys :math:`j > 1` the accuracy
is :math:`1/E` at every noise level :math:`\nu`, on top ones :math:`P(|1/\nu + g_0| > \max_{0<e<E}
|g_e|)`, :math:`g` standard normal. The scores :math:`\|P_i x\|` (projection on the row space) and
:math:`\|\Delta_i x\|` are right on every edited key of positive strength.

**Proof.** :math:`\Delta_i^T\Delta_i = \sum_j s_{ij}^2 k_{ij} k_{ij}^T`, so
:math:`v_i = \pm k_{i1}`, which is orthogonal to every other key. With noise the scores are
:math:`\nu |\langle g, k_{e1}\rangle|`, independent and alike for all :math:`e` when the key is none
of the :math:`k_{e1}`; else one of them is shifted by 1. On :math:`x = k_{ij}` the other two scores
are 1 and :math:`s_{ij}` for adapter :math:`i`, 0 for all others. :math:`\square`

**What it tells someone who merges adapters.** A router that compares top singular directions knows
one fact of each adapter. For adapters of several facts, score by the whole row space or by the
response norm.

**What it does not say.** With equal strengths :math:`v_i` is any unit vector of the span: right
without noise, worse with it. One-fact adapters (:math:`N = 1`) have no blind spot.

References
----------
Arrow (arXiv 2405.11157); SpectR (2504.03454).
"""

from dataclasses import dataclass
from functools import partial
from math import erf, exp, pi, sqrt

import numpy as np
from scipy.integrate import quad

from loratheory.adapters import arrow_scores
from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
SOURCE = "own; the rule is Arrow's (arXiv 2405.11157)"

KEYS = "orthonormal edited keys"
FACTS = "adapters that edit these keys with these strengths and orthonormal outputs"
PEAK = "one strength of each adapter above its others"


@dataclass(frozen=True, eq=False)
class Case:
    """For each adapter the keys that it edits, and how strongly."""

    keys: tuple[Float[Array, "n facts"], ...]
    strengths: tuple[Float[Array, " facts"], ...]


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
        shift = 1 / noise  # in units of the noise; the formula of the statement, integrated

        def _wins(g: float) -> float:
            return erf(abs(shift + g) / sqrt(2)) ** (experts - 1) * exp(-(g**2) / 2) / sqrt(2 * pi)

        top = quad(_wins, -12, 12, points=[max(-shift, -12.0)], epsabs=1e-13)[0]
    return top / facts + (1 - 1 / facts) / experts


def draw(rng: np.random.Generator, size: int) -> Case:
    """One to four adapters, one to four facts; strengths over decades, the top barely alone."""
    experts, facts = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    frame = orthonormal(rng, experts * facts + int(rng.integers(0, size + 1)), experts * facts)
    strengths = []
    for _ in range(experts):
        ahead = float(rng.choice([1e-3, 0.1, 0.9]))
        others = 10.0 ** rng.uniform(-1, 0, facts) * (1 - ahead)
        others[int(rng.integers(facts))] = 1.0
        strengths.append(10.0 ** int(rng.integers(-6, 7)) * others)
    return Case(tuple(np.split(frame, experts, axis=1)), tuple(strengths))


def bound(case: Case) -> float:
    """The closed form."""
    return accuracy(int(case.strengths[0].shape[0]), len(case.keys))


def attain(case: Case) -> tuple[LowRank, ...]:
    """Each fact has an output entry of its own."""
    return tuple(
        LowRank(array_namespace(s).eye(s.shape[0], dtype=s.dtype, device=s.device) * s, keys.T)
        for keys, s in zip(case.keys, case.strengths, strict=True)
    )


def measure(case: Case, adapters: tuple[LowRank, ...]) -> float:
    """Accuracy of Arrow's scores over all edited keys."""
    scores, room = arrow_scores(list(adapters)), SAFETY * condition(case)
    return sum(chance(scores(k.T), i, room) for i, k in enumerate(case.keys)) / len(case.keys)


def condition(case: Case) -> float:
    """How ill a top singular vector is determined: the strength over its gap to the next."""
    worst = 1.0
    for s in case.strengths:
        order = array_namespace(s).sort(s)
        gap = float(order[-1] - order[-2]) / float(order[-1]) if s.shape[0] > 1 else 1.0
        worst = max(worst, 1 / max(gap, 1e-6))
    return worst


def rival(case: Case, rng: np.random.Generator) -> tuple[LowRank, ...]:
    """Random orthonormal outputs, factors in a random gauge."""
    adapters = []
    for low in attain(case):
        m, r = low.width + int(rng.integers(0, 5)), low.width
        turned = LowRank(orthonormal(rng, m, r) @ low.up, low.down)
        adapters.append(turned.regauged(orthonormal(rng, r, r) * 10.0 ** rng.uniform(-2, 2, r)))
    return tuple(adapters)


def _diagonal(gram: Array, wanted: Array | float, room: float) -> bool:
    xp = array_namespace(gram)
    eye = xp.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    return float(xp.max(abs(gram - eye * wanted))) <= SAFETY * room


def _orthonormal(case: Case, _: tuple[LowRank, ...]) -> bool:
    frame = array_namespace(case.keys[0]).concat(list(case.keys), axis=1)
    return _diagonal(frame.T @ frame, 1.0, 1.0)


def _edited(case: Case, adapters: tuple[LowRank, ...]) -> bool:
    for keys, s, low in zip(case.keys, case.strengths, adapters, strict=True):
        energy = float(array_namespace(s).sum(s**2))
        values, excess = low @ keys, abs(low.norm**2 - energy)
        if not _diagonal(values.T @ values, s**2, energy) or excess > SAFETY * energy:
            return False
    return True


ASSUMPTIONS = {
    KEYS: _orthonormal,
    FACTS: _edited,
    PEAK: lambda case, _: condition(case) < 1e5,
}


def _example(
    angle: float = np.pi / 2, second: float = 0.5, parallel: bool = False
) -> tuple[Case, tuple[LowRank, ...]]:
    pair = np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
    keys = tuple(np.kron(np.eye(2)[:, [i]], pair) for i in range(2))
    case = Case(keys, (np.array([1.0, second]),) * 2)
    adapters = (
        LowRank(np.ones((1, 2)) @ low.up if parallel else low.up, low.down) for low in attain(case)
    )
    return case, tuple(low.regauged(np.array([[0.8, -0.6], [0.6, 0.8]])) for low in adapters)


CONTROLS = (
    Control("keys of one adapter overlap", KEYS, partial(_example, angle=np.pi / 3)),
    Control("all facts share one output: rank 1", FACTS, partial(_example, parallel=True)),
    Control("a flat spectrum", PEAK, partial(_example, second=1.0)),
)

THEOREM: Theorem[Case, tuple[LowRank, ...]] = Theorem.of(__name__)
