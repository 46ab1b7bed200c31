r"""Two-read region: which merged edits compose, and why the golden ratio decides.

**Statement.** Edits of K linked reads of linearly independent keys and values that replace old
facts, merged with weights c, lead on the K-hop prompt by exactly ∏c_j − max(0, max_j (∏_{i<j}
c_i)(1 − c_j)) if the entities on old paths keep their facts and some token is on no path: equal
weights c ≥ 0 win iff c^K + c > 1, for two hops c > (√5 − 1)/2, while single hops need c > 1/2.

In :math:`(W_K + c_K\Delta_K)\,Q_{K-1} \cdots Q_1\,(W_1 + c_1\Delta_1)\,k` let the base hold old
facts with strength 1, the edits replace facts of their own read exactly, the bridges turn values
into keys; some token is on none of the paths below. On the prompt whose every hop is edited the
target leads by exactly

.. math::
    \prod_j c_j - \max\Bigl(0,\; \max_j\, \bigl(\textstyle\prod_{i<j} c_i\bigr)(1 - c_j)\Bigr)

where the edits *overwrite* old facts and no entity on an old path is edited. If all of those are
edited too (*overwrite both*), the maximum runs over all other products of :math:`c_j` or :math:`1 -
c_j`. For a *new subject*, without an old first fact, :math:`j = 1` drops out; for *new facts* only
the 0 is left. Hence any number of hops win under *overwrite both* iff all :math:`c_j > 1/2`; two
under *overwrite* iff :math:`c_1(1 + c_2) > 1` and :math:`c_1(2 c_2 - 1) > 0`, for a *new subject*
iff :math:`c_1(2c_2 - 1)` and :math:`c_1c_2` are positive. Equal :math:`c \ge 0` win under
*overwrite* iff :math:`c^K + c > 1`: from 1/2, :math:`(\sqrt5 - 1)/2`, .682, .724 for K = 1 to 4;
for a *new subject* as with one hop less; for *new facts* from 0. *Convex no-go:* :math:`c_j \ge 0`,
:math:`\sum_j c_j \le 1`, :math:`K \ge 2` never win over old facts. *Familiarity:* if a bridge sends
the new value to 0, the target's logit is 0, whatever the coefficients, and whatever else memories
and edits do beside their facts.

**Proof.** Keys and values are independent, so a read acts on coordinates, whatever the frames: an
edited entity goes to its new value with weight :math:`c_j` and to its old one, if any, with
:math:`1 - c_j`; others go on with weight 1. Each end token collects one path, which leaves the new
facts at hop :math:`j` or never; untouched tokens get 0; the target's path passes all bridges.
*Overwrite both:* were two :math:`c_j` negative, both exchanged for :math:`1 - c_j > |c_j|` would
give more; so all are positive, one exchanged needs :math:`c_j > 1 - c_j`, and then :math:`c_j > |1
- c_j|`. For equal :math:`c \le 1` the hardest competitor is :math:`j = 1`; beyond, :math:`1 - c <
0`. No-go: :math:`\prod_j c_j \le c_1 c_2 \le c_1 (1 - c_1) \le 1 - c_1` under *overwrite*,
:math:`\prod_j c_j \le (1 - c_1) \prod_{j > 1} c_j` under *overwrite both* when :math:`c_1` is the
least. :math:`\square`

**What it tells someone who merges adapters.** Two edits over old facts that each survive a merge
need not answer the question that links them: between a coefficient of 1/2 and .618 single hops are
right and two hops are wrong. The sum, or edits made strong enough before averaging, compose.

**What it does not say.** Anything about bridges that decide: one that snaps to an entity lowers the
thresholds to 1/2 (``thm:clean-up-bridge``). Negative coefficients can win too: two equal ones below
:math:`-(\sqrt5 + 1)/2`, under *overwrite*.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, gaussian
from loratheory.theorems._arrays import condition_number, lead
from loratheory.theorems._theorem import SAFETY, Assumption, Control, Theorem
from loratheory.theorems.composition._hops import Prompt as Case
from loratheory.theorems.composition._hops import margin as margin
from loratheory.theorems.composition._hops import shapes
from loratheory.theorems.composition._hops import strength_needed as strength_needed
from loratheory.theorems.composition._hops import threshold as threshold
from loratheory.theorems.composition._hops import window as window
from loratheory.toy import Chain, chain, interpolating, miss

SENSE = "equal"
SOURCE = "own"
USES = ("thm:averaging-survival",)

FRAMES = "linearly independent keys and values (condition below 1000)"
PARTS = {
    "memories": "reads that hold the old facts with strength 1",
    "edits": "edits that replace exactly the facts of their own read",
    "bridges": "bridges that turn each value into the key of the same entity",
}
FREE = "some token on no path: a subject beside the prompt's"


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four hops with mixed or equal coefficients, often close to the threshold."""
    pattern, n = shapes(rng)
    hops, d = len(n), n[-1] + 4 + int(rng.integers(0, size + 1))
    near = threshold(hops, pattern) + float(rng.choice([-1, 1])) * 10.0 ** -int(rng.integers(1, 13))
    equal = (near, 1.0, 1 / 2, float(rng.uniform(-2, 2)))[int(rng.integers(4))]
    mixed = rng.uniform(-0.5, 1.5, hops).tolist() if rng.random() < 0.4 else [equal] * hops
    frames = [10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal((d, k)) for k in n + n[1:]]
    return Case(pattern, tuple(mixed), tuple(frames[:hops]), tuple(frames[hops:]))


def bound(case: Case) -> float:
    """Return the statement's margin, from the case's coefficients and pattern alone."""
    return margin(case.coefficients, case.pattern)


def attain(case: Case) -> Chain:
    """Return memories, edits and bridges of least norm that hold the case's facts."""
    return chain(case.hops, case.values)


def measure(case: Case, model: Chain) -> float:
    """Return the lead of token 0 when the prompt's key goes through all matrices."""
    return lead(model.output(case.keys[0][:, 0], case.coefficients))


def condition(case: Case) -> float:
    """Return the squared condition number of the worst keys or values, at most 1e6.

    Both are inverted when memories, edits and bridges are made.
    """
    return min(_worst(case), 1e3) ** 2


def rival(case: Case, rng: np.random.Generator) -> Chain:
    """Return weights that hold the same facts and do anything to other inputs."""
    share = 10.0 ** int(rng.integers(-12, 1))
    return chain(case.hops, case.values, partial(_with_noise, rng, share))


def _with_noise(rng: np.random.Generator, share: float, keys: Array, values: Array) -> LowRank:
    size = share * float(np.abs(values).max() / np.abs(keys).max())
    size /= (len(values) * len(keys)) ** 0.5  # or it would amplify rounding hop by hop
    return interpolating(keys, values, gaussian(rng, len(values), len(keys), 3, size))


def _worst(case: Case) -> float:
    return max(map(condition_number, (*case.keys, *case.values)))


def framed(case: Case) -> bool:
    """Whether keys and values are independent, with condition numbers below 1000."""
    return _worst(case) < 1e3


def _hold(part: str, case: Case, model: Chain) -> bool:
    # a "fit" that only pairs keys with values tells what each map must do
    pairs = chain(case.hops, case.values, lambda keys, values: LowRank(values, keys.T))
    maps = zip(getattr(model, part), getattr(pairs, part), strict=True)
    return all(miss(m, p.down.T, p.up) <= SAFETY * condition(case) for m, p in maps)


ASSUMPTIONS: tuple[Assumption[Case, Chain], ...] = (
    Assumption(FRAMES, lambda case, _: framed(case)),
    *(Assumption(text, partial(_hold, part)) for part, text in PARTS.items()),
    Assumption(FREE, lambda case, _: case.keys[0].shape[1] > 1),
)


def _three_hops(repeat: bool = False) -> tuple[Case, Chain]:
    frames = np.random.default_rng(1).standard_normal((5, 8, 4))
    frames[1, :, 1] = frames[1, :, 0] if repeat else frames[1, :, 1]
    keys = (frames[0, :, :2], frames[1, :, :3], frames[2])
    case = Case("overwrite", (0.7, 0.8, 0.9), keys, (frames[3, :, :3], frames[4]))
    return case, attain(case)


def _alone() -> tuple[Case, Chain]:
    # Twice an edit: the target leads the old answer by 3, which no third token stands between.
    case = Case("overwrite", (2.0,), (np.eye(3)[:, :1],), ())
    return case, attain(case)


def _part(low: LowRank, column: int, row: int) -> LowRank:
    return LowRank(low.up[:, column : column + 1], low.down[row : row + 1, :])


def _broken(
    name: str, part: str, change: Callable[..., tuple[LowRank, ...]]
) -> Control[Case, Chain]:
    def _changed() -> tuple[Case, Chain]:
        case, model = _three_hops()
        return case, replace(model, **{part: change(*getattr(model, part))})

    return Control(name, PARTS[part], _changed)


CONTROLS = (
    Control("repeat a key", FRAMES, partial(_three_hops, repeat=True)),
    Control("no token beside target and old answer", FREE, _alone),
    _broken("hold an old fact twice as strongly", "memories", lambda a, b, c: (a, 2 * b, c)),
    _broken("put the first edit into the later read", "edits", lambda a, b, c: (b, a, c)),
    _broken("edit the old bridge too", "edits", lambda a, b, c: (a, b + _part(b, 0, 2), c)),
    _broken("an unfamiliar bridge entity", "bridges", lambda a, b: (a - _part(a, 0, 0), b)),
)

THEOREM: Theorem[Case, Chain] = Theorem.of(
    __name__,
    scale=lambda case: float(np.prod([1 + 2 * abs(c) for c in case.coefficients])),
)
