r"""Gate detection: how often an adapter answers a query that is not its own.

**Statement.** A least-norm adapter makes n exact edits with orthonormal answers at independent
standard normal keys of dimension D ≥ n. Its squared response to an independent standard normal
query is n/(D − n + 1) times an F-distributed variable with n and D − n + 1 degrees of freedom.

An adapter :math:`\Delta = Y K^+` writes orthonormal responses :math:`Y` at the columns of :math:`K
\in \mathbb{R}^{D \times n}`, which are :math:`n \le D` independent standard normal keys. Let
:math:`x` be a query independent of them with :math:`\|x\|^2 \sim \chi^2_D`, a Gaussian one for
instance, and let :math:`s = \|\Delta x\|^2`. Then

.. math::
    s \sim \tfrac{n}{D - n + 1} F_{n,\, D-n+1}, \qquad
    f(\tau) = \Pr(s > \tau) = I_{1/(1+\tau)}\bigl(\tfrac{D-n+1}{2}, \tfrac n2\bigr),

while :math:`s = 1` at each own key. Now let :math:`k` adapters have gates that open where :math:`s
> \tau`, with :math:`\tau < 1`. At all of :math:`h` reads exactly the right adapters answer, with
probability at least :math:`1 - h (k - 1) f(\tau)`.

**Proof.** As :math:`Y` is orthonormal, :math:`s = \|K^+ x\|^2`. At own keys :math:`K^+ k_j = e_j`.
The law of :math:`K` is invariant under rotations, so :math:`s` depends on :math:`x` only through
:math:`\|x\|`, and :math:`x` may be taken standard Gaussian. Given :math:`K`, the vector :math:`K^+
x` is Gaussian with covariance :math:`K^+ K^{+\top} = W^{-1}`, where :math:`W = K^\top K` is a
Wishart matrix. So :math:`s` has the law of :math:`z^\top W^{-1} z`, where :math:`z \sim N(0, 1_n)`
is independent of :math:`W`. For fixed :math:`z`, :math:`\|z\|^2 / (z^\top W^{-1} z) \sim
\chi^2_{D-n+1}`, since it is the squared distance of one Gaussian column from the span of :math:`n -
1` others. Hence :math:`s \sim \chi^2_n / \chi^2_{D-n+1}` with independent variables, which is the
claim. The last part is a union bound over reads and foreign adapters. :math:`\square`

**Implication.** At independent random keys, gating by response norm works as long as an adapter has
few facts compared with the width. The law of false alarms gives the threshold.

**Scope.** Keys of trained models are not Gaussian: measure `f` there. The law says how often the
right adapters are active, not that they compose.

References
----------
Hotelling (1931); Muirhead (1982), section 3.2.

============================================================

Threshold samples: how many foreign inputs it takes to set the threshold of a gate.

**Statement.** The threshold of a gate is the j-th largest of N independent foreign responses, all
of one continuous law. On later inputs of this law, the gate's rate of false alarms exceeds α with
the probability of fewer than j successes in N trials of chance α, whatever the law. For j = 1 this
is (1 − α)^N.

Let :math:`s_1, \dots, s_N` and the response s to a later foreign input be independent with one
continuous law. Let :math:`\tau` be the j-th largest of the N, and :math:`f = \Pr(s > \tau \mid
\tau)` the rate of false alarms from then on. Then for every :math:`\alpha \in (0, 1)`

.. math:: \Pr(f > \alpha) = \sum_{i < j} \binom N i \alpha^i (1 - \alpha)^{N - i} .

Suppose that a gate may open wrongly at one foreign input in a hundred, and that this is to hold
with 95 % certainty. This takes 299 foreign inputs (:math:`.99^{299} < .05`), and no continuous law
of responses takes fewer.

**Proof.** Let :math:`G(t) = \Pr(s > t)`. As the law is continuous, :math:`G(s_1), \dots, G(s_N)`
are independent and uniform. The j-th largest :math:`s` has the j-th smallest :math:`G`, which is
:math:`f`. So :math:`f` exceeds :math:`\alpha` iff fewer than j of the uniforms are at most
:math:`\alpha`. :math:`\square`

**Implication.** Count the foreign inputs before you trust a gate. The number needed grows in
proportion to the library, whatever the gate responds to. With K adapters and h reads, each question
has :math:`h (K - 1)` chances of a false alarm. To allow one wrong question in a hundred, set
:math:`\alpha = 1/(100\, h (K - 1))`.

**Scope.** Later inputs must follow the law that was sampled. The prompts of another user follow
another law. The same law, read from the other end, says how often own inputs are missed.

References
----------
Order statistics: Wilks (1941), "Determination of sample sizes for setting tolerance limits".

============================================================

Library capacity: how many adapters calibrated gates tell apart, and what their sum does.

**Statement.** Each of k least-norm adapters makes n exact edits with orthonormal answers, and all
keys are independent and standard normal. A gate activates an adapter where its squared response
exceeds τ < 1, which happens at a foreign key with probability f. At h independent reads, each at a
key of one adapter, all gates are right with probability at least (1 − f)^(h(k − 1)).

Each of :math:`k` adapters holds :math:`n` exact edits with orthonormal responses at independent
standard normal keys in dimension :math:`D`. It is on at full strength where its squared response
exceeds :math:`\tau < 1`, and off elsewhere. A prompt makes :math:`h` reads (layers). Keys and
queries of a read are independent of those of other reads, and each query is a key of one adapter
and foreign to the others. Let :math:`f = f(n, D, \tau)` be the probability of a false alarm in
``thm:gate-detection``. All gates are right at all reads with probability at least

.. math:: (1 - f)^{h (k - 1)} \;\ge\; 1 - h (k - 1) f .

If all gates are right, the output is the oracle's. For :math:`k \le 2` the probability equals the
left side. Where reads share keys, the right side is still a bound, and the left side need not be.
So :math:`k` may grow like :math:`1/f`, exponentially in :math:`D`. *Without gates,* foreign
adapters add the mean energy :math:`(k - 1)\, n / (D - n - 1)` to a read, for :math:`D > n + 1`. The
own answer has energy 1. Gates let the fraction :math:`I_{1/(1+\tau)}(\tfrac{D-n-1}2, \tfrac n2 +
1)` of this foreign energy through. *Reduction,* for keys of any law. Let an oracle that activates
the right adapters succeed with probability :math:`p`. Let a gate miss its own key with probability
:math:`m`, and let foreign gate :math:`j` give a false alarm with probability :math:`f_j`. Then
gates succeed with probability at least :math:`p - \sum_{\text{reads}} (m + \sum_j f_j)`.

**Proof.** The response to an own key is 1, above :math:`\tau`. Given the query, the responses of
foreign adapters are independent and have one law. If a false alarm then has probability
:math:`f_x`, all foreign gates stay shut with probability :math:`(1 - f_x)^{k-1}`. By Jensen its
mean is at least :math:`(1 - f)^{k-1}`, with equality for :math:`k - 1 \le 1`. Multiply over the
independent reads. *Shared keys.* If reads are not independent, the union bound is left. For
example, let :math:`D = n = 1`, and read the keys of two adapters in turn. The squared responses of
the foreign adapters are :math:`t` and :math:`1/t`, which are never both below :math:`\tau`.
*Energy.* Responses of different adapters have independent signs, so their energies add in mean. The
variable :math:`s/(1+s)` is Beta with parameters :math:`n/2` and :math:`(D-n+1)/2`. Weighting its
law by :math:`s` raises the first parameter by one and lowers the second by one. This gives the
fraction, and the mean :math:`n/(D-n-1)` of :math:`s`. *Reduction.* Where no gate is wrong the
outputs agree, and the union bound limits the probability that some gate is wrong. :math:`\square`

**Implication.** At independent random keys, gates that open on large responses can tell apart a
number of adapters that is exponential in the width. In a plain sum, the other adapters' mean energy
exceeds that of the own answer once all adapters together hold as many facts as the width. Measure
the misses and false alarms of a gate on your own keys. The reduction then bounds the errors for any
number of reads.

**Scope.** Keys of trained models are not Gaussian, so use measured false alarms in the reduction.
Two adapters that edit one key both answer it.

References
----------
Norm-based routing: SpectR (arXiv 2504.03454), SEQR (arXiv 2509.18093).
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import bdtr, bdtrin, betainc, gammaincc

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import share_true
from loratheory.theorems._sampling import SIGMAS, Sample, allow_for_sampling, gaussian_sample
from loratheory.theorems._theorem import Control, Theorem, spoil

SENSE = "equal"
SOURCE = "own; rests on Hotelling (1931)"
USES = ("thm:edit-budget",)

KEYS = "independent standard Gaussian keys"
INDEPENDENT = "a query independent of the keys"
LENGTH = "a query of the keys' law in length: squared norm chi-squared"


@dataclass(frozen=True)
class Case:
    """An adapter's facts, the width that its gate reads, the gate's threshold, trials to run."""

    facts: int
    width: int
    threshold: int | float
    trials: int = 600

    def __post_init__(self) -> None:
        """Refuse more facts than the width holds, and fewer than one."""
        if not 1 <= self.facts <= self.width:
            message = f"{self.facts} facts in width {self.width}: give from 1 to {self.width} facts"
            raise ValueError(message)


def false_alarm(facts: int, width: int, threshold: int | float) -> float:
    """Return f(τ), how probably an independent query opens the gate of Gaussian keys.

    `facts` is n, from 1 to the `width` D, and `threshold` is τ.
    """
    Case(facts, width, threshold)
    return float(betainc((width - facts + 1) / 2, facts / 2, 1 / (1 + threshold)))


def largest_library(
    facts: int, width: int, threshold: int | float, hops: int, failure: float
) -> int | float:
    """Return how many adapters of Gaussian keys gates tell apart, except with chance `failure`.

    This is the largest `k` with ``hops * (k - 1) * false_alarm <= failure``; ``inf`` if it exceeds
    every float.
    """
    return _most(failure, hops * false_alarm(facts, width, threshold))


def _most(allowed: float, each: float) -> int | float:
    """Return one more than how many foreign adapters may add `each` to what is allowed."""
    return 1 + math.floor(allowed / each) if each and allowed / each < math.inf else math.inf


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw few facts or as many as the width holds; thresholds around the typical response."""
    facts = int(rng.integers(1, min(width := int(rng.integers(1, size + 1)), 32) + 1))
    # the sample must fit into memory, whatever the width
    cost = width * (facts + 1)  # 64 trials where it is over 500 wide, many where it is narrow
    trials = max(64, min(600, 2**20 // cost), min(20000, 2**17 // cost))
    return Case(facts, width, float(facts / width * 10.0 ** rng.uniform(-1, 1)), trials)


def bound(case: Case) -> float:
    """Return f(τ), the probability of a false alarm, for the case's facts, width and threshold."""
    return false_alarm(case.facts, case.width, case.threshold)


def measure(case: Case, sample: Sample) -> float:
    """Return the share of trials in which the squared response ‖K⁺x‖² exceeds the threshold τ."""
    xp = array_namespace(sample.keys)
    reads = xp.matrix_transpose(sample.keys)
    right = xp.sum(reads * sample.queries[:, None, :], axis=-1)
    # least-norm coefficients of the query in the adapter's keys
    weights = xp.linalg.solve(reads @ sample.keys, right[:, :, None])[:, :, 0]
    return share_true(xp.sum(weights**2, axis=-1) > case.threshold)


noise = allow_for_sampling(bound)


def rival(case: Case, rng: np.random.Generator) -> Sample:
    """Draw a fresh sample, at times with queries in one fixed direction: only lengths matter."""
    sample = gaussian_sample(rng, case.trials, case.width, case.facts)
    # keys are isotropic: the direction of the query does not matter
    lengths = np.linalg.norm(sample.queries, axis=1, keepdims=True)
    return sample if rng.random() < 0.7 else Sample(sample.keys, lengths * np.eye(1, case.width))


ASSUMPTIONS = {
    KEYS: lambda _, sample: sample.keys_are_standard,
    INDEPENDENT: lambda _, sample: sample.queries_are_foreign,
    LENGTH: lambda _, sample: sample.lengths_are_standard,
}


def _fine() -> tuple[Case, Sample]:
    sample = gaussian_sample(np.random.default_rng(0), 600, 16, 4)
    return Case(facts=4, width=16, threshold=0.5), sample


def _alike(sample: Sample) -> Sample:
    return replace(sample, keys=0.3 * sample.keys + sample.keys[:, :, :1])


def _louder(drawn: Any) -> Any:
    return replace(drawn, queries=3 * drawn.queries)


CONTROLS = (
    spoil("keys that are alike", KEYS, _fine, _alike),
    spoil("the query is a key", INDEPENDENT, _fine, lambda s: Sample(s.keys, s.keys[:, :, 0])),
    spoil("a query three times as strong", LENGTH, _fine, _louder),
)


# Thresholds that are set from a sample

SENSE_THRESHOLD = "equal"
SOURCE_THRESHOLD = "Wilks (1941), for gates"
USES_THRESHOLD = ("thm:gate-detection",)

SEPARATE = "independent responses"
LAW = "later inputs of the law that was sampled"


@dataclass(frozen=True)
class Calibrated:
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
    """Return how probably a gate's rate of false alarms exceeds `rate`, on inputs of one law.

    Its threshold is the largest (`order` 1), second largest (2) and so on of `samples` responses.
    """
    return float(bdtr(order - 1, samples, rate))


def samples_needed(order: int, rate: float, doubt: float) -> int:
    """Return the least number of samples with which `exceedance` is at most `doubt`."""
    # the inverse of a smooth extension of the binomial law, then whole numbers
    samples = max(order, int(bdtrin(order - 1, doubt, rate)))
    while exceedance(samples, order, rate) > doubt:
        samples += 1
    return samples


def draw_threshold(rng: np.random.Generator, size: int) -> Calibrated:
    """Draw few samples or many, thresholds at the largest or below, adapters of any rank."""
    samples = int(rng.integers(1, 10 * size))
    order = int(rng.integers(1, min(samples, 5) + 1))
    # about the rate that the threshold has in the mean
    rate = order / samples * float(rng.uniform(0.2, 2.5))
    trials = 20000 if samples <= 20 else 2000
    return Calibrated(samples, order, min(rate, 0.9), int(rng.integers(1, size + 1)), trials)


def bound_threshold(case: Calibrated) -> float:
    """Return the chance that fewer than `order` of `samples` trials of chance `rate` succeed."""
    return exceedance(case.samples, case.order, case.rate)


def measure_threshold(case: Calibrated, responses: Responses) -> float:
    """Return the share of trials whose threshold lets through more false alarms than `rate`.

    How many it lets through follows from the chi-squared law of the responses.
    """
    ordered = array_namespace(responses.squared).sort(responses.squared, axis=1)
    # the order-th largest response becomes the threshold
    threshold = ordered[:, case.samples - case.order]
    heights = np.array(list(map(float, threshold))) / responses.later**2
    return float(np.mean(gammaincc(case.rank / 2, heights / 2) > case.rate))


noise_threshold = allow_for_sampling(bound_threshold)


def rival_threshold(case: Calibrated, rng: np.random.Generator) -> Responses:
    """Draw fresh responses: squared lengths of vectors of `rank` standard normals."""
    return Responses(rng.chisquare(case.rank, (case.trials, case.samples)))


def _independent(case: Calibrated, responses: Responses) -> bool:
    # Independent responses of a trial: its mean varies as 1/N of one response's variance.
    xp = array_namespace(responses.squared)
    means = xp.mean(responses.squared, axis=1)
    spread, wanted = float(xp.mean((means - case.rank) ** 2)), 2 * case.rank / case.samples
    kurtosis = 2 + 12 / (case.rank * case.samples)
    return abs(spread / wanted - 1) <= SIGMAS * (kurtosis / case.trials) ** 0.5


ASSUMPTIONS_THRESHOLD = {
    SEPARATE: _independent,
    LAW: lambda _, responses: responses.later == 1.0,
}


def _example_threshold(copies: int = 1, later: float = 1.0) -> tuple[Calibrated, Responses]:
    case, rng = Calibrated(20, 2, 0.1, 4), np.random.default_rng(0)
    squared = rival_threshold(case, rng).squared
    return case, Responses(np.repeat(squared[:, ::copies], copies, axis=1), later)


CONTROLS_THRESHOLD = (
    Control("each response counted ten times", SEPARATE, partial(_example_threshold, copies=10)),
    Control("later inputs twice as long", LAW, partial(_example_threshold, later=2.0)),
)


# All gates of a library at once

SENSE_LIBRARY = "lower"
SOURCE_LIBRARY = "own"
USES_LIBRARY = ("thm:gate-detection",)
UNSEEN_LIBRARY = "Jensen's inequality is strict for more than two adapters"

APART = "keys of different adapters independent of each other"
BELOW = "a threshold below 1, what an exact edit answers to its own key"
FRESH = "keys of each read independent of the keys and queries of other reads"


@dataclass(frozen=True)
class Gated:
    """A library of `adapters` of `facts` each, gates of this `width` and `threshold`.

    Each question is read `hops` times; `trials` questions are drawn.
    """

    adapters: int
    facts: int
    width: int
    threshold: int | float
    hops: int = 2
    trials: int = 300


@dataclass(frozen=True, eq=False)
class Library:
    """Keys of foreign adapters (N, reads, k - 1, D, n) and queries (N, reads, D) of N trials."""

    keys: Array
    queries: Array

    def sample(self, adapter: int) -> Sample:
        """Return the keys of one adapter with the queries; each read counts as a trial."""
        xp, shape = array_namespace(self.keys), self.keys.shape
        keys = xp.reshape(self.keys[:, :, adapter, :, :], (-1, *shape[3:]))
        return Sample(keys, xp.reshape(self.queries, (-1, shape[3])))

    @property
    def apart(self) -> bool:
        """Whether keys of neighbouring adapters have inner products like independent ones."""
        first, second = self.keys[:, :, :-1, :, :], self.keys[:, :, 1:, :, :]
        inner = array_namespace(self.keys).matrix_transpose(first) @ second
        return _independent_vectors(inner**2, self.keys.shape[3], self.keys.shape[4])

    @property
    def fresh(self) -> bool:
        """Whether keys are independent, by inner products, of other reads' keys and queries."""
        xp, (trials, reads, others, d, facts) = array_namespace(self.keys), self.keys.shape
        order = xp.permute_dims(self.keys, (0, 1, 3, 2, 4))
        keys = xp.reshape(order, (trials, reads, d, others * facts))
        columns = xp.concat([keys, self.queries[:, :, :, None]], axis=3)
        # each read beside the one that comes so many reads later
        parts = []
        for later in range(1, reads):
            other = xp.roll(columns, -later, axis=1)
            parts.append((xp.matrix_transpose(keys) @ other) ** 2)
        # inner products that share a vector are correlated, which the last factor allows for
        return not parts or _independent_vectors(xp.stack(parts), d, 2 * columns.shape[3])


def _independent_vectors(squares: Array, width: int, shared: int) -> bool:
    # a squared inner product of independent Gaussians has mean d and variance 2 d² + 6 d
    count, d = math.prod(squares.shape), width
    allowed = SIGMAS * math.sqrt(count * (2 * d * d + 6 * d)) * shared
    return abs(float(array_namespace(squares).sum(squares)) - count * d) <= allowed


def clean(adapters: int, facts: int, width: int, threshold: int | float, hops: int = 2) -> float:
    """Return (1 − f)^(h(k−1)), at Gaussian keys the least chance that no wrong gate opens."""
    return (1 - false_alarm(facts, width, threshold)) ** (hops * (adapters - 1))


def largest_clean_library(
    facts: int, width: int, threshold: int | float, hops: int, failure: float
) -> int | float:
    """Return the most adapters of Gaussian keys for which ``clean`` is at least ``1 - failure``.

    The result is ``inf`` if it exceeds every float.
    """
    alarm = false_alarm(facts, width, threshold)
    return _most(-math.log1p(-failure), -hops * math.log1p(-alarm)) if alarm < 1 else 1


def interference(adapters: int, facts: int, width: int, threshold: int | float = 0.0) -> float:
    """Return the mean energy that foreign adapters of Gaussian keys add to a read.

    Threshold 0 is the plain sum. The right adapter's response has energy 1. The result is ``inf``
    unless ``facts < width - 1``.
    """
    # moments of an inverse Wishart matrix exist only with room to spare
    spare = width - facts - 1
    if spare <= 0:
        return math.inf
    passed = float(betainc(spare / 2, facts / 2 + 1, 1 / (1 + threshold)))
    return (adapters - 1) * facts / spare * passed


def draw_library(rng: np.random.Generator, size: int) -> Gated:
    """Draw two to five adapters, one to three reads, and false alarms from rare to likely."""
    width = int(rng.integers(2, size + 4))
    facts, adapters = int(rng.integers(1, min(width, 4) + 1)), int(rng.integers(2, 6))
    threshold = min(float(facts / width * 10.0 ** rng.uniform(-0.3, 1)), rng.uniform(0.5, 1))
    return Gated(adapters, facts, width, threshold, int(rng.integers(1, 4)))


def bound_library(case: Gated) -> float:
    """Return (1 − f)^(h(k−1)) for the case, f being the false alarm of one of its gates."""
    return clean(case.adapters, case.facts, case.width, case.threshold, case.hops)


def measure_library(case: Gated, library: Library) -> float:
    """Return the share of trials in which just the right gates open, at all reads."""
    if case.threshold >= 1:
        return 0.0  # the own gate sees the response 1 of an exact edit
    xp, x = array_namespace(library.keys), library.queries[:, :, None, :, None]
    # all foreign adapters at all reads at once
    reads = xp.matrix_transpose(library.keys)
    weights = xp.linalg.solve(reads @ library.keys, reads @ x)[:, :, :, :, 0]
    return 1 - share_true(xp.any(xp.sum(weights**2, axis=-1) > case.threshold, axis=(1, 2)))


noise_library = allow_for_sampling(bound_library)


def rival_library(case: Gated, rng: np.random.Generator) -> Library:
    """Return standard normal keys and queries, drawn anew for each trial and read."""
    shape = (case.trials, case.hops, case.adapters - 1, case.width, case.facts)
    return Library(rng.standard_normal(shape), rng.standard_normal((*shape[:2], case.width)))


def _fair(threshold: float = 0.5) -> tuple[Gated, Library]:
    case = Gated(adapters=3, facts=1, width=2, threshold=threshold, hops=1, trials=20000)
    return case, rival_library(case, np.random.default_rng(0))


def _one_key(library: Library) -> Library:
    return Library(library.keys, library.keys[:, :, 0, :, 0])


def _crossed(library: Library) -> Library:
    # The neighbour's key is at right angles and long where this one is short: of the right law
    # alone, but not independent, so that the query never excites both.
    first = library.keys[:, :, 0, :, 0]
    length = np.linalg.norm(first, axis=2, keepdims=True)
    turned = np.stack([-first[:, :, 1], first[:, :, 0]], axis=2) / length
    other = np.sqrt(-2 * np.log(-np.expm1(-(length**2) / 2)))  # of the same law, long where short
    return Library(np.stack([first, turned * other], axis=2)[:, :, :, :, None], library.queries)


def _in_turn() -> tuple[Gated, Library]:
    case = Gated(adapters=2, facts=1, width=1, threshold=0.5, hops=2, trials=20000)
    queries = rival_library(case, np.random.default_rng(0)).queries
    return case, Library(queries[:, ::-1, None, :, None], queries)


CONTROLS_LIBRARY = (
    Control("a threshold of 2", BELOW, partial(_fair, 2.0)),
    spoil("shorter keys", KEYS, _fair, lambda s: Library(0.3 * s.keys, s.queries)),
    spoil("two edit one key", INDEPENDENT, _fair, _one_key),
    spoil("a query three times as strong", LENGTH, _fair, _louder),
    spoil("avoid the neighbour's keys", APART, _fair, _crossed),
    Control("ask two adapters in turn at the same keys", FRESH, _in_turn),
)


def _all(question: str, _: Gated, library: Library) -> bool:
    samples = map(library.sample, range(library.keys.shape[2]))
    return all(getattr(sample, question) for sample in samples)


ASSUMPTIONS_LIBRARY = {
    BELOW: lambda case, _: case.threshold < 1,
    KEYS: partial(_all, "keys_are_standard"),
    INDEPENDENT: partial(_all, "queries_are_foreign"),
    LENGTH: lambda _, library: library.sample(0).lengths_are_standard,
    APART: lambda _, library: library.apart,
    FRESH: lambda _, library: library.fresh,
}


COMPUTE = (false_alarm, largest_library)
COMPUTE_THRESHOLD = (exceedance, samples_needed)
COMPUTE_LIBRARY = (clean, largest_clean_library, interference)

THEOREM: Theorem[Case, Sample] = Theorem.of(__name__, "gate detection")

CAPACITY: Theorem[Gated, Library] = Theorem.of(__name__, "library capacity", "_library")

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    Theorem.of(__name__, "threshold samples", "_threshold"),
    CAPACITY,
)
