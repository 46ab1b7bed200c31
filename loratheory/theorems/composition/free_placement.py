r"""Free placement: single-hop lessons leave every two-hop answer open; a partner's lessons do not.

**Statement.** Single-hop lessons allow every two-hop answer unless the latent key, all reads
together, combines named ones: the least-norm edit that also answers a, where that of single hops
alone answers b, has a squared norm larger by |a − b|² over the energy of the latent key outside the
span of the named ones, keys multiplied and updates divided by the root of each read's learning
rate.

In the setting of ``thm:least-norm-placement`` let :math:`K` be the named keys :math:`\sqrt{\eta_l}
K_l` of all reads below each other and :math:`h` the latent key :math:`\sqrt{\eta_l} h_l`, zero
at the reads before the bridge. If :math:`h` is no combination of the columns of :math:`K`, edits
that answer every single-hop lesson exactly and the two-hop question by :math:`a` exist for every
:math:`a`, and the least of them has

.. math::
    \sum_l \frac{\|\Delta_l\|_F^2}{\eta_l} = \operatorname{tr} V G^{-1} V^\top
    + \frac{\|a - V w\|^2}{\|h - K w\|^2}, \qquad G = K^\top K,\ w = G^{-1} K^\top h.

One read before the bridge that tells the facts apart is enough for that, if :math:`h \ne 0`. For
one fact that is answered by :math:`v`, the right answer costs :math:`(1 - w)^2 \|v\|^2 / \|h - k
w\|^2` more than single hops alone.

**Proof.** In units of :math:`\sqrt{\eta_l}` the updates side by side are one matrix :math:`D`,
exact iff :math:`D K = V`, with the two-hop answer :math:`D h`. So :math:`D` must take :math:`[K\;
h]`, which has independent columns, to :math:`[V\; a]`; the least is :math:`[V\; a] [K\; h]^+`, of
squared norm :math:`\operatorname{tr} [V\; a] ([K\; h]^\top [K\; h])^{-1} [V\; a]^\top`. The block
inverse, with Schur complement :math:`\|h\|^2 - h^\top K G^{-1} K^\top h = \|h - K w\|^2`, gives
the two terms. If :math:`h = K c`, an early read has :math:`K_l c = 0`, and :math:`c = 0` where its
keys are independent. :math:`\square`

**Corollary (partner lessons).** Two-hop lessons through a partner determine what single hops leave
open: every edit without loss on them, of whatever norm, answers a latent key that is one
combination of theirs at all reads after the bridge by the same combination of their answers.

If :math:`h_l = H_l b` at all late reads, then :math:`\sum \Delta_l h_l = (\sum \Delta_l H_l) b = V
b`. The lessons by name do not enter.

**What it tells someone who merges adapters.** No single-hop loss, however small, shows that an
adapter's facts can be reached through a bridge: unless the latent key combines named ones, all
two-hop answers have the same loss. Two-hop lessons do it, with any partner that makes the entity
latent in the way of those to come, and the formula says how much norm that takes.

**What it does not say.** That a partner to come makes the entity latent in the same way: what is
lost if it does not is ``thm:bridge-transfer``. No test by single hops tells which placement one has
(``thm:invisible-placement``).

References
----------
Minimum-norm interpolation: Penrose (1956). Edits taught by multi-hop data: Yao et al. (CaKE, arXiv
2503.16356), Zhang et al. (IFMET, arXiv 2410.06331); portability: Yao et al. (arXiv 2305.13172).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, lead, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import least_norm_placement as placement
from loratheory.theorems.composition.least_norm_placement import EXACT, SMALL, Edit, answers

SENSE = "lower"
SOURCE = "own; least-norm interpolation"
USES = ("thm:least-norm-placement",)

ANSWER = "an edit with the wanted two-hop answer"
PARTNER = "an edit without loss on the two-hop lessons"
SPAN = "a latent key that combines those of the two-hop lessons"


@dataclass(frozen=True, eq=False)
class Case:
    """A model with its single-hop lessons, and logits that its two-hop question must get."""

    model: placement.Case
    answer: Float[Array, " tokens"]

    @property
    def keys(self) -> Float[Array, "keys more"]:
        """Keys K of all single-hop lessons and the latent key h, side by side."""
        question = self.model.question
        return array_namespace(question).concat([self.model.lessons, question[:, None]], axis=1)

    @property
    def wanted(self) -> Float[Array, "tokens more"]:
        """Logits wanted for each column of `keys`: V for the lessons, a for the question."""
        named = answers(self.model.named[0])
        return array_namespace(named).concat([named, self.answer[:, None]], axis=1)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw lessons, and as wanted logits the right answer, nearly the least edit's, or any."""
    model = placement.independent(rng, size, partner=True)
    right = np.eye(model.named[0].shape[1] + 1)[0]
    noise, said = rng.standard_normal(len(right)), np.append(placement.weights(model), 0.0)
    near = said + 10.0 ** rng.uniform(-6, 0) * noise
    return Case(model, (right, near, 3 * noise)[int(rng.integers(3))])


def bound(case: Case) -> float:
    """Return tr V G⁻¹ Vᵀ + ‖a − Vw‖²/‖h − Kw‖², the least cost of the wanted two-hop answer a."""
    xp, keys = array_namespace(case.answer), case.model.lessons
    gram, found = keys.T @ keys, placement.weights(case.model)
    plain = float(xp.linalg.trace(xp.linalg.solve(gram, eye(gram, gram.shape[0]))))
    outside = float(xp.sum((case.model.question - keys @ found) ** 2))
    return plain + float(xp.sum((case.answer - answers(keys) @ found) ** 2)) / outside


def attain(case: Case) -> Edit:
    """Return the edit of least norm that gives lessons and question the wanted logits."""
    return placement.least_norm(case.model, case.keys, case.wanted)


def measure(case: Case, edit: Edit) -> float:
    """Return Σ_l ‖Δ_l‖²/η_l, the squared norm of each read's update over its learning rate."""
    xp = array_namespace(case.answer)
    parts = zip(edit, case.model.rates, strict=True)
    return sum(float(xp.sum(update**2)) / rate for update, rate in parts)


def condition(case: Case) -> float:
    """Return the squared condition number of the case's `keys`, which are inverted."""
    return placement.condition_of(case.keys)


def rival(case: Case, rng: np.random.Generator) -> Edit:
    """Return the best edit plus a random one that is zero at all lessons and at the question."""
    return placement.and_unseen(case.model, case.keys, case.wanted, rng)


def adversary(case: Case, rng: np.random.Generator) -> Edit:
    """Return an exact edit improved by least squares along all directions that are left free."""
    keys = case.keys
    start = np.stack([np.linalg.lstsq(keys.T, row)[0] for row in case.wanted])
    free = np.linalg.svd(keys)[0][:, keys.shape[1] :]
    start = start + rng.standard_normal((len(start), free.shape[1])) @ free.T
    if free.shape[1]:
        start = start - (free @ np.linalg.lstsq(free, start.T)[0]).T
    return case.model.edit(start)


def _answered(case: Case, edit: Edit) -> bool:
    missed = placement.missed(edit, case.model.latent, case.answer, case.model.early)
    size = 1 + float(array_namespace(case.answer).max(abs(case.answer)))
    return missed <= SAFETY * condition(case) * size


ASSUMPTIONS = {
    EXACT: lambda case, edit: placement.exact(case.model, edit),
    ANSWER: _answered,
}

_FORGOTTEN: Edit = (np.zeros((2, 2)), np.array([[1.0, 1.0], [0.0, 0.0]]))

CONTROLS = (
    Control(
        "forget the single-hop lesson",
        EXACT,
        lambda: (Case(SMALL, np.array([2.0, 0.0])), _FORGOTTEN),
    ),
    Control(
        "answer as the least-norm edit does",
        ANSWER,
        lambda: (Case(SMALL, np.array([1.0, 0.0])), placement.attain(SMALL)),
    ),
)


# What two-hop lessons determine


@dataclass(frozen=True, eq=False)
class Taught:
    """A model whose latent keys are asked about, and `partner` keys of its two-hop lessons."""

    model: placement.Case
    partner: tuple[Float[Array, "_ facts"], ...]

    @property
    def keys(self) -> Float[Array, "keys facts"]:
        """H of the clause: the keys of the two-hop lessons, stacked over reads."""
        return self.model.stacked(self.partner, self.model.early)

    @property
    def mix(self) -> Float[Array, " facts"]:
        """The b of the clause, which brings the lessons' keys nearest to the latent key."""
        return placement.combination(self.keys, self.model.question)


def draw_taught(rng: np.random.Generator, size: int) -> Taught:
    """Draw a two-hop lesson for each fact, and a question that combines the lessons' keys."""
    model = placement.independent(rng, size, partner=False)
    partner = tuple(keys + rng.standard_normal(keys.shape) * np.abs(keys) for keys in model.named)
    facts = partner[0].shape[1]
    mix = np.eye(facts)[0] + rng.uniform(0, 1) * rng.standard_normal(facts)
    taught = Taught(replace(model, latent=tuple(keys @ mix for keys in partner)), partner)
    # late reads too narrow to tell the facts apart have nothing to teach
    return taught if placement.condition_of(taught.keys) <= 1e4 else draw_taught(rng, size)


def least_taught(taught: Taught) -> Edit:
    """Return the edit of least norm that answers the two-hop lessons."""
    return placement.least_norm(taught.model, taught.keys, answers(taught.keys))


def any_taught(taught: Taught, rng: np.random.Generator) -> Edit:
    """Return the edit of `least_taught` plus a random one that is zero at all two-hop lessons."""
    return placement.and_unseen(taught.model, taught.keys, answers(taught.keys), rng)


def _learnt(taught: Taught, edit: Edit) -> bool:
    missed = placement.missed(edit, taught.partner, answers(taught.keys), taught.model.early)
    return missed <= SAFETY * placement.condition_of(taught.keys)


def _spanned(taught: Taught, _: Edit) -> bool:
    question = taught.model.question
    outside = norm(question - taught.keys @ taught.mix)
    return outside <= SAFETY * placement.condition_of(taught.keys) * norm(question)


def _small(latent: float, *update: float) -> tuple[Taught, Edit]:
    """Return a model that is trained at the latent key (1, 1) and asked at (`latent`, 1)."""
    model = replace(SMALL, latent=(np.zeros(2), np.array([latent, 1.0])))
    edit = np.zeros((2, 2)), np.array([update, (0.0, 0.0)])
    return Taught(model, (np.zeros((2, 1)), np.ones((2, 1)))), edit


THEOREM: Theorem[Case, Edit] = Theorem.of(__name__, scale=bound)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "partner lessons",
        sense="equal",
        draw=draw_taught,
        bound=lambda taught: lead(answers(taught.keys) @ taught.mix),
        measure=lambda taught, edit: placement.measure(taught.model, edit),
        scale=lambda taught: 1 + norm(taught.mix),
        condition=lambda taught: placement.condition_of(taught.keys),
        attain=least_taught,
        rival=any_taught,
        adversary=None,
        assumptions={PARTNER: _learnt, SPAN: _spanned},
        controls=(
            Control("single-hop lessons alone", PARTNER, partial(_small, 1.0, 0.5, 0.0)),
            Control("a latent key of its own", SPAN, partial(_small, 2.0, 1.0, 0.0)),
        ),
    ),
)
