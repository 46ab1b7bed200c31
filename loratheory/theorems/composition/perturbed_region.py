r"""Perturbed region: how much interference at each read merged edits survive.

**Statement.** When other adapters add weights up to ε to the values at each read, linked reads of
merged edits at linearly independent keys and values answer for certain iff their margin exceeds
what the worst corner takes: two hops of equal 0 ≤ c ≤ 1 over old facts, the old bridge unedited,
need c² + c − 1 > (c + 3)ε, whole edits of K hops ε < 1/(2K).

As in ``thm:two-read-region``, but at read :math:`j` the other merged adapters add :math:`p_j` to
what it returns, with weight at most :math:`\varepsilon_j` on each value (on each token at the last
read). Let :math:`T_j = \prod_{i>j} c_i`, and give each end token the product :math:`s` of the
weights on its path from the prompt, 0 if none leads there, and the product :math:`w_j` of those
after read :math:`j`. The least margin of the target over all such interference is exactly the
minimum over the other tokens of

.. math::
    \textstyle\prod_j c_j - s - \sum_j \varepsilon_j
    \begin{cases} |T_j - w_j| & \text{if their paths part after read } j, \\
    |T_j| + |w_j| & \text{else.} \end{cases}

So the new answer is safe iff this is positive: two equal hops :math:`0 \le c \le 1` under
*overwrite* iff
:math:`c^2 + c - 1 > (c + 3)\,\varepsilon`, from :math:`c = (\varepsilon - 1 + \sqrt{5 +
10\varepsilon + \varepsilon^2})/2 = \varphi^{-1} + \varphi\,\varepsilon + O(\varepsilon^2)`,
:math:`\varphi` the golden ratio; one hop from :math:`1/2 + \varepsilon`; K whole edits,
:math:`c_j = 1`, iff :math:`\varepsilon < 1/(2K)`.

**Proof.** The margin over one token is affine in the weights of all :math:`p_j`: a unit on the
entity of the target's path adds :math:`T_j`, a unit on the entity of the token's path takes
:math:`w_j`, one entity before the paths part, two after; other entities add nothing. A box
minimises an affine function at the corner against the signs of its slopes, which gives the sum; the
minima over box and tokens commute. The corner is reached by rank-one adapters that read the state
of this very prompt. Two equal hops: the token of the old bridge, left at hop 1, has the least
value. Whole edits: it has :math:`1 - 0 - 2K\varepsilon`, as has any token apart from the prompt.
:math:`\square`

**What it tells someone who merges adapters.** Measure what the other adapters add at each read, in
units of what an edit changes. Two hops are safe from the worst of it only at coefficients above
:math:`.618 + 1.618\,\varepsilon`, and the more hops, the less interference they bear.

**What it does not say.** How large :math:`\varepsilon` is: see ``thm:interpolation-price`` and
``thm:interference-angle``. It is a guarantee against the worst; random interference is milder.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.theorems._arrays import eye
from loratheory.theorems._theorem import SAFETY, Assumption, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition._hops import OVER_OLD, Pattern, Prompt, of_prompt
from loratheory.toy import Chain

SENSE = "lower"
SOURCE = "own"
PART_OF = "thm:two-read-region"
USES = ("thm:averaging-survival",)

INTERFERENCE = "other adapters that add at most the stated weight to each value at each read"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt whose hops are all edited, and the largest weight that others add at each read."""

    prompt: Prompt
    interference: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Crowd:
    """The edited reads, and the weights that other adapters add to each read's values or tokens."""

    model: Chain
    weights: tuple[Array, ...]


def _prices(coefficients: Sequence[float], pattern: Pattern) -> list[tuple[float, list[float]]]:
    """Return for each wrong token the margin over it without interference, and its costs.

    The costs are what one unit of interference at each read takes from that margin at most.
    """
    hops, prices = range(len(coefficients)), []
    target = math.prod(coefficients)
    tails = [math.prod(coefficients[j + 1 :], start=1.0) for j in hops]  # T_j of the statement
    for left in range(-1, len(coefficients)):  # the hop where the paths part; -1 before the first
        held = pattern in OVER_OLD or (pattern == "new subject" and left > 0)
        on = [*coefficients[:left], (1 - coefficients[left]) * held] if left >= 0 else []
        both = pattern == "overwrite both"  # there a path that left branches at each later hop
        each = [(c, 1 - c) if both else (1.0,) for c in coefficients[left + 1 :]]
        for rest in product(*each):
            path = [*on, *rest]
            after = [math.prod(path[j + 1 :], start=1.0) for j in hops]  # w_j of the statement
            pairs = enumerate(zip(tails, after, strict=True))
            costs = [abs(t - w) if j < left else abs(t) + abs(w) for j, (t, w) in pairs]
            # a token that no path of the prompt reaches (left = -1) weighs nothing by itself
            weight = math.prod(path) if left >= 0 else 0.0
            prices.append((target - weight, costs))
    return prices


def margin(
    coefficients: Sequence[float], interference: Sequence[float], pattern: Pattern = "overwrite"
) -> float:
    """Return the right answer's least margin under interference of at most these weights."""
    prices = _prices(coefficients, pattern)
    return min(
        alone - sum(e * cost for e, cost in zip(interference, costs, strict=True))
        for alone, costs in prices
    )


def threshold(hops: int, interference: int | float, pattern: Pattern = "overwrite") -> float:
    """Return the common coefficient of K hops above which the new answer is safe.

    It is ``inf`` if none up to 1 is; `interference` is the ε that is allowed at each read.
    """

    def _least(c: float) -> float:
        return margin([c] * hops, [float(interference)] * hops, pattern)

    if not interference:
        return region.threshold(hops, pattern)
    if _least(1.0) <= 0:
        return math.inf
    return float(brentq(_least, region.threshold(hops, pattern), 1.0, xtol=1e-15))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a prompt of edited hops, and interference that is zero, equal or different by read."""
    prompt = region.draw(rng, size)
    shares = rng.uniform(0, 1, len(prompt.coefficients)) if rng.random() < 0.5 else 1.0
    level = float(rng.choice([0.0, 0.1, 10.0 ** int(rng.integers(-12, 1))]))
    return Case(prompt, tuple((level * shares * np.ones(len(prompt.coefficients))).tolist()))


def bound(case: Case) -> float:
    """Return the least margin of the right answer under the case's interference.

    Whole edits, and two equal hops over old facts, have closed forms; else wrong tokens are
    compared.
    """
    coefficients, interference = case.prompt.coefficients, case.interference
    if set(coefficients) == {1.0}:
        return 1 - 2 * sum(interference)
    c, e = coefficients[0], interference[0]
    alike = coefficients == (c, c) and interference == (e, e)
    if alike and case.prompt.pattern == "overwrite" and 0 <= c <= 1:
        return c**2 + c - 1 - (c + 3) * e
    return margin(coefficients, interference, case.prompt.pattern)


def merged(case: Case, crowd: Crowd) -> Chain:
    """Return the reads with the others' interference merged in, as updates of rank one."""
    prompt, model, memories = case.prompt, crowd.model, []
    state = prompt.keys[0][:, 0]
    for hop, (frame, weight) in enumerate(zip(_values(prompt), crowd.weights, strict=True)):
        read = state / max(float(array_namespace(state).sum(state**2)), 1e-300)
        memories.append(model.memories[hop] + LowRank((frame @ weight)[:, None], read[None, :]))
        state = model.read(hop, state, prompt.coefficients[hop]) + frame @ weight
        state = model.bridges[hop] @ state if hop < len(model.bridges) else state
    return replace(model, memories=tuple(memories))


def measure(case: Case, crowd: Crowd) -> float:
    """Return the margin of the right answer when the others are merged into each read."""
    return region.measure(case.prompt, merged(case, crowd))


def scale(case: Case) -> float:
    """Return a bound of the logits, the unit of rounding errors."""
    pairs = zip(case.prompt.coefficients, case.interference, strict=True)
    return math.prod(1 + 2 * abs(c) + 2 * e for c, e in pairs)


def _values(prompt: Prompt) -> list[Array]:
    """Return the states that each read may write, as columns: its values, or tokens at the last."""
    last = prompt.hops[-1].new
    return [*prompt.values, eye(last, int(last.shape[0]))]


def attain(case: Case) -> Crowd:
    """Return the proof's interference: at its limits, with signs that lower the margin most."""
    prompt, model = case.prompt, region.attain(case.prompt)
    nominal = model.output(prompt.keys[0][:, 0], prompt.coefficients)
    xp, frames, flows = array_namespace(nominal), _values(prompt), []
    for hop, frame in enumerate(frames):
        for later in range(hop + 1, len(frames)):
            frame = model.read(later, model.bridges[later - 1] @ frame, prompt.coefficients[later])
        flows.append(frame[:1, :] - frame)
    pairs = list(zip(case.interference, flows, strict=True))
    taken = sum(e * xp.sum(xp.abs(flow), axis=1) for e, flow in pairs)
    worst = 1 + int(xp.argmin((nominal[0] - nominal - taken)[1:]))
    return Crowd(model, tuple(-e * xp.sign(flow[worst, :]) for e, flow in pairs))


def rival(case: Case, rng: np.random.Generator) -> Crowd:
    """Return other weights that hold the facts, with random interference within the limits."""
    sides, corner = [len(frame.T) for frame in _values(case.prompt)], rng.random() < 0.5
    free = [rng.uniform(-1, 1, side) for side in sides]
    weights = [np.sign(part) if corner else part for part in free]
    scaled = (e * part for e, part in zip(case.interference, weights, strict=True))
    return Crowd(region.rival(case.prompt, rng), tuple(scaled))


def adversary(case: Case, rng: np.random.Generator) -> Crowd:
    """Return interference whose signs are flipped one at a time while the margin falls."""
    pairs = zip(case.interference, _values(case.prompt), strict=True)
    weights = tuple(e * rng.choice([-1.0, 1.0], len(frame.T)) for e, frame in pairs)
    crowd = Crowd(region.attain(case.prompt), weights)
    best = measure(case, crowd)
    for part in weights:
        for i in range(len(part)):
            part[i] *= -1
            margin_now = measure(case, crowd)
            part[i] *= 1.0 if margin_now < best else -1.0
            best = min(best, margin_now)
    return crowd


def _within(case: Case, crowd: Crowd) -> bool:
    pairs = zip(crowd.weights, case.interference, strict=True)
    largest = ((array_namespace(w).max(array_namespace(w).abs(w)), e) for w, e in pairs)
    return all(float(top) <= e * (1 + SAFETY) for top, e in largest)


def _twice() -> tuple[Case, Crowd]:
    prompt, _ = region.CONTROLS[0].example()
    keys = (np.eye(8)[:, :2], np.eye(8)[:, :3], np.eye(8)[:, :4])
    case = Case(replace(prompt, keys=keys, values=keys[1:]), (0.05, 0.05, 0.05))
    return case, attain(replace(case, interference=(0.05, 0.1, 0.05)))


def _without(control: Control[Prompt, Chain]) -> tuple[Case, Crowd]:
    prompt, model = control.example()
    nothing = tuple(0 * frame[0, :] for frame in _values(prompt))
    return Case(prompt, (0.0,) * len(nothing)), Crowd(model, nothing)


RAISING = ("no token beside target and old answer", "edit the old bridge too")
"""Controls of the region that make the margin larger, so that it is no longer met."""

CONTROLS = (
    Control("twice the interference at one read", INTERFERENCE, _twice),
    *(
        Control(
            f"without interference, {one.name}",
            one.breaks,
            partial(_without, one),
            fails="tight" if one.name in RAISING else "holds",
        )
        for one in region.CONTROLS
    ),
)

ASSUMPTIONS: tuple[Assumption[Case, Crowd], ...] = (
    *of_prompt(region.ASSUMPTIONS, lambda crowd: crowd.model),
    Assumption(INTERFERENCE, _within),
)

THEOREM: Theorem[Case, Crowd] = Theorem.of(
    __name__,
    condition=lambda case: region.condition(case.prompt),
)
