r"""Least-change edit: the cheapest exact edit under given inputs (ROME for one key).

**Statement.** An exact edit moves the outputs over inputs of second moment C by at least tr R (K'
C^-1 K)^-1 R'; only the edit that reads keys by C^-1 (ROME) attains it.

Let :math:`C \succ 0` be the second moment of the inputs, and the columns of :math:`K \in
\mathbb{R}^{n \times N}` independent keys. Every :math:`\Delta` with :math:`\Delta K = R` moves the
outputs, :math:`\mathbb{E} \|\Delta x\|^2 = \operatorname{tr} \Delta C \Delta^\top`, by at least

.. math:: \operatorname{tr} R S^{-1} R^\top, \qquad S = K^\top C^{-1} K,

with equality only at :math:`\Delta = R S^{-1} K^\top C^{-1}`. For one key this is the rank-one edit
:math:`v (C^{-1} k)^\top / (k^\top C^{-1} k)`, at the price :math:`\|v\|^2 / (k^\top C^{-1} k)`.

**Proof.** Write :math:`\Delta = \Delta_* + Z` with :math:`\Delta_*` the edit above;
:math:`\Delta_* K = R`, so :math:`Z K = 0`. Then :math:`\operatorname{tr} \Delta_* C Z^\top =
\operatorname{tr} R S^{-1} K^\top Z^\top = 0`, so the price is that of :math:`\Delta_*`, which is
:math:`\operatorname{tr} R S^{-1} S S^{-1} R^\top`, plus :math:`\operatorname{tr} Z C Z^\top \ge 0`,
zero only for :math:`Z = 0`. :math:`\square`

**What it tells someone who merges adapters.** What a fact costs other inputs depends on its key:
one that lies where the inputs vary much is dear, and stays so in every merge that holds it exactly.

**What it does not say.** Second moments see no answers: a cheap edit can still flip one. With
:math:`C = 1` it is the edit of least Frobenius norm; what an edit costs where keys repeat or rank
is short is ``thm:edit-budget``.

References
----------
Meng et al. (2022), arXiv:2202.05262; Bau et al. (2020), arXiv:2007.15646.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "standard; Meng et al. (2022)"

EXACT = "the values wanted at the keys, exactly"
POSITIVE = "a positive definite second moment"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), the values (m, N) to be added there, and the inputs' second moment (n, n)."""

    keys: Array
    values: Array
    moment: Array


def draw(rng: np.random.Generator, size: int) -> Case:
    """One key or several, up to the dimension; inputs of condition up to 100; 12 decades."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    facts = int(rng.integers(1, min(n, 16) + 1))
    frame, spread = orthonormal(rng, n, n), 10.0 ** rng.uniform(-2, 0, n)
    keys = orthonormal(rng, n, facts) @ (2 * np.eye(facts) + orthonormal(rng, facts, facts) / 2)
    scales = 10.0 ** rng.integers(-2, 3, 3)
    values = scales[0] * rng.standard_normal((m, facts))
    return Case(scales[1] * keys, values, scales[2] * (frame * spread) @ frame.T)


def _read(case: Case) -> tuple[Array, Array]:
    """``C^-1 K`` and ``S = K' C^-1 K``."""
    reads = array_namespace(case.keys).linalg.solve(case.moment, case.keys)
    return reads, case.keys.T @ reads


def bound(case: Case) -> float:
    """The price of the values at these keys."""
    xp, inner = array_namespace(case.keys), _read(case)[1]
    return float(xp.sum(case.values * xp.linalg.solve(inner, case.values.T).T))


def attain(case: Case) -> LowRank:
    """Read each key by its dual under the inverse second moment."""
    reads, inner = _read(case)
    return LowRank(case.values, array_namespace(reads).linalg.solve(inner, reads.T))


def measure(case: Case, edit: LowRank) -> float:
    """Mean squared change of the outputs over the inputs."""
    xp = array_namespace(case.keys)
    return float(xp.sum((edit.up.T @ edit.up) * (edit.down @ case.moment @ edit.down.T)))


scale = bound


def condition(case: Case) -> float:
    """Condition number of the inverses taken on the way."""
    values = array_namespace(case.keys).linalg.svdvals
    keys, inputs = values(case.keys), values(case.moment)
    return float(keys[0] / keys[-1]) ** 2 * float(inputs[0] / inputs[-1])


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """The optimum, or the least-norm edit, plus anything silent at the keys, 1e-12 to 1."""
    best, inverse = attain(case), np.linalg.pinv(case.keys)
    if rng.random() < 0.5:
        best = LowRank(case.values, inverse)
    extra = gaussian(rng, *best.shape, 2, 10.0 ** int(rng.integers(-12, 1)))
    extra = extra * float(np.linalg.norm(best.up) * np.linalg.norm(best.down)) / max(best.shape)
    # Without its answers at the keys the extra part leaves the edit exact.
    return best + LowRank(extra.up, extra.down - (extra.down @ case.keys) @ inverse)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """From a random exact edit, least squares in all directions that the keys do not see."""
    facts, start = case.keys.shape[1], rival(case, rng).dense()
    unseen = np.linalg.svd(case.keys)[0][:, facts:]
    root = np.linalg.cholesky(case.moment)  # tr D C D' is the squared norm of D @ root
    step = np.linalg.lstsq((unseen.T @ root).T, (start @ root).T, rcond=None)[0].T
    return LowRank(start - step @ unseen.T, np.eye(start.shape[1]))


def _exact(case: Case, edit: LowRank) -> bool:
    xp = array_namespace(case.keys)
    norm = xp.linalg.matrix_norm
    missed = norm(edit @ case.keys - case.values)
    size = norm(case.values) + norm(edit.up) * norm(edit.down) * norm(case.keys)
    return bool(missed <= SAFETY / 64 * size)


def _positive(case: Case, _: LowRank) -> bool:
    return bool(array_namespace(case.moment).linalg.eigvalsh(case.moment)[0] > 0)


ASSUMPTIONS = {
    POSITIVE: _positive,
    EXACT: _exact,
}


def _example(moment: Array, down: Array) -> tuple[Case, LowRank]:
    return Case(np.eye(2)[:, :1], np.ones((1, 1)), moment), LowRank(np.ones((1, 1)), down)


CONTROLS = (
    Control("write half of it", EXACT, lambda: _example(np.eye(2), np.array([[0.5, 0.0]]))),
    Control(
        "a direction of negative energy",
        POSITIVE,
        lambda: _example(np.diag([1.0, -1.0]), np.array([[1.0, 1.0]])),
    ),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
