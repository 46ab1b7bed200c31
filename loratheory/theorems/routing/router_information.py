r"""Router information: how much inputs must say for a router to tell many adapters apart.

**Statement.** If a router that sees inputs alone errs with probability at most ε ≤ 1 − 1/K among K
≥ 2 equally likely adapters, the inputs carry at least ln K − h(ε) − ε ln(K − 1) nats about whose
they are, h the binary entropy in nats; some inputs that allow this carry no more.

In full: if e is uniform on K adapters and :math:`P(\hat e(x) \ne e) \le \varepsilon`, then

.. math:: I(x; e) \;\ge\; \ln K - h(\varepsilon) - \varepsilon \ln(K - 1) , \qquad
    h(\varepsilon) = -\varepsilon \ln \varepsilon - (1 - \varepsilon) \ln(1 - \varepsilon) .

A router that is right with probability :math:`P > 0` therefore has at most :math:`K \le (2
e^{I(x; e)})^{1/P}` adapters to choose from.

**Proof.** (Fano.) :math:`I(x; e) = \ln K - H(e | x)`. Let :math:`\hat e` be the choice and z say
whether it is wrong, which happens with probability :math:`\delta \le \varepsilon`: :math:`H(e | x)
\le H(e | \hat e) \le H(z) + H(e | \hat e, z) \le h(\delta) + \delta \ln(K - 1)`, for if it is right
e is known and if it is wrong e is one of K − 1 others. The right side grows in :math:`\delta` up to
:math:`1 - 1/K`. *Attained:* let x be e with probability :math:`1 - \varepsilon`, else one of the
others, each as often. *Adapters:* the bound holds at the router's own error
:math:`\delta = 1 - P`, whatever it is, and :math:`h \le \ln 2` and :math:`\ln(K - 1) \le \ln K`.
:math:`\square`

**Corollary (scattered inputs).** Inputs that scatter normally, with unit variance in every
direction, about equally likely keys carry at most ½ ln det(I + C) nats about whose they are, C the
covariance of the keys.

The entropy of x is at most that of a normal law with its covariance, :math:`I + C` (the normal law
has the largest), and given e it is that of a normal law with covariance I. At equal length s and
cosine :math:`\rho` this is :math:`\frac{K-1}{2} \ln(1 + s^2(1-\rho)/K) \le s^2(1 - \rho)/2`: no
router is right with probability P among more than :math:`(2 e^{s^2(1-\rho)/2})^{1/P}` adapters.

**What it tells someone who merges adapters.** For a router to be right as often, with probability
P, among twice as many adapters, the least that inputs must say of them grows by about P ln 2 nats,
whatever the router. Inputs that scatter with unit variance about keys of length s say at most s²/2:
a library that grows exponentially in the squared length of its keys is the largest that can be
routed. ``thm:router-limit`` says what is reached.

**What it does not say.** That a router which errs less than this exists for given inputs: Fano's
inequality looks at their information only. For adapters that are not equally likely :math:`\ln K`
becomes the entropy of e, and the bound need not be met. Tokens of one prompt add their information
at most if they are independent given the adapter; else two may say together what neither says
alone.

References
----------
Fano (1961), "Transmission of information"; the rate-distortion function of a uniform source is
problem 10.5 of Cover and Thomas (2006), the largest entropy of a covariance their theorem 8.6.5.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtri, xlogy

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "Fano (1961); a uniform source's rate-distortion function"

SEVERAL = "two adapters or more, and an error of at most 1 − 1/K, that of chance"
LIKELY = "probabilities under which the adapters are equally likely"
ERRS = "a router that errs with at most the stated probability"
KEYS = "equally likely keys of the stated covariance"


@dataclass(frozen=True, eq=False)
class Case:
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
        right = sum(float(self.joint[e, x]) for x, e in enumerate(self.choice))
        return float(xp.sum(self.joint)) - right


def sent(joint: Float[Array, "k x"]) -> Inputs:
    """Return inputs of this joint law, each routed to its most probable adapter."""
    return Inputs(joint, tuple(int(e) for e in np.argmax(joint, axis=0)))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two adapters or many, and a router that is perfect, nearly so, or at chance."""
    k = int(rng.integers(2, 4 * size + 1))
    share = float(rng.choice([0.0, 10.0 ** -rng.uniform(0, 6), rng.uniform(0, 1), 1.0]))
    return Case(k, share * (1 - 1 / k), np.zeros(1))


def bound(case: Case) -> float:
    """Return ln K − h(ε) − ε ln(K − 1), the least information in nats, or 0 if negative."""
    k, error = case.adapters, case.error
    unsure = -float(xlogy(error, error)) - float(xlogy(1 - error, 1 - error))
    return max(0.0, math.log(k) - unsure - error * math.log(max(k - 1, 1)))


def measure(_: Case, inputs: Inputs) -> float:
    """Return the mutual information of input and adapter in nats, from their joint law."""
    xp, joint = array_namespace(inputs.joint), inputs.joint
    apart = xp.sum(joint, axis=0, keepdims=True) * xp.sum(joint, axis=1, keepdims=True)
    seen = joint > 0
    ratio = xp.where(seen, joint, 1.0) / xp.where(seen, apart, 1.0)
    return float(xp.sum(joint * xp.log(ratio)))


def attain(case: Case) -> Inputs:
    """Return inputs that name the right adapter, or with probability ε one of the others."""
    k, wrong = case.adapters, case.error / (case.adapters - 1)
    return Inputs(((1 - case.error - wrong) * eye(case.like, k) + wrong) / k, tuple(range(k)))


def rival(case: Case, rng: np.random.Generator) -> Inputs:
    """Draw a joint law whose most probable adapter is wrong with probability ε at most."""
    k, sharp = case.adapters, float(rng.choice([0.1, 1.0, 100.0]))
    free = rng.dirichlet([sharp] * int(rng.integers(1, 2 * k + 1)), k) / k
    if rng.random() < 0.3:  # next to the best
        best = attain(case).joint * (1 + 10.0 ** int(rng.integers(-9, 0)) * rng.random((k, k)))
        free = best / np.sum(best, axis=1, keepdims=True) / k
    often = min(1.0, case.error / max(sent(free).error, SAFETY)) * (1 - 1e-12)
    return sent(np.concatenate([often * free, (1 - often) * np.eye(k) / k], axis=1))


def adversary(case: Case, rng: np.random.Generator) -> Inputs:
    """Return inputs of little information found by Blahut and Arimoto's iteration.

    The iteration minimises information plus a price for errors; bisection finds the price at which
    the router errs with probability ε.
    """
    k = case.adapters
    low, high, best = 0.0, 60.0, sent(np.eye(k) / k)
    for _ in range(50):
        price = (low + high) / 2
        used = rng.dirichlet([5.0] * k)
        for _ in range(60):
            channel = used * np.exp(price * (np.eye(k) - 1))
            channel /= channel.sum(axis=1, keepdims=True)
            used = channel.mean(axis=0)
        found = Inputs(channel / k, tuple(range(k)))
        if found.error <= case.error:
            high, best = price, found
        else:
            low = price
    return best


def _likely(case: Case, inputs: Inputs) -> bool:
    xp, k = array_namespace(inputs.joint), case.adapters
    share = xp.sum(inputs.joint, axis=1)
    fits = share.shape[0] == k and bool(xp.all(xp.abs(share - 1 / k) <= SAFETY))
    return fits and bool(xp.all(inputs.joint >= 0))


ASSUMPTIONS = {
    SEVERAL: lambda case, _: case.adapters >= 2 and case.error <= 1 - 1 / case.adapters + SAFETY,
    LIKELY: _likely,
    ERRS: lambda case, inputs: inputs.error <= case.error + SAFETY,
}

SURE = Case(4, 0.0, np.zeros(1))


def _mostly_one() -> tuple[Case, Inputs]:
    case = replace(SURE, error=0.1)
    return case, Inputs(np.array([[0.9], [0.1], [0.0], [0.0]]), (0,))


def _worse_than_chance() -> tuple[Case, Inputs]:
    return replace(SURE, error=0.9), attain(replace(SURE, error=0.75))


CONTROLS = (
    Control("a router that may do worse than chance", SEVERAL, _worse_than_chance),
    Control("one adapter that nearly all inputs belong to", LIKELY, _mostly_one),
    Control("a router at chance", ERRS, lambda: (SURE, attain(replace(SURE, error=0.75)))),
)

THEOREM: Theorem[Case, Inputs] = Theorem.of(__name__)


# Normal inputs about keys


def draw_spread(rng: np.random.Generator, _: int) -> Array:
    """Draw a covariance of keys in one or two dimensions, over several decades."""
    width = int(rng.integers(1, 3))
    root = rng.standard_normal((width, width)) * 10.0 ** rng.uniform(-3, 0.5, (width, 1))
    return root @ root.T


def log_volume(spread: Float[Array, "n n"]) -> float:
    """Return ½ ln det(I + C) in nats, C being the covariance `spread` of the keys."""
    moment = eye(spread, spread.shape[0]) + spread
    return float(array_namespace(spread).linalg.slogdet(moment)[1]) / 2


def information(_: Array, keys: Float[Array, "k n"]) -> float:
    """Return in nats what inputs that scatter about these keys say of whose they are.

    The mean over the scatter is taken by Gauss–Hermite quadrature.
    """
    xp, (k, n) = array_namespace(keys), keys.shape
    nodes, weights = hermegauss(24)
    grid = np.stack(np.meshgrid(*[nodes] * n), axis=-1).reshape(-1, n)
    mass = np.prod(np.stack(np.meshgrid(*[weights] * n), axis=-1), axis=-1).ravel()
    scatter, share = beside(keys, grid), beside(keys, mass / mass.sum())
    apart = keys[:, None, :] - keys[None, :, :]  # own key less any other
    exponent = -(apart @ scatter.T) - xp.sum(apart**2, axis=2)[:, :, None] / 2
    unsaid = xp.log(xp.sum(xp.exp(exponent), axis=1) / k)
    return -float(xp.sum(unsaid * share[None, :])) / k


def like_a_normal_law(spread: Float[Array, "n n"], rng: np.random.Generator) -> Array:
    """Return keys of this covariance: a few at random, or a grid that is nearly normal."""
    n, k = len(spread), int(rng.integers(3, 30))
    keys = rng.standard_normal((k, n)) ** int(rng.choice([1, 3]))
    if rng.random() < 0.5:
        each = 60 if n == 1 else 7
        steps = ndtri((np.arange(each) + 0.5) / each)
        keys = np.stack(np.meshgrid(*[steps] * n), axis=-1).reshape(-1, n)
    keys = keys - keys.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(keys.T, bias=True).reshape(n, n))
    sizes, turn = np.linalg.eigh(spread)
    white = keys @ axes / np.sqrt(values)
    return white @ (turn * np.sqrt(np.maximum(sizes, 0.0))).T


def _as_stated(spread: Array, keys: Array) -> bool:
    xp = array_namespace(keys)
    centred = keys - xp.mean(keys, axis=0, keepdims=True)
    found = centred.T @ centred / keys.shape[0]
    room = 1e-9 * max(1.0, float(xp.max(xp.abs(spread))))
    return bool(xp.all(xp.abs(found - spread) <= room))


CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "scattered inputs",
        sense="upper",
        draw=draw_spread,
        bound=log_volume,
        measure=information,
        attain=None,
        rival=like_a_normal_law,
        adversary=None,
        assumptions={KEYS: _as_stated},
        controls=(
            Control(
                "keys twice as far apart",
                KEYS,
                lambda: (np.eye(1), np.array([[-2.0], [2.0], [-2.0], [2.0]])),
            ),
        ),
        unseen="met by keys that are themselves normal, and these are never finitely many",
    ),
)
