"""A world of facts, and the questions that can be asked about it.

Entities stand in levels, and each relation leads from one level to the next. A question is a
subject and the relations to follow from it, one hop or many; its answer depends on the world.
All worlds of equal size have the same token layout. Some tokens are not used; they stay, because
cached models were trained on these numbers::

    0 padding   1 identity relation   2 not used
    3 …         canaries
    then        relations, hop by hop; then as many that are not used
    then        levels 0 … hops, each its known entities and after them its spare ones
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible, within
from loratheory.tasks.prompts import NOTHING

IDENTITY = 1
MOST_HOPS, MOST_RELATIONS = 4, 8
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
