r"""Router limit: how often any router can find the adapter that an input belongs to.

**Statement.** Where the inputs of K adapters scatter normally, with unit variance in every
direction, about equally likely keys of length s at cosine ρ to each other, the router that takes
the nearest key is right with probability E Φ(z + s√(1 − ρ))^(K−1), z standard normal.

Input x of adapter e is normal with mean :math:`k_e` and covariance I, where :math:`\|k_e\| = s`,
:math:`\langle k_e, k_f \rangle = \rho s^2` for :math:`e \ne f`, :math:`\rho < 1`, and e is uniform
on K adapters. Every function from inputs to adapters is right with probability at most

.. math:: P(K, s, \rho) = \int \varphi(z - s\sqrt{1-\rho}) \, \Phi(z)^{K-1} \, dz .

**Proof.** A router is right with probability :math:`\frac1K \int p_{e(x)}(x)\,dx \le \frac1K \int
\max_e p_e(x)\,dx`, attained by the largest density, which is that of the nearest key. Only
differences of the scores :math:`\langle k_e, x\rangle` decide, as the keys are equally long; they
do not change if all keys are moved by one vector, so the keys may be :math:`s \sqrt{1-\rho}` times
orthonormal vectors (the Gram matrix of differences is the same). The scores are then independent,
normal with unit variance, of mean :math:`s\sqrt{1-\rho}` for the own adapter and 0 for others:
given the own score z all others stay below it with probability :math:`\Phi(z)^{K-1}`.
:math:`\square`

**What it tells someone who merges adapters.** No training or tuning of a router helps beyond
what the overlap of the inputs allows, and that falls with every adapter. The largest of K foreign
scores grows as :math:`\sqrt{2 \ln K}`: once that exceeds :math:`s\sqrt{1-\rho}`, most inputs go
astray, whatever the router. Keys that share a component (:math:`\rho > 0`), as those of one domain
do, count as shorter.

**What it does not say.** Inputs of a trained model are not normal. A router that sees a whole
prompt has the sum of what its tokens say: s grows with the root of their number if they are
independent. A wrong adapter may still answer well.

References
----------
Orthogonal signals in white noise: Proakis and Salehi, "Digital Communications", section 4.4.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._sampling import SIGMAS, sampled, standard_normal
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
SOURCE = "own form of a textbook law of orthogonal signals"

KEYS = "keys of equal length at equal angles, as stated"
LAW = "inputs that scatter normally with unit variance about keys that are equally likely"


@dataclass(frozen=True)
class Case:
    """Adapters with keys of length `strength` and pairwise cosine `cosine`; `trials` inputs."""

    adapters: int
    strength: float
    cosine: float
    trials: int = 4000


def nearest(keys: Array, inputs: Array) -> Array:
    """Return for each input the index of the nearest key."""
    xp = array_namespace(inputs)
    return xp.argmax(inputs @ keys.T - xp.sum(keys**2, axis=1)[None, :] / 2, axis=1)


@dataclass(frozen=True, eq=False)
class Sample:
    """Keys (K, n), inputs (N, n), the index of each input's adapter (N), and a router.

    `router` takes keys and inputs and returns the index of an adapter for each input.
    """

    keys: Float[Array, "k n"]
    inputs: Float[Array, "t n"]
    owners: Array
    router: Callable[[Array, Array], Array] = nearest


def accuracy(adapters: int, strength: float, cosine: float = 0.0) -> float:
    """Return P(K, s, ρ): how often the nearest key is that of the right adapter.

    `adapters` is K, `strength` s and `cosine` ρ; the integral is taken by quadrature.
    """
    apart = strength * (1 - cosine) ** 0.5

    def _density(z: float) -> float:
        own = float(np.exp(-((z - apart) ** 2) / 2)) / (2 * np.pi) ** 0.5
        return own * float(ndtr(z)) ** (adapters - 1)

    # rounding must not lift it above one
    return min(1.0, float(quad(_density, apart - 9, apart + 9, limit=200)[0]))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two adapters or many, with keys short or long, orthogonal or alike."""
    adapters = int(rng.integers(2, 4 * min(size, 64) + 1))
    return Case(adapters, float(rng.uniform(0, 5)), float(rng.choice([0.0, 0.5, 0.9])))


def bound(case: Case) -> float:
    """Return P(K, s, ρ) of the statement for the case's adapters, strength and cosine."""
    return accuracy(case.adapters, case.strength, case.cosine)


def measure(_: Case, sample: Sample) -> float:
    """Return the share of inputs that the sample's router sends to the right adapter."""
    right = sample.router(sample.keys, sample.inputs) == sample.owners
    return int(array_namespace(right).count_nonzero(right)) / int(right.shape[0])


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Sample:
    """Draw inputs about keys of the case's length and cosine, which are rotated at random."""
    gram = (1 - case.cosine) * np.eye(case.adapters) + case.cosine
    turn = orthonormal(rng, case.adapters + int(rng.integers(3)), case.adapters)
    keys = case.strength * np.linalg.cholesky(gram) @ turn.T
    owners = rng.integers(0, case.adapters, case.trials)
    return Sample(keys, keys[owners] + rng.standard_normal((case.trials, len(turn))), owners)


def _keys_fit(case: Case, sample: Sample) -> bool:
    xp, k = array_namespace(sample.keys), case.adapters
    wanted = case.strength**2 * ((1 - case.cosine) * eye(sample.keys, k) + case.cosine)
    room = SAFETY * k * max(case.strength**2, 1.0)
    return float(xp.max(xp.abs(sample.keys @ sample.keys.T - wanted))) <= room


def _law_fits(case: Case, sample: Sample) -> bool:
    # Moments of the scatter and the shares of the adapters, each within ten standard errors.
    xp, trials = array_namespace(sample.inputs), sample.inputs.shape[0]
    off = sample.inputs - xp.take(sample.keys, sample.owners, axis=0)
    centred = float(xp.max(xp.abs(xp.sum(off, axis=0)))) <= SIGMAS * trials**0.5
    share = trials / case.adapters
    counts = [int(xp.count_nonzero(sample.owners == e)) for e in range(case.adapters)]
    shared = all(abs(count - share) <= SIGMAS * share**0.5 for count in counts)
    return standard_normal(off) and centred and shared


ASSUMPTIONS = {KEYS: _keys_fit, LAW: _law_fits}


def _fine(strength: float = 1.0, cosine: float = 0.5) -> tuple[Case, Sample]:
    fine = rival(Case(4, strength, cosine), np.random.default_rng(0))
    return Case(4, 1.0, 0.5), fine


def _clear() -> tuple[Case, Sample]:
    case, fine = _fine()
    keys = fine.keys[fine.owners]
    return case, Sample(fine.keys, keys + (fine.inputs - keys) / 4, fine.owners)


def _signs() -> tuple[Case, Sample]:
    # Plus or minus one never reaches the middle between keys three apart.
    case, rng, keys = Case(2, 1.5, -1.0), np.random.default_rng(0), np.array([[1.5], [-1.5]])
    owners = rng.integers(0, 2, case.trials)
    return case, Sample(keys, keys[owners] + rng.choice([-1.0, 1.0], (case.trials, 1)), owners)


CONTROLS = (
    Control("keys twice as long and at right angles", KEYS, lambda: _fine(2.0, 0.0)),
    Control("inputs that scatter a quarter as much", LAW, _clear),
    Control("inputs that are one off, in either direction", LAW, _signs),
)

THEOREM: Theorem[Case, Sample] = Theorem.of(__name__)


# Other routers


def best(case: Case) -> Sample:
    """Return a sample routed to the nearest key; the seed is computed from the case."""
    return rival(case, np.random.default_rng(zlib.crc32(repr(case).encode())))
