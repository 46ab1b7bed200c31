r"""Covariance floor: the least error of one rank-`r` adapter on the inputs that tasks really see.

**Statement.** On inputs of given second moments one rank-r adapter for k tasks errs at least by
the tasks' disagreement on them plus the energy beyond rank r of the data-weighted mean; without
data the best guarantee is the merge floor.

Let task :math:`j` of :math:`k` ask for :math:`\Delta_j` on inputs of second moments :math:`C_j =
L_j L_j^\top`, and :math:`C = \sum_j C_j`, :math:`\bar\Delta = (\sum_j \Delta_j C_j)\, C^+`. For
every :math:`\Delta` of rank at most :math:`r`,

.. math::
    \frac1k \sum_j \mathbb{E}_j \|(\Delta - \Delta_j) x\|^2 \;\ge\;
    \underbrace{\frac1k \sum_j \operatorname{tr} (\bar\Delta - \Delta_j) C_j
    (\bar\Delta - \Delta_j)^\top}_{\text{disagreement}}
    + \underbrace{\frac1k \sum_{i > r} \sigma_i(\bar\Delta C^{1/2})^2}_{\text{truncation}},

with equality at the truncation of :math:`\bar\Delta C^{1/2}`, times :math:`C^{+1/2}`. *Without
data:* if all that is known is :math:`C_j \preceq \lambda`, the worst case of every :math:`\Delta`
is :math:`C_j = \lambda`, so the best guarantee is :math:`\lambda` times the merge floor
(``thm:merge-floor``), at the truncated mean; no covariance floor is above it.

**Proof.** With :math:`L = [L_1 \dots L_k]`, :math:`T = [\Delta_1 L_1 \dots \Delta_k L_k]` the left
side is :math:`\frac1k \|\Delta L - T\|_F^2`, :math:`C = L L^\top`, :math:`\bar\Delta = T L^+`.
Split :math:`T` into :math:`T L^+ L = \bar\Delta L` and a rest orthogonal to all :math:`\Delta L`:
the rest is the disagreement, and :math:`\|(\Delta - \bar\Delta) L\|_F^2` is a distance from
:math:`\bar\Delta L`, with the singular values of :math:`\bar\Delta C^{1/2}`, to a matrix of rank at
most :math:`r`: Eckart and Young. The infimum is met as :math:`\bar\Delta L` truncated has its rows
in those of :math:`L`. The loss grows with each :math:`C_j`, which gives the second part.
:math:`\square`

**What it tells someone who merges adapters.** With second moments of the inputs, tasks that never
see the same directions cost each other nothing. Without them the truncated mean is the safest
adapter, and the merge floor is what it can promise.

**What it does not say.** Second moments are of the inputs of this one matrix, which change when
earlier layers are merged too. With test directions as :math:`L_j` and no limit on the rank it is
the floor of any linear merge on them.

References
----------
Eckart and Young (1936). RegMean (arXiv
2212.09849) is the optimum without a limit on the rank.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on Eckart and Young (1936)"
USES = ("thm:merge-floor",)

RANK = "rank(adapter) <= r"
CLEAR = 1e-8  # an input direction this weak, relative to the strongest, is taken to be unseen


@dataclass(frozen=True)
class Case:
    """For each task its update and its inputs, with second moments ``inputs @ inputs.T``."""

    updates: tuple[LowRank, ...]
    inputs: tuple[Float[Array, "n _"], ...]
    rank: int

    @property
    def stacked(self) -> tuple[Array, Array]:
        """All inputs and all wanted outputs, side by side."""
        xp = array_namespace(*self.inputs)
        outputs = [low @ x for low, x in zip(self.updates, self.inputs, strict=True)]
        return xp.concat(list(self.inputs), axis=1), xp.concat(outputs, axis=1)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Unrelated or nearly equal tasks on few or many inputs, white, coloured or shared."""
    k, (m, n) = int(rng.integers(1, 4)), rng.integers(1, size + 1, 2).tolist()
    width, seen = int(rng.integers(1, min(m, n, 8) + 1)), int(rng.integers(1, min(n, 32) + 1))
    magnitude, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.0, 1e-8, 1.0]))
    base = gaussian(rng, m, n, width, magnitude)
    updates = tuple(base + spread * gaussian(rng, m, n, width, magnitude) for _ in range(k))
    colour = 10.0 ** rng.uniform(-2, 0, seen)
    inputs = [orthonormal(rng, n, seen) * colour for _ in range(k)]
    shared = inputs[:1] * k if rng.random() < 0.3 else inputs
    return Case(updates, tuple(shared), int(rng.integers(0, min(m, n, 8) + 1)))


def _split(case: Case) -> tuple[Array, Array, Array, Array]:
    """Left vectors and values of the inputs; outputs on the right vectors, and the rest."""
    inputs, outputs = case.stacked
    left, sigma, right = array_namespace(inputs).linalg.svd(inputs, full_matrices=False)
    keep = sum(float(s) > CLEAR * float(sigma[0]) for s in sigma)
    rows = right[:keep, :]
    seen = outputs @ rows.T
    return left[:, :keep], sigma[:keep], seen, outputs - seen @ rows


def bound(case: Case) -> float:
    """What no linear map can do, plus what the rank leaves out."""
    _, __, seen, rest = _split(case)
    xp = array_namespace(seen)
    tail = xp.linalg.svdvals(seen)[min(case.rank, *seen.shape) :]
    return float(xp.sum(rest**2) + xp.sum(tail**2)) / len(case.updates)


def attain(case: Case) -> LowRank:
    """Truncate the outputs on the inputs' own axes, then read these axes."""
    left, sigma, seen, _ = _split(case)
    up, values, down = array_namespace(seen).linalg.svd(seen, full_matrices=False)
    keep = min(case.rank, *seen.shape)
    return LowRank(up[:, :keep] * values[:keep], (down[:keep, :] / sigma) @ left.T)


def measure(case: Case, adapter: LowRank) -> float:
    """Mean squared error on the inputs, task by task."""
    pairs = zip(case.updates, case.inputs, strict=True)
    errors = [adapter @ x - low @ x for low, x in pairs]
    xp = array_namespace(*case.inputs)
    return float(sum(xp.sum(error**2) for error in errors)) / len(errors)


def scale(case: Case) -> float:
    """Energy of the wanted outputs."""
    outputs = case.stacked[1]
    return float(array_namespace(outputs).sum(outputs**2))


def data_free(case: Case, largest: int | float = 1.0) -> Case:
    """The same tasks on the worst inputs whose second moments are below `largest`: white ones."""
    inputs, xp = case.inputs[0], array_namespace(case.inputs[0])
    white = largest**0.5 * xp.eye(inputs.shape[0], dtype=inputs.dtype, device=inputs.device)
    return Case(case.updates, (white,) * len(case.updates), case.rank)


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """A random adapter of the case's rank, or the optimum nudged by 1e-12 to 1."""
    best = attain(case)
    if rng.random() < 0.3 or not best.width:
        return gaussian(rng, *best.shape, case.rank, 10.0 ** int(rng.integers(-6, 7)))
    nudge = 1 + 10.0 ** int(rng.integers(-12, 1)) * rng.standard_normal(best.up.shape)
    return LowRank(best.up * nudge, best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Alternating least squares on the stacked samples: no decomposition of the inputs."""
    inputs, outputs = case.stacked
    up = rng.standard_normal((len(outputs), case.rank))
    down = np.zeros((case.rank, len(inputs)))
    for _ in range(20 if case.rank else 0):
        weights = np.linalg.lstsq(up, outputs, rcond=None)[0]
        down = np.linalg.lstsq(inputs.T, weights.T, rcond=1e-10)[0].T
        up = np.linalg.lstsq((down @ inputs).T, outputs.T, rcond=None)[0].T
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, adapter: adapter.width <= case.rank}


def _too_rich() -> tuple[Case, LowRank]:
    identity = LowRank(np.eye(2), np.eye(2))
    return Case((identity,), (np.diag([2.0, 1.0]),), rank=1), identity


CONTROLS = (Control("spend rank 2 where 1 is allowed", RANK, partial(_too_rich)),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
