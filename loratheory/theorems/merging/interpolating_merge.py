r"""Interpolating merge: the least matrix that does on each row space what its adapter does.

**Statement.** Among all matrices that do on each row space what its adapter does, the least in
Frobenius norm is (ΣΔ_j)(ΣP_j)⁺, P_j the projectors on the row spaces; one exists whenever these
are independent.

Adapters :math:`\Delta_1, \dots, \Delta_K \in \mathbb{R}^{m \times n}` have row spaces with
orthonormal bases :math:`Q_j` and projectors :math:`P_j`; let :math:`F = [Q_1 \dots Q_K]` and
:math:`T = [\Delta_1 Q_1 \dots \Delta_K Q_K]`. A matrix :math:`X` with :math:`X P_j = \Delta_j` for
all :math:`j` exists iff :math:`\ker F \subseteq \ker T`, always when the row spaces are
independent. Every such :math:`X` has

.. math::
    \|X\|_F \ge \|\Delta^*\|_F, \qquad
    \Delta^* = T F^+ = \Bigl(\sum_j \Delta_j\Bigr) \Bigl(\sum_j P_j\Bigr)^+,

with equality only at :math:`\Delta^*`, whose rank is at most :math:`\sum_j r_j`. If none exists,
:math:`\Delta^*` has the least misfit, :math:`\sum_j \|X P_j - \Delta_j\|_F^2 \ge
\|T (1 - F^+ F)\|_F^2`.

**Proof.** :math:`X P_j = \Delta_j` for all :math:`j` says :math:`X F = T`, as :math:`\Delta_j =
\Delta_j P_j`. Solvable means that each row of :math:`T` is a combination of rows of :math:`F`:
the condition on kernels. Then :math:`X = T F^+ + X (1 - F F^+)`, two parts whose rows are
orthogonal, since those of the first lie in the span of :math:`F`: Pythagoras. Without a solution,
:math:`X F - T = (X F - T F^+ F) - T (1 - F^+ F)` splits likewise, and :math:`X = T F^+` removes the
first part. Finally :math:`F^+ = F^\top (F F^\top)^+` with :math:`F F^\top = \sum_j P_j`,
:math:`T F^\top = \sum_j \Delta_j P_j`. :math:`\square`

**What it tells someone who merges adapters.** Where the row spaces of a library are independent,
one matrix does what every adapter does on its own inputs. Use `interpolate`; its rank is the sum of
the ranks, and its size tells how oblique the adapters are.

**What it does not say.** It removes interference on inputs inside the row spaces, for each adapter
alone; outside them see ``thm:interpolation-price``. The rule is old under other names
(``thm:merge-collapse``).

References
----------
Penrose (1956).

============================================================

Merge collapse: inside independent row spaces RegMean and its relatives are one merge.

**Statement.** If the adapters' row spaces are independent, RegMean without shrinkage gives the
interpolating merge on any data whose inputs of each adapter span just its row space, as does
WUDI-Merging's fixed point of least norm.

Let the row spaces :math:`S_1, \dots, S_K` of :math:`\Delta_1, \dots, \Delta_K` be independent. For
**any** Gram matrices :math:`G_j \succeq 0` with range :math:`S_j`,

.. math::
    \Bigl(\sum_j \Delta_j G_j\Bigr) \Bigl(\sum_j G_j\Bigr)^+ = \Delta^*,

the interpolating merge (``thm:interpolating-merge``). So RegMean with whatever data that span the
row spaces, in whatever proportions, its data-free variants, and the fixed point of least norm of
WUDI-Merging (:math:`G_j` a multiple of :math:`\Delta_j^\top \Delta_j`) are one and the same matrix.

**Proof.** Write :math:`G_j = L_j L_j^\top` and :math:`L = [L_1 \dots L_K]`; the left side is
:math:`[\Delta_1 L_1 \dots \Delta_K L_K] L^+`. With :math:`L_j = Q_j H_j`, :math:`H_j` of full row
rank, :math:`L = F H` for the block diagonal :math:`H` of full row rank and the frame :math:`F` of
full column rank, so :math:`L^+ = H^+ F^+` and :math:`H H^+ = 1`: what is left is :math:`[\Delta_1
Q_1 \dots \Delta_K Q_K] F^+ = \Delta^*`. :math:`\square`

**What it tells someone who merges adapters.** Where row spaces are independent, choosing between
RegMean, its data-free variants and WUDI-Merging matters only through inputs that leave them:
inside, all are the interpolating merge.

**What it does not say.** Data that leave the row spaces, as real activations do, or do not fill
them make the rules differ again; so do row spaces that meet with different answers, RegMean's
published shrinking of off-diagonal entries, and WUDI run for a finite time.

References
----------
RegMean (arXiv 2212.09849); WUDI-Merging (arXiv 2503.08099).

============================================================

Interpolation price: what the interpolating merge makes of an input outside the row space.

**Statement.** On an input that leaves its adapter's row space by a leak, the interpolating merge of
adapters with independent row spaces errs by at most its own spectral norm outside that space times
the leak, and on some by just that.

Let the row spaces of :math:`\Delta_1, \dots, \Delta_K` be independent, with projectors :math:`P_j`
and joint frame :math:`F = [Q_1 \dots Q_K]`, and :math:`\Delta^*` their interpolating merge. On any
input :math:`k` it errs against adapter :math:`i` by exactly

.. math:: \Delta^* k - \Delta_i k = \Delta^* (1 - P_i) k ,

so that inputs with leak :math:`\|(1 - P_i) k\| \le \ell` have errors up to exactly
:math:`\|\Delta^* (1 - P_i)\|_2\, \ell`, and this is at most

.. math::
    \frac{\sqrt{\sum_j \|\Delta_j\|_2^2}}{\sigma_{\min}(F)}\, \ell \;\le\;
    \frac{\sqrt K \max_j \|\Delta_j\|_2}{\sigma_{\min}(F)}\, \ell .

**Proof.** :math:`\Delta^* P_i = \Delta_i = \Delta_i P_i` gives the identity; the maximum of a
linear map over a ball in the range of :math:`1 - P_i` is its norm there. :math:`\Delta^* = T F^+`
with :math:`\|T\|_2^2 = \|\sum_j \Delta_j Q_j Q_j^\top \Delta_j^\top\|_2 \le \sum_j
\|\Delta_j\|_2^2` and :math:`\|F^+\|_2 = 1/\sigma_{\min}(F)`. Both constants are approached: two
rank-one adapters with opposite answers whose rows meet at the angle :math:`\theta` reach
:math:`\cos(\theta/2)` of them. :math:`\square`

**What it tells someone who merges adapters.** Before you use the interpolating merge, measure how
much real inputs leak out of the row spaces: nearly dependent row spaces multiply it.

**What it does not say.** How much real inputs leak: measure that. The sum errs by
:math:`\sum_{j \ne i} \Delta_j k`, inside the row space too.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, count_above, orthonormal, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import add_outside, condition_on_span, norm, read_outside
from loratheory.theorems._sampling import unit_vectors
from loratheory.theorems._theorem import SAFETY, Control, Theorem

DEPENDENT = 1e-8  # a direction this weak in a frame of unit columns is taken to be shared


def library(rng: np.random.Generator, size: int) -> tuple[LowRank, ...]:
    """Draw 1 to 4 adapters of rank 1 to 3 whose row spaces are independent.

    They are orthogonal or oblique; the adapters' sizes are between 1e-6 and 1e6.
    """
    ranks = rng.integers(1, 4, int(rng.integers(1, 5)))
    wide, magnitude = int(ranks.sum()), 10.0 ** int(rng.integers(-6, 7))
    m, n = int(ranks.max() + rng.integers(0, size + 1)), wide + int(rng.integers(0, size + 1))
    spread = 10.0 ** (rng.uniform(-1, 0, wide) * float(rng.choice([0.0, 1.0])))
    # oblique, but never nearly dependent
    reads = (orthonormal(rng, n, wide) * spread) @ orthonormal(rng, wide, wide).T
    blocks = np.split(reads, np.cumsum(ranks)[:-1].tolist(), axis=1)
    updates = []
    for r, rows in zip(ranks.tolist(), blocks, strict=True):
        up = magnitude * orthonormal(rng, m, r) * 10.0 ** rng.uniform(-1, 0, r)
        updates.append(LowRank(up, rows.T))
    return tuple(updates)


def frame(updates: tuple[LowRank, ...]) -> Float[Array, "n k"]:
    """Return orthonormal bases of the adapters' row spaces, concatenated as columns."""
    bases = [low.row_space() for low in updates]
    return array_namespace(bases[0]).concat(bases, axis=1)


def images(updates: tuple[LowRank, ...]) -> Float[Array, "m k"]:
    """Return each adapter's outputs on the basis of its own row space, concatenated as columns."""
    answers = [low @ low.row_space() for low in updates]
    return array_namespace(answers[0]).concat(answers, axis=1)


def answer(updates: tuple[LowRank, ...], key: Float[Array, " n"]) -> Float[Array, " m"]:
    """Return Δ* at an input, by normal equations in the joint frame F: T (FᵀF)⁺ Fᵀ k."""
    reads = frame(updates)
    inverse = array_namespace(reads).linalg.pinv(reads.T @ reads, rtol=1e-10)
    return images(updates) @ (inverse @ (reads.T @ key))


def interpolate(updates: tuple[LowRank, ...]) -> LowRank:
    """Return the interpolating merge that ``MERGE_METHODS["interpolate"]`` makes of the updates."""
    return MERGE_METHODS["interpolate"].rule(list(updates), [1.0] * len(updates), Options())


SENSE = "lower"
SOURCE = "own as a statement on adapters; rests on Penrose (1956)"

EXACT = "a merge that does on each row space what its adapter does"


@dataclass(frozen=True)
class Case:
    """Updates of the adapters to merge."""

    updates: tuple[LowRank, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters with independent row spaces, at times one of them listed twice."""
    updates = library(rng, size)
    return Case(updates + updates[:1] if rng.random() < 0.2 else updates)


def bound(case: Case) -> float:
    """Return ‖Δ*‖, the norm of T F⁺, computed from the Gram matrix of the frame F."""
    reads, answers = frame(case.updates), images(case.updates)
    xp = array_namespace(reads)
    # by the Gram matrix: the construction takes another way
    inverse = xp.linalg.pinv(reads.T @ reads, rtol=1e-10)
    return float(xp.sum((answers @ inverse) * answers)) ** 0.5


def attain(case: Case) -> LowRank:
    """Return Δ* as ``MERGE_METHODS["interpolate"]`` of `loratheory.adapters` computes it."""
    return interpolate(case.updates)


def measure(_: Case, merged: LowRank) -> float:
    """Return the Frobenius norm of a merge."""
    return merged.norm


def scale(case: Case) -> float:
    """Return the sum of the adapters' norms, the unit of rounding errors."""
    return sum(low.norm for low in case.updates)


def condition(case: "Case | Leaking") -> float:
    """Return the squared condition number of the frame F, whose Gram matrix is inverted."""
    return condition_on_span(frame(case.updates), DEPENDENT) ** 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return Δ* plus a small or large update that is zero on all row spaces."""
    best, reads = attain(case), np.linalg.qr(frame(case.updates))[0]
    size = 10.0 ** int(rng.integers(-12, 3)) * scale(case) / max(best.shape)
    # zero on every row space: the conditions still hold, the norm grows
    return add_outside(rng, best, reads, size)


def adversary(case: Case, _: np.random.Generator) -> LowRank:
    """Return the least-norm solution X of all X P_j = Δ_j, which LAPACK finds."""
    dense = [low.dense() for low in case.updates]
    # all conditions at once, in dense arrays
    projectors = [np.linalg.pinv(d, rcond=1e-10) @ d for d in dense]
    rows = np.concatenate([d.T for d in dense])
    merged = np.linalg.lstsq(np.concatenate(projectors), rows, rcond=1e-10)[0].T
    return LowRank(merged, np.eye(merged.shape[1]))


def _exact(case: Case, merged: LowRank) -> bool:
    missed = 0.0
    for low in case.updates:
        basis = low.row_space()
        # in the basis of its own row space an adapter is as small as its rank
        wanted = LowRank(low @ basis, basis.T @ basis)
        missed += (LowRank(merged.up, merged.down @ basis) - wanted).norm ** 2
    return missed**0.5 <= SAFETY * condition(case) * scale(case)


ASSUMPTIONS = {EXACT: _exact}


def _mean() -> tuple[Case, LowRank]:
    one = np.eye(2)
    pair = LowRank(one[:, :1], np.array([[3.0, 4.0]])), LowRank(one[:, 1:], one[:1])
    return Case(pair), (pair[0] + pair[1]) / 2


CONTROLS = (Control("the mean, which does half of each", EXACT, _mean),)


# RegMean and its relatives on data inside the row spaces

SENSE_COLLAPSE = "equal"
SOURCE_COLLAPSE = "own; the rules: arXiv 2212.09849 and 2503.08099"
USES_COLLAPSE = ("thm:interpolating-merge",)

INDEPENDENT = "independent row spaces"
RANGE = "Gram matrices whose ranges are the row spaces"
SPREAD = 300.0  # the largest condition number of all adapters' data together

Data = tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Compared:
    """Adapters, an input, and the direction along which the merge's output is compared."""

    updates: tuple[LowRank, ...]
    query: Float[Array, " n"]
    direction: Float[Array, " m"]


def draw_collapse(rng: np.random.Generator, size: int) -> Compared:
    """Draw adapters with independent row spaces and two random unit vectors."""
    updates = library(rng, size)
    m, n = updates[0].shape
    return Compared(updates, unit_vectors(rng, n), unit_vectors(rng, m))


def bound_collapse(case: Compared) -> float:
    """Return ⟨direction, Δ* query⟩, Δ* being computed from the row spaces without data."""
    return float(case.direction @ answer(case.updates, case.query))


def attain_collapse(case: Compared) -> Data:
    """Return an orthonormal basis of each row space as data, whose Gram matrix is the projector."""
    return tuple(low.row_space() for low in case.updates)


def measure_collapse(case: Compared, data: Data) -> float:
    """Return ⟨direction, M query⟩ for RegMean's merge M on these data, (n, t) for each adapter.

    M is fitted by least squares to each adapter's outputs on its own data.
    """
    xp = array_namespace(case.query)
    inputs = xp.concat(list(data), axis=1)
    # each adapter is fitted on its own data alone
    outputs = xp.concat([low @ x for low, x in zip(case.updates, data, strict=True)], axis=1)
    return float((case.direction @ outputs) @ (xp.linalg.pinv(inputs, rtol=1e-8) @ case.query))


def scale_collapse(case: Compared) -> float:
    """Return the norms of answers, query and direction multiplied, the unit of rounding errors."""
    return norm(images(case.updates)) * norm(case.query) * norm(case.direction)


def condition_collapse(case: Compared) -> float:
    """Return the frame's condition number times the larger of itself and 300, the data's limit."""
    ill = condition_on_span(frame(case.updates), DEPENDENT)
    return ill * max(ill, SPREAD)


def rival_collapse(case: Compared, rng: np.random.Generator) -> Data:
    """Draw data that span each row space unevenly, or the updates' rows, as WUDI-Merging uses."""
    if rng.random() < 0.3:
        return tuple(low.dense().T / float(np.linalg.norm(low.up)) for low in case.updates)
    data = []
    for basis in attain_collapse(case):
        r = basis.shape[1]
        # uneven data, of any number: the merge must not depend on them
        sizes = 10.0 ** (rng.uniform(-1, 0, r) - float(rng.random()))
        data.append((basis * sizes) @ orthonormal(rng, r + int(rng.integers(0, 9)), r).T)
    return tuple(data)


def _independent(case: "Compared | Leaking", _: Any) -> bool:
    reads = frame(case.updates)
    return count_above(array_namespace(reads).linalg.svdvals(reads), DEPENDENT) == reads.shape[1]


def _fills(case: Compared, data: Data) -> bool:
    energies: list[float] = []
    for low, inputs in zip(case.updates, data, strict=True):
        basis = low.row_space()
        inside = basis.T @ inputs
        if norm(inputs - project(inputs, basis)) > SAFETY * norm(inside):
            return False
        # a direction without data counts as 0, also where data are fewer than directions
        energies += map(float, array_namespace(inputs).linalg.svdvals(inside @ inside.T))
    # too uneven data would leave it open whether a direction is there
    return not energies or min(energies) * SPREAD**2 >= max(energies)


ASSUMPTIONS_COLLAPSE = {INDEPENDENT: _independent, RANGE: _fills}


def _planar(angle: float, outside: float) -> tuple[Compared, Data]:
    rows = np.array([[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]])
    pair = LowRank(np.eye(2)[:, :1], rows[:1]), LowRank(np.eye(2)[:, 1:], rows[1:])
    data = rows[:1].T, 2 * rows[1:].T + outside * np.eye(3)[:, 2:]
    return Compared(pair, np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0])), data


def _one_of_two() -> tuple[Compared, Data]:
    case = Compared((LowRank(np.eye(2), np.eye(2, 3)),), np.eye(3)[1], np.eye(2)[1])
    return case, (np.eye(3)[:, :1],)


CONTROLS_COLLAPSE = (
    Control("one row space for two answers", INDEPENDENT, partial(_planar, 0.0, 0.0)),
    Control("data that leave a row space", RANGE, partial(_planar, 1.0, 1.0)),
    Control("data on one of two directions", RANGE, _one_of_two),
)


# Inputs that leave the row space of their adapter

SENSE_PRICE = "upper"
SOURCE_PRICE = "own"
USES_PRICE = ("thm:interpolating-merge",)

LEAK = "an input that leaves the row space of its adapter by the leak at most"
LONGEST = 1e3  # how much longer than its leak a drawn input is


@dataclass(frozen=True)
class Leaking:
    """Adapters, the index of the input's own, and the input's norm outside that row space."""

    updates: tuple[LowRank, ...]
    index: int
    leak: float


def draw_price(rng: np.random.Generator, size: int) -> Leaking:
    """Draw adapters with independent row spaces, the one that is asked about, and any leak."""
    updates = library(rng, size)
    return Leaking(updates, int(rng.integers(len(updates))), 10.0 ** int(rng.integers(-6, 7)))


def _outside(case: Leaking) -> LowRank:
    merged, basis = interpolate(case.updates), case.updates[case.index].row_space()
    return read_outside(merged, basis)


def bound_price(case: Leaking) -> float:
    """Return ‖Δ*(1 − P_i)‖₂ ℓ, i being the case's `index` and ℓ its `leak`."""
    return _outside(case).spectral_norm * case.leak


def attain_price(case: Leaking) -> Float[Array, " n"]:
    """Return the input of norm ℓ at right angles to row space i on which the merge errs most."""
    right = _outside(case).svd().right
    if right.shape[0] == 0:  # no adapter says anything
        return case.updates[0].down[0, :] * 0.0
    return case.leak * right[0, :]


def measure_price(case: Leaking, key: Float[Array, " n"]) -> float:
    """Return ‖Δ*k − Δ_i k‖ at the input k, with Δ*k computed from normal equations."""
    return norm(answer(case.updates, key) - case.updates[case.index] @ key)


def rival_price(case: Leaking, rng: np.random.Generator) -> Float[Array, " n"]:
    """Return an input with the case's leak, at random or near the worst.

    A part in the row space is added, which may be a hundred times as long.
    """
    best, basis = attain_price(case), case.updates[case.index].row_space()
    nudged = best + 10.0 ** int(rng.integers(-12, 1)) * case.leak * rng.standard_normal(len(best))
    wild = nudged if rng.random() < 0.5 else rng.standard_normal(len(best))
    off = wild - project(wild[:, None], basis)[:, 0]
    # exactly the leak that the case allows
    off = off * case.leak / max(float(np.linalg.norm(off)), 1e-9)
    inside = basis @ rng.standard_normal(basis.shape[1])
    # inside the row space the merge does not err, however long the part
    inside = inside / np.linalg.norm(inside) * case.leak * 10.0 ** int(rng.integers(-3, 3))
    return off + inside


def _leaks(case: Leaking, key: Float[Array, " n"]) -> bool:
    basis = case.updates[case.index].row_space()
    off = key - project(key[:, None], basis)[:, 0]
    return norm(off) <= case.leak * (1 + SAFETY)


ASSUMPTIONS_PRICE = {INDEPENDENT: _independent, LEAK: _leaks}


def _opposed(angle: float, *key: float) -> tuple[Leaking, Float[Array, " n"]]:
    rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    pair = LowRank(np.eye(1), rows[:1]), LowRank(-np.eye(1), rows[1:])
    return Leaking(pair, 0, 1.0), np.array(key)


CONTROLS_PRICE = (
    Control("opposite answers to one input", INDEPENDENT, partial(_opposed, 0.0, 1.0, 0.0)),
    Control("an input with twice the leak", LEAK, partial(_opposed, 1.0, 0.0, 2.0)),
)


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    Theorem.of(__name__, "merge collapse", "_collapse"),
    Theorem.of(
        __name__,
        "interpolation price",
        "_price",
        # the norms that meet, on an input as long as its leak
        scale=lambda case: sum(low.spectral_norm for low in case.updates) * case.leak,
        condition=lambda case: LONGEST * condition(case),
    ),
)
