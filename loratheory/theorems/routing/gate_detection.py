r"""Gate detection: how often an adapter answers a query that is not its own.

**Statement.** The squared response of the least-norm adapter of n exact edits, orthonormal answers
at independent standard normal keys of dimension D >= n, to an independent standard normal query
follows n/(D-n+1) times the F law with n and D-n+1 degrees of freedom.

An adapter :math:`\Delta = Y K^+` writes orthonormal responses :math:`Y` at the columns of :math:`K
\in \mathbb{R}^{D \times n}`, :math:`n \le D` independent standard normal keys. Let :math:`x` be a
query independent of them with :math:`\|x\|^2 \sim \chi^2_D`, a Gaussian one for instance, and
:math:`s = \|\Delta x\|^2`. Then

.. math::
    s \sim \tfrac{n}{D - n + 1} F_{n,\, D-n+1}, \qquad
    f(\tau) = \Pr(s > \tau) = I_{1/(1+\tau)}\bigl(\tfrac{D-n+1}{2}, \tfrac n2\bigr),

while :math:`s = 1` at each own key. So :math:`k` adapters whose gates open where :math:`s > \tau`,
:math:`\tau < 1`, let exactly the right ones answer at all of :math:`h` reads with probability at
least :math:`1 - h (k - 1) f(\tau)`.

**Proof.** :math:`s = \|K^+ x\|^2`, as :math:`Y` is orthonormal, and :math:`K^+ k_j = e_j` gives the
own keys. The law of :math:`K` is invariant under rotations, so :math:`s` depends on :math:`x` only
through :math:`\|x\|`, and :math:`x` may be taken standard Gaussian. Given :math:`K`, the vector
:math:`K^+ x` is then Gaussian with covariance :math:`K^+ K^{+\top} = W^{-1}`, :math:`W = K^\top K`:
:math:`s` has the law of :math:`z^\top W^{-1} z` with :math:`z \sim N(0, 1_n)` independent of the
Wishart matrix :math:`W`. For fixed :math:`z`, :math:`\|z\|^2 / (z^\top W^{-1} z) \sim
\chi^2_{D-n+1}`: it is the squared distance of one Gaussian column from :math:`n - 1` others. Hence
:math:`s \sim \chi^2_n / \chi^2_{D-n+1}`, independent, which is the claim. The last part is a union
bound over reads and foreign adapters. :math:`\square`

**What it tells someone who merges adapters.** At independent random keys gating by response norm
works as long as an adapter's facts are few beside the width, and the law of false alarms gives the
threshold.

**What it does not say.** Keys of trained models are not Gaussian: measure `f` there. Nor does it
say that adapters compose, only that the right ones are on.

References
----------
Hotelling (1931); Muirhead (1982), section 3.2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import betainc

from loratheory.lowrank import array_namespace
from loratheory.theorems._sampling import Sample, gaussian_sample, sampled
from loratheory.theorems._theorem import Control, Theorem

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
    """Return f(τ), the probability that a foreign query opens the gate, by the exact law.

    `facts` is n, from 1 to the `width` D, and `threshold` is τ.
    """
    Case(facts, width, threshold)
    return float(betainc((width - facts + 1) / 2, facts / 2, 1 / (1 + threshold)))


def largest_library(
    facts: int, width: int, threshold: int | float, hops: int, failure: float
) -> int | float:
    """Return how many adapters gates tell apart at `hops` reads with probability ``1 - failure``.

    This is the largest `k` with ``hops * (k - 1) * false_alarm <= failure``; ``inf`` if it exceeds
    every float.
    """
    alarm = hops * false_alarm(facts, width, threshold)
    return 1 + math.floor(failure / alarm) if alarm and failure / alarm < math.inf else math.inf


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw few facts or as many as the width holds; thresholds around the typical response."""
    facts = int(rng.integers(1, min(width := int(rng.integers(1, size + 1)), 32) + 1))
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
    weights = xp.linalg.solve(reads @ sample.keys, right[:, :, None])[:, :, 0]
    alarms = xp.sum(weights**2, axis=-1) > case.threshold
    return int(xp.count_nonzero(alarms)) / int(alarms.shape[0])


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Sample:
    """Draw a fresh sample, at times with queries in one fixed direction: only lengths matter."""
    sample = gaussian_sample(rng, case.trials, case.width, case.facts)
    lengths = np.linalg.norm(sample.queries, axis=1, keepdims=True)
    return sample if rng.random() < 0.7 else Sample(sample.keys, lengths * np.eye(1, case.width))


ASSUMPTIONS = {
    KEYS: lambda _, sample: sample.keys_are_standard,
    INDEPENDENT: lambda _, sample: sample.queries_are_foreign,
    LENGTH: lambda _, sample: sample.lengths_are_standard,
}


def _example(change: Callable[..., Sample]) -> tuple[Case, Sample]:
    fine = gaussian_sample(np.random.default_rng(0), 600, 16, 5)
    keys, spare = fine.keys[:, :, :4], fine.keys[:, :, 4:]
    return Case(facts=4, width=16, threshold=0.5), change(keys, fine.queries, spare)


def _control(name: str, breaks: str, change: Callable[..., Sample]) -> Control[Case, Sample]:
    return Control(name, breaks, partial(_example, change))


CONTROLS = (
    _control("keys that are alike", KEYS, lambda k, x, z: Sample(0.3 * k + z, x)),
    _control("the query is a key", INDEPENDENT, lambda k, _, __: Sample(k, k[:, :, 0])),
    _control("a query three times as strong", LENGTH, lambda k, x, _: Sample(k, 3 * x)),
)

THEOREM: Theorem[Case, Sample] = Theorem.of(__name__)
