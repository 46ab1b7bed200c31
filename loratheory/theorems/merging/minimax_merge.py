r"""Minimax merge: what several adapters can be promised at once, by any linear merge.

**Statement.** K adapters are merged into one matrix, and task i has the mean squared error e_i on
its own inputs, under noise of size ε. For convex weights w, let F(w) be the least value of Σ w_i
e_i over all matrices. No linear merge keeps every e_i below max F(w), and the least-squares merge
at the maximising w attains this if it is unique.

Task :math:`i` asks for :math:`\Delta_i x` on inputs :math:`x` of second moments :math:`C_i`. The
inputs arrive as :math:`x + \varepsilon z` with white noise :math:`z`. So a merge :math:`\Delta` has
the error :math:`e_i(\Delta) = \operatorname{tr}(\Delta - \Delta_i) C_i (\Delta - \Delta_i)^\top +
\varepsilon^2 \|\Delta\|_F^2` there. Over the convex weights :math:`w`

.. math:: \max_i e_i(\Delta) \;\ge\; \max_w \, \min_{\Delta'} \sum_i w_i \, e_i(\Delta').

Let :math:`w` be the maximising weights. If :math:`\sum w_i C_i + \varepsilon^2` is regular,
equality holds at the merge :math:`(\sum w_i \Delta_i C_i)(\sum w_i C_i + \varepsilon^2)^+`.
*Without data* (:math:`C_i = I`, :math:`\varepsilon = 0`) this merge is :math:`\sum w_i \Delta_i`.
It is the centre of the smallest ball that holds the updates in the Frobenius norm. The promised
error is the squared radius of this ball, and depends only on inner products of the
:math:`\Delta_i`. For two updates the radius is half their distance. For the corners of an acute
triangle it is more than half the distance of any pair.

**Proof.** The largest error is at least any weighted mean of the errors, which gives the bound. The
:math:`e_i` are convex in :math:`\Delta` and continuous. The weights form a compact convex set, and
the weighted sum is linear in :math:`w`. So Sion's theorem exchanges minimum and maximum, and the
least :math:`\max_i e_i` equals the right side. At the maximising weights the derivative of the
inner minimum along :math:`w_i` is :math:`e_i` of the minimiser (Danskin). As no change of weights
raises the minimum, no :math:`e_i` is above its value. Setting the derivative of the weighted sum
along :math:`\Delta` to zero gives the minimiser. If :math:`\sum w_i C_i + \varepsilon^2` is
singular, there are many minimisers. Only some of them serve a task of weight 0 on inputs that no
other task has. :math:`\square`

**Implication.** Without data the mean gives the best guarantee for two adapters, but not always for
more. Take three equal updates and a different fourth. The best merge gives the fourth half of the
weight, the mean gives it a quarter. A merge that interpolates nearly parallel inputs can grow
without bound; a little noise (:math:`\varepsilon`) prevents this.

**Scope.** Only second moments of inputs and noise enter, so the floor is one of linear merges: a
nonlinear one may use more of what is known about inputs. The error is that of the worst task,
averaged over its inputs. For the worst input, and merges of any kind, see
``thm:data-free-floor``, for the mean over tasks ``thm:covariance-floor``.

References
----------
Sion (1958); the smallest enclosing ball: Elzinga and Hearn (1972). RegMean (arXiv 2212.09849) is
the merge of equal weights. Tasks' scores as quadratic functions of the merge's coefficients: Li et
al. (MAP), ICLR 2025, arXiv 2406.07529.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, total
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own; rests on Sion (1958)"
USES = ("thm:rank-floor",)

ONE = "one merged update, whichever adapter the input belongs to"
REGULAR = "weights at which the least squares merge is unique"
Merges = tuple[LowRank, ...]  # what meets each task's inputs: one merge, repeated


@dataclass(frozen=True, eq=False)
class Case:
    """Tasks' updates and inputs ``x``, of second moments ``x @ x.T``, and the noise ε on them."""

    updates: tuple[LowRank, ...]
    inputs: tuple[Float[Array, "n _"], ...]
    noise: float = 0.0

    @cached_property
    def wanted(self) -> tuple[Array, ...]:
        """Each task's wanted outputs on its own inputs."""
        return tuple(low @ x for low, x in zip(self.updates, self.inputs, strict=True))

    @cached_property
    def weights(self) -> Float[Array, " k"]:
        """Convex weights w whose least weighted mean of errors is largest, found by ascent."""
        k, size = len(self.updates), scale(self)

        def _negated(weights: Float[Array, " k"]) -> tuple[float, Float[Array, " k"]]:
            errors = errors_of(self, merge(self, weights)) / size
            return -float(weights @ errors), -errors

        # the floor is concave in the weights: ascent on the simplex finds its maximum
        summed = {"type": "eq", "fun": lambda w: np.sum(w) - 1}
        limits = {"bounds": [(0, 1)] * k, "constraints": summed}
        precise = {"ftol": 1e-15, "maxiter": 300}
        start = np.full(k, 1 / k)
        result = minimize(_negated, start, jac=True, method="SLSQP", options=precise, **limits)
        weights = np.clip(result.x, 0, 1)
        return weights / np.sum(weights)


def merge(case: Case, weights: Float[Array, " k"]) -> LowRank:
    """Return the least squares merge of the tasks under these weights; costs O(n^3)."""
    moment, terms = seen(case, weights), zip(weights, case.wanted, case.inputs, strict=True)
    answers = sum(float(w) * (y @ x.T) for w, y, x in terms)
    inverse = array_namespace(moment).linalg.pinv(moment, rtol=None)
    return LowRank(answers @ inverse, eye(moment, moment.shape[0]))


def seen(case: Case, weights: Float[Array, " k"]) -> Float[Array, "n n"]:
    """Return Σ w_i C_i + ε², the weighted sum of the inputs' second moments plus the noise's."""
    noise = case.noise**2 * eye(case.inputs[0], case.inputs[0].shape[0])
    return sum((float(w) * (x @ x.T) for w, x in zip(weights, case.inputs, strict=True)), noise)


def errors_of(case: Case, low: LowRank) -> Float[Array, " k"]:
    """Return the error e_i of a merge for each task i, from the moments of inputs and noise."""
    errors = []
    for wanted, x in zip(case.wanted, case.inputs, strict=True):
        # noise on the inputs costs the energy of the whole update
        missed, size = norm(low @ x - wanted), case.noise * norm(low.dense())
        errors.append(missed**2 + size**2)
    return np.array(errors)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw related or unrelated updates, inputs of equal or unequal sizes, and noise or none."""
    k, (m, n) = int(rng.integers(1, 6)), rng.integers(1, min(size, 6) + 1, 2).tolist()
    magnitude, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.1, 1.0]))
    # alike at first, so that a merge is worth something
    base = gaussian(rng, m, n, min(m, n), magnitude)
    updates = []
    for _ in range(k):
        change = gaussian(rng, m, n, 1, spread * magnitude)
        updates.append(base + change * float(rng.uniform(0.1, 2)))
    if rng.random() < 0.2:
        return Case(tuple(updates), (np.eye(n),) * k)
    # without noise all inputs are seen, so that the best merge is unique
    noise, inputs = float(rng.choice([0.0, rng.uniform(0.1, 1)])), []
    for _ in range(k):
        seen_inputs = int(rng.integers(1, n + 1)) if noise else n
        sizes = 10.0 ** rng.uniform(-1, 0, seen_inputs)
        inputs.append(orthonormal(rng, n, seen_inputs) * sizes)
    return Case(tuple(updates), tuple(inputs), noise)


def bound(case: Case) -> float:
    """Return the max over w of the min over merges of Σ w_i e_i, at the case's `weights`."""
    return float(case.weights @ errors_of(case, merge(case, case.weights)))


def attain(case: Case) -> Merges:
    """Return, for every task, the merge at the weights whose floor is largest."""
    return (merge(case, case.weights),) * len(case.updates)


def measure(case: Case, merges: Merges) -> float:
    """Return the largest of the tasks' mean squared errors, averaged over inputs and noise.

    Inputs x and noise z are drawn from finite laws with the moments of the statement: x is a column
    of the task's inputs, and z an axis of either sign, both scaled to these moments.
    """
    worst = 0.0
    for low, asked, inputs in zip(merges, case.updates, case.inputs, strict=True):
        (n, count), error = inputs.shape, 0.0
        noise = case.noise * n**0.5 * eye(inputs, n)
        for j in range(count):
            x = count**0.5 * inputs[:, j : j + 1]
            # both signs of each axis, for each input, are equally likely
            for noisy in (x + noise, x - noise):
                error += norm(low @ noisy - asked @ x) ** 2 / (2 * n * count)
        worst = max(worst, error)
    return worst


def scale(case: Case) -> float:
    """Return the energy of the wanted outputs, the unit of rounding errors."""
    return sum(norm(wanted) ** 2 for wanted in case.wanted)


def noise(case: Case) -> float:
    """Return how far the ascent may stop below the largest floor."""
    return 1e-7 * scale(case)


def rival(case: Case, rng: np.random.Generator) -> Merges:
    """Return the mean, the sum, one adapter, a convex combination, or the best merge perturbed."""
    k, kind = len(case.updates), int(rng.integers(5))
    weights = np.ones(k) / k, np.ones(k), np.eye(k)[0], rng.dirichlet(np.ones(k))
    if kind < 4:
        return (total(list(case.updates), weights[kind].tolist()),) * k
    best, size = attain(case)[0], 10.0 ** int(rng.integers(-8, 1)) * scale(case) ** 0.5
    return (best + gaussian(rng, *best.shape, 1, size),) * k


def adversary(case: Case, rng: np.random.Generator) -> Merges:
    """Return the best merge in 400 steps of subgradient descent on the largest error."""
    dense = [low.dense() for low in case.updates]
    merged = dense[int(rng.integers(len(dense)))]
    best, least = merged, np.inf
    for step in range(400):
        gaps, errors = [], []
        for low, x in zip(dense, case.inputs, strict=True):
            gaps.append((merged - low) @ x)
            errors.append(np.sum(gaps[-1] ** 2) + case.noise**2 * np.sum(merged**2))
        worst = int(np.argmax(errors))
        if errors[worst] < least:
            best, least = merged, errors[worst]
        # the gradient of the largest error is a subgradient of their maximum
        slope = 2 * (gaps[worst] @ case.inputs[worst].T + case.noise**2 * merged)
        merged = merged - slope / (2 * (1 + case.noise**2) * (1 + step / 4))
    return (LowRank(best, np.eye(best.shape[1])),) * len(dense)


def _one(case: Case, merges: Merges) -> bool:
    size = scale(case) ** 0.5
    return all((low - merges[0]).norm <= SAFETY * size for low in merges[1:])


def _regular(case: Case, _: Merges) -> bool:
    moment = seen(case, case.weights)
    spectrum = array_namespace(moment).linalg.eigvalsh(moment)
    return float(spectrum[0]) > 1e-9 * float(spectrum[-1])


ASSUMPTIONS = {ONE: _one, REGULAR: _regular}


def _routed() -> tuple[Case, Merges]:
    one = LowRank(np.eye(1), np.eye(1))
    return Case((one, -one), (np.eye(1),) * 2), (one, -one)


def _left_out() -> tuple[Case, Merges]:
    # The first two differ by 2, whatever the third is given where it is alone: it has no weight,
    # and of the merges that are best at these weights the least one does nothing there.
    first, third = np.eye(2)[:, :1], np.eye(2)[:, 1:]
    rows = first.T, -first.T, 5 * third.T
    case = Case(tuple(LowRank(np.eye(1), row) for row in rows), (first, first, third))
    return case, (merge(case, np.array([0.5, 0.5, 0.0])),) * 3


CONTROLS = (
    Control("a router: each task meets its own adapter", ONE, _routed),
    Control("a task of weight 0 on inputs of its own", REGULAR, _left_out, "tight"),
)

THEOREM: Theorem[Case, Merges] = Theorem.of(__name__)
