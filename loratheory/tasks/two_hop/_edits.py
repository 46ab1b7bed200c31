"""Edits: some subjects get new bridges, and these new answers, so that every hop has changed.

The worlds before and after an edit differ in its facts alone, and the same questions can be asked
in both. All edited facts are of the first relation of each hop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible, one_of, within
from loratheory.tasks.prompts import NOTHING
from loratheory.tasks.two_hop._world import Questions, World, along, values

FAMILIARITY = ("fake", "half", "real")
BRIDGES = ("fresh", "permuted")
ALSO = ("nothing", "old", "other")
Numbers = Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Edit:
    """The new facts of each hop (A→B, B→C, …), which its adapter is to learn.

    Attributes
    ----------
    before, after : World
        The facts that the base knows, and those after all adapters of this edit.
    questions : Questions
        The edited questions, from the first level to the last.
    taught : tuple of Questions
        For each hop the single facts that its adapter learns, those of `questions` first.
    """

    before: World
    after: World
    questions: Questions
    taught: tuple[Questions, ...]

    @property
    def routes(self) -> Int64[np.ndarray, "n levels"]:
        """The subject, bridges and answer of each edited question, after the edit."""
        return along(self.after, self.questions)

    def reached(self) -> tuple[Int64[np.ndarray, "n branches"], ...]:
        """Return, for each level, the entities that questions reach by new and by old facts.

        Arrays ``(n, 2**level)``: in column ``b`` hop ``j`` follows the old fact if bit ``j`` of
        ``b`` is set and the new one if not; column 0 is the edited route. -1 where a fact is
        missing.
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
        """Return the answers' tokens if hops follow new facts where `new` is true, else old ones.

        ``(True, False)`` gives the right answers with the first hop's adapter alone; -1 where a
        fact is missing.
        """
        column = sum(1 << hop for hop, is_new in enumerate(new) if not is_new)
        ends = self.reached()[-1][:, column]
        return np.where(ends == NOTHING, NOTHING, self.after.entity(self.after.hops, ends))

    def touched(self) -> Bool[np.ndarray, "levels size"]:
        """Which entities a question reaches by old or new facts, or a taught fact contains."""
        seen = np.zeros((self.before.hops + 1, self.before.size), dtype=bool)
        passed = [*enumerate(self.reached())]
        for facts in self.taught:
            for world in (self.before, self.after):
                passed += enumerate(along(world, facts).T, start=facts.start)
        for level, nodes in passed:
            seen[level, nodes[nodes != NOTHING]] = True
        return seen

    def claimed(self) -> Bool[np.ndarray, "levels size"]:
        """Which entities other edits must not use: the touched ones, less old answers."""
        seen = self.touched()
        seen[-1] = False
        seen[-1, along(self.after, self.taught[-1])[:, 1]] = True
        return seen

    def edited(self) -> Bool[np.ndarray, "hops relations size"]:
        """Which facts the edit changes."""
        return self.before.maps != self.after.maps


class Case(NamedTuple):
    """The case of the theorems on merging to which an edit belongs.

    Attributes
    ----------
    name : str
        "overwrite": each subject has an old bridge, whose own fact is not edited. "overwrite both":
        the facts of the old bridges are edited too. "new subject": the subjects had no fact before,
        so nothing competes at the first hop. "new facts": no fact that is taught had an old value.
    familiar : bool
        Whether the base knows all bridges. If not, it has no map from their values to keys, and no
        merge coefficient helps.
    """

    name: str
    familiar: bool


def case(edit: Edit) -> Case:
    """Return the case of an edit; `ImpossibleError` if its questions are of different cases."""
    edited, replaced, covered = edit.edited(), [], []
    for hop, nodes in enumerate(edit.reached()[:-1]):
        facts = hop, edit.questions.relations[:, hop, None], nodes
        has_old = values(edit.before, *facts) != NOTHING
        changes = edited[facts] & (nodes != NOTHING)
        replaced.append((changes & has_old)[:, 0])
        covered.append(changes.all(axis=1))
    kinds = [~np.any(replaced, axis=0), ~replaced[0], np.all(covered, axis=0)]
    names = np.unique(np.select(kinds, ["new facts", "new subject", "overwrite both"], "overwrite"))
    if len(names) > 1:
        fact = f"this edit has questions of the cases {', '.join(names)}"
        raise impossible(fact, "draw questions of one case")
    familiar = (edit.routes[:, 1:-1] < edit.before.entities).all()
    return Case(str(names[0]), bool(familiar))


def edit(
    world: World,
    facts: int,
    *,
    rng: np.random.Generator,
    familiarity: str = "real",
    bridges: str = "fresh",
    also: str = "nothing",
    among: Questions | None = None,
    avoid: Sequence[Edit] = (),
) -> Edit:
    """Return an edit of `facts` questions, each with bridges and an answer of its own.

    Parameters
    ----------
    world : World
        What the base knows; two hops or more.
    facts : int
        How many questions; they do not depend on `also`.
    familiarity : str
        "real": all entities are known. "half": subjects are spare, bridges and answers known.
        "fake": all are spare.
    bridges : str
        "fresh": entities that no question of the edit reaches otherwise. "permuted": the old
        bridges of the edited questions, each moved to another question.
    also : str
        Which further facts the second hop's adapter edits: "nothing"; "old", those of the old
        bridges; "other", those of as many entities that no question reaches.
    among : Questions, optional
        Questions that known subjects must come from, such as the held-out ones.
    avoid : sequence of Edit
        Edits whose entities must not be used.

    Returns
    -------
    Edit
        No old fact leads to a question's new answer.

    Raises
    ------
    ImpossibleError
        If the world is too small, or these choices exclude each other.
    """
    one_of("familiarity", familiarity, FAMILIARITY)
    one_of("bridges", bridges, BRIDGES)
    one_of("also", also, ALSO)
    within("the hops of a world to be edited", world.hops, 2, 2 if also != "nothing" else None)
    # With fewer, an old route may end where a new one does, and not tell which facts were read.
    within("facts", facts, 2 ** (world.hops - 1) if bridges == "permuted" else 1)
    if bridges == "permuted" and familiarity != "real":
        fact = f"{familiarity} subjects have no old bridges that could be permuted"
        raise impossible(fact, "make the bridges fresh")
    draft = _Draft(world, avoid)
    routes = draft.subjects(facts, rng, known=familiarity == "real", among=among)[:, None]
    for hop in range(world.hops):
        if bridges == "permuted" and hop < world.hops - 1:
            # Shifts of which no sum equals another.
            new = np.roll(world.maps[hop, 0, routes[:, -1]], -(2**hop))
        else:
            new = draft.fresh(hop, routes, rng, known=familiarity != "fake")
        draft.change(hop, routes[:, -1], new)
        routes = np.concatenate([routes, new[:, None]], axis=1)
    made = draft.edit(facts)
    if also == "nothing":
        return made
    old = np.setdiff1d(made.reached()[1], [NOTHING, *made.routes[:, 1]])
    beside = old if also == "old" else draft.free(1, draft.barred(len(old)), rng, known=True)
    draft.change(1, beside, draft.fresh(1, beside[:, None], rng, known=True))
    return draft.edit(facts)


def pairs(
    world: World, count: int, facts: int, *, rng: np.random.Generator, **wanted: Any
) -> tuple[Edit, ...]:
    """Return `count` edits of one world whose adapters can be merged; `wanted` goes to `edit`.

    Each gives a pair of adapters A→B, B→C. No two edits share a subject, an old or new bridge, or a
    new answer; an old answer of one may be a new answer of another.
    """
    within("count", count, 1)
    drawn: list[Edit] = []
    for _ in range(count):
        drawn.append(edit(world, facts, rng=rng, avoid=drawn, **wanted))
    return tuple(drawn)


class _Draft:
    """An edit in the making: facts changed one hop after another, every entity used once."""

    def __init__(self, world: World, avoid: Sequence[Edit]) -> None:
        self.world, self.maps = world, world.maps.copy()
        self.used, self.closed = np.zeros((2, world.hops + 1, world.size), dtype=bool)
        for other in avoid:
            self.closed |= other.claimed()
        numbers = np.arange(world.size)
        # Of each level, where the base's facts lead from every entity to the last level.
        self.onward = [
            along(world, _first(level, numbers, world.hops - level)) for level in range(world.hops)
        ]
        self.onward.append(numbers[:, None])
        self.taught: list[list[Numbers]] = [[] for _ in range(world.hops)]

    def barred(self, count: int) -> Bool[np.ndarray, "n size"]:
        """No entity barred for any of so many facts."""
        return np.zeros((count, self.world.size), dtype=bool)

    def subjects(
        self, count: int, rng: np.random.Generator, *, known: bool, among: Questions | None
    ) -> Numbers:
        """Entities for questions to start from: spare ones, or known ones of those `among`."""
        barred = self.barred(count)
        if known and among is not None:
            right = (among.relations == 0).all(axis=1) & (among.start == 0)
            barred[:, np.setdiff1d(np.arange(self.world.size), among.subjects[right])] = True
        return self.free(0, barred, rng, known=known)

    def fresh(
        self, hop: int, routes: Int64[np.ndarray, "n k"], rng: np.random.Generator, *, known: bool
    ) -> Numbers:
        """New values of the routes' last entities: none that the base leads to from a route.

        Facts of the base by any relations count.
        """
        barred = self.barred(len(routes))
        for route, row in zip(routes, barred, strict=True):
            reached = route[:0]
            for level, entity in enumerate(route, start=hop + 1 - len(route)):
                reached = np.unique(self.world.maps[level][:, [*reached, entity]])
                reached = reached[reached != NOTHING]
            row[reached] = True
        return self.free(hop + 1, barred, rng, known=known)

    def change(self, hop: int, nodes: Numbers, new: Numbers) -> None:
        """Have the first relation of a hop send these entities to these values."""
        self.maps[hop, 0, nodes] = new
        self.taught[hop].append(nodes)

    def edit(self, facts: int) -> Edit:
        """The edit so far, of so many questions."""
        world = World(self.maps.copy(), self.world.entities, self.world.canaries)
        taught = tuple(
            _first(hop, np.concatenate(nodes), 1) for hop, nodes in enumerate(self.taught)
        )
        questions = _first(0, taught[0].subjects[:facts], world.hops)
        return Edit(self.world, world, questions, taught)

    def free(
        self,
        level: int,
        barred: Bool[np.ndarray, "n size"],
        rng: np.random.Generator,
        *,
        known: bool,
    ) -> Numbers:
        """An entity for each fact, not barred there, that nothing reached so far; now in use."""
        known_ones = np.arange(self.world.size) < self.world.entities
        pool, chosen = rng.permutation(np.flatnonzero(known_ones == known)), []
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


def _first(level: int, subjects: Numbers, hops: int) -> Questions:
    """Questions by the first relation of each hop."""
    return Questions(level, subjects, np.zeros((len(subjects), hops), dtype=np.int64))
