r"""Router limit: how often any router can find the adapter that an input belongs to.

**Statement.** Each of K adapters is equally likely and has a key of length s, and any two keys have
the cosine ρ. An input is its adapter's key plus normal noise of unit variance in every direction.
The router that chooses the adapter of the nearest key is right with probability E Φ(z + s√(1 −
ρ))^(K−1), the mean over a standard normal z. No router is right more often.

An input x of adapter e is normal with mean :math:`k_e` and covariance I. Here :math:`\|k_e\| = s`,
:math:`\langle k_e, k_f \rangle = \rho s^2` for :math:`e \ne f`, :math:`\rho < 1`, and e is uniform
on K adapters. Every function from inputs to adapters is right with probability at most

.. math:: P(K, s, \rho) = \int \varphi(z - s\sqrt{1-\rho}) \, \Phi(z)^{K-1} \, dz .

**Proof.** A router that chooses :math:`e(x)` is right with probability :math:`\frac1K \int
p_{e(x)}(x)\,dx \le \frac1K \int \max_e p_e(x)\,dx`. Choosing the adapter of the largest density,
which is that of the nearest key, attains this. As the keys are equally long, only differences of
the scores :math:`\langle k_e, x\rangle` decide. Their law depends only on the Gram matrix of
differences between keys. Keys that are :math:`s \sqrt{1-\rho}` times orthonormal vectors have the
same Gram matrix, so we may take these. The scores, divided by this length, are then independent and
normal with unit variance. The own adapter's score has mean :math:`s\sqrt{1-\rho}`, and all others
have mean 0. Given the own score z, all others stay below it with probability :math:`\Phi(z)^{K-1}`.
:math:`\square`

**Implication.** No training or tuning of a router helps beyond what the overlap of the inputs
allows. This limit falls with every further adapter. The largest of K foreign scores grows as
:math:`\sqrt{2 \ln K}`. Once it exceeds :math:`s\sqrt{1-\rho}`, most inputs go to a wrong adapter,
whatever the router. Keys that share a component (:math:`\rho > 0`), as in one domain, act like
shorter keys.

**Scope.** Inputs of a trained model are not normal. A router that sees a whole prompt can add up
the evidence of its tokens. If the tokens are independent, s grows with the root of their number. A
wrong adapter may still answer well.

References
----------
Orthogonal signals in white noise: Proakis and Salehi, "Digital Communications", section 4.4.

============================================================

Soft routing: what is left when a router may mix adapters instead of choosing one.

**Statement.** The answers of K adapters to every input are orthonormal, and p holds the
probabilities of the adapters given the input. An answer that is computed from the input alone
misses that of the input's adapter by a mean squared error of at least 1 − E‖p‖². The mixture of the
adapters' answers with the weights p attains this.

Let :math:`(x, e)` have any joint law, :math:`p_e(x) = P(e | x)`, and let :math:`a_e(x)` be the
answers. For every function g of the input

.. math:: E \|g(x) - a_e(x)\|^2 \;\ge\; 1 - E \|p(x)\|^2 , \qquad
    \|p\|^2 = \sum_e p_e^2 ,

with equality iff :math:`g(x) = \sum_e p_e(x)\, a_e(x)` at almost every input. Compare this with the
error that the best choice of one adapter leaves. Since :math:`(\max p)^2 \le \|p\|^2 \le \max p`,
the mixture leaves between half of that error and all of it. It leaves at least half for answers of
any kind. For if an adapter is drawn with the probabilities p, its answer has on average twice the
squared error of the mixture.

**Proof.** Fix x, and let :math:`m = \sum_e p_e a_e` be the mean of the answers. The mean of
:math:`\|g - a_e\|^2` is least at :math:`g = m`, and larger by :math:`\|g - m\|^2` elsewhere. At m
it is :math:`\sum_e p_e \|a_e\|^2 - \|m\|^2 = 1 - \|p\|^2`. :math:`\square`

*One adapter.* A router that answers with one adapter has the squared error :math:`\|a_f - a_e\|^2 =
2` where it is wrong. So its mean squared error is at least :math:`2 (1 - E \max p)`. Equality holds
if it chooses the most probable adapter.

**Implication.** Mixing adapters by their probabilities saves at most half of the squared error of
choosing one. It saves half if orthogonal answers are equally likely, and less and less as the
router becomes sure. Neither mixing nor choosing removes the error that the overlap of the inputs
causes.

**Scope.** Squared error is not accuracy: a mixture of two answers may be neither of them. Answers
of real adapters agree in part, which makes wrong choices cheaper. The probabilities must be known:
wrong weights w cost :math:`E\|w - p\|^2` more.

References
----------
The mean as the least-squares estimate: any text. Jacobs, Jordan, Nowlan and Hinton (1991),
"Adaptive mixtures of local experts", compare the error of a mixture with the mean error of single
experts, as aims of training. How many samples softmax gates take: Nguyen, Ho and Rinaldo, arXiv
2503.03213.

============================================================

Router information: how much inputs must say for a router to tell many adapters apart.

**Statement.** A router sees inputs alone and errs with probability at most ε ≤ 1 − 1/K among K ≥ 2
equally likely adapters. Then the inputs carry at least ln K − h(ε) − ε ln(K − 1) nats about their
adapter, where h is the binary entropy in nats. Some inputs that allow this error carry no more.

If e is uniform on K adapters and :math:`P(\hat e(x) \ne e) \le \varepsilon`, then

.. math:: I(x; e) \;\ge\; \ln K - h(\varepsilon) - \varepsilon \ln(K - 1) , \qquad
    h(\varepsilon) = -\varepsilon \ln \varepsilon - (1 - \varepsilon) \ln(1 - \varepsilon) .

A router that is right with probability :math:`P > 0` therefore has at most :math:`K \le (2 e^{I(x;
e)})^{1/P}` adapters to choose from.

**Proof.** (Fano.) By definition :math:`I(x; e) = \ln K - H(e | x)`. Let :math:`\hat e` be the
choice, and let z say whether it is wrong, which happens with probability :math:`\delta \le
\varepsilon`. Then :math:`H(e | x) \le H(e | \hat e) \le H(z) + H(e | \hat e, z) \le h(\delta) +
\delta \ln(K - 1)`. The last step holds because a right choice determines e, and a wrong one leaves
K − 1 others. The right side grows in :math:`\delta` up to :math:`1 - 1/K`. *Attained.* Let x equal
e with probability :math:`1 - \varepsilon`. Otherwise let x be one of the other adapters, all
equally likely. *Number of adapters.* The chain holds at the router's own error :math:`\delta = 1 -
P`, even if this is above :math:`1 - 1/K`. Use :math:`h \le \ln 2` and :math:`\ln(K - 1) \le \ln K`.
:math:`\square`

*Normal inputs.* Let inputs scatter normally with unit variance about keys of covariance C. Their
covariance is :math:`I + C`, and their entropy is at most that of a normal law with this covariance.
So they carry at most :math:`\tfrac12 \ln\det(I + C)` nats. For equally likely keys of length s this
is at most :math:`s^2/2`.

**Implication.** Suppose a router is to be right equally often, with probability P, among twice as
many adapters. The least information that inputs must carry then grows by about P ln 2 nats,
whatever the router. Inputs that scatter with unit variance about keys of length s carry at most
s²/2 nats. So the number of adapters that can be routed grows at most exponentially in the squared
length of the keys. ``thm:router-limit`` says which accuracy is reached.

**Scope.** The theorem does not say that given inputs allow such a router: Fano's inequality uses
only their information. If adapters are not equally likely, :math:`\ln K` becomes the entropy of e,
and the bound need not be attained. If the tokens of a prompt are independent given the adapter, the
prompt carries at most the sum of their information. Otherwise two tokens together may say what
neither says alone.

References
----------
Fano (1961), "Transmission of information"; the rate-distortion function of a uniform source is
problem 10.5 of Cover and Thomas (2006), the largest entropy of a covariance their theorem 8.6.5.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr, xlogy

from loratheory.lowrank import Array, array_namespace, device, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, is_orthonormal, largest, share_true, sum_to_one
from loratheory.theorems._sampling import SIGMAS, allow_for_sampling, standard_normal
from loratheory.theorems._theorem import SAFETY, Control, Theorem, spoil

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


@dataclass(frozen=True, eq=False)
class Sample:
    """Keys (K, n), inputs (N, n), and the index of each input's adapter (N)."""

    keys: Float[Array, "k n"]
    inputs: Float[Array, "t n"]
    owners: Array


def accuracy(adapters: int, strength: float, cosine: float = 0.0) -> float:
    """Return P(K, s, ρ): how often in normal noise the nearest key is the right adapter's.

    `adapters` is K, `strength` s and `cosine` ρ; the integral is taken by quadrature.
    ValueError if no K keys of this length have this cosine.
    """
    if not (0 <= strength < np.inf and (adapters - 1) * cosine >= -1 and cosine <= 1):
        message = f"strength {strength}, cosine {cosine}: give 0 or more, and -1/(K - 1) to 1"
        raise ValueError(message)
    # what is common to all keys tells nothing: it drops out
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
    """Return the share of inputs whose nearest key is the right adapter's."""
    xp, keys = array_namespace(sample.inputs), sample.keys
    # the nearest of several keys: the input's own length drops out
    scores = sample.inputs @ keys.T - xp.sum(keys**2, axis=1)[None, :] / 2
    return share_true(xp.argmax(scores, axis=1) == sample.owners)


noise = allow_for_sampling(bound)


def rival(case: Case, rng: np.random.Generator) -> Sample:
    """Draw inputs about keys of the case's length and cosine, which are rotated at random."""
    # keys of one length at one angle, up to a rotation
    gram = (1 - case.cosine) * np.eye(case.adapters) + case.cosine
    turn = orthonormal(rng, case.adapters + int(rng.integers(3)), case.adapters)
    keys = case.strength * np.linalg.cholesky(gram) @ turn.T
    # equally likely adapters
    owners = rng.integers(0, case.adapters, case.trials)
    return Sample(keys, keys[owners] + rng.standard_normal((case.trials, len(turn))), owners)


def _keys_fit(case: Case, sample: Sample) -> bool:
    one = eye(sample.keys, case.adapters)
    wanted = case.strength**2 * ((1 - case.cosine) * one + case.cosine)
    room = SAFETY * case.adapters * max(case.strength**2, 1.0)
    return largest(sample.keys @ sample.keys.T - wanted) <= room


def _law_fits(case: Case, sample: Sample) -> bool:
    # moments of the scatter and the shares of the adapters, each within ten standard errors
    xp, trials = array_namespace(sample.inputs), sample.inputs.shape[0]
    off = sample.inputs - xp.take(sample.keys, sample.owners, axis=0)
    centred = largest(xp.sum(off, axis=0)) <= SIGMAS * trials**0.5
    owned = sample.owners[:, None] == xp.arange(case.adapters, device=device(off))[None, :]
    counts, share = xp.sum(xp.astype(owned, off.dtype), axis=0), trials / case.adapters
    return standard_normal(off) and centred and largest(counts - share) <= SIGMAS * share**0.5


ASSUMPTIONS = {KEYS: _keys_fit, LAW: _law_fits}


def _fine(strength: float = 1.0, cosine: float = 0.5) -> tuple[Case, Sample]:
    fine = rival(Case(4, strength, cosine), np.random.default_rng(0))
    return Case(4, 1.0, 0.5), fine


def _clearer(sample: Sample) -> Sample:
    own = sample.keys[sample.owners]
    return replace(sample, inputs=own + (sample.inputs - own) / 4)


def _signs() -> tuple[Case, Sample]:
    # Plus or minus one never reaches the middle between keys three apart.
    case, rng, keys = Case(2, 1.5, -1.0), np.random.default_rng(0), np.array([[1.5], [-1.5]])
    owners = rng.integers(0, 2, case.trials)
    return case, Sample(keys, keys[owners] + rng.choice([-1.0, 1.0], (case.trials, 1)), owners)


CONTROLS = (
    Control("keys twice as long and at right angles", KEYS, lambda: _fine(2.0, 0.0)),
    spoil("inputs that scatter a quarter as much", LAW, _fine, _clearer),
    Control("inputs that are one off, in either direction", LAW, _signs),
)


# Routers that may mix adapters

SENSE_SOFT = "lower"
SOURCE_SOFT = "the projection theorem; own form"

ANSWERS = "answers of the adapters to each input that are orthonormal"
LAW_SOFT = "probabilities of at least 0 that sum to one"


@dataclass(frozen=True, eq=False)
class Mixing:
    """Joint probabilities of input and adapter (X, K), and each adapter's output (X, m, K)."""

    joint: Float[Array, "x k"]
    answers: Float[Array, "x m k"]

    @cached_property
    def posterior(self) -> Array:
        """Probability of each adapter given each input (X, K); zeros if the input never occurs."""
        xp = array_namespace(self.joint)
        total = xp.sum(self.joint, axis=1, keepdims=True)
        return self.joint / xp.where(total > 0, total, 1.0)

    def mixed(self, weights: Float[Array, "x k"]) -> Array:
        """Return each input's mixture of the adapters' outputs with these weights (X, m)."""
        return array_namespace(weights).sum(self.answers * weights[:, None, :], axis=2)


def draw_soft(rng: np.random.Generator, size: int) -> Mixing:
    """Draw inputs that reveal their adapter fully, partly or barely; some hardly ever occur."""
    inputs, k = int(rng.integers(1, size + 1)), int(rng.integers(1, size // 2 + 2))
    sharp = float(rng.choice([0.05, 1.0, 1e6]))
    rare = float(rng.choice([0.1, 1.0]))
    # some inputs hardly ever occur, and the posterior there is sharp or flat
    each = rng.dirichlet([rare] * inputs)[:, None] * rng.dirichlet([sharp] * k, inputs)
    wide = k + int(rng.integers(3))
    return Mixing(each, np.stack([orthonormal(rng, wide, k) for _ in range(inputs)]))


def bound_soft(case: Mixing) -> float:
    """Return 1 − E‖p‖², p the probabilities of the adapters given the input."""
    xp = array_namespace(case.joint)
    return max(0.0, 1 - float(xp.sum(case.joint * case.posterior)))


def measure_soft(case: Mixing, given: Float[Array, "x m"]) -> float:
    """Return E‖g(x) − a_e(x)‖² for the answers `given`, one row g(x) for each input."""
    xp = array_namespace(given)
    # the expected squared error, over adapters and inputs
    off = xp.sum((given[:, :, None] - case.answers) ** 2, axis=1)
    return float(xp.sum(case.joint * off))


def attain_soft(case: Mixing) -> Array:
    """Return for each input the adapters' answers mixed with their probabilities p as weights."""
    return case.mixed(case.posterior)


def rival_soft(case: Mixing, rng: np.random.Generator) -> Array:
    """Return answers mixed with random or even weights, or the best mixture slightly perturbed."""
    (x, k), m = case.joint.shape, case.answers.shape[1]
    weights = (rng.dirichlet([1.0] * k, x), np.full((x, k), 1 / k), rng.standard_normal((x, k)))
    # mixtures first, then answers that are none
    kind = int(rng.integers(4))
    if kind < len(weights):
        return case.mixed(weights[kind])
    return attain_soft(case) + 10.0 ** int(rng.integers(-12, 1)) * rng.standard_normal((x, m))


def adversary_soft(case: Mixing, _: np.random.Generator) -> Array:
    """Return for each input the answer of least expected squared error, fitted by LAPACK."""
    found = np.zeros(case.answers.shape[:2])
    for x, (weight, answers) in enumerate(zip(case.joint, case.answers, strict=True)):
        root = np.sqrt(weight)[:, None]
        # each input by itself: least squares with the adapters' probabilities
        design = np.kron(root, np.eye(len(answers)))
        found[x] = np.linalg.lstsq(design, (root * answers.T).ravel(), rcond=None)[0]
    return found


ASSUMPTIONS_SOFT = {
    ANSWERS: lambda case, _: is_orthonormal(case.answers),
    LAW_SOFT: lambda case, _: sum_to_one(case.joint),
}

EVEN = Mixing(np.full((1, 2), 0.5), np.eye(2)[None])


def _alike() -> tuple[Mixing, Array]:
    case = Mixing(EVEN.joint, np.ones((1, 1, 2)))
    return case, attain_soft(case)


def _weighed(first: float, second: float) -> tuple[Mixing, Array]:
    return Mixing(np.array([[first, second]]), EVEN.answers), EVEN.answers[:, :, 0]


CONTROLS_SOFT = (
    Control("two adapters that answer alike", ANSWERS, _alike),
    Control("probabilities that sum to a half", LAW_SOFT, partial(_weighed, 0.25, 0.25)),
    Control("a probability below zero", LAW_SOFT, partial(_weighed, 1.5, -0.5)),
)


# What inputs must say of their adapter

SENSE_INFORMATION = "lower"
SOURCE_INFORMATION = "Fano (1961); a uniform source's rate-distortion function"

SEVERAL = "two adapters or more, and an error of at most 1 − 1/K, that of chance"
LIKELY = "probabilities under which the adapters are equally likely"
ERRS = "a router that errs with at most the stated probability"


@dataclass(frozen=True, eq=False)
class Erring:
    """How many adapters there are and how often the router may err.

    `like` is an array on the device and of the type that `attain` uses.
    """

    adapters: int
    error: float
    like: Float[Array, " 1"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Joint probabilities of adapter and input (K, X), and the adapter chosen for each input."""

    joint: Float[Array, "k x"]
    choice: tuple[int, ...]

    @property
    def error(self) -> float:
        """Probability that the router chooses the wrong adapter."""
        xp = array_namespace(self.joint)
        right = (self.joint[e, x] for x, e in enumerate(self.choice))
        return float(xp.sum(self.joint) - sum(right))


def route(joint: Float[Array, "k x"]) -> Inputs:
    """Return inputs of this joint law, each routed to its most probable adapter."""
    return Inputs(joint, tuple(int(e) for e in np.argmax(joint, axis=0)))


def draw_information(rng: np.random.Generator, size: int) -> Erring:
    """Draw two adapters or many, and a router that is perfect, nearly so, or at chance."""
    k = int(rng.integers(2, 4 * size + 1))
    # perfect, nearly so, any, or at chance
    share = float(rng.choice([0.0, 10.0 ** -rng.uniform(0, 6), rng.uniform(0, 1), 1.0]))
    return Erring(k, share * (1 - 1 / k), np.zeros(1))


def bound_information(case: Erring) -> float:
    """Return ln K − h(ε) − ε ln(K − 1), the least information in nats, or 0 if negative."""
    k, error = case.adapters, case.error
    # the entropy of being right or wrong, in nats
    unsure = -float(xlogy(error, error)) - float(xlogy(1 - error, 1 - error))
    return max(0.0, math.log(k) - unsure - error * math.log(max(k - 1, 1)))


def measure_information(_: Erring, inputs: Inputs) -> float:
    """Return the mutual information of input and adapter in nats, from their joint law."""
    xp, joint = array_namespace(inputs.joint), inputs.joint
    apart = xp.sum(joint, axis=0, keepdims=True) * xp.sum(joint, axis=1, keepdims=True)
    seen = joint > 0
    # what never occurs adds nothing: 0 ln 0 is 0
    ratio = xp.where(seen, joint, 1.0) / xp.where(seen, apart, 1.0)
    return float(xp.sum(joint * xp.log(ratio)))


def attain_information(case: Erring) -> Inputs:
    """Return inputs that name the right adapter, or with probability ε one of the others."""
    # errors are spread evenly: Fano's inequality is then met
    k, wrong = case.adapters, case.error / (case.adapters - 1)
    return Inputs(((1 - case.error - wrong) * eye(case.like, k) + wrong) / k, tuple(range(k)))


def rival_information(case: Erring, rng: np.random.Generator) -> Inputs:
    """Draw a joint law whose most probable adapter is wrong with probability ε at most."""
    k, sharp = case.adapters, float(rng.choice([0.1, 1.0, 100.0]))
    free = rng.dirichlet([sharp] * int(rng.integers(1, 2 * k + 1)), k) / k
    if rng.random() < 0.3:  # next to the best
        size = 10.0 ** int(rng.integers(-9, 0))
        best = attain_information(case).joint * (1 + size * rng.random((k, k)))
        free = best / np.sum(best, axis=1, keepdims=True) / k
    # mixed with inputs that name their adapter until it errs as rarely as allowed
    often = min(1.0, case.error / max(route(free).error, SAFETY)) * (1 - 1e-12)
    return route(np.concatenate([often * free, (1 - often) * np.eye(k) / k], axis=1))


def adversary_information(case: Erring, rng: np.random.Generator) -> Inputs:
    """Return inputs of little information found by Blahut and Arimoto's iteration.

    The iteration minimises information plus a price for errors; bisection finds the price at which
    the router errs with probability ε.
    """
    k = case.adapters
    low, high, best = 0.0, 60.0, route(np.eye(k) / k)
    for _ in range(50):
        price = (low + high) / 2
        used = rng.dirichlet([5.0] * k)
        for _ in range(60):
            # the channel of least information at this price of an error
            channel = used * np.exp(price * (np.eye(k) - 1))
            channel /= channel.sum(axis=1, keepdims=True)
            used = channel.mean(axis=0)
        found = Inputs(channel / k, tuple(range(k)))
        if found.error <= case.error:
            high, best = price, found
        else:
            low = price
    return best


def _likely(case: Erring, inputs: Inputs) -> bool:
    each = case.adapters * inputs.joint
    return each.shape[0] == case.adapters and sum_to_one(each, axis=1)


ASSUMPTIONS_INFORMATION = {
    SEVERAL: lambda case, _: case.adapters >= 2 and case.error <= 1 - 1 / case.adapters + SAFETY,
    LIKELY: _likely,
    ERRS: lambda case, inputs: inputs.error <= case.error + SAFETY,
}

SURE = Erring(4, 0.0, np.zeros(1))


def _mostly_one() -> tuple[Erring, Inputs]:
    case = replace(SURE, error=0.1)
    return case, Inputs(np.array([[0.9], [0.1], [0.0], [0.0]]), (0,))


def _at_chance(allowed: float) -> tuple[Erring, Inputs]:
    return replace(SURE, error=allowed), attain_information(replace(SURE, error=0.75))


CONTROLS_INFORMATION = (
    Control("a router that may do worse than chance", SEVERAL, partial(_at_chance, 0.9)),
    Control("one adapter that nearly all inputs belong to", LIKELY, _mostly_one),
    Control("a router at chance", ERRS, partial(_at_chance, 0.0)),
)


COMPUTE = (accuracy,)

THEOREM: Theorem[Case, Sample] = Theorem.of(__name__)

SOFT: Theorem[Mixing, Array] = Theorem.of(__name__, "soft routing", "_soft")

INFORMATION: Theorem[Erring, Inputs] = Theorem.of(__name__, "router information", "_information")

CLAUSES: tuple[Theorem[Any, Any], ...] = (SOFT, INFORMATION)
