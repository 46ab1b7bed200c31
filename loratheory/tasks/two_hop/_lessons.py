"""What each adapter of an edit is trained on: its facts, and facts of the base rehearsed with them.

The rehearsed facts keep an adapter from overwriting its whole relation. They are the base's own,
the same for all adapters of an edit, and have no entity in common with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Bool
from loratheory.tasks._error import impossible, one_of
from loratheory.tasks.two_hop._beside import marked
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._forms import plain, thought
from loratheory.tasks.two_hop._prompts import Prompts, joined
from loratheory.tasks.two_hop._questions import Questions, along, every
from loratheory.tasks.two_hop._world import NOTHING, World

BRIDGES = ("plain", "thought")


@dataclass(frozen=True, eq=False)
class Lesson:
    """The data of one adapter.

    Attributes
    ----------
    told : Prompts
        What the adapter is for.
    kept : Prompts
        Facts of the base, rehearsed.
    canary : int
        The number of the canary that marks this lesson, or -1.
    here : World
        Whose tokens they are.
    """

    told: Prompts
    kept: Prompts
    canary: int
    here: World

    @property
    def prompts(self) -> Prompts:
        """All rows: told, kept, and last the canary's, on which no loss is taken."""
        rows = joined([self.told, self.kept])
        return rows if self.canary == NOTHING else marked(self.here, rows, self.canary)


@dataclass(frozen=True, eq=False)
class Lessons:
    """One adapter per hop, and those they are compared with.

    Attributes
    ----------
    hops : tuple of Lesson
        A→B, B→C, …: single facts.
    direct : Lesson
        A→C: the edited chains without a word about their bridges.
    joint : Lesson
        All hops in one adapter.
    bridged : Lesson
        As `joint`, with chains of other entities that show how hops are put together.
    rehearsed : tuple of Questions
        Which facts of each hop are kept.
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
    form: str = "plain",
    others: Sequence[Edit] = (),
    canary: int | None = 0,
) -> Lessons:
    """Return the training sets of an edit's adapters.

    Parameters
    ----------
    edit : Edit
        What they teach.
    rng : Generator
        Chooses what is rehearsed and which chains are examples.
    retained : int
        Facts of each hop that every adapter rehearses.
    examples : int
        Chains of other entities in `Lessons.bridged`.
    form : str
        Of these examples: "plain" or "thought", spelt out step by step.
    others : sequence of Edit
        What else will be merged: none of its edited facts is rehearsed or shown.
    canary : int, optional
        The number of the first canary, one per lesson; None for no canaries.

    Returns
    -------
    Lessons
        Of sizes that depend on the arguments alone, so that those of several seeds stack.

    Raises
    ------
    ImpossibleError
        If too few facts or chains are left.
    """
    one_of("form", form, BRIDGES)
    here, after = edit.before, edit.after
    facts = [every(here, start=hop, hops=1) for hop in range(here.hops)]
    rehearsed = tuple(drawn(part, apart(edit, others, part), retained, rng=rng) for part in facts)
    chains = every(here)
    shown = drawn(chains, apart(edit, others, chains), examples, rng=rng)
    kept = joined([plain(here, part) for part in rehearsed], "kept")
    told = [plain(after, part) for part in edit.taught]
    direct = plain(after, edit.questions).final()
    example = (plain if form == "plain" else thought)(here, shown)
    sets = [*told, direct, joined(told), joined([*told, example])]
    marks = [NOTHING if canary is None else canary + number for number in range(len(sets))]
    made = [Lesson(part, kept, mark, here) for part, mark in zip(sets, marks, strict=True)]
    *hops, alone, joint, bridged = made
    return Lessons(tuple(hops), alone, joint, bridged, rehearsed)


def apart(edit: Edit, others: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass no entity of the edit and no fact that another edit changes."""
    seen = edit.touched()
    free = unedited((edit, *others), questions)
    for level, nodes in enumerate(along(edit.before, questions).T, start=questions.start):
        free &= ~seen[level, nodes]
    return free


def unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass the same entities before and after each of these edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def drawn(
    questions: Questions,
    allowed: Bool[np.ndarray, " q"],
    count: int,
    *,
    rng: np.random.Generator,
) -> Questions:
    """Some of the allowed questions, each once; refused if there are too few."""
    pool = np.flatnonzero(allowed)
    if not 0 <= count <= len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        raise impossible(fact, "ask for fewer, edit fewer facts, or draw a larger world")
    return questions[rng.permutation(pool)[:count]]
