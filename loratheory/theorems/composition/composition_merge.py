r"""Composition merge: two hops need a product of adapters, which no weighted sum comes near.

**Statement.** If two edited hops read only their own keys and the first writes nothing that the
second writes, they change the product of their reads by an update that every weighted sum of the
two edits misses by at least sin θ of its norm, θ the least angle between the spans of the hops'
keys: entirely for orthogonal keys.

Two reads with memories :math:`M_1, M_2`, edits :math:`\Delta_1, \Delta_2` and a bridge :math:`P`
answer by :math:`M_2 P M_1`; edited, they change by

.. math:: T = (M_2 + \Delta_2) P (M_1 + \Delta_1) - M_2 P M_1
            = \Delta_2 P (M_1 + \Delta_1) + M_2 P \Delta_1.

If hop 1 writes nothing that hop 2 writes, :math:`M_1, \Delta_1` read only hop 1's keys,
:math:`\Delta_2` only hop 2's, and :math:`\theta` is the least angle between the spans of these
keys, then every linear merge misses :math:`T` almost entirely,

.. math:: \|T - a \Delta_1 - b \Delta_2\|_F \;\ge\; \sin\theta\, \|T\|_F
          \quad\text{for all } a, b,

and for any keys some edits meet it. Rank is not what is short: :math:`\operatorname{rank} T \le r_1
+ r_2`. On :math:`\alpha k_1(x) + q`, with :math:`q` orthogonal to hop 1's keys, :math:`T` adds
:math:`\alpha` times (new answer - old answer) for all facts at once; beyond the edited reads it
takes only the bridge :math:`P` of the base. *Gauge:* with :math:`G = A_2 P B_1` invertible, factors
:math:`(B_2 G)(G^{-1} A_2)` make the cross term of factor-wise merges :math:`B_2 G A_1 = \Delta_2 P
\Delta_1`: all of :math:`T` if the base held none of the facts, else one part of it.

**Proof.** :math:`T` writes what hop 2 writes, so :math:`\Delta_1 \perp T - b\Delta_2` and :math:`a
= 0` is best. :math:`\Delta_2` vanishes off :math:`S_2 = \operatorname{span} K_2`: with its
projector :math:`\Pi`, :math:`\|T - b\Delta_2\|_F \ge \|T(1 - \Pi)\|_F`, and the rows of :math:`T`
lie in :math:`\operatorname{span} K_1`, where :math:`\|t(1 - \Pi)\| \ge \sin\theta\,\|t\|`.
Equality: unit :math:`k_i \in S_i` at angle :math:`\theta`, :math:`M_i = 0`, :math:`\Delta_1 = y
k_1^\top`, :math:`\Delta_2 = z k_2^\top`, :math:`P y = k_2`; then :math:`T = z k_1^\top`, and
:math:`b = \cos\theta`. The rank is that of two terms; the gauge by substitution. :math:`\square`

**What it tells someone who merges adapters.** Do not look for better coefficients: at keys that are
nearly orthogonal every weighted sum of two edits, even the best in hindsight, misses the two-hop
change of a single read almost entirely. What composes is a second read, or the product itself.

**What it does not say.** Other merges may do better if the base gives them the bridge, as here;
without it nothing does (``thm:single-read-no-go``).
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, subspaces_at
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, nearest_columns
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.toy import LinearChain

SENSE = "lower"
SOURCE = "own"

WRITES = "a first edit that writes nothing that the second hop writes"
FIRST = "a first hop that reads only its own keys"
SECOND = "a second edit that reads only its own keys"
CHANGE = "edits that change the composition"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys of the first and of the second hop as columns; how many outputs each read has, >= 2."""

    first: Float[Array, "d a"]
    second: Float[Array, "d b"]
    outputs: int


@dataclass(frozen=True, eq=False)
class Merged:
    """Two reads with one edit each, and the coefficients of a linear merge of the two edits."""

    chain: LinearChain
    coefficients: tuple[float, float]


def compose(chain: LinearChain) -> LowRank:
    """Return T, the change of both reads' product by the edits, of width at most ``r_1 + r_2``."""
    (before, after), (one, two), bridge = chain.memories, chain.edits, chain.bridges[0]
    return two @ (bridge @ (before + one)) + after @ (bridge @ one)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw key spans that are orthogonal, nearly equal, equal, or at any angle."""
    k = int(rng.integers(1, size // 2 + 2))
    small = (10.0 ** -rng.uniform(0, 9, k)).tolist()
    angles = ([np.pi / 2] * k, small, rng.uniform(0.1, 1.5, k).tolist(), [0.0] * k)
    chosen = angles[int(rng.choice(4, p=[0.3, 0.3, 0.3, 0.1]))]
    one, two = subspaces_at(rng, 2 * k + int(rng.integers(0, size + 1)), chosen)
    # skewed bases of the same spans: the bound must not depend on them
    mixed = [x @ (np.eye(k) + np.triu(rng.uniform(-1, 1, (k, k)), 1)) for x in (one, two)]
    return Case(mixed[0], mixed[1][:, : int(rng.integers(1, k + 1))], int(rng.integers(2, 6)))


def _frames(case: Case) -> tuple[Array, Array]:
    qr = array_namespace(case.first).linalg.qr
    return qr(case.first)[0], qr(case.second)[0]


def _off(frame: Array, columns: Array) -> Array:
    return columns - frame @ (frame.T @ columns)


def bound(case: Case) -> float:
    """Return sin θ, θ being the least angle between the spans of the two hops' keys."""
    one, two = _frames(case)
    return float(array_namespace(one).linalg.svdvals(_off(two, one))[-1])


def measure(_: Case, merged: Merged) -> float:
    """Return ‖T − aΔ₁ − bΔ₂‖/‖T‖, a and b being the merge's coefficients."""
    # the product of the edited reads, less a weighted sum of the edits
    target, (a, b) = compose(merged.chain), merged.coefficients
    one, two = merged.chain.edits
    return (target - a * one - b * two).norm / max(target.norm, 1e-300)


def _best(chain: LinearChain) -> Merged:
    two = chain.edits[1]
    return Merged(chain, (0.0, compose(chain).inner(two) / max(two.inner(two), 1e-300)))


def _one_fact(near: Array, other: Array, outputs: int) -> Merged:
    hot = eye(near, outputs)
    y, z = hot[:, :1], hot[:, 1:2]
    none, edits = LowRank(0 * y, near.T), (LowRank(y, near.T), LowRank(z, other.T))
    return _best(LinearChain((none, none), (LowRank(other, y.T),), edits))


def attain(case: Case) -> Merged:
    """Return edits of one new fact per hop, at keys as near to each other as the spans allow."""
    one, two = _frames(case)
    xp = array_namespace(one)
    # the first hop's key that is nearest to the span of the second's
    near = one @ xp.linalg.svd(_off(two, one), full_matrices=False)[2][-1, :][:, None]
    other = two @ (two.T @ near)
    # at right angles every key of the second hop is as far
    other = other if float(xp.linalg.vector_norm(other)) > SAFETY else two[:, :1]
    return _one_fact(near, other / xp.linalg.vector_norm(other), case.outputs)


def rival(case: Case, rng: np.random.Generator) -> Merged:
    """Return the edits of `attain` with random memories, edits, bridge and coefficients added."""
    one, two = _frames(case)
    # the two edits write to outputs of their own
    first, everywhere = np.arange(case.outputs)[:, None] % 2 == 0, np.ones((len(one), 1))
    best, free, share = attain(case).chain, np.eye(len(one)), 10.0 ** int(rng.integers(-12, 7))
    more = partial(_with_noise, rng, share)
    memories = (more(best.memories[0], first, one), more(best.memories[1], ~first, free))
    bridge = more(best.bridges[0], everywhere, np.eye(case.outputs))
    edits = (more(best.edits[0], first, one), more(best.edits[1], ~first, two))
    best_merge = _best(LinearChain(memories, (bridge,), edits))
    off = (rng.standard_normal(2) * 10.0 ** rng.integers(-12, 4)).tolist()
    return Merged(best_merge.chain, (off[0], best_merge.coefficients[1] * (1 + off[1])))


def _with_noise(
    rng: np.random.Generator, share: float, low: LowRank, rows: Array, reads: Array
) -> LowRank:
    noise = gaussian(rng, *low.shape, 2, share)
    return low + LowRank(noise.up * rows, noise.down @ reads @ reads.T)


def adversary(case: Case, rng: np.random.Generator) -> Merged:
    """Return one new fact per hop, at near keys that alternating projections find."""
    far, near = nearest_columns(rng, case.first, case.second)
    return _one_fact(far, near, case.outputs)


def _small(low: LowRank, *sizes: LowRank) -> bool:
    return low.norm <= SAFETY * float(np.prod([size.norm for size in sizes]))


def _writes_apart(_: Case, merged: Merged) -> bool:
    (one, two), after = merged.chain.edits, merged.chain.memories[1]
    return _small(one.T @ two, one, two) and _small(one.T @ after, one, after)


def _inside(low: LowRank, frame: Array) -> bool:
    return _small(LowRank(low.up, _off(frame, low.down.T).T), low)


def _reads_first(case: Case, merged: Merged) -> bool:
    frame = _frames(case)[0]
    return _inside(merged.chain.memories[0], frame) and _inside(merged.chain.edits[0], frame)


def _example(part: str, index: int, low: LowRank, weight: float) -> tuple[Case, Merged]:
    case = Case(_EYE[:, :1], _EYE[:, 1:], outputs=2)
    chain = attain(case).chain
    parts = [low if i == index else part for i, part in enumerate(getattr(chain, part))]
    # the best coefficient of the second edit, so that the control is a fair one
    best = _best(replace(chain, **{part: tuple(parts)}))
    return case, replace(best, coefficients=(weight, best.coefficients[1]))


def _control(
    name: str, breaks: str, place: tuple[str, int], up: Array, down: Array, weight: float = 0.0
) -> Control[Case, Merged]:
    return Control(name, breaks, partial(_example, *place, LowRank(up, down.T), weight))


_EYE, _BOTH = np.eye(2), np.ones((2, 1))
_ONE, _TWO = _EYE[:, :1], _EYE[:, 1:]

ASSUMPTIONS = {
    WRITES: _writes_apart,
    FIRST: _reads_first,
    SECOND: lambda case, m: _inside(m.chain.edits[1], _frames(case)[1]),
    CHANGE: lambda _, merged: compose(merged.chain).norm > 0,
}

CONTROLS = (
    _control("write answers in the first edit too", WRITES, ("edits", 0), _BOTH, _ONE, 0.5),
    _control("hold first facts at the second's keys", FIRST, ("memories", 0), _ONE, _TWO),
    _control("read the first's keys in the second edit", SECOND, ("edits", 1), _TWO, _BOTH),
    _control("an edit that does nothing", CHANGE, ("edits", 1), _TWO, 0 * _TWO),
)

THEOREM: Theorem[Case, Merged] = Theorem.of(__name__)
