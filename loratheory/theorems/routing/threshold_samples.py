r"""Threshold samples: how many foreign inputs it takes to set the threshold of a gate.

**Statement.** A gate whose threshold is the j-th largest of N independent foreign responses of one
continuous law has a rate of false alarms above α on later inputs of that law with the probability
that fewer than j of N trials of chance α succeed, whatever the law; for the largest it is (1 −
α)^N.

Let :math:`s_1, \dots, s_N` and the response s to a later foreign input be independent with one
continuous law, :math:`\tau` the j-th largest of the N, and :math:`f = \Pr(s > \tau \mid \tau)` the
rate of false alarms from then on. Then for every :math:`\alpha \in (0, 1)`

.. math:: \Pr(f > \alpha) = \sum_{i < j} \binom N i \alpha^i (1 - \alpha)^{N - i} .

Hence a gate that may open wrongly at one foreign input in a hundred, with 95 % certainty, takes 299
foreign inputs (:math:`.99^{299} < .05`), and no continuous law of responses takes fewer.

**Proof.** Let :math:`G(t) = \Pr(s > t)`. As the law is continuous, :math:`G(s_1), \dots, G(s_N)`
are independent and uniform, and the j-th largest :math:`s` has the j-th smallest :math:`G`, which
is :math:`f`. It exceeds :math:`\alpha` iff fewer than j of the uniforms are at most :math:`\alpha`.
:math:`\square`

**What it tells someone who merges adapters.** Count the foreign inputs before trusting a gate: the
number needed grows in proportion to the library, whatever the gate responds to. K adapters read h
times raise :math:`h (K - 1)` chances of a false alarm a question, so one wrong question in a
hundred asks for :math:`\alpha = 1/(100\, h (K - 1))`.

**What it does not say.** Later inputs must be of the law that was sampled: another user's prompts
are another law. How often the own inputs are missed is the same law, read from the other end.

References
----------
Order statistics: Wilks (1941), "Determination of sample sizes for setting tolerance limits".
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import bdtr, bdtrin, gammaincc

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._sampling import SIGMAS, sampled
from loratheory.theorems._theorem import Control, Theorem

SENSE = "equal"
SOURCE = "Wilks (1941), for gates"
USES = ("thm:gate-detection",)

INDEPENDENT = "independent responses"
LAW = "later inputs of the law that was sampled"


@dataclass(frozen=True)
class Case:
    """A gate's threshold is the `order`-th largest of `samples` responses of a rank-`rank` adapter.

    `rate` is the rate of false alarms to stay below; `trials` is how often this is tried.
    """

    samples: int
    order: int
    rate: float
    rank: int
    trials: int = 2000


@dataclass(frozen=True, eq=False)
class Responses:
    """Squared responses (trials, N) of an adapter with equal singular values to white inputs.

    `later` is by which factor later inputs are longer; 1 if they are of the same law.
    """

    squared: Float[Array, "t n"]
    later: float = 1.0


def exceedance(samples: int, order: int, rate: float) -> float:
    """Return the probability that a gate's rate of false alarms exceeds `rate`.

    Its threshold is the largest (`order` 1), second largest (2) and so on of `samples` responses.
    """
    return float(bdtr(order - 1, samples, rate))


def samples_needed(order: int, rate: float, doubt: float) -> int:
    """Return the least number of samples with which `exceedance` is at most `doubt`."""
    samples = max(order, int(bdtrin(order - 1, doubt, rate)))
    while exceedance(samples, order, rate) > doubt:
        samples += 1
    return samples


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw few samples or many, thresholds at the largest or below, adapters of any rank."""
    samples = int(rng.integers(1, 10 * size))
    order = int(rng.integers(1, min(samples, 5) + 1))
    rate = order / samples * float(rng.uniform(0.2, 2.5))
    trials = 20000 if samples <= 20 else 2000
    return Case(samples, order, min(rate, 0.9), int(rng.integers(1, size + 1)), trials)


def bound(case: Case) -> float:
    """Return the chance that fewer than `order` of `samples` trials of chance `rate` succeed."""
    return exceedance(case.samples, case.order, case.rate)


def measure(case: Case, responses: Responses) -> float:
    """Return the share of trials whose threshold lets through more false alarms than `rate`.

    How many it lets through follows from the chi-squared law of the responses.
    """
    xp = array_namespace(responses.squared)
    threshold = xp.sort(responses.squared, axis=1)[:, case.samples - case.order]
    heights = np.array([float(t) for t in threshold]) / responses.later**2
    return float(np.mean(gammaincc(case.rank / 2, heights / 2) > case.rate))


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Responses:
    """Draw fresh responses: squared lengths of vectors of `rank` standard normals."""
    return Responses(rng.chisquare(case.rank, (case.trials, case.samples)))


def _independent(case: Case, responses: Responses) -> bool:
    # Independent responses of a trial: its mean varies as 1/N of one response's variance.
    xp = array_namespace(responses.squared)
    means = xp.mean(responses.squared, axis=1)
    spread, wanted = float(xp.mean((means - case.rank) ** 2)), 2 * case.rank / case.samples
    kurtosis = 2 + 12 / (case.rank * case.samples)
    return abs(spread / wanted - 1) <= SIGMAS * (kurtosis / case.trials) ** 0.5


ASSUMPTIONS = {INDEPENDENT: _independent, LAW: lambda _, responses: responses.later == 1.0}


def _example(copies: int = 1, later: float = 1.0) -> tuple[Case, Responses]:
    case, rng = Case(20, 2, 0.1, 4), np.random.default_rng(0)
    squared = rival(case, rng).squared
    return case, Responses(np.repeat(squared[:, ::copies], copies, axis=1), later)


CONTROLS = (
    Control("each response counted ten times", INDEPENDENT, partial(_example, copies=10)),
    Control("later inputs twice as long", LAW, partial(_example, later=2.0)),
)

THEOREM: Theorem[Case, Responses] = Theorem.of(__name__)
