r"""Sequential forgetting: what later adapters leave of a fact, if each is trained after the others.

**Statement.** Adapters of rank r are trained one after another in width n, each by the least change
that fits its own r facts exactly. Keys are orthonormal within an adapter and have independent
random directions in different adapters, and the changes that facts ask of the base are orthonormal.
After a later adapters, the share of a fact's change that is still made is on average (1 − r/n)^a.

Adapter t is the least :math:`\Delta_t` with :math:`(W + \Delta_1 + \dots + \Delta_t) K_t = V_t`.
The changes :math:`D_t = V_t - W K_t` that are asked of the base W are orthonormal over all facts.
Let :math:`U` be the sum of all adapters. A fact of the first adapter, with key :math:`k` and change
:math:`d`, has the mean strength

.. math:: \mathbb{E}\, \langle d, U k \rangle = \Bigl(1 - \frac rn\Bigr)^a.

**Proof.** Let :math:`U_t` be the sum of the first t adapters and :math:`P_t = K_t K_t^\top`. Then
:math:`U_t = U_{t-1} + (D_t - U_{t-1} K_t) K_t^\top = U_{t-1} (1 - P_t) + D_t K_t^\top`. With T
adapters in all, this gives :math:`U = \sum_t D_t K_t^\top (1 - P_{t+1}) \cdots (1 - P_T)`. Let
:math:`y = (1 - P_2) \cdots (1 - P_T)\, k`. As the changes are orthonormal, :math:`\langle d, U k
\rangle = \langle k, y \rangle`. The :math:`P_t` are independent of each other and of k, and
:math:`\mathbb{E} P_t = (r/n)\, 1`. :math:`\square`

**Implication.** Training in a row keeps the newest facts exact, and each further adapter erases a
share r/n of the old ones. After 0.7 n/r later adapters half of a fact is left. Training separately
and adding keeps all facts at full strength, but the noise that it gathers, a r/n, grows without
limit. With orthogonal keys nothing is forgotten, as long as the ranks fit into the width.

**Scope.** With `argmax`, answers survive longer than their strength suggests. Gradient descent on a
linear layer finds the least change from its start; LoRA training need not. Replay, or training on
all facts at once, forgets nothing as long as the facts fit (``thm:rank-floor``).

References
----------
Closed forms of forgetting for linear models and random tasks: Lin, Ju, Liang and Shroff, ICML 2023,
arXiv 2302.05836. Evron et al., arXiv 2205.09588 (tasks with one common solution; Kaczmarz's
method); tasks at random: arXiv 2604.13460. Orthogonal adapters: O-LoRA, arXiv 2310.14152.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, is_orthonormal, largest
from loratheory.theorems._sampling import SIGMAS
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
SOURCE = "own variant of closed forms by Lin et al. (2023); projections: Evron et al. (2022)"

RANDOM = "orthonormal keys in an adapter, those of different adapters in independent directions"
FITTED = "adapters that each fit what earlier ones leave of their facts"


@dataclass(frozen=True)
class Case:
    """Adapters of `rank` facts each, `later` of them after the first, on inputs of this `width`.

    `trials` libraries are drawn.
    """

    width: int
    rank: int
    later: int
    trials: int = 1000


@dataclass(frozen=True, eq=False)
class Taught:
    """Keys of each adapter's facts and the outputs that it writes for them, first adapter first."""

    keys: Float[Array, "t a n r"]
    outputs: Float[Array, "t a m r"]

    def answers(self, adapters: int, place: int) -> Float[Array, "t m r"]:
        """Return the summed output of the first `adapters` adapters at adapter `place`'s keys."""
        here, said = self.keys[:, place, :, :], 0 * self.outputs[:, 0, :, :]
        for s in range(adapters):
            seen = array_namespace(here).matrix_transpose(self.keys[:, s, :, :]) @ here
            said = said + self.outputs[:, s, :, :] @ seen
        return said


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a width of two to eight, one or two facts an adapter, and one to five later adapters."""
    n = int(rng.integers(2, min(size, 8) + 1))
    return Case(n, int(rng.integers(1, 3)) if n > 3 else 1, int(rng.integers(1, 6)))


def bound(case: Case) -> float:
    """Return (1 − r/n)^a, a being `later`: the mean strength that the first's facts keep."""
    return (1 - case.rank / case.width) ** case.later


def measure(case: Case, taught: Taught) -> float:
    """Return ⟨d, U k⟩ for the sum U of all updates, averaged over the first adapter's facts."""
    strengths = _strengths(case, taught)
    return float(array_namespace(strengths).mean(strengths))


def _strengths(case: Case, taught: Taught) -> Float[Array, " t"]:
    """Return ⟨d, U k⟩ in each library, averaged over the first adapter's facts, (trials,)."""
    said = taught.answers(case.later + 1, 0)
    # The first adapter's facts have the first outputs as their own.
    xp = array_namespace(said)
    own = xp.linalg.diagonal(said[:, : case.rank, :])
    strengths: Float[Array, " t"] = xp.mean(own, axis=1)
    return strengths


@cache
def _spread(case: Case) -> float:
    """Return six standard errors of the measured mean strength, from a draw of its own."""
    strengths = _strengths(case, rival(case, np.random.default_rng(1)))
    return float(6 * np.std(strengths) / case.trials**0.5)


def _wanted(case: Case, taught: Taught, place: int) -> Array:
    own = slice(place * case.rank, (place + 1) * case.rank)
    return eye(taught.keys, (case.later + 1) * case.rank)[:, own]


def train(case: Case, keys: Float[Array, "t a n r"], apart: bool = False) -> Taught:
    """Train adapters at these keys, one on top of another or, if `apart`, on the bare base."""
    m = (case.later + 1) * case.rank
    taught = Taught(keys, np.zeros((*keys.shape[:2], m, case.rank)))
    for place in range(case.later + 1):
        # an adapter learns what those before it leave of its facts
        known = 0 if apart else taught.answers(place, place)
        taught.outputs[:, place] = _wanted(case, taught, place) - known
    return taught


def _keys(case: Case, rng: np.random.Generator) -> Float[Array, "t a n r"]:
    shape = (case.trials, case.later + 1, case.width, case.rank)
    keys: Float[Array, "t a n r"] = np.linalg.qr(rng.standard_normal(shape))[0]
    return keys


def rival(case: Case, rng: np.random.Generator) -> Taught:
    """Train adapters at fresh random keys."""
    return train(case, _keys(case, rng))


def _random(case: Case, taught: Taught) -> bool:
    keys, xp = taught.keys, array_namespace(taught.keys)
    # tr P Q has mean r^2/n and lies between 0 and r: its variance is below r^3/n.
    mean = case.rank**2 / case.width
    room = SIGMAS * (case.rank * mean / case.trials) ** 0.5
    for s, t in combinations(range(keys.shape[1]), 2):
        products = xp.matrix_transpose(keys[:, s, :, :]) @ keys[:, t, :, :]
        if abs(float(xp.sum(products**2)) / keys.shape[0] - mean) > room + SAFETY:
            return False
    return is_orthonormal(keys)


def _fitted(case: Case, taught: Taught) -> bool:
    for place in range(case.later + 1):
        given = taught.answers(place + 1, place)
        if largest(given - _wanted(case, taught, place)) > 64 * SAFETY:
            return False
    return True


ASSUMPTIONS = {RANDOM: _random, FITTED: _fitted}

_SMALL = Case(4, 1, 3)


def _example(change: Callable[[Array], Array], apart: bool = False) -> tuple[Case, Taught]:
    keys = change(_keys(_SMALL, np.random.default_rng(0)))
    return _SMALL, train(_SMALL, keys, apart)


def _axes(keys: Array) -> Array:
    return 0 * keys + np.eye(4)[:, :, None]


CONTROLS = (
    Control("keys at right angles", RANDOM, partial(_example, _axes)),
    Control("adapters trained apart", FITTED, partial(_example, lambda keys: keys, apart=True)),
)


THEOREM: Theorem[Case, Taught] = Theorem.of(__name__, noise=_spread)
