r"""Frozen features: what an earlier frozen layer discarded, no later layer restores.

**Statement.** Whatever later layers do that see inputs through the frozen ones alone, the mean
squared error is at least the targets' variance within the classes of inputs that the frozen layers
map to the same features.

For frozen first layers :math:`\varphi` and inputs :math:`x_i` with targets :math:`y_i`, every map
:math:`g` of later layers has

.. math::
    \frac1n \sum_i \|g(\varphi(x_i)) - y_i\|^2 \;\ge\; \frac1n \sum_i \|y_i - \bar y_{[i]}\|^2,

:math:`\bar y_{[i]}` the mean over the inputs whose features equal those of :math:`x_i`, with
equality iff :math:`g` answers each class with its mean.

**Proof.** On a class :math:`C` the map :math:`g \circ \varphi` is a constant :math:`c`, and
:math:`\sum_C \|c - y_i\|^2 = |C|\, \|c - \bar y\|^2 + \sum_C \|y_i - \bar y\|^2`: the law of total
variance, class by class. :math:`\square`

**What it tells someone who merges adapters.** No adapter in a later layer, no merge of such
adapters and no router among them, if it reads the features, goes below this floor.

**What it does not say.** Nothing about adapters at or before the frozen layers (the control: one of
rank 1 there reaches error 0) or paths around them, such as a residual stream. Features that merely
come close can be told apart by a later layer of large slope.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024), compare tuning of last layers with low-rank adapters.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Bool, Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
KIND = "lemma"
SOURCE = "own; the floor is a conditional variance"

THROUGH = "answers that depend on the input only through the frozen features"


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen ReLU layers, first layer first, and `n` inputs and their targets as columns."""

    weights: tuple[Array, ...]
    inputs: Float[Array, "d n"]
    targets: Float[Array, "m n"]

    @property
    def features(self) -> Array:
        """Outputs of the frozen layers, one column for each input."""
        xp, hidden = array_namespace(self.inputs), self.inputs
        for weight in self.weights:
            pre = weight @ hidden
            hidden = xp.where(pre > 0, pre, xp.zeros_like(pre))
        return hidden

    @property
    def collide(self) -> Bool[Array, "n n"]:
        """Whether each pair of inputs has the same features."""
        features = self.features
        return array_namespace(features).all(features[:, :, None] == features[:, None, :], axis=0)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw 1 to 3 layers of small integers, so that features agree exactly, and any targets."""
    depth, n = int(rng.integers(1, 4)), int(rng.integers(2, 2 * size + 2))
    sides = rng.integers(1, min(size, 5) + 1, depth + 1).tolist()
    weights = tuple(
        rng.integers(-2, 3, (rows, columns)).astype(float)
        for rows, columns in zip(sides[1:], sides[:-1], strict=True)
    )
    inputs = 2.0 ** int(rng.integers(-20, 21)) * rng.integers(-2, 3, (sides[0], n))
    scale = 10.0 ** int(rng.integers(-6, 7))
    far = scale * rng.standard_normal((int(rng.integers(1, 4)), n))
    targets = (far, 1e-6 * far + far[:, :1], scale * np.sign(inputs), 0 * far)
    return Case(weights, inputs, targets[rng.integers(4)])


def bound(case: Case) -> float:
    """Return the mean of ‖y_i − ȳ_[i]‖² over inputs, computed from pairs of equal features."""
    xp = array_namespace(case.targets)
    same = xp.astype(case.collide, xp.float64)
    gaps = xp.sum((case.targets[:, :, None] - case.targets[:, None, :]) ** 2, axis=0)
    shares = gaps * same / xp.sum(same, axis=0)[None, :]
    return float(xp.sum(shares)) / (2 * case.targets.shape[1])


def attain(case: Case) -> Array:
    """Return for each input the mean target of its class, the inputs with the same features."""
    xp = array_namespace(case.targets)
    same = xp.astype(case.collide, xp.float64)
    return (case.targets @ same) / xp.sum(same, axis=0)


def measure(case: Case, answers: Array) -> float:
    """Return the mean over inputs of the squared error of the outputs `answers`."""
    xp = array_namespace(case.targets, answers)
    return float(xp.sum((answers - case.targets) ** 2)) / case.targets.shape[1]


def scale(case: Case) -> float:
    """Return the squared norm of the targets, the unit of rounding errors."""
    return float(array_namespace(case.targets).sum(case.targets**2))


def _later(case: Case, rng: np.random.Generator, width: int) -> Array:
    """Return the outputs of random ReLU units on top of the features, and of a constant unit."""
    features = case.features / max(float(np.max(case.features, initial=0.0)), 1e-300)
    pre = rng.standard_normal((width, len(features))) @ features
    hidden = np.maximum(pre + rng.standard_normal((width, 1)), 0)
    return np.concatenate([hidden, np.ones((1, features.shape[1]))])


def rival(case: Case, rng: np.random.Generator) -> Array:
    """Return outputs of a random adapter on top of the features, alone or added to class means."""
    hidden, m = _later(case, rng, 8), len(case.targets)
    adapter = LowRank(rng.standard_normal((m, 2)), rng.standard_normal((2, len(hidden))))
    size = 10.0 ** int(rng.integers(-12, 1)) * float(np.max(np.abs(case.targets)))
    return float(rng.integers(2)) * attain(case) + size * (adapter @ hidden)


def adversary(case: Case, rng: np.random.Generator) -> Array:
    """Return what a wide random layer on the features gives, its read-out fitted to the targets."""
    hidden = _later(case, rng, 8 * case.targets.shape[1])
    return np.linalg.lstsq(hidden.T, case.targets.T, rcond=1e-12)[0].T @ hidden


def _through(case: Case, answers: Array) -> bool:
    xp = array_namespace(answers)
    spread = xp.max(xp.abs(answers[:, :, None] - answers[:, None, :]), axis=0)
    apart = xp.where(case.collide, spread, xp.zeros_like(spread))
    return float(xp.max(apart)) <= 64 * SAFETY * float(xp.max(xp.abs(answers)))


ASSUMPTIONS = {THROUGH: _through}

_CASE = Case((np.array([[-1.0]]),), np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]]))


def _adapt_first() -> tuple[Case, Array]:
    adapted = _CASE.weights[0] + LowRank(np.array([[2.0]]), np.array([[1.0]])).dense()
    return _CASE, Case((adapted,), _CASE.inputs, _CASE.targets).features


CONTROLS = (
    Control("put a rank-one adapter into the frozen layer", THROUGH, _adapt_first),
    Control(
        "let a residual stream carry the input around it",
        THROUGH,
        lambda: (_CASE, _CASE.features + _CASE.inputs),
    ),
)

THEOREM: Theorem[Case, Array] = Theorem.of(__name__)
