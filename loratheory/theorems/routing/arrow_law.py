r"""Arrow's law: how often a router that keeps one direction per adapter finds an adapter's facts.

**Statement.** If the keys of E adapters are independent random directions and the answers of each
orthonormal, Arrow, which scores by each adapter's top right singular vector, finds a key of
relative strength s with a probability that tends, as the width grows, to P(|g₀| > (1 − s²) max
|g_e|), over E − 1 foreign g_e, all standard normal: 1/E as s → 0, 1 as s → 1.

Adapter e is :math:`\sum_i s_i y_i k_i^\top` with orthonormal answers :math:`y_i`, keys :math:`k_i`
uniform on the unit sphere of dimension n, and :math:`1 = s_1 > s_2, \dots`; Arrow sends a query q
to the adapter whose top right singular vector :math:`v_e` has the largest :math:`|\langle v_e,
q\rangle|`. For the query :math:`k_i`, :math:`s = s_i < 1`,

.. math::
    \Pr(\text{right}) \;\to\; \int_0^\infty 2\varphi(z)
    \Bigl(2\Phi\bigl(\tfrac{z}{1-s^2}\bigr) - 1\Bigr)^{E-1} dz \qquad (n \to \infty),

and to 1 for the top key itself.

**Proof.** The right singular vectors are eigenvectors of :math:`\sum_i s_i^2 k_i k_i^\top`. Let
:math:`\gamma_i = \langle k_1, k_i\rangle = O(n^{-1/2})`. To first order in them :math:`v = k_1 +
\sum_{i>1} a_i k_i`, whose component along :math:`k_i` has to satisfy :math:`s_i^2 (\gamma_i + a_i)
= a_i`: so :math:`\langle v, k_i\rangle = \gamma_i + a_i = \gamma_i/(1 - s_i^2) + O(1/n)`. A foreign
:math:`v_e` is independent of :math:`k_i`, so :math:`\sqrt n \langle v_e, k_i\rangle` and
:math:`\sqrt n \gamma_i` tend to independent standard normals: n cancels, and the events converge,
since ties have probability 0. The top key scores :math:`1 - O(1/n)` at its own adapter.
:math:`\square`

**What it tells someone who merges adapters.** Arrow finds the fact that an adapter holds most
strongly, and others the less often the weaker they are: among four adapters (chance .25) one of
half that strength in .36 of cases, of nine tenths in .80. It is the singular values beside the
first that decide, and they are in the file: no data are needed to know whether Arrow can route a
library.

**What it does not say.** If two strengths agree within :math:`n^{-1/2}` the first order is not
enough. Keys that are exactly orthogonal within an adapter score 0 there: ``thm:arrow-blind-spot``.

References
----------
Arrow: Ostapenko et al., arXiv 2405.11157.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, is_orthonormal
from loratheory.theorems._sampling import SIGMAS, frequency_room
from loratheory.theorems._theorem import Control, Theorem

SENSE = "equal"
SOURCE = "own"
UNSEEN = "a tenth of the exponent moves an accuracy by at most .04, sampling and width by .06"

KEYS = "keys in independent random directions"
ANSWERS = "orthonormal answers"


@dataclass(frozen=True)
class Case:
    """How many adapters hold facts of these strengths (the first is 1) at keys of this width.

    `trials` is how many libraries are drawn.
    """

    adapters: int
    strengths: tuple[float, ...]
    width: int = 128
    trials: int = 800


@dataclass(frozen=True, eq=False)
class Libraries:
    """Unit keys (trials, E, N, n) and the answers (m, N) that every adapter writes."""

    keys: Float[Array, "t e f n"]
    answers: Float[Array, "m f"]


def accuracy(adapters: int, strength: float) -> float:
    """Return the statement's limit: how often Arrow finds the adapter of a key of strength s.

    `adapters` is E, and `strength` is s, relative to the strongest key of its adapter.
    """
    if strength >= 1:
        return 1.0

    def _density(z: float) -> float:
        own = 2 * float(np.exp(-(z**2) / 2)) / (2 * np.pi) ** 0.5
        return own * (2 * float(ndtr(z / (1 - strength**2))) - 1) ** (adapters - 1)

    return float(quad(_density, 0, 10, limit=200)[0])


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two to five adapters of one to three facts, of strength 0.1 to 0.8 beside the first."""
    facts = int(rng.integers(0, 3))
    strengths = np.sort(rng.uniform(0.1, 0.8, facts))[::-1]
    return Case(int(rng.integers(2, min(size, 5) + 1)), (1.0, *strengths.tolist()))


def bound(case: Case) -> float:
    """Return the statement's limit, averaged over the strengths of an adapter's keys."""
    return float(np.mean([accuracy(case.adapters, s) for s in case.strengths]))


def measure(case: Case, libraries: Libraries) -> float:
    """Return the share of all keys at which Arrow scores the key's own adapter highest."""
    keys, answers = libraries.keys, libraries.answers
    xp, transposed = array_namespace(keys), array_namespace(keys).matrix_transpose
    rows = (answers * beside(keys, case.strengths)[None, :]) @ keys
    # eigenvectors of the small side: the top right singular vector, up to its length
    top = rows @ transposed(rows)
    lefts = xp.linalg.eigh(top).eigenvectors[..., -1:]
    right = (transposed(rows) @ lefts)[..., 0]
    right = right / xp.linalg.vector_norm(right, axis=-1, keepdims=True)
    t, e, f, n = keys.shape
    scores = xp.abs(xp.reshape(keys, (t, e * f, n)) @ transposed(right))
    owners = xp.asarray(np.repeat(np.arange(e), f), device=keys.device)
    hits = xp.argmax(scores, axis=2) == owners[None, :]
    return int(xp.count_nonzero(hits)) / (t * e * f)


def noise(case: Case) -> float:
    """Return how far sampling and the finite width may move the measured share from the limit."""
    return frequency_room(bound(case), case.trials * case.adapters) + 2 / case.width


def rival(case: Case, rng: np.random.Generator) -> Libraries:
    """Draw fresh keys, and orthonormal answers in random directions."""
    facts = len(case.strengths)
    keys = rng.standard_normal((case.trials, case.adapters, facts, case.width))
    keys = keys / np.linalg.norm(keys, axis=-1, keepdims=True)
    return Libraries(keys, np.linalg.qr(rng.standard_normal((facts + 1, facts)))[0])


def _random_keys(_: Case, libraries: Libraries) -> bool:
    # Squared cosines between keys, in the mean 1/n with a standard deviation of √2/n.
    keys, xp = libraries.keys, array_namespace(libraries.keys)
    t, e, f, n = keys.shape
    joined = xp.reshape(keys, (t, e * f, n))
    pairs = t * e * f * (e * f - 1)
    squares = float(xp.sum((joined @ xp.matrix_transpose(joined)) ** 2)) - t * e * f
    own = float(xp.sum((keys @ xp.matrix_transpose(keys)) ** 2)) - t * e * f
    within = abs(n * own - (inner := t * e * f * (f - 1))) <= SIGMAS * 2 * inner**0.5
    return within and abs(n * squares - pairs) <= SIGMAS * 2 * pairs**0.5


ASSUMPTIONS = {
    KEYS: _random_keys,
    ANSWERS: lambda _, libraries: is_orthonormal(libraries.answers),
}


def _example(orthogonal: bool = False, alike: bool = False) -> tuple[Case, Libraries]:
    case, rng = Case(4, (1.0, 0.7), width=64), np.random.default_rng(0)
    fine = rival(case, rng)
    keys = np.swapaxes(np.linalg.qr(np.swapaxes(fine.keys, -1, -2))[0], -1, -2)
    answers = np.array([[1.0, 0.8], [0.0, 0.6]]) if alike else fine.answers
    return case, Libraries(keys if orthogonal else fine.keys, answers)


CONTROLS = (
    Control("keys at right angles within an adapter", KEYS, partial(_example, orthogonal=True)),
    Control("two facts with answers alike", ANSWERS, partial(_example, alike=True)),
)

THEOREM: Theorem[Case, Libraries] = Theorem.of(__name__)
