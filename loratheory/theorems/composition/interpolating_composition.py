r"""Interpolating composition: one exact merge per read composes all edited facts, whatever K.

**Statement.** With one interpolating merge per read, every question over edited facts leads by the
full margin of an edit alone, whatever the number of adapters, if their keys lie in independent row
spaces.

In linked reads let each of :math:`K` adapters per read replace some facts of that read, each
fact replaced by one adapter. Let every edited key lie in the row space of its adapter, the row
spaces of a read be independent, the base hold the old facts with strength 1 and the bridges turn
values into keys. With the interpolating merge of the adapters in each read, every prompt whose
hops are all edited leads by exactly 1, the margin it would have alone, whatever the number of
adapters, the angles between keys, and which adapters the hops belong to; single hops are the case
of one read.

**Proof.** :math:`\Delta^* = \Delta_j` on the row space of adapter :math:`j`
(``thm:interpolating-merge``), so :math:`(W + \Delta^*) k = v_{\text{new}}` at every edited key: the
coefficient in ``thm:two-read-region`` is 1 and no interference is left. The new value goes through
the bridge to the next edited key, with nothing beside it; the last read writes the new token with
weight 1 and no other. :math:`\square`

**What it tells someone who merges adapters.** Interference is not what limits composition as long
as the adapters' row spaces are independent: merge with ``interpolate`` in each read, and a library
of any size answers multi-hop questions as its edits alone would.

**What it does not say.** Keys of trained adapters may leave their row spaces: the edits of least
norm have them inside iff the changes of value are linearly independent; permuted answers do not.
See ``thm:interpolation-price``. Nothing here mends two edits in one read or a missing bridge.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, project
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.merging._row_spaces import frame, worst
from loratheory.toy import Chain, Hop, branching, chain, interpolating

SENSE = "equal"
SOURCE = "own"
USES = ("thm:interpolating-merge", "thm:two-read-region")

FACTS = "linearly independent keys and values (condition below 1000)"
EDITS = "adapters that replace exactly their own facts"
KEYS = "edited keys inside the row spaces of their adapters"

Libraries = tuple[tuple[LowRank, ...], ...]  # one library of adapters a read


@dataclass(frozen=True, eq=False)
class Case:
    """Frames of keys and values, and for each read which adapter owns which edited entity."""

    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]
    owners: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def edited(self) -> int:
        """Entities 0 … edited - 1 are edited in every read."""
        return sum(len(owned) for owned in self.owners[0])

    @property
    def hops(self) -> list[Hop]:
        """The facts of each read; the last one writes one-hot tokens."""
        last = self.keys[-1]
        tokens = last.shape[1] + self.edited
        one_hot = array_namespace(last).eye(tokens, dtype=last.dtype, device=last.device)
        pairs = zip(self.keys, (*self.values, one_hot), strict=True)
        return [branching(keys, frame) for keys, frame in pairs]

    @property
    def edits(self) -> list[list[tuple[Array, Array]]]:
        """For each read and adapter: the keys it edits, and the change of value at each."""
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


def draw(rng: np.random.Generator, size: int) -> Case:
    """One to three reads, one to four adapters with one to three facts, owners shuffled."""
    hops, adapters, facts = (int(rng.integers(1, top)) for top in (4, 5, 4))
    edited = adapters * facts
    n = [edited * (1 + hop) for hop in range(hops)]
    d = n[-1] + adapters + 8 + int(rng.integers(0, size + 1))
    frames = [10.0 ** int(rng.integers(-3, 4)) * rng.standard_normal((d, k)) for k in n + n[1:]]
    owners = tuple(
        tuple(tuple(row) for row in rng.permutation(edited).reshape(adapters, facts).tolist())
        for _ in range(hops)
    )
    return Case(tuple(frames[:hops]), tuple(frames[hops:]), owners)


def bound(_: Case) -> float:
    """The margin of an edit alone."""
    return 1.0


def attain(case: Case) -> Libraries:
    """Each adapter is the least-norm edit of its own facts."""
    return tuple(tuple(interpolating(keys, change) for keys, change in read) for read in case.edits)


def model(case: Case, libraries: Libraries, method: str = "interpolate") -> Chain:
    """The linked reads with the adapters of each read merged by a rule of that name."""
    rule = METHODS[method].rule
    merged = tuple(rule(list(library), [1.0] * len(library), Options()) for library in libraries)
    return replace(chain(case.hops, case.values), edits=merged)


def margins(case: Case, merged: Chain) -> Float[Array, " e"]:
    """How far the new answer leads on each prompt whose hops are all edited."""
    logits = merged.output(case.keys[0][:, : case.edited], [1.0] * len(case.keys))
    xp = array_namespace(logits)
    own = xp.eye(*logits.shape, dtype=logits.dtype, device=logits.device)
    others = xp.where(own > 0, xp.full_like(logits, -xp.inf), logits)
    return xp.sum(own * logits, axis=0) - xp.max(others, axis=0)


def measure(case: Case, libraries: Libraries) -> float:
    """The least of the margins."""
    each = margins(case, model(case, libraries))
    return float(array_namespace(each).min(each))


def condition(case: Case) -> float:
    """Of the worst frame, cubed: adapter, merge and bridge each invert one."""
    return min(max(worst(part) for part in (*case.keys, *case.values)), 1e3) ** 3


def rival(case: Case, rng: np.random.Generator) -> Libraries:
    """The same edits in any gauge, beside one direction more that each adapter reads."""

    def _wider(low: LowRank) -> LowRank:
        more = rng.standard_normal((low.shape[1], 1))
        more = (more - project(more, low.row_space())) * np.abs(low.down).max() / 3
        write = rng.standard_normal((low.shape[0], 1)) * np.abs(low.up).max()
        wide = low + LowRank(write, more.T)
        return wide.regauged(np.eye(wide.width) + 0.1 * rng.standard_normal((wide.width,) * 2))

    return tuple(tuple(_wider(low) for low in library) for library in attain(case))


def _independent(case: Case, libraries: Libraries) -> bool:
    parts = (*case.keys, *case.values, *(frame(library) for library in libraries))
    spectra = (array_namespace(part).linalg.svdvals(part) for part in parts)
    return all(float(s[0]) < 1e3 * float(s[-1]) for s in spectra)


def _small(case: Case, error: Array, whole: Array) -> bool:
    xp = array_namespace(error)
    return float(xp.max(xp.abs(error))) <= SAFETY * condition(case) * float(xp.max(xp.abs(whole)))


def _each(case: Case, libraries: Libraries) -> list[tuple[LowRank, Array, Array]]:
    reads = zip(case.edits, libraries, strict=True)
    return [
        (low, *facts) for read, library in reads for facts, low in zip(read, library, strict=True)
    ]


def _replaces(case: Case, libraries: Libraries) -> bool:
    return all(_small(case, low @ k - change, change) for low, k, change in _each(case, libraries))


def _reads(case: Case, libraries: Libraries) -> bool:
    each = _each(case, libraries)
    return all(_small(case, k - project(k, low.row_space()), k) for low, k, _ in each)


ASSUMPTIONS = {
    FACTS: _independent,
    EDITS: _replaces,
    KEYS: _reads,
}


def _example(kind: str) -> tuple[Case, Libraries]:
    frames = np.random.default_rng(1).standard_normal((3, 8, 4))
    keys = frames[0, :, :2]
    keys[:, 1] = keys[:, 0] if kind == "shared" else keys[:, 1]
    case = Case((keys, frames[1]), (frames[2],), (((0,), (1,)), ((1,), (0,))))
    first, *rest = attain(case)
    beside = np.linalg.qr(keys, mode="complete")[0][:, 2:3].T
    changed = {
        "shared": first,
        "weak": tuple(low / 2 for low in first),
        "leaky": tuple(LowRank(low.up, low.down + (i + 1) * beside) for i, low in enumerate(first)),
    }
    return case, (changed[kind], *rest)


CONTROLS = (
    Control("two adapters edit one key", FACTS, partial(_example, "shared")),
    Control("edits of half strength", EDITS, partial(_example, "weak")),
    Control("edits that also read beside their keys", KEYS, partial(_example, "leaky")),
)

THEOREM: Theorem[Case, Libraries] = Theorem.of(__name__)
