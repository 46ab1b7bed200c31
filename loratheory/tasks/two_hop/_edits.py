"""Edits: some subjects get new bridges and these new answers, so that every hop must be read anew.

Worlds before and after an edit differ in its facts alone; whatever asks questions asks them in
either. An edit is drawn hop by hop: familiar entities or not, new facts permuted, fresh or kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible, one_of, within
from loratheory.tasks.two_hop._world import NOTHING, Questions, World, along, together, values

FAMILIARITY = ("fake", "half", "real")
CHANGES = ("fresh", "permuted", "kept")
ALSO = ("nothing", "old", "other")
Numbers = Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Edit:
    """What the adapters of one chain of tasks (A→B, B→C, …) are to teach.

    Attributes
    ----------
    before, after : World
        The facts that the base knows, and those after all adapters of this edit.
    questions : Questions
        The edited questions, from the first level to the last.
    taught : tuple of Questions
        The single facts that each hop's adapter teaches, those of `questions` first.
    """

    before: World
    after: World
    questions: Questions
    taught: tuple[Questions, ...]

    @property
    def chains(self) -> Int64[np.ndarray, "n levels"]:
        """Subject, bridges and answer of each edited question, after the edit."""
        return along(self.after, self.questions)

    def reached(self) -> tuple[Int64[np.ndarray, "n branches"], ...]:
        """Return where the questions lead if each hop may read its new or its old fact.

        Returns
        -------
        tuple of (n, 2**level) arrays of int
            One per level. In column ``b`` hop ``j`` was read as before the edit where bit ``j``
            of ``b`` is set, as after it elsewhere; column 0 is the edited way. -1 where there
            is no such fact.
        """
        nodes = self.questions.subjects[:, None]
        levels = [nodes]
        for hop, relation in enumerate(self.questions.relations.T):
            path = relation[:, None]
            reads = [values(world, hop, path, nodes) for world in (self.after, self.before)]
            nodes = np.concatenate(reads, axis=1)
            levels.append(nodes)
        return tuple(levels)

    def answers(self, new: Sequence[bool]) -> Int64[np.ndarray, " n"]:
        """Return the tokens that answer if only these hops are read as after the edit.

        ``(True, False)`` is what an adapter of the first hop alone makes right; -1 where a fact
        is missing.
        """
        column = sum(1 << hop for hop, is_new in enumerate(new) if not is_new)
        ends = self.reached()[-1][:, column]
        return np.where(ends == NOTHING, NOTHING, self.after.entity(self.after.hops, ends))

    def touched(self) -> Bool[np.ndarray, "levels size"]:
        """All entities that a question reaches by old and new facts, or that are in a taught one.

        The array has a row for each of ``hops + 1`` levels.
        """
        seen = np.zeros((self.before.hops + 1, self.before.size), dtype=bool)
        for level, nodes in enumerate(self.reached()):
            seen[level, nodes[nodes != NOTHING]] = True
        for facts in self.taught:
            for world in (self.before, self.after):
                for level, nodes in enumerate(along(world, facts).T, start=facts.start):
                    seen[level, nodes[nodes != NOTHING]] = True
        return seen

    def claimed(self) -> Bool[np.ndarray, "levels size"]:
        """What other edits must not touch: as `touched`, of the last level only new answers."""
        seen = self.touched()
        seen[-1] = False
        seen[-1, along(self.after, self.taught[-1])[:, 1]] = True
        return seen

    def edited(self) -> Bool[np.ndarray, "hops relations size"]:
        """Which facts differ before and after."""
        return self.before.maps != self.after.maps


def edit(
    world: World,
    facts: int,
    *,
    rng: np.random.Generator,
    familiarity: str = "real",
    bridges: str = "fresh",
    answers: str = "fresh",
    also: str = "nothing",
    path: Sequence[int] | None = None,
    among: Questions | None = None,
    avoid: Sequence[Edit] = (),
) -> Edit:
    """Return an edit of as many questions, every one with bridges and an answer of its own.

    Parameters
    ----------
    world : World
        What the base knows.
    facts : int
        How many questions.
    rng : Generator
        Chooses the entities. The questions do not depend on `also`.
    familiarity : str
        "real": all entities are known. "half": subjects are spare, bridges and answers known.
        "fake": all are spare; then bridges and answers are fresh.
    bridges, answers : str
        What the hops before the last, and the last, lead to. "fresh": known entities that no
        question of the edit reaches otherwise. "permuted": the old values of the edited facts,
        each moved to another fact. "kept": the old values, taught again.
    also : str
        What the adapters after the first edit beside the questions: "nothing"; "old", the
        entities that a question reaches by an old fact; "other", as many that it does not reach.
    path : sequence of int, optional
        The relation of each hop; the first ones where not given.
    among : Questions, optional
        Known subjects come from these questions alone, such as the held-out ones.
    avoid : sequence of Edit
        Whose entities are not to be used.

    Returns
    -------
    Edit
        No old fact leads to a question's new answer.

    Raises
    ------
    ImpossibleError
        If the world is too small for it or the words do not go together.
    """
    one_of("familiarity", familiarity, FAMILIARITY)
    one_of("bridges", bridges, CHANGES)
    one_of("answers", answers, CHANGES)
    one_of("also", also, ALSO)
    within("facts", facts, 1)
    relations = [0] * world.hops if path is None else [*path]
    if len(relations) != world.hops or not set(relations) <= set(range(world.relations)):
        fact = f"path {tuple(relations)} is not a relation for each of {world.hops} hops"
        raise impossible(fact, f"give {world.hops} numbers below {world.relations}")
    if also != "nothing":
        within("the hops of a world in which more is edited beside the chains", world.hops, 2, 2)
    draft = _Draft(world, relations, avoid)
    subjects = draft.subjects(facts, rng, known=familiarity == "real", among=among)
    ways = subjects[:, None]
    for hop in range(world.hops):
        change = answers if hop == world.hops - 1 else bridges
        new = draft.changed(hop, ways, change, rng, known=familiarity != "fake")
        ways = np.concatenate([ways, new[:, None]], axis=1)
    main = draft.edit()
    if also == "nothing":
        return main
    old = np.setdiff1d(main.reached()[1], [NOTHING, *main.chains[:, 1]])
    beside = old if also == "old" else draft.bridges(len(old), rng)
    draft.changed(1, beside[:, None], "fresh", rng)
    return draft.edit()


def matched(
    world: World, facts: int, *, rng: np.random.Generator, **wanted: Any
) -> tuple[Edit, Edit]:
    """Return two edits that differ in one thing: whether the old bridges are edited too.

    Parameters
    ----------
    world : World
        What the base knows; two hops.
    facts : int
        How many questions.
    rng : Generator
        Chooses the entities.
    **wanted : object
        Further arguments of `edit`; for the cases named below real entities and fresh bridges.

    Returns
    -------
    two Edits
        The same questions and the same first adapter. The second adapter teaches twice as many
        facts: in the first edit also those of unrelated bridges ("overwrite"), in the second those
        of the questions' old bridges ("overwrite both").
    """
    seed = int(rng.integers(2**63))
    one, two = (
        edit(world, facts, rng=np.random.default_rng(seed), also=also, **wanted)
        for also in ("other", "old")
    )
    return one, two


def pairs(
    world: World, count: int, facts: int, *, rng: np.random.Generator, **wanted: Any
) -> tuple[Edit, ...]:
    """Return edits on entities of their own, to be reused beside each other.

    Parameters
    ----------
    world : World
        What the base knows.
    count : int
        How many edits: each gives a pair of adapters A→B, B→C.
    facts : int
        Questions of each.
    rng : Generator
        Chooses the entities.
    **wanted : object
        Further arguments of `edit`.

    Returns
    -------
    tuple of Edit
        Each from the facts of `world` alone. No two claim an entity: all subjects, bridges old or
        new and new answers differ; an old answer of one may be a new answer of another.
    """
    within("count", count, 1)
    drawn: list[Edit] = [*wanted.pop("avoid", ())]
    before = len(drawn)
    for _ in range(count):
        drawn.append(edit(world, facts, rng=rng, avoid=drawn, **wanted))
    return tuple(drawn[before:])


class _Draft:
    """An edit in the making: facts changed one hop after another, every entity used once.

    Parameters
    ----------
    world : World
        The facts before.
    path : sequence of int
        The relation of each hop.
    avoid : sequence of Edit
        Whose entities are not free.
    """

    def __init__(self, world: World, path: Sequence[int], avoid: Sequence[Edit]) -> None:
        self.world, self.path = world, path
        self.maps = world.maps.copy()
        self.used, self.closed = np.zeros((2, world.hops + 1, world.size), dtype=bool)
        for other in avoid:
            self.closed |= other.claimed()
        # Of each level, where the base's facts lead from every entity by the rest of the path.
        self.onward = [along(world, self._rest(level)) for level in range(world.hops)]
        self.onward.append(np.arange(world.size)[:, None])
        self.taught: list[list[Questions]] = [[] for _ in path]
        self.shift = 1

    def subjects(
        self, count: int, rng: np.random.Generator, *, known: bool, among: Questions | None
    ) -> Numbers:
        """Entities for questions to start from: spare ones, or known ones of those `among`."""
        barred = np.zeros((count, self.world.size), dtype=bool)
        if known and among is not None:
            right = (among.relations == self.path).all(axis=1) & (among.start == 0)
            barred[:, np.setdiff1d(np.arange(self.world.size), among.subjects[right])] = True
        return self._free(0, barred, rng, known=known)

    def bridges(self, count: int, rng: np.random.Generator) -> Numbers:
        """Known entities of the second level that no question reaches."""
        return self._free(1, np.zeros((count, self.world.size), dtype=bool), rng, known=True)

    def changed(
        self,
        hop: int,
        ways: Int64[np.ndarray, "n k"],
        change: str,
        rng: np.random.Generator,
        *,
        known: bool = True,
    ) -> Numbers:
        """The new values of the last entities of these ways, after the draft has changed them.

        A fresh value is none that the base's facts lead to from an entity of the way.
        """
        nodes = ways[:, -1]
        old = self.world.maps[hop, self.path[hop], nodes]
        if change == "fresh":
            new = self._free(hop + 1, self._by_base(hop, ways), rng, known=known)
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
        """The edit, unless two ways through a question's old and new facts end alike.

        Then the answer would not tell which facts were read, and the draft is refused.
        """
        subjects = self.taught[0][0].subjects
        path = np.tile(np.array(self.path, dtype=np.int64), (len(subjects), 1))
        after = World(self.maps.copy(), self.world.entities, self.world.canaries)
        facts = tuple(together(*parts) for parts in self.taught)
        made = Edit(self.world, after, Questions(0, subjects, path), facts)
        levels = made.reached()
        branches = np.arange(2**self.world.hops)
        ways = np.stack([nodes[:, branches % nodes.shape[1]] for nodes in levels], axis=1)
        differ = (ways[..., None] != ways[..., None, :]).any(axis=1)
        ends = levels[-1][..., None]
        if (differ & (ends == levels[-1][:, None]) & (ends != NOTHING)).any():
            fact = f"permuting {len(subjects)} facts makes an old way end where a new one does"
            least = 2**self.world.hops
            raise impossible(fact, f"permute {least} facts or more, or make them fresh")
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
        numbers = np.arange(self.world.size)
        return Questions(level, numbers, np.tile(relations, (self.world.size, 1)))

    def _free(
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
        pool = np.arange(self.world.size)
        pool = pool[: self.world.entities] if known else pool[self.world.entities :]
        if known and level:
            pool = np.intersect1d(pool, self.world.maps[level - 1, self.path[level - 1]])
        pool, chosen = rng.permutation(pool), []
        for place, bar in enumerate(barred):
            left = pool[(self._open(level) & ~bar)[pool]]
            if not len(left):
                kind = "known" if known else "spare"
                fact = f"level {level} has {place} free {kind} entities for {len(barred)} facts"
                raise impossible(fact, "edit fewer facts, or draw a world with more entities")
            chosen.append(left[0])
            for step, node in enumerate(self.onward[level][left[0]]):
                self.used[level + step, node] |= node != NOTHING
        return np.array(chosen, dtype=np.int64)

    def _open(self, level: int) -> Bool[np.ndarray, " size"]:
        """Which entities are free with all they lead to; another edit may claim an old answer."""
        free = np.ones(self.world.size, dtype=bool)
        for step, nodes in enumerate(self.onward[level].T):
            in_use = self.used[level + step]
            if step == 0 or level + step < self.world.hops:
                in_use = in_use | self.closed[level + step]
            free &= (nodes == NOTHING) | ~in_use[nodes]
        return free

    def _by_base(self, hop: int, ways: Int64[np.ndarray, "n k"]) -> Bool[np.ndarray, "n size"]:
        """All that facts of the base, by any relations, lead to from each way's entities."""
        seen = np.zeros((len(ways), self.world.size), dtype=bool)
        for way, row in zip(ways, seen, strict=True):
            reached = way[:0]
            for level, entity in enumerate(way, start=hop + 1 - len(way)):
                reached = np.unique(self.world.maps[level][:, [*reached, entity]])
                reached = reached[reached != NOTHING]
            row[reached] = True
        return seen
