r"""Merge collapse: inside independent row spaces RegMean and its relatives are one merge.

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
RegMean (arXiv 2212.09849); WUDI-Merging (arXiv
2503.08099).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import frame, images, independent, library, worst

SENSE = "equal"
SOURCE = "own; the rules: arXiv 2212.09849 and 2503.08099"
USES = ("thm:interpolating-merge",)

INDEPENDENT = "independent row spaces"
RANGE = "Gram matrices whose ranges are the row spaces"
SPREAD = 300.0  # data are drawn with condition numbers up to this, all adapters' together

Data = tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Adapters, an input, and the direction along which the merge's output is compared."""

    updates: tuple[LowRank, ...]
    query: Float[Array, " n"]
    direction: Float[Array, " m"]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters with independent row spaces and two random unit vectors."""
    updates = library(rng, size)
    m, n = updates[0].shape
    vectors = [rng.standard_normal(side) for side in (n, m)]
    query, direction = (v / np.linalg.norm(v) for v in vectors)
    return Case(updates, query, direction)


def bound(case: Case) -> float:
    """Return ⟨direction, Δ* query⟩, Δ* being computed from the row spaces without data."""
    reads = frame(case.updates)
    inverse = array_namespace(reads).linalg.pinv(reads.T @ reads, rtol=1e-10)
    return float((case.direction @ images(case.updates)) @ (inverse @ (reads.T @ case.query)))


def attain(case: Case) -> Data:
    """Return an orthonormal basis of each row space as data, whose Gram matrix is the projector."""
    return tuple(low.row_space() for low in case.updates)


def measure(case: Case, data: Data) -> float:
    """Return ⟨direction, M query⟩ for RegMean's merge M on these data, (n, t) for each adapter.

    M is fitted by least squares to each adapter's outputs on its own data.
    """
    xp = array_namespace(case.query)
    inputs = xp.concat(list(data), axis=1)
    outputs = xp.concat([low @ x for low, x in zip(case.updates, data, strict=True)], axis=1)
    return float((case.direction @ outputs) @ (xp.linalg.pinv(inputs, rtol=1e-8) @ case.query))


def scale(case: Case) -> float:
    """Return the norms of answers, query and direction multiplied, the unit of rounding errors."""
    return norm(images(case.updates)) * (norm(case.query) * norm(case.direction))


def condition(case: Case) -> float:
    """Return the frame's condition number times the larger of itself and 300, the data's limit."""
    ill = worst(frame(case.updates))
    return ill * max(ill, SPREAD)


def rival(case: Case, rng: np.random.Generator) -> Data:
    """Draw data that span each row space unevenly, or the updates' rows, as WUDI-Merging uses."""
    if rng.random() < 0.3:
        return tuple(low.dense().T / float(np.linalg.norm(low.up)) for low in case.updates)
    data = []
    for basis in attain(case):
        mixed = np.linalg.qr(
            rng.standard_normal((basis.shape[1] + int(rng.integers(0, 9)), basis.shape[1]))
        )[0]
        sizes = 10.0 ** (rng.uniform(-1, 0, basis.shape[1]) - float(rng.random()))
        data.append((basis * sizes) @ mixed.T)
    return tuple(data)


def _fills(case: Case, data: Data) -> bool:
    sizes = []
    for low, inputs in zip(case.updates, data, strict=True):
        xp, basis = array_namespace(inputs), low.row_space()
        outside = norm(inputs - project(inputs, basis))
        inside = [float(sigma) for sigma in xp.linalg.svdvals(basis.T @ inputs)]
        if outside > SAFETY * max(inside, default=0.0):
            return False
        sizes += inside
    return not sizes or min(sizes) * SPREAD >= max(sizes)


ASSUMPTIONS = {
    INDEPENDENT: lambda case, _: independent(frame(case.updates)),
    RANGE: _fills,
}


def _planar(angle: float, outside: float, share: float) -> tuple[Case, Data]:
    rows = np.array([[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]])
    pair = tuple(LowRank(np.eye(2)[:, [i]], rows[[i]]) for i in range(2))
    data = (rows[[0]].T, share * rows[[1]].T + outside * np.array([[0.0], [0.0], [1.0]]))
    return Case(pair, np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0])), data


CONTROLS = (
    Control("one row space for two answers", INDEPENDENT, partial(_planar, 0.0, 0.0, 2.0)),
    Control("data that leave a row space", RANGE, partial(_planar, 1.0, 0.5, 1.0)),
)

THEOREM: Theorem[Case, Data] = Theorem.of(__name__)
