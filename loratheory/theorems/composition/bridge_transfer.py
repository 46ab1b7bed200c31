r"""Bridge transfer: when a second hop trained with stand-ins answers with an unseen partner.

**Statement.** A linear second hop T with m outputs is known on the states X that stand-ins produce.
Outside the span of X, on which P projects, its slope is at most τ. Let the columns of Z be an
unseen partner's states. For every learner some such T makes the error on Z at least τ√(Σ_{i≤m}
σ_i((1 − P)Z)²), and the error of the least-norm fit is never larger.

At a prompt the residual stream holds the prompt's context :math:`x`. The active first hop :math:`S`
adds its bridge, so that the state is :math:`x + S x`. The second hop is a matrix that reads this
state. It is trained on the states :math:`X` that the stand-ins :math:`S_1, \dots, S_s` produce at
all training prompts, with answers :math:`T X`. It is evaluated at the states :math:`Z` of a
partner's prompts. Let :math:`P` project orthogonally onto the span of the columns of :math:`X`.
Besides the examples, only a bound on the slope of the wanted :math:`T`, which has :math:`m` rows,
is known: :math:`\|T (1 - P)\|_2 \le \tau` for a number :math:`\tau > 0`. A learner is a rule that
turns examples into a matrix :math:`D`. Then, whatever the examples' answers, for every learner
there is such a :math:`T` with

.. math::
    \|D Z - T Z\|_F \;\ge\; \tau \Bigl(\sum_{i \le m} \sigma_i\bigl((1 - P) Z\bigr)^2\Bigr)^{1/2}.

The least-norm fit :math:`T X X^+`, which gradient descent from zero finds, has an error of at most
this bound for every such :math:`T`. So :math:`Z` can be answered exactly for all such :math:`T` iff
:math:`(1 - P) Z = 0`. This holds iff each of the partner's states, context plus bridge, is a linear
combination of states that the stand-ins produced.

**Proof.** Let :math:`u_i` be the left singular vectors of :math:`(1 - P) Z`, and let :math:`N =
\tau \sum_{i \le m} e_i u_i^\top (1 - P)`. Then :math:`N X = 0`, so :math:`T P + N` and :math:`T P -
N` have the same examples. Both obey the bound :math:`\tau`, because :math:`\|N\|_2 \le \tau`. The
learner returns the same :math:`D` for both. With :math:`E = D Z - T P Z`, its errors are :math:`E -
N Z` and :math:`E + N Z`. Their squared norms have the mean :math:`\|E\|_F^2 + \|N Z\|_F^2`. So one
of the two errors is at least :math:`\|N Z\|_F`, which is the right side. The least-norm fit is
:math:`T P`, and its error is :math:`T (1 - P) Z` up to sign. Here :math:`T (1 - P)` has :math:`m`
rows and a norm of at most :math:`\tau`. The product of such a matrix with :math:`(1 - P) Z` has at
most :math:`\tau` times the norm of the :math:`m` largest singular values of :math:`(1 - P) Z`.
:math:`\square`

**Implication.** Train with stand-ins whose states span the states that later partners will produce.
An example adds nothing if its state is a linear combination of the states of other examples. For a
published first hop, the part of its states outside this span can be computed before that first hop
is used.

**Scope.** The theorem does not say that the partner represents a bridge entity in the same way as
the stand-ins. Inside the span, the answer is the same linear combination of the examples' answers
as the state is of the examples' states. If this combination is wrong for the question, so is the
answer. Trained networks read states through normalisation layers and nonlinear units. For such
networks, a state in the span may not suffice.

References
----------
States of the bridge that cluster in transformers that compose: Ye et al. (arXiv 2505.23653). Least
norm by gradient descent: Gunasekar et al. (arXiv 1802.08246). Two hypotheses with the same
data: Le Cam's method.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, thin_svd
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, condition_on_span, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.toy import interpolating

SENSE = "lower"
SOURCE = "own; least-norm interpolation and two hypotheses"
USES = ("thm:least-norm-placement",)

BLIND = "the same answer to the same training examples"
CLEAR = 1e-9  # singular values below this share of the largest count as none


@dataclass(frozen=True, eq=False)
class Case:
    """Training examples of a second hop with stand-ins, and prompts with an unseen partner.

    Columns of `prompts` and `subjects` are states before the first hop, which adds ``stand_in @
    state`` in training and ``partner @ state`` later. `hop` is the second hop on the span of the
    examples' states; outside that span only `slope`, a bound of its spectral norm, is known.
    """

    prompts: Float[Array, "d p"]
    stand_ins: tuple[LowRank, ...]
    subjects: Float[Array, "d q"]
    partner: LowRank
    hop: Float[Array, "m d"]
    slope: float

    @property
    def lessons(self) -> Float[Array, "d n"]:
        """X of the statement: the states of all prompts with each stand-in, as columns."""
        # a stand-in is added to the state
        states = [self.prompts + first @ self.prompts for first in self.stand_ins]
        return array_namespace(self.prompts).concat(states, axis=1)

    @property
    def met(self) -> Float[Array, "d q"]:
        """Z of the statement: the states of all prompts with the partner, as columns."""
        return self.subjects + self.partner @ self.subjects


@dataclass(frozen=True, eq=False)
class Lessons:
    """States, the outputs wanted there, and the true second hop, `hidden` from any fair learner."""

    states: Float[Array, "d n"]
    answers: Float[Array, "m n"]
    hidden: Float[Array, "m d"]


Learner = Callable[[Lessons], Array]


def lost(case: Case) -> Float[Array, "d q"]:
    """Return (1 − P) Z, the partner's states less their part in the span of the lessons' states."""
    states, frame = case.met, thin_svd(case.lessons).above(CLEAR).left
    for _ in range(2):  # the second time removes what rounding left
        states = states - frame @ (frame.T @ states)
    return states


def _states(rng: np.random.Generator, size: int) -> Case:
    d, p, s = rng.integers((2, 1, 1), (size + 5, 4, 5)).tolist()
    m, q = rng.integers(1, (5, min(d, 4) + 1)).tolist()
    prompts = rng.standard_normal((d, p))
    stand_ins = tuple(gaussian(rng, d, d, int(rng.integers(1, 3)), d**-0.5) for _ in range(s))
    case = Case(prompts, stand_ins, orthonormal(rng, d, q), stand_ins[0], np.zeros((m, d)), 0.0)
    # the partner's states: in the span, a little outside, or anywhere
    inside = case.lessons @ rng.standard_normal((s * p, q)) / (s * p) ** 0.5
    apart = rng.standard_normal((d, q)) * float(rng.choice([0.0, 10.0 ** rng.uniform(-9, 0), 1.0]))
    partner = interpolating(case.subjects, inside + apart - case.subjects)
    # lessons that are nearly dependent would measure rounding
    if condition(case) > 100:
        return _states(rng, size)
    return replace(case, partner=partner)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four stand-ins, few or many prompts, and a partner near their span or far off."""
    case = _states(rng, size)
    hop = 10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal(case.hop.shape)
    return replace(case, hop=hop, slope=10.0 ** rng.uniform(-3, 3))


def bound(case: Case) -> float:
    """Return τ times the norm of the m largest singular values of (1 − P) Z."""
    sigma = array_namespace(case.prompts).linalg.svdvals(lost(case))
    # m outputs can lose m directions at once
    return case.slope * norm(sigma[: min(case.hop.shape[0], sigma.shape[0])])


def worlds(case: Case) -> tuple[Array, Array]:
    """Return two second hops with the same lessons that differ most at the partner's states."""
    xp, states, met = array_namespace(case.prompts), case.lessons, case.met
    inside = states @ xp.linalg.pinv(states, rtol=CLEAR)
    outside = met - inside @ met
    # the directions of the partner's states that no lesson has, the largest first
    vectors = xp.flip(xp.linalg.eigh(outside @ outside.T)[1], axis=1)
    rows = min(case.hop.shape[0], vectors.shape[1])
    turn = vectors[:, :rows].T - vectors[:, :rows].T @ inside
    turn = xp.concat([turn, 0 * case.hop[rows:, :]], axis=0)
    known = case.hop @ inside
    return known + case.slope * turn, known - case.slope * turn


def measure(case: Case, learner: Learner) -> float:
    """Return the learner's error ‖DZ − TZ‖ for the T of `worlds` for which it is larger."""
    # both worlds give the learner the same lessons
    errors, states = [], case.lessons
    for hop in worlds(case):
        error = (learner(Lessons(states, hop @ states, hop)) - hop) @ case.met
        errors.append(norm(error))
    return max(errors)


def scale(case: Case) -> float:
    """Return a bound of the second hop's outputs, the unit of rounding errors."""
    return (norm(case.hop) + case.slope) * (norm(case.met) + norm(case.lessons))


def condition(case: Case) -> float:
    """Return the condition number of the lessons' states on their span."""
    return condition_on_span(case.lessons, CLEAR)


def least_norm(lessons: Lessons) -> Array:
    """Return the second hop of least norm that fits the lessons, by a pseudo-inverse."""
    return lessons.answers @ array_namespace(lessons.states).linalg.pinv(lessons.states, rtol=CLEAR)


def attain(_: Case) -> Learner:
    """Return the learner that fits any lessons by the second hop of least norm."""
    return least_norm


def _and(extra: Array, lessons: Lessons) -> Array:
    return least_norm(lessons) + beside(lessons.states, extra)


def rival(case: Case, rng: np.random.Generator) -> Learner:
    """Return a least-norm learner that adds a fixed random matrix to what it fits."""
    start = 10.0 ** int(rng.integers(-9, 1)) * case.slope * rng.standard_normal(case.hop.shape)
    return partial(_and, start)


def adversary(case: Case, rng: np.random.Generator) -> Learner:
    """Return a learner that ignores its lessons: one second hop fitted to both worlds' outputs."""
    # half of what both worlds want: the best that a blind learner can say
    states = np.hstack([case.met, case.met])
    wanted = np.hstack([hop @ case.met for hop in worlds(case)])
    start = case.slope * rng.standard_normal(case.hop.shape)
    fitted = start + np.linalg.lstsq(states.T, (wanted - start @ states).T)[0].T
    return lambda lessons: beside(lessons.states, fitted)


def _blind(case: Case, learner: Learner) -> bool:
    states = case.lessons
    one, other = (learner(Lessons(states, hop @ states, hop)) for hop in worlds(case))
    return norm((one - other) @ case.met) <= SAFETY * condition(case) * scale(case)


ASSUMPTIONS = {BLIND: _blind}


def _small(slope: float = 1.0) -> Case:
    """Return a case whose stand-in writes along the second axis, its partner along the third."""
    one, axes = np.array([[1.0], [0.0], [0.0]]), np.eye(3)
    stand_in, partner = (LowRank(axes[:, [i]], one.T) for i in (1, 2))
    return Case(one, (stand_in,), one, partner, np.array([[1.0, 1.0, 0.0]]), slope)


def _told() -> tuple[Case, Learner]:
    return _small(), lambda lessons: lessons.hidden


CONTROLS = (Control("trained with the partner too", BLIND, _told),)

THEOREM: Theorem[Case, Learner] = Theorem.of(__name__)
