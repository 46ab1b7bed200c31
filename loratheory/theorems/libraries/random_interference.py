r"""Random interference: how many unrelated adapters an edit survives beside it, by width.

**Statement.** Adapters merged with coefficients c and turned at random and independently on their
input side overturn margins m over other tokens, on a unit key, with probability at most Σ exp(−n
m²/(2 Σ c²‖a‖²)), summed over these tokens, where a is the difference of two tokens' rows in an
adapter and n the width.

Beside an edit of margin :math:`m_t > 0` over token :math:`t`, merge others with coefficients
:math:`c_j`, each turned at random on its input side: :math:`\Delta_j O_j`, :math:`O_j` independent
and uniform in :math:`O(n)`. On a prompt with unit key :math:`k` they add

.. math::
    \varepsilon = \sum_j c_j \Delta_j O_j k, \qquad \mathbb{E}\,\varepsilon = 0, \qquad
    \mathbb{E}\|\varepsilon\|^2 = \tfrac1n \sum_j c_j^2 \|\Delta_j\|_F^2,

and with :math:`a_{tj} = \Delta_j^\top (e_s - e_t)` the answer :math:`s` loses with probability at
most :math:`\sum_t \exp(-n\,m_t^2 / 2\sum_j c_j^2 \|a_{tj}\|^2)`. Hence it survives the sum with
:math:`K - 1` others of :math:`\|a_{tj}\| \le \sigma` up to a failure :math:`\delta` if :math:`K - 1
< n\,m^2 / (2\sigma^2 \ln (t/\delta))`, :math:`t` the number of other tokens; the mean of all, with
the deficit :math:`m_0` and the margin :math:`m_1` of ``thm:averaging-survival``, if

.. math:: m_1 > (K-1)\,m_0 + \sigma\sqrt{2 (K-1) \ln(t/\delta) / n}.

**Proof.** :math:`u_j = O_j k` is uniform on the sphere, :math:`\mathbb{E}\,u_j = 0` and
:math:`\mathbb{E}\,u_j u_j^\top = 1/n`, which gives the moments. A coordinate of :math:`u` has
:math:`\mathbb{E}\,u_1^{2q} = \frac{(2q-1)!!}{n(n+2)\cdots(n+2q-2)} \le (2q-1)!!\,n^{-q}`, the
moments of :math:`N(0, 1/n)`, and odd ones vanish; so :math:`\mathbb{E}\,e^{\lambda\langle a, u
\rangle} \le e^{\lambda^2\|a\|^2/2n}`. Multiply over :math:`j`, apply Markov's inequality with the
best :math:`\lambda` to :math:`\varepsilon_t - \varepsilon_s \ge m_t`, and add over :math:`t`. The
mean has :math:`m = (m_1 - (K-1)\,m_0)/K` and :math:`c_j = 1/K`. :math:`\square`

**What it tells someone who merges adapters.** Unrelated adapters disturb each other like noise of
variance :math:`1/n`: a sum holds a number of them that is proportional to the width and to the
square of the margin over the adapters' size, while the mean also pays for the deficit.

**What it does not say.** How many a sum cannot hold. Trained adapters share directions: measure
their angles instead (``thm:interference-angle``). The tail is a bound: in wide reads about
:math:`\sqrt{2\pi}\,x` times too large for one token that is x standard deviations away.

References
----------
Moments: Muirhead (1982), section 1.5.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._sampling import SIGMAS, sampled
from loratheory.theorems._theorem import Control, Theorem

SENSE = "upper"
SOURCE = "own"
USES = ("thm:averaging-survival",)
UNSEEN = "a Chernoff bound is never met: thm:sum-capacity is an exact law"

MARGINS = "an edit with a positive margin over each other token"
UNIT = "a key of unit length"
RANDOM = "adapters turned uniformly at random on their input side"
INDEPENDENT = "adapters turned independently of each other"


@dataclass(frozen=True, eq=False)
class Case:
    """Foreign adapters' `rows` that act on the margins of an edit over other tokens.

    ``rows[t, j]`` is adapter j's coefficient times its row of the target minus its row of token t.
    """

    rows: Float[Array, "t k n"]
    margins: Float[Array, " t"]
    trials: int = 600


def energy(adapters: int, rank: int, width: int) -> float:
    """Return the mean energy that foreign adapters add where the own answer has energy 1.

    The adapters, one of them the own, have this rank and all singular values 1.
    """
    return (adapters - 1) * rank / width


def largest_library(
    width: int, margin: int | float, strength: int | float, tokens: int, failure: float
) -> int:
    """Return how many adapters a sum may hold if an edit may fail with probability `failure`."""
    return 1 + math.floor(width * margin**2 / (2 * strength**2 * math.log(tokens / failure)))


def directions(
    rng: np.random.Generator, trials: int, adapters: int, width: int
) -> Float[Array, "trials adapters width"]:
    """Return unit keys after independent random rotations, one for each adapter and trial."""
    free = rng.standard_normal((trials, adapters, width))
    return free / np.linalg.norm(free, axis=-1, keepdims=True)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four other tokens, one to six adapters, and margins near what these add."""
    t, k, n = int(rng.integers(1, 5)), int(rng.integers(1, 7)), int(rng.integers(1, size + 1))
    rows = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((t, k, n))
    spread = np.sqrt((rows**2).sum(axis=(1, 2)) / n)
    return Case(rows, spread * rng.uniform(0.3, 4, t))


def bound(case: Case) -> float:
    """Return Σ_t exp(−n m_t²/(2 Σ_j ‖a_tj‖²)), at most 1; coefficients are in the rows a_tj."""
    xp, n = array_namespace(case.rows), int(case.rows.shape[2])
    spread = xp.sum(case.rows**2, axis=(1, 2)) / n
    silent = spread == 0  # others that say nothing overturn nothing
    tails = xp.exp(-(case.margins**2) / (2 * xp.where(silent, xp.ones_like(spread), spread)))
    return min(1.0, float(xp.sum(xp.where(silent, xp.zeros_like(tails), tails))))


def measure(case: Case, turned: Float[Array, "trials k n"]) -> float:
    """Return the share of trials in which interference reaches the margin over some token."""
    xp, (t, k, n) = array_namespace(turned), case.rows.shape
    flat = xp.reshape(turned, (turned.shape[0], k * n))
    gained = flat @ xp.reshape(case.rows, (t, k * n)).T
    lost = xp.any(gained <= -case.margins[None, :], axis=1)
    return int(xp.count_nonzero(lost)) / int(turned.shape[0])


noise = sampled(bound)


def rival(case: Case, rng: np.random.Generator) -> Float[Array, "trials k n"]:
    """Draw fresh rotations, at times with random signs, which leave them uniform."""
    turned = directions(rng, case.trials, *case.rows.shape[1:])
    return turned if rng.random() < 0.7 else turned * rng.choice([-1.0, 1.0], (case.trials, 1, 1))


def _unit(_: Case, turned: Array) -> bool:
    xp = array_namespace(turned)
    return bool(xp.all(xp.abs(xp.sum(turned**2, axis=-1) - 1) < 1e-9))


def _random(_: Case, turned: Array) -> bool:
    """Whether each adapter's direction has the mean and second moments of a uniform one."""
    xp, (trials, _, n) = array_namespace(turned), turned.shape
    each = xp.permute_dims(turned, (1, 0, 2))
    mean, gram = xp.mean(turned, axis=0), xp.matrix_transpose(each) @ each / trials
    near = float(xp.max(xp.abs(mean))) * math.sqrt(trials * n) <= SIGMAS
    off = float(xp.max(xp.abs(gram - eye(turned, n) / n)))
    return near and off * math.sqrt(trials) * n / 2 <= SIGMAS


def _independent(_: Case, turned: Array) -> bool:
    """Whether the directions of any two adapters are uncorrelated."""
    xp, (trials, k, n) = array_namespace(turned), turned.shape
    inner = xp.mean(turned @ xp.matrix_transpose(turned), axis=0)
    off = inner * (1 - eye(turned, k))
    return float(xp.max(xp.abs(off))) * math.sqrt(trials * n) <= SIGMAS


ASSUMPTIONS = {
    MARGINS: lambda case, _: float(array_namespace(case.margins).min(case.margins)) > 0,
    UNIT: _unit,
    RANDOM: _random,
    INDEPENDENT: _independent,
}


def _example(kind: str) -> tuple[Case, Array]:
    rows = np.zeros((1, 8, 32))
    rows[:, :, 0] = 1.0
    case = Case(rows, np.array([-1.5 if kind == "trails" else 1.5]), 2000)
    turned = directions(np.random.default_rng(0), case.trials, 8, 32)
    return case, {
        "trails": turned,
        "long": 3 * turned,
        "fixed": 0 * turned - np.eye(1, 32),
        "alike": turned[:, :1, :] + 0 * turned,
    }[kind]


CONTROLS = (
    Control("an edit that trails by as much", MARGINS, partial(_example, "trails")),
    Control("a key three times as long", UNIT, partial(_example, "long")),
    Control("adapters that all read the key", RANDOM, partial(_example, "fixed")),
    Control("one random turn for all adapters", INDEPENDENT, partial(_example, "alike")),
)

THEOREM: Theorem[Case, Array] = Theorem.of(__name__)
