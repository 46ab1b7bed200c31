r"""Iso flattening: what making all singular values equal does to merged edits.

**Statement.** Iso merging on the nonzero spectrum gives edits of orthonormal keys and outputs their
mean strength, each the same and without interference.

Let :math:`\sum_j \Delta_j = \sum_{i \le N} s_i\, b_i k_i^\top` with orthonormal keys :math:`k_i`,
orthonormal outputs :math:`b_i` and strengths :math:`s_i > 0`. On the nonzero spectrum Iso merging
gives :math:`M = \bar s \sum_i b_i k_i^\top`, :math:`\bar s` the mean strength,

.. math:: \langle b_i, M k_i \rangle = \bar s, \qquad \langle b_l, M k_i \rangle = 0 \; (l \ne i).

The rule as published averages over all :math:`\min(m, n)` singular values and fills the null space
with arbitrary pairs: each strength is then smaller by the factor :math:`N / \min(m, n)`, beside
noise of that strength.

**Proof.** The sum is its own singular value decomposition up to the order of the terms; where
strengths coincide the singular vectors are not unique, but :math:`U V^\top = \sum_i b_i k_i^\top`
is. :math:`\square`

**What it tells someone who merges adapters.** Flattening helps weak edits at the cost of strong
ones; as published it leaves each the share N / min(m, n) of the mean strength.

**What it does not say.** Real edits are not orthonormal; then the flattened directions are the
singular ones, not the edits. Flattening does not compose hops (``thm:single-read-no-go``).

References
----------
Iso-C: Marczak et al. (arXiv 2502.04959).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal, total
from loratheory.shapes import Float
from loratheory.theorems._arrays import is_orthonormal
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
KIND = "lemma"
SOURCE = "own; the rule: Marczak et al. (arXiv 2502.04959)"

KEYS = "orthonormal keys"
OUTPUTS = "orthonormal outputs"
SUM = "adapters whose sum holds the edits with the strengths of the case"
SPREAD = 1e10  # weaker edits than this share of the strongest count as none in the rule

Library = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Keys, outputs and strengths of edits; `edit` picks the key asked, `read` the output read."""

    keys: Float[Array, "n facts"]
    outputs: Float[Array, "m facts"]
    strengths: tuple[float, ...]
    edit: int
    read: int

    @property
    def edits(self) -> LowRank:
        """Sum of the edits."""
        xp = array_namespace(self.keys)
        sizes = xp.asarray(self.strengths, dtype=xp.float64, device=self.keys.device)
        return LowRank(self.outputs * sizes, self.keys.T)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to six edits of equal or very different strengths, an edit and an output to ask."""
    facts = int(rng.integers(1, 7))
    m, n = (facts + rng.integers(0, size + 1, 2)).tolist()
    spread = float(rng.choice([0.0, 1.0, 3.0]))
    sizes = 10.0 ** (spread * rng.uniform(-1, 0, facts) + int(rng.integers(-6, 7)))
    keys, outputs = orthonormal(rng, n, facts), orthonormal(rng, m, facts)
    edit, other = rng.integers(0, facts, 2).tolist()
    read = edit if rng.random() < 0.5 else other
    return Case(keys, outputs, tuple(sizes.tolist()), edit, read)


def bound(case: Case) -> float:
    """Return the mean strength if the output read is the edit's own, otherwise 0."""
    return sum(case.strengths) / len(case.strengths) if case.read == case.edit else 0.0


def attain(case: Case) -> Library:
    """Return a library with one adapter for each edit."""
    low = case.edits
    columns = (slice(i, i + 1) for i in range(len(case.strengths)))
    return tuple(LowRank(low.up[:, i], low.down[i, :]) for i in columns)


def measure(case: Case, library: Library) -> float:
    """Return ⟨b_l, M k_i⟩ for the Iso merge M, i being the case's `edit` and l its `read`."""
    merged = MERGE_METHODS["iso"].rule(list(library), [1.0] * len(library), Options())
    return float(case.outputs[:, case.read] @ (merged @ case.keys[:, case.edit]))


def condition(case: Case) -> float:
    """Return the strongest edit over the weakest, at most 1e10.

    By this ratio rounding errors grow in the singular vectors of the weakest edit.
    """
    return max(case.strengths) / max(min(case.strengths), max(case.strengths) / SPREAD)


def rival(case: Case, rng: np.random.Generator) -> Library:
    """Return two adapters that share each edit between them, in other gauges."""
    low, r = case.edits, len(case.strengths)
    gauge = orthonormal(rng, r, r) * rng.uniform(0.5, 2, r)
    share = rng.uniform(-1, 2, r)
    return (
        LowRank(low.up * share, low.down).regauged(gauge),
        LowRank(low.up * (1 - share), low.down).regauged(gauge.T),
    )


def _holds(case: Case, library: Library) -> bool:
    return (total(list(library)) - case.edits).spectral_norm <= SAFETY * max(case.strengths)


ASSUMPTIONS = {
    KEYS: lambda case, _: is_orthonormal(case.keys),
    OUTPUTS: lambda case, _: is_orthonormal(case.outputs),
    SUM: _holds,
}


def _example(keys: float, outputs: float, double: float = 1.0) -> tuple[Case, Library]:
    frames = [np.array([[1.0, np.cos(a)], [0.0, np.sin(a)], [0.0, 0.0]]) for a in (keys, outputs)]
    case = Case(frames[0], frames[1], (1.0, 4.0), 0, 0)
    first, second = attain(case)
    return case, (double * first, second)


CONTROLS = (
    Control("keys that overlap", KEYS, partial(_example, 1.0, np.pi / 2)),
    Control("outputs that overlap", OUTPUTS, partial(_example, np.pi / 2, 1.0)),
    Control("an adapter twice as strong", SUM, partial(_example, np.pi / 2, np.pi / 2, 2.0)),
)

THEOREM: Theorem[Case, Library] = Theorem.of(
    __name__,
    scale=lambda case: max(case.strengths),
)
