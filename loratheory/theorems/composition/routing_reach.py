r"""Routing reach: the largest two-hop margin of routers with convex weights.

**Statement.** Two reads hold old facts with strength 1 at linearly independent keys and values. Two
exact, unscaled adapters, one at each read, write a question's two new facts over old ones, but not
over the old bridge's. A router mixes the adapters with nonnegative weights of sum at most 1. The
new answer's largest margin is −φ^−4, with φ the golden ratio, if the weights are the same at both
reads, and 1 if they may differ.

Two adapters of strength 1 each edit their own read of a two-hop prompt. A router, which may know
everything, mixes them at each read with weights that are at least 0 and sum to at most 1. The
router chooses one adapter a pass, one weight vector that is shared in the whole pass, or a new
weight vector at each read. The target's largest margin (``thm:two-read-region``) over these weights
is

.. math::
    \begin{array}{lccc}
    \text{old facts} & \text{one adapter a pass} & \text{shared in a pass} &
    \text{shared at a read} \\
    \text{overwrite} & -1 & -\varphi^{-4} & 1 \\
    \text{overwrite both} & -1 & 0 & 1 \\
    \text{new subject} & 0 & 1/8 & 1 \\
    \text{new facts} & 0 & 1/4 & 1
    \end{array}

Here :math:`\varphi` is the golden ratio, and a margin of 0 is a tie. Under *overwrite*, one weight
vector for the whole pass suffices only for edits stronger than 7/6 (weights 4/7 and 3/7). The
uniform mean of two adapters needs edits stronger than :math:`2/\varphi = 1.236`.

**Proof.** Let :math:`g_1, g_2` be each adapter's weight at its own read. The margin depends on
these weights alone. *Overwrite:* the margin does not fall as :math:`g_2` grows. With :math:`g_2 = 1
- g_1` the margin is :math:`\min(-(1 - g_1)^2,\; g_1 - 2 g_1^2)`. The first term grows with
:math:`g_1`, and the second falls from :math:`g_1 = 1/4` on. So the margin is largest where the two
terms are equal, at :math:`1 - g_1 = g_1^2`. *Overwrite both:* since :math:`1 - g_1 \ge g_2` and
:math:`1 - g_2 \ge g_1`, the path of two old facts has :math:`(1 - g_1)(1 - g_2) \ge g_1 g_2`. So
the margin is at most 0, and weights of 1/2 give a tie. *New subject:* the margin :math:`g_1 (2 g_2
- 1)` is at most :math:`g_1 - 2 g_1^2`, which is at most 1/8. *New facts:* the margin is :math:`g_1
g_2 \le 1/4`. *One adapter a pass:* :math:`(g_1, g_2)` is :math:`(1, 0)`, :math:`(0, 1)` or
:math:`(0, 0)`. *Shared at a read:* :math:`g_1 = g_2 = 1` is allowed and gives the margin 1. No
margin is larger, since all logits lie between 0 and 1. *Strength under overwrite:* the target wins
iff :math:`c_1 (1 + c_2) > 1` and :math:`c_2 > 1/2`. The smallest sum :math:`c_1 + c_2` at the
border is :math:`2/3 + 1/2`, as :math:`c_2 + 1/(1 + c_2)` grows with :math:`c_2`. :math:`\square`

**Implication.** A router that fixes its weights for a whole forward pass cannot compose exact edits
of two old facts, whatever it knows. A router whose weights may change from layer to layer can
compose them. The sum of the adapters composes them without any router.

**Scope.** The theorem does not say that trained routers find these weights. For a single read see
``thm:single-read-no-go``.

References
----------
MoLE-style soft routing, Arrow (arXiv 2405.11157).
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition.two_read_region import Pattern, Prompt, small, two_hops

SENSE = "upper"
SOURCE = "own"
USES = ("thm:two-read-region",)

Router = Literal["one a pass", "shared a pass", "shared a read"]
ROUTERS: tuple[Router, ...] = get_args(Router)
UNIT = "weights of at least 0 that sum to at most 1 at each read"
PASS = "the same weights at both reads unless the router may change them"
ONE = "weights 0 or 1 if the router picks one adapter"
GOLDEN = (1 + math.sqrt(5)) / 2
PASSES: dict[Pattern, tuple[float, float, float]] = {
    "overwrite": (-1.0, -(GOLDEN**-4), 1 / GOLDEN),
    "overwrite both": (-1.0, 0.0, 1 / 2),
    "new subject": (0.0, 1 / 8, 1 / 4),
    "new facts": (0.0, 1 / 4, 1 / 2),
}
"""The margins of ``one a pass`` and ``shared a pass``; what the latter's best gives adapter 0."""


@dataclass(frozen=True, eq=False)
class Case:
    """A class of routers, and a prompt of two edited hops, whose own coefficients are ignored."""

    prompt: Prompt
    router: Router


def ceiling(router: Router, pattern: Pattern = "overwrite") -> float:
    """Return the largest two-hop margin of this class of routers; some compose if it is above 0."""
    one, shared, _ = PASSES[pattern]
    return dict(zip(ROUTERS, (one, shared, 1.0), strict=True))[router]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a two-hop prompt and a class of routers."""
    prompt = two_hops(partial(region.draw, rng, size))
    return Case(prompt, ROUTERS[int(rng.integers(3))])


def bound(case: Case) -> float:
    """Return the entry of the statement's table for the case's router and pattern."""
    return ceiling(case.router, case.prompt.pattern)


def measure(case: Case, weights: Float[Array, "2 2"]) -> float:
    """Return the margin when read i mixes the adapters by row i; each answers at its own read."""
    # the other adapter holds nothing at this read
    own = (float(weights[0, 0]), float(weights[1, 1]))
    prompt = replace(case.prompt, coefficients=own)
    return region.measure(prompt, region.attain(prompt))


def attain(case: Case) -> Array:
    """Return the proof's best weights, reads × adapters: equal rows unless weights may change."""
    if case.router == "shared a read":
        return eye(case.prompt.keys[0], 2)
    # a router that cannot mix answers one hop and misses the other
    first = PASSES[case.prompt.pattern][2] if case.router == "shared a pass" else 0.0
    return beside(case.prompt.keys[0], np.array([[first, 1 - first]] * 2))


def rival(case: Case, rng: np.random.Generator) -> Array:
    """Return random weights that this class of routers may choose, at times near the best."""
    if case.router == "one a pass":
        return np.tile(np.eye(3, 2)[int(rng.integers(3))], (2, 1))
    # weights need not use up their sum
    drawn = rng.dirichlet([1, 1], 2) * rng.choice([1.0, rng.uniform()])
    if case.router == "shared a read":
        return np.asarray(drawn)
    # next to the best weights the margin is flat
    step = 10.0 ** -rng.uniform(0, 9)
    return (1 - step) * attain(case) + step * drawn[:1]


def adversary(case: Case, rng: np.random.Generator) -> Array:
    """Return the weights of largest measured margin in a random search of shrinking steps."""
    best = rival(case, rng)
    for step in np.geomspace(1, 1e-6, 40):
        other = (1 - step) * best + step * rival(case, rng)
        if case.router == "one a pass":  # weights 0 or 1 cannot be mixed
            other = rival(case, rng)
        best = max(best, other, key=lambda weights: measure(case, weights))
    return best


def _unit(_: Case, weights: Array) -> bool:
    xp = array_namespace(weights)
    total = xp.sum(weights, axis=1)
    return bool(xp.all(weights >= 0)) and bool(xp.all(total <= 1 + SAFETY))


def _same(case: Case, weights: Array) -> bool:
    same = array_namespace(weights).all(weights[0, :] == weights[1, :])
    return case.router == "shared a read" or bool(same)


def _one(case: Case, weights: Array) -> bool:
    whole = array_namespace(weights).all((weights == 0) | (weights == 1))
    return case.router != "one a pass" or bool(whole)


ASSUMPTIONS = {
    region.FRAMES: lambda case, _: region.is_framed(case.prompt),
    UNIT: _unit,
    PASS: _same,
    ONE: _one,
}


def _example(router: Router, weights: list[list[float]]) -> tuple[Case, Array]:
    return Case(small(), router), np.array(weights)


def _repeated() -> tuple[Case, Array]:
    case, halves = _example("shared a pass", [[0.5, 0.5]] * 2)
    one, more = case.prompt.keys
    more[:, 2] = more[:, 1]  # the old bridge entity has the key of a bystander
    return replace(case, prompt=replace(case.prompt, keys=(one, more))), halves


_EYE = [[1.0, 0.0], [0.0, 1.0]]

CONTROLS = (
    Control("repeat a key", region.FRAMES, _repeated),
    Control("just add them", UNIT, partial(_example, "shared a pass", [[1.0, 1.0]] * 2)),
    Control(
        "subtract three times", UNIT, partial(_example, "shared a read", [[-3.0, 0], [0, -3.0]])
    ),
    Control("choose anew at each read", PASS, partial(_example, "shared a pass", _EYE)),
    Control("let top-1 mix", ONE, partial(_example, "one a pass", [[0.5, 0.5]] * 2)),
)

THEOREM: Theorem[Case, Array] = Theorem.of(
    __name__, scale=lambda _: 9.0, condition=lambda case: region.condition(case.prompt)
)
