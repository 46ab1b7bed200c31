r"""Averaging survival: when one edit outlives being merged with others.

**Statement.** In a linear read, the answer of an edit trails a competitor by m₀ in the base, and
leads it by m₁ with the edit's adapter alone. The adapter is merged with coefficient c, and other
adapters add ε to the lead. Then the answer leads by c·m₁ − (1 − c)·m₀ + ε.

A prompt with key :math:`k` has base logits :math:`\ell = Wk`. The edit's adapter alone gives
:math:`\ell' = (W + \Delta_1)k`. Merge it with weight :math:`c`, together with others that add
:math:`\varepsilon = \sum_{j>1} c_j \Delta_j k`. Then the token :math:`s` leads by

.. math::
    \min_{t \ne s} \bigl[ c\,m_1(t) - (1 - c)\,m_0(t) + \varepsilon_s - \varepsilon_t \bigr],
    \qquad m_0(t) = \ell_t - \ell_s,\quad m_1(t) = \ell'_s - \ell'_t.

Suppose :math:`\varepsilon = 0`, :math:`c > 0` and one competitor. Then :math:`s` wins iff
:math:`m_1 > m_0 (1 - c)/c`. Under the mean of :math:`K` adapters this is :math:`m_1 > (K -
1)\,m_0`. Under the mean of their factors (before cross terms) it is :math:`m_1 > (K^2 - 1)\,m_0`,
and under the sum :math:`m_1 > 0`. A fact without deficit (:math:`m_0 \le 0 < m_1`) survives every
:math:`0 < c \le 1`. No convex merge keeps two edits that each just replace an old fact (:math:`m_1
= m_0 > 0`).

**Proof.** The merged logits are :math:`(1 - c)\,\ell + c\,\ell' + \varepsilon`. The lead over
:math:`t` is entry :math:`s` minus entry :math:`t`. For the conditions on :math:`m_1`, divide by
:math:`c` and put :math:`c = 1/K, 1/K^2, 1`. If :math:`m_0 \le 0 < m_1`, then :math:`c\,m_1 > 0 \ge
(1 - c)\,m_0` for :math:`0 < c \le 1`; beyond 1 the second inequality may fail. For :math:`m_1 = m_0
> 0` the condition is :math:`c_i > 1/2`, and two weights with sum at most 1 cannot both meet it.
:math:`\square`

**Implication.** Suppose an edit leads some competitor by no more than it trailed this competitor
before. Then it does not survive an undisturbed mean of two or more adapters. So measure margins and
deficits for each fact and competitor.

**Scope.** The theorem covers single facts, not two hops, and does not bound the interference
:math:`\varepsilon`.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import largest, lead
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.toy import AssociativeMemory, interpolating

SENSE = "equal"
SOURCE = "own"

BASE = "a base whose logits on the prompt are those of the case"
EDIT = "an own adapter that alone moves them to the edited logits"
OTHERS = "other adapters that together contribute the interference of the case"
WEIGHT = "the own adapter merged with the coefficient of the case"

Rule = Literal["sum", "mean", "factor_mean"]


def coefficient(adapters: int, rule: Rule = "mean") -> float:
    """Return the coefficient of each adapter's own update under a rule: 1, 1/K or 1/K²."""
    if adapters < 1:
        message = f"{adapters} adapters cannot be merged: give at least 1"
        raise ValueError(message)
    return float(adapters) ** -("sum", "mean", "factor_mean").index(rule)


def margin_needed(adapters: int, deficit: int | float, rule: Rule = "mean") -> float:
    """Return the margin that an edit needs alone, over a competitor that it trails in the base.

    Above it, it leads this competitor in a linear merge without interference.
    """
    return (1 / coefficient(adapters, rule) - 1) * deficit


@dataclass(frozen=True, eq=False)
class Case:
    """Key of a prompt, and logits, new token first: base, edited, and what the others add."""

    key: Float[Array, " d"]
    base: Float[Array, " t"]
    edited: Float[Array, " t"]
    others: Float[Array, " t"]
    coefficient: float


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw logits of any size, and a coefficient that is usual, random or next to a tie."""
    t, magnitude = int(rng.integers(2, size + 2)), 10.0 ** int(rng.integers(-6, 7))
    key = 10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal(int(rng.integers(1, size + 1)))
    base, edited, others = magnitude * rng.standard_normal((3, t))
    deficit, margin = (base - base[0])[1:], (edited[0] - edited)[1:]
    # cases next to a tie show the constant
    border = float(np.max(deficit / (deficit + margin)))  # a competitor ties here
    near = border * (1 + float(rng.choice([-1, 1])) * 10.0 ** int(rng.integers(-12, 0)))
    weight = float(rng.choice([1.0, 1 / 2, 1 / 3, 1 / 9, near, rng.uniform(-1, 2)]))
    return Case(key, base, edited, float(rng.choice([0.0, 1.0])) * others, weight)


def bound(case: Case) -> float:
    """Return the least over t of c m₁ − (1 − c) m₀ + ε_s − ε_t, from the case's logits."""
    deficit, margin = case.base - case.base[0], case.edited[0] - case.edited
    # the merge moves each logit by its share of the edit
    mixed = case.coefficient * margin - (1 - case.coefficient) * deficit
    return float(array_namespace(mixed).min((mixed + case.others[0] - case.others)[1:]))


def measure(case: Case, merge: AssociativeMemory) -> float:
    """Return the margin of the new token when the merged weights are applied to the key."""
    return lead(merge.logits(case.key))


def scale(case: Case) -> float:
    """Return a bound of the logits that are subtracted, the unit of rounding errors."""
    tops = map(largest, (case.base, case.edited, case.others))
    return (1 + 2 * abs(case.coefficient)) * sum(tops)


def _updates(case: Case) -> list[LowRank]:
    # the own adapter is what takes the base's logits to the edited ones
    parts = (case.base, case.edited - case.base, case.others)
    return [interpolating(case.key[:, None], part[:, None]) for part in parts]


def attain(case: Case) -> AssociativeMemory:
    """Build rank-one weights that give these logits; one other adapter adds the interference."""
    base, own, other = _updates(case)
    return AssociativeMemory(base, (own, other), (case.coefficient, 1.0))


def rival(case: Case, rng: np.random.Generator) -> AssociativeMemory:
    """Return weights that differ from those of `attain` only on inputs orthogonal to the key.

    Two other adapters share the interference.
    """
    # changes at right angles to the key leave the prompt's logits alone
    unit, weight = case.key / np.linalg.norm(case.key), float(rng.uniform(0.1, 1.0))
    magnitude = 10.0 ** int(rng.integers(-12, 1)) * scale(case) / np.linalg.norm(case.key)
    off, shape = np.eye(len(unit)) - np.outer(unit, unit), (len(case.base), len(unit))
    base, own, other = (
        u + LowRank(magnitude * rng.normal(size=shape), off) for u in _updates(case)
    )
    return AssociativeMemory(base, (own, other, other), (case.coefficient, weight, 1 - weight))


def _agrees(part: int, case: Case, merge: AssociativeMemory) -> bool:
    base, _, *rest = merge.parts(case.key)
    # what the base says, what the own adapter alone says, what the others add
    logits = (base, base + merge.adapters[0] @ case.key, sum(rest, 0 * base))[part]
    return largest(logits - (case.base, case.edited, case.others)[part]) <= SAFETY * scale(case)


ASSUMPTIONS = {
    BASE: partial(_agrees, 0),
    EDIT: partial(_agrees, 1),
    OTHERS: partial(_agrees, 2),
    WEIGHT: lambda case, merge: merge.coefficients[0] == case.coefficient,
}


def _broken(**change: Any) -> tuple[Case, AssociativeMemory]:
    base, edited, others = np.array([[0.0, 1.0], [1.5, 0.0], [0.0, 0.0]])
    case = Case(np.array([3.0, 4.0]), base, edited, others, 0.5)
    return case, replace(attain(case), **change)


_OWN = _broken()[1].adapters[0]

CONTROLS = (
    Control("merge onto another base", BASE, partial(_broken, weight=_OWN)),
    Control("load it with twice its scale", EDIT, partial(_broken, adapters=(2 * _OWN, 0 * _OWN))),
    Control("merge with its opposite", OTHERS, partial(_broken, adapters=(_OWN, -_OWN))),
    Control("average the factors", WEIGHT, partial(_broken, coefficients=(0.25, 1.0))),
)

COMPUTE = (coefficient, margin_needed)

THEOREM: Theorem[Case, AssociativeMemory] = Theorem.of(__name__)
