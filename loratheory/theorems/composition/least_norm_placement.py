r"""Least-norm placement: in which layers gradient descent puts a fact that single hops teach.

**Statement.** Taught a fact by single hops alone, gradient descent from zero on reads of fixed keys
gives each read a share of the answer in proportion to its key's energy times its learning rate; a
two-hop question gets the answer times the sum, over the reads after its bridge, of share times
h·k/‖k‖², k the key under which the entity is named and h the one under which it is latent; for
several facts, fitted exactly, these are ratios of Gram matrices.

Reads :math:`l = 1, \dots, L` of one residual stream add what their updates answer. The columns of
:math:`K_l` are the keys of n facts whose subjects are named, and the lessons ask for
:math:`\sum_l \Delta_l K_l = V`. A two-hop prompt holds its bridge entity only from some read on;
there the entity is latent, with keys :math:`h_l`, and earlier reads do not see it. Gradient descent
from zero on any loss of these logits, with rate :math:`\eta_l` at read :math:`l`, can end at one
exact edit only, and that edit answers the two-hop question by

.. math::
    V w, \qquad w = G^{-1} \sum_{l\ \mathrm{late}} \eta_l K_l^\top h_l
    = \sum_{l\ \mathrm{late}} (G^{-1} \eta_l G_l)\, (G_l^+ K_l^\top h_l), \qquad
    G_l = K_l^\top K_l,\ G = \sum_l \eta_l G_l :

share times resemblance. For one fact the share of a read is :math:`\eta_l \|k_l\|^2 / \sum_j \eta_j
\|k_j\|^2` and the resemblance :math:`k_l^\top h_l / \|k_l\|^2`. With answers that are tokens of
their own, that of fact 1 leads by :math:`w_1 - \max(0, \max_{i > 1} w_i)`.

**Proof.** The gradient at read :math:`l` is :math:`E K_l^\top` with the same :math:`E` at all
reads, so each step, and the end, has the form :math:`\Delta_l = \eta_l A K_l^\top`; batches of
lessons, momentum and rates that change in common keep it. The lessons then say :math:`A G = V`.
Tokens of their own make :math:`V` of full column rank, hence the keys of all reads together, and
:math:`G` is invertible: :math:`\sum_{\mathrm{late}} \Delta_l h_l = V G^{-1} \sum \eta_l K_l^\top
h_l`. The columns of :math:`K_l^\top` lie in the range of :math:`G_l`, so :math:`G_l G_l^+ K_l^\top
= K_l^\top`. With :math:`K` the keys :math:`\sqrt{\eta_l} K_l` one below another, the edit is
:math:`V K^+` in units of :math:`\sqrt{\eta_l}`, hence that of least :math:`\sum_l \|\Delta_l\|_F^2
/ \eta_l`. :math:`\square`

**What it tells someone who merges adapters.** Where single hops put an adapter's facts, and so
whether others can reach them through a bridge, is decided by the keys that the base gives and by
learning rates. Two-hop use is lost in proportion to the energy of reads before the bridge, and to
how little a latent entity looks like its name; higher rates in later layers give more of it.

**What it does not say.** That keys stay put: updates of early reads move later keys in a trained
network, and reads reach the logits through unequal Jacobians. A LoRA whose random `down` is frozen
meets keys that it shortens by a random factor, equal for all reads on average only. Rules that
rescale each weight (Adam) leave the form :math:`\eta_l A K_l^\top`. The base's own answer is added.

References
----------
Least norm by gradient descent: Gunasekar et al. (arXiv 1802.08246). Two-hop questions read facts
late: Biran et al. (arXiv 2406.12775); Zhang et al. (arXiv 2410.06331). Single-hop training leaves
them at chance: Balesni et al. (arXiv 2411.16353).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import condition_number, eye, lead, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
SOURCE = "own; that gradient descent from zero finds the least norm is well known"

EXACT = "an edit without loss on the single-hop lessons"
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
        parts = [
            (rate**0.5 if read >= start else 0.0) * part
            for read, (rate, part) in enumerate(zip(self.rates, keys, strict=True))
        ]
        return array_namespace(parts[0]).concat(parts, axis=0)

    def edit(self, stacked: Float[Array, "tokens keys"]) -> Edit:
        """Return an update of stacked, scaled keys as one update for each read's own keys."""
        parts, end = [], 0
        for rate, keys in zip(self.rates, self.named, strict=True):
            start, end = end, end + keys.shape[0]
            parts.append(rate**0.5 * stacked[:, start:end])
        return tuple(parts)

    def in_units(self, edit: Edit) -> Float[Array, "tokens keys"]:
        """Return the reads' updates as one update of stacked, scaled keys; undoes `edit`."""
        parts = [update / rate**0.5 for update, rate in zip(edit, self.rates, strict=True)]
        return array_namespace(parts[0]).concat(parts, axis=1)


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
    energies = [
        rate * float(array_namespace(keys).sum(keys[:, 0] ** 2))
        for rate, keys in zip(case.rates, case.named, strict=True)
    ]
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


def independent(rng: np.random.Generator, size: int, partner: bool) -> Case:
    """Draw reads and facts whose stacked named keys are linearly independent.

    With `partner` the latent key is independent of them as well.
    """
    reads, facts = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    widths = rng.integers(1, size + 3, reads).tolist()  # some too narrow for all facts alone
    named = [10.0 ** rng.uniform(-1, 1) * rng.standard_normal((d, facts)) for d in widths]
    alike, own = rng.uniform(-0.5, 1.5, (reads, facts)), 10.0 ** rng.uniform(-3, 0.5, reads)
    alike[:, 1:] *= rng.choice([0.0, 0.3, 1.0])
    latent = [
        keys @ a + o * float(np.abs(keys).max()) * rng.standard_normal(len(keys))
        for keys, a, o in zip(named, alike, own, strict=True)
    ]
    rates = 10.0 ** (rng.uniform(-1, 1, reads) * (rng.random() < 0.5))
    early = int(rng.integers(reads))
    case = Case(tuple(named), tuple(latent), tuple(rates.tolist()), early)
    keys = np.column_stack([case.lessons, case.question]) if partner else case.lessons
    if keys.shape[0] >= keys.shape[1] and condition_of(keys) <= 1e4:
        return case
    return independent(rng, size, partner)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four reads and facts, with keys of unequal lengths and unequal learning rates."""
    return independent(rng, size, partner=False)


def bound(case: Case) -> float:
    """Return w_1 − max(0, the other w_i), w being the statement's weights for the case."""
    return lead(answers(case.lessons) @ weights(case))


def measure(case: Case, edit: Edit) -> float:
    """Return fact 0's margin when the reads after the bridge see the latent keys."""
    late = range(case.early, len(edit))
    return lead(sum(edit[read] @ case.latent[read] for read in late))


def scale(case: Case) -> float:
    """Return a bound of the logits at the latent keys, the unit of rounding errors."""
    xp = array_namespace(case.lessons)
    least = float(xp.linalg.svdvals(case.lessons)[-1])
    return 1 + norm(case.question) / max(least, 1e-300)


def condition(case: Case) -> float:
    """Return the squared condition number of the named keys, stacked over reads."""
    return condition_of(case.lessons)


def attain(case: Case) -> Edit:
    """Return the edit of least norm that answers the single-hop lessons."""
    return least_norm(case, case.lessons, answers(case.lessons))


def rival(case: Case, rng: np.random.Generator) -> Edit:
    """Return the edit that conjugate gradients find from a start in the span of the lessons."""
    keys, wanted = case.lessons, answers(case.lessons)
    start = rng.standard_normal(wanted.shape) * 10.0 ** int(rng.integers(-9, 1))
    update = start @ keys.T / np.linalg.norm(keys) ** 2
    for _ in range(3):  # again from where it came to, against rounding
        rest = wanted - update @ keys
        step = rest @ keys.T
        for _ in range(keys.shape[1]):
            moved = step @ keys
            if not moved.any():
                break
            update = update + np.sum(rest * moved) / np.sum(moved**2) * step
            rest = wanted - update @ keys
            slope = rest @ keys.T
            step = slope - np.sum((slope @ keys) * moved) / np.sum(moved**2) * step
    return case.edit(update)


def adversary(case: Case, _: np.random.Generator) -> Edit:
    """Return the edit that gradient descent with momentum finds, each read at its own rate."""
    wanted = answers(case.named[0])
    edit = [np.zeros((len(wanted), len(keys))) for keys in case.named]
    before, pairs = edit, list(zip(case.named, case.rates, strict=True))
    curvature = np.linalg.eigvalsh(sum(rate * keys.T @ keys for keys, rate in pairs))
    high, low = curvature[-1] ** 0.5, curvature[0] ** 0.5
    pace, momentum = 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2
    for _step in range(20000):
        rest = wanted - sum(update @ keys for update, keys in zip(edit, case.named, strict=True))
        if np.abs(rest).max() < 1e-14:
            break
        after = [
            update + pace * rate * rest @ keys.T + momentum * (update - last)
            for update, last, (keys, rate) in zip(edit, before, pairs, strict=True)
        ]
        before, edit = edit, after
    return tuple(edit)


def missed(edit: Edit, keys: tuple[Array, ...], wanted: Array, start: int = 0) -> float:
    """Return the largest error in a logit when reads from `start` on see these keys."""
    given = sum(edit[read] @ keys[read] for read in range(start, len(keys)))
    return float(array_namespace(wanted).max(array_namespace(wanted).abs(given - wanted)))


def exact(case: Case, edit: Edit) -> bool:
    """Whether the edit answers every single-hop lesson."""
    return missed(edit, case.named, answers(case.named[0])) <= SAFETY * condition(case)


def _descended(case: Case, edit: Edit) -> bool:
    xp, update = array_namespace(case.lessons), case.in_units(edit)
    frame = xp.linalg.qr(case.lessons)[0]
    outside = norm(update - (update @ frame) @ frame.T)
    return outside <= SAFETY * condition(case) * norm(update)


ASSUMPTIONS = {EXACT: exact, DESCENT: _descended}

_KEYS = (np.array([[1.0], [0.0]]), np.array([[2.0], [0.0]]))
SMALL = Case(_KEYS, (np.zeros(2), np.array([1.0, 1.0])), (1.0, 1.0), 1)
"""One fact, its key twice as long in the second of two reads: what controls spoil."""


def _spoilt(change: Callable[[Edit], Edit]) -> tuple[Case, Edit]:
    return SMALL, change(attain(SMALL))


CONTROLS = (
    Control("stop half way", EXACT, partial(_spoilt, lambda edit: tuple(u / 2 for u in edit))),
    Control(
        "start from weights that are not zero",
        DESCENT,
        partial(_spoilt, lambda edit: (edit[0], edit[1] + np.array([[0.0, 1.0], [0.0, 0.0]]))),
    ),
    Control(
        "a learning rate four times as high in the second read",
        DESCENT,
        lambda: (SMALL, attain(replace(SMALL, rates=(1.0, 4.0)))),
    ),
    Control(
        "a norm that makes the second read dear",
        DESCENT,
        lambda: (SMALL, attain(replace(SMALL, rates=(1.0, 0.1)))),
    ),
    Control(
        "all of the edit in the first read",
        DESCENT,
        partial(_spoilt, lambda edit: (5 * edit[0], 0 * edit[1])),
    ),
)

THEOREM: Theorem[Case, Edit] = Theorem.of(__name__)
