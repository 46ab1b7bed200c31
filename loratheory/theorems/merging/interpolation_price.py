r"""Interpolation price: what the interpolating merge makes of an input outside the row space.

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

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import (
    frame,
    images,
    independent,
    interpolated,
    library,
    worst,
)

SENSE = "upper"
SOURCE = "own"
USES = ("thm:interpolating-merge",)

INDEPENDENT = "independent row spaces"
LEAK = "an input that leaves the row space of its adapter by the leak at most"
LONGEST = 1e3  # how much longer than its leak a drawn input is


@dataclass(frozen=True)
class Case:
    """Adapters, the index of the input's own, and the input's norm outside that row space."""

    updates: tuple[LowRank, ...]
    index: int
    leak: float


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters with independent row spaces, the one that is asked about, and any leak."""
    updates = library(rng, size)
    return Case(updates, int(rng.integers(len(updates))), 10.0 ** int(rng.integers(-6, 7)))


def _outside(case: Case) -> LowRank:
    merged, basis = interpolated(case.updates), case.updates[case.index].row_space()
    return LowRank(merged.up, merged.down - project(merged.down.T, basis).T)


def bound(case: Case) -> float:
    """Return ‖Δ*(1 − P_i)‖₂ ℓ, i being the case's `index` and ℓ its `leak`."""
    return _outside(case).spectral_norm * case.leak


def amplification(updates: tuple[LowRank, ...]) -> float:
    """Return the upper bound (Σ‖Δ_j‖²)^½ / σ_min(F) of the error per unit of leak."""
    reads = frame(updates)
    least = float(array_namespace(reads).linalg.svdvals(reads)[-1])
    return sum(low.spectral_norm**2 for low in updates) ** 0.5 / least


def attain(case: Case) -> Float[Array, " n"]:
    """Return the input of norm ℓ at right angles to row space i on which the merge errs most."""
    right = _outside(case).svd().right
    if right.shape[0] == 0:  # no adapter says anything
        return case.updates[0].down[0, :] * 0.0
    return case.leak * right[0, :]


def measure(case: Case, key: Float[Array, " n"]) -> float:
    """Return ‖Δ*k − Δ_i k‖ at the input k, with Δ*k computed from normal equations."""
    reads, xp = frame(case.updates), array_namespace(key)
    weights = xp.linalg.pinv(reads.T @ reads, rtol=1e-10) @ (reads.T @ key)
    error = images(case.updates) @ weights - case.updates[case.index] @ key
    return norm(error)


def rival(case: Case, rng: np.random.Generator) -> Float[Array, " n"]:
    """Return an input with the case's leak, at random or near the worst.

    A part in the row space is added, which may be a hundred times as long.
    """
    best, basis = attain(case), case.updates[case.index].row_space()
    nudged = best + 10.0 ** int(rng.integers(-12, 1)) * case.leak * rng.standard_normal(len(best))
    wild = nudged if rng.random() < 0.5 else rng.standard_normal(len(best))
    off = wild - project(wild[:, None], basis)[:, 0]
    off = off * case.leak / max(float(np.linalg.norm(off)), 1e-9)
    inside = basis @ rng.standard_normal(basis.shape[1])
    inside = inside / np.linalg.norm(inside) * case.leak * 10.0 ** int(rng.integers(-3, 3))
    return off + inside


def _leaks(case: Case, key: Float[Array, " n"]) -> bool:
    basis = case.updates[case.index].row_space()
    off = key - project(key[:, None], basis)[:, 0]
    return norm(off) <= case.leak * (1 + SAFETY)


ASSUMPTIONS = {
    INDEPENDENT: lambda case, _: independent(frame(case.updates)),
    LEAK: _leaks,
}


def _planar(angle: float, leak: float) -> tuple[Case, Float[Array, " n"]]:
    rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    pair = tuple(LowRank(np.array([[sign]]), rows[[i]]) for i, sign in enumerate((1.0, -1.0)))
    return Case(pair, 0, 1.0), np.array([0.0, leak])


def _shared() -> tuple[Case, Float[Array, " n"]]:
    pair = tuple(LowRank(np.array([[sign]]), np.eye(2)[:1]) for sign in (1.0, -1.0))
    return Case(pair, 0, 1.0), np.array([1.0, 0.0])


CONTROLS = (
    Control("opposite answers to one input", INDEPENDENT, _shared),
    Control("an input with twice the leak", LEAK, partial(_planar, 1.0, 2.0)),
)

THEOREM: Theorem[Case, Array] = Theorem.of(
    __name__,
    # the norms that meet, on an input as long as its leak
    scale=lambda case: sum(low.spectral_norm for low in case.updates) * case.leak,
    condition=lambda case: LONGEST * worst(frame(case.updates)) ** 2,
)
