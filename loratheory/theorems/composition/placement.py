r"""Least-norm placement: in which layers gradient descent on single hops stores a fact.

**Statement.** Linear reads with fixed keys add their outputs, and gradient descent from zero, with
learning rate η_l in read l, fits one single-hop fact exactly. Let read l have the key k_l if the
prompt names the entity. If a two-hop question only implies it, let the late reads, those after the
bridge, have the keys h_l. The updates answer the two-hop question with the fact's answer times
Σ_late η_l(k_l·h_l) / Σ_all η_l‖k_l‖².

Reads :math:`l = 1, \dots, L` of one residual stream add the outputs of their updates
:math:`\Delta_l`. The columns of :math:`K_l` are the keys of n facts at read :math:`l` if their
subjects are named. Stacked over all reads, these keys are independent. The training examples
require :math:`\sum_l \Delta_l K_l = V`. In a two-hop prompt the bridge entity is latent. Only the
*late* reads, those after the bridge, see the entity, with keys :math:`h_l`. Consider gradient
descent from zero on any loss of these logits, with rate :math:`\eta_l` at read :math:`l`. It can
end at one exact edit only, and that edit answers the two-hop question with

.. math::
    V w, \qquad w = G^{-1} \sum_{l\ \mathrm{late}} \eta_l K_l^\top h_l
    = \sum_{l\ \mathrm{late}} (G^{-1} \eta_l G_l)\, (G_l^+ K_l^\top h_l), \qquad
    G_l = K_l^\top K_l,\ G = \sum_l \eta_l G_l.

Each term of the last sum is a share times a resemblance. For one fact the share of a read is
:math:`\eta_l \|k_l\|^2 / \sum_j \eta_j \|k_j\|^2` and the resemblance is :math:`k_l^\top h_l /
\|k_l\|^2`. If each fact's answer is a token of its own, and some token answers no fact, the answer
of fact 1 leads by :math:`w_1 - \max(0, \max_{i > 1} w_i)`.

**Proof.** The gradient at read :math:`l` is :math:`E K_l^\top`, with the same :math:`E` at all
reads. So each step, and the end point, has the form :math:`\Delta_l = \eta_l A K_l^\top`. Batches
of examples, momentum, and rates that change by a common factor keep this form. The examples then
give :math:`A G = V`. The stacked keys are independent, so :math:`G` is invertible. So
:math:`\sum_{\mathrm{late}} \Delta_l h_l = V G^{-1} \sum_{\mathrm{late}} \eta_l K_l^\top h_l`. The
columns of :math:`K_l^\top` lie in the range of :math:`G_l`, so :math:`G_l G_l^+ K_l^\top =
K_l^\top`. This gives the second form of :math:`w`. Let :math:`K` be the keys :math:`\sqrt{\eta_l}
K_l` one below another. In units of :math:`\sqrt{\eta_l}` the edit is :math:`V K^+`. Hence it is the
exact edit of least :math:`\sum_l \|\Delta_l\|_F^2 / \eta_l`. :math:`\square`

**Implication.** Gradient descent stores a stated share of the fact in each layer; Adam, which
trains the adapters of this package, stores other shares. In gradient descent the share is
proportional to the learning rate times the squared norm of the key there. What carries over is the
reading. Two-hop questions miss the shares that are stored before the bridge. They also use less of
a later share if the latent key resembles the named key less.

**Scope.** The theorem assumes fixed keys. In a trained network, updates of early reads change the
keys of later reads. The Jacobians from different reads to the logits also differ there. A LoRA with
a frozen random `down` factor rescales keys by a random factor, which is equal for all reads only on
average. With optimisers that rescale each weight, such as Adam, updates no longer have the form
:math:`\eta_l A K_l^\top`. The base's own answer is added to that of the updates.

References
----------
Least norm by gradient descent: Gunasekar et al. (arXiv 1802.08246). Two-hop questions read facts
late: Biran et al. (arXiv 2406.12775); Zhang et al. (arXiv 2410.06331). Second hops need training on
such queries: Ye et al. (arXiv 2505.23653). Single-hop training leaves two-hop questions at chance:
Balesni et al. (arXiv 2411.16353).

============================================================

Free placement: single hops leave every two-hop answer open; examples through a partner do not.

**Statement.** Let the columns of K be the facts' named keys of all reads l, scaled by √η_l and
stacked, and let h be the two-hop question's latent keys, treated alike. Let the columns of K be
independent, let h lie outside their span, and let b be the two-hop answer of the least-norm edit
that fits all single hops. For every answer a some edits also answer the question with a, and their
least squared norm Σ_l ‖Δ_l‖²/η_l is larger by ‖a − b‖² / dist(h, span K)².

Take the setting of ``thm:least-norm-placement``. Let :math:`K` be the named keys
:math:`\sqrt{\eta_l} K_l` of all reads, one below another. Let :math:`h` be the latent keys
:math:`\sqrt{\eta_l} h_l` one below another, with zeros at the reads before the bridge. Suppose
:math:`h` is no linear combination of the columns of :math:`K`. Then for every :math:`a`, some edits
fit all single-hop examples exactly and answer the two-hop question with :math:`a`. Among these
edits, the one of least norm has

.. math::
    \sum_l \frac{\|\Delta_l\|_F^2}{\eta_l} = \operatorname{tr} V G^{-1} V^\top
    + \frac{\|a - V w\|^2}{\|h - K w\|^2}, \qquad G = K^\top K,\ w = G^{-1} K^\top h.

If :math:`h \ne 0` and the keys of one read before the bridge are linearly independent, :math:`h` is
no such combination. For one fact with key :math:`k` and answer :math:`v`, forcing the right answer
:math:`v` raises the least squared norm by :math:`(1 - w)^2 \|v\|^2 / \|h - k w\|^2`.

**Proof.** Write the updates, in units of :math:`\sqrt{\eta_l}`, side by side as one matrix
:math:`D`. They fit the single-hop examples exactly iff :math:`D K = V`, and they answer the two-hop
question with :math:`D h`. So :math:`D` must map :math:`[K\; h]` to :math:`[V\; a]`. The columns of
:math:`[K\; h]` are independent. Hence the :math:`D` of least norm is :math:`[V\; a] [K\; h]^+`. Its
squared norm is :math:`\operatorname{tr} [V\; a] ([K\; h]^\top [K\; h])^{-1} [V\; a]^\top`. The
inverse is taken by blocks, with the Schur complement :math:`\|h\|^2 - h^\top K G^{-1} K^\top h =
\|h - K w\|^2`. This gives the two terms. For the claim on one read before the bridge, suppose
:math:`h = K c`. Then :math:`K_l c = 0` at each read before the bridge, because :math:`h` is zero
there. If the keys of such a read are independent, :math:`c = 0`, and so :math:`h = 0`.
:math:`\square`

**Corollary (partner examples).** An adapter of linear reads with fixed keys fits two-hop training
examples through a partner without loss. A question's latent key is a linear combination of the
examples' latent keys, the same one at all reads after the bridge. Then the adapter answers the
question with that combination of the examples' answers, whatever the adapter's norm.

Let the columns of :math:`H_l` be the latent keys of the examples at read :math:`l`. If :math:`h_l =
H_l b` at all late reads, then :math:`\sum \Delta_l h_l = (\sum \Delta_l H_l) b = V b`. Examples
that name the entity are not needed.

**Implication.** No single-hop loss, however small, shows that two-hop questions can use an
adapter's facts. Unless the latent key is a linear combination of named keys, edits with the same
single-hop loss can give any two-hop answer. Two-hop examples through a partner determine the answer
if later partners produce latent keys in the same way. The formula gives the norm that a given
two-hop answer takes.

**Scope.** The theorem does not say that a later partner produces latent keys in the same way. If it
does not, ``thm:bridge-transfer`` gives the loss. No single-hop test shows which placement an
adapter has (``thm:invisible-placement``).

References
----------
Minimum-norm interpolation: Penrose (1956). Compositions of stored functions, learned from easy and
hard examples: Wang et al. (arXiv 2505.23683). Edits trained on multi-hop data: Yao et al. (CaKE,
arXiv 2503.16356), Zhang et al. (IFMET, arXiv 2410.06331); portability: Yao et al. (arXiv
2305.13172).

============================================================

Invisible placement: single hops do not show in which layer an edit lies; two hops depend on it.

**Statement.** A base holds old facts with strength 1 at linearly independent keys and values. Exact
edits with coefficient 1 write the two new facts of a two-hop question over old ones, but not over
the old bridge's. The layers after the bridge hold the old hop-2 facts and a share ρ of the hop-2
edit, on which single-hop logits do not depend. Let the new answer lead in a share q of placements,
those with ρ > 1/2. Then any test of single-hop logits misjudges at least a share min(q, 1 − q) of
them.

Several layers can store the facts of hop 2. Single-hop prompts read all of these layers. A two-hop
prompt reads only the *later* ones, those after its bridge is known. Let the edit of hop 2 be split
over the layers with shares of sum 1, and let :math:`\rho` be the sum of the later layers' shares.
Let the later layers hold the old facts with strength 1. Then all single-hop logits are the same,
whatever the shares. With coefficients :math:`c_1, c_2 > 0` and an unedited fact of the old bridge,
the new two-hop answer wins iff

.. math:: \rho \;>\; \max\Bigl(\frac1{2 c_2},\; \frac{1 - c_1}{c_1 c_2}\Bigr).

For whole edits (:math:`c_1 = c_2 = 1`) this is :math:`\rho > 1/2`. Take a set of placements in
which the new answer wins for a fraction :math:`q`. A test that looks only at single-hop behaviour,
on any prompts, judges at least a fraction :math:`\min(q, 1 - q)` of the set wrongly. A constant
verdict does as well as any such test. A remedy is the whole edit in every layer (:math:`\rho \ge
1`, "store twice"), which is known to leave single hops right.

**Proof.** A single-hop read gives :math:`(W + c_2 \sum_l \rho_l \Delta) k = (W + c_2 \Delta) k`.
The two-hop prompt reads :math:`W + c_2 \rho \Delta`. So ``thm:two-read-region`` applies with
:math:`c_2 \rho` in place of :math:`c_2`. A test that sees equal logits gives equal verdicts. So its
verdict is wrong either on all placements where the new answer wins, or on all others.
:math:`\square`

**Implication.** Single-hop accuracy cannot show that a library answers two-hop questions. Two
models with the same single-hop answers can differ on two hops because their edits lie in different
layers. Evaluate two-hop questions, or place the edit in the layers after the bridge.

**Scope.** The theorem does not say where training places edits. Suppose equal gradients split edits
evenly over the layers. Then :math:`\rho` is the fraction of layers after the bridge, and two hops
need :math:`c_2 > 1/(2 \rho)` where single hops need :math:`c_2 > 1/2`. Suppose instead that only a
share :math:`\beta` of the old fact lies after the bridge. Then two hops with a whole first edit
need :math:`\rho > \beta/(2 c_2)`. So whole edits that are spread like the old facts always compose.

References
----------
Edits by single facts that miss the layers of multi-hop questions: Zhang et al. (IFMET, arXiv
2410.06331), and "On the Limitations of Rank-One Model Editing in Answering Multi-hop Questions",
which proposes redundant edits. Facts learned twice: arXiv 2502.03490; late second hops and
back-patching: arXiv 2406.12775.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import condition_number, eye, largest, lead, norm, share_true
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition.two_read_region import Prompt, small, two_hops
from loratheory.toy import LinearChain

SENSE = "equal"
SOURCE = "own; that gradient descent from zero finds the least norm is well known"

EXACT = "an edit without loss on the single-hop examples"
DESCENT = "updates of the form that gradient descent from zero has at the stated rates"

Edit = tuple[Float[Array, "tokens _"], ...]  # the update of each read


@dataclass(frozen=True, eq=False)
class Case:
    """Facts' keys at each read, keys of a latent mention of fact 0, and the reads' learning rates.

    A read's `named` keys have one column a fact. The first `early` reads come before the bridge and
    do not see the latent mention, whatever its keys there.
    """

    named: tuple[Float[Array, "_ facts"], ...]
    latent: tuple[Float[Array, " _"], ...]
    rates: tuple[float, ...]
    early: int

    @property
    def lessons(self) -> Float[Array, "keys facts"]:
        """Named keys of all reads, stacked; each read's are scaled by the root of its rate."""
        return self.stacked(self.named, 0)

    @property
    def question(self) -> Float[Array, " keys"]:
        """Latent keys, stacked and scaled like `lessons`; zero at reads that do not see them."""
        return self.stacked(self.latent, self.early)

    def stacked(self, keys: tuple[Array, ...], start: int) -> Array:
        """Return all reads' keys below each other, scaled like `lessons`; 0 before read `start`."""
        parts = []
        for read, (rate, part) in enumerate(zip(self.rates, keys, strict=True)):
            parts.append((rate**0.5 if read >= start else 0.0) * part)
        return array_namespace(*parts).concat(parts, axis=0)

    def edit(self, stacked: Float[Array, "tokens keys"]) -> Edit:
        """Return an update of stacked, scaled keys as one update for each read's own keys."""
        parts, end = [], 0
        for rate, keys in zip(self.rates, self.named, strict=True):
            start, end = end, end + keys.shape[0]
            # undoes the scaling by the root of the rate
            parts.append(rate**0.5 * stacked[:, start:end])
        return tuple(parts)


def answers(keys: Array) -> Array:
    """Return the wanted logits, 1 for each fact's own token; the last token answers no fact."""
    return array_namespace(keys).concat([eye(keys, keys.shape[1]), 0 * keys[:1, :]], axis=0)


def combination(keys: Array, question: Array) -> Array:
    """Return the coefficients of independent `keys` whose combination is nearest to `question`."""
    return array_namespace(keys).linalg.solve(keys.T @ keys, keys.T @ question)


def weights(case: Case) -> Float[Array, " facts"]:
    """Return how much of each fact's answer the two-hop question gets: the w of the statement."""
    return combination(case.lessons, case.question)


def shares(case: Case) -> list[float]:
    """Return the share of fact 0's update that each read takes if that fact is taught alone."""
    energies = []
    for rate, keys in zip(case.rates, case.named, strict=True):
        energies.append(rate * norm(keys[:, 0]) ** 2)
    return [energy / sum(energies) for energy in energies]


def least_norm(case: Case, keys: Array, wanted: Array) -> Edit:
    """Return the edit of least norm that gives these stacked keys the wanted logits."""
    return case.edit(wanted @ array_namespace(keys).linalg.pinv(keys, rtol=None))


def and_unseen(case: Case, keys: Array, wanted: Array, rng: np.random.Generator) -> Edit:
    """Return the edit of `least_norm` plus a random one that is zero at these keys."""
    inverse, size = np.linalg.pinv(keys), 10.0 ** int(rng.integers(-9, 1)) / np.abs(keys).max()
    extra = size * rng.standard_normal((len(wanted), len(keys)))
    return case.edit(wanted @ inverse + extra - (extra @ keys) @ inverse)


def condition_of(keys: Array) -> float:
    """Return the condition number of the keys' Gram matrix, at most 1e18."""
    return min(condition_number(keys), 1e9) ** 2


def draw_independent(rng: np.random.Generator, size: int, partner: bool) -> Case:
    """Draw reads and facts whose stacked named keys are linearly independent.

    With `partner` the latent key is independent of them as well.
    """
    reads, facts = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    # some reads are too narrow to tell all facts apart alone
    widths = rng.integers(1, size + 3, reads).tolist()
    named = [10.0 ** rng.uniform(-1, 1) * rng.standard_normal((d, facts)) for d in widths]
    alike, own = rng.uniform(-0.5, 1.5, (reads, facts)), 10.0 ** rng.uniform(-3, 0.5, reads)
    # how much the latent mention resembles other facts
    alike[:, 1:] *= rng.choice([0.0, 0.3, 1.0])
    latent = []
    for keys, a, o in zip(named, alike, own, strict=True):
        latent.append(keys @ a + o * largest(keys) * rng.standard_normal(len(keys)))
    rates = 10.0 ** (rng.uniform(-1, 1, reads) * (rng.random() < 0.5))
    early = int(rng.integers(reads))
    # nearly dependent keys would measure rounding, and are drawn again
    case = Case(tuple(named), tuple(latent), tuple(rates.tolist()), early)
    keys = np.column_stack([case.lessons, case.question]) if partner else case.lessons
    if keys.shape[0] >= keys.shape[1] and condition_of(keys) <= 1e4:
        return case
    return draw_independent(rng, size, partner)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four reads and facts, with keys of unequal lengths and unequal learning rates."""
    return draw_independent(rng, size, partner=False)


def bound(case: Case) -> float:
    """Return w_1 − max(0, the other w_i), w being the statement's weights for the case."""
    return lead(answers(case.lessons) @ weights(case))


def measure(case: Case, edit: Edit) -> float:
    """Return fact 0's margin when the reads after the bridge see the latent keys."""
    late = range(case.early, len(edit))
    return lead(sum(edit[read] @ case.latent[read] for read in late))


def scale(case: Case) -> float:
    """Return a bound of the logits at the latent keys, the unit of rounding errors."""
    sigma = array_namespace(case.lessons).linalg.svdvals(case.lessons)
    return 1 + norm(case.question) / max(float(sigma[-1]), 1e-300)


def condition(case: Case) -> float:
    """Return the squared condition number of the named keys, stacked over reads."""
    return condition_of(case.lessons)


def attain(case: Case) -> Edit:
    """Return the edit of least norm that answers the single-hop examples."""
    return least_norm(case, case.lessons, answers(case.lessons))


def rival(case: Case, rng: np.random.Generator) -> Edit:
    """Return the edit that a step of Newton's method reaches from a start in the lessons' span."""
    keys, wanted = case.lessons, answers(case.lessons)
    # a start in the span of the lessons leaves the end point alone
    start = rng.standard_normal(wanted.shape) * 10.0 ** int(rng.integers(-9, 1))
    update = start @ keys.T / np.linalg.norm(keys) ** 2
    for _ in range(2):  # again from where it came to, against rounding
        rest = wanted - update @ keys
        update = update + np.linalg.solve(keys.T @ keys, rest.T).T @ keys.T
    return case.edit(update)


def adversary(case: Case, _: np.random.Generator) -> Edit:
    """Return the edit that gradient descent with momentum finds, each read at its own rate."""
    wanted = answers(case.named[0])
    edit = [np.zeros((len(wanted), len(keys))) for keys in case.named]
    before, pairs = edit, list(zip(case.named, case.rates, strict=True))
    curvature = np.linalg.eigvalsh(sum(rate * keys.T @ keys for keys, rate in pairs))
    high, low = curvature[-1] ** 0.5, curvature[0] ** 0.5
    # the fastest momentum for this curvature
    pace, momentum = 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2
    for _step in range(20000):
        rest = wanted - sum(update @ keys for update, keys in zip(edit, case.named, strict=True))
        if np.abs(rest).max() < 1e-14:
            break
        after = []
        for update, last, (keys, rate) in zip(edit, before, pairs, strict=True):
            after.append(update + pace * rate * rest @ keys.T + momentum * (update - last))
        before, edit = edit, after
    return tuple(edit)


def missed(edit: Edit, keys: tuple[Array, ...], wanted: Array, start: int = 0) -> float:
    """Return the largest error in a logit when reads from `start` on see these keys."""
    given = sum(edit[read] @ keys[read] for read in range(start, len(keys)))
    return largest(given - wanted)


def exact(case: Case, edit: Edit) -> bool:
    """Whether the edit answers every single-hop example."""
    return missed(edit, case.named, answers(case.named[0])) <= SAFETY * condition(case)


def _descended(case: Case, edit: Edit) -> bool:
    xp, pairs = array_namespace(case.lessons), zip(edit, case.rates, strict=True)
    update = xp.concat([part / rate**0.5 for part, rate in pairs], axis=1)
    # descent from zero never leaves the span of the lessons' keys
    frame = xp.linalg.qr(case.lessons)[0]
    outside = norm(update - (update @ frame) @ frame.T)
    return outside <= SAFETY * condition(case) * norm(update)


ASSUMPTIONS = {EXACT: exact, DESCENT: _descended}

_KEYS = (np.array([[1.0], [0.0]]), np.array([[2.0], [0.0]]))
SMALL = Case(_KEYS, (np.zeros(2), np.array([1.0, 1.0])), (1.0, 1.0), 1)
"""One fact, its key twice as long in the second of two reads: what controls spoil."""


def _spoilt(first: float, second: float, off: float = 0.0) -> tuple[Case, Edit]:
    one, two = attain(SMALL)
    return SMALL, (first * one, second * two + np.array([[0.0, off], [0.0, 0.0]]))


def _rated(second: float) -> tuple[Case, Edit]:
    return SMALL, attain(replace(SMALL, rates=(1.0, second)))


CONTROLS = (
    Control("stop half way", EXACT, partial(_spoilt, 0.5, 0.5)),
    Control("start from weights that are not zero", DESCENT, partial(_spoilt, 1.0, 1.0, 1.0)),
    Control("a learning rate four times as high in the second read", DESCENT, partial(_rated, 4.0)),
    Control("all of the edit in the first read", DESCENT, partial(_spoilt, 5.0, 0.0)),
)


# What an edit with any wanted two-hop answer costs

SENSE_FREE = "lower"
SOURCE_FREE = "own; least-norm interpolation"
USES_FREE = ("thm:least-norm-placement",)

ANSWER = "an edit with the wanted two-hop answer"
PARTNER = "an edit without loss on the two-hop examples"
SPAN = "a latent key that combines those of the two-hop examples"


@dataclass(frozen=True, eq=False)
class Wanted:
    """A model with its single-hop examples, and logits that its two-hop question must get."""

    model: Case
    answer: Float[Array, " tokens"]

    @property
    def keys(self) -> Float[Array, "keys more"]:
        """Keys K of all single-hop examples and the latent key h, side by side."""
        question = self.model.question
        return array_namespace(question).concat([self.model.lessons, question[:, None]], axis=1)

    @property
    def wanted(self) -> Float[Array, "tokens more"]:
        """Logits wanted for each column of `keys`: V for the lessons, a for the question."""
        named = answers(self.model.named[0])
        return array_namespace(named).concat([named, self.answer[:, None]], axis=1)


def draw_free(rng: np.random.Generator, size: int) -> Wanted:
    """Draw lessons, and as wanted logits the right answer, nearly the least edit's, or any."""
    model = draw_independent(rng, size, partner=True)
    right = np.eye(model.named[0].shape[1] + 1)[0]
    # answers near the cheapest one cost next to nothing more
    noise, said = rng.standard_normal(len(right)), np.append(weights(model), 0.0)
    near = said + 10.0 ** rng.uniform(-6, 0) * noise
    return Wanted(model, (right, near, 3 * noise)[int(rng.integers(3))])


def bound_free(case: Wanted) -> float:
    """Return tr V G⁻¹ Vᵀ + ‖a − Vw‖²/‖h − Kw‖², the least cost of the wanted two-hop answer a."""
    linalg, keys = array_namespace(case.answer).linalg, case.model.lessons
    gram, found = keys.T @ keys, weights(case.model)
    plain = float(linalg.trace(linalg.solve(gram, eye(gram, gram.shape[0]))))
    # only what the lessons do not determine has to be paid for
    outside = norm(case.model.question - keys @ found)
    return plain + (norm(case.answer - answers(keys) @ found) / outside) ** 2


def attain_free(case: Wanted) -> Edit:
    """Return the edit of least norm that gives lessons and question the wanted logits."""
    return least_norm(case.model, case.keys, case.wanted)


def measure_free(case: Wanted, edit: Edit) -> float:
    """Return Σ_l ‖Δ_l‖²/η_l, the squared norm of each read's update over its learning rate."""
    parts = zip(edit, case.model.rates, strict=True)
    return sum(norm(update) ** 2 / rate for update, rate in parts)


def condition_free(case: Wanted) -> float:
    """Return the squared condition number of the case's `keys`, which are inverted."""
    return condition_of(case.keys)


def rival_free(case: Wanted, rng: np.random.Generator) -> Edit:
    """Return the best edit plus a random one that is zero at all lessons and at the question."""
    return and_unseen(case.model, case.keys, case.wanted, rng)


def adversary_free(case: Wanted, rng: np.random.Generator) -> Edit:
    """Return an exact edit improved by least squares along all directions that are left free."""
    keys = case.keys
    start = np.stack([np.linalg.lstsq(keys.T, row)[0] for row in case.wanted])
    # directions that neither lessons nor question see
    free = np.linalg.svd(keys)[0][:, keys.shape[1] :]
    start = start + rng.standard_normal((len(start), free.shape[1])) @ free.T
    if free.shape[1]:
        start = start - (free @ np.linalg.lstsq(free, start.T)[0]).T
    return case.model.edit(start)


def _answered(case: Wanted, edit: Edit) -> bool:
    error = missed(edit, case.model.latent, case.answer, case.model.early)
    return error <= SAFETY * condition_free(case) * (1 + largest(case.answer))


ASSUMPTIONS_FREE = {EXACT: lambda case, edit: exact(case.model, edit), ANSWER: _answered}

_FORGOTTEN: Edit = (np.zeros((2, 2)), np.array([[1.0, 1.0], [0.0, 0.0]]))


def _wanted(answer: float, edit: Edit) -> tuple[Wanted, Edit]:
    return Wanted(SMALL, np.array([answer, 0.0])), edit


CONTROLS_FREE = (
    Control("forget a single-hop example", EXACT, partial(_wanted, 2.0, _FORGOTTEN)),
    Control("answer as the least-norm edit does", ANSWER, partial(_wanted, 1.0, attain(SMALL))),
)


# What two-hop lessons determine


@dataclass(frozen=True, eq=False)
class Taught:
    """A model whose latent keys are asked about, and `partner` keys of its two-hop lessons."""

    model: Case
    partner: tuple[Float[Array, "_ facts"], ...]

    @property
    def keys(self) -> Float[Array, "keys facts"]:
        """H of the clause: the keys of the two-hop lessons, stacked over reads."""
        return self.model.stacked(self.partner, self.model.early)

    @property
    def mix(self) -> Float[Array, " facts"]:
        """The b of the clause, which brings the lessons' keys nearest to the latent key."""
        return combination(self.keys, self.model.question)


def draw_taught(rng: np.random.Generator, size: int) -> Taught:
    """Draw a two-hop lesson for each fact, and a question that combines the lessons' keys."""
    model = draw_independent(rng, size, partner=False)
    # through a partner the latent keys are near the named ones
    partner = tuple(keys + rng.standard_normal(keys.shape) * np.abs(keys) for keys in model.named)
    facts = partner[0].shape[1]
    mix = np.eye(facts)[0] + rng.uniform(0, 1) * rng.standard_normal(facts)
    taught = Taught(replace(model, latent=tuple(keys @ mix for keys in partner)), partner)
    # late reads too narrow to tell the facts apart have nothing to teach
    return taught if condition_of(taught.keys) <= 1e4 else draw_taught(rng, size)


def attain_taught(taught: Taught) -> Edit:
    """Return the edit of least norm that answers the two-hop lessons."""
    return least_norm(taught.model, taught.keys, answers(taught.keys))


def measure_taught(taught: Taught, edit: Edit) -> float:
    """Return the margin of fact 0 at the latent key that is asked about."""
    return measure(taught.model, edit)


def rival_taught(taught: Taught, rng: np.random.Generator) -> Edit:
    """Return the edit of `attain_taught` plus a random one that is zero at all two-hop lessons."""
    return and_unseen(taught.model, taught.keys, answers(taught.keys), rng)


def _learnt(taught: Taught, edit: Edit) -> bool:
    error = missed(edit, taught.partner, answers(taught.keys), taught.model.early)
    return error <= SAFETY * condition_of(taught.keys)


def _spanned(taught: Taught, _: Edit) -> bool:
    question = taught.model.question
    outside = norm(question - taught.keys @ taught.mix)
    return outside <= SAFETY * condition_of(taught.keys) * norm(question)


def _small(latent: float, *update: float) -> tuple[Taught, Edit]:
    """Return a model that is trained at the latent key (1, 1) and asked at (`latent`, 1)."""
    model = replace(SMALL, latent=(np.zeros(2), np.array([latent, 1.0])))
    edit = np.zeros((2, 2)), np.array([update, (0.0, 0.0)])
    return Taught(model, (np.zeros((2, 1)), np.ones((2, 1)))), edit


SENSE_TAUGHT = "equal"

ASSUMPTIONS_TAUGHT = {PARTNER: _learnt, SPAN: _spanned}

CONTROLS_TAUGHT = (
    Control("single-hop examples alone", PARTNER, partial(_small, 1.0, 0.5, 0.0)),
    Control("a latent key of its own", SPAN, partial(_small, 2.0, 1.0, 0.0)),
)


# Placements that single hops cannot tell apart

SENSE_HIDDEN = "lower"
SOURCE_HIDDEN = "own; known from experiments (IFMET), as is the remedy (redundant edits)"
USES_HIDDEN = ("thm:two-read-region",)

WHOLE = "shares that sum to one in every placement"
BLIND = "one verdict for placements with the same single-hop logits"


@dataclass(frozen=True, eq=False)
class Placements:
    """A prompt of two hops that overwrite old facts, and placements of the second edit in layers.

    Row i of `shares` says how placement i splits that edit; the first `early` layers come before
    the bridge, so that the second hop of a two-hop question does not read them.
    """

    prompt: Prompt
    shares: Float[Array, "placements layers"]
    early: int

    @property
    def models(self) -> "list[Placed]":
        """One model for each placement."""
        chain = region.attain(self.prompt)
        return [Placed(self, chain, self.shares[i, :]) for i in range(self.shares.shape[0])]


@dataclass(frozen=True, eq=False)
class Placed:
    """A model whose second edit is split among layers by `shares`."""

    case: Placements
    chain: LinearChain
    shares: Float[Array, " layers"]

    def single(self, keys: Array) -> Array:
        """Return the logits of single-hop prompts with these keys, which every layer reads."""
        return self._second(keys, 0)

    def two_hop(self) -> Array:
        """Return the logits of the two-hop prompt, whose bridge only the later layers read."""
        prompt, bridge = self.case.prompt, self.chain.bridges[0]
        state = self.chain.read(0, prompt.keys[0][:, 0], prompt.coefficients[0])
        return self._second(bridge @ state, self.case.early)

    def _second(self, keys: Array, start: int) -> Array:
        read = float(array_namespace(self.shares).sum(self.shares[start:]))
        return self.chain.read(1, keys, self.case.prompt.coefficients[1] * read)


Test = Callable[[Placed], bool]


def share_needed(first: int | float, second: int | float) -> float:
    """Return the share ρ of an exact edit, after the bridge, that two hops must exceed.

    `first` is the coefficient c₁ and `second` is c₂, both above 0.
    """
    return max(0.5, (1 - first) / first) / second


def draw_hidden(rng: np.random.Generator, size: int) -> Placements:
    """Draw two to four layers and up to seven placements, many that only just compose or fail."""
    prompt = two_hops(partial(region.draw, rng, size), ["overwrite"])
    one, two = rng.uniform(0.5, 1.5), rng.uniform(0.6, 1.5)
    prompt = replace(prompt, coefficients=(float(one), float(two)))
    # later shares on both sides of the border, some as near as 1e-6; each row sums to one
    layers, rows = int(rng.integers(2, 5)), int(rng.integers(1, 8))
    early = int(rng.integers(1, layers))
    shares = rng.dirichlet(np.ones(layers), rows)
    # only the later layers are read after the bridge
    later = shares[:, early:].sum(axis=1)
    # many placements next to the border, on both sides
    wanted = rng.choice([-1, 1], rows) * 10.0 ** -rng.uniform(0, 6, rows)
    wanted = np.where(rng.random(rows) < 0.5, later, share_needed(one, two) + wanted)
    shares[:, early:] *= (wanted / later)[:, None]
    shares[:, :early] *= ((1 - wanted) / (1 - later))[:, None]
    return Placements(prompt, shares, early)


def composing(case: Placements) -> float:
    """Return q, the fraction of placements that compose, from the shares of their later layers."""
    later = array_namespace(case.shares).sum(case.shares[:, case.early :], axis=1)
    return share_true(later > share_needed(*case.prompt.coefficients))


def bound_hidden(case: Placements) -> float:
    """Return min(q, 1 − q), q being the fraction of the case's placements that compose."""
    return min(composing(case), 1 - composing(case))


def branch_hidden(case: Placements) -> str:
    """Return whether more or fewer than half of the placements compose."""
    return "most" if composing(case) > 1 / 2 else "few"


def _composes(model: Placed) -> bool:
    return lead(model.two_hop()) > 0


def measure_hidden(case: Placements, test: Test) -> float:
    """Return the fraction of placements for which the test misjudges whether two hops compose."""
    wrong = [test(model) != _composes(model) for model in case.models]
    return sum(wrong) / len(wrong)


def attain_hidden(case: Placements) -> Test:
    """Return the test that gives every placement the verdict of the majority."""
    verdict = composing(case) > 0.5
    return lambda _: verdict


def _above(weights: Array, border: float, model: Placed) -> bool:
    logits = model.single(model.case.prompt.keys[1])
    xp = array_namespace(logits)
    return float(xp.sum(xp.asarray(weights, device=logits.device) * logits)) > border


def rival_hidden(case: Placements, rng: np.random.Generator) -> Test:
    """Return a test of whether a random linear function of single-hop logits exceeds a number."""
    entities = case.prompt.keys[1].shape[1]
    weights = rng.standard_normal((entities + 1, entities))
    return partial(_above, weights, float(rng.standard_normal()))


def adversary_hidden(case: Placements, _: np.random.Generator) -> Test:
    """Return the linear test of single-hop logits that fits the true verdicts best."""
    keys = case.prompt.keys[1]
    seen = np.stack([model.single(keys).ravel() for model in case.models])
    truth = np.array([_composes(model) for model in case.models], dtype=float)
    # single-hop logits are equal for all placements: the fit is a constant
    fit = np.linalg.lstsq(seen, truth, rcond=1e-6)[0]
    return partial(_above, fit.reshape(-1, keys.shape[1]), 0.5 - 1e-6)


def _example(first_early: float, test: Test) -> tuple[Placements, Test]:
    return Placements(small(), np.array([[first_early, 0.1], [0.2, 0.8]]), 1), test


def _sees_margin(model: Placed) -> bool:
    return lead(model.single(model.case.prompt.keys[1][:, 0])) > 0


def _sees_layers(model: Placed) -> bool:
    return bool(model.shares[-1] > 0.5)


CONTROLS_HIDDEN = (
    Control("leave part of an edit out", WHOLE, partial(_example, 0.2, _sees_margin)),
    Control("look into the layers", BLIND, partial(_example, 0.9, _sees_layers)),
    Control("ask a two-hop question", BLIND, partial(_example, 0.9, _composes)),
)


def _whole(case: Placements, _: Test) -> bool:
    return largest(array_namespace(case.shares).sum(case.shares, axis=1) - 1) < SAFETY


ASSUMPTIONS_HIDDEN = {
    WHOLE: _whole,
    BLIND: lambda case, test: len({test(model) for model in case.models}) == 1,
}


COMPUTE_HIDDEN = (share_needed,)

THEOREM: Theorem[Case, Edit] = Theorem.of(__name__, "least-norm placement")

FREE: Theorem[Wanted, Edit] = Theorem.of(__name__, "free placement", "_free", scale=bound_free)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    FREE,
    FREE.clause(
        "partner examples",
        "_taught",
        bound=lambda taught: lead(answers(taught.keys) @ taught.mix),
        scale=lambda taught: 1 + norm(taught.mix),
        condition=lambda taught: condition_of(taught.keys),
    ),
    Theorem.of(__name__, "invisible placement", "_hidden"),
)
