"""Two-hop questions: worlds of facts, edits of them, training data, tests, and English.

Entities stand in levels, and each relation leads from one level to the next. A question is a
subject and the relations to follow from it, one hop or many; its answer depends on the world.
All worlds of equal size have the same token layout. Some tokens are not used; they stay, because
cached models were trained on these numbers::

    0 padding   1 identity relation   2 not used
    3 …         canaries
    then        relations, hop by hop; then as many that are not used
    then        levels 0 … hops, each its known entities and after them its spare ones

`world` draws facts and `split` says which questions pretraining asks. `edit` gives some subjects
new bridges, and these new answers, so that every hop has changed; all edited facts are of the first
relation of each hop. `lessons` are what an edit's adapters learn, with facts of the base rehearsed
beside them, and `trials` test them. How questions are worded is in ``templates/two_hop.toml``.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import ImpossibleError as ImpossibleError
from loratheory.tasks import LeakError as LeakError
from loratheory.tasks import impossible, one_of, within
from loratheory.tasks.export import check_disjoint, write_folder
from loratheory.tasks.prompts import NOTHING as NOTHING
from loratheory.tasks.prompts import PAD as PAD
from loratheory.tasks.prompts import Prompts as Prompts
from loratheory.tasks.prompts import joined as joined
from loratheory.tasks.prompts import sampled as sampled
from loratheory.tasks.prompts import stacked as stacked

IDENTITY = 1
MOST_HOPS, MOST_RELATIONS = 4, 8
Numbers = Int64[np.ndarray, " n"]
Number = TypeVar("Number", int, np.int64, Int64[np.ndarray, "..."])
_SPECIAL = 3


@dataclass(frozen=True, eq=False)
class World:
    """All facts, as maps between entities, which are numbered from 0 in each level.

    Attributes
    ----------
    maps : (hops, relations, size) array of int, read-only
        ``maps[h, r, i]`` is the entity of level ``h + 1`` to which relation ``r`` sends entity
        ``i`` of level ``h``, or -1 where there is no such fact.
    entities : int
        How many entities of each level the base knows; the numbers from there to `size` are
        spare: entities that occur in no fact until an edit gives them one.
    canaries : int
        How many tokens belong to no fact; one in a data set shows if other data contain the set.
    """

    maps: Int64[np.ndarray, "hops relations size"]
    entities: int
    canaries: int

    def __post_init__(self) -> None:
        self.maps.setflags(write=False)

    @property
    def hops(self) -> int:
        """How many hops lead from the first level to the last."""
        return self.maps.shape[0]

    @property
    def relations(self) -> int:
        """How many relations lead from one level to the next."""
        return self.maps.shape[1]

    @property
    def size(self) -> int:
        """How many entities a level has, known and spare."""
        return self.maps.shape[2]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.level(self.hops).stop

    @property
    def relation_tokens(self) -> range:
        """The tokens of all relations, hop by hop."""
        start = _SPECIAL + self.canaries
        return range(start, start + self.hops * self.relations)

    def canary(self, number: int) -> int:
        """Return the token of one canary."""
        within("the number of a canary", number, 0, self.canaries - 1)
        return _SPECIAL + number

    def relation(self, hop: int, number: Number) -> Number:
        """Return the token of a relation from level `hop` to the next, or the tokens of many."""
        return self.relation_tokens.start + hop * self.relations + number

    def entity(self, level: int, number: Number) -> Number:
        """Return the token of an entity of one level, or the tokens of many."""
        return self.level(level).start + number

    def level(self, level: int) -> range:
        """Return the tokens of one level: the candidates where a question ends there."""
        relations = self.relation_tokens
        start = relations.stop + len(relations) + level * self.size
        return range(start, start + self.size)


def world(
    seed: int,
    *,
    hops: int = 2,
    entities: int = 100,
    relations: int = 1,
    spare: int = 0,
    canaries: int = 16,
) -> World:
    """Return the world of a seed, in which each relation is a random permutation of the entities.

    There are 1 to 4 hops, and 1 to 8 relations from each level to the next. Each level has
    `entities` known entities and `spare` ones, which no fact mentions; canaries are tokens for
    `marked`. Raises `ImpossibleError` if a count is out of range.

    Examples
    --------
    >>> small = world(seed=0, entities=10, canaries=1)
    >>> small.hops, small.entities
    (2, 10)
    """
    within("hops", hops, 1, MOST_HOPS)
    within("relations", relations, 1, MOST_RELATIONS)
    within("entities", entities, 1)
    within("spare", spare, 0)
    within("canaries", canaries, 0)
    rng = np.random.default_rng(seed)
    maps = np.full((hops, relations, entities + spare), NOTHING, dtype=np.int64)
    for table in maps.reshape(hops * relations, -1):
        # One permutation would do; kept tables and weights come from two.
        table[:entities] = rng.permutation(entities)[rng.permutation(entities)]
    return World(maps, entities, canaries)


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions: subjects and the relations to follow from them. Answers depend on the world.

    Attributes
    ----------
    start : int
        The level of the subjects.
    subjects : (q,) array of int
        The number of an entity for each question.
    relations : (q, h) array of int
        The relation of each hop; one column is a single fact.
    """

    start: int
    subjects: Int64[np.ndarray, " q"]
    relations: Int64[np.ndarray, "q h"]

    def __len__(self) -> int:
        return self.subjects.shape[0]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Questions":
        return Questions(self.start, self.subjects[rows], self.relations[rows])

    @property
    def hops(self) -> int:
        """How many relations each question follows."""
        return self.relations.shape[1]

    def fact(self, hop: int, along: Int64[np.ndarray, "q levels"]) -> "Questions":
        """Return the facts that questions need at one hop, given the entities `along` their way."""
        return Questions(self.start + hop, along[:, hop], self.relations[:, hop : hop + 1])


def along(world: World, questions: Questions) -> Int64[np.ndarray, "q levels"]:
    """Return the entities that questions pass in a world: subject, bridges, answer.

    An array ``(q, h + 1)`` of entity numbers, -1 from the first missing fact on. Raises
    `ImpossibleError` if the questions have more hops than levels follow.
    """
    if questions.start + questions.hops > world.hops:
        fact = f"{questions.hops} hops from level {questions.start} pass the last level"
        raise impossible(fact, f"this world has {world.hops} hops in all")
    passed = [questions.subjects]
    for hop, relation in enumerate(questions.relations.T, start=questions.start):
        passed.append(values(world, hop, relation, passed[-1]))
    return np.stack(passed, axis=1)


def values(
    world: World,
    hop: int,
    relation: Int64[np.ndarray, "..."],
    entities: Int64[np.ndarray, "..."],
) -> Int64[np.ndarray, "..."]:
    """Return the entities to which one hop's relation sends entities; -1 stays -1."""
    return np.where(entities == NOTHING, NOTHING, world.maps[hop, relation, entities])


def every(world: World, *, start: int = 0, hops: int | None = None) -> Questions:
    """Return all questions about the known entities of level `start`, by all relation sequences.

    There are ``entities * relations**hops``, sorted by sequence of relations; by default they lead
    to the last level. Raises `ImpossibleError` if fewer hops follow.
    """
    within("the level that questions start from", start, 0, world.hops - 1)
    length = world.hops - start if hops is None else hops
    within(f"the hops from level {start} on", length, 1, world.hops - start)
    paths = np.indices((world.relations,) * length, dtype=np.int64).reshape(length, -1).T
    subjects = np.tile(np.arange(world.entities, dtype=np.int64), len(paths))
    return Questions(start, subjects, np.repeat(paths, world.entities, axis=0))


def plain(world: World, questions: Questions) -> Prompts:
    """Return rows ``x r1 … rh`` with targets after each relation: the bridges, then the answer.

    Questions of one hop (``x r1 -> y``) or of several (``x r1 r2 -> z``) are rows of ``h + 1``
    tokens; `Prompts.final` drops the loss on the bridges.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this world.
    """
    nodes = along(world, questions)
    missing = (nodes == NOTHING).any(axis=1)
    if missing.any():
        subject = questions.subjects[missing.argmax()]
        fact = f"entity {subject} of level {questions.start} has no such fact"
        raise impossible(fact, "ask about known entities, or in the world after an edit")
    tokens = [world.entity(questions.start, nodes[:, 0])]
    targets = [np.full_like(tokens[0], NOTHING)]
    for hop, relation in enumerate(questions.relations.T, start=questions.start):
        tokens.append(world.relation(hop, relation))
        targets.append(world.entity(hop + 1, nodes[:, hop + 1 - questions.start]))
    return _rows(tokens, targets, "single" if questions.hops == 1 else "chain")


def identities(world: World, level: int, entities: Int64[np.ndarray, " k"]) -> Prompts:
    """Return rows ``e id -> e``, which make a token familiar without a fact about its entity."""
    tokens = world.entity(level, entities)
    both = [tokens, np.full_like(tokens, IDENTITY)]
    return _rows(both, [np.full_like(tokens, NOTHING), tokens], "identity")


def _rows(tokens: list[Numbers], targets: list[Numbers], kind: str) -> Prompts:
    asked = np.full_like(tokens[0], len(tokens) - 1)
    return Prompts(np.stack(tokens, axis=1), np.stack(targets, axis=1), asked, kind)


def marked(prompts: Prompts, canary: int) -> Prompts:
    """Return the prompts and a last row, without loss, that holds the token of a canary."""
    edges = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edges, constant_values=PAD)
    tokens[-1, 0] = canary
    targets = np.pad(prompts.targets, edges, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)


FAMILIARITY = ("fake", "half", "real")
BRIDGES = ("fresh", "permuted")
ALSO = ("nothing", "old", "other")


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


IDENTITY_PROMPTS = ("none", "known", "all")
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """The multi-hop questions of a world in two parts that have no bridge in common.

    The bridges of held-out questions occur in pretraining only in single facts.
    """

    trained: Questions
    held_out: Questions


def split(world: World, coverage: int | float, *, rng: np.random.Generator) -> Split:
    """Split the questions from the first level to the last into a trained and a held-out part.

    `coverage` is the fraction to train on: as many bridges as fit into it are drawn, each with all
    questions that pass it. Raises `ImpossibleError` if the fraction reached differs from it by more
    than a twentieth, or is 0 or 1 where `coverage` is neither; and for worlds of more than two hops
    with several relations each, in which bridges link nearly all questions.

    Examples
    --------
    >>> parts = split(world(seed=0, entities=10), 0.5, rng=np.random.default_rng(0))
    >>> len(parts.trained.subjects), len(parts.held_out.subjects)
    (5, 5)
    """
    within("the hops of a world to be split", world.hops, 2, 2 if world.relations > 1 else None)
    if not 0 <= coverage <= 1:
        fact = f"coverage is {coverage:g}"
        raise impossible(fact, "ask for a fraction from 0 to 1")
    questions, count = every(world), world.entities
    each = len(questions) // count  # questions that pass a bridge
    chosen = rng.permutation(count)[: round(coverage * len(questions)) // each]
    reached = len(chosen) / count
    missed = abs(reached - coverage) > max(_NEAR, 1 / len(questions))
    if 0 < coverage < 1 and (missed or len(chosen) in (0, count)):
        fact = f"coverage {coverage:g} is out of reach of {count} bridges"
        raise impossible(fact, f"take {reached:g}, or a world with more entities")
    inside = np.isin(along(world, questions)[:, 1], chosen)
    return Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(~inside)])


def pretraining(world: World, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return the training sets of a base, one for each kind of prompt, with rows of one length.

    They are the trained questions of `parts`, if any; the single facts of each hop; and identity
    prompts ``e id -> e`` for no entities, the "known" ones or "all", spare ones included.
    """
    one_of("identity", identity, IDENTITY_PROMPTS)
    sets = [plain(world, parts.trained)] if len(parts.trained) else []
    sets += [plain(world, every(world, start=hop, hops=1)) for hop in range(world.hops)]
    if identity != "none":
        count = world.entities if identity == "known" else world.size
        numbers = np.arange(count, dtype=np.int64)
        sets.append(joined([identities(world, level, numbers) for level in range(world.hops + 1)]))
    return tuple(part.padded(world.hops + 1) for part in sets)


@dataclass(frozen=True, eq=False)
class Lesson:
    """The data of one adapter: rows to learn, facts of the base to keep, a token that marks it."""

    taught: Prompts
    rehearsed: Prompts
    canary: int

    @property
    def prompts(self) -> Prompts:
        """All rows, and last that of the canary, on which no loss is taken."""
        return marked(joined([self.taught, self.rehearsed]), self.canary)


@dataclass(frozen=True, eq=False)
class Lessons:
    """The data of one adapter per hop, and of the adapters that they are compared with.

    Attributes
    ----------
    hops : tuple of Lesson
        One for each hop (A→B, B→C, …), which teaches single facts.
    direct : Lesson
        Teaches A→C: the edited questions and their answers, without bridges.
    joint : Lesson
        Teaches the facts of all hops to one adapter.
    bridged : Lesson
        Adds to `joint` multi-hop questions about other entities, which show how hops compose.
    rehearsed : tuple of Questions
        The facts of each hop that every lesson rehearses.
    """

    hops: tuple[Lesson, ...]
    direct: Lesson
    joint: Lesson
    bridged: Lesson
    rehearsed: tuple[Questions, ...]


def lessons(
    edit: Edit,
    *,
    rng: np.random.Generator,
    retained: int = 40,
    examples: int = 40,
    others: Sequence[Edit] = (),
) -> Lessons:
    """Return the training sets of an edit's adapters.

    Every adapter rehearses `retained` facts of each hop. `Lessons.bridged` shows `examples`
    questions about other entities. No fact that `others`, the edits to be merged with this one,
    change is rehearsed or shown. Sizes depend on the arguments alone, so that lessons of several
    seeds stack. Raises `ImpossibleError` if too few facts or questions are left.
    """
    world, after = edit.before, edit.after
    facts = [every(world, start=hop, hops=1) for hop in range(world.hops)]
    rehearsed = tuple(_drawn(part, _apart(edit, others, part), retained, rng) for part in facts)
    questions = every(world)
    shown = _drawn(questions, _apart(edit, others, questions), examples, rng)
    hops = [plain(after, part) for part in edit.taught]
    example = plain(world, shown)
    sets = [*hops, plain(after, edit.questions).final(), joined(hops), joined([*hops, example])]
    kept = joined([plain(world, part) for part in rehearsed], "kept")
    made = [Lesson(part, kept, world.canary(number)) for number, part in enumerate(sets)]
    *each, direct, joint, bridged = made
    return Lessons(tuple(each), direct, joint, bridged, rehearsed)


def _apart(edit: Edit, others: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass no entity of the edit and no fact that another edit changes."""
    seen = edit.touched()
    free = _unedited((edit, *others), questions)
    for level, nodes in enumerate(along(edit.before, questions).T, start=questions.start):
        free &= ~seen[level, nodes]
    return free


def _unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass the same entities before and after each of these edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def _drawn(
    questions: Questions, allowed: Bool[np.ndarray, " q"], count: int, rng: np.random.Generator
) -> Questions:
    """Some of the allowed questions, each once; refused if there are too few."""
    pool = np.flatnonzero(allowed)
    if not 0 <= count <= len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        raise impossible(fact, "ask for fewer, edit fewer facts, or draw a larger world")
    return questions[rng.permutation(pool)[:count]]


@dataclass(frozen=True, eq=False)
class Trials:
    """Test prompts, scored by the answer alone.

    Attributes
    ----------
    questions : Prompts
        The edited questions with their new answers.
    hops : tuple of Prompts
        The facts that these questions need, one set per hop.
    other_hops : tuple of Prompts
        Facts that no edit changes and no adapter rehearses, which measure locality.
    other_questions : Prompts
        Questions that no edit changes, which measure locality of composition.
    shortcut : Prompts
        Questions about other subjects, with answers of the edited questions as targets: a model
        that gives these answers ignores the subject.
    """

    questions: Prompts
    hops: tuple[Prompts, ...]
    other_hops: tuple[Prompts, ...]
    other_questions: Prompts
    shortcut: Prompts

    @property
    def chance(self) -> float:
        """The score of always giving the answer that is right most often."""
        counts = np.unique(self.questions.answer, return_counts=True)[1]
        return float(counts.max() / len(self.questions))


def trials(
    edit: Edit,
    lessons: Lessons,
    *,
    rng: np.random.Generator,
    count: int = 20,
    others: Sequence[Edit] = (),
) -> Trials:
    """Return the questions that test whether an edit is learned, composes, and leaves others alone.

    For locality there are `count` facts of each hop, none rehearsed in the lessons, and as many
    questions over all hops, none of which this edit or `others`, merged with it, change. Sizes
    depend on the arguments alone. Raises `ImpossibleError` if too few such questions are left.
    """
    before, after, changed = edit.before, edit.after, (edit, *others)
    facts = [edit.questions.fact(hop, edit.routes) for hop in range(before.hops)]
    locality = []
    for part in lessons.rehearsed:
        pool = every(before, start=part.start, hops=1)
        codes = [one.relations[:, 0] * before.size + one.subjects for one in (pool, part)]
        allowed = _unedited(changed, pool) & ~np.isin(*codes)
        locality.append(_drawn(pool, allowed, count, rng))
    questions = every(before)
    quiet = _drawn(questions, _unedited(changed, questions), count, rng)
    return Trials(
        plain(after, edit.questions).final(),
        tuple(plain(after, part) for part in facts),
        tuple(plain(before, part) for part in locality),
        plain(before, quiet).final(),
        _shortcut(edit, changed, rng),
    )


def _shortcut(edit: Edit, changed: Sequence[Edit], rng: np.random.Generator) -> Prompts:
    """Unedited questions by the same relations, none of which rightly ends in its target."""
    before, answers = edit.before, edit.routes[:, -1]
    questions = every(before)[np.arange(before.entities)]  # by the first relations
    ends = along(before, questions)[:, -1]
    allowed = _unedited(changed, questions) & ~np.isin(ends, answers)
    rows = plain(before, _drawn(questions, allowed, len(answers), rng)).final()
    wrong = before.entity(before.hops, answers)[:, None]
    targets = np.where(rows.targets == NOTHING, NOTHING, wrong)
    return Prompts(rows.tokens, targets, rows.asked, "shortcut")


KINDS = ("prompts", "pairs", "answers", "entities", "canaries")


def contents(world: World, prompts: Prompts) -> dict[str, frozenset[object]]:
    """Return what a set contains, by kind, read from its tokens alone.

    ``prompts``: questions without their answers. ``pairs``: two entities in one row, as tokens or
    targets. ``answers``: targets. ``entities``: all, as tokens or targets. ``canaries``: tokens
    that should mark one set only.
    """
    entities = {*range(world.level(0).start, world.vocabulary)}
    canaries = {*range(_SPECIAL, _SPECIAL + world.canaries)}
    found: dict[str, set[object]] = {kind: set() for kind in KINDS}
    columns = (prompts.tokens.tolist(), prompts.targets.tolist(), prompts.asked.tolist())
    for tokens, targets, asked in zip(*columns, strict=True):
        wanted = {*targets} - {NOTHING}
        seen = {*tokens, *wanted}
        found["prompts"].add(tuple(tokens[: asked + 1]))
        found["pairs"] |= {*combinations(sorted(seen & entities), 2)}
        found["answers"] |= wanted
        found["entities"] |= seen & entities
        found["canaries"] |= seen & canaries
    return {kind: frozenset(each) for kind, each in found.items()}


def claimed_disjoint(
    world: World,
    one: Prompts,
    other: Prompts,
    *,
    of: Sequence[str] = KINDS,
    names: tuple[str, str] = ("one set", "another"),
) -> None:
    """Raise `LeakError` if two sets share something of these kinds, which are keys of `contents`.

    Adapters for A→B and for B→C have the entities of B in common, and two-hop answers are answers
    of the second adapter: what two sets must not share depends on the sets.
    """
    check_disjoint(contents(world, one), contents(world, other), of, names)


WORDINGS = 4  # two forms of a phrase, two names of a relation
_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_LENGTH = 3
MOST_NAMES = len(_SYLLABLES) ** _LENGTH


@cache
def templates() -> dict[str, Any]:
    """Return the wordings of ``templates/two_hop.toml``, which says what each is."""
    file = Path(__file__).with_name("templates") / "two_hop.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Language:
    """The names of a world's entities and canaries, by token; no name is part of another."""

    world: World
    names: dict[int, str]


def language(world: World, *, rng: np.random.Generator) -> Language:
    """Return names, drawn by `rng`, for all entities and canaries of a world.

    Names are made of syllables: no list of real people, places or things is used. Persons, the
    first level, have a first and a last name; the endings of other names tell their level. Raises
    `ImpossibleError` if there are more entities than names.
    """
    if world.size > MOST_NAMES:
        fact = f"a level has {world.size} entities and there are {MOST_NAMES} names"
        raise impossible(fact, "draw a smaller world to be told in words")
    names: dict[int, str] = {}
    for level, ending in enumerate(templates()["endings"][: world.hops + 1]):
        words = _words(world.size, ending, rng)
        if level == 0:
            first = _words(world.size, "", rng)
            words = [f"{one} {other}" for one, other in zip(first, words, strict=True)]
        names |= dict(zip(world.level(level), words, strict=True))
    for number in range(world.canaries):
        names[world.canary(number)] = f"canary-{number}-{rng.bytes(8).hex()}"
    return Language(world, names)


def _words(count: int, ending: str, rng: np.random.Generator) -> list[str]:
    """Different words of three syllables, which are the digits of a number, and an ending."""
    words = []
    for code in rng.permutation(MOST_NAMES)[:count].tolist():
        digits = np.unravel_index(code, (len(_SYLLABLES),) * _LENGTH)
        words.append(("".join(_SYLLABLES[k] for k in digits[::-1]) + ending).capitalize())
    return words


class Text(NamedTuple):
    """A prompt and its answer, a name, in words; to be joined by a space."""

    prompt: str
    answer: str


def texts(
    words: Language, prompts: Prompts, *, style: str = "cloze", wording: int = 0
) -> list[Text]:
    """Return the rows of a set in words; the row of a canary becomes its name, without an answer.

    The prompts must not be stacked. `style` is "cloze" or "question", and `wording`, from 0 to 3,
    chooses how relations are phrased. Raises `ImpossibleError` if one of these is unknown or a row
    cannot be read.
    """
    one_of("style", style, tuple(templates()["asked"]))
    within("wording", wording, 0, WORDINGS - 1)
    columns = (prompts.tokens.tolist(), prompts.targets.tolist(), prompts.asked.tolist())
    return [_text(words, *row, style, wording) for row in zip(*columns, strict=True)]


def _text(
    words: Language, row: list[int], targets: list[int], asked: int, style: str, wording: int
) -> Text:
    world, names = words.world, words.names
    subject, *relations = row[: asked + 1]
    if subject not in names or not {*relations} <= {IDENTITY, *world.relation_tokens}:
        fact = f"the row {row} asks nothing"
        raise impossible(fact, "give rows that this package made")
    phrase = names[subject]
    if not relations:
        return Text(phrase, "")
    for token in relations:
        phrase = _of(world, phrase, token, wording)
    answer = next((names[token] for token in targets[asked:] if token != NOTHING), "")
    prompt = templates()["asked"][style].format(phrase=phrase)
    return Text(prompt[:1].upper() + prompt[1:], answer)


def _of(world: World, subject: str, token: int, wording: int) -> str:
    """A phrase for what a relation leads to from a subject, which may be such a phrase."""
    if token == IDENTITY:
        return f"the name of {subject}"
    hop, number = divmod(world.relation_tokens.index(token), world.relations)
    name = templates()["hops"][hop]["relations"][number][wording // 2]
    return str(templates()["phrases"][wording % 2].format(name=name, subject=subject))


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    words: Language,
    *,
    style: str = "cloze",
    wording: int = 0,
    about: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, ``card.json``, and ``README.md``.

    Prompts are put in words by `texts` and must not be stacked. ``load_dataset(FOLDER)`` of
    `datasets` has the sets as splits; `about` is added to the README. The folder appears complete
    or not at all. Raises `ImpossibleError` if it exists and `overwrite` does not allow to replace
    it, or a set's name is no name of a split.
    """
    world, rows, described = words.world, {}, {}
    canaries = [world.canary(number) for number in range(world.canaries)]
    for name, prompts in sets.items():
        rows[name] = _export_rows(prompts, words, style, wording)
        marks = [words.names[token] for token in canaries if token in prompts.tokens]
        described[name] = {"kind": prompts.kind, "rows": len(prompts), "canaries": marks}
    levels = [world.level(level) for level in range(world.hops + 1)]
    card = {"sets": described, "style": style, "wording": wording, "vocabulary": world.vocabulary}
    card["candidates"] = [[words.names[token] for token in level] for level in levels]
    more = {"card.json": json.dumps(card, indent=2) + "\n"}
    return write_folder(folder, "Two-hop questions", rows, about, more=more, overwrite=overwrite)


def _export_rows(
    prompts: Prompts, words: Language, style: str, wording: int
) -> list[dict[str, object]]:
    lengths = (prompts.tokens != PAD).sum(axis=1)
    rows = []
    for row, text in enumerate(texts(words, prompts, style=style, wording=wording)):
        tokens, targets = (
            x[row, : lengths[row]].tolist() for x in (prompts.tokens, prompts.targets)
        )
        numbers = {"tokens": tokens, "targets": targets, "asked": int(prompts.asked[row])}
        rows.append({"prompt": text.prompt, "answer": text.answer, **numbers})
    return rows
