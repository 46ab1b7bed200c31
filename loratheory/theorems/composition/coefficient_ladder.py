r"""Coefficient ladder: how strongly each of K linked reads should merge its edit, on a budget.

**Statement.** Over old facts of linearly independent keys and values whose answers keep the facts
of the base, coefficients of positive product p let K edited hops lead, some token being on no path,
by at most p − max(0, (1 − p)/K), at coefficients that do not rise from read to read.

Let the edits of K linked reads be merged with coefficients :math:`c_j` of product :math:`p > 0`,
over old facts as in ``thm:two-read-region`` (*overwrite*). The new answer, which has logit
:math:`p`, leads by at most

.. math:: p - \max\Bigl(0, \frac{1 - p}{K}\Bigr),

with equality at :math:`c_j = (1 - jd) / (1 - (j-1)d)`, :math:`d = (1 - p)/K`: coefficients that
fall from read to read. So some coefficients win iff :math:`p > 1/(K+1)`; on that border they are
:math:`\frac{K}{K+1}, \dots, \frac23, \frac12`, with sum :math:`K + 1 - H_{K+1}`, and every larger
sum wins somewhere; nonnegative ones with :math:`\sum_j c_j \le K (K+1)^{-1/K}` never do. *Two
hops*, :math:`c_1 + c_2 = s` in [1/2, 2]: the best margin is :math:`3c_1 - 2` at :math:`c_1 =
\frac12(s - 2 + \sqrt{(2-s)^2 + 4})`, positive iff :math:`s > 7/6` (equal ones need :math:`\sqrt5 -
1`); at :math:`s = 1` it is :math:`-.382^2`, at .618. *Nonnegative, none above c*: equal ones are
best, :math:`c^K + c > 1`.

**Proof.** With :math:`P_j = \prod_{i \le j} c_i` the old paths have the weights :math:`P_{j-1} -
P_j`. The largest is at least their mean, :math:`(1 - p)/K`, with equality iff all are equal:
:math:`P_j = 1 - jd > 0`. At :math:`p = 1/(K+1)` the sum is :math:`\sum_{i=2}^{K+1} (1 - 1/i)`; more
of it may go to the last read, which raises :math:`p` and lowers its old path. By the means'
inequality a sum :math:`s` has :math:`p \le (s/K)^K`. Two hops: the margin is at most :math:`f =
c_1c_2 - 1 + c_1` and :math:`g = c_1 (2c_2 - 1)`; along the budget :math:`f` rises up to
:math:`(s+1)/2` and :math:`g` falls from :math:`(2s-1)/4` on; they meet between, where
:math:`c_1(2 - s + c_1) = 1`. If all :math:`0 \le c_j \le c < 1`, then :math:`P_K > 1 - P_1`
needs :math:`c^K > 1 - c`. :math:`\square`

**What it tells someone who merges adapters.** If the coefficients of a merge must stay small, spend
them on early reads: an old answer that leaves early carries more weight than one that leaves late.
Two hops need coefficients that sum to 7/6, not the 1.24 of equal ones.

**What it does not say.** The cheapest sum for more hops: from six on the border ladder is not it.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition._hops import Pattern, Prompt

SENSE = "upper"
SOURCE = "own"
USES = ("thm:two-read-region",)

PRODUCT = "coefficients of the stated product"
UNEDITED = "old facts whose answers keep the facts of the base (overwrite)"

Coefficients = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """The product of the hops' coefficients, and the keys and values of each read."""

    product: float
    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]
    pattern: Pattern = "overwrite"


def ladder(hops: int, product: int | float) -> Coefficients:
    """Return the coefficients of this product with the largest margin.

    Partial products of the coefficients fall from 1 to `product` in equal steps.
    """
    step = (1 - product) / hops
    return tuple((1 - (j + 1) * step) / (1 - j * step) for j in range(hops))


def product_needed(hops: int) -> float:
    """Return 1/(K + 1), the product of coefficients that K hops must exceed to win at all."""
    return 1 / (hops + 1)


def sum_needed(hops: int) -> tuple[float, float]:
    """Return two sums of coefficients: up to the first none wins, above the second some do."""
    return hops * (hops + 1) ** (-1 / hops), sum(ladder(hops, product_needed(hops)))


def two_hop_split(budget: int | float) -> tuple[float, float]:
    """Return the two coefficients with this sum that give the largest margin of two hops.

    ValueError unless `budget` is from 1/2 to 2.
    """
    if not 1 / 2 <= budget <= 2:
        message = f"a budget of {budget} has no such split: give one from 1/2 to 2"
        raise ValueError(message)
    first = (budget - 2 + math.hypot(2 - budget, 2)) / 2
    return first, budget - first


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four hops with random keys and values; the product p is often near 1/(K + 1)."""
    hops, first = int(rng.integers(1, 5)), int(rng.integers(2, 4))
    n = [first + j for j in range(hops)]
    d = n[-1] + 4 + int(rng.integers(0, size + 1))
    near = product_needed(hops) * (
        1 + float(rng.choice([-1, 1])) * 10.0 ** -int(rng.integers(1, 13))
    )
    product = (near, 1.0, 1 / 2**hops, float(rng.uniform(0.01, 2)))[int(rng.integers(4))]
    frames = [10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal((d, k)) for k in n + n[1:]]
    return Case(product, tuple(frames[:hops]), tuple(frames[hops:]))


def bound(case: Case) -> float:
    """Return p − max(0, (1 − p)/K), p being the case's product and K its number of hops."""
    return case.product - max(0.0, (1 - case.product) / len(case.keys))


def attain(case: Case) -> Coefficients:
    """Return the coefficients of `ladder`, which fall from read to read."""
    return ladder(len(case.keys), case.product)


def _prompt(case: Case, coefficients: Coefficients) -> Prompt:
    return Prompt(case.pattern, coefficients, case.keys, case.values)


def measure(case: Case, coefficients: Coefficients) -> float:
    """Return the margin of the right answer when the prompt's key goes through all matrices."""
    prompt = _prompt(case, coefficients)
    return region.measure(prompt, region.attain(prompt))


def _spread(case: Case, shape: Array) -> Coefficients:
    """Return coefficients of the case's product whose logarithms are `shape` plus a constant."""
    whole = case.product ** (1 / len(shape)) * np.exp(shape - np.mean(shape))
    return tuple(whole.tolist())


def rival(case: Case, rng: np.random.Generator) -> Coefficients:
    """Return coefficients of the case's product: equal, random, two negative, or near the best."""
    kind, free = int(rng.integers(4)), rng.uniform(-1, 1, len(case.keys))
    if kind < 2:
        return _spread(case, kind * free)
    if kind == 2 and len(free) > 1:
        one, two, *rest = _spread(case, free)
        return (-one, -two, *rest)
    return _spread(case, np.log(attain(case)) + 10.0 ** int(rng.integers(-12, 1)) * free)


def adversary(case: Case, rng: np.random.Generator) -> Coefficients:
    """Return coefficients of the case's product found by hill climbing on the measured margin."""
    shape = rng.uniform(-0.5, 0.5, len(case.keys))
    best = measure(case, _spread(case, shape))
    for step in range(60):
        other = shape + 0.9**step * rng.uniform(-1, 1, len(shape)) / 2
        margin = measure(case, _spread(case, other))
        if margin > best:
            best, shape = margin, other
    return _spread(case, shape)


ASSUMPTIONS = {
    PRODUCT: lambda case, weights: abs(math.prod(weights) - case.product) <= SAFETY * case.product,
    UNEDITED: lambda case, _: case.pattern == "overwrite",
    region.FRAMES: lambda case, coefficients: region.framed(_prompt(case, coefficients)),
    region.FREE: lambda case, _: case.keys[0].shape[1] > 1,
}


def _equal(
    product: float, actual: float, pattern: Pattern = "overwrite"
) -> tuple[Case, Coefficients]:
    eye, hops = np.eye(8), 2
    n = [4, 8] if pattern == "overwrite both" else [2, 3]
    case = Case(product, (eye[:, : n[0]], eye[:, : n[1]]), (eye[:, : n[1]],), pattern)
    return case, (actual ** (1 / hops),) * hops


def _unheard() -> tuple[Case, Coefficients]:
    # What the old bridge carries, half of everything, is lost: only the other old path competes.
    case, _ = _equal(0.45, 0.45)
    keys = case.keys[1] * [1.0, 1.0, 0.0]
    return replace(case, keys=(case.keys[0], keys)), (0.5, 0.9)


CONTROLS = (
    Control("a larger product than stated", PRODUCT, partial(_equal, 0.4, 0.7)),
    Control(
        "entities on old paths edited too", UNEDITED, partial(_equal, 0.49, 0.49, "overwrite both")
    ),
    Control("a base without old facts", UNEDITED, partial(_equal, 0.49, 0.49, "new facts")),
    Control("an old bridge with the key 0", region.FRAMES, _unheard),
    Control(
        "no token beside target and old answer",
        region.FREE,
        lambda: (Case(2.0, (np.eye(3)[:, :1],), ()), (2.0,)),
    ),
)

THEOREM: Theorem[Case, Coefficients] = Theorem.of(
    __name__,
    # what may cancel between paths
    scale=lambda case: 16.0 ** len(case.keys) * max(1.0, case.product),
    condition=lambda case: region.condition(_prompt(case, attain(case))),
)
