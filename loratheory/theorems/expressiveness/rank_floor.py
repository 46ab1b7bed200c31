r"""Rank-r floor: the least squared error of any adapter of rank `r`, and the one that meets it.

**Statement.** On given inputs, let e be the squared error and A the answers of the best matrix of
any rank. Every adapter of rank at most r has a squared error of at least e + Σ_{i>r} σ_i(A)². The
adapter whose answers are A truncated to rank r attains this.

Let the columns of :math:`K \in \mathbb{R}^{n \times N}` be inputs, and those of :math:`R \in
\mathbb{R}^{m \times N}` the outputs wanted there, with several tasks side by side. Let :math:`C = L
L^\top \succeq 0` weigh changes that are not wanted: a ridge, or the second moment of other inputs.
With :math:`X = [K\; L]` and :math:`Y = [R\; 0]` every :math:`\Delta` of rank at most :math:`r` has

.. math::
    \|\Delta K - R\|_F^2 + \operatorname{tr} \Delta C \Delta^\top \;\ge\;
    \|Y (1 - X^+ X)\|_F^2 + \sum_{i > r} \sigma_i(Y X^+ X)^2.

Equality holds at :math:`\mathrm{LR}_r(Y X^+ X)\, X^+`, where :math:`\mathrm{LR}_r` is the
truncation to rank :math:`r`. This is reduced-rank ridge regression.

**Proof.** The left side is :math:`\|\Delta X - Y\|_F^2`. The matrix :math:`P = X^+ X` projects on
the row space of :math:`X`, so :math:`\Delta X P = \Delta X`. Hence :math:`\Delta X - Y = (\Delta X
- Y P) - Y (1 - P)`, and the rows of the two parts are orthogonal. The squared norm of the second
part is the first term of the bound. As :math:`\Delta X` has rank at most :math:`r`, the theorem of
Eckart and Young bounds the first part by the sum. For equality, let :math:`\Delta = \mathrm{LR}_r(Y
P)\, X^+`. The rows of :math:`\mathrm{LR}_r(Y P)` lie in the row space of :math:`X`, so
:math:`\Delta X = \mathrm{LR}_r(Y P)`. The corollaries below are cases of :math:`K`, :math:`R` and
:math:`C`. :math:`\square`

**Corollary (edit budget).** An adapter of rank at most r is to answer edited keys with given
values. Let e be the squared error and A the answers of the best matrix of any rank. The adapter has
a squared error of at least e + Σ_{i>r} σ_i(A)², the contradiction plus the shortage, and some
adapter attains this.

Here :math:`C = 0`. An adapter of rank at most :math:`r` makes all edits exactly iff :math:`\ker K
\subseteq \ker R` and :math:`r \ge \operatorname{rank} R`.

**Corollary (merge floor).** One adapter of rank at most r replaces k updates with mean M. Its mean
squared Frobenius distance from them is at least their variance around M plus Σ_{i>r} σ_i(M)².
Truncating M to rank r attains this.

Here :math:`C = 0`, :math:`K = [1 \dots 1] / \sqrt k` and :math:`R = [\Delta_1 \dots \Delta_k] /
\sqrt k`. Then :math:`Y P` consists of :math:`k` copies of :math:`M / \sqrt k`, and equality holds
at the truncation of :math:`M`.

**Corollary (covariance floor).** One adapter of rank at most r serves k tasks on inputs with known
second moments. Let e be the mean squared error and A the answers of RegMean's merge, the mean of
the updates weighted by these moments. The adapter has a mean squared error of at least e + Σ_{i>r}
σ_i(A)², and some adapter attains this.

Here :math:`K = [L_1 \dots L_k] / \sqrt k` with :math:`C_j = L_j L_j^\top`, and :math:`R = [\Delta_1
L_1 \dots \Delta_k L_k] / \sqrt k`. Suppose that only :math:`C_j \preceq \lambda` is known. Then the
loss is worst at :math:`C_j = \lambda`, and the best guarantee is :math:`\lambda` times the merge
floor.

**Implication.** The floor says, before anything is merged, what one adapter of rank r must lose. If
a merge rule is near the floor, no better rule helps. Only more rank, a router, or the inputs'
second moments can. Each rank holds one exact independent fact. Two adapters that edit one key to
different values contradict each other at every rank.

**Scope.** The theorem bounds squared errors, not answers: `argmax` can be right with far less rank.
The mean of several updates has the least squared error (``thm:merge-floor``), yet it can lose the
two-hop answer (``thm:two-read-region``). Second moments change when earlier layers are merged too.

References
----------
Eckart and Young (1936); Penrose (1956); Anderson (1951); Izenman (1975). Edits: Meng et al.
arXiv:2202.05262 (ROME), arXiv:2210.07229 (MEMIT). RegMean (arXiv:2212.09849) is the covariance
floor without a limit on the rank.

============================================================

Fisher floor: what replacing several updates by one of rank r costs the losses, to second order.

**Statement.** One update of rank at most r replaces the updates of several tasks. Each task's
Fisher matrix is the Kronecker product of its own input moment and an output weight that all tasks
share. In the Fisher weights, its squared distances from the updates add up to at least their spread
around the moment-weighted mean plus this mean's energy beyond rank r. Some update attains this.

Suppose the Hessian or Fisher matrix of task i is the Kronecker product of an input second moment
:math:`M_i = L_i L_i^\top` and an output weight :math:`S = O^\top O`. Near its minimum the loss of
task i then grows by half of :math:`\operatorname{tr} S (\Delta - \Delta_i) M_i (\Delta -
\Delta_i)^\top`. With :math:`M = \sum_i M_i = L L^\top` and :math:`\bar\Delta = (\sum_i \Delta_i
M_i)\, M^+` every :math:`\Delta` of rank at most :math:`r` has

.. math::
    \sum_i \operatorname{tr} S (\Delta - \Delta_i) M_i (\Delta - \Delta_i)^\top \;\ge\;
    \sum_i \operatorname{tr} S (\bar\Delta - \Delta_i) M_i (\bar\Delta - \Delta_i)^\top
    + \sum_{j > r} \sigma_j(O \bar\Delta L)^2.

Equality holds at :math:`O^+ \mathrm{LR}_r(O \bar\Delta L)\, L^+`. Without a limit on the rank the
best merge is :math:`\bar\Delta` for every S. This is RegMean's merge.

**Proof.** Let :math:`X = [L_1 \dots L_K]` and :math:`Y = O\,[\Delta_1 L_1 \dots \Delta_K L_K]`. The
left side is :math:`\|(O \Delta) X - Y\|_F^2`. As :math:`O \Delta` has rank at most :math:`r`,
``thm:rank-floor`` bounds it by :math:`\|Y (1 - X^+ X)\|_F^2 + \sum_{j>r} \sigma_j(Y X^+ X)^2`. From
:math:`X X^\top = M` follows :math:`Y X^+ = Y X^\top M^+ = O \bar\Delta`, and :math:`Y X^+ X = O
\bar\Delta X`. The singular values of this matrix are those of :math:`O \bar\Delta L`. The squared
norm of :math:`Y (1 - X^+ X) = Y - O \bar\Delta X` is the disagreement. For equality, note that the
columns of :math:`\mathrm{LR}_r(O \bar\Delta L)` lie in the column space of :math:`O`, and its rows
in the row space of :math:`L`. The projections :math:`O O^+` and :math:`L^+ L` leave them as they
are, so the stated :math:`\Delta` has :math:`O \Delta L = \mathrm{LR}_r(O \bar\Delta L)`.
:math:`\square`

**Implication.** If all tasks share an output weight, this weight does not change the best merge of
unlimited rank. That merge needs only the updates and the second moments of the inputs. The command
``loratheory merge --method regmean --moments`` computes it. With a limit on the rank, the command
truncates as the equality case does for :math:`S = 1`.

**Scope.** If each task has its own output weight, there is no such formula. The best merge then
solves :math:`\sum_i S_i \Delta M_i = \sum_i S_i \Delta_i M_i`, a linear system in all entries at
once (MaTS). With a limited rank and a general Fisher matrix there is no formula either: weighted
low-rank approximation is NP-hard from rank 1 on. The bound ignores the terms of first and third
order of the losses. Second moments change when earlier layers are merged.

References
----------
RegMean: Jin et al., arXiv 2212.09849. MaTS: Tam, Bansal and Raffel, arXiv 2312.04339. Kronecker
factors: Martens and Grosse, arXiv 1503.05671; of one weight, GFWSVD: arXiv 2505.17974. Hardness:
Gillis and Glineur, arXiv 1012.0197.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, total
from loratheory.shapes import Float
from loratheory.theorems._arrays import fit_alternating, norm, perturb
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "reduced-rank regression (Anderson 1951; Izenman 1975), with its named special cases"

RANK = "rank(adapter) <= r"


class Split(NamedTuple):
    """Error of the best matrix, its outputs, and a map from outputs to the adapter giving them."""

    missed: float
    answers: LowRank
    adapter: Callable[[LowRank], LowRank]
    condition: float = 1.0


def regression(inputs: Array, wanted: Array, clear: float) -> Split:
    """Return the split of `wanted` into a part that is linear in `inputs` and the rest.

    Singular values of `inputs` below `clear` times the largest count as zero.
    """
    xp = array_namespace(inputs)
    left, sigma, right = xp.linalg.svd(inputs, full_matrices=False)
    # directions that no input has are neither fitted nor counted as missed
    keep = int(xp.count_nonzero(sigma > clear * xp.max(sigma)))
    left, sigma, right = left[:, :keep], sigma[:keep], right[:keep, :]
    condition = float(sigma[0] / sigma[-1]) if keep else 1.0
    seen = LowRank(wanted @ right.T, right)

    def _adapter(outputs: LowRank) -> LowRank:
        # X^+ = V (1/sigma) U', applied to the factor alone: no dense inverse is formed
        return LowRank(outputs.up, outputs.down @ right.T / sigma @ left.T)

    return Split(norm(wanted - seen.dense()) ** 2, seen, _adapter, condition)


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), wanted values (m, N) and the rank.

    Where other inputs should change little, the root of their second moment stands beside the keys,
    and zeros beside the values.
    """

    keys: Array
    values: Array
    rank: int

    @property
    def samples(self) -> tuple[Array, Array]:
        """Matrices X and Y of the statement."""
        return self.keys, self.values

    def split(self) -> Split:
        """Return Y split into its part in the row space of X and the rest."""
        return regression(*self.samples, max(self.keys.shape) * 2.0**-52)

    def error(self, update: LowRank) -> float:
        """Return the squared error at the keys."""
        return norm(update @ self.keys - self.values) ** 2

    @property
    def energy(self) -> float:
        """Squared error without an adapter."""
        return norm(self.values) ** 2


@dataclass(frozen=True)
class Tasks:
    """Tasks' own updates, the rank of one adapter for all, and the tasks' inputs if known.

    Task ``j`` has the second moment ``inputs[j] @ inputs[j].T``, the identity without data.
    """

    updates: tuple[LowRank, ...]
    rank: int
    inputs: tuple[Array, ...] | None = None

    @property
    def mean(self) -> LowRank:
        """Exact mean of the updates, without truncation."""
        return total(list(self.updates)) / len(self.updates)

    @property
    def samples(self) -> tuple[Array, Array]:
        """Matrices X and Y of the statement."""
        xp, size = array_namespace(self.updates[0].up), len(self.updates) ** 0.5
        inputs = self.inputs or (np.eye(self.updates[0].shape[1]),) * len(self.updates)
        wanted = [low @ x / size for low, x in zip(self.updates, inputs, strict=True)]
        return xp.concat([x / size for x in inputs], axis=1), xp.concat(wanted, axis=1)

    def split(self) -> Split:
        """Return the wanted outputs split into what the best matrix answers and what it misses."""
        if self.inputs is not None:
            return regression(*self.samples, 1e-8)._replace(condition=1.0)
        # without data every task has white inputs: the best matrix is the mean, and the variance
        # around it follows from the distances of all pairs
        missed = 0.0
        for one, other in combinations(self.updates, 2):
            missed += (one - other).norm ** 2 / len(self.updates) ** 2
        return Split(missed, self.mean, lambda answers: answers)

    def error(self, adapter: LowRank) -> float:
        """Return the mean squared error over the tasks."""
        missed = 0.0
        for number, task in enumerate(self.updates):
            low = adapter - task
            missed += low.norm**2 if self.inputs is None else norm(low @ self.inputs[number]) ** 2
        return missed / len(self.updates)

    @property
    def energy(self) -> float:
        """Energy of the wanted outputs, summed over the tasks."""
        nothing = LowRank(self.updates[0].up[:, :0], self.updates[0].down[:0, :])
        return self.error(nothing) * len(self.updates)


Floored = Case | Tasks


def draw_edits(rng: np.random.Generator, size: int) -> Case:
    """Draw more or fewer keys than dimensions, at times repeated, and values of any rank."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    count = int(rng.integers(1, min(size + 3, 32)))
    keys = rng.standard_normal((n, count)) * 10.0 ** int(rng.integers(-6, 7))
    # a repeated key with two values cannot be answered by any matrix
    if rng.random() < 0.3:
        keys = keys[:, rng.integers(0, count, count)]
    scale, width = 10.0 ** int(rng.integers(-6, 7)), int(rng.integers(0, count + 1))
    # values of low rank make the floor 0 from that rank on
    values = gaussian(rng, m, count, width, scale).dense()
    return Case(keys, values, int(rng.integers(0, min(m, n, count) + 1)))


def draw_tasks(rng: np.random.Generator, size: int) -> Tasks:
    """Draw updates of several tasks that are identical, nearly equal or unrelated."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    width = int(rng.integers(0, min(m, n, 16) + 1))
    scale, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.0, 1e-8, 1.0]))
    # tasks share a base and differ by a known spread
    base = gaussian(rng, m, n, width, scale)
    updates = tuple(base + spread * gaussian(rng, m, n, width, scale) for _ in range(k))
    return Tasks(updates, int(rng.integers(0, min(m, n, 16) + 1)))


def draw_tasks_on_inputs(rng: np.random.Generator, size: int) -> Tasks:
    """Draw tasks with few or many inputs of unequal variances, shared or of each task's own."""
    tasks = draw_tasks(rng, size)
    n = tasks.updates[0].shape[1]
    seen = int(rng.integers(1, min(n, 32) + 1))
    # unequal variances: the floor depends on the inputs
    colour = 10.0 ** rng.uniform(-2, 0, seen)
    inputs = [orthonormal(rng, n, seen) * colour for _ in tasks.updates]
    shared = inputs[:1] * len(inputs) if rng.random() < 0.3 else inputs
    return Tasks(tasks.updates, tasks.rank, tuple(shared))


def draw(rng: np.random.Generator, size: int) -> Floored:
    """Draw edits, or tasks with or without data."""
    kinds = (draw_edits, draw_tasks, draw_tasks_on_inputs)
    return kinds[int(rng.integers(3))](rng, size)


def bound(case: Floored) -> float:
    """Return the best matrix's error plus the energy of its outputs beyond the rank."""
    part = case.split()
    return part.missed + part.answers.tail_energy(case.rank)


def attain(case: Floored) -> LowRank:
    """Return the adapter whose outputs are the truncation of the best matrix's outputs."""
    part = case.split()
    return part.adapter(part.answers.truncated(case.rank))


def measure(case: Floored, adapter: LowRank) -> float:
    """Return the adapter's squared error on the case, the left side of the statement."""
    return case.error(adapter)


def scale(case: Floored) -> float:
    """Return the squared norm of what is wanted, the unit of rounding errors."""
    return case.energy


def condition(case: Floored) -> float:
    """Return the condition number of the inputs that are inverted, as `split` reports it."""
    return case.split().condition


def rival(case: Floored, rng: np.random.Generator) -> LowRank:
    """Return a random adapter of the case's rank, or the best one slightly perturbed."""
    return perturb(rng, attain(case), case.rank)


def adversary(case: Case | Tasks, rng: np.random.Generator) -> LowRank:
    """Return an adapter fitted to X and Y by alternating least squares."""
    inputs, wanted = case.samples
    return fit_alternating(rng, wanted, case.rank, reads=inputs)


ASSUMPTIONS = {RANK: lambda case, adapter: adapter.width <= case.rank}

_ONE = np.eye(2)
_WHOLE = LowRank(_ONE, _ONE)


def _too_rich(case: Floored) -> tuple[Control[Any, Any], ...]:
    return (Control("spend rank 2 where 1 is allowed", RANK, lambda: (case, _WHOLE)),)


CONTROLS = _too_rich(Case(_ONE, _ONE, 1))


# Errors weighted by a Kronecker-factored Fisher matrix

SENSE_FISHER = "lower"
SOURCE_FISHER = "reduced-rank regression; without a rank RegMean (Jin et al. 2023)"
PART_OF_FISHER = "thm:rank-floor"

RANK_FISHER = "rank(merged) <= r"
ALIKE = "one output weight for all tasks"


@dataclass(frozen=True, eq=False)
class Weighted:
    """Tasks' updates, and roots of input moments ``x @ x.T`` and output weights ``o.T @ o``."""

    updates: tuple[LowRank, ...]
    inputs: tuple[Float[Array, "n _"], ...]
    outputs: tuple[Float[Array, "q m"], ...]
    rank: int

    @property
    def whitened(self) -> tuple[Array, Array]:
        """The X and Y of the proof, for the first task's output weight."""
        xp, triples = array_namespace(*self.inputs), zip(self.updates, self.inputs, strict=True)
        wanted = [self.outputs[0] @ (low @ x) for low, x in triples]
        return xp.concat(self.inputs, axis=1), xp.concat(wanted, axis=1)


def draw_fisher(rng: np.random.Generator, size: int) -> Weighted:
    """Draw related or unrelated tasks, with moments and output weights of low or full rank."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    magnitude, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.1, 1.0]))
    base = gaussian(rng, m, n, min(m, n), magnitude)
    updates = tuple(base + gaussian(rng, m, n, 1, spread * magnitude) for _ in range(k))
    seen = rng.integers(1, n + 1, k).tolist()
    # singular moments and weights: only what they see counts
    inputs = tuple(orthonormal(rng, n, t) * 10.0 ** rng.uniform(-1, 0, t) for t in seen)
    weighed = int(rng.integers(1, m + 1))
    outputs = (orthonormal(rng, m, weighed) * 10.0 ** rng.uniform(-1, 0, weighed)).T
    return Weighted(updates, inputs, (outputs,) * k, int(rng.integers(0, min(m, n) + 1)))


def bound_fisher(case: Weighted) -> float:
    """Return the right side of the statement: the disagreement plus the energy beyond rank r."""
    part = regression(*case.whitened, 1e-8)
    return part.missed + part.answers.tail_energy(case.rank)


def attain_fisher(case: Weighted) -> LowRank:
    """Return O⁺ LR_r(O Δ̄ L) L⁺, the moment-weighted mean truncated in white coordinates."""
    part = regression(*case.whitened, 1e-8)
    best = part.adapter(part.answers.truncated(case.rank))
    back = array_namespace(best.up).linalg.pinv(case.outputs[0], rtol=1e-8)
    return LowRank(back @ best.up, best.down)


def measure_fisher(case: Weighted, merged: LowRank) -> float:
    """Return Σ_i tr S_i (Δ − Δ_i) M_i (Δ − Δ_i)ᵀ for Δ = `merged`, with each task's own S_i."""
    triples = zip(case.updates, case.inputs, case.outputs, strict=True)
    return sum(norm(o @ (merged @ x - low @ x)) ** 2 for low, x, o in triples)


def scale_fisher(case: Weighted) -> float:
    """Return ‖Y‖², the energy of the wanted outputs, the unit of rounding errors."""
    return norm(case.whitened[1]) ** 2


def rival_fisher(case: Weighted, rng: np.random.Generator) -> LowRank:
    """Return either mean truncated without whitening, or a random or nearly best update."""
    kind = int(rng.integers(4))
    if kind == 0:
        return (total(list(case.updates)) / len(case.updates)).truncated(case.rank)
    if kind == 1:
        # the weighted mean, truncated as if outputs and inputs were white
        weighed = replace(case, rank=min(case.updates[0].shape))
        return attain_fisher(weighed).truncated(case.rank)
    return perturb(rng, attain_fisher(case), case.rank)


def adversary_fisher(case: Weighted, rng: np.random.Generator) -> LowRank:
    """Return a rank-r fit by alternating least squares, which takes no singular values."""
    inputs, wanted = case.whitened
    return fit_alternating(rng, wanted, case.rank, reads=inputs, writes=case.outputs[0])


def _alike(case: Weighted, _: LowRank) -> bool:
    first, *others = (o.T @ o for o in case.outputs)
    return all(norm(other - first) <= SAFETY * norm(first) for other in others)


ASSUMPTIONS_FISHER = {RANK_FISHER: lambda case, merged: merged.width <= case.rank, ALIKE: _alike}


def _too_rich_fisher() -> tuple[Weighted, LowRank]:
    return Weighted((_WHOLE,), (np.diag([2.0, 1.0]),), (_ONE,), 1), _WHOLE


def _careless() -> tuple[Weighted, LowRank]:
    # The second task does not mind what comes out: the first may have all.
    return Weighted((_WHOLE, -1 * _WHOLE), (_ONE, _ONE), (_ONE, 0 * _ONE), 2), _WHOLE


CONTROLS_FISHER = (
    Control("spend rank 2 where 1 is allowed", RANK_FISHER, _too_rich_fisher),
    Control("a task that does not mind", ALIKE, _careless),
)


THEOREM: Theorem[Floored, LowRank] = Theorem.of(__name__)

FISHER: Theorem[Weighted, LowRank] = Theorem.of(__name__, "fisher floor", "_fisher")

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("edit budget", draw=draw_edits),
    THEOREM.clause("merge floor", draw=draw_tasks, controls=_too_rich(Tasks((_WHOLE,), 1))),
    THEOREM.clause(
        "covariance floor",
        draw=draw_tasks_on_inputs,
        controls=_too_rich(Tasks((_WHOLE,), 1, (np.diag([2.0, 1.0]),))),
    ),
    FISHER,
)
