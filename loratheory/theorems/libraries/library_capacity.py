r"""Library capacity: how many adapters calibrated gates tell apart, and what their sum does.

**Statement.** Gates of threshold below 1 on k least-norm adapters of exact edits, orthonormal
answers at independent standard normal keys, are all right at all of h independent reads of a key of
one adapter with probability at least (1 - f)^(h(k-1)), f the false alarm of one gate.

Each of :math:`k` adapters holds :math:`n` exact edits with orthonormal responses at independent
standard normal keys in dimension :math:`D`, and is on at full strength where its squared response
exceeds :math:`\tau < 1`, else off. A prompt makes :math:`h` reads (layers) whose keys and queries
are independent of those of other reads; each query is a key of one adapter and foreign to the
others. With the false alarm :math:`f = f(n, D, \tau)` of ``thm:gate-detection`` all gates are right
at all reads with probability at least

.. math:: (1 - f)^{h (k - 1)} \;\ge\; 1 - h (k - 1) f,

for :math:`k \le 2` exactly that; and the output is then the oracle's. Where reads share keys the
right side still holds, the left need not. So :math:`k` may grow like :math:`1/f`, exponentially in
:math:`D`. Without gates foreign adapters add the mean energy :math:`(k - 1)\, n / (D - n - 1)`, for
:math:`D > n + 1`, to a read, against 1 of its own; gates let the fraction
:math:`I_{1/(1+\tau)}(\tfrac{D-n-1}2, \tfrac n2 + 1)` of it through. *Reduction,* without any law:
an oracle that succeeds with probability :math:`p` leaves gates with misses :math:`m` and false
alarms :math:`f_j` at least :math:`p - \sum_{\text{reads}} (m + \sum_j f_j)`.

**Proof.** An own key is answered with 1, above :math:`\tau`. Given the query, foreign adapters are
independent and alike: with alarm :math:`f_x` all stay shut with probability :math:`(1 -
f_x)^{k-1}`, whose mean is at least :math:`(1 - f)^{k-1}` by Jensen, and equal for :math:`k - 1 \le
1`. Reads are independent; if not, the union bound is left: in :math:`D = n = 1` two adapters asked
in turn at the same keys answer :math:`t` and :math:`1/t`, never both little. Energies add in mean,
as responses of different adapters have independent signs, and :math:`s/(1+s)` is Beta with
parameters :math:`n/2, (D-n+1)/2`: weighting by :math:`s` moves them by one up and down and gives
the mean :math:`n/(D-n-1)`. The reduction is a union bound: where no gate is wrong the outputs
agree. :math:`\square`

**What it tells someone who merges adapters.** At independent random keys a plain sum is drowned
once the facts of the other adapters reach the width, while gates on large responses keep apart
libraries whose size is exponential in the width. Measure a gate's misses and false alarms on your
own keys: the reduction turns them into a promise for any number of reads.

**What it does not say.** Keys of trained models are not Gaussian; take their measured alarms to the
reduction. Two adapters that edit one key both answer it.

References
----------
Norm-based routing: SpectR (arXiv 2504.03454), SEQR (arXiv 2509.18093).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import betainc

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._sampling import SIGMAS, Sample, sampled
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.routing.gate_detection import INDEPENDENT, KEYS, LENGTH, false_alarm

SENSE = "lower"
SOURCE = "own"
USES = ("thm:gate-detection",)
UNSEEN = "Jensen's inequality is strict for more than two adapters"

APART = "keys of different adapters independent of each other"
BELOW = "a threshold below 1, what an exact edit answers to its own key"
FRESH = "keys of each read independent of the keys and queries of other reads"


@dataclass(frozen=True)
class Case:
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
        xp = array_namespace(self.keys)
        first, second = self.keys[:, :, :-1, :, :], self.keys[:, :, 1:, :, :]
        inner = xp.matrix_transpose(first) @ second
        count, d = math.prod(inner.shape), self.keys.shape[3]
        allowed = SIGMAS * math.sqrt(count * (2 * d * d + 6 * d)) * self.keys.shape[4]
        return abs(float(xp.sum(inner**2)) - count * d) <= allowed

    @property
    def fresh(self) -> bool:
        """Whether keys are independent, by inner products, of other reads' keys and queries."""
        xp, (trials, reads, others, d, facts) = array_namespace(self.keys), self.keys.shape
        order = xp.permute_dims(self.keys, (0, 1, 3, 2, 4))
        keys = xp.reshape(order, (trials, reads, d, others * facts))
        columns = xp.concat([keys, self.queries[:, :, :, None]], axis=3)
        energy, count = 0.0, 0
        for read in range(reads):
            for other in set(range(reads)) - {read}:
                inner = xp.matrix_transpose(keys[:, read, :, :]) @ columns[:, other, :, :]
                energy, count = energy + float(xp.sum(inner**2)), count + math.prod(inner.shape)
        # A squared inner product of independent Gaussians has mean d and variance 2 d^2 + 6 d;
        # those that share a vector are correlated, which the last factor allows for.
        allowed = SIGMAS * math.sqrt(count * (2 * d * d + 6 * d)) * 2 * columns.shape[3]
        return abs(energy - count * d) <= allowed


def clean(adapters: int, facts: int, width: int, threshold: int | float, hops: int = 2) -> float:
    """Return (1 − f)^(h(k−1)), a lower bound of the probability that no wrong gate opens."""
    return (1 - false_alarm(facts, width, threshold)) ** (hops * (adapters - 1))


def largest_library(
    facts: int, width: int, threshold: int | float, hops: int, failure: float
) -> int | float:
    """Return the most adapters for which ``clean`` is at least ``1 - failure``.

    The result is ``inf`` if it exceeds every float.
    """
    alarm = hops * -math.log1p(-false_alarm(facts, width, threshold))
    allowed = -math.log1p(-failure)
    return 1 + math.floor(allowed / alarm) if alarm and allowed / alarm < math.inf else math.inf


def interference(adapters: int, facts: int, width: int, threshold: int | float = 0.0) -> float:
    """Return the mean energy that foreign adapters add to a read; threshold 0 is the plain sum.

    The right adapter's response has energy 1. The result is ``inf`` unless ``facts < width - 1``.
    """
    spare = width - facts - 1
    if spare <= 0:
        return math.inf
    passed = float(betainc(spare / 2, facts / 2 + 1, 1 / (1 + threshold)))
    return (adapters - 1) * facts / spare * passed


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two to five adapters, one to three reads, and false alarms from rare to likely."""
    width = int(rng.integers(2, size + 4))
    facts, adapters = int(rng.integers(1, min(width, 4) + 1)), int(rng.integers(2, 6))
    threshold = min(float(facts / width * 10.0 ** rng.uniform(-0.3, 1)), rng.uniform(0.5, 1))
    return Case(adapters, facts, width, threshold, int(rng.integers(1, 4)))


def bound(case: Case) -> float:
    """Return (1 − f)^(h(k−1)) for the case, f being the false alarm of one of its gates."""
    return clean(case.adapters, case.facts, case.width, case.threshold, case.hops)


def measure(case: Case, library: Library) -> float:
    """Return the share of trials in which just the right gates open, at all reads."""
    if case.threshold >= 1:
        return 0.0  # the own gate sees the response 1 of an exact edit
    xp, x = array_namespace(library.keys), library.queries[:, :, None, :, None]
    reads = xp.matrix_transpose(library.keys)
    weights = xp.linalg.solve(reads @ library.keys, reads @ x)[:, :, :, :, 0]
    alarms = xp.any(xp.sum(weights**2, axis=-1) > case.threshold, axis=(1, 2))
    return 1 - int(xp.count_nonzero(alarms)) / int(alarms.shape[0])


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Return standard normal keys and queries, drawn anew for each trial and read."""
    shape = (case.trials, case.hops, case.adapters - 1, case.width, case.facts)
    return Library(rng.standard_normal(shape), rng.standard_normal((*shape[:2], case.width)))


def _example(
    change: Callable[[Array, Array], tuple[Array, Array]], threshold: float = 0.5
) -> tuple[Case, Library]:
    case = Case(adapters=3, facts=1, width=2, threshold=threshold, hops=1, trials=20000)
    fine = rival(case, np.random.default_rng(0))
    return case, Library(*change(fine.keys, fine.queries))


def _crossed(keys: Array, queries: Array) -> tuple[Array, Array]:
    # The neighbour's key is at right angles and long where this one is short: of the right law
    # alone, but not independent, so that the query never excites both.
    first = keys[:, :, 0, :, 0]
    length = np.linalg.norm(first, axis=2, keepdims=True)
    turned = np.stack([-first[:, :, 1], first[:, :, 0]], axis=2) / length
    other = np.sqrt(-2 * np.log(-np.expm1(-(length**2) / 2)))  # of the same law, long where short
    return np.stack([first, turned * other], axis=2)[:, :, :, :, None], queries


def _in_turn() -> tuple[Case, Library]:
    case = Case(adapters=2, facts=1, width=1, threshold=0.5, hops=2, trials=20000)
    queries = rival(case, np.random.default_rng(0)).queries
    return case, Library(queries[:, ::-1, None, :, None], queries)


CONTROLS = (
    Control("a threshold of 2", BELOW, partial(_example, lambda k, x: (k, x), threshold=2.0)),
    Control("shorter keys", KEYS, partial(_example, lambda k, x: (0.3 * k, x))),
    Control("two edit one key", INDEPENDENT, partial(_example, lambda k, _: (k, k[:, :, 0, :, 0]))),
    Control("a query three times as strong", LENGTH, partial(_example, lambda k, x: (k, 3 * x))),
    Control("avoid the neighbour's keys", APART, partial(_example, _crossed)),
    Control("ask two adapters in turn at the same keys", FRESH, _in_turn),
)


def _all(question: str) -> Callable[[Case, Library], bool]:
    return lambda _, library: all(
        getattr(library.sample(adapter), question) for adapter in range(library.keys.shape[2])
    )


ASSUMPTIONS = {
    BELOW: lambda case, _: case.threshold < 1,
    KEYS: _all("keys_are_standard"),
    INDEPENDENT: _all("queries_are_foreign"),
    LENGTH: lambda _, library: library.sample(0).lengths_are_standard,
    APART: lambda _, library: library.apart,
    FRESH: lambda _, library: library.fresh,
}

THEOREM: Theorem[Case, Library] = Theorem.of(__name__)
