r"""ReLU budget: the depth budget carried to a ReLU network by its biases.

**Statement.** An L-layer ReLU network has invertible weights and is to match one target ReLU layer
on a ball of radius ρ. Let E be the target's weight minus the frozen product. With some updates of
rank at most R and suitable biases, the error on the ball is at most ρ σ_{RL+1}(E).

Let :math:`W_1, \dots, W_L \in \mathbb{R}^{D \times D}` be frozen and invertible, in a network
:math:`h_l = \mathrm{ReLU}(W_l h_{l-1} + b_l)` with trainable biases. Let :math:`\bar f(x) =
\mathrm{ReLU}(T x + t)` be a target layer and :math:`E = T - W_L \cdots W_1`. For every :math:`t`
and radius :math:`\rho` there are updates of rank at most :math:`R`, which do not depend on
:math:`t`, and biases with

.. math:: \|f(x) - \bar f(x)\| \;\le\; \sigma_{RL+1}(E)\, \|x\| \;\le\; \sigma_{RL+1}(E)\, \rho
    \qquad (\|x\| \le \rho).

So :math:`f = \bar f` on the ball if :math:`RL \ge \operatorname{rank} E`. Some :math:`t` and
:math:`x` attain the bound. For such a :math:`t`, no updates of rank :math:`R` do better in a
network whose units are all active.

**Proof.** Take the updates of ``thm:depth-budget``, and let :math:`P_l` be the product of the first
:math:`l` updated layers. Then :math:`P_L` misses :math:`T` by :math:`\sigma_{RL+1}(E)` in spectral
norm. For :math:`l < L` let :math:`c_l` be the row norms of :math:`P_l` times :math:`\rho`. Let
:math:`c_0 = 0`, :math:`c_L = t` and :math:`b_l = c_l - (W_l + \Delta_l) c_{l-1}`. The :math:`l`-th
ReLU then gets :math:`P_l x + c_l`. Before the last layer this is not negative on the ball, so
:math:`f(x) = \mathrm{ReLU}(P_L x + t)`. As ReLU is 1-Lipschitz, :math:`\|f(x) - \bar f(x)\| \le
\|(P_L - T) x\|`. *Attained.* Equality holds if :math:`t` keeps all outputs active, and then also
for the leading singular direction :math:`x` of :math:`P_L - T`. *No better.* A network whose units
are all active is affine. Its errors at :math:`x` and :math:`-x` differ by :math:`2 (P_L - T) x`,
where :math:`P_L` is now its own product. So the larger error has at least the norm of :math:`(P_L -
T) x`, and ``thm:depth-budget`` bounds this from below. :math:`\square`

**Scope.** No rank is necessary for one given target, because inactive units may help. Outside the
ball the bound fails (a control). *Deeper targets.* For a target of :math:`\bar L` layers, split the
network into :math:`\bar L` groups of layers, each with its own radius. The match is exact if each
group :math:`i` has enough rank for its :math:`\operatorname{rank} E_i`. With equal groups this
holds from :math:`R = \lceil \max_i \operatorname{rank} E_i / \lfloor L / \bar L \rfloor \rceil` on.

**Implication.** If biases keep all units active on a ball, before and after a merge, the network is
linear there. Merges of its updates then obey the theorem for linear networks
(``thm:depth-budget``).

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).

============================================================

ReLU necessity: which rank a ReLU network needs for a given target layer, kinks included.

**Statement.** An L-layer ReLU network of D × D weights gets updates of rank at most R and any
biases. Let J be its Jacobian at any input, T the D × D weight of a target layer, and E = T minus
the frozen product. Then the spectral norm of J − T is at least min(σ_D(T), σ_{RL+1}(E)).

Let :math:`h_l = \mathrm{ReLU}((W_l + \Delta_l) h_{l-1} + b_l)` with square :math:`W_l`, updates of
rank at most R and any biases, and let :math:`E = T - W_L \cdots W_1`. Let J be the network's
Jacobian at any input (at a kink, that of an adjacent linear piece). Then

.. math:: \|J - T\|_2 \;\ge\; \min\bigl(\sigma_D(T),\; \sigma_{RL+1}(E)\bigr).

Suppose that T is invertible, and that the network matches the target layer on some open set where
the layer's outputs are active. Then :math:`RL \ge \operatorname{rank} E`. So the rank that
``thm:relu-budget`` uses is necessary.

**Proof.** The Jacobian is :math:`J = C_L (W_L + \Delta_L) \cdots C_1 (W_1 + \Delta_1)`, where the
:math:`C_l` are diagonal with entries 0 and 1. If some entry is 0, J has rank below D. Its distance
from T is then at least :math:`\sigma_D(T)` (Eckart, Young, Mirsky). If no entry is 0, J is the
product of a linear network, and ``thm:depth-budget`` bounds :math:`\|J - T\|_2` by
:math:`\sigma_{RL+1}(E)`. A target :math:`\mathrm{ReLU}(Tx + t)` has the Jacobian T where its
outputs are active. :math:`\square`

*Sharp.* Let the weights be invertible. If :math:`\sigma_D(T) \ge \sigma_{RL+1}(E)`, the updates and
biases of ``thm:relu-budget`` meet the bound at any input in the interior of its ball. Otherwise let
the least left singular vector of T be the axis of one output, and let E without that row have rank
at most RL. Then the same updates reach all other rows, and an inactive last unit leaves
:math:`\sigma_D(T)`.

**Implication.** If the target's weight is invertible, biases and kinks cannot replace rank. A merge
of k adapters has rank at most kR in each layer. A target that needs a larger rank is out of reach,
whatever the biases.

**Scope.** If the target's weight is singular, inactive units can match it without any rank (a
control). Wider hidden layers can have inactive units and still a Jacobian of full rank (a control).
The bound is on the Jacobian: errors on a ball can be small if the linear pieces are small.

References
----------
Sufficiency, by biases that keep units active and the linear case: Zeng and Lee, arXiv 2310.17513.
"""

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye, largest, norm, spectral_norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.expressiveness import depth_budget
from loratheory.theorems.expressiveness._steering import adapted, inverses

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
    # a unit that is shifted by its largest negative value never closes on the ball
    reach = [radius * row_norms(product) for product in partial_products(layers)[:-1]]
    levels = pairwise([0 * offset, *reach, offset])
    return tuple(
        after - layer @ before for layer, (before, after) in zip(layers, levels, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen layers with a target weight and a rank, and the radius of the ball of inputs."""

    network: depth_budget.Case
    radius: float

    def layers(self, updates: tuple[LowRank, ...]) -> list[Array]:
        """Return the frozen layers with updates added, first layer first."""
        return adapted(self.network.weights, updates)


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
    # the target's own units stay active too: both networks are affine there
    offset = case.radius * (row_norms(product) + row_norms(target))
    # the input along which product and target differ most, at the rim of the ball
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
    # the target's units may be cut: a ReLU never increases the error
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
        # steps grow while they help and shrink where they do not
        better = measure(case, tried) > measure(case, worst)
        worst, step = (tried, step * 1.5) if better else (worst, step / 1.2)
    return worst


def _room(case: Case) -> float:
    return SAFETY * condition(case) * scale(case)


def _fitted(case: Case, trial: Trial) -> bool:
    error = partial_products(case.layers(trial.updates))[-1] - case.network.target
    return case.radius * spectral_norm(error) <= bound(case) + _room(case)


def _active(case: Case, trial: Trial) -> bool:
    layers, level, least = case.layers(trial.updates), 0 * trial.offset, []
    for layer, bias, product in zip(layers, trial.biases, partial_products(layers), strict=True):
        level = layer @ level + bias
        # on the ball a unit stays within the norm of its row times the radius
        least.append(float(array_namespace(level).min(level - case.radius * row_norms(product))))
    # the last layer's units may be cut, but it has to end at the target's bias
    return min([-largest(level - trial.offset), *least[:-1]]) >= -_room(case)


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


# The rank that no kinks spare

SENSE_NECESSITY = "lower"
SOURCE_NECESSITY = "own; rests on Eckart, Young and Mirsky"
USES_NECESSITY = ("thm:depth-budget", "thm:relu-budget")

RANK = "rank(update) <= R at every layer"
SQUARE = "frozen weights as square as the target"


@dataclass(frozen=True, eq=False)
class Kinked:
    """Updates and biases of each layer, and the input at which the Jacobian is taken."""

    updates: tuple[LowRank, ...]
    biases: tuple[Array, ...]
    input: Float[Array, " d"]


def draw_necessity(rng: np.random.Generator, size: int) -> depth_budget.Case:
    """Draw a network as `depth_budget.draw` does, whose floor some updates and dead units meet."""
    case = depth_budget.draw(rng, size)
    if branch_necessity(case) == "rank":
        return case
    # a short row at right angles to all others, which the updates reach
    d, product = len(case.target), case.product
    change = gaussian(rng, d, d, min(d - 1, case.rank * len(case.weights)), largest(product))
    target, unit = product + change.dense(), int(rng.integers(d))
    target[unit] = 0.0
    _, sigma, right = np.linalg.svd(target)
    target[unit] = rng.uniform(0.1, 1) * sigma[d - 2] * right[-1]
    return replace(case, target=target)


def bound_necessity(case: depth_budget.Case) -> float:
    """Return min(σ_D(T), σ_{RL+1}(E)): what a dead unit costs, or what the rank does."""
    sigma = array_namespace(case.target).linalg.svdvals(case.target)
    return min(float(sigma[-1]), depth_budget.bound(case))


def branch_necessity(case: depth_budget.Case) -> str:
    """Return which of the two is cheaper."""
    return "dead unit" if bound_necessity(case) < depth_budget.bound(case) else "rank"


def _cheapest(case: depth_budget.Case) -> tuple[depth_budget.Case, Array]:
    """Return the linear network to fit, and the pattern (L, D) of active units, 1 or 0 each."""
    xp, d = array_namespace(case.target), int(case.target.shape[0])
    pattern = np.ones((len(case.weights), d))
    if branch_necessity(case) == "dead unit":
        # the output along which the target is least dies; nothing is asked of its row
        least = int(xp.argmax(xp.abs(xp.linalg.svd(case.target)[0][:, -1])))
        pattern[-1, least] = 0.0
        alive = beside(case.target, pattern[-1])[:, None]
        case = replace(case, target=alive * case.target + (1 - alive) * case.product)
    return case, beside(case.target, pattern)


def attain_necessity(case: depth_budget.Case) -> Kinked:
    """Return the updates of the linear network; one unit is dead if that costs less."""
    network, pattern = _cheapest(case)
    return _realised(case, depth_budget.attain(network), pattern)


def measure_necessity(case: depth_budget.Case, trial: Kinked) -> float:
    """Return ‖J − T‖₂, J being the adapted network's Jacobian at the trial's input."""
    xp, state = array_namespace(trial.input), trial.input
    product = eye(state, state.shape[0])
    for layer, bias in zip(adapted(case.weights, trial.updates), trial.biases, strict=True):
        before = layer @ state + bias
        # a dead unit has slope 0: its row of the Jacobian vanishes
        alive = xp.astype(before > 0, state.dtype)
        product = alive[:, None] * (layer @ product)
        state = alive * before
    return spectral_norm(product - case.target)


def _realised(case: depth_budget.Case, updates: tuple[LowRank, ...], pattern: Array) -> Kinked:
    """Return a trial with biases such that at input 0 just the units of `pattern` are active."""
    state, biases = 0 * case.weights[0][0, :], []
    for index, layer in enumerate(adapted(case.weights, updates)):
        # each bias puts its unit one above or one below its kink
        biases.append(2 * pattern[index, :] - 1 - layer @ state)
        state = pattern[index, :]
    return Kinked(updates, tuple(biases), 0 * case.weights[0][0, :])


def _masked(case: depth_budget.Case, rng: np.random.Generator) -> tuple[depth_budget.Case, Array]:
    """Return the network with some or no units dead, and the pattern (L, D) of active ones."""
    # the pattern of dead units is chosen first: the updates are fitted to it
    share = float(rng.choice([0.0, 0.1, 0.5]))
    pattern = 1.0 * (rng.random((len(case.weights), len(case.target))) >= share)
    weights = tuple(row[:, None] * w for row, w in zip(pattern, case.weights, strict=True))
    return replace(case, weights=weights), pattern


def rival_necessity(case: depth_budget.Case, rng: np.random.Generator) -> Kinked:
    """Draw updates at random or near the linear network's best, and a pattern of dead units."""
    _, pattern = _masked(case, rng)
    return _realised(case, depth_budget.rival(case, rng), pattern)


def adversary_necessity(case: depth_budget.Case, rng: np.random.Generator) -> Kinked:
    """Return updates fitted by least squares to a network in which random units are dead."""
    masked, pattern = _masked(case, rng)
    return _realised(case, depth_budget.adversary(masked, rng), pattern)


ASSUMPTIONS_NECESSITY = {
    RANK: lambda case, trial: all(low.width <= case.rank for low in trial.updates),
    SQUARE: lambda case, _: all(w.shape == case.target.shape for w in case.weights),
}

_ALL = np.ones((2, 2))


def _too_rich() -> tuple[depth_budget.Case, Kinked]:
    case = depth_budget.Case((_ONE, _ONE), 3 * _ONE, 0)
    return case, _realised(case, (LowRank(2 * _ONE, _ONE), _NONE), _ALL)


def _wide() -> tuple[depth_budget.Case, Kinked]:
    # Four hidden units: without the last two the network is the target.
    first, second = (np.concatenate([_ONE, _ONE]), np.concatenate([_ONE, _ONE / 2], axis=1))
    case = depth_budget.Case((first, second), _ONE, 0)
    updates = (LowRank(first[:, :0], _ONE[:0]), LowRank(_ONE[:, :0], second[:0]))
    biases = (np.array([1.0, 1.0, -1.0, -1.0]), np.zeros(2))
    return case, Kinked(updates, biases, np.zeros(2))


CONTROLS_NECESSITY = (
    Control("spend rank 2 where none is allowed", RANK, _too_rich),
    Control("hidden layers twice as wide", SQUARE, _wide),
)


THEOREM: Theorem[Case, Trial] = Theorem.of(__name__)

NECESSITY: Theorem[depth_budget.Case, Kinked] = Theorem.of(
    __name__,
    "relu necessity",
    "_necessity",
    scale=depth_budget.scale,
    condition=lambda case: inverses(case.weights),
)

CLAUSES: tuple[Theorem[Any, Any], ...] = (NECESSITY,)
