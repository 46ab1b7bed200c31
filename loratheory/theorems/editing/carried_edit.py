r"""Carried edit: how much of an adapter's answers survives on a base that has changed since.

**Statement.** An edit that leads over every other token keeps its answer on a changed base as long
as the change moves the state at its key by less than the least, over the other tokens, of the
margin divided by the distance of the two output vectors; some change of rank 1 that moves it so far
makes another token as likely.

The edited base reads :math:`x = (W + \Delta) k` and answers by the largest of :math:`\langle u_j, x
\rangle`, that of t, with the margins :math:`m_j = \langle u_t - u_j, x \rangle > 0`. Let the base
become W + E. The radius of the edit is

.. math:: \rho = \min_{j \ne t} \frac{m_j}{\|u_t - u_j\|}, \qquad
    \|E k\| < \rho \;\Rightarrow\; \text{the answer stays t},

and some E of rank 1 with :math:`\|E k\| = \rho` makes another token as likely.

**Proof.** The margin over j becomes :math:`m_j + \langle u_t - u_j, E k \rangle \ge m_j - \|u_t -
u_j\| \|E k\|`. For the j of the minimum let :math:`E = -\rho\, \frac{u_t - u_j}{\|u_t - u_j\|}
\frac{k^\top}{\|k\|^2}`. :math:`\square`

**What it tells someone who merges adapters.** What vouches for an adapter on a newer base are its
margins over the distances of output vectors, not its size or rank: an edit whose state the new base
moves by less than this radius keeps its answer. Where a mean of adapters has smaller margins than
each alone, it survives smaller changes.

**What it does not say.** Where earlier layers have changed too, the key moves, and :math:`E k` is
all that the state moves by, :math:`(W + E + \Delta) k' - (W + \Delta) k`: there the adapter counts.
A change in a random direction is mostly far from the worst one. How training on the old base could
make adapters last is another question (Trans-PEFT).

References
----------
Distances to a linear classifier's border are textbook. Adapters on updated bases: Trans-PEFT, arXiv
2506.06844.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.optimize import minimize

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian
from loratheory.shapes import Float
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; elementary"

OVERTURNED = "a change of the base after which another token is as likely"


@dataclass(frozen=True, eq=False)
class Case:
    """Output vectors of the tokens, the edited base's weight, and the key of the edit."""

    outputs: Float[Array, "v d"]
    weight: Float[Array, "d n"]
    key: Float[Array, " n"]

    @cached_property
    def state(self) -> Float[Array, " d"]:
        """State (d,) of the edited base at the key: ``weight @ key``."""
        return self.weight @ self.key

    @cached_property
    def rivals(self) -> list[tuple[float, Array]]:
        """The pair ``(m_j, u_t - u_j)`` of the statement for each token j but the top one, t."""
        logits, pairs = self.outputs @ self.state, []
        top = int(array_namespace(logits).argmax(logits))
        for j in range(logits.shape[0]):
            # the answer itself is no competitor
            if j != top:
                gap = self.outputs[top, :] - self.outputs[j, :]
                pairs.append((float(logits[top] - logits[j]), gap))
        return pairs


def _nearest(rivals: list[tuple[float, Array]]) -> tuple[float, Array]:
    """Return the radius and the shortest step of the state that makes another token as likely."""
    ways = ((margin / norm(gap), gap) for margin, gap in rivals)
    # the nearest border of the answer's cell decides
    radius, along = min(ways, key=lambda pair: pair[0])
    return radius, -radius * along / norm(along)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw any numbers of tokens and widths; outputs and weight have sizes from 1e-6 to 1e6."""
    v, (d, n) = int(rng.integers(2, size + 2)), rng.integers(1, size + 1, 2).tolist()
    outputs = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((v, d))
    weight = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((d, n))
    return Case(outputs, weight, rng.standard_normal(n))


def bound(case: Case) -> float:
    """Return the radius ρ: the least of the margins m_j, each over the distance ‖u_t − u_j‖."""
    return _nearest(case.rivals)[0]


def attain(case: Case) -> LowRank:
    """Return the change of rank 1 that moves the state the shortest way until two tokens tie."""
    _, step = _nearest(case.rivals)
    # rank 1 is enough: the change acts on the key alone
    return LowRank(step[:, None], case.key[None, :] / norm(case.key) ** 2)


def measure(case: Case, change: LowRank) -> float:
    """Return ‖E k‖, how far the change E of the base moves the state at the case's key k."""
    return norm(change @ case.key)


def scale(case: Case) -> float:
    """Return a bound of the logits over the least ‖u_t − u_j‖, the unit of rounding errors."""
    return norm(case.outputs) * norm(case.state) / min(norm(gap) for _, gap in case.rivals)


def _as_far_as_needed(case: Case, change: LowRank) -> LowRank:
    """Return the smallest multiple of `change`, of either sign, that overturns the answer."""
    moved = change @ case.key
    # along a line each competitor ties at one multiple
    times = [m / -float(gap @ moved) for m, gap in case.rivals if abs(float(gap @ moved)) > 0]
    return change * min(times, key=abs) * (1 + 1e-15) if times else attain(case)


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a random or a nearly best change, scaled until it just overturns the answer."""
    (d, n), best = case.weight.shape, attain(case)
    if rng.random() < 0.5:
        return _as_far_as_needed(case, gaussian(rng, d, n, min(d, n)))
    # next to the best a wrong constant shows first
    size = 10.0 ** int(rng.integers(-8, 1)) * best.norm / (d * n) ** 0.5
    return _as_far_as_needed(case, best + gaussian(rng, d, n, 1, size))


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return the shortest change with which SLSQP, an optimiser, makes some other token tie."""
    changes, unit = [], bound(case) or 1.0
    for margin, gap in case.rivals:
        steep = gap * unit / (margin or 1.0)
        # one linear constraint for each competitor: SLSQP knows no geometry
        border = {"type": "eq", "fun": lambda e, steep=steep: float(steep @ e) + 1}
        start = rng.standard_normal(len(gap))
        found = minimize(lambda e: float(e @ e), start, constraints=border, method="SLSQP").x
        change = LowRank(unit * found[:, None], case.key[None, :] / float(case.key @ case.key))
        changes.append(_as_far_as_needed(case, change))
    return min(changes, key=partial(measure, case))


def _overturned(case: Case, change: LowRank) -> bool:
    moved, room = change @ case.key, SAFETY * scale(case)
    return any(m + float(gap @ moved) <= room * norm(gap) for m, gap in case.rivals)


ASSUMPTIONS = {OVERTURNED: _overturned}


def _halfway() -> tuple[Case, LowRank]:
    case = Case(np.eye(2), np.diag([3.0, 1.0]), np.ones(2))
    return case, attain(case) / 2


CONTROLS = (Control("half of the way", OVERTURNED, _halfway),)


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
