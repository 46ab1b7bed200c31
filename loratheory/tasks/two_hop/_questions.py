"""Questions: a subject and the relations to follow from it, one hop or many."""

from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible, within
from loratheory.tasks.two_hop._world import NOTHING, World


@dataclass(frozen=True, eq=False)
class Questions:
    """Which entity do these relations lead to? Not yet the answer: that depends on the world.

    Attributes
    ----------
    start : int
        The level of the subjects.
    subjects : (q,) array of int
        Numbers of entities, one per question.
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
        """The single facts that these questions need at one hop, given the entities they pass."""
        return Questions(self.start + hop, along[:, hop], self.relations[:, hop : hop + 1])


def along(here: World, questions: Questions) -> Int64[np.ndarray, "q levels"]:
    """Return the entities that the questions pass: subject, bridges, answer.

    Parameters
    ----------
    here : World
        Whose facts are followed.
    questions : Questions
        The path from each subject.

    Returns
    -------
    (q, h + 1) array of int
        Numbers of entities; -1 from the first missing fact on.
    """
    _fits(here, questions)
    passed = [questions.subjects]
    for hop, relation in enumerate(questions.relations.T, start=questions.start):
        passed.append(values(here, hop, relation, passed[-1]))
    return np.stack(passed, axis=1)


def values(
    here: World,
    hop: int,
    relation: Int64[np.ndarray, "..."],
    entities: Int64[np.ndarray, "..."],
) -> Int64[np.ndarray, "..."]:
    """What one hop makes of entities; -1 stays -1."""
    return np.where(entities == NOTHING, NOTHING, here.maps[hop, relation, entities])


def every(here: World, *, start: int = 0, hops: int | None = None) -> Questions:
    """Return all questions about the known entities of one level.

    Parameters
    ----------
    here : World
        Its known entities, with each sequence of relations.
    start : int
        The level of the subjects.
    hops : int, optional
        How many relations to follow; to the last level where not given.

    Returns
    -------
    Questions
        ``entities * relations**hops`` of them, those of one sequence of relations together.

    Raises
    ------
    ImpossibleError
        If the world has not so many hops.
    """
    within("the level that questions start from", start, 0, here.hops - 1)
    length = here.hops - start if hops is None else hops
    within(f"the hops from level {start} on", length, 1, here.hops - start)
    paths = np.indices((here.relations,) * length, dtype=np.int64).reshape(length, -1).T
    return asked_of(here.entities, start, paths)


def asked_of(entities: int, start: int, paths: Int64[np.ndarray, "p h"]) -> Questions:
    """The questions that follow each of these paths from each of the first entities."""
    subjects = np.tile(np.arange(entities, dtype=np.int64), len(paths))
    return Questions(start, subjects, np.repeat(paths, entities, axis=0))


def together(*parts: Questions) -> Questions:
    """Questions from one level and of one length, one after another."""
    starts, lengths = {part.start for part in parts}, {part.hops for part in parts}
    if len(starts) != 1 or len(lengths) != 1:
        fact = f"questions from levels {sorted(starts)} with {sorted(lengths)} hops do not mix"
        raise impossible(fact, "ask them apart and join the prompts")
    return Questions(
        starts.pop(),
        np.concatenate([part.subjects for part in parts]),
        np.concatenate([part.relations for part in parts]),
    )


def _fits(here: World, questions: Questions) -> None:
    if questions.start + questions.hops > here.hops:
        fact = f"{questions.hops} hops from level {questions.start} pass the last level"
        raise impossible(fact, f"this world has {here.hops} hops in all")
