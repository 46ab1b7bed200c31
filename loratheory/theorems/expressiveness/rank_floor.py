r"""Rank-r floor: the least squared error of any adapter of rank `r`, and the one that meets it.

**Statement.** The squared error of an adapter of rank at most r on given inputs is at least that of
the best matrix plus the energy beyond rank r of what this matrix answers there; the truncation of
its answers, read from the inputs, attains it.

Let the columns of :math:`K \in \mathbb{R}^{n \times N}` be inputs and those of :math:`R \in
\mathbb{R}^{m \times N}` what is wanted there, those of several tasks side by side, and let
:math:`C = L L^\top \succeq 0` weigh what should not change: a ridge, or the second moment of other
inputs. With :math:`X = [K\; L]` and :math:`Y = [R\; 0]` every :math:`\Delta` of rank at most
:math:`r` has

.. math::
    \|\Delta K - R\|_F^2 + \operatorname{tr} \Delta C \Delta^\top \;\ge\;
    \|Y (1 - X^+ X)\|_F^2 + \sum_{i > r} \sigma_i(Y X^+ X)^2,

with equality at :math:`\mathrm{LR}_r(Y X^+ X)\, X^+`. This is reduced-rank ridge regression.

**Proof.** The left side is :math:`\|\Delta X - Y\|_F^2`. :math:`P = X^+ X` projects on the rows of
:math:`X`, and :math:`\Delta X P = \Delta X`, so :math:`\Delta X - Y = (\Delta X - Y P) - Y (1 - P)`
splits into orthogonal parts. The second is the first term; :math:`\Delta X` has rank at most
:math:`r`, so Eckart and Young bound the first part by the sum. The rows of :math:`\mathrm{LR}_r(Y
P)` lie in those of :math:`P`, so :math:`\Delta = \mathrm{LR}_r(Y P)\, X^+` has :math:`\Delta X =
\mathrm{LR}_r(Y P)`. Each corollary below names its :math:`X` and :math:`Y`. :math:`\square`

**Corollary (edit budget).** An update of rank at most r misses edits by a squared error of at least
the contradiction (what no matrix can yield at the edited keys) plus the shortage (the energy of the
reachable rest beyond rank r), and some update by no more.

:math:`C = 0`. The edits are exactly possible iff :math:`\ker K \subseteq \ker R` and :math:`r \ge
\operatorname{rank} R`.

**Corollary (batch edit).** An edit of rank at most r that should answer keys K with values R misses
them and disturbs inputs of positive definite second moment C, in squares together, by at least tr R
(1 + K' C^-1 K)^-1 R' plus the energy beyond rank r of R K' (C + KK')^-1/2; MEMIT's edit, truncated
where C + KK' is white, attains it.

By Woodbury's identity :math:`Y (1 - P) Y^\top = R (1 - K^\top (C + K K^\top)^{-1} K) R^\top` is
:math:`R (1 + K^\top C^{-1} K)^{-1} R^\top`, and :math:`Y P` has the singular values of :math:`R
K^\top (C + K K^\top)^{-1/2}`.

**Corollary (least-change edit).** An edit that gives exactly the values R at keys K, if there is
one, moves the outputs over inputs of positive definite second moment C, in mean square, by at least
tr R (K' C^-1 K)⁺ R', which ROME, R (K' C^-1 K)⁺ K' C^-1, attains.

An exact edit misses nothing however its keys are weighed, so the batch edit of :math:`tK` and
:math:`tR` gives :math:`\operatorname{tr} \Delta C \Delta^\top \ge \operatorname{tr} R (t^{-2} +
K^\top C^{-1} K)^{-1} R^\top` for every :math:`t`: let it grow. Equality at the edit named, alone,
as the price is strictly convex.

**Corollary (merge floor).** One adapter of rank at most r has a mean squared distance from k
updates of at least disagreement (their variance around their mean) plus truncation (the mean's
energy beyond rank r), and the truncated mean has no more.

:math:`K = [1 \dots 1] / \sqrt k` and :math:`R = [\Delta_1 \dots \Delta_k] / \sqrt k`, so :math:`Y
P` repeats the mean; the truncated mean meets the floor.

**Corollary (covariance floor).** On inputs of given second moments one adapter of rank at most r
errs on k tasks, in mean square, by at least what no matrix avoids plus the energy beyond rank r of
what RegMean's merge, the data-weighted mean, answers there.

:math:`K = [L_1 \dots L_k] / \sqrt k` with :math:`C_j = L_j L_j^\top`, :math:`R = [\Delta_1 L_1
\dots \Delta_k L_k] / \sqrt k`. If all that is known is :math:`C_j \preceq \lambda`, the loss is
worst at :math:`C_j = \lambda`: the best guarantee is :math:`\lambda` times the merge floor.

**Corollary (factor asymmetry).** With one factor frozen the least mean squared error is the energy
of the target's answers less the part that is linear in what the frozen rows read (down) or lies in
the span of the frozen columns (up).

Rows in the span of a frame :math:`Q` read :math:`K = Q^\top X` at no limit on the rank; columns in
that of a frame :math:`U` leave :math:`(1 - U U^\top) \Delta X`. A random :math:`U` of :math:`r`
columns loses the share :math:`1 - r/m` on average, as :math:`\mathbb{E}\, U U^\top = \frac rm 1`.

**Corollary (quantised floor).** Rounding adapters by a root mean squared error ε, the mean over the
adapters, moves the root of their merge floor by at most ε, whatever rank and number.

The root of the floor is a distance to a closed set, so it is 1-Lipschitz: the optimal merge of the
rounded adapters errs on the true ones by at most the root floor plus :math:`2\varepsilon`. Moving
all tasks straight towards the optimal merge reaches :math:`\varepsilon`, up to the root floor.

**What it tells someone who merges adapters.** What one adapter of rank r must lose is known before
any merge: compute the floor, and if a rule is near it, no better rule helps, only more rank, a
router, or the inputs' second moments. One rank holds one exact independent fact; two adapters that
edit one key to different values contradict each other at every rank; rounding below the floor is
harmless; a frozen random factor costs its share before any training.

**What it does not say.** It bounds squared errors, not answers: `argmax` can be right with far less
rank, and the mean, optimal for the merge floor, can lose the two-hop answer
(``thm:two-read-region``). Second moments change when earlier layers are merged too.

References
----------
Eckart and Young (1936); Penrose (1956); Anderson (1951); Izenman (1975). Edits: Meng et al.
arXiv:2202.05262 (ROME), arXiv:2210.07229 (MEMIT). RegMean (arXiv:2212.09849) is the covariance
floor without a limit on the rank. Frozen factors: Zhu et al., arXiv:2402.16842.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from loratheory.lowrank import EPS, Array, LowRank, array_namespace, gaussian, orthonormal, total
from loratheory.theorems._arrays import alternating, norm, nudged
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "reduced-rank regression (Anderson 1951; Izenman 1975), with its named special cases"

RANK = "rank(adapter) <= r"
EXACT = "the values wanted at the keys, exactly"
POSITIVE = "a positive definite second moment"
KEPT = "the frozen factor kept: rows (columns) in the span of its frame"
CLOSE = "rounded adapters within the error of the case in the mean"
COUNT = "one rounded adapter for each task"


class Split(NamedTuple):
    """Error of the best matrix, its outputs, and a map from outputs to the adapter giving them."""

    missed: float
    answers: LowRank
    adapter: Callable[[LowRank], LowRank]
    condition: float = 1.0


def _energy(array: Array) -> float:
    return float(array_namespace(array).sum(array**2))


def regression(inputs: Array, wanted: Array, clear: float) -> Split:
    """Return the split of `wanted` into a part that is linear in `inputs` and the rest.

    Singular values of `inputs` below `clear` times the largest count as zero.
    """
    left, sigma, right = array_namespace(inputs).linalg.svd(inputs, full_matrices=False)
    keep = sum(float(s) > clear * float(sigma[0]) for s in sigma)
    left, sigma, right = left[:, :keep], sigma[:keep], right[:keep, :]
    seen = LowRank(wanted @ right.T, right)
    condition = float(sigma[0]) / float(sigma[-1]) if keep else 1.0
    missed = _energy(wanted - seen.dense())
    # X^+ = V (1/sigma) U', applied to the factor alone: no dense inverse is formed
    return Split(
        missed, seen, lambda y: LowRank(y.up, y.down @ right.T / sigma @ left.T), condition
    )


@dataclass(frozen=True, eq=False)
class Case:
    """Keys (n, N), wanted values (m, N), the rank, and second moment (n, n) of other inputs."""

    keys: Array
    values: Array
    rank: int
    moment: Array | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the moment is not positive definite: some change would be free."""
        if self.moment is not None:
            least = float(array_namespace(self.moment).linalg.eigvalsh(self.moment)[0])
            if least <= 0:
                message = f"the second moment has eigenvalue {least:.3g}: add a positive ridge"
                raise ValueError(message)

    @property
    def samples(self) -> tuple[Array, Array]:
        """Matrices X and Y of the statement."""
        if self.moment is None:
            return self.keys, self.values
        xp = array_namespace(self.keys)
        nothing = 0 * self.values[:, :1] @ self.moment[:1, :]
        inputs = xp.concat([self.keys, xp.linalg.cholesky(self.moment)], axis=1)
        return inputs, xp.concat([self.values, nothing], axis=1)

    def split(self) -> Split:
        """Return Y split into its part in the row space of X and the rest."""
        return regression(*self.samples, max(self.keys.shape) * EPS)

    def error(self, update: LowRank) -> float:
        """Return the squared error at the keys plus the mean squared change on other inputs."""
        missed = _energy(update @ self.keys - self.values)
        return missed if self.moment is None else missed + disturbed(update, self.moment)

    @property
    def energy(self) -> float:
        """Squared error without an adapter."""
        return _energy(self.values)


def disturbed(update: LowRank, moment: Array) -> float:
    """Return the mean squared change of the outputs over inputs of second moment `moment`."""
    xp = array_namespace(moment)
    return float(xp.sum((update.up.T @ update.up) * (update.down @ moment @ update.down.T)))


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
        mean = self.mean
        return Split(self.error(mean), mean, lambda answers: answers)

    def error(self, adapter: LowRank) -> float:
        """Return the mean squared error over the tasks."""
        if self.inputs is None:
            errors = [(adapter - task).norm ** 2 for task in self.updates]
        else:
            pairs = zip(self.updates, self.inputs, strict=True)
            errors = [_energy(adapter @ x - low @ x) for low, x in pairs]
        return sum(errors) / len(errors)

    @property
    def energy(self) -> float:
        """Energy of the wanted outputs, summed over the tasks."""
        nothing = LowRank(self.updates[0].up[:, :0], self.updates[0].down[:0, :])
        return self.error(nothing) * len(self.updates)


@dataclass(frozen=True, eq=False)
class Frozen:
    """Wanted update, inputs (n, s), orthonormal frozen factor (n, r) or (m, r), and which it is."""

    target: LowRank
    inputs: Array
    frame: Array
    frozen: Literal["down", "up"]

    @property
    def rank(self) -> int:
        """Rank r of the frozen factor."""
        return int(self.frame.shape[1])

    def split(self) -> Split:
        """Return the wanted outputs split into what the frozen factor can answer and the rest."""
        size, wanted = self.inputs.shape[1] ** 0.5, self.target @ self.inputs
        if self.frozen == "down":
            reads = self.frame.T @ self.inputs / size
            part = regression(reads, wanted / size, max(self.inputs.shape) * EPS)
            return part._replace(
                adapter=lambda answers: LowRank(part.adapter(answers).dense(), self.frame.T)
            )
        best = LowRank(self.frame, (self.target.T @ self.frame).T)
        return Split(
            self.error(best), LowRank(self.frame, best.down @ self.inputs / size), lambda _: best
        )

    def error(self, adapter: LowRank) -> float:
        """Return the mean squared error over the inputs."""
        return _energy(self.target @ self.inputs - adapter @ self.inputs) / self.inputs.shape[1]

    @property
    def energy(self) -> float:
        """Mean energy of the wanted outputs."""
        return _energy(self.target @ self.inputs) / self.inputs.shape[1]


Floored = Case | Tasks | Frozen


def draw_edits(rng: np.random.Generator, size: int) -> Case:
    """Draw more or fewer keys than dimensions, at times repeated, and values of any rank."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    count = int(rng.integers(1, min(size + 3, 32)))
    keys = rng.standard_normal((n, count)) * 10.0 ** int(rng.integers(-6, 7))
    if rng.random() < 0.3:
        keys = keys[:, rng.integers(0, count, count)]  # some keys twice
    scale, width = 10.0 ** int(rng.integers(-6, 7)), int(rng.integers(0, count + 1))
    values = gaussian(rng, m, count, width, scale).dense()
    return Case(keys, values, int(rng.integers(0, min(m, n, count) + 1)))


def _moment(rng: np.random.Generator, n: int) -> Array:
    frame, spread = orthonormal(rng, n, n), 10.0 ** rng.uniform(-2, 0, n)
    return (frame * spread) @ frame.T


def draw_batch(rng: np.random.Generator, size: int) -> Case:
    """Draw more or fewer keys than dimensions, values, and a weak or strong second moment."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    facts, moment = int(rng.integers(1, min(size + 3, 32))), _moment(rng, n)
    values = 10.0 ** int(rng.integers(-6, 7)) * rng.standard_normal((m, facts))
    weight = 10.0 ** rng.uniform(-2, 2) / np.trace(moment)
    rank = int(rng.integers(0, min(m, n, facts) + 1))
    return Case(rng.standard_normal((n, facts)), values, rank, weight * moment)


def draw_tasks(rng: np.random.Generator, size: int) -> Tasks:
    """Draw updates of several tasks that are identical, nearly equal or unrelated."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    width = int(rng.integers(0, min(m, n, 16) + 1))
    scale, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.0, 1e-8, 1.0]))
    base = gaussian(rng, m, n, width, scale)
    updates = tuple(base + spread * gaussian(rng, m, n, width, scale) for _ in range(k))
    return Tasks(updates, int(rng.integers(0, min(m, n, 16) + 1)))


def draw_tasks_on_inputs(rng: np.random.Generator, size: int) -> Tasks:
    """Draw tasks with few or many inputs of unequal variances, shared or of each task's own."""
    tasks = draw_tasks(rng, size)
    n = tasks.updates[0].shape[1]
    seen = int(rng.integers(1, min(n, 32) + 1))
    colour = 10.0 ** rng.uniform(-2, 0, seen)
    inputs = [orthonormal(rng, n, seen) * colour for _ in tasks.updates]
    shared = inputs[:1] * len(inputs) if rng.random() < 0.3 else inputs
    return Tasks(tasks.updates, tasks.rank, tuple(shared))


def draw_frozen(rng: np.random.Generator, size: int) -> Frozen:
    """Draw a target, inputs of unequal variances, and a random frozen factor, down or up."""
    m, n, samples = rng.integers(1, size + 1, 3).tolist()
    target = gaussian(rng, m, n, int(rng.integers(1, size + 1)), 10.0 ** int(rng.integers(-6, 7)))
    inputs = rng.standard_normal((n, samples)) * 10.0 ** rng.uniform(-2, 0, (n, 1))
    frozen: Literal["down", "up"] = "down" if rng.random() < 0.5 else "up"
    side = n if frozen == "down" else m
    return Frozen(
        target, inputs, orthonormal(rng, side, int(rng.integers(1, min(side, 16) + 1))), frozen
    )


def draw(rng: np.random.Generator, size: int) -> Floored:
    """Draw edits, with or without other inputs to preserve, or tasks, with or without data."""
    kinds = (draw_edits, draw_batch, draw_tasks, draw_tasks_on_inputs)
    return kinds[int(rng.integers(4))](rng, size)


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
    return nudged(rng, attain(case), case.rank)


def adversary(case: Case | Tasks, rng: np.random.Generator) -> LowRank:
    """Return an adapter fitted to X and Y by alternating least squares."""
    inputs, wanted = case.samples
    return alternating(rng, wanted, case.rank, reads=inputs)


ASSUMPTIONS = {RANK: lambda case, adapter: adapter.width <= case.rank}

_ONE = np.eye(2)
_WHOLE = LowRank(_ONE, _ONE)
_AXES = (LowRank(_ONE[:, :1], _ONE[:1]), LowRank(_ONE[:, 1:], _ONE[1:]))


def _too_rich(case: Floored) -> tuple[Control[Any, Any], ...]:
    best = _WHOLE / 2 if isinstance(case, Case) and case.moment is not None else _WHOLE
    return (Control("spend rank 2 where 1 is allowed", RANK, lambda: (case, best)),)


CONTROLS = _too_rich(Case(_ONE, _ONE, 1))


# The least-change edit: no limit on the rank, but exact values


@dataclass(frozen=True, eq=False)
class LeastChange:
    """Keys (n, N), values (m, N) to add at them, and second moment (n, n) of the inputs."""

    keys: Array
    values: Array
    moment: Array


def draw_exact(rng: np.random.Generator, size: int) -> LeastChange:
    """Draw keys, some of them twice, values for them, and a positive definite second moment."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    facts = int(rng.integers(1, min(n, 16) + 1))
    keys = orthonormal(rng, n, facts) @ (2 * np.eye(facts) + orthonormal(rng, facts, facts) / 2)
    scales = 10.0 ** rng.integers(-2, 3, 3)
    values = scales[0] * rng.standard_normal((m, facts))
    if rng.random() < 0.2:  # a key twice, with one value
        keys, values = (np.concatenate([a, a[:, :1]], axis=1) for a in (keys, values))
    return LeastChange(scales[1] * keys, values, scales[2] * _moment(rng, n))


def price(case: LeastChange) -> float:
    """Return tr R (KᵀC⁻¹K)⁺ Rᵀ, the least mean squared change of outputs of an exact edit."""
    xp = array_namespace(case.keys)
    inner = case.keys.T @ xp.linalg.solve(case.moment, case.keys)
    return float(xp.sum(case.values * (case.values @ xp.linalg.pinv(inner, rtol=1e-10))))


def rome(case: LeastChange) -> LowRank:
    """Return ROME's edit R (KᵀC⁻¹K)⁺ KᵀC⁻¹, as the least-norm edit in white coordinates."""
    xp = array_namespace(case.keys)
    root = xp.linalg.cholesky(case.moment)
    white = regression(xp.linalg.solve(root, case.keys), case.values, 1e-8)
    best = white.adapter(white.answers)
    return LowRank(best.up, xp.linalg.solve(root.T, best.down.T).T)


def _condition_of_exact(case: LeastChange) -> float:
    spectra = map(array_namespace(case.keys).linalg.svdvals, (case.keys, case.moment))
    keys, inputs = ([float(s) for s in sigma if s > 1e-8 * sigma[0]] for sigma in spectra)
    return (keys[0] / keys[-1]) ** 2 * inputs[0] / inputs[-1]


def other_exact(case: LeastChange, rng: np.random.Generator) -> LowRank:
    """Return ROME's or the least-norm edit plus an update that is zero at the keys."""
    best, inverse = rome(case), np.linalg.pinv(case.keys, rcond=1e-10)
    if rng.random() < 0.5:
        best = LowRank(case.values, inverse)
    extra = gaussian(rng, *best.shape, 2, 10.0 ** int(rng.integers(-12, 1)))
    extra = extra * float(np.linalg.norm(best.up) * np.linalg.norm(best.down)) / max(best.shape)
    # Without its answers at the keys the extra part leaves the edit exact.
    return best + LowRank(extra.up, extra.down - (extra.down @ case.keys) @ inverse)


def least_squares(case: LeastChange, rng: np.random.Generator) -> LowRank:
    """Return the exact edit of least change that least squares finds from a random exact edit."""
    start, (left, sigma, _) = other_exact(case, rng).dense(), np.linalg.svd(case.keys)
    unseen = left[:, np.count_nonzero(sigma > 1e-8 * sigma[0]) :]
    root = np.linalg.cholesky(case.moment)  # tr D C D' is the squared norm of D @ root
    step = np.linalg.lstsq((unseen.T @ root).T, (start @ root).T, rcond=None)[0].T
    return LowRank(start - step @ unseen.T, np.eye(start.shape[1]))


def _exact(case: LeastChange, edit: LowRank) -> bool:
    missed = norm(edit @ case.keys - case.values)
    size = norm(case.values) + norm(edit.up) * norm(edit.down) * norm(case.keys)
    return missed <= SAFETY / 64 * size


def _positive(case: LeastChange, _: LowRank) -> bool:
    return bool(array_namespace(case.moment).linalg.eigvalsh(case.moment)[0] > 0)


def _inexact(moment: Array, *down: float) -> tuple[LeastChange, LowRank]:
    one = np.ones((1, 1))
    return LeastChange(_ONE[:, :1], one, moment), LowRank(one, np.array([down]))


# A frozen factor


def other_factor(case: Frozen, rng: np.random.Generator) -> LowRank:
    """Return the frozen factor times a random other factor, or times the best one perturbed."""
    best, up = attain(case), case.frozen == "up"
    trained = best.down if up else best.up
    noise, size = rng.standard_normal(trained.shape), 10.0 ** rng.integers((-6, -12), (7, 1))
    trained = size[0] * noise if rng.random() < 0.5 else trained * (1 + size[1] * noise)
    return LowRank(best.up, trained) if up else LowRank(trained, best.down)


def by_least_squares(case: Frozen, _: np.random.Generator) -> LowRank:
    """Return the frozen factor times the other one, which LAPACK fits by least squares."""
    wanted, frame = case.target @ case.inputs, case.frame
    if case.frozen == "down":
        reads = (frame.T @ case.inputs).T
        return LowRank(np.linalg.lstsq(reads, wanted.T, rcond=1e-10)[0].T, frame.T)
    answers = np.linalg.lstsq(frame, wanted, rcond=None)[0]
    return LowRank(frame, np.linalg.lstsq(case.inputs.T, answers.T, rcond=1e-10)[0].T)


def _kept(case: Frozen, adapter: LowRank) -> bool:
    low = adapter if case.frozen == "up" else adapter.T
    outside = LowRank(low.up - case.frame @ (case.frame.T @ low.up), low.down)
    return outside.norm <= SAFETY / 64 * adapter.norm


def _thawed(frozen: Literal["down", "up"]) -> tuple[Frozen, LowRank]:
    return Frozen(_WHOLE, _ONE, _ONE[:, :1], frozen), _WHOLE


# Rounded adapters


@dataclass(frozen=True)
class Rounding:
    """Tasks' updates, the rank of the merge, and the root mean squared error of rounding them."""

    updates: tuple[LowRank, ...]
    rank: int
    error: float

    @cached_property
    def floor(self) -> float:
        """Root of the merge floor of the unrounded updates."""
        return _root_floor(self.updates, self.rank)


Rounded = tuple[LowRank, ...]


def _root_floor(updates: Rounded, rank: int) -> float:
    return max(0.0, bound(Tasks(updates, rank))) ** 0.5


def draw_rounding(rng: np.random.Generator, size: int) -> Rounding:
    """Draw tasks, and a rounding error from 1e-6 of the root of their floor up to all of it."""
    k, (m, n) = int(rng.integers(2, 5)), rng.integers(2, size + 2, 2).tolist()
    width, magnitude = int(rng.integers(1, min(m, n, 8) + 1)), 10.0 ** int(rng.integers(-6, 7))
    updates = tuple(gaussian(rng, m, n, width, magnitude) for _ in range(k))
    rank = int(rng.integers(0, min(m, n, 8) + 1))
    return Rounding(updates, rank, _root_floor(updates, rank) * 10.0 ** float(rng.uniform(-6, 0)))


def nearer(case: Rounding) -> Rounded:
    """Return the tasks' updates moved towards the optimal merge, by ε in root mean square."""
    best = attain(Tasks(case.updates, case.rank))
    share = case.error / case.floor if case.floor else 0.0
    return tuple(total([low, best], [1 - share, share]) for low in case.updates)


def rounded_anyhow(case: Rounding, rng: np.random.Generator) -> Rounded:
    """Return the tasks' updates plus random errors of ε in root mean square."""
    m, n = case.updates[0].shape
    errors = [gaussian(rng, m, n, min(m, n), float(rng.random()) + 0.1) for _ in case.updates]
    size = case.error / (sum(e.norm**2 for e in errors) / len(errors)) ** 0.5 * (1 - 1e-12)
    return tuple(low + size * e for low, e in zip(case.updates, errors, strict=True))


def _moved_floor(case: Rounding, rounded: Rounded) -> float:
    return abs(_root_floor(rounded, case.rank) - case.floor)


def _size(case: Rounding) -> float:
    return max(low.norm for low in case.updates) + case.error


def _close(case: Rounding, rounded: Rounded) -> bool:
    pairs = zip(rounded, case.updates, strict=False)
    mean = sum((new - old).norm ** 2 for new, old in pairs) / len(case.updates)
    return mean**0.5 <= case.error + SAFETY * _size(case)


THEOREM: Theorem[Floored, LowRank] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("edit budget", draw=draw_edits),
    THEOREM.clause("batch edit", draw=draw_batch, controls=_too_rich(Case(_ONE, _ONE, 1, _ONE))),
    THEOREM.clause(
        "least-change edit",
        draw=draw_exact,
        bound=price,
        attain=rome,
        measure=lambda case, edit: disturbed(edit, case.moment),
        scale=price,
        condition=_condition_of_exact,
        rival=other_exact,
        adversary=least_squares,
        assumptions={POSITIVE: _positive, EXACT: _exact},
        controls=(
            Control("write half of it", EXACT, partial(_inexact, _ONE, 0.5, 0.0)),
            Control(
                "a direction of negative energy",
                POSITIVE,
                partial(_inexact, np.diag([1.0, -1.0]), 1.0, 1.0),
            ),
        ),
    ),
    THEOREM.clause("merge floor", draw=draw_tasks, controls=_too_rich(Tasks((_WHOLE,), 1))),
    THEOREM.clause(
        "covariance floor",
        draw=draw_tasks_on_inputs,
        controls=_too_rich(Tasks((_WHOLE,), 1, (np.diag([2.0, 1.0]),))),
    ),
    THEOREM.clause(
        "factor asymmetry",
        draw=draw_frozen,
        rival=other_factor,
        adversary=by_least_squares,
        assumptions={KEPT: _kept},
        controls=(
            Control("train the frozen down too", KEPT, partial(_thawed, "down")),
            Control("train the frozen up too", KEPT, partial(_thawed, "up")),
        ),
    ),
    THEOREM.clause(
        "quantised floor",
        uses=("thm:merge-floor",),
        sense="upper",
        draw=draw_rounding,
        bound=lambda case: case.error,
        attain=nearer,
        measure=_moved_floor,
        scale=_size,
        condition=lambda _: 1.0,
        rival=rounded_anyhow,
        adversary=lambda case, rng: max(
            (rounded_anyhow(case, rng) for _ in range(20)), key=partial(_moved_floor, case)
        ),
        assumptions={COUNT: lambda case, rounded: len(rounded) == len(case.updates), CLOSE: _close},
        controls=(
            Control(
                "adapters twice as strong",
                CLOSE,
                lambda: (Rounding(_AXES, 2, 0.1), tuple(2 * low for low in _AXES)),
            ),
            Control("one adapter forgotten", COUNT, lambda: (Rounding(_AXES, 2, 0.1), _AXES[:1])),
        ),
    ),
)
