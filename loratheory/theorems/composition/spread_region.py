r"""Spread region: which edits compose when every adapter acts in every layer.

**Statement.** Over linearly independent entities, K linked edits that replace old facts, both
spread over the reads of a residual stream, lead on the K-hop prompt, among end tokens of which some
is on no path, by exactly p_K − max(0, max_j (p_{j−1} − p_j)) if entities on old paths keep their
facts, where p_j is the product of the first j coefficients times the order mass: the sum, over K
reads in order, of the product of the shares there of edits 1 to j and of the old facts of hops j +
1 to K, those of one hop spread alike.

The stream holds entities; its reads :math:`l = 1, \dots, L` add what
they read: :math:`x_l = x_{l-1} + (W_l + \sum_j c_j \Delta_{jl})\, x_{l-1}`. The base holds the old
fact of hop :math:`j`, that of the entity on the new path and those of entities on old paths, with
share :math:`w_{jl}` at read :math:`l`; edit :math:`j` writes there its new value and takes the old
one away, both with share :math:`\rho_{jl}`. For shares :math:`s_1, \dots, s_K` let

.. math:: \omega(s_1, \dots, s_K) = \sum_{l_1 < \dots < l_K} s_{1 l_1} \cdots s_{K l_K}, \qquad
    p_j = c_1 \cdots c_j \, \omega(\rho_1, \dots, \rho_j, w_{j+1}, \dots, w_K).

The logits of end tokens are :math:`p_K` for the target, :math:`p_{j-1} - p_j` for the token to
which the old path from hop :math:`j` on leads, and 0 for tokens that nothing leads to.

**Proof.** :math:`x_L = (1 + A_L) \cdots (1 + A_1)\, x_0` is the sum of :math:`A_{l_i} \cdots
A_{l_1} x_0` over increasing reads. Each :math:`A_l` takes an entity before hop :math:`j` to those
after it and an end token to 0, so exactly the terms with K factors reach end tokens. A token is
reached by one path: new values up to hop :math:`j - 1`, with :math:`c_i \rho_{i l_i}` each, the old
value at :math:`j`, with :math:`w_{j l_j} - c_j \rho_{j l_j}`, then old facts, with :math:`w_{i
l_i}`. The sum over reads is :math:`\omega` of these, linear in each argument: :math:`c_1 \cdots
c_{j-1}\, \omega(\rho_1, \dots, \rho_{j-1}, w_j - c_j \rho_j, w_{j+1}, \dots) = p_{j-1} - p_j`.
:math:`\square`

**Corollary (even edits).** Two linked edits at one coefficient c ≥ 0 over linearly independent
entities, spread evenly over L ≥ 3 reads of a residual stream, answer the two-hop prompt over old
facts that sit in the first and in the last read, the old bridge unedited, iff c > 1 (over two reads
iff c > √5 − 1), where single hops need c > 1/2.

The order masses are 1, :math:`(L - 1)/L` and :math:`(L - 1)/(2L)`. That the target outdoes the old
answer of the new bridge is :math:`c_2 > 1`; that it outdoes the old answer of the old bridge is
:math:`c_1 (1 + c_2/2) > L/(L - 1)`, which follows for :math:`L \ge 3`.

**What it tells someone who merges adapters.** Adapters in every layer compose as if they sat in one
layer each, if training spreads an edit as pretraining spread the fact. If it spreads edits evenly
over facts that have their places, whole edits do not compose, however deep the network, and must be
stronger than a replacement: what counts is how much of the second edit lies above the first.

**What it does not say.** Anything about attention or nonlinear blocks, which decide: see
``thm:clean-up-bridge``. Keys of other facts answer too where entities are not independent
(``thm:perturbed-region``). With the first edit in the first read and the second fact late it is
``thm:invisible-placement``. Where training puts shares is ``thm:least-norm-placement``.

References
----------
The sum over paths through a residual network: Veit, Wilber and Belongie, arXiv 1605.06431. The
first order and the coupling of LoRA's layers: Shi, Cheng and Li, arXiv 2604.20313.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, condition_number, lead, norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import two_read_region as region

SENSE = "equal"
SOURCE = "own; paths through residual networks: Veit et al. (2016)"
USES = ("thm:two-read-region", "thm:invisible-placement")

FRAMES = "linearly independent entities (condition below 1000)"
FACTS = "reads that hold each old fact with its share and nothing else about the entities"
EDITS = "edits that write the new value and take away the old one with their shares"


@dataclass(frozen=True, eq=False)
class Case:
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

    def pairs(self, hop: int) -> tuple[list[tuple[int, int]], tuple[int, int, int]]:
        """Return the old facts of a hop and its edit, as column numbers of `entities`.

        A fact is a pair (from, to); the edit is a triple (key, new value, old value).
        """
        start, new, old = _place(hop - 1, 0), _place(hop, 0), _place(hop, hop)
        along = [(_place(hop - 1, i), _place(hop, i)) for i in range(1, hop)]
        return [(start, old), *along], (start, new, old)


def _place(level: int, path: int) -> int:
    """Return the column of an entity: path 0 has only new facts, path j left it at hop j."""
    return level * (level + 1) // 2 + path


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
    before = [1.0] * len(rows[0])  # by read: the mass of all earlier hops in earlier reads
    here = list(before)
    for row in rows:
        here = [float(share) * mass for share, mass in zip(row, before, strict=True)]
        before = [math.fsum(here[:read]) for read in range(len(here))]
    return math.fsum(here)


def margin(
    coefficients: Sequence[float],
    edits: Sequence[Sequence[float]],
    facts: Sequence[Sequence[float]],
) -> float:
    """Return the right answer's margin by the statement's formula, from coefficients and shares."""
    hops = range(len(coefficients) + 1)
    masses = [order_mass([*edits[:j], *facts[j:]]) for j in hops]
    parts = [math.prod(coefficients[:j]) * mass for j, mass in zip(hops, masses, strict=True)]
    return parts[-1] - max(0.0, *(parts[j - 1] - parts[j] for j in hops[1:]))


def _rows(shares: Array) -> list[list[float]]:
    return [[float(shares[i, j]) for j in range(shares.shape[1])] for i in range(shares.shape[0])]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to three hops over up to six reads, and shares: edits' as facts', even or any."""
    hops = int(rng.integers(1, 4))
    reads, kind = int(rng.integers(hops, 7)), int(rng.integers(4))
    facts = rng.dirichlet(np.ones(reads), hops)
    if rng.random() < 0.5:
        facts = np.eye(reads)[np.sort(rng.choice(reads, hops, replace=False))]
    edits = (facts, np.full((hops, reads), 1 / reads), rng.dirichlet(np.ones(reads), hops))
    signed = rng.standard_normal((hops, reads))
    near = region.threshold(hops) + float(rng.choice([-1, 1])) * 10.0 ** -int(rng.integers(1, 13))
    equal = (near, 1.0, float(rng.uniform(-2, 2)))[int(rng.integers(3))]
    mixed = rng.uniform(-0.5, 1.5, hops).tolist() if rng.random() < 0.4 else [equal] * hops
    return Case(tuple(mixed), (*edits, signed)[kind], facts, _frame(rng, hops, size))


def _frame(rng: np.random.Generator, hops: int, size: int) -> Float[Array, "d n"]:
    count = _place(hops + 1, 0) + 1
    length = 10.0 ** int(rng.integers(-3, 4))
    return length * rng.standard_normal((count + 3 + int(rng.integers(0, size + 1)), count))


def bound(case: Case) -> float:
    """Return p_K − max(0, max_j (p_{j−1} − p_j)), from coefficients and shares alone."""
    return margin(case.coefficients, _rows(case.edits), _rows(case.facts))


def attain(case: Case) -> Stream:
    """Return matrices of least norm that hold the facts and the edits with their shares."""
    entities, dual, memories = case.entities, case.dual, []
    edits: list[tuple[LowRank, ...]] = []
    for read in range(case.facts.shape[1]):
        ups, downs = [entities[:, :0]], [dual[:0, :]]
        for hop in range(1, case.hops + 1):
            for start, end in case.pairs(hop)[0]:
                ups.append(case.facts[hop - 1, read] * entities[:, end : end + 1])
                downs.append(dual[start : start + 1, :])
        xp = array_namespace(entities)
        memories.append(LowRank(xp.concat(ups, axis=1), xp.concat(downs, axis=0)))
    for hop in range(1, case.hops + 1):
        start, new, old = case.pairs(hop)[1]
        change = entities[:, new : new + 1] - entities[:, old : old + 1]
        shares = [case.edits[hop - 1, read] for read in range(case.edits.shape[1])]
        edits.append(tuple(LowRank(share * change, dual[start : start + 1, :]) for share in shares))
    return Stream(tuple(memories), tuple(edits))


def output(case: Case, stream: Stream) -> Array:
    """Return the logits of the final tokens: the right one first, the unreachable one last."""
    state = case.entities[:, 0]
    for read, memory in enumerate(stream.memories):
        edits = zip(case.coefficients, stream.edits, strict=True)
        state = state + memory @ state + sum(c * (edit[read] @ state) for c, edit in edits)
    return case.dual[_place(case.hops, 0) :, :] @ state


def measure(case: Case, stream: Stream) -> float:
    """Return the margin of the right answer when the stream goes through all reads."""
    return lead(output(case, stream))


def scale(case: Case) -> float:
    """Return a bound of the logits, the unit of rounding errors."""
    rows = zip(case.coefficients, _rows(case.edits), _rows(case.facts), strict=True)
    sums = [sum(map(abs, w)) + 2 * abs(c) * sum(map(abs, rho)) for c, rho, w in rows]
    return math.prod(1 + total for total in sums)


def condition(case: Case) -> float:
    """Return the squared condition number of the entities, which `dual` inverts, at most 1e6."""
    return min(condition_number(case.entities), 1e3) ** 2


def rival(case: Case, rng: np.random.Generator) -> Stream:
    """Return reads and edits in other factors, changed outside the span of the entities."""
    basis, built = np.linalg.qr(case.entities)[0], attain(case)

    def _changed(low: LowRank) -> LowRank:
        size = 10.0 ** int(rng.integers(-12, 1)) / len(case.entities)  # or it amplifies rounding
        wild = gaussian(rng, *low.shape, 2, size)
        off = LowRank(wild.up, wild.down - project(wild.down.T, basis).T)
        return LowRank(low.up / 8, low.down * 8) + off

    edits = tuple(tuple(map(_changed, edit)) for edit in built.edits)
    return Stream(tuple(map(_changed, built.memories)), edits)


def _same(case: Case, ours: Sequence[LowRank], theirs: Sequence[LowRank]) -> bool:
    room = SAFETY * condition(case) * (1 + scale(case)) * norm(case.entities)
    pairs = zip(ours, theirs, strict=True)
    return all(norm(a @ case.entities - b @ case.entities) <= room for a, b in pairs)


def _edits(case: Case, stream: Stream) -> bool:
    pairs = zip(stream.edits, attain(case).edits, strict=True)
    return all(_same(case, ours, theirs) for ours, theirs in pairs)


ASSUMPTIONS = {
    FRAMES: lambda case, _: condition_number(case.entities) < 1e3,
    FACTS: lambda case, stream: _same(case, stream.memories, attain(case).memories),
    EDITS: _edits,
}

_FRAME = np.eye(9)[:, :7]
_TWICE = _FRAME[:, [0, 1, 1, 3, 4, 5, 6]]
_FIRST = np.array([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]])
_SECOND = np.array([[0.2, 0.4, 0.4], [0.1, 0.3, 0.6]])
_SMALL = Case((0.8, 0.9), _SECOND, _FIRST, _FRAME)


def _built(case: Case, **shares: Array) -> tuple[Case, Stream]:
    return case, attain(replace(case, **shares))


def _controls(case: Case) -> tuple[Control[Case, Stream], ...]:
    """Return controls that break the hypotheses one by one, in a case of two hops."""
    edits = case.edits
    return (
        Control("one entity twice", FRAMES, partial(_built, replace(case, entities=_TWICE))),
        Control("old facts twice as strong", FACTS, partial(_built, case, facts=2 * case.facts)),
        Control("half an edit", EDITS, partial(_built, case, edits=edits * [[1.0], [0.5]])),
        Control("the edits in other reads", EDITS, partial(_built, case, edits=edits[:, ::-1])),
    )


CONTROLS = _controls(_SMALL)


# Where facts and edits are spread alike


# The second read takes away what it holds, facts and edits alike: the order mass is -1.


# Even edits over facts in the first and the last read


@dataclass(frozen=True, eq=False)
class Even:
    """One or two edits, each spread evenly over `reads` reads, on these entities."""

    reads: int
    entities: Float[Array, "d n"]
    hops: int = 2

    def at(self, coefficient: float) -> Case:
        """Return the case in which all edits have this coefficient."""
        ends = np.eye(self.reads)[[0, -1][: self.hops]]
        even = np.full_like(ends, 1 / self.reads)
        like = self.entities
        return Case((coefficient,) * self.hops, beside(like, even), beside(like, ends), like)


def border(reads: int, hops: int = 2) -> float:
    """Return the coefficient above which two edits compose or, if `hops` is 1, one survives."""
    if hops == 1:
        return 0.5
    return 1.0 if reads >= 3 else 5**0.5 - 1


def bisected(case: Even, stream: Stream) -> float:
    """Return the coefficient at which the measured margin is 0, found by Brent's method."""
    return float(brentq(lambda c: measure(case.at(c), stream), 0.3, 3.0, xtol=1e-15))


def draw_even(rng: np.random.Generator, size: int) -> Even:
    """Draw one or two edits, and two to eight reads over which they are spread evenly."""
    hops = 1 if rng.random() < 0.25 else 2
    return Even(int(rng.integers(2, 9)), _frame(rng, hops, size), hops)


def _of_even(holds: Any, case: Even, stream: Stream) -> bool:
    return bool(holds(case.at(1.0), stream))


_EVEN = Even(3, _FRAME)
_AT = _EVEN.at(1.0)


def _evenly(**other: Array) -> tuple[Even, Stream]:
    """Return the example with some fields of its case replaced, and its stream."""
    case = replace(_AT, **other)
    return replace(_EVEN, entities=case.entities), attain(case)


THEOREM: Theorem[Case, Stream] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "even edits",
        draw=draw_even,
        bound=lambda case: border(case.reads, case.hops),
        measure=bisected,
        attain=lambda case: attain(case.at(1.0)),
        rival=lambda case, rng: rival(case.at(1.0), rng),
        scale=lambda _: 10.0,
        condition=lambda case: condition(case.at(1.0)),
        assumptions={text: partial(_of_even, holds) for text, holds in ASSUMPTIONS.items()},
        controls=(
            Control("one entity twice", FRAMES, partial(_evenly, entities=_TWICE)),
            Control("edits where their facts are", EDITS, partial(_evenly, edits=_AT.facts)),
            Control("facts spread as evenly", FACTS, partial(_evenly, facts=_AT.edits)),
        ),
    ),
)
