r"""DARE variance: what random masks cost, exactly, on updates and on factors.

**Statement.** Keeping each entry of an update Δ independently with probability p > 0 and dividing
it by p (DARE) is unbiased with output variance (1−p)/p Σ Δ²x² on input x; so treated, the factors U
and V are unbiased too, with variance (1−p)/p Σ U²((Vx)² + V²x²/p), entries squared, which depends
on the gauge.

Keep each entry of :math:`\Delta` independently with probability :math:`p` and divide it by
:math:`p` (DARE). On every input :math:`x` the output is unbiased, with total variance

.. math:: \frac{1 - p}{p} \sum_{i,l} \Delta_{il}^2 x_l^2 .

Mask both factors of :math:`\Delta = U V` so instead: the output is unbiased too, with variance

.. math::
    \frac{1 - p}{p} \sum_{i,a} U_{ia}^2 \Bigl[ (V x)_a^2 + \frac1p \sum_l V_{al}^2 x_l^2 \Bigr],

which depends on the gauge :math:`(U G, G^{-1} V)`. Independence in pairs is enough: within a row,
in :math:`V` among all entries, if the masks of :math:`U` know nothing of those of :math:`V`.

**Proof.** A kept entry is :math:`\xi x` with :math:`\mathbb{E}\xi = 1`, :math:`\operatorname{Var}
\xi = q := (1 - p)/p`; variances of uncorrelated terms add. For factors let :math:`a_i` be row
:math:`i` of the masked :math:`U` and :math:`b` the masked :math:`V` applied to :math:`x`,
independent: :math:`\mathbb{E} a_i a_i^\top = U_i U_i^\top + q \operatorname{diag}(U_{ia}^2)` and
:math:`\mathbb{E} b b^\top = V x (V x)^\top + q \operatorname{diag}(s)`, :math:`s_a = \sum_l
V_{al}^2 x_l^2`, as rows of :math:`V` have masks of their own. Then :math:`\mathbb{E} (a_i^\top b)^2
- (U_i^\top V x)^2` is :math:`q \sum_a U_{ia}^2 [(V x)_a^2 + s_a + q s_a]`, and :math:`1 + q = 1/p`.
:math:`\square`

**What it tells someone who merges adapters.** Masking is free in the mean only. How much one draw
of the masks costs is known in advance, and masking factors instead of updates costs about
:math:`1/p` more and depends on the factors.

**What it does not say.** That the masked sum has low rank: it has not. Nor which is worse: on
factors all is multiplied by :math:`1/p` once more, but cancelling products can make the update's
entries larger or smaller than the factors'.

References
----------
the rule: Yu et al., DARE (arXiv 2311.03099).
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Literal

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "equal"
SOURCE = "own; the rule: Yu et al. (arXiv 2311.03099)"

KEPT = "each entry kept with the probability of the case"
APART = "masks of different entries of a row uncorrelated"
OWN = "a mask of its own for each row of the factor that reads"

Place = Literal["update", "factors"]


@dataclass(frozen=True, eq=False)
class Law:
    """Joint law of the masks: scaled masks of a row, of length n or r, and their probabilities.

    Rows of the factor that reads inputs are masked independently, or (`alike`) by one mask.
    """

    inputs: Float[Array, "a n"]
    input_chances: Float[Array, " a"]
    widths: Float[Array, "b r"]
    width_chances: Float[Array, " b"]
    alike: bool = False

    @property
    def sides(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Masks and probabilities for rows of V (or of the update), then for rows of U."""
        return (self.inputs, self.input_chances), (self.widths, self.width_chances)


@dataclass(frozen=True, eq=False)
class Case:
    """An adapter, an input, the probability to keep an entry, and whether factors are masked."""

    update: LowRank
    query: Float[Array, " n"]
    density: float
    place: Place


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw an update with at most six inputs, as all masks are enumerated, and a density p."""
    m, n, r = (int(rng.integers(1, top)) for top in (size + 1, min(size, 6) + 1, 4))
    update = gaussian(rng, m, n, r, 10.0 ** int(rng.integers(-6, 7)))
    density = float(rng.choice([0.1, 0.5, 0.9, 1.0, rng.uniform(0.05, 1)]))
    place: Place = "update" if rng.random() < 0.5 else "factors"
    return Case(update, rng.standard_normal(n), density, place)


def update_variance(update: LowRank, query: Float[Array, " n"], density: float) -> float:
    """Return (1 − p)/p Σ Δ²x², the output's total variance if the update's entries are masked."""
    energy = array_namespace(query).sum(update.dense() ** 2 * query**2)
    return (1 - density) / density * float(energy)


def factor_variance(update: LowRank, query: Float[Array, " n"], density: float) -> float:
    """Return the output's total variance if the entries of both factors are masked.

    It is the second formula of the statement, and changes with the gauge; `density` is p.
    """
    xp = array_namespace(query)
    inner = (update.down @ query) ** 2 + (update.down**2 @ query**2) / density
    return (1 - density) / density * float(xp.sum(update.up**2 @ inner))


def bound(case: Case) -> float:
    """Return the statement's variance if masks act on the update, or on factors, by `place`."""
    law = update_variance if case.place == "update" else factor_variance
    return law(case.update, case.query, case.density)


def attain(case: Case) -> Law:
    """Return the law in which entries are kept independently: all masks and their probabilities."""
    sides: list[Array] = []
    for length in (case.update.shape[1], case.update.width):
        kept = np.array(list(product((0.0, 1.0), repeat=length)))
        chances = np.prod(np.where(kept > 0, case.density, 1 - case.density), axis=1)
        sides += [beside(case.query, part) for part in (kept / case.density, chances)]
    return Law(*sides)


def measure(case: Case, law: Law) -> float:
    """Return the mean squared deviation from the unmasked output over all masks."""
    up, down, x = case.update.up, case.update.down, case.query
    xp = array_namespace(x)
    (masks, chances), (outer, outer_chances) = law.sides
    if case.place == "update":
        outputs = (masks * x) @ case.update.dense().T  # a row for each mask, used for any row
        return float(xp.sum(chances[:, None] * (outputs - case.update @ x) ** 2))
    inner = (masks * x) @ down.T  # entry (mask, a): row a of V under that mask
    mean = chances @ inner
    second = mean[:, None] * mean
    own = inner.T @ (chances[:, None] * inner)
    one = eye(own, own.shape[0])
    second = own if law.alike else second * (1 - one) + one * own
    rows = outer[:, None, :] * up  # every masked version of every row of U
    squares = xp.sum((rows @ second) * rows, axis=-1)
    crossed = (rows @ mean) * (case.update @ x)
    total = squares - 2 * crossed + (case.update @ x) ** 2
    return float(xp.sum(outer_chances[:, None] * total))


def scale(case: Case) -> float:
    """Return a bound of the squares that are added up, the unit of rounding errors."""
    xp = array_namespace(case.query)
    sizes = [float(xp.sum(part**2)) for part in (case.update.up, case.update.down, case.query)]
    return float(np.prod(sizes)) / case.density**2


def rival(case: Case, rng: np.random.Generator) -> Law:
    """Return the same law written otherwise, or one whose entries are independent in pairs only."""
    law = attain(case)
    order, share = rng.permutation(len(law.inputs)), rng.random(len(law.inputs))
    twice = np.concatenate([law.inputs[order], law.inputs])
    chances = np.concatenate([(law.input_chances * share)[order], law.input_chances * (1 - share)])
    if case.density == 0.5 and law.inputs.shape[1] > 2 and rng.random() < 0.7:
        even = np.sum(law.inputs > 0, axis=1) % 2 == 0
        twice, chances = law.inputs[even], np.full(int(even.sum()), 1 / int(even.sum()))
    return Law(twice, chances, law.widths, law.width_chances)


def _moments(law: Law) -> list[Array]:
    xp = array_namespace(law.inputs)
    return [xp.matrix_transpose(masks) @ (chances[:, None] * masks) for masks, chances in law.sides]


def _kept(case: Case, law: Law) -> bool:
    for masks, chances in law.sides:
        xp = array_namespace(masks)
        off, mean = abs(masks * (masks - 1 / case.density)), abs(chances @ masks - 1)
        if float(xp.max(off) + xp.max(mean)) > SAFETY / case.density**2:
            return False
    return True


def _apart(case: Case, law: Law) -> bool:
    for moment in _moments(law):
        off = abs((moment - 1) * (1 - eye(moment, moment.shape[0])))
        if float(array_namespace(off).max(off)) > SAFETY / case.density**2:
            return False
    return True


ASSUMPTIONS = {
    KEPT: _kept,
    APART: _apart,
    OWN: lambda case, law: case.place == "update" or case.update.width < 2 or not law.alike,
}


def _example(place: Place, kind: str) -> tuple[Case, Law]:
    update = LowRank(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0, 0.0], [0.5, 1.0, 3.0]]))
    case = Case(update, np.array([1.0, 1.0, 2.0]), 0.25, place)
    law, all_or_none = attain(case), np.array([[0.0], [4.0]])
    if kind == "unscaled":
        return case, Law(law.inputs / 4, law.input_chances, law.widths, law.width_chances)
    if kind == "alike":
        return case, replace(law, alike=True)
    chances = np.array([0.75, 0.25])
    return case, Law(all_or_none * np.ones(3), chances, all_or_none * np.ones(2), chances)


CONTROLS = (
    Control("masks that are not divided by p", KEPT, partial(_example, "update", "unscaled")),
    Control("whole rows kept or dropped", APART, partial(_example, "update", "together")),
    Control("whole rows of factors", APART, partial(_example, "factors", "together")),
    Control("one mask for all rows that read", OWN, partial(_example, "factors", "alike")),
)

THEOREM: Theorem[Case, Law] = Theorem.of(__name__)
