r"""ReLU budget: the depth budget carried to a ReLU network by its biases.

**Statement.** On a ball, some updates of rank at most R and biases of an L-layer ReLU network of
invertible weights match any target ReLU layer up to the (RL+1)st singular value of what was
missing, times the radius.

Let :math:`W_1, \dots, W_L \in \mathbb{R}^{D \times D}` be frozen, invertible, in the network
:math:`h_l = \mathrm{ReLU}(W_l h_{l-1} + b_l)` with trainable biases, :math:`E = T - W_L \cdots
W_1`, and :math:`\bar f(x) = \mathrm{ReLU}(T x + t)` a target layer. For every :math:`t` and radius
:math:`\rho` some updates of rank at most :math:`R`, free of :math:`t`, and some biases give

.. math:: \|f(x) - \bar f(x)\| \;\le\; \sigma_{RL+1}(E)\, \|x\| \;\le\; \sigma_{RL+1}(E)\, \rho
    \qquad (\|x\| \le \rho),

so :math:`f = \bar f` on the ball if :math:`RL \ge \operatorname{rank} E`. Some :math:`t` and
:math:`x` attain it; among networks all of whose units are active then, no updates of rank :math:`R`
do better.

**Proof.** Take the updates of ``thm:depth-budget``: their product :math:`P_L` misses :math:`T` by
:math:`\sigma_{RL+1}(E)` in spectral norm. With :math:`c_l` the row norms of :math:`P_l` times
:math:`\rho` for :math:`l < L`, :math:`c_L = t` and :math:`b_l = c_l - (W_l + \Delta_l) c_{l-1}`,
the :math:`l`-th ReLU gets :math:`P_l x + c_l`, which is not negative on the ball before the last
layer, so :math:`f(x) = \mathrm{ReLU}(P_L x + t)`. ReLU is 1-Lipschitz: :math:`\|f(x) - \bar f(x)\|
\le \|(P_L - T) x\|`, with equality where :math:`t` keeps all outputs active, so for the leading
singular direction. An active network is affine, its errors at :math:`x` and :math:`-x` differ by
:math:`2 (P_L - T) x`, and ``thm:depth-budget`` bounds the larger one. :math:`\square`

**What it does not say.** Nothing is necessary for one given target: a ReLU that cuts may help. Off
the ball it fails (a control). *Deeper targets:* split the layers into groups, one a target layer,
each with its own radius: exact if each group pays for its :math:`\operatorname{rank} E_i`, with
equal groups from :math:`R = \lceil \max_i \operatorname{rank} E_i / \lfloor L / \bar L \rfloor
\rceil` on.

**What it tells someone who merges adapters.** Where biases keep units active on a ball, before and
after a merge, the network is linear there, and merges of its updates obey what linear networks obey
(``thm:depth-budget``).

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).
"""

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.expressiveness import depth_budget

SENSE = "upper"
SOURCE = "Zeng and Lee (2024); any invertible weights, sharp constant: own"
USES = ("thm:depth-budget",)

FITTED = "updates that bring the product as near to the target as the depth budget allows"
ACTIVE = "biases that keep hidden units active on the ball and leave the target's bias at the end"
DOMAIN = "an input within the radius"


def partial_products(layers: list[Array]) -> list[Array]:
    """Return for each layer the product of all layers up to it, first layer first."""
    return list(accumulate(layers, lambda product, layer: layer @ product))


def row_norms(matrix: Float[Array, "m n"]) -> Float[Array, " m"]:
    """Return the norm of each row: the largest value that this unit takes on the unit ball."""
    return array_namespace(matrix).linalg.vector_norm(matrix, axis=1)


def opening_biases(
    layers: list[Array], radius: int | float, offset: Float[Array, " d"]
) -> tuple[Array, ...]:
    """Return biases that keep all hidden units active on the ball of this radius.

    The `l`-th ReLU then gets ``P_l x + c_l``, ``P_l`` being the product of `l` layers and ``c_l``
    the norms of its rows times the radius, which no entry of ``P_l x`` exceeds on the ball. The
    last layer gets ``c_L = offset``.
    """
    reach = [radius * row_norms(product) for product in partial_products(layers)[:-1]]
    levels = pairwise([0 * offset, *reach, offset])
    return tuple(
        after - layer @ before for layer, (before, after) in zip(layers, levels, strict=True)
    )


def spare_room(
    layers: list[Array], biases: tuple[Array, ...], radius: int | float, offset: Float[Array, " d"]
) -> float:
    """Return the least value that a hidden unit takes on the ball; below 0 if one may be cut.

    If the last layer's constant misses `offset` by e, the result is at most -e.
    """
    xp, level, spare = array_namespace(offset), 0 * offset, []
    for layer, bias, product in zip(layers, biases, partial_products(layers), strict=True):
        level = layer @ level + bias
        spare.append(float(xp.min(level - radius * row_norms(product))))
    return min([-float(xp.max(xp.abs(level - offset))), *spare[:-1]])


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen layers with a target weight and a rank, and the radius of the ball of inputs."""

    network: depth_budget.Case
    radius: float

    def layers(self, updates: tuple[LowRank, ...]) -> list[Array]:
        """Return the frozen layers with updates added, first layer first."""
        return [w + low.dense() for w, low in zip(self.network.weights, updates, strict=True)]


@dataclass(frozen=True, eq=False)
class Trial:
    """Updates and biases of the network, bias of the target, and an input to compare both at."""

    updates: tuple[LowRank, ...]
    biases: tuple[Float[Array, " d"], ...]
    offset: Float[Array, " d"]
    input: Float[Array, " d"]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a network as `depth_budget.draw` does, and a radius from 1e-3 to 1e3."""
    return Case(depth_budget.draw(rng, size), 10.0 ** int(rng.integers(-3, 4)))


def bound(case: Case) -> float:
    """Return σ_{RL+1}(E) ρ, the bound of `depth_budget` times the case's radius."""
    return case.radius * depth_budget.bound(case.network)


def attain(case: Case) -> Trial:
    """Return the best updates, biases that keep all ReLUs active, and the input that errs most."""
    updates, target = depth_budget.attain(case.network), case.network.target
    product = partial_products(layers := case.layers(updates))[-1]
    offset = case.radius * (row_norms(product) + row_norms(target))
    worst = case.radius * array_namespace(target).linalg.svd(product - target)[2][0, :]
    return Trial(updates, opening_biases(layers, case.radius, offset), offset, worst)


def measure(case: Case, trial: Trial) -> float:
    """Return ‖f(x) − f̄(x)‖ at the trial's input x: adapted network against target layer."""
    xp, hidden = array_namespace(trial.input), trial.input
    for layer, bias in zip(case.layers(trial.updates), trial.biases, strict=True):
        hidden = xp.clip(layer @ hidden + bias, min=0)
    wanted = xp.clip(case.network.target @ trial.input + trial.offset, min=0)
    return norm(hidden - wanted)


def scale(case: Case) -> float:
    """Return a bound of the outputs' norms on the ball, the unit of rounding errors."""
    return 8 * case.radius * depth_budget.scale(case.network)


def condition(case: Case) -> float:
    """Return by how much the construction of `depth_budget` amplifies rounding errors."""
    return depth_budget.condition(case.network)


def rival(case: Case, rng: np.random.Generator) -> Trial:
    """Return the best updates with another bias of the target, input and hidden biases."""
    best, d = attain(case), len(case.network.target)
    offset = float(rng.choice([0.0, 0.1, 1.0])) * rng.standard_normal(d) * np.max(best.offset)
    offset = offset if rng.random() < 0.7 else best.offset
    toward = best.input / case.radius + 10.0 ** int(rng.integers(-12, 3)) * rng.standard_normal(d)
    size = case.radius * float(rng.choice([1.0, rng.random()])) / np.linalg.norm(toward)
    biases = opening_biases(case.layers(best.updates), case.radius * (1 + rng.random()), offset)
    return Trial(best.updates, biases, offset, size * toward)


def adversary(case: Case, rng: np.random.Generator) -> Trial:
    """Return a trial with the input that errs most in a random search over the sphere."""
    worst, step = rival(case, rng), 1.0
    for _ in range(40):
        toward = worst.input / case.radius + step * rng.standard_normal(len(worst.input))
        tried = replace(worst, input=case.radius * toward / np.linalg.norm(toward))
        better = measure(case, tried) > measure(case, worst)
        worst, step = (tried, step * 1.5) if better else (worst, step / 1.2)
    return worst


def _room(case: Case) -> float:
    return SAFETY * condition(case) * scale(case)


def _fitted(case: Case, trial: Trial) -> bool:
    error = partial_products(case.layers(trial.updates))[-1] - case.network.target
    gap = float(array_namespace(error).linalg.svdvals(error)[0])
    return case.radius * gap <= bound(case) + _room(case)


def _active(case: Case, trial: Trial) -> bool:
    layers = case.layers(trial.updates)
    return spare_room(layers, trial.biases, case.radius, trial.offset) >= -_room(case)


ASSUMPTIONS = {
    FITTED: _fitted,
    ACTIVE: _active,
    DOMAIN: lambda case, trial: norm(trial.input) <= case.radius * (1 + 1e-12),
}

_ONE, _TOP = np.eye(2), np.array([9.0, 9.0])
_NONE, _FIRST = LowRank(_ONE[:, :0], _ONE[:0]), LowRank(_ONE[:, :1], _ONE[:1])
_CASE = Case(depth_budget.Case((_ONE, _ONE), np.diag([3.0, 1.0]), rank=1), radius=1.0)
_DEAD = Case(depth_budget.Case((0 * _ONE, _ONE), np.diag([3.0, 2.0]), rank=1), radius=1.0)


def _trial(case: Case, updates: tuple[LowRank, ...], x: Array) -> Trial:
    return Trial(updates, opening_biases(case.layers(updates), 1, _TOP), _TOP, x)


_TRIAL = _trial(_CASE, (2 * _FIRST, _NONE), -_ONE[0])
_CUT = replace(_TRIAL, biases=(0 * _TOP, _TOP))
_LEFT = replace(_TRIAL, biases=(_TRIAL.biases[0], _TOP))
_FAR = replace(_TRIAL, input=-100 * _ONE[0])

CONTROLS = (
    Control("no update", FITTED, lambda: (_CASE, _trial(_CASE, (_NONE, _NONE), _ONE[0]))),
    Control("a dead layer", FITTED, lambda: (_DEAD, _trial(_DEAD, (3 * _FIRST, _NONE), _ONE[1]))),
    Control("train no hidden bias", ACTIVE, lambda: (_CASE, _CUT)),
    Control("forget what the hidden biases add", ACTIVE, lambda: (_CASE, _LEFT)),
    Control("an input a hundred times too large", DOMAIN, lambda: (_CASE, _FAR)),
)

THEOREM: Theorem[Case, Trial] = Theorem.of(__name__)
