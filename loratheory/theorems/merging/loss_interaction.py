r"""Loss interaction: what two updates cost together beyond what each costs alone.

**Statement.** On a loss whose Hessian is ρ-Lipschitz in the spectral norm, the sum of two updates
costs what each costs alone plus their product in the Hessian at the base, up to ρ/2 · ‖Δ₁‖‖Δ₂‖(‖Δ₁‖
+ ‖Δ₂‖) in Frobenius norms; a cubic attains it.

Let :math:`L` be twice differentiable in the weights with :math:`\|H(W) - H(V)\|_2 \le \rho \|W -
V\|`. For updates :math:`\Delta_1, \Delta_2` of the base W, taken as vectors,

.. math::
    \bigl| L(W + \Delta_1 + \Delta_2) - L(W + \Delta_1) - L(W + \Delta_2) + L(W)
    - \Delta_1^\top H(W) \Delta_2 \bigr| \;\le\;
    \tfrac{\rho}{2} \|\Delta_1\| \|\Delta_2\| (\|\Delta_1\| + \|\Delta_2\|).

**Proof.** The mixed difference is :math:`\int_0^1\!\!\int_0^1 \Delta_1^\top H(W + s\Delta_1 +
t\Delta_2)\, \Delta_2 \, ds\, dt`: integrate the derivative along :math:`\Delta_1`, then along
:math:`\Delta_2`. Subtract the same with :math:`H(W)`: the integrand is at most :math:`\rho
\|\Delta_1\| \|\Delta_2\| (s \|\Delta_1\| + t \|\Delta_2\|)`. Equality for :math:`L(W) = \rho
\langle u, W\rangle^3/6` at W = 0 with both updates along the unit vector u, the same way.
:math:`\square`

**What it tells someone who merges adapters.** On one loss two adapters cost together what they cost
one by one, to second order, if they are orthogonal *in the Hessian* of the base; that needs its
inputs, and is not the inner product of the weights. What one adapter alone does to the other's task
is no matter of the merge. With coefficients c₁, c₂ the product in the Hessian is c₁c₂ times as
large.

**What it does not say.** Losses of trained networks are smooth along small updates only; ρ is not
known, but the four losses are, and the difference is the merge's true cost.

References
----------
Task arithmetic in the tangent space: Ortiz-Jimenez et al., arXiv 2305.12827.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "upper"
SOURCE = "own; Taylor's formula"

SMOOTH = "a loss whose Hessian has the stated Lipschitz constant"
NORMS = "updates of the stated norms"


@dataclass(frozen=True)
class Case:
    """Lipschitz constant of the Hessian, norms of the two updates, and number of weights."""

    rough: float
    sizes: tuple[float, float]
    weights: int


# value, second derivative, and the Lipschitz constant of the latter, of functions of one number
Shape = tuple[Callable[[float], float], Callable[[float], float], float]

SHAPES: dict[str, Shape] = {
    "cubic": (lambda t: t**3 / 6, lambda t: t, 1.0),
    "square": (lambda t: t**2 / 2, lambda _: 1.0, 0.0),
    "sine": (lambda t: float(np.sin(t)), lambda t: -float(np.sin(t)), 1.0),
    "softplus": (
        lambda t: float(np.logaddexp(0, t)),
        lambda t: float(1 / (2 + np.exp(t) + np.exp(-t))),
        1 / (6 * 3**0.5),
    ),
}


@dataclass(frozen=True, eq=False)
class Loss:
    """Mean over unit `rows` of ``height * shape(row . weights)``, with a base and two updates."""

    shape: str
    rows: Float[Array, "s n"]
    height: float
    base: Float[Array, " n"]
    updates: tuple[Float[Array, " n"], Float[Array, " n"]]

    def at(self, *updates: Float[Array, " n"]) -> float:
        """Return the loss with these updates added to the base."""
        reads = self.rows @ sum(updates, self.base)
        value = SHAPES[self.shape][0]
        return self.height * sum(value(float(t)) for t in reads) / int(self.rows.shape[0])

    @property
    def product(self) -> float:
        """Δ₁ᵀ H Δ₂, the Hessian H at the base applied to the two updates."""
        bends = [SHAPES[self.shape][1](float(t)) for t in self.rows @ self.base]
        pairs = zip(*(self.rows @ update for update in self.updates), strict=True)
        products = [bend * float(a) * float(b) for bend, (a, b) in zip(bends, pairs, strict=True)]
        return self.height * sum(products) / len(products)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a Lipschitz constant of any size, two norms from 0.1 to 3.2, and a number of weights."""
    sizes = 10.0 ** rng.uniform(-1, 0.5, 2)
    return Case(
        10.0 ** int(rng.integers(-6, 7)),
        (float(sizes[0]), float(sizes[1])),
        int(rng.integers(1, size + 1)),
    )


def bound(case: Case) -> float:
    """Return ρ/2 · ‖Δ₁‖‖Δ₂‖(‖Δ₁‖ + ‖Δ₂‖), ρ being `rough` and the norms `sizes`."""
    one, two = case.sizes
    return case.rough / 2 * one * two * (one + two)


def measure(_: Case, loss: Loss) -> float:
    """Return the left side of the inequality: the updates' interaction less Δ₁ᵀHΔ₂, in size.

    The interaction is what both updates cost beyond the sum of their costs, from four losses.
    """
    one, two = loss.updates
    mixed = loss.at(one, two) - loss.at(one) - loss.at(two) + loss.at()
    return abs(mixed - loss.product)


def _along(case: Case, rows: Float[Array, "s n"], shape: str, rng: np.random.Generator) -> Loss:
    free = rng.standard_normal((3, case.weights))
    one, two = (s * v / np.linalg.norm(v) for s, v in zip(case.sizes, free[:2], strict=True))
    lipschitz = SHAPES[shape][2]
    return Loss(shape, rows, case.rough / max(lipschitz, 0.1), free[2] / 3, (one, two))


def attain(case: Case) -> Loss:
    """Return the loss ρ⟨u, W⟩³/6 at the base W = 0, with both updates along u."""
    axis = np.eye(case.weights)[0]
    one, two = (size * axis for size in case.sizes)
    return Loss("cubic", axis[None, :], case.rough, 0 * axis, (one, two))


def rival(case: Case, rng: np.random.Generator) -> Loss:
    """Return a loss of any shape along random rows, or the best cubic with perturbed updates."""
    if rng.random() < 0.3:
        best, turn = attain(case), 10.0 ** int(rng.integers(-8, 1))
        moved = [u + turn * rng.standard_normal(u.shape) for u in best.updates]
        one, two = (s * u / np.linalg.norm(u) for s, u in zip(case.sizes, moved, strict=True))
        return replace(best, updates=(one, two))
    rows = rng.standard_normal((int(rng.integers(1, 5)), case.weights))
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return _along(case, rows, list(SHAPES)[int(rng.integers(len(SHAPES)))], rng)


def adversary(case: Case, rng: np.random.Generator) -> Loss:
    """Return the sine loss, base and updates with the worst remainder in a random search."""
    rows = rng.standard_normal((1, case.weights))
    best = _along(case, rows / np.linalg.norm(rows), "sine", rng)
    for step in range(300):
        turn = 0.5 / (1 + step / 30)
        moved = [u + turn * rng.standard_normal(u.shape) for u in best.updates]
        one, two = (s * u / np.linalg.norm(u) for s, u in zip(case.sizes, moved, strict=True))
        base = best.base + turn * rng.standard_normal(best.base.shape)
        other = replace(best, updates=(one, two), base=base)
        best = max(best, other, key=lambda loss: measure(case, loss))
    return best


def _smooth(case: Case, loss: Loss) -> bool:
    xp = array_namespace(loss.rows)
    longest = float(xp.max(xp.linalg.vector_norm(loss.rows, axis=1)))
    rough = abs(loss.height) * SHAPES[loss.shape][2] * longest**3
    return rough <= (1 + SAFETY) * case.rough


def _norms(case: Case, loss: Loss) -> bool:
    pairs = zip(loss.updates, case.sizes, strict=True)
    return all(norm(update) <= (1 + SAFETY) * size for update, size in pairs)


ASSUMPTIONS = {SMOOTH: _smooth, NORMS: _norms}


def _rougher() -> tuple[Case, Loss]:
    case = Case(1.0, (1.0, 2.0), 2)
    return case, replace(attain(case), height=1.1)


def _longer() -> tuple[Case, Loss]:
    case = Case(1.0, (1.0, 2.0), 2)
    return case, attain(replace(case, sizes=(1.1, 2.0)))


CONTROLS = (
    Control("a loss that bends a tenth faster", SMOOTH, _rougher),
    Control("an update a tenth longer", NORMS, _longer),
)

THEOREM: Theorem[Case, Loss] = Theorem.of(
    __name__,
    # the losses that are subtracted
    scale=lambda case: case.rough * (1 + sum(case.sizes)) ** 3,
)
