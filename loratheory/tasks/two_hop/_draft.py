"""An edit in the making: which entities are still free, which facts are changed so far."""

from collections.abc import Sequence

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._questions import Questions, along, together
from loratheory.tasks.two_hop._world import NOTHING, World

Numbers = Int64[np.ndarray, " n"]


class Draft:
    """Facts changed one hop after another, every entity used once.

    Parameters
    ----------
    here : World
        The facts before.
    path : sequence of int
        The relation of each hop.
    avoid : sequence of Edit
        Whose entities are not free.
    """

    def __init__(self, here: World, path: Sequence[int], avoid: Sequence[Edit]) -> None:
        self.here, self.path = here, path
        self.maps = here.maps.copy()
        self.used, self.closed = np.zeros((2, here.hops + 1, here.size), dtype=bool)
        for other in avoid:
            self.closed |= other.claimed()
        self.onward = [along(here, self._rest(level)) for level in range(here.hops)]
        self.onward.append(np.arange(here.size)[:, None])
        self.taught: list[list[Questions]] = [[] for _ in path]
        self.shift = 1

    def subjects(
        self, count: int, rng: np.random.Generator, *, known: bool, among: Questions | None
    ) -> Numbers:
        """Entities for chains to start from: spare ones, or known ones of the chains `among`."""
        barred = np.zeros((count, self.here.size), dtype=bool)
        if known and among is not None:
            right = (among.relations == self.path).all(axis=1) & (among.start == 0)
            barred[:, np.setdiff1d(np.arange(self.here.size), among.subjects[right])] = True
        return self._taken(0, barred, rng, known=known)

    def bridges(self, count: int, rng: np.random.Generator) -> Numbers:
        """Known entities of the second level that no chain reaches."""
        return self._taken(1, np.zeros((count, self.here.size), dtype=bool), rng, known=True)

    def changed(
        self,
        hop: int,
        ways: Int64[np.ndarray, "n k"],
        change: str,
        rng: np.random.Generator,
        *,
        known: bool = True,
    ) -> Numbers:
        """The new values of the last entities of these ways, after the draft has taught them.

        A fresh value is none that the base's facts lead to from an entity of the way.
        """
        nodes = ways[:, -1]
        old = self.here.maps[hop, self.path[hop], nodes]
        if change == "fresh":
            new = self._taken(hop + 1, self._told(hop, ways), rng, known=known)
        elif (old == NOTHING).any():
            fact = f"hop {hop} has no old facts that could be {change}"
            raise impossible(fact, "make its new facts fresh")
        else:
            new = old if change == "kept" else self._permuted(old)
        self.maps[hop, self.path[hop], nodes] = new
        path = np.full((len(nodes), 1), self.path[hop], dtype=np.int64)
        self.taught[hop].append(Questions(hop, nodes, path))
        return new

    def edit(self) -> Edit:
        """What the draft has become; refused if two ways through a chain's facts end alike."""
        subjects = self.taught[0][0].subjects
        path = np.tile(np.array(self.path, dtype=np.int64), (len(subjects), 1))
        after = World(self.maps.copy(), self.here.entities, self.here.canaries)
        facts = tuple(together(*parts) for parts in self.taught)
        made = Edit(self.here, after, Questions(0, subjects, path), facts)
        levels = made.reached()
        branches = np.arange(2**self.here.hops)
        ways = np.stack([nodes[:, branches % nodes.shape[1]] for nodes in levels], axis=1)
        differ = (ways[..., None] != ways[..., None, :]).any(axis=1)
        ends = levels[-1][..., None]
        if (differ & (ends == levels[-1][:, None]) & (ends != NOTHING)).any():
            fact = f"permuting {len(subjects)} facts makes an old way end where a new one does"
            raise impossible(fact, f"permute {2**self.here.hops} facts or more, or make them fresh")
        return made

    def _permuted(self, old: Numbers) -> Numbers:
        """Each value moved on by a shift that no sum of the other hops' shifts equals."""
        new = np.roll(old, -self.shift)
        if (new == old).any():
            fact = f"{len(old)} facts cannot be permuted by {self.shift}"
            raise impossible(fact, f"permute {self.shift + 1} facts or more, or make them fresh")
        self.shift *= 2
        return new

    def _rest(self, level: int) -> Questions:
        """The rest of the path from every entity of a level."""
        relations = np.array(self.path[level:], dtype=np.int64)
        numbers = np.arange(self.here.size)
        return Questions(level, numbers, np.tile(relations, (self.here.size, 1)))

    def _taken(
        self,
        level: int,
        barred: Bool[np.ndarray, "n size"],
        rng: np.random.Generator,
        *,
        known: bool,
    ) -> Numbers:
        """An entity for each place, not barred there, that nothing reached so far; now in use.

        Known ones are such as pretraining has told of: from the second level on, values of the
        relation that leads there.
        """
        pool = np.arange(self.here.size)
        pool = pool[: self.here.entities] if known else pool[self.here.entities :]
        if known and level:
            pool = np.intersect1d(pool, self.here.maps[level - 1, self.path[level - 1]])
        pool, found = rng.permutation(pool), []
        for place, bar in enumerate(barred):
            left = pool[(self._open(level) & ~bar)[pool]]
            if not len(left):
                kind = "known" if known else "spare"
                fact = f"level {level} has {place} free {kind} entities for {len(barred)} facts"
                raise impossible(fact, "edit fewer facts, or draw a world with more entities")
            found.append(left[0])
            for step, node in enumerate(self.onward[level][left[0]]):
                self.used[level + step, node] |= node != NOTHING
        return np.array(found, dtype=np.int64)

    def _open(self, level: int) -> Bool[np.ndarray, " size"]:
        """Which entities are free with all they lead to; another edit may claim an old answer."""
        free = np.ones(self.here.size, dtype=bool)
        for step, nodes in enumerate(self.onward[level].T):
            taken = self.used[level + step]
            if step == 0 or level + step < self.here.hops:
                taken = taken | self.closed[level + step]
            free &= (nodes == NOTHING) | ~taken[nodes]
        return free

    def _told(self, hop: int, ways: Int64[np.ndarray, "n k"]) -> Bool[np.ndarray, "n size"]:
        """All that facts of the base, by any relations, lead to from each way's entities."""
        told = np.zeros((len(ways), self.here.size), dtype=bool)
        for way, seen in zip(ways, told, strict=True):
            reached = way[:0]
            for level, entity in enumerate(way, start=hop + 1 - len(way)):
                reached = np.unique(self.here.maps[level][:, [*reached, entity]])
                reached = reached[reached != NOTHING]
            seen[reached] = True
        return told
