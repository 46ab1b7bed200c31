r"""ReLU necessity: which rank a ReLU network needs for a given target layer, kinks included.

**Statement.** Whatever its biases and in every linear piece, an L-layer ReLU network of D × D
weights under updates of rank at most R has a Jacobian that misses, in spectral norm, the D × D
weight T of a target layer by at least the smaller of T's least singular value and the (RL+1)st
singular value of T less the frozen product.

Let :math:`h_l = \mathrm{ReLU}((W_l + \Delta_l) h_{l-1} + b_l)` with square :math:`W_l`, updates of
rank at most R and any biases, and :math:`E = T - W_L \cdots W_1`. At every input the network has a
Jacobian J (one of its pieces' at a kink), and

.. math:: \|J - T\|_2 \;\ge\; \min\bigl(\sigma_D(T),\; \sigma_{RL+1}(E)\bigr).

Hence a target layer with an invertible T is matched on some open set where its outputs are active
only if :math:`RL \ge \operatorname{rank} E`: what ``thm:relu-budget`` spends is needed.

**Proof.** :math:`J = C_L (W_L + \Delta_L) \cdots C_1 (W_1 + \Delta_1)`, the :math:`C_l` diagonal
with entries 0 and 1. If some entry is 0, J has rank below D and misses T by :math:`\sigma_D(T)`
at least (Eckart, Young, Mirsky). If none is, J is a linear network and ``thm:depth-budget`` bounds
:math:`\|J - T\|_2` by :math:`\sigma_{RL+1}(E)`. A target :math:`\mathrm{ReLU}(Tx + t)` has the
Jacobian T where its outputs are active. :math:`\square`

**Corollary (kinks do not help).** If T's least singular value is at least the (RL+1)st of T less
the frozen product and the frozen D × D weights are invertible, some updates of rank at most R with
biases that keep all units active meet the ReLU network's floor.

They are those of ``thm:relu-budget``, at any input in its ball.

**What it tells someone who merges adapters.** Biases and kinks do not save rank for a target that
loses no direction: a merge of k adapters has at most rank kR a layer, and what needs more is out of
reach of every bias.

**What it does not say.** A target that loses a direction may be served by dead units at no rank (a
control), and wider hidden layers have pieces of full rank with dead units (a control). Errors on a
ball can be small where pieces are small: it is the Jacobian that is missed.

References
----------
Sufficiency, by biases that keep units active and the linear case: Zeng and Lee, arXiv 2310.17513.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness import depth_budget, relu_budget
from loratheory.theorems.expressiveness.depth_budget import Case
from loratheory.theorems.expressiveness.depth_budget import draw as draw
from loratheory.theorems.expressiveness.depth_budget import scale as scale

SENSE = "lower"
SOURCE = "own; rests on Eckart, Young and Mirsky"
USES = ("thm:depth-budget", "thm:relu-budget")
UNSEEN = "met for certain only in the cases of its clause thm:kinks-do-not-help"

RANK = "rank(update) <= R at every layer"
SQUARE = "frozen weights as square as the target"
REGULAR = "a target whose least singular value is at least the one that the rank leaves"


@dataclass(frozen=True, eq=False)
class Trial:
    """Updates and biases of each layer, and the input at which the Jacobian is taken."""

    updates: tuple[LowRank, ...]
    biases: tuple[Array, ...]
    input: Float[Array, " d"]


def _sigmas(case: Case) -> tuple[float, float]:
    """Return σ_D(T) and σ_{RL+1}(E), the two numbers of the statement."""
    sigma = array_namespace(case.target).linalg.svdvals(case.target)
    return float(sigma[-1]), depth_budget.bound(case)


def rank_needed(directions: int, layers: int) -> int:
    """Return the rank that each layer needs for `directions` missing from a full-rank target."""
    return -(-directions // layers)


def bound(case: Case) -> float:
    """Return min(σ_D(T), σ_{RL+1}(E)): what a dead unit costs, or what the rank does."""
    return min(_sigmas(case))


def jacobian(case: Case, trial: Trial) -> Array:
    """Return the Jacobian of the adapted network at the trial's input."""
    xp, state = array_namespace(trial.input), trial.input
    product = eye(state, state.shape[0])
    layers = zip(case.weights, trial.updates, trial.biases, strict=True)
    for weight, low, bias in layers:
        before = (weight + low.dense()) @ state + bias
        alive = xp.astype(before > 0, state.dtype)
        product = alive[:, None] * ((weight + low.dense()) @ product)
        state = alive * before
    return product


def measure(case: Case, trial: Trial) -> float:
    """Return ‖J − T‖₂, J being the adapted network's Jacobian at the trial's input."""
    gap = jacobian(case, trial) - case.target
    return float(array_namespace(gap).linalg.svdvals(gap)[0])


def _realised(case: Case, updates: tuple[LowRank, ...], pattern: Array) -> Trial:
    """Return a trial with biases such that at input 0 just the units of `pattern` are active."""
    state, biases = np.zeros(case.weights[0].shape[1]), []
    for weight, low, row in zip(case.weights, updates, pattern, strict=True):
        biases.append(np.where(row, 1.0, -1.0) - (weight + low.dense()) @ state)
        state = np.where(row, 1.0, 0.0)
    return Trial(updates, tuple(biases), np.zeros(case.weights[0].shape[1]))


def _masked(case: Case, rng: np.random.Generator) -> tuple[Case, Array]:
    """Return the network with some or no units dead, and the pattern (L, D) of active ones."""
    share = float(rng.choice([0.0, 0.1, 0.5]))
    pattern = rng.random((len(case.weights), len(case.target))) >= share
    weights = tuple(row[:, None] * w for row, w in zip(pattern, case.weights, strict=True))
    return replace(case, weights=weights), pattern


def rival(case: Case, rng: np.random.Generator) -> Trial:
    """Draw updates at random or near the linear network's best, and a pattern of dead units."""
    _, pattern = _masked(case, rng)
    return _realised(case, depth_budget.rival(case, rng), pattern)


def adversary(case: Case, rng: np.random.Generator) -> Trial:
    """Return updates fitted by least squares to a network in which random units are dead."""
    masked, pattern = _masked(case, rng)
    return _realised(case, depth_budget.adversary(masked, rng), pattern)


def _square(case: Case, _: Trial | None = None) -> bool:
    return all(weight.shape == case.target.shape for weight in case.weights)


ASSUMPTIONS = {
    RANK: lambda case, trial: all(low.width <= case.rank for low in trial.updates),
    SQUARE: _square,
}

_ONE = np.eye(2)
_NONE = LowRank(_ONE[:, :0], _ONE[:0])
_ALL = np.ones((2, 2), bool)


def _too_rich() -> tuple[Case, Trial]:
    case = Case((_ONE, _ONE), 3 * _ONE, 0)
    return case, _realised(case, (LowRank(2 * _ONE, _ONE), _NONE), _ALL)


def _wide() -> tuple[Case, Trial]:
    # Four hidden units: without the last two the network is the target.
    first, second = np.concatenate([_ONE, _ONE]), np.concatenate([_ONE, _ONE / 2], axis=1)
    case = Case((first, second), _ONE, 0)
    updates = (LowRank(first[:, :0], _ONE[:0]), LowRank(_ONE[:, :0], second[:0]))
    rows = (np.array([True, True, False, False]), np.ones(2, bool))
    return case, _realised(case, updates, rows)


CONTROLS = (
    Control("spend rank 2 where none is allowed", RANK, _too_rich),
    Control("hidden layers twice as wide", SQUARE, _wide),
)


# Where the floor is met


def draw_regular(rng: np.random.Generator, size: int) -> Case:
    """Draw a network and a target with σ_D(T) at least σ_{RL+1}(E)."""
    while True:
        case = draw(rng, size)
        least, left = _sigmas(case)
        if left <= least:
            return case


def all_active(case: Case) -> Trial:
    """Return the linear network's best updates with biases that keep every unit active."""
    best = relu_budget.attain(relu_budget.Case(case, 1.0))
    return Trial(best.updates, best.biases, 0 * best.input)  # the middle, far from kinks


def _regular(case: Case, _: Trial) -> bool:
    least, left = _sigmas(case)
    return left <= least


def _lost() -> tuple[Case, Trial]:
    # diag(1, 0) from the identity at no rank: the floor is 0, and a dead unit meets it.
    case = Case((_ONE, _ONE), np.diag([1.0, 0.0]), 0)
    return case, _realised(case, (_NONE, _NONE), _ALL)


def _dead() -> tuple[Case, Trial]:
    case = Case((0 * _ONE, _ONE), np.diag([3.0, 2.0]), 1)
    return case, _realised(case, (LowRank(3 * _ONE[:, :1], _ONE[:1]), _NONE), _ALL)


THEOREM: Theorem[Case, Trial] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "kinks do not help",
        draw=draw_regular,
        attain=all_active,
        condition=lambda case: depth_budget.condition(case) if _square(case) else 1.0,
        assumptions={
            **ASSUMPTIONS,
            REGULAR: _regular,
            depth_budget.INVERTIBLE: depth_budget.ASSUMPTIONS[depth_budget.INVERTIBLE],
        },
        controls=(
            *CONTROLS,
            Control("a target that loses a direction", REGULAR, _lost, fails="tight"),
            Control("a layer frozen at zero", depth_budget.INVERTIBLE, _dead, fails="tight"),
        ),
    ),
)
