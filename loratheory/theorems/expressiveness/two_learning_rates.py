r"""Two learning rates: what each factor of an adapter contributes under steps of fixed size.

**Statement.** Under t sign steps in one direction, from an up factor of zero and on an input that
no row a_k of down is orthogonal to, an adapter's output moves by t eta_B sum_k (|a_k.x| + (t-1)
eta_A |x|_1).

Train :math:`f = B A x`, :math:`B = 0` at first, with sign steps (Adam without memory) of rates
:math:`\eta_B, \eta_A` on an input :math:`x \in \mathbb{R}^n`, while the loss slopes in one
direction in :math:`f`. With rows :math:`a_k`, none orthogonal to :math:`x`, the output has after
:math:`t` steps moved by

.. math::
    t\, \eta_B \sum_{k \le r} \bigl( |a_k^\top x| + (t - 1)\, \eta_A \|x\|_1 \bigr).

With entries of :math:`x` of size one and :math:`A` of :math:`1/\sqrt n`, :math:`|a_k^\top x|` is of
order one and :math:`\|x\|_1` of order :math:`n`: both parts are of order one in a large width iff
:math:`\eta_B` is and :math:`\eta_A` is of order :math:`1/n`. The ratio :math:`n` alone is not
enough: at :math:`1/n` and :math:`1/n^2` both parts vanish.

**Proof.** Let the loss fall with :math:`f` growing. The gradient by :math:`b_k` has the sign of
:math:`-a_k^\top x`, that by :math:`A_{ki}` that of :math:`-b_k x_i`, zero at first. After the first
step :math:`b_k` has the sign of :math:`a_k^\top x`, and every later step of row :math:`k` adds
:math:`\eta_A \operatorname{sign}(a_k^\top x) \operatorname{sign}(x)`, which makes
:math:`|a_k^\top x|` larger by :math:`\eta_A \|x\|_1`, its sign unchanged; so :math:`b_k` never
turns and is :math:`t\, \eta_B` large, while :math:`A` has moved :math:`t - 1` times.
:math:`\square`

**What it does not say.** One input and one output; a loss that turns ends the law. Plain gradient
steps scale differently. The published rule is asymptotic; this is its exact toy.

**What it tells someone who merges adapters.** How far the factors of two adapters drift apart, and
with it what averaging their factors loses (``thm:factor-mean-residual``), is set by the two rates
as well as by rank and data.

References
----------
Hayou, Ghosh and Yu (2024), arXiv:2402.12354.
"""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._theorem import Control, Theorem

SENSE = "equal"
SOURCE = "own; after Hayou et al. (2024)"

SIGN = "steps of fixed size, by the gradient's sign"
SLOPE = "a loss that slopes in one direction"
ZERO = "an up factor that starts at zero"
SEEN = "no row orthogonal to the input"


@dataclass(frozen=True, eq=False)
class Case:
    """Start `down` (r, n) of the trained factor, input (n,), both rates and number of steps."""

    down: Array
    query: Array
    up_rate: float
    down_rate: float
    steps: int


@dataclass(frozen=True, eq=False)
class Training:
    """Slope of the loss at each step, power of the gradient in a step (0: sign), first `up`."""

    slopes: tuple[float, ...]
    power: float
    start: Array


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw rates from 1e-4 to 10, up to eight steps, and inputs of any size with some zeros."""
    n, r = int(rng.integers(1, size + 1)), int(rng.integers(1, min(size, 8) + 1))
    query = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal(n)
    query[1:] *= rng.random(n - 1) < 0.8
    rates = 10.0 ** rng.uniform(-4, 1, 2)
    down = rng.standard_normal((r, n)) / n**0.5
    return Case(down, query, float(rates[0]), float(rates[1]), int(rng.integers(0, 9)))


def bound(case: Case) -> float:
    """Return t η_B Σ_k (|a_k·x| + (t − 1) η_A ‖x‖₁), how far the output moves."""
    xp, rows = array_namespace(case.query), case.down.shape[0]
    start = float(xp.sum(xp.abs(case.down @ case.query)))
    grown = rows * (case.steps - 1) * case.down_rate * float(xp.sum(xp.abs(case.query)))
    return case.steps * case.up_rate * (start + grown)


def attain(case: Case) -> Training:
    """Return a training whose loss has slope -1 at every step."""
    return Training((-1.0,) * case.steps, 0.0, case.down[:, 0] * 0.0)


def measure(case: Case, training: Training) -> float:
    """Return how far the output B A x moves when both factors take the training's steps."""
    xp = array_namespace(case.query)
    up, down, query = training.start, case.down, case.query
    before = xp.sum(up * (down @ query))
    for slope in training.slopes:
        by_up, by_down = slope * (down @ query), slope * up[:, None] * query[None, :]
        # Power 0 is a sign step, power 1 a gradient step: what the controls change.
        steps = [xp.sign(g) * xp.abs(g) ** training.power for g in (by_up, by_down)]
        up, down = up - case.up_rate * steps[0], down - case.down_rate * steps[1]
    return abs(float(xp.sum(up * (down @ query)) - before))


def rival(case: Case, rng: np.random.Generator) -> Training:
    """Return a training whose slopes have one sign and any sizes."""
    sign = float(rng.choice([-1.0, 1.0]))
    sizes = sign * 10.0 ** rng.uniform(-6, 6, case.steps)
    return Training(tuple(sizes.tolist()), 0.0, np.zeros(len(case.down)))


def _one_way(case: Case, training: Training) -> bool:
    slopes = training.slopes
    same = all(s > 0 for s in slopes) or all(s < 0 for s in slopes)
    return same and len(slopes) == case.steps


ASSUMPTIONS = {
    SIGN: lambda _, training: training.power == 0,
    SLOPE: _one_way,
    ZERO: lambda _, training: not bool(array_namespace(training.start).any(training.start != 0)),
    SEEN: lambda case, _: bool(array_namespace(case.down).all(case.down @ case.query != 0)),
}


def _example(
    last: float = -1.0, power: float = 0.0, start: float = 0.0, row: float = 0.5
) -> tuple[Case, Training]:
    case = Case(np.array([[row, 1.0]]), np.array([1.0, -2.0]), 1.0, 0.1, steps=3)
    return case, Training((-1.0, -1.0, last), power, np.array([start]))


CONTROLS = (
    Control("steps as large as the gradient", SIGN, lambda: _example(power=1.0)),
    Control("the loss turns", SLOPE, lambda: _example(last=1.0)),
    Control("an up factor of the other sign", ZERO, lambda: _example(start=3.0)),
    Control("a row that does not see the input", SEEN, lambda: _example(row=2.0)),
)

THEOREM: Theorem[Case, Training] = Theorem.of(
    __name__,
    scale=lambda case: bound(replace(case, steps=2 * case.steps)),
)
