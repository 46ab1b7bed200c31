"""Coverage: which chains pretraining tells outright, and which it never gets near."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible, one_of, within
from loratheory.tasks.two_hop._beside import identities
from loratheory.tasks.two_hop._forms import plain
from loratheory.tasks.two_hop._prompts import Prompts, joined
from loratheory.tasks.two_hop._questions import Questions, along, every
from loratheory.tasks.two_hop._world import World

_NEAR = 0.05
FAMILIAR = ("none", "known", "all")


@dataclass(frozen=True, eq=False)
class Split:
    """The chains of a world in two parts that have no bridge in common.

    Attributes
    ----------
    trained : Questions
        Those that pretraining may ask.
    held_out : Questions
        All others: no bridge of theirs ever occurs in a trained chain, only in single facts.
    """

    trained: Questions
    held_out: Questions

    @property
    def coverage(self) -> float:
        """The fraction of chains that are trained."""
        return len(self.trained) / (len(self.trained) + len(self.held_out))


def split(here: World, coverage: int | float, *, rng: np.random.Generator) -> Split:
    """Return the chains from the first level to the last in a trained and a held-out part.

    Parameters
    ----------
    here : World
        Two hops or more.
    coverage : float
        The fraction of chains to train on: with one relation a hop, the fraction of x.
    rng : Generator
        Chooses the bridges.

    Returns
    -------
    Split
        Chains that share a bridge, or are linked by others that do, stay together. The coverage
        is exact if such groups add up to it, as in worlds of permutations; else the part is
        filled, in random order, with groups that still fit.

    Raises
    ------
    ImpossibleError
        If the coverage is out of range, or the groups found differ from it by more than a
        twentieth of all chains, or are none or all of them where it is neither 0 nor 1.
    """
    within("the hops of a world to be split", here.hops, 2)
    if not 0 <= coverage <= 1:
        fact = f"coverage is {coverage:g}"
        raise impossible(fact, "ask for a fraction from 0 to 1")
    chains = every(here)
    group = _groups(here, along(here, chains)[:, 1:-1])
    sizes = np.bincount(group)
    room, chosen = round(coverage * len(chains)), np.zeros(len(sizes), dtype=bool)
    for number in rng.permutation(len(sizes)):
        if sizes[number] <= room:
            chosen[number] = True
            room -= sizes[number]
    inside = chosen[group]
    found = float(inside.mean())
    missed = abs(found - coverage) > max(_NEAR, 1 / len(chains))
    if 0 < coverage < 1 and (missed or inside.all() or not inside.any()):
        fact = f"coverage {coverage:g} is out of reach: {len(sizes)} groups of linked chains"
        remedy = f"take {found:g}, or a world of permutations with one relation a hop"
        raise impossible(fact, remedy)
    return Split(chains[np.flatnonzero(inside)], chains[np.flatnonzero(~inside)])


def _groups(here: World, bridges: Int64[np.ndarray, "q b"]) -> Int64[np.ndarray, " q"]:
    """Numbers from 0: equal for chains that bridges link, different for all others."""
    nodes = bridges + here.size * np.arange(bridges.shape[1])
    least = np.arange(here.size * bridges.shape[1])
    while True:
        linked = least.copy()
        np.minimum.at(linked, nodes, least[nodes].min(axis=1, keepdims=True))
        if (linked == least).all():
            return np.unique(least[nodes[:, 0]], return_inverse=True)[1]
        least = linked


def pretraining(here: World, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return what a base is trained on, one set for each kind of prompt.

    Parameters
    ----------
    here : World
        Whose facts are told.
    parts : Split
        Of its chains.
    identity : str
        For which entities the prompts ``e id -> e`` are added: "none", "known" or "all", the
        spare ones too.

    Returns
    -------
    tuple of Prompts
        The trained chains, if any; the single facts of each hop; identity prompts. All rows are
        of one length, so that draws from them stack.
    """
    one_of("identity", identity, FAMILIAR)
    sets = [plain(here, parts.trained)] if len(parts.trained) else []
    sets += [plain(here, every(here, start=hop, hops=1)) for hop in range(here.hops)]
    if identity != "none":
        known = np.arange(here.entities if identity == "known" else here.size, dtype=np.int64)
        sets.append(joined([identities(here, level, known) for level in range(here.hops + 1)]))
    return tuple(part.padded(here.hops + 1) for part in sets)


def sampled(sets: Sequence[Prompts], rows: int, *, rng: np.random.Generator) -> Prompts:
    """Return a batch with the same share of each set: a third each of ``x r1 r2``, hop 1, hop 2.

    Parameters
    ----------
    sets : sequence of Prompts
        From `pretraining`.
    rows : int
        At least one per set; what the number of sets does not divide goes to the first ones.
    rng : Generator
        Draws with replacement.

    Returns
    -------
    Prompts
        Always `rows` rows.
    """
    within("rows", rows, len(sets))
    shares = [len(part) for part in np.array_split(np.arange(rows), len(sets))]
    pairs = zip(sets, shares, strict=True)
    return joined([part[rng.integers(len(part), size=share)] for part, share in pairs])
