r"""Factor asymmetry: what is lost by freezing one factor of an adapter.

**Statement.** With one factor frozen the least mean squared error is the target's energy less what
the frozen rows see of the inputs (down) or the frozen columns of the outputs (up).

Let :math:`\Delta` be wanted on inputs :math:`X` (columns, second moment :math:`\Sigma = \frac1s X
X^\top`) and one factor be frozen to an orthonormal frame: the rows of the adapter in the span of
:math:`Q \in \mathbb{R}^{n \times r}`, or its columns in that of :math:`U \in \mathbb{R}^{m \times
r}`. The mean squared error of every such adapter is at least

.. math::
    \operatorname{tr} \Delta\Sigma\Delta^\top
    - \operatorname{tr} (Q^\top \Sigma Q)^{+} Q^\top \Sigma \Delta^\top \Delta \Sigma Q
    \qquad\text{or}\qquad
    \operatorname{tr} \Delta\Sigma\Delta^\top - \operatorname{tr} U^\top \Delta\Sigma\Delta^\top U,

and least squares attains it. For a uniformly random :math:`U` the second is :math:`1 - r/m` of the
target's energy on average, whatever the inputs; the first has no such law: it is less the more
:math:`\Delta` acts where inputs vary most.

**Proof.** :math:`\frac1s \|(\Delta - B Q^\top) X\|_F^2` is least when :math:`B Q^\top X` is the
projection of :math:`\Delta X` on the row space of :math:`Q^\top X`, which has the energy
subtracted first; :math:`\frac1s \|(\Delta - U A) X\|_F^2` when :math:`A = U^\top \Delta`, which has
that subtracted second. Its mean is :math:`\frac rm \operatorname{tr} \Delta\Sigma\Delta^\top`, as
:math:`\mathbb{E}\, U U^\top = \frac rm 1`. :math:`\square`

**What it does not say.** It is about linear layers and squared errors; freezing `down` is not
always better: where :math:`\Delta` acts on the inputs' least varying directions it is worse.

**What it tells someone who merges adapters.** Adapters that share one frozen factor keep its rank
when they are summed, and the average of the trained factors is the average of the updates. This
floor is the price, known before any training: for a random frozen :math:`U` the share :math:`1 -
r/m`.

References
----------
Zhu et al. (2024), arXiv:2402.16842.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    gaussian,
    orthonormal,
    project,
)
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; after Zhu et al. (2024)"

KEPT = "the frozen factor kept: rows (columns) in the span of its frame"


@dataclass(frozen=True, eq=False)
class Case:
    """The update wanted, inputs (n, s), and the frame (n, r) or (m, r) of the frozen factor."""

    target: LowRank
    inputs: Array
    frame: Array
    frozen: Literal["down", "up"]


def expected_share(rank: int, outputs: int) -> float:
    """Share of the target's energy lost on average with a random frozen `up`; any inputs."""
    if not 0 <= rank <= outputs:
        message = f"{rank} frozen directions of {outputs} outputs: give from 0 to {outputs}"
        raise ValueError(message)
    return 1 - rank / outputs


def draw(rng: np.random.Generator, size: int) -> Case:
    """Few or many inputs, of decaying variances or none; either factor frozen; 12 decades."""
    m, n, samples = rng.integers(1, size + 1, 3).tolist()
    target = gaussian(rng, m, n, int(rng.integers(1, size + 1)), 10.0 ** int(rng.integers(-6, 7)))
    inputs = rng.standard_normal((n, samples)) * 10.0 ** rng.uniform(-2, 0, (n, 1))
    frozen: Literal["down", "up"] = "down" if rng.random() < 0.5 else "up"
    side = n if frozen == "down" else m
    frame = orthonormal(rng, side, int(rng.integers(1, min(side, 16) + 1)))
    return Case(target, inputs, frame, frozen)


def _seen(case: Case) -> tuple[Array, Array, Array]:
    """Thin SVD of what a frozen `down` lets through of the inputs."""
    low = LowRank(case.frame.T, case.inputs)
    keep = low.rank
    left, sigma, right = low.svd()
    return left[:, :keep], sigma[:keep], right[:keep, :]


def bound(case: Case) -> float:
    """Energy of the target on the inputs, less what the frozen factor lets through."""
    xp, wanted = array_namespace(case.frame), case.target @ case.inputs
    kept = case.frame.T @ wanted if case.frozen == "up" else wanted @ _seen(case)[2].T
    return float(xp.sum(wanted**2) - xp.sum(kept**2)) / case.inputs.shape[1]


def attain(case: Case) -> LowRank:
    """Train the other factor by least squares."""
    if case.frozen == "up":
        return LowRank(case.frame, (case.target.T @ case.frame).T)
    left, sigma, right = _seen(case)
    return LowRank(((case.target @ case.inputs) @ right.T / sigma) @ left.T, case.frame.T)


def measure(case: Case, adapter: LowRank) -> float:
    """Mean squared error over the inputs."""
    xp = array_namespace(case.frame)
    missed = case.target @ case.inputs - adapter @ case.inputs
    return float(xp.sum(missed**2)) / case.inputs.shape[1]


def scale(case: Case) -> float:
    """The size of the numbers compared: rounding is measured against it."""
    xp = array_namespace(case.frame)
    return float(xp.sum((case.target @ case.inputs) ** 2)) / case.inputs.shape[1]


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    if case.frozen == "up":
        return 1.0
    sigma = _seen(case)[1]
    return float(sigma[0] / sigma[-1]) if sigma.shape[0] else 1.0


def _through(case: Case, trained: Array) -> LowRank:
    return LowRank(case.frame, trained) if case.frozen == "up" else LowRank(trained, case.frame.T)


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """The same frozen factor with the other at random, or the optimum nudged by 1e-12 to 1."""
    best, up = attain(case), case.frozen == "up"
    trained = best.down if up else best.up
    if rng.random() < 0.5:
        size = 10.0 ** int(rng.integers(-6, 7))
        return _through(case, size * rng.standard_normal(trained.shape))
    nudge = 10.0 ** int(rng.integers(-12, 1))
    return _through(case, trained * (1 + nudge * rng.standard_normal(trained.shape)))


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Steepest descent with exact line searches: no matrix is inverted or decomposed."""
    here, up = rival(case, rng), case.frozen == "up"
    wanted = case.target.dense()
    for _ in range(60):
        slope = (wanted - here.dense()) @ case.inputs @ case.inputs.T
        step = case.frame @ (case.frame.T @ slope) if up else (slope @ case.frame) @ case.frame.T
        moved, missed = step @ case.inputs, (wanted - here.dense()) @ case.inputs
        if not (moved**2).sum():
            break
        step = step * ((missed * moved).sum() / (moved**2).sum())
        trained = here.down + case.frame.T @ step if up else here.up + step @ case.frame
        here = _through(case, trained)
    return here


def _kept(case: Case, adapter: LowRank) -> bool:
    low = adapter if case.frozen == "up" else adapter.T
    outside = LowRank(low.up - project(low.up, case.frame), low.down)
    return outside.norm <= SAFETY / 64 * adapter.norm


ASSUMPTIONS = {KEPT: _kept}


def _thawed(frozen: Literal["down", "up"]) -> tuple[Case, LowRank]:
    one = np.eye(2)
    return Case(LowRank(one, one), one, one[:, :1], frozen), LowRank(one, one)


CONTROLS = (
    Control("train the frozen down too", KEPT, lambda: _thawed("down")),
    Control("train the frozen up too", KEPT, lambda: _thawed("up")),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
