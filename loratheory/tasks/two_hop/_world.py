"""A world of facts: levels of entities, relations from each level to the next, and their tokens.

Token layout, the same for all worlds of equal size::

    0 padding   1 identity relation   2 "think"
    3 …         canaries
    then        relations, hop by hop; then their inverses in the same order
    then        levels 0 … hops, each its known entities and after them its spare ones
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible, within

PAD, IDENTITY, THINK, NOTHING = 0, 1, 2, -1
Number = TypeVar("Number", int, np.int64, Int64[np.ndarray, "..."])
_SPECIAL = 3
MOST_HOPS, MOST_RELATIONS = 4, 8


@dataclass(frozen=True, eq=False)
class World:
    """All facts, as maps between numbers; entity ``i`` of a level is ``i`` whatever its token.

    Attributes
    ----------
    maps : (hops, relations, size) array of int, read-only
        ``maps[h, r, i]`` is the entity of level ``h + 1`` to which relation ``r`` sends entity
        ``i`` of level ``h``, or -1 where there is no such fact.
    entities : int
        How many entities of each level the base knows; the numbers from there to `size` are
        spare: entities that occur in no fact until an edit gives them one.
    canaries : int
        Tokens that belong to no fact.
    """

    maps: Int64[np.ndarray, "hops relations size"]
    entities: int
    canaries: int

    def __post_init__(self) -> None:
        self.maps.setflags(write=False)

    @property
    def hops(self) -> int:
        """How many relations lead from the first level to the last."""
        return self.maps.shape[0]

    @property
    def relations(self) -> int:
        """How many relations there are between two levels."""
        return self.maps.shape[1]

    @property
    def size(self) -> int:
        """Entities of a level, known and spare."""
        return self.maps.shape[2]

    @property
    def spare(self) -> int:
        """Entities of a level that no fact of the base mentions."""
        return self.size - self.entities

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._entities_from + (self.hops + 1) * self.size

    @property
    def _relations_from(self) -> int:
        return _SPECIAL + self.canaries

    @property
    def _entities_from(self) -> int:
        return self._relations_from + 2 * self.hops * self.relations

    def entity(self, level: int, number: Number) -> Number:
        """The token of an entity of one level, or the tokens of many."""
        return self._entities_from + level * self.size + number

    def relation(self, hop: int, number: Number) -> Number:
        """The token of a relation from level `hop` to the next, or the tokens of many."""
        return self._relations_from + hop * self.relations + number

    def inverse(self, hop: int, number: Number) -> Number:
        """The token of a relation from level ``hop + 1`` back to `hop`, or the tokens of many."""
        return self.relation(self.hops + hop, number)

    def canary(self, number: int) -> int:
        """The token of one canary."""
        within("the number of a canary", number, 0, self.canaries - 1)
        return _SPECIAL + number

    @property
    def relation_tokens(self) -> range:
        """The tokens of all relations, then those of their inverses."""
        return range(self._relations_from, self._entities_from)

    def level(self, level: int, *, spare: bool = True) -> range:
        """The tokens of one level: what may answer a question that ends there."""
        start = self._entities_from + level * self.size
        return range(start, start + (self.size if spare else self.entities))


def world(
    seed: int,
    *,
    hops: int = 2,
    entities: int = 100,
    relations: int = 1,
    spare: int = 0,
    images: int | None = None,
    canaries: int = 16,
) -> World:
    """Return the world of a seed.

    Parameters
    ----------
    seed : int
        Determines every map.
    hops : int
        From 1 to 4.
    entities : int
        Known entities of each level.
    relations : int
        From each level to the next, from 1 to 8.
    spare : int
        Entities of each level that no fact mentions.
    images : int, optional
        How many values each map takes, as evenly as can be; permutations where not given.
    canaries : int
        Tokens kept for `marked`.

    Returns
    -------
    World
        The same for the same arguments.

    Raises
    ------
    ImpossibleError
        If a count is out of range.
    """
    within("hops", hops, 1, MOST_HOPS)
    within("relations", relations, 1, MOST_RELATIONS)
    within("entities", entities, 1)
    within("spare", spare, 0)
    within("canaries", canaries, 0)
    taken = entities if images is None else images
    if not 1 <= taken <= entities:
        fact = f"a map of {entities} entities cannot take {taken} values"
        raise impossible(fact, f"ask for 1 to {entities} images")
    rng = np.random.default_rng(seed)
    maps = np.full((hops, relations, entities + spare), NOTHING, dtype=np.int64)
    for table in maps.reshape(hops * relations, -1):
        values = rng.permutation(entities)[:taken]
        table[:entities] = values[rng.permutation(np.arange(entities) % taken)]
    return World(maps, entities, canaries)
