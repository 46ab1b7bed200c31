r"""Interpolating merge: the least matrix that does on each row space what its adapter does.

**Statement.** Among all matrices that do on each row space what its adapter does, the least in
Frobenius norm is (ΣΔ_j)(ΣP_j)⁺, P_j the projectors on the row spaces; one exists whenever these
are independent.

Adapters :math:`\Delta_1, \dots, \Delta_K \in \mathbb{R}^{m \times n}` have row spaces with
orthonormal bases :math:`Q_j` and projectors :math:`P_j`; let :math:`F = [Q_1 \dots Q_K]` and
:math:`T = [\Delta_1 Q_1 \dots \Delta_K Q_K]`. A matrix :math:`X` with :math:`X P_j = \Delta_j` for
all :math:`j` exists iff :math:`\ker F \subseteq \ker T`, always when the row spaces are
independent. Every such :math:`X` has

.. math::
    \|X\|_F \ge \|\Delta^*\|_F, \qquad
    \Delta^* = T F^+ = \Bigl(\sum_j \Delta_j\Bigr) \Bigl(\sum_j P_j\Bigr)^+,

with equality only at :math:`\Delta^*`, whose rank is at most :math:`\sum_j r_j`. If none exists,
:math:`\Delta^*` has the least misfit, :math:`\sum_j \|X P_j - \Delta_j\|_F^2 \ge
\|T (1 - F^+ F)\|_F^2`.

**Proof.** :math:`X P_j = \Delta_j` for all :math:`j` says :math:`X F = T`, as :math:`\Delta_j =
\Delta_j P_j`. Solvable means that each row of :math:`T` is a combination of rows of :math:`F`:
the condition on kernels. Then :math:`X = T F^+ + X (1 - F F^+)`, two parts whose rows are
orthogonal, since those of the first lie in the span of :math:`F`: Pythagoras. Without a solution,
:math:`X F - T = (X F - T F^+ F) - T (1 - F^+ F)` splits likewise, and :math:`X = T F^+` removes the
first part. Finally :math:`F^+ = F^\top (F F^\top)^+` with :math:`F F^\top = \sum_j P_j`,
:math:`T F^\top = \sum_j \Delta_j P_j`. :math:`\square`

**Corollary (interpolating composition).** With one interpolating merge per linked read, every
question over edited facts leads by the full margin 1 of an exact edit alone, whatever the number of
adapters, if keys and values are linearly independent and the adapters' row spaces in each read are
independent and hold their edited keys.

Each of :math:`K` adapters per read replaces some facts of that read, each fact replaced by one; the
base holds the old facts with strength 1 and bridges turn values into keys. :math:`\Delta^* =
\Delta_j` on the rows of adapter :math:`j`, so :math:`(W + \Delta^*) k = v_{\text{new}}` at every
edited key: nothing stands beside the new value, which goes through the bridge to the next edited
key; the last read writes the new token with weight 1 and no other. Edits of least norm have their
keys inside iff the changes of value are linearly independent.

**What it tells someone who merges adapters.** Where the row spaces of a library are independent,
one matrix does what every adapter does on its own inputs. Use `interpolate`; its rank is the sum of
the ranks, and its size tells how oblique the adapters are.

**What it does not say.** It removes interference on inputs inside the row spaces, for each adapter
alone; outside them see ``thm:interpolation-price``. The rule is old under other names
(``thm:merge-collapse``).

References
----------
Penrose (1956).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, project
from loratheory.shapes import Float
from loratheory.theorems._arrays import condition_number, eye
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import frame, images, interpolated, library, worst
from loratheory.toy import Chain, Hop, branching, chain, interpolating

SENSE = "lower"
SOURCE = "own as a statement on adapters; rests on Penrose (1956)"

EXACT = "a merge that does on each row space what its adapter does"


@dataclass(frozen=True)
class Case:
    """Updates of the adapters to merge."""

    updates: tuple[LowRank, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters with independent row spaces, at times one of them listed twice."""
    updates = library(rng, size)
    return Case(updates + updates[:1] if rng.random() < 0.2 else updates)


def bound(case: Case) -> float:
    """Return ‖Δ*‖, the norm of T F⁺, computed from the Gram matrix of the frame F."""
    reads, answers = frame(case.updates), images(case.updates)
    xp = array_namespace(reads)
    inverse = xp.linalg.pinv(reads.T @ reads, rtol=1e-10)
    return float(xp.sum((answers @ inverse) * answers)) ** 0.5


def conflict(updates: tuple[LowRank, ...]) -> float:
    """Return the least `misfit` that any merge has, the last formula of the statement.

    It is 0 if and only if some matrix does on each row space what its adapter does.
    """
    reads, answers = frame(updates), images(updates)
    xp = array_namespace(reads)
    rest = answers - (answers @ xp.linalg.pinv(reads, rtol=1e-8)) @ reads
    return float(xp.sum(rest**2))


def misfit(updates: tuple[LowRank, ...], merged: LowRank) -> float:
    """Return Σ_j ‖X P_j − Δ_j‖², what the merge X misses of each adapter on its row space."""
    return sum(
        (LowRank(merged.up, merged.down @ (q := low.row_space())) - LowRank(low @ q, q.T @ q)).norm
        ** 2
        for low in updates
    )


def attain(case: Case) -> LowRank:
    """Return Δ* as the rule ``MERGE_METHODS["interpolate"]`` computes it."""
    return interpolated(case.updates)


def measure(_: Case, merged: LowRank) -> float:
    """Return the Frobenius norm of a merge."""
    return merged.norm


def scale(case: Case) -> float:
    """Return the sum of the adapters' norms, the unit of rounding errors."""
    return sum(low.norm for low in case.updates)


def condition(case: Case) -> float:
    """Return the squared condition number of the frame F, whose Gram matrix is inverted."""
    return worst(frame(case.updates)) ** 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return Δ* plus a small or large update that is zero on all row spaces."""
    best, reads = attain(case), np.linalg.qr(frame(case.updates))[0]
    size = 10.0 ** int(rng.integers(-12, 3)) * scale(case) / max(best.shape)
    rows = rng.standard_normal((best.shape[1], 2))
    outside = (rows - project(rows, reads)).T
    return best + LowRank(size * rng.standard_normal((best.shape[0], 2)), outside)


def adversary(case: Case, _: np.random.Generator) -> LowRank:
    """Return the least-norm solution X of all X P_j = Δ_j, which LAPACK finds."""
    dense = [low.dense() for low in case.updates]
    projectors = [np.linalg.pinv(d, rcond=1e-10) @ d for d in dense]
    rows = np.concatenate([d.T for d in dense])
    merged = np.linalg.lstsq(np.concatenate(projectors), rows, rcond=1e-10)[0].T
    return LowRank(merged, np.eye(merged.shape[1]))


def _exact(case: Case, merged: LowRank) -> bool:
    return misfit(case.updates, merged) ** 0.5 <= SAFETY * condition(case) * scale(case)


ASSUMPTIONS = {EXACT: _exact}


def _mean() -> tuple[Case, LowRank]:
    pair = tuple(
        LowRank(np.eye(2)[:, [i]], np.array([row])) for i, row in enumerate(([3, 4.0], [1.0, 0]))
    )
    return Case(pair), (pair[0] + pair[1]) / 2


CONTROLS = (Control("the mean, which does half of each", EXACT, _mean),)


# Questions over several reads


FACTS = "linearly independent keys and values (condition below 1000)"
EDITS = "adapters that replace exactly their own facts"
INSIDE = "edited keys inside the row spaces of their adapters"

Libraries = tuple[tuple[LowRank, ...], ...]  # one library of adapters a read


@dataclass(frozen=True, eq=False)
class Reads:
    """Keys and values of each read, and ``owners[read][adapter]``, the entities that it edits."""

    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]
    owners: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def edited(self) -> int:
        """Number of edited entities; these come first, and are the same in every read."""
        return sum(len(owned) for owned in self.owners[0])

    @property
    def hops(self) -> list[Hop]:
        """Facts of each read; the values of the last are one-hot tokens."""
        last = self.keys[-1]
        one_hot = eye(last, last.shape[1] + self.edited)
        pairs = zip(self.keys, (*self.values, one_hot), strict=True)
        return [branching(keys, frame) for keys, frame in pairs]

    @property
    def edits(self) -> list[list[tuple[Array, Array]]]:
        """Keys that each adapter of each read edits, and the change of value at each key."""
        xp = array_namespace(self.keys[0])
        return [
            [
                (
                    xp.stack([hop.keys[:, e] for e in owned], axis=1),
                    xp.stack([hop.new[:, e] - hop.old[:, e] for e in owned], axis=1),
                )
                for owned in read
            ]
            for hop, read in zip(self.hops, self.owners, strict=True)
        ]


def draw_reads(rng: np.random.Generator, size: int) -> Reads:
    """Draw 1 to 3 reads, and for each read 1 to 4 adapters that share its facts out anew."""
    hops, adapters, facts = (int(rng.integers(1, top)) for top in (4, 5, 4))
    edited = adapters * facts
    n = [edited * (1 + hop) for hop in range(hops)]
    d = n[-1] + adapters + 8 + int(rng.integers(0, size + 1))
    frames = [10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal((d, k)) for k in n + n[1:]]
    owners = tuple(
        tuple(tuple(row) for row in rng.permutation(edited).reshape(adapters, facts).tolist())
        for _ in range(hops)
    )
    return Reads(tuple(frames[:hops]), tuple(frames[hops:]), owners)


def least_norm_edits(case: Reads) -> Libraries:
    """Return libraries in which each adapter is the least-norm edit of its own facts."""
    return tuple(tuple(interpolating(keys, change) for keys, change in read) for read in case.edits)


def model(case: Reads, libraries: Libraries, method: str = "interpolate") -> Chain:
    """Return the chain of reads in which each read's adapters are merged by `method`."""
    rule = MERGE_METHODS[method].rule
    merged = tuple(rule(list(library), [1.0] * len(library), Options()) for library in libraries)
    return replace(chain(case.hops, case.values), edits=merged)


def margins(case: Reads, merged: Chain) -> Float[Array, " e"]:
    """Return the new answer's margin on each prompt whose hops are all edited."""
    logits = merged.output(case.keys[0][:, : case.edited], [1.0] * len(case.keys))
    xp = array_namespace(logits)
    own = eye(logits, logits.shape[0])[:, : logits.shape[1]]
    others = xp.where(own > 0, xp.full_like(logits, -xp.inf), logits)
    return xp.sum(own * logits, axis=0) - xp.max(others, axis=0)


def least_margin(case: Reads, libraries: Libraries) -> float:
    """Return the least margin over prompts if each read's adapters are merged by Δ*."""
    each = margins(case, model(case, libraries))
    return float(array_namespace(each).min(each))


def _condition_of_reads(case: Reads) -> float:
    """Return the cube of the largest condition number of a frame, at most 1e9.

    The adapters, the merge and the bridge invert one frame each.
    """
    return min(max(worst(part) for part in (*case.keys, *case.values)), 1e3) ** 3


def wider_edits(case: Reads, rng: np.random.Generator) -> Libraries:
    """Return the same edits in a random gauge, each adapter with one more input direction."""
    return tuple(tuple(_wider(low, rng) for low in library) for library in least_norm_edits(case))


def _wider(low: LowRank, rng: np.random.Generator) -> LowRank:
    more = rng.standard_normal((low.shape[1], 1))
    more = (more - project(more, low.row_space())) * np.abs(low.down).max() / 3
    write = rng.standard_normal((low.shape[0], 1)) * np.abs(low.up).max()
    wide = low + LowRank(write, more.T)
    return wide.regauged(np.eye(wide.width) + 0.1 * rng.standard_normal((wide.width,) * 2))


def _independent(case: Reads, libraries: Libraries) -> bool:
    parts = (*case.keys, *case.values, *(frame(library) for library in libraries))
    return max(map(condition_number, parts)) < 1e3


def _small(case: Reads, error: Array, of: Array) -> bool:
    xp, room = array_namespace(error), SAFETY * _condition_of_reads(case)
    return float(xp.max(xp.abs(error))) <= room * float(xp.max(xp.abs(of)))


def _each(case: Reads, libraries: Libraries) -> list[tuple[LowRank, Array, Array]]:
    reads = zip(case.edits, libraries, strict=True)
    return [
        (low, *facts) for read, library in reads for facts, low in zip(read, library, strict=True)
    ]


def _replaces(case: Reads, libraries: Libraries) -> bool:
    return all(_small(case, low @ k - change, change) for low, k, change in _each(case, libraries))


def _reads(case: Reads, libraries: Libraries) -> bool:
    each = _each(case, libraries)
    return all(_small(case, k - project(k, low.row_space()), k) for low, k, _ in each)


def _two_reads(kind: str) -> tuple[Reads, Libraries]:
    frames = np.random.default_rng(1).standard_normal((3, 8, 4))
    keys = frames[0, :, :2]
    keys[:, 1] = keys[:, 0] if kind == "shared" else keys[:, 1]
    case = Reads((keys, frames[1]), (frames[2],), (((0,), (1,)), ((1,), (0,))))
    first, *rest = least_norm_edits(case)
    beside = np.linalg.qr(keys, mode="complete")[0][:, 2:3].T
    changed = {
        "shared": first,
        "weak": tuple(low / 2 for low in first),
        "leaky": tuple(LowRank(low.up, low.down + (i + 1) * beside) for i, low in enumerate(first)),
    }
    return case, (changed[kind], *rest)


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "interpolating composition",
        sense="equal",
        draw=draw_reads,
        bound=lambda _: 1.0,
        measure=least_margin,
        attain=least_norm_edits,
        rival=wider_edits,
        adversary=None,
        scale=lambda _: 1.0,
        condition=_condition_of_reads,
        assumptions={FACTS: _independent, EDITS: _replaces, INSIDE: _reads},
        controls=(
            Control("two adapters edit one key", FACTS, partial(_two_reads, "shared")),
            Control("edits of half strength", EDITS, partial(_two_reads, "weak")),
            Control("edits that also read beside their keys", INSIDE, partial(_two_reads, "leaky")),
        ),
    ),
)
