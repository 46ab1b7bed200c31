r"""Clean-up bridge: selecting one entity lowers the threshold of two hops from 0.618 to 1/2.

**Statement.** Two reads hold old facts with strength 1 at linearly independent keys and values.
Exact edits with coefficients c₁ and c₂ write a prompt's two new facts over old ones, but over no
other second-hop fact. Between the reads, a softmax of sharpness β > 0 turns the output of the first
into weights for the keys of three or more entities. The new two-hop answer wins iff c₂ > 1/2, c₁ >
1/2 + ln(1/c₂)/(2β) and c₁ > ln(1/c₂)/β.

Two hops are edited with coefficients :math:`c_1, c_2` as in ``thm:two-read-region``, but the bridge
cleans up the output of the first read. Let :math:`a` be the coordinates of this output among the
values of :math:`n` entities. The bridge passes on the key :math:`\sum_y p_y k_y`, with :math:`p =
\operatorname{softmax}(\beta a)`. Let :math:`o = 1 - c_1` be the weight that the old first fact
keeps, and let :math:`o = 0` if the base held no old first fact. Then the target leads by exactly

.. math::
    \frac{c_2 - \max\bigl(1 - c_2,\; e^{\beta(o - c_1)},\; e^{-\beta c_1}\bigr)}
         {1 + e^{\beta(o - c_1)} + (n - 2) e^{-\beta c_1}}.

In the maximum, :math:`1 - c_2` is left out if the base held no old facts, and :math:`e^{-\beta
c_1}` is left out if :math:`n = 2`. So over old facts the target wins, for any :math:`n \ge 3`, iff

.. math:: c_2 > \tfrac12, \qquad c_1 > \tfrac12 + \tfrac1{2\beta} \ln\tfrac1{c_2}, \qquad
          c_1 > \tfrac1\beta \ln\tfrac1{c_2}.

As :math:`\beta \to \infty`, for :math:`c_2 \le 1`, the target wins iff both coefficients exceed
1/2. With a hard decision between reads, a question of any number of hops needs only what each of
its hops needs. The same holds if the bridge is written out, because the next read is then one more
single hop. At :math:`\beta = \varphi^3 \ln \varphi = 2.04`, equal coefficients have the linear
bridge's threshold :math:`\varphi^{-1} = 0.618`. With a softer clean-up, equal coefficients must be
larger than without any clean-up.

**Proof.** The coordinate :math:`a` is :math:`c_1` at the new entity, :math:`o` at the old entity
and 0 at each of the :math:`n - 2` others. So the weights :math:`p` of these entities have the
ratios :math:`1 : e^{\beta(o - c_1)} : e^{-\beta c_1}`. The second read is linear. It sends the new
entity's key to the target with weight :math:`c_2` and to that entity's old answer with weight
:math:`1 - c_2`. It sends every other key to an answer of its own. This gives the lead, and
logarithms of its conditions give the region. At :math:`c_1 = c_2 = 1/\varphi` the second condition
is :math:`\beta > \ln\varphi / (2/\varphi - 1)`, where :math:`2/\varphi - 1 = \varphi^{-3}`. The
third condition is weaker there. A hard decision after each read passes on the new entity's own key
iff :math:`c_j > 1/2`. :math:`\square`

**Implication.** A hard decision between the hops removes the gap between keeping two facts and
composing them. Both edits then need only a coefficient above 1/2. Writing the bridge out between
two forward passes is such a decision. The mean of two edits of strength 1 still fails, because its
coefficients are not above 1/2.

**Scope.** The clean-up must know the entities, for example by softmax attention over them. Suppose
an entity to which an old answer leads is edited too. Then that entity's new answer competes as
well.

References
----------
softmax memories: arXiv 2008.02217.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.theorems._arrays import eye, lead
from loratheory.theorems._theorem import SAFETY, Assumption, Control, Theorem, spoil
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition.two_read_region import Pattern, Prompt, of_prompt
from loratheory.toy import LinearChain, miss

SENSE = "equal"
SOURCE = "own"
USES = ("thm:two-read-region",)

LONE: tuple[Pattern, ...] = ("overwrite", "new subject", "new facts")
ENTITIES = "a bridge that reads off the coordinates of entities and writes their keys"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt of two edited hops, not ``overwrite both``; `sharpness` of the bridge's softmax."""

    prompt: Prompt
    sharpness: float


def threshold(sharpness: int | float) -> float:
    """Return the common coefficient above which exact edits of three entities or more compose.

    ValueError unless `sharpness` is positive.
    """
    if not sharpness > 0:
        message = f"a bridge of sharpness {sharpness} decides nothing: give a positive one"
        raise ValueError(message)
    if sharpness == math.inf:
        return 0.5

    # at the border c times the new entity's weight is the old one's, in logarithms
    def _excess(c: float) -> float:
        return sharpness * (2 * c - 1) + math.log(c)

    return float(brentq(_excess, 0.5, 1.0, xtol=1e-300, rtol=2.0**-50))


def margin(
    first: int | float,
    second: int | float,
    sharpness: int | float,
    entities: int,
    pattern: Pattern = "overwrite",
) -> float:
    """Return the right answer's margin after the bridge's softmax over this many entities."""
    # what the bridge sees of the new entity, the old one and bystanders
    scores = [first, 1 - first if pattern == "overwrite" else 0.0] + [0.0] * (entities > 2)
    # weights relative to the largest, so that no exponential overflows
    new, *others = (math.exp(sharpness * (score - max(scores))) for score in scores)
    # the new entity's old answer, and the answers of other entities
    against = [0.0 if pattern == "new facts" else new * (1 - second), *others]
    return (new * second - max(against)) / (new + others[0] + (entities - 2) * others[-1])


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two edited hops and a sharpness β, often close to where the margin changes sign."""
    prompt = region.two_hops(partial(region.draw, rng, size), LONE)
    sharpness = float(10.0 ** rng.uniform(-1, 1.5))
    one, two = rng.uniform(-0.5, 1.5, 2).tolist()
    if rng.random() < 0.5:
        two = float(rng.uniform(0.5, 1.0))
        # where the margin changes sign, by either competitor
        borders = (0.5 - math.log(two) / (2 * sharpness), -math.log(two) / sharpness)
        one = max(borders) + float(rng.choice([-1, 1])) * 10.0 ** -float(rng.uniform(1, 9))
    return Case(replace(prompt, coefficients=(one, two)), sharpness)


def bound(case: Case) -> float:
    """Return the statement's margin, from coefficients, sharpness and number of entities."""
    one, two = case.prompt.coefficients
    return margin(one, two, case.sharpness, case.prompt.keys[1].shape[1], case.prompt.pattern)


def attain(case: Case) -> LinearChain:
    """Return memories, edits and bridge of least norm, which has entities as inner coordinates."""
    return region.attain(case.prompt)


def output(
    chain: LinearChain, key: Array, coefficients: tuple[float, ...], sharpness: float
) -> Array:
    """Return the logits of reads linked by bridges with a softmax over their inner coordinates."""
    state = chain.read(0, key, coefficients[0])
    xp = array_namespace(state)
    for hop, bridge in enumerate(chain.bridges, start=1):
        # the bridge's inner coordinates are those of the entities
        inner = sharpness * (bridge.down @ state)
        shares = xp.exp(inner - xp.max(inner))
        state = chain.read(hop, bridge.up @ (shares / xp.sum(shares)), coefficients[hop])
    return state


def measure(case: Case, chain: LinearChain) -> float:
    """Return the lead of token 0 when the key goes through both reads and the bridge's softmax."""
    key, weights = case.prompt.keys[0][:, 0], case.prompt.coefficients
    return lead(output(chain, key, weights, case.sharpness))


def condition(case: Case) -> float:
    """Return the squared condition number of the worst frame times one plus the sharpness.

    By this last factor the softmax amplifies rounding errors.
    """
    return region.condition(case.prompt) * (1 + case.sharpness)


def rival(case: Case, rng: np.random.Generator) -> LinearChain:
    """Return memories and edits that differ from those of `attain` outside the facts' keys."""
    return replace(region.rival(case.prompt, rng), bridges=attain(case).bridges)


def _reads_entities(case: Case, chain: LinearChain) -> bool:
    bridge, values, keys = chain.bridges[0], case.prompt.values[0], case.prompt.keys[1]
    if bridge.width != values.shape[1]:
        return False
    # the bridge must read each value as one axis and write its key from it
    one = eye(values, bridge.width)
    reads, writes = LowRank(one, bridge.down), LowRank(bridge.up, one)
    return max(miss(reads, values, one), miss(writes, one, keys)) <= SAFETY * condition(case)


def _fine(repeat: bool = False) -> tuple[Case, LinearChain]:
    case = Case(region.small((0.8, 0.7)), 4.0)
    more = case.prompt.keys[1]
    # two entities with one key
    more[:, 2] = more[:, 0] if repeat else more[:, 2]
    return case, attain(case)


def _scale_first(part: str, factor: float, chain: LinearChain) -> LinearChain:
    one, two = getattr(chain, part)
    return replace(chain, **{part: (factor * one, two)})


def _bridged(change: Callable[[LowRank], LowRank], chain: LinearChain) -> LinearChain:
    return replace(chain, bridges=(change(chain.bridges[0]),))


def _mixing(bridge: LowRank) -> LowRank:
    return bridge.regauged(np.array([[1.0, 1, 0], [-1, 1, 0], [0, 0, 1]]))


_MEMORIES, _EDITS = region.PARTS["memories"], region.PARTS["edits"]

CONTROLS = (
    Control("repeat a key", region.FRAMES, partial(_fine, repeat=True)),
    spoil("double the old facts", _MEMORIES, _fine, partial(_scale_first, "memories", 2.0)),
    spoil("leave the first edit out", _EDITS, _fine, partial(_scale_first, "edits", 0.0)),
    spoil("decide among mixtures of entities", ENTITIES, _fine, partial(_bridged, _mixing)),
    spoil("write keys twice as long", ENTITIES, _fine, partial(_bridged, lambda low: 2 * low)),
)


ASSUMPTIONS: tuple[Assumption[Case, LinearChain], ...] = (
    *of_prompt(
        [a for a in region.ASSUMPTIONS if a.text not in (region.PARTS["bridges"], region.FREE)]
    ),
    Assumption(ENTITIES, _reads_entities),
)

COMPUTE = (threshold,)

THEOREM: Theorem[Case, LinearChain] = Theorem.of(
    __name__, scale=lambda case: 1 + 2 * abs(case.prompt.coefficients[1])
)
