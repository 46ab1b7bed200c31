r"""Rank subadditivity: what the rank of a sum of adapters can be, from both sides.

**Statement.** Let R be the sum of the adapters' ranks, and let their row spaces together span ρ
dimensions and their column spaces γ. A weighted sum of the adapters, with no weight zero, has a
rank between ρ + γ − R and min(ρ, γ).

For ranks :math:`r_j` of sum :math:`R` and all weights :math:`c_j \ne 0`,

.. math::
    \max_j (2 r_j - R) \;\le\; \rho + \gamma - R \;\le\;
    \operatorname{rank} \sum_j c_j \Delta_j \;\le\; \min(\rho, \gamma) \;\le\; R.

So the rank is :math:`R` iff the row spaces are independent and the column spaces are too. Let
:math:`\rho` and :math:`\gamma` be any numbers from :math:`\max_j r_j` to :math:`R`. Then some
adapters meet the upper bound :math:`\min(\rho, \gamma)`. Some meet the lower bound :math:`\rho +
\gamma - R`, or 0 if this is negative.

**Proof.** Write :math:`\sum_j c_j \Delta_j = G H`. Here :math:`G \in \mathbb{R}^{m \times R}` holds
the column bases of the adapters side by side, and has rank :math:`\gamma`. The matrix :math:`H`
holds their rows, scaled by the weights, on top of each other, and has rank :math:`\rho`.
Sylvester's inequality bounds the rank of :math:`G H` from below, and each factor bounds it from
above. *Attained.* Let :math:`G` be generic, with a kernel of dimension :math:`R - \gamma`. Let the
columns of :math:`H` span :math:`\rho` dimensions. The rank of :math:`G H` is :math:`\rho` minus the
number of these dimensions that lie in the kernel. If the :math:`\rho` dimensions are generic, this
number is :math:`\max(0, \rho - \gamma)`. If they lie inside the kernel or contain it, and are
otherwise generic, it is :math:`\min(\rho, R - \gamma)`. As :math:`r_j \le \rho, \gamma`, the blocks
of :math:`r_j` columns of :math:`G` and :math:`r_j` rows of :math:`H` have full rank, so each
adapter has its rank. :math:`\square`

**Implication.** Row and column spaces bound the rank of a sum of adapters from both sides. Usually
it is the sum of the ranks. Keep that much rank, or check what a truncation cuts off.

**Scope.** The lemma does not say what truncating the sum to rank :math:`r` costs. The cost is the
energy beyond rank :math:`r` (``thm:rank-floor``).

References
----------
Sylvester (1884).
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from loratheory.lowrank import LowRank, array_namespace, count_above, orthonormal, total
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
KIND = "lemma"
SOURCE = "standard; rests on Sylvester (1884)"

RANKS = "adapters of the ranks of the case"
SPANS = "row and column spaces that span together as many dimensions as the case says"
SURE = 1e-9  # singular values below this share of the largest adapter's count as zero

Library = tuple[LowRank, ...]


@dataclass(frozen=True)
class Case:
    """Adapters' ranks, dimensions of their joint row and column spaces, and the bound to test."""

    ranks: tuple[int, ...]
    rows: int
    columns: int
    side: Literal["least", "most"] = "least"


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw ranks of one to four adapters that share row space, column space, both or neither."""
    count, top = int(rng.integers(1, 5)), min(4, max(1, size))
    ranks = tuple(rng.integers(1, top + 1, count).tolist())
    # joint spaces hold the largest one and at most all side by side
    low, high = max(ranks), sum(ranks)
    rows, columns = rng.integers(low, high + 1, 2).tolist()
    return Case(ranks, rows, columns, "least" if rng.random() < 0.5 else "most")


def bound(case: Case) -> float:
    """Return the least rank of the sum or, if the case's side is ``most``, minus the greatest."""
    if case.side == "least":
        return float(max(0, case.rows + case.columns - sum(case.ranks)))
    return -float(min(case.rows, case.columns))


def measure(case: Case, library: Library) -> float:
    """Return the rank of the library's sum, negated if the case's side is ``most``."""
    # relative to the largest adapter: the sum itself may vanish
    sure = SURE * max(low.spectral_norm for low in library)
    sigma = total(list(library)).S
    kept = int(array_namespace(sigma).count_nonzero(sigma > sure))
    return float(kept if case.side == "least" else -kept)


def _library(case: Case, rng: np.random.Generator, lost: int) -> Library:
    """Return adapters whose sum has rank ρ − `lost`, as so much of H lies in the kernel of G."""
    wide = sum(case.ranks)
    frame = orthonormal(rng, wide, wide)
    outer, kernel = frame[:, : case.columns], frame[:, case.columns :]
    # rows inside the kernel are lost in the sum
    within = kernel @ rng.standard_normal((kernel.shape[1], lost))
    free = rng.standard_normal((wide, case.rows - lost))
    rows = np.concatenate([within, free], axis=1)
    cuts = np.cumsum(case.ranks)[:-1].tolist()
    pairs = zip(np.split(outer.T, cuts, axis=1), np.split(rows, cuts, axis=0), strict=True)
    return tuple(LowRank(up, down) for up, down in pairs)


def _most_lost(case: Case) -> int:
    return min(case.rows, sum(case.ranks) - case.columns)


def branch(case: Case) -> str:
    """Return which of the two bounds the case asks for."""
    return case.side


def attain(case: Case) -> Library:
    """Return adapters whose sum has the least rank or, if the side is ``most``, the greatest."""
    lost = _most_lost(case) if case.side == "least" else max(0, case.rows - case.columns)
    return _library(case, np.random.default_rng(0), lost)


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Return wider adapters with random weights, whose sum has any rank between the two bounds."""
    # between the most and the least that can be lost
    least_lost = max(0, case.rows - case.columns)
    library = _library(case, rng, int(rng.integers(least_lost, _most_lost(case) + 1)))
    left = orthonormal(rng, case.columns + int(rng.integers(0, 4)), case.columns)
    right = orthonormal(rng, case.rows + int(rng.integers(0, 4)), case.rows)
    magnitude, turned = 10.0 ** int(rng.integers(-6, 7)), []
    for low in library:
        weight = magnitude * float(rng.uniform(0.3, 3.0) * rng.choice([-1.0, 1.0]))
        turned.append(LowRank(weight * left @ low.up, low.down @ right.T))
    return tuple(turned)


def spans(library: Library) -> tuple[int, int]:
    """Return the dimensions of the joint row space and of the joint column space."""
    ranks = []
    for turned in (True, False):
        # row spaces are the column spaces of the transposed updates
        bases = [(low.T if turned else low).column_space(SURE) for low in library]
        xp = array_namespace(bases[0])
        ranks.append(count_above(xp.linalg.svdvals(xp.concat(bases, axis=1)), SURE))
    return ranks[0], ranks[1]


ASSUMPTIONS = {
    RANKS: lambda case, library: tuple(low.rank_at(SURE) for low in library) == case.ranks,
    SPANS: lambda case, library: spans(library) == (case.rows, case.columns),
}


def _pair(case: Case, *signs: float, turn: bool = False) -> tuple[Case, Library]:
    lines = (LowRank(np.eye(2)[:, :1], np.eye(2)[:1]), LowRank(np.eye(2)[:, 1:], np.eye(2)[1:]))
    return case, tuple(s * lines[i * turn] for i, s in enumerate(signs))


_ALIKE, _APART = Case((1, 1), 1, 1, "most"), Case((1, 1), 2, 2)

CONTROLS = (
    Control("an adapter that is zero", RANKS, partial(_pair, Case((1,), 1, 1), 0.0)),
    Control("an adapter and its negative", SPANS, partial(_pair, _APART, 1.0, -1.0)),
    Control(
        "two unrelated adapters that should share a row",
        SPANS,
        partial(_pair, Case((1, 1), 1, 1, "most"), 1.0, 1.0, turn=True),
    ),
)

THEOREM: Theorem[Case, Library] = Theorem.of(__name__, scale=lambda case: float(sum(case.ranks)))
