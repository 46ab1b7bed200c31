r"""Two-read region: which merged edits compose, and why the golden ratio decides.

**Statement.** K reads hold old facts with strength 1 at linearly independent keys and values, and
bridges between the reads turn each value into the key of its entity. Exact edits with coefficients
c_j write a prompt's K new facts over old ones. Facts that are reached through old answers are not
edited, and some token belongs to none of these facts. The new K-hop answer then leads by ∏c_j −
max(0, max_j (∏_{i<j} c_i)(1 − c_j)), so that for equal c ≥ 0 it wins iff c^K + c > 1.

A prompt with first key :math:`k` has the logits :math:`(W_K + c_K\Delta_K)\,Q_{K-1} \cdots
Q_1\,(W_1 + c_1\Delta_1)\,k`. The base :math:`W_j` holds old facts with strength 1, and the edit
:math:`\Delta_j` replaces facts of its own read exactly. The bridges :math:`Q_j` turn values into
keys, and some token is on none of the paths below. Let every hop of the prompt be edited, and call
the new answer the *target*. If the edits *overwrite* old facts and no entity on an old path is
edited, the target leads by exactly

.. math::
    \prod_j c_j - \max\Bigl(0,\; \max_j\, \bigl(\textstyle\prod_{i<j} c_i\bigr)(1 - c_j)\Bigr).

If all entities on old paths are edited too (*overwrite both*), the inner maximum runs instead over
all other products of :math:`K` factors, each :math:`c_j` or :math:`1 - c_j`. For a *new subject*,
which has no old first fact, the term :math:`j = 1` is left out. For *new facts*, where the base
holds no old ones, only the 0 is left. Hence, for any number of hops, the target wins under
*overwrite both* iff all :math:`c_j > 1/2`. For two hops, it wins under *overwrite* iff :math:`c_1(1
+ c_2) > 1` and :math:`c_1(2 c_2 - 1) > 0`. For a *new subject* with two hops, it wins iff
:math:`c_1(2c_2 - 1)` and :math:`c_1c_2` are positive. With equal coefficients :math:`c \ge 0`, it
wins under *overwrite* iff :math:`c^K + c > 1`. For K = 1 to 4 this holds above 1/2, :math:`(\sqrt5
- 1)/2`, .682 and .724. The threshold for a *new subject* is that of one hop less, and for *new
facts* it is 0. *Convex no-go:* with :math:`c_j \ge 0`, :math:`\sum_j c_j \le 1` and :math:`K \ge
2`, the target never wins over old facts. *Familiarity:* if a bridge maps the new value before it to
0, the target's logit is 0. This holds whatever the coefficients are, and whatever memories and
edits do at other inputs.

**Proof.** Keys and values are independent, so each read acts on coordinates, whatever the frames.
An edited entity goes to its new value with weight :math:`c_j` and to its old value, if it has one,
with weight :math:`1 - c_j`. Other entities go to their values with weight 1. Each end token
receives the product of the weights on one path. That path leaves the new facts at some hop
:math:`j`, or never. Tokens on no path get 0. The target's path passes all bridges. *Overwrite
both:* the target wins only if :math:`\prod_j c_j > 0`. Suppose two :math:`c_j` were negative. Then
replacing both by :math:`1 - c_j > |c_j|` would give a larger product. So all :math:`c_j` are
positive. Replacing one :math:`c_j` by :math:`1 - c_j` must give a smaller product, so :math:`c_j >
1 - c_j`. Conversely, if every :math:`c_j > 1 - c_j`, then every :math:`c_j > |1 - c_j|`, and all
other products are smaller. *Equal coefficients:* for :math:`c \le 1` the largest competitor is
:math:`j = 1`. For :math:`c > 1` all competitors are negative, since :math:`1 - c < 0`. *No-go:*
under *overwrite*, :math:`\prod_j c_j \le c_1 c_2 \le c_1 (1 - c_1) \le 1 - c_1`, which is the
competitor :math:`j = 1`. Under *overwrite both*, let :math:`c_1` be the least coefficient. Then
:math:`c_1 \le 1/2`, and the competitor :math:`(1 - c_1) \prod_{j > 1} c_j` is at least
:math:`\prod_j c_j`. :math:`\square`

**Implication.** Two edits of old facts can each survive a merge while the question that links them
fails. With coefficients between 1/2 and 0.618, single hops are right and two hops are wrong. The
sum of the adapters composes. Their mean composes too if the edits were made strong enough.

**Scope.** A bridge that selects one entity lowers the threshold to 1/2 (``thm:clean-up-bridge``).
Negative coefficients can win as well. Under *overwrite*, two hops win with equal coefficients below
:math:`-(\sqrt5 + 1)/2`.

References
----------
That a residual old fact sends edited models back to old answers was found in experiments: Zhang et
al. (KELE, arXiv 2408.12456). Here the residual has the weight 1 - c.

============================================================

Perturbed region: how much interference at each read merged edits survive.

**Statement.** Two linked reads hold old facts with strength 1 at linearly independent keys and
values. Exact edits, both with coefficient c in [0, 1], write a prompt's two new facts over old
ones, but not over the old bridge's. Other adapters add at most ±ε to each value's weight at each
read. The new two-hop answer leads under all such interference iff c² + c − 1 > (c + 3)ε.

Take the setting of ``thm:two-read-region``. At read :math:`j` the other merged adapters add
:math:`p_j` to the output of the read. The weight of :math:`p_j` on each value, or on each token at
the last read, is at most :math:`\varepsilon_j` in absolute value. Let :math:`T_j = \prod_{i>j}
c_i`. For each end token let :math:`s` be the product of the weights on its path from the prompt,
and 0 if none leads there. Let :math:`w_j` be the product of the weights after read :math:`j` on the
token's path. The least margin of the target over all such interference is exactly the minimum, over
the other tokens, of

.. math::
    \textstyle\prod_j c_j - s - \sum_j \varepsilon_j
    \begin{cases} |T_j - w_j| & \text{if the token's path leaves the target's after read } j, \\
    |T_j| + |w_j| & \text{else.} \end{cases}

So the target is safe, that is, it wins under all such interference, iff this minimum is positive.
Two hops with equal :math:`0 \le c \le 1` are safe under *overwrite* iff :math:`c^2 + c - 1 > (c +
3)\,\varepsilon`. This holds above :math:`c = (\varepsilon - 1 + \sqrt{5 + 10\varepsilon +
\varepsilon^2})/2 = \varphi^{-1} + \varphi\,\varepsilon + O(\varepsilon^2)`, with :math:`\varphi`
the golden ratio. One hop is safe above :math:`c = 1/2 + \varepsilon`. K whole edits, :math:`c_j =
1`, are safe iff :math:`\varepsilon < 1/(2K)`.

**Proof.** The target's margin over one token is affine in the weights of all :math:`p_j`. A unit on
the entity of the target's path adds :math:`T_j` to the margin. A unit on the entity of the token's
path subtracts :math:`w_j`. Before the paths part, these two are the same entity; afterwards they
are different ones. Other entities add nothing. Over a box, an affine function is least at the
corner against the signs of its slopes, which gives the sum. The minimum over the box and the
minimum over tokens can be exchanged. Rank-one adapters that read this prompt's own states reach the
corner. Two equal hops: the answer of the old bridge, whose path leaves at hop 1, has the least
value. Whole edits: the answer of the old bridge has :math:`1 - 0 - 2K\varepsilon`, and so has any
token to which the prompt does not lead. :math:`\square`

**Implication.** Two hops are safe from every interference of at most :math:`\varepsilon` per read
only above the coefficient :math:`0.618 + 1.618\,\varepsilon`, to first order. With more hops, whole
edits (coefficient 1) tolerate less interference. Measure what other adapters add at each read, in
units of the change that an edit makes.

**Scope.** The theorem does not bound :math:`\varepsilon`; see ``thm:interpolation-price`` and
``thm:interference-angle``. It covers the worst case: random interference is milder.

============================================================

Composition order: no theory of fewer than K adapters at a time contains a K-hop answer.

**Statement.** K edits with coefficients c_j lie in K linked reads at linearly independent keys and
values, and the base holds none of the new facts. The new answer has the logit ∏c_j. An expansion in
interactions of fewer than K edits, such as linearised fine-tuning for K ≥ 2, gives it the logit 0
at all coefficients.

On a prompt of :math:`K` edited hops let :math:`f(c_1, \dots, c_K)` be the output of the reads with
their edits at coefficients :math:`c_j`. The new answer's logit is :math:`\prod_j c_j`. Let
:math:`1_R` set the coefficients in :math:`R` to 1 and all others to 0. The expansion of :math:`f`
in interactions of up to :math:`q` adapters,

.. math::
    f_q(c) = \sum_{|S| \le q} \prod_{j \in S} c_j \sum_{R \subseteq S} (-1)^{|S| - |R|} f(1_R),

gives the new answer the logit 0 for :math:`q < K` and :math:`\prod_j c_j` from :math:`q = K` on.
More generally, suppose the outputs of **any** model have the form :math:`f(c) = \sum_{|S| < K}
g_S(c_S)`. Suppose also that the answer's logit is that of the base whenever one of the adapters is
off. Then the answer's logit is that of the base for every :math:`c`. So three kinds of models never
compose two hops: linearised fine-tuning, one weight that is read once, and weight-disentangled
adapters (:math:`f = g_0 + \sum_j g_j(c_j)`).

**Proof.** Only the path of new facts reaches the target, with weight :math:`c_j` at hop :math:`j`
(``thm:two-read-region``). For :math:`R \ne \{1..K\}` the target's logit in :math:`f(1_R)` has a
factor 0. So at the target all interactions but the full one vanish, and the full one is 1. For the
general part let :math:`D f` be the alternating sum of :math:`f` over switching each adapter from
:math:`c_j` to 0. Each term :math:`g_S` does not depend on some adapter, so :math:`D g_S = 0`, and
hence :math:`D f = 0`. All terms of :math:`D f` except :math:`f(c)` have an adapter off. In these
terms the answer's logit is that of the base, and their signs sum to :math:`-1`. So the answer's
logit in :math:`f(c)` is that of the base too. :math:`\square`

**Implication.** Some merge rules are derived from the effect of one adapter at a time, for example
task arithmetic in the linear regime. Disentangled weights are another example. Such a theory does
not say whether a two-hop answer is right or wrong. The two-hop answer is in the interaction that
the theory drops.

**Scope.** The theorem does not say that such models are bad at single hops; on single hops they are
ideal. In other models, an answer whose logit does not move may still lead if the other logits fall.
In the reads of this theorem, a target of logit 0 does not lead.

References
----------
weight disentanglement: arXiv 2305.12827. Features that are nearly linear in interpolated weights:
Zhou et al. (cross-task linearity), ICML 2024, arXiv 2402.03660.

============================================================

Spread region: which edits compose when every adapter acts in every layer.

**Statement.** K linked edits with coefficients c_j replace old facts of linearly independent
entities, but none on old paths. Each edit, and all old facts of a hop alike, are divided among the
reads of a residual stream. Let the order mass of j be the sum, over all increasing sequences of K
reads, of the product of the shares there of edits 1 to j and of the old facts of later hops. Let
p_j be this mass times the coefficients of edits 1 to j. If some end token is on no path, the new
K-hop answer leads by p_K − max(0, max_j (p_{j−1} − p_j)).

The state of the stream consists of entities. Its reads :math:`l = 1, \dots, L` add what they read:
:math:`x_l = x_{l-1} + A_l x_{l-1}` with :math:`A_l = W_l + \sum_j c_j \Delta_{jl}`. Hop :math:`j`
has an old fact of the entity on the new path, and old facts of entities on old paths. The base
holds each of them with share :math:`w_{jl}` at read :math:`l`. At this read, edit :math:`j` writes
its new value and takes the old value away, both with share :math:`\rho_{jl}`. For shares
:math:`s_1, \dots, s_K` let

.. math:: \omega(s_1, \dots, s_K) = \sum_{l_1 < \dots < l_K} s_{1 l_1} \cdots s_{K l_K}, \qquad
    p_j = c_1 \cdots c_j \, \omega(\rho_1, \dots, \rho_j, w_{j+1}, \dots, w_K).

The target has the logit :math:`p_K`. The token that one reaches by following the old facts from hop
:math:`j` onwards has :math:`p_{j-1} - p_j`. Tokens to which nothing leads have 0.

**Proof.** :math:`x_L = (1 + A_L) \cdots (1 + A_1)\, x_0` is the sum of :math:`A_{l_i} \cdots
A_{l_1} x_0` over all increasing sequences of reads. Each :math:`A_l` maps an entity before hop
:math:`j` to entities after hop :math:`j`, and maps an end token to 0. So exactly the terms with K
factors reach end tokens. Each token is reached by one path. Up to hop :math:`j - 1` the path takes
new values, each with weight :math:`c_i \rho_{i l_i}`. At hop :math:`j` it takes the old value, with
weight :math:`w_{j l_j} - c_j \rho_{j l_j}`. After hop :math:`j` it takes old facts, each with
weight :math:`w_{i l_i}`. The sum over increasing reads is :math:`\omega` of these weights, and
:math:`\omega` is linear in each argument. Hence the token has :math:`c_1 \cdots c_{j-1}\,
\omega(\rho_1, \dots, \rho_{j-1}, w_j - c_j \rho_j, w_{j+1}, \dots) = p_{j-1} - p_j`. The target's
path takes new values at all hops, which gives :math:`p_K`. :math:`\square`

*Even edits.* Let the first of :math:`L` reads hold the old facts of hop 1 and the last read those
of hop 2. Let both edits be spread evenly over the reads, with positive coefficients. Then
:math:`p_0, p_1, p_2` have the order masses 1, :math:`(L - 1)/L` and :math:`(L - 1)/(2L)`. The
target outdoes the old answer of the new bridge iff :math:`c_2 > 1`. It outdoes the answer of the
old bridge iff :math:`c_1 (1 + c_2/2) > L/(L - 1)`. For equal coefficients and :math:`L \ge 3`, the
first condition implies the second. So two hops need :math:`c > 1`, where single hops need :math:`c
> 1/2`. Over two reads, two hops need :math:`c > \sqrt5 - 1`.

**Implication.** Suppose training spreads each edit over the layers as pretraining spread the old
fact. Then adapters in every layer compose as if each sat in one layer. Suppose instead that
training spreads edits evenly, while each old fact has a layer of its own. Then whole edits do not
compose, however deep the network, and edits must be stronger than a replacement. What counts is how
much of the second edit lies above the first.

**Scope.** The theorem says nothing about attention or nonlinear blocks, which can decide on one
entity (``thm:clean-up-bridge``). If entities are not independent, keys of other facts answer too
(``thm:perturbed-region``). If the first edit is in the first read and the second fact is late, the
theorem becomes ``thm:invisible-placement``. Where training puts shares is the subject of
``thm:least-norm-placement``.

References
----------
The sum over paths through a residual network: Veit, Wilber and Belongie, arXiv 1605.06431. The
first order and the coupling of LoRA's layers: Shi, Cheng and Li, arXiv 2604.20313.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, product
from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian
from loratheory.shapes import Float
from loratheory.theorems._arrays import add_outside, condition_number, eye, largest, lead, norm
from loratheory.theorems._theorem import SAFETY, Assumption, Control, Theorem, spoil
from loratheory.theorems.merging.averaging_survival import Rule, coefficient
from loratheory.toy import Hop, LinearChain, branching, chain, interpolating, miss

Pattern = Literal["overwrite", "overwrite both", "new subject", "new facts"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
OVER_OLD: tuple[Pattern, ...] = ("overwrite", "overwrite both")


@dataclass(frozen=True, eq=False)
class Prompt:
    """A K-hop question, every fact of which is edited, in a memory of width d.

    Column 0 belongs to the question's own path: ``keys[0][:, 0]`` is the first key. The columns of
    ``keys[j]`` are the keys of the entities that hop j may meet, and those of ``values[j]`` the
    states that hop j writes for the next one; `coefficients` has one number a hop.
    """

    pattern: Pattern
    coefficients: tuple[float, ...]
    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]

    @property
    def hops(self) -> list[Hop]:
        """The old and new facts of each hop; the last hop writes one-hot tokens."""
        last = self.keys[-1]
        # one token for each entity, and one for each old answer: of all entities, or of one
        tokens = last.shape[1] + (last.shape[1] if self.pattern == "overwrite both" else 1)
        held = [self.pattern in OVER_OLD, *[self.pattern != "new facts"] * len(self.values)]
        each = zip(self.keys, (*self.values, eye(last, tokens)), held, strict=True)
        return [branching(keys, frame, known=old) for keys, frame, old in each]


def of_prompt(
    assumptions: Sequence[Assumption[Prompt, LinearChain]],
    model: Callable[[Any], LinearChain] = lambda witness: witness,
) -> tuple[Assumption[Any, Any], ...]:
    """Return `assumptions` about prompts as assumptions about cases with a field `prompt`.

    `model` extracts the chain to be checked from a witness; by default the witness is the chain.
    """

    def _holds(part: Assumption[Prompt, LinearChain], case: Any, witness: Any) -> bool:
        return part.holds(case.prompt, model(witness))

    return tuple(replace(part, holds=partial(_holds, part)) for part in assumptions)


def two_hops(draw: Callable[[], Prompt], patterns: Sequence[Pattern] = PATTERNS) -> Prompt:
    """Call `draw` until it returns a prompt of two hops in one of these patterns."""
    prompt = draw()
    while len(prompt.keys) != 2 or prompt.pattern not in patterns:
        prompt = draw()
    return prompt


def small(coefficients: tuple[float, ...] = (1.0, 1.0)) -> Prompt:
    """Return a fixed two-hop prompt of width 6 over old facts, from which controls are made."""
    rng = np.random.default_rng(0)
    keys, more, values = (rng.standard_normal((6, n)) for n in (2, 3, 3))
    return Prompt("overwrite", coefficients, (keys, more), (values,))


def paths(
    coefficients: Sequence[float], pattern: Pattern
) -> Iterator[tuple[int, float, tuple[float, ...]]]:
    """Yield each wrong token's path: the hop where it leaves the new facts, logit, its weights.

    The hop is -1 and the logit 0 for tokens to which the prompt does not lead; these come first.
    """
    for left in range(-1, len(coefficients)):
        held = pattern in OVER_OLD or (pattern == "new subject" and left > 0)
        # what the edit leaves of the old value, if there is one
        on = [*coefficients[:left], (1 - coefficients[left]) * held] if left >= 0 else []
        # only under overwrite both does a path that left branch at each later hop
        both = pattern == "overwrite both"
        branches = [(c, 1 - c) if both else (1.0,) for c in coefficients[left + 1 :]]
        for rest in product(*branches):
            yield left, math.prod([*on, *rest]) if left >= 0 else 0.0, (*on, *rest)


def logits(coefficients: Sequence[float], pattern: Pattern = "overwrite") -> list[float]:
    """Return the logits of all final tokens.

    The first is that of the right answer. Next come zeros, for tokens to which no path leads. The
    rest belong to answers to which paths with at least one old fact lead.
    """
    return [math.prod(coefficients), *(logit for _, logit, _ in paths(coefficients, pattern))]


def margin(coefficients: Sequence[float], pattern: Pattern = "overwrite") -> float:
    """Return the right answer's logit less the largest other one; the answer wins above 0.

    Examples
    --------
    At .55 both facts survive, since each needs more than ½; their composition is lost.

    >>> round(margin((0.55, 0.55)), 4), round(margin((0.65, 0.65)), 4)
    (-0.1475, 0.0725)
    """
    target, *others = logits(coefficients, pattern)
    return target - max(others)


def threshold(hops: int, pattern: Pattern = "overwrite") -> float:
    r"""Return the common coefficient above which K exact linear edits give the new answer.

    It is the root of :math:`c^K + c = 1` for ``overwrite``, that with K - 1 in place of K for ``new
    subject``, 1/2 for ``overwrite both`` and 0 for ``new facts``. ValueError if `hops` is below 1.

    Examples
    --------
    >>> round(threshold(hops=2), 3), threshold(hops=2, pattern="new facts")
    (0.618, 0.0)
    """
    if hops < 1:
        message = f"a question of {hops} hops has no answer: give at least 1"
        raise ValueError(message)
    if pattern not in PATTERNS:
        message = f"there is no pattern {pattern!r}: choose one of {', '.join(PATTERNS)}"
        raise ValueError(message)
    if pattern in ("overwrite both", "new facts"):
        return 0.5 if pattern == "overwrite both" else 0.0
    length = hops - (pattern == "new subject")  # a new first fact has no old path to outdo
    return float(brentq(lambda c: c**length + c - 1, 0, 1, xtol=1e-300, rtol=2.0**-50))


def strength_needed(
    hops: int, adapters: int, pattern: Pattern = "overwrite", rule: Rule = "mean"
) -> float:
    """Return the strength that all linear edits must exceed for a merge to answer K hops.

    An edit of strength 1 replaces the old fact exactly; `rule` sets the merge's coefficients.

    Examples
    --------
    >>> round(strength_needed(hops=2, adapters=2), 3)
    1.236
    """
    return threshold(hops, pattern) / coefficient(adapters, rule)


def window(hops: int, adapters: int, pattern: Pattern = "overwrite") -> tuple[float, float]:
    r"""Return between which margins linear edits survive a mean of adapters but do not compose.

    A margin is that of a fact with its adapter alone, in units of the deficit before the edit; both
    ends are equal where there is no window. Strength :math:`s` gives the margin :math:`2s - 1`, so
    two hops and two adapters give :math:`(1, 2\sqrt5 - 3)` for ``overwrite``.

    Examples
    --------
    >>> [round(end, 3) for end in window(hops=2, adapters=2)]
    [1.0, 1.472]
    """
    low, high = strength_needed(1, adapters), strength_needed(hops, adapters, pattern)
    return 2 * low - 1, 2 * max(low, high) - 1


SENSE = "equal"
SOURCE = "own"
USES = ("thm:averaging-survival",)

FRAMES = "linearly independent keys and values (condition below 1000)"
PARTS = {
    "memories": "reads that hold the old facts with strength 1",
    "edits": "edits that replace exactly the facts of their own read",
    "bridges": "bridges that turn each value into the key of the same entity",
}
FREE = "some token on no path: a subject other than the prompt's"


def draw(rng: np.random.Generator, size: int) -> Prompt:
    """Draw one to four hops with mixed or equal coefficients, often close to the threshold."""
    pattern = PATTERNS[int(rng.integers(4))]
    both = pattern == "overwrite both"
    # old answers branch: four hops would take sixteen entities
    hops, first = int(rng.integers(1, 4 if both else 5)), int(rng.integers(2, 4))
    # each hop adds the entity of the old answer; where all are edited, one for each of them
    n = [first * 2**j if both else first + j for j in range(hops)]
    d = n[-1] + 4 + int(rng.integers(0, size + 1))
    mixed = _coefficients(rng, hops, threshold(hops, pattern), 1.0, 1 / 2)
    frames = [10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal((d, k)) for k in n + n[1:]]
    return Prompt(pattern, mixed, tuple(frames[:hops]), tuple(frames[hops:]))


def _coefficients(
    rng: np.random.Generator, hops: int, border: float, *others: float
) -> tuple[float, ...]:
    """Draw mixed coefficients, or equal ones: next to the border, one of the others, or any."""
    # next to the threshold a law that is a little off shows
    near = border + float(rng.choice([-1, 1])) * 10.0 ** -int(rng.integers(1, 13))
    pool = (near, *others, float(rng.uniform(-2, 2)))
    equal = (pool[int(rng.integers(len(pool)))],) * hops
    return tuple(rng.uniform(-0.5, 1.5, hops).tolist()) if rng.random() < 0.4 else equal


def bound(case: Prompt) -> float:
    """Return the statement's margin, from the case's coefficients and pattern alone."""
    return margin(case.coefficients, case.pattern)


def attain(case: Prompt) -> LinearChain:
    """Return memories, edits and bridges of least norm that hold the case's facts."""
    return chain(case.hops, case.values)


def measure(case: Prompt, model: LinearChain) -> float:
    """Return the lead of token 0 when the prompt's key goes through all matrices."""
    return lead(model.output(case.keys[0][:, 0], case.coefficients))


def condition(case: Prompt) -> float:
    """Return the squared condition number of the worst keys or values, at most 1e6.

    Both are inverted when memories, edits and bridges are made.
    """
    worst = max(map(condition_number, (*case.keys, *case.values)))
    return min(worst, 1e3) ** 2


def rival(case: Prompt, rng: np.random.Generator) -> LinearChain:
    """Return weights that hold the same facts and do anything to other inputs."""
    share = 10.0 ** int(rng.integers(-12, 1))
    return chain(case.hops, case.values, partial(_with_noise, rng, share))


def _with_noise(rng: np.random.Generator, share: float, keys: Array, values: Array) -> LowRank:
    size = share * float(np.abs(values).max() / np.abs(keys).max())
    size /= (len(values) * len(keys)) ** 0.5  # or it would amplify rounding hop by hop
    return interpolating(keys, values, gaussian(rng, len(values), len(keys), 3, size))


def is_framed(case: Prompt) -> bool:
    """Whether keys and values are independent, with condition numbers below 1000."""
    return condition(case) < 1e6


def _hold(part: str, case: Prompt, model: LinearChain) -> bool:
    # a "fit" that only pairs keys with values tells what each map must do
    pairs = chain(case.hops, case.values, lambda keys, values: LowRank(values, keys.T))
    maps = zip(getattr(model, part), getattr(pairs, part), strict=True)
    return all(miss(m, p.down.T, p.up) <= SAFETY * condition(case) for m, p in maps)


ASSUMPTIONS: tuple[Assumption[Prompt, LinearChain], ...] = (
    Assumption(FRAMES, lambda case, _: is_framed(case)),
    *(Assumption(text, partial(_hold, part)) for part, text in PARTS.items()),
    Assumption(FREE, lambda case, _: case.keys[0].shape[1] > 1),
)


def _three_hops(repeat: bool = False) -> tuple[Prompt, LinearChain]:
    frames = np.random.default_rng(1).standard_normal((5, 8, 4))
    # two entities of the second hop with one key
    frames[1, :, 1] = frames[1, :, 0] if repeat else frames[1, :, 1]
    keys = (frames[0, :, :2], frames[1, :, :3], frames[2])
    case = Prompt("overwrite", (0.7, 0.8, 0.9), keys, (frames[3, :, :3], frames[4]))
    return case, attain(case)


def _alone() -> tuple[Prompt, LinearChain]:
    # Twice an edit: the target leads the old answer by 3, which no third token stands between.
    case = Prompt("overwrite", (2.0,), (np.eye(3)[:, :1],), ())
    return case, attain(case)


def _part(low: LowRank, column: int, row: int) -> LowRank:
    return LowRank(low.up[:, column : column + 1], low.down[row : row + 1, :])


def _broken(
    name: str, part: str, change: Callable[..., tuple[LowRank, ...]]
) -> Control[Prompt, LinearChain]:
    def _changed(model: LinearChain) -> LinearChain:
        return replace(model, **{part: change(*getattr(model, part))})

    return spoil(name, PARTS[part], _three_hops, _changed)


CONTROLS = (
    Control("repeat a key", FRAMES, partial(_three_hops, repeat=True)),
    Control("no token besides target and old answer", FREE, _alone),
    _broken("hold an old fact twice as strongly", "memories", lambda a, b, c: (a, 2 * b, c)),
    _broken("put the first edit into the later read", "edits", lambda a, b, c: (b, a, c)),
    _broken("edit the old bridge too", "edits", lambda a, b, c: (a, b + _part(b, 0, 2), c)),
    _broken("an unfamiliar bridge entity", "bridges", lambda a, b: (a - _part(a, 0, 0), b)),
)


# With interference: the same prompts, with other adapters

SENSE_PERTURBED = "lower"
SOURCE_PERTURBED = "own"
PART_OF_PERTURBED = "thm:two-read-region"
USES_PERTURBED = ("thm:averaging-survival",)

INTERFERENCE = "other adapters that add at most the stated weight to each value at each read"


@dataclass(frozen=True, eq=False)
class Disturbed:
    """A prompt whose hops are all edited, and the largest weight that others add at each read."""

    prompt: Prompt
    interference: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Crowd:
    """The edited reads, and the weights that other adapters add to each read's values or tokens."""

    model: LinearChain
    weights: tuple[Array, ...]


def _products_after(weights: Sequence[float]) -> Array:
    """Return for each hop the product of the weights of all later hops."""
    return np.append(np.cumprod(weights[::-1])[-2::-1], 1.0)


def least_margin(
    coefficients: Sequence[float], interference: Sequence[float], pattern: Pattern = "overwrite"
) -> float:
    """Return the right answer's least margin under interference of at most these weights."""
    hops, least = len(coefficients), math.inf
    tails = _products_after(coefficients)  # T_j of the statement
    for left, logit, path in paths(coefficients, pattern):
        after = _products_after(path)  # w_j of the statement
        # until the paths part one unit of interference moves both
        shared = np.arange(hops) < left
        costs = np.where(shared, abs(tails - after), abs(tails) + abs(after))
        least = min(least, math.prod(coefficients) - logit - float(costs @ interference))
    return least


def safe_threshold(hops: int, interference: int | float, pattern: Pattern = "overwrite") -> float:
    """Return the common coefficient of K exact linear edits above which their answer is safe.

    It is ``inf`` if none up to 1 is; `interference` is the ε that is allowed at each read.
    """

    def _least(c: float) -> float:
        return least_margin([c] * hops, [float(interference)] * hops, pattern)

    if not interference:
        return threshold(hops, pattern)
    # whole edits have the largest margin: if these are lost, all are
    if _least(1.0) <= 0:
        return math.inf
    return float(brentq(_least, threshold(hops, pattern), 1.0, xtol=1e-15))


def draw_perturbed(rng: np.random.Generator, size: int) -> Disturbed:
    """Draw a prompt of edited hops, and interference that is zero, equal or different by read."""
    prompt = draw(rng, size)
    # levels by read, or one for all
    shares = rng.uniform(0, 1, len(prompt.coefficients)) if rng.random() < 0.5 else 1.0
    level = float(rng.choice([0.0, 0.1, 10.0 ** int(rng.integers(-12, 1))]))
    return Disturbed(prompt, tuple((level * shares * np.ones(len(prompt.coefficients))).tolist()))


def bound_perturbed(case: Disturbed) -> float:
    """Return the least margin of the right answer under the case's interference."""
    return least_margin(case.prompt.coefficients, case.interference, case.prompt.pattern)


def measure_perturbed(case: Disturbed, crowd: Crowd) -> float:
    """Return the margin of the right answer when the others are merged into each read.

    They are adapters of rank one that read the prompt's own state there.
    """
    prompt, model, memories = case.prompt, crowd.model, []
    state = prompt.keys[0][:, 0]
    for hop, (frame, weight) in enumerate(zip(_values(prompt), crowd.weights, strict=True)):
        read = state / max(float(array_namespace(state).sum(state**2)), 1e-300)
        memories.append(model.memories[hop] + LowRank((frame @ weight)[:, None], read[None, :]))
        state = model.read(hop, state, prompt.coefficients[hop]) + frame @ weight
        state = model.bridges[hop] @ state if hop < len(model.bridges) else state
    return measure(prompt, replace(model, memories=tuple(memories)))


def scale_perturbed(case: Disturbed) -> float:
    """Return a bound of the logits, the unit of rounding errors."""
    sizes = np.abs(case.prompt.coefficients) + np.array(case.interference)
    return float(np.prod(1 + 2 * sizes))


def _values(prompt: Prompt) -> list[Array]:
    """Return the states that each read may write, as columns: its values, or tokens at the last."""
    last = prompt.hops[-1].new
    return [*prompt.values, eye(last, int(last.shape[0]))]


def attain_perturbed(case: Disturbed) -> Crowd:
    """Return the proof's interference: at its limits, with signs that lower the margin most."""
    prompt, model = case.prompt, attain(case.prompt)
    nominal = model.output(prompt.keys[0][:, 0], prompt.coefficients)
    xp, frames, flows = array_namespace(nominal), _values(prompt), []
    for hop, frame in enumerate(frames):
        for later in range(hop + 1, len(frames)):
            frame = model.read(later, model.bridges[later - 1] @ frame, prompt.coefficients[later])
        # what a unit on each value adds to the target's lead over each token
        flows.append(frame[:1, :] - frame)
    pairs = list(zip(case.interference, flows, strict=True))
    taken = sum(e * xp.sum(xp.abs(flow), axis=1) for e, flow in pairs)
    worst = 1 + int(xp.argmin((nominal[0] - nominal - taken)[1:]))
    return Crowd(model, tuple(-e * xp.sign(flow[worst, :]) for e, flow in pairs))


def rival_perturbed(case: Disturbed, rng: np.random.Generator) -> Crowd:
    """Return other weights that hold the facts, with random interference within the limits."""
    frames, corner, weights = _values(case.prompt), rng.random() < 0.5, []
    for level, frame in zip(case.interference, frames, strict=True):
        # the worst interference is at a corner of the box
        free = rng.uniform(-1, 1, len(frame.T))
        weights.append(level * (np.sign(free) if corner else free))
    return Crowd(rival(case.prompt, rng), tuple(weights))


def adversary_perturbed(case: Disturbed, rng: np.random.Generator) -> Crowd:
    """Return interference whose signs are flipped one at a time while the margin falls."""
    pairs = zip(case.interference, _values(case.prompt), strict=True)
    weights = tuple(e * rng.choice([-1.0, 1.0], len(frame.T)) for e, frame in pairs)
    crowd = Crowd(attain(case.prompt), weights)
    best = measure_perturbed(case, crowd)
    for part in weights:
        for i in range(len(part)):
            # the least margin is at a corner: signs are all there is to choose
            part[i] *= -1
            margin_now = measure_perturbed(case, crowd)
            part[i] *= 1.0 if margin_now < best else -1.0
            best = min(best, margin_now)
    return crowd


def _within(case: Disturbed, crowd: Crowd) -> bool:
    pairs = zip(crowd.weights, case.interference, strict=True)
    return all(largest(weights) <= level * (1 + SAFETY) for weights, level in pairs)


def _twice() -> tuple[Disturbed, Crowd]:
    prompt, _ = CONTROLS[0].example()
    keys = (np.eye(8)[:, :2], np.eye(8)[:, :3], np.eye(8)[:, :4])
    case = Disturbed(replace(prompt, keys=keys, values=keys[1:]), (0.05, 0.05, 0.05))
    return case, attain_perturbed(replace(case, interference=(0.05, 0.1, 0.05)))


def _without(control: Control[Prompt, LinearChain]) -> tuple[Disturbed, Crowd]:
    prompt, model = control.example()
    nothing = tuple(0 * frame[0, :] for frame in _values(prompt))
    return Disturbed(prompt, (0.0,) * len(nothing)), Crowd(model, nothing)


RAISING = ("no token besides target and old answer", "edit the old bridge too")
"""Controls of the region that make the margin larger, so that it is no longer met."""

CONTROLS_PERTURBED = (
    Control("twice the interference at one read", INTERFERENCE, _twice),
    *(
        Control(
            f"without interference, {one.name}",
            one.breaks,
            partial(_without, one),
            fails="tight" if one.name in RAISING else "holds",
        )
        for one in CONTROLS
    ),
)

ASSUMPTIONS_PERTURBED: tuple[Assumption[Disturbed, Crowd], ...] = (
    *of_prompt(ASSUMPTIONS, lambda crowd: crowd.model),
    Assumption(INTERFERENCE, _within),
)


# In interactions of fewer adapters at a time

SENSE_ORDER = "equal"
SOURCE_ORDER = "own; weight disentanglement: Ortiz-Jimenez et al. (2023)"
USES_ORDER = ("thm:two-read-region",)


@dataclass(frozen=True, eq=False)
class Interacting:
    """A prompt whose hops are all edited, and the largest number of adapters that may interact."""

    prompt: Prompt
    order: int


def draw_order(rng: np.random.Generator, size: int) -> Interacting:
    """Draw one to four hops, and an order from none to all of them."""
    prompt = draw(rng, size)
    return Interacting(prompt, int(rng.integers(0, len(prompt.coefficients) + 1)))


def bound_order(case: Interacting) -> float:
    """Return ∏c_j if all K adapters may interact (`order` is K), else 0."""
    coefficients = case.prompt.coefficients
    return math.prod(coefficients) if case.order >= len(coefficients) else 0.0


def measure_order(case: Interacting, model: LinearChain) -> float:
    """Return the right answer's logit in f_q, q being the case's `order`."""
    prompt, hops, logit = case.prompt, range(len(case.prompt.coefficients)), 0.0
    answers: dict[tuple[int, ...], float] = {}
    # smaller sets come first, so that all subsets of a set have been answered before it
    for size in range(case.order + 1):
        for on in combinations(hops, size):
            switched = [float(hop in on) for hop in hops]
            answers[on] = float(model.output(prompt.keys[0][:, 0], switched)[0])
            # Möbius inversion: the interaction of exactly these adapters
            together = 0.0
            for subset, answer in answers.items():
                if set(subset) <= set(on):
                    together += (-1) ** (size - len(subset)) * answer
            logit += math.prod(prompt.coefficients[hop] for hop in on) * together
    return logit


def _ordered(control: Control[Prompt, LinearChain]) -> tuple[Interacting, LinearChain]:
    prompt, model = control.example()
    return Interacting(prompt, len(prompt.coefficients)), model


def _knows_a_hop() -> tuple[Interacting, LinearChain]:
    prompt, model = _three_hops()
    first, *others = model.memories
    return Interacting(prompt, 2), replace(model, memories=(first + model.edits[0], *others))


MISSING = ("repeat a key", "put the first edit into the later read", "an unfamiliar bridge entity")
"""Controls of the region that move the right answer's own logit."""

CONTROLS_ORDER = (
    *(
        Control(one.name, one.breaks, partial(_ordered, one))
        for one in CONTROLS
        if one.name in MISSING
    ),
    Control("a base that knows the first new fact", PARTS["memories"], _knows_a_hop),
)


ASSUMPTIONS_ORDER: tuple[Assumption[Interacting, LinearChain], ...] = of_prompt(
    [a for a in ASSUMPTIONS if a.text != FREE]
)


# Spread over the reads of a residual stream

SENSE_SPREAD = "equal"
SOURCE_SPREAD = "own; paths through residual networks: Veit et al. (2016)"
USES_SPREAD = ("thm:two-read-region",)

FRAMES_SPREAD = "linearly independent entities (condition below 1000)"
FACTS = "reads that hold each old fact with its share and nothing else about the entities"
EDITS = "edits that write the new value and take away the old one with their shares"


@dataclass(frozen=True, eq=False)
class Spread:
    """Linked edits and old facts, both spread over the reads of a residual stream.

    `edits` and `facts` hold shares, one row a hop. Columns of `entities` come level by level: the
    prompt's key; then for each hop j its new value and what old paths that left at hops 1 to j have
    reached. The last level is that of the final tokens; one that no path reaches comes after it.
    """

    coefficients: tuple[float, ...]
    edits: Float[Array, "hops reads"]
    facts: Float[Array, "hops reads"]
    entities: Float[Array, "d n"]

    @property
    def hops(self) -> int:
        """Number of linked facts."""
        return len(self.coefficients)

    @cached_property
    def dual(self) -> Float[Array, "n d"]:
        """Pseudo-inverse of the entities: row i reads entity i and no other."""
        return array_namespace(self.entities).linalg.pinv(self.entities, rtol=None)

    def held(self, hop: int) -> tuple[LowRank, LowRank]:
        """Return what a read adds that holds a hop's old facts, and the hop's edit, both whole."""
        here, there, xp = _first(hop - 1), _first(hop), array_namespace(self.entities)
        # an old fact takes each path along, and the path of new facts to its old answer
        start, along = self.dual[here : here + 1, :], self.dual[here + 1 : here + hop, :]
        values = self.entities[:, there : there + hop + 1]
        facts = LowRank(values[:, 1:], xp.concat([along, start], axis=0))
        return facts, LowRank(values[:, :1] - values[:, hop:], start)


def _first(level: int) -> int:
    """Return the column of a level's first entity, to which only new facts lead."""
    return level * (level + 1) // 2


@dataclass(frozen=True, eq=False)
class Stream:
    """The matrix that each read applies, without edits, and each hop's edit at each read."""

    memories: tuple[LowRank, ...]
    edits: tuple[tuple[LowRank, ...], ...]  # hop by hop, read by read


def order_mass(rows: Sequence[Sequence[float]]) -> float:
    """Return ω of the statement, for one row of shares a hop.

    It is the sum over increasing reads of the products of the shares there; costs ``O(hops
    reads)``.
    """
    before = here = np.ones(len(rows[0]))  # by read: the mass of all earlier hops in earlier reads
    # hop by hop: a fact counts at reads after those of the hop before
    for row in rows:
        here = np.array(row) * before
        before = np.append(0.0, np.cumsum(here)[:-1])
    return float(np.sum(here))


def _rows(shares: Array) -> list[list[float]]:
    return [list(map(float, shares[i, :])) for i in range(shares.shape[0])]


def draw_spread(rng: np.random.Generator, size: int) -> Spread:
    """Draw one to three hops over up to six reads, and shares: edits' as facts', even or any."""
    hops = int(rng.integers(1, 4))
    reads, kind = int(rng.integers(hops, 7)), int(rng.integers(4))
    facts = rng.dirichlet(np.ones(reads), hops)
    if rng.random() < 0.5:
        # each old fact in one read, in order
        facts = np.eye(reads)[np.sort(rng.choice(reads, hops, replace=False))]
    edits = (facts, np.full((hops, reads), 1 / reads), rng.dirichlet(np.ones(reads), hops))
    signed = rng.standard_normal((hops, reads))
    mixed = _coefficients(rng, hops, threshold(hops), 1.0)
    return Spread(mixed, (*edits, signed)[kind], facts, _frame(rng, hops, size))


def _frame(rng: np.random.Generator, hops: int, size: int) -> Float[Array, "d n"]:
    count = _first(hops + 1) + 1
    length = 10.0 ** int(rng.integers(-3, 4))
    return length * rng.standard_normal((count + 3 + int(rng.integers(0, size + 1)), count))


def bound_spread(case: Spread) -> float:
    """Return p_K − max(0, max_j (p_{j−1} − p_j)), from coefficients and shares alone."""
    edits, facts, hops = _rows(case.edits), _rows(case.facts), range(case.hops + 1)
    # path j has new facts up to hop j and old ones from there on
    parts = [math.prod(case.coefficients[:j]) * order_mass([*edits[:j], *facts[j:]]) for j in hops]
    return parts[-1] - max(0.0, *(parts[j - 1] - parts[j] for j in hops[1:]))


def attain_spread(case: Spread) -> Stream:
    """Return matrices of least norm that hold the facts and the edits with their shares."""
    memories, edits = [LowRank(case.entities[:, :0], case.dual[:0, :])] * case.facts.shape[1], []
    for hop, (facts, changes) in enumerate(zip(_rows(case.facts), _rows(case.edits), strict=True)):
        # every read gets its share of each hop
        old, edit = case.held(hop + 1)
        memories = [memory + share * old for memory, share in zip(memories, facts, strict=True)]
        edits.append(tuple(share * edit for share in changes))
    return Stream(tuple(memories), tuple(edits))


def output(case: Spread, stream: Stream) -> Array:
    """Return the logits of the final tokens: the right one first, the unreachable one last."""
    state = case.entities[:, 0]
    for read, memory in enumerate(stream.memories):
        edits = zip(case.coefficients, stream.edits, strict=True)
        state = state + memory @ state + sum(c * (edit[read] @ state) for c, edit in edits)
    return case.dual[_first(case.hops) :, :] @ state


def measure_spread(case: Spread, stream: Stream) -> float:
    """Return the margin of the right answer when the stream goes through all reads."""
    return lead(output(case, stream))


def scale_spread(case: Spread) -> float:
    """Return a bound of the logits, the unit of rounding errors."""
    # each read multiplies the state by at most one plus these shares
    size, shares = 1.0, zip(_rows(case.edits), _rows(case.facts), strict=True)
    for c, (edits, facts) in zip(case.coefficients, shares, strict=True):
        size *= 1 + sum(map(abs, facts)) + 2 * abs(c) * sum(map(abs, edits))
    return size


def condition_spread(case: Spread) -> float:
    """Return the squared condition number of the entities, which `dual` inverts, at most 1e6."""
    return min(condition_number(case.entities), 1e3) ** 2


def rival_spread(case: Spread, rng: np.random.Generator) -> Stream:
    """Return reads and edits in other factors, changed outside the span of the entities."""
    basis, built = np.linalg.qr(case.entities)[0], attain_spread(case)

    def _changed(low: LowRank) -> LowRank:
        size = 10.0 ** int(rng.integers(-12, 1)) / len(case.entities)  # or it amplifies rounding
        return add_outside(rng, LowRank(low.up / 8, low.down * 8), basis, size)

    edits = tuple(tuple(map(_changed, edit)) for edit in built.edits)
    return Stream(tuple(map(_changed, built.memories)), edits)


def _same(case: Spread, ours: Sequence[LowRank], theirs: Sequence[LowRank]) -> bool:
    room = SAFETY * condition_spread(case) * (1 + scale_spread(case)) * norm(case.entities)
    pairs = zip(ours, theirs, strict=True)
    return all(norm(a @ case.entities - b @ case.entities) <= room for a, b in pairs)


def _edits(case: Spread, stream: Stream) -> bool:
    pairs = zip(stream.edits, attain_spread(case).edits, strict=True)
    return all(_same(case, ours, theirs) for ours, theirs in pairs)


ASSUMPTIONS_SPREAD = {
    FRAMES_SPREAD: lambda case, _: condition_number(case.entities) < 1e3,
    FACTS: lambda case, stream: _same(case, stream.memories, attain_spread(case).memories),
    EDITS: _edits,
}

_FRAME = np.eye(9)[:, :7]
_TWICE = _FRAME[:, [0, 1, 1, 3, 4, 5, 6]]
_SMALL = Spread(
    (0.8, 0.9),
    np.array([[0.2, 0.4, 0.4], [0.1, 0.3, 0.6]]),
    np.array([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]]),
    _FRAME,
)


def _built(case: Spread, **shares: Array) -> tuple[Spread, Stream]:
    return case, attain_spread(replace(case, **shares))


_HALF, _REVERSED = _SMALL.edits * [[1.0], [0.5]], _SMALL.edits[:, ::-1]

CONTROLS_SPREAD = (
    Control("one entity twice", FRAMES_SPREAD, partial(_built, replace(_SMALL, entities=_TWICE))),
    Control("old facts twice as strong", FACTS, partial(_built, _SMALL, facts=2 * _SMALL.facts)),
    Control("half an edit", EDITS, partial(_built, _SMALL, edits=_HALF)),
    Control("the edits in other reads", EDITS, partial(_built, _SMALL, edits=_REVERSED)),
)


COMPUTE = (threshold, strength_needed, window)
COMPUTE_PERTURBED = (safe_threshold,)

THEOREM: Theorem[Prompt, LinearChain] = Theorem.of(
    __name__, scale=lambda case: float(np.prod(1 + 2 * np.abs(case.coefficients)))
)

PERTURBED: Theorem[Disturbed, Crowd] = Theorem.of(
    __name__, "perturbed region", "_perturbed", condition=lambda case: condition(case.prompt)
)

ORDER: Theorem[Interacting, LinearChain] = Theorem.of(
    __name__,
    "composition order",
    "_order",
    attain=lambda case: attain(case.prompt),
    rival=lambda case, rng: rival(case.prompt, rng),
    # what may cancel between subsets
    scale=lambda case: float(np.prod(2 + 2 * np.abs(case.prompt.coefficients))),
    condition=lambda case: condition(case.prompt),
)

SPREAD: Theorem[Spread, Stream] = Theorem.of(__name__, "spread region", "_spread")

CLAUSES: tuple[Theorem[Any, Any], ...] = (PERTURBED, ORDER, SPREAD)
