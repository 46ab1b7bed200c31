r"""Composition order: no theory of fewer than K adapters at a time contains a K-hop answer.

**Statement.** In linked reads of K edits at linearly independent keys and values, none of whose new
facts the base holds, the new answer has logit ∏c_j, and all of it comes from the interaction of all
K edits: the expansion in interactions of fewer at a time, such as the first-order one of linearised
fine-tuning for K ≥ 2, gives it logit 0 at all coefficients.

On a prompt of :math:`K` edited hops let :math:`f(c_1, \dots, c_K)` be the output of the reads with
their edits at coefficients :math:`c_j`. The new answer's logit is :math:`\prod_j c_j`: its
expansion in interactions of up to :math:`q` adapters,

.. math::
    f_q(c) = \sum_{|S| \le q} \prod_{j \in S} c_j \sum_{R \subseteq S} (-1)^{|S| - |R|} f(1_R),

gives exactly 0 for :math:`q < K` and :math:`\prod_j c_j` from :math:`q = K` on. More generally, if
the outputs of **any** model obey :math:`f(c) = \sum_{|S| < K} g_S(c_S)` and the answer's logit is
that of the base whenever one of the adapters is off, it is that of the base for every :math:`c`. So
linearised fine-tuning, one weight that is read once, and weight-disentangled adapters (:math:`f =
g_0 + \sum_j g_j(c_j)`) never compose two hops.

**Proof.** The target is reached by the path of new facts alone, :math:`c_j` a hop
(``thm:two-read-region``). Every :math:`f(1_R)` with :math:`R \ne \{1..K\}` lacks a factor, so all
interactions but the full one vanish, and that one is 1. For the general part let :math:`D` be the
alternating sum of :math:`f` over switching each adapter from :math:`c_j` to 0. A term :math:`g_S`
does not depend on some adapter, so :math:`D g_S = 0` and :math:`D f = 0`; all terms of :math:`D f`
but :math:`f(c)` have an adapter off and equal the base's logit, with signs that sum to :math:`-1`.
:math:`\square`

**What it tells someone who merges adapters.** A merge rule that is derived from what one adapter
does at a time (task arithmetic in the linear regime, disentangled weights) says nothing about two
hops, right or wrong: their answer is in the interaction that such a theory drops.

**What it does not say.** That such models are bad at single hops: they are the ideal there. The new
answer may lead without moving if the others fall; a target of logit 0 does not lead here.

References
----------
weight disentanglement: arXiv 2305.12827.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from loratheory.theorems._theorem import Assumption, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition._hops import Prompt, of_prompt
from loratheory.toy import Chain

SENSE = "equal"
SOURCE = "own; weight disentanglement: Ortiz-Jimenez et al. (2023)"
USES = ("thm:two-read-region",)


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt whose hops are all edited, and the largest number of adapters that may interact."""

    prompt: Prompt
    order: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four hops, and an order from none to all of them."""
    prompt = region.draw(rng, size)
    return Case(prompt, int(rng.integers(0, len(prompt.coefficients) + 1)))


def bound(case: Case) -> float:
    """Return ∏c_j if all K adapters may interact (`order` is K), else 0."""
    coefficients = case.prompt.coefficients
    return math.prod(coefficients) if case.order >= len(coefficients) else 0.0


def attain(case: Case) -> Chain:
    """Return memories, edits and bridges of least norm that hold the prompt's facts."""
    return region.attain(case.prompt)


def measure(case: Case, model: Chain) -> float:
    """Return the right answer's logit in f_q, q being the case's `order`."""
    prompt, hops, logit = case.prompt, range(len(case.prompt.coefficients)), 0.0
    answers = {
        on: float(model.output(prompt.keys[0][:, 0], [float(j in on) for j in hops])[0])
        for on in (s for q in range(case.order + 1) for s in combinations(hops, q))
    }
    for chosen in answers:
        weight = math.prod(prompt.coefficients[j] for j in chosen)
        subsets = [s for q in range(len(chosen) + 1) for s in combinations(chosen, q)]
        logit += weight * sum((-1) ** (len(chosen) - len(s)) * answers[s] for s in subsets)
    return logit


def rival(case: Case, rng: np.random.Generator) -> Chain:
    """Return weights that hold the same facts and do anything to other inputs."""
    return region.rival(case.prompt, rng)


def _changed(change: Callable[[Chain], Chain], order: int, repeat: bool) -> tuple[Case, Chain]:
    frames = np.random.default_rng(1).standard_normal((3, 9, 3))
    frames[1, :, 1] = frames[1, :, 0] if repeat else frames[1, :, 1]
    prompt = Prompt("overwrite", (0.7, 0.8), (frames[0, :, :2], frames[1]), (frames[2],))
    case = Case(prompt, order)
    return case, change(attain(case))


def _knows_a_hop(model: Chain) -> Chain:
    first, second = model.memories
    return replace(model, memories=(first + model.edits[0], second))


def _stronger(model: Chain) -> Chain:
    return replace(model, edits=(2 * model.edits[0], model.edits[1]))


def _without_bridge(model: Chain) -> Chain:
    return replace(model, bridges=(0 * model.bridges[0],))


CONTROLS = tuple(
    Control(name, breaks, partial(_changed, change, order, breaks == region.FRAMES))
    for name, breaks, change, order in (
        ("repeat a key", region.FRAMES, lambda model: model, 2),
        ("a base that knows the first new fact", region.PARTS["memories"], _knows_a_hop, 1),
        ("an edit twice as strong", region.PARTS["edits"], _stronger, 2),
        ("a bridge without the entity", region.PARTS["bridges"], _without_bridge, 2),
    )
)


ASSUMPTIONS: tuple[Assumption[Case, Chain], ...] = of_prompt(
    [a for a in region.ASSUMPTIONS if a.text != region.FREE]
)

THEOREM: Theorem[Case, Chain] = Theorem.of(
    __name__,
    # what may cancel between subsets
    scale=lambda case: math.prod(2 + 2 * abs(c) for c in case.prompt.coefficients),
    condition=lambda case: region.condition(case.prompt),
)
