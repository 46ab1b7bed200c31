r"""Promise law: what accuracy with held-out stand-ins says about a partner not yet met.

**Statement.** An adapter's accuracy is measured with s held-out stand-ins, which its training did
not see, and a new partner is exchangeable with them. With probability at most j/(s + 1) the
accuracy with the new partner is below the j-th smallest that was measured. Without ties the
probability is exactly this.

Exchangeable means that no order of the :math:`s + 1` partners is more probable than another. How
the adapter was trained does not matter, nor how many stand-ins it was trained with.

**Proof.** Let :math:`a_{(j)}` be the j-th smallest of the :math:`s` accuracies that were measured.
If the new accuracy is below :math:`a_{(j)}`, then at most :math:`j - 1` of the other :math:`s` are
smaller or equal, so it is among the first :math:`j` of all :math:`s + 1` in increasing order,
however ties are ordered. By exchangeability each place in a random order of ties has probability
:math:`1/(s + 1)`. Without ties the converse holds, too. :math:`\square`

**Implication.** One held-out stand-in promises little: a new partner does worse with probability
up to a half. With 19 of them, a new partner does worse than the worst with probability at most 5%.
The law can be refuted: if the ranks of real partners are not uniform, made-up partners do not stand
for real ones.

**Scope.** Accuracies with stand-ins that were used in training are no substitute. If each stand-in
is held out in turn and the adapter is trained again without it, nothing is promised for the adapter
that was trained with all.

References
----------
Ranks of exchangeable variables: Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random
World* (2005). Holding out in turn (jackknife+): Barber, Candes, Ramdas and Tibshirani, arXiv
1905.02928. For the inputs of a gate instead of partners: ``thm:threshold-samples``.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._sampling import SIGMAS, allow_for_sampling
from loratheory.theorems._theorem import Theorem, spoil

SENSE = "upper"
SOURCE = "known (ranks of exchangeable variables); here for partners of an adapter"

EXCHANGEABLE = "a new partner that is exchangeable with the held-out stand-ins"


def probability_of_less(held_out: int, place: int = 1) -> float:
    """Return how likely a new partner does worse than the stand-in at this place from below."""
    if not 1 <= place <= held_out:
        message = f"place {place} of {held_out} held-out stand-ins: give one from 1 to {held_out}"
        raise ValueError(message)
    return place / (held_out + 1)


@dataclass(frozen=True)
class Case:
    """Held-out stand-ins, the place of one of them from below, and trials to measure the rate."""

    held_out: int
    place: int
    trials: int
    seed: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw some held-out stand-ins, and the place of one."""
    held_out = int(rng.integers(1, 2 * size))
    return Case(held_out, int(rng.integers(1, held_out + 1)), 20_000, int(rng.integers(2**32)))


def bound(case: Case) -> float:
    """Return place / (held out + 1)."""
    return probability_of_less(case.held_out, case.place)


def measure(case: Case, accuracies: Float[Array, "trials partners"]) -> float:
    """Return in which share of trials the last is below the one at this place of the others."""
    xp = array_namespace(accuracies)
    others = xp.sort(accuracies[:, :-1], axis=1)
    below = accuracies[:, -1] < others[:, case.place - 1]
    return float(xp.sum(xp.astype(below, xp.float64))) / case.trials


noise = allow_for_sampling(bound)


def attain(case: Case) -> np.ndarray:
    """Draw accuracies that share what an adapter has in common with all partners, without ties."""
    return _draw_accuracies(case, np.random.default_rng(case.seed))


def rival(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Draw accuracies of a few questions each, with many ties."""
    questions = int(rng.integers(1, 20))
    return np.round(_draw_accuracies(case, rng) * questions) / questions


def _draw_accuracies(case: Case, rng: np.random.Generator) -> np.ndarray:
    common = rng.normal(size=(case.trials, 1))
    own = rng.normal(size=(case.trials, case.held_out + 1))
    return 1 / (1 + np.exp(-common - own))


def _is_exchangeable(case: Case, accuracies: Array) -> bool:
    """Whether the new partner's mean and spread are those of the others, but for chance."""
    xp = array_namespace(accuracies)
    off = (accuracies - xp.mean(accuracies, axis=1, keepdims=True)) ** 2
    for each in (accuracies, off):
        gap = each[:, -1] - xp.mean(each[:, :-1], axis=1)
        if abs(float(xp.mean(gap))) > SIGMAS * float(xp.std(gap)) / case.trials**0.5:
            return False
    return True


def _make_worse(accuracies: np.ndarray) -> np.ndarray:
    return np.c_[accuracies[:, :-1], accuracies[:, -1] ** 2]


def _fine() -> tuple[Case, np.ndarray]:
    case = Case(4, 1, 20_000, 0)
    return case, attain(case)


ASSUMPTIONS = {EXCHANGEABLE: _is_exchangeable}
CONTROLS = (spoil("meet a partner that was trained differently", EXCHANGEABLE, _fine, _make_worse),)

COMPUTE = (probability_of_less,)

THEOREM: Theorem[Case, np.ndarray] = Theorem.of(__name__)
