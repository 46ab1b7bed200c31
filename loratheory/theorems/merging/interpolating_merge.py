r"""Interpolating merge: the least matrix that does on each row space what its adapter does.

**Statement.** Let P_j project on the row space of adapter Δ_j. Let some matrix agree with each
adapter on its row space, as is the case if these spaces are independent. Of all such matrices, the
one of least Frobenius norm is (ΣΔ_j)(ΣP_j)⁺.

Adapters :math:`\Delta_1, \dots, \Delta_K \in \mathbb{R}^{m \times n}` have row spaces with
orthonormal bases :math:`Q_j` and projectors :math:`P_j`. Let :math:`F = [Q_1 \dots Q_K]` and
:math:`T = [\Delta_1 Q_1 \dots \Delta_K Q_K]`. A matrix :math:`X` with :math:`X P_j = \Delta_j` for
all :math:`j` exists iff :math:`\ker F \subseteq \ker T`. If the row spaces are independent, it
always exists. Every such :math:`X` has

.. math::
    \|X\|_F \ge \|\Delta^*\|_F, \qquad
    \Delta^* = T F^+ = \Bigl(\sum_j \Delta_j\Bigr) \Bigl(\sum_j P_j\Bigr)^+,

with equality only at :math:`\Delta^*`, whose rank is at most :math:`\sum_j r_j`. If no such
:math:`X` exists, :math:`\Delta^*` has the least misfit, :math:`\sum_j \|X P_j - \Delta_j\|_F^2 \ge
\|T (1 - F^+ F)\|_F^2`.

**Proof.** As :math:`\Delta_j = \Delta_j P_j`, the equations :math:`X P_j = \Delta_j` say :math:`X F
= T`. They have a solution iff each row of :math:`T` is a combination of rows of :math:`F`. This is
the condition on kernels. A solution is :math:`X = T F^+ + X (1 - F F^+)`. The rows of the first
part lie in the span of :math:`F`, and those of the second are orthogonal to it. So the first part
alone has the least norm, by Pythagoras. Without a solution, :math:`X F - T = (X F - T F^+ F) - T (1
- F^+ F)` again has two orthogonal parts, and :math:`X = T F^+` removes the first. The second
formula for :math:`\Delta^*` follows from :math:`F^+ = F^\top (F F^\top)^+`, :math:`F F^\top =
\sum_j P_j` and :math:`T F^\top = \sum_j \Delta_j P_j`. :math:`\square`

**Implication.** If the row spaces of a library are independent, one matrix gives every adapter's
answers on the adapter's own inputs. The function `interpolate` computes it. Its rank is the sum of
the ranks, and its size shows how oblique the row spaces are.

**Scope.** The merge removes interference on inputs inside a row space of one adapter. For other
inputs see ``thm:interpolation-price``. The rule is known under other names. Let the row spaces be
independent. Let the inputs of each adapter have the Gram matrix :math:`G_j` and span exactly its
row space. Then RegMean gives the same matrix, :math:`(\sum_j \Delta_j G_j) (\sum_j G_j)^+ =
\Delta^*`.

References
----------
Penrose (1956); RegMean (arXiv 2212.09849).

============================================================

Interpolation price: what the interpolating merge makes of an input outside the row space.

**Statement.** The row spaces of the adapters are independent, and X is their interpolating merge.
Let an input lie at most d outside the row space of its own adapter i, on which P_i projects. The
merge errs on it by at most ‖X(1 − P_i)‖ d in spectral norm, and some inputs attain this.

Let the row spaces of :math:`\Delta_1, \dots, \Delta_K` be independent, with projectors :math:`P_j`
and joint frame :math:`F = [Q_1 \dots Q_K]`. Let :math:`\Delta^*` be their interpolating merge. On
any input :math:`k` it errs against adapter :math:`i` by exactly

.. math:: \Delta^* k - \Delta_i k = \Delta^* (1 - P_i) k .

So the largest error on inputs at a distance :math:`\|(1 - P_i) k\| \le \ell` is exactly
:math:`\|\Delta^* (1 - P_i)\|_2\, \ell`. It is at most

.. math::
    \frac{\sqrt{\sum_j \|\Delta_j\|_2^2}}{\sigma_{\min}(F)}\, \ell \;\le\;
    \frac{\sqrt K \max_j \|\Delta_j\|_2}{\sigma_{\min}(F)}\, \ell .

**Proof.** The identity follows from :math:`\Delta^* P_i = \Delta_i = \Delta_i P_i`. The maximum of
a linear map over a ball in the range of :math:`1 - P_i` is its norm there times the radius. For the
upper bounds, :math:`\Delta^* = T F^+` with :math:`\|T\|_2^2 = \|\sum_j \Delta_j Q_j Q_j^\top
\Delta_j^\top\|_2 \le \sum_j \|\Delta_j\|_2^2` and :math:`\|F^+\|_2 = 1/\sigma_{\min}(F)`. Both can
be approached. Take two rank-one adapters of equal norm with opposite answers, whose rows meet at
the angle :math:`\theta`. They reach the share :math:`\cos(\theta/2)` of both bounds, and this tends
to 1 for small angles. :math:`\square`

**Implication.** Before you use the interpolating merge, measure how far real inputs lie outside the
row spaces. Nearly dependent row spaces amplify the error.

**Scope.** The theorem does not say how far real inputs lie outside. For comparison, the sum of the
adapters errs by :math:`\sum_{j \ne i} \Delta_j k`, also on inputs inside the row space.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, count_above, orthonormal, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import add_outside, condition_on_span, norm, read_outside
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


def condition(case: "Case | Outside") -> float:
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


# Inputs that leave the row space of their adapter

SENSE_PRICE = "upper"
SOURCE_PRICE = "own"
USES_PRICE = ("thm:interpolating-merge",)

INDEPENDENT = "independent row spaces"
DISTANCE = "an input that leaves the row space of its adapter by the distance at most"
LONGEST = 1e3  # how much longer than its distance a drawn input is


@dataclass(frozen=True)
class Outside:
    """Adapters, the index of the input's own, and the input's norm outside that row space."""

    updates: tuple[LowRank, ...]
    index: int
    distance: float


def draw_price(rng: np.random.Generator, size: int) -> Outside:
    """Draw adapters with independent row spaces, the one that is asked about, and any distance."""
    updates = library(rng, size)
    return Outside(updates, int(rng.integers(len(updates))), 10.0 ** int(rng.integers(-6, 7)))


def _outside(case: Outside) -> LowRank:
    merged, basis = interpolate(case.updates), case.updates[case.index].row_space()
    return read_outside(merged, basis)


def bound_price(case: Outside) -> float:
    """Return ‖Δ*(1 − P_i)‖₂ ℓ, i being the case's `index` and ℓ its `distance`."""
    return _outside(case).spectral_norm * case.distance


def attain_price(case: Outside) -> Float[Array, " n"]:
    """Return the input of norm ℓ at right angles to row space i on which the merge errs most."""
    right = _outside(case).svd().right
    if right.shape[0] == 0:  # no adapter says anything
        return case.updates[0].down[0, :] * 0.0
    return case.distance * right[0, :]


def measure_price(case: Outside, key: Float[Array, " n"]) -> float:
    """Return ‖Δ*k − Δ_i k‖ at the input k, with Δ*k computed from normal equations."""
    return norm(answer(case.updates, key) - case.updates[case.index] @ key)


def rival_price(case: Outside, rng: np.random.Generator) -> Float[Array, " n"]:
    """Return an input with the case's distance, at random or near the worst.

    A part in the row space is added, which may be a hundred times as long.
    """
    best, basis = attain_price(case), case.updates[case.index].row_space()
    nudged = best + 10.0 ** int(rng.integers(-12, 1)) * case.distance * rng.standard_normal(
        len(best)
    )
    wild = nudged if rng.random() < 0.5 else rng.standard_normal(len(best))
    off = wild - project(wild[:, None], basis)[:, 0]
    # exactly the distance that the case allows
    off = off * case.distance / max(float(np.linalg.norm(off)), 1e-9)
    inside = basis @ rng.standard_normal(basis.shape[1])
    # inside the row space the merge does not err, however long the part
    inside = inside / np.linalg.norm(inside) * case.distance * 10.0 ** int(rng.integers(-3, 3))
    return off + inside


def _independent(case: Outside, _: Array) -> bool:
    reads = frame(case.updates)
    return count_above(array_namespace(reads).linalg.svdvals(reads), DEPENDENT) == reads.shape[1]


def _lies_outside(case: Outside, key: Float[Array, " n"]) -> bool:
    basis = case.updates[case.index].row_space()
    off = key - project(key[:, None], basis)[:, 0]
    return norm(off) <= case.distance * (1 + SAFETY)


ASSUMPTIONS_PRICE = {INDEPENDENT: _independent, DISTANCE: _lies_outside}


def _opposed(angle: float, *key: float) -> tuple[Outside, Float[Array, " n"]]:
    rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    pair = LowRank(np.eye(1), rows[:1]), LowRank(-np.eye(1), rows[1:])
    return Outside(pair, 0, 1.0), np.array(key)


CONTROLS_PRICE = (
    Control("opposite answers to one input", INDEPENDENT, partial(_opposed, 0.0, 1.0, 0.0)),
    Control("an input at twice the distance", DISTANCE, partial(_opposed, 1.0, 0.0, 2.0)),
)


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    Theorem.of(
        __name__,
        "interpolation price",
        "_price",
        # the norms that meet, on an input as long as its distance
        scale=lambda case: sum(low.spectral_norm for low in case.updates) * case.distance,
        condition=lambda case: LONGEST * condition(case),
    ),
)
