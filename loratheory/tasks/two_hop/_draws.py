"""Edits drawn at random: familiar entities or not, new facts permuted, fresh or kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loratheory.tasks._error import impossible, one_of, within
from loratheory.tasks.two_hop._draft import Draft
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._questions import Questions
from loratheory.tasks.two_hop._world import NOTHING, World

FAMILIARITY = ("fake", "half", "real")
CHANGES = ("fresh", "permuted", "kept")
ALSO = ("nothing", "old", "other")


def edit(
    here: World,
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
    """Return an edit of as many chains, every one with bridges and an answer of its own.

    Parameters
    ----------
    here : World
        What the base knows.
    facts : int
        How many chains.
    rng : Generator
        Chooses the entities. The chains do not depend on `also`.
    familiarity : str
        "real": all entities are known. "half": subjects are spare, bridges and answers known.
        "fake": all are spare; then bridges and answers are fresh.
    bridges, answers : str
        What the hops before the last, and the last, lead to. "fresh": known entities that no
        chain of the edit reaches otherwise. "permuted": the old values of the edited facts, each
        moved to another fact. "kept": the old values, taught again.
    also : str
        What the adapters after the first edit beside the chains: "nothing"; "old", the entities
        that a chain reaches by an old fact; "other", as many that it does not reach.
    path : sequence of int, optional
        The relation of each hop; the first ones where not given.
    among : Questions, optional
        Known subjects come from these chains alone, such as the held-out ones.
    avoid : sequence of Edit
        Whose entities are not to be used.

    Returns
    -------
    Edit
        No old fact leads to a chain's new answer.

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
    relations = [0] * here.hops if path is None else [*path]
    if len(relations) != here.hops or not set(relations) <= set(range(here.relations)):
        fact = f"path {tuple(relations)} is not a relation for each of {here.hops} hops"
        raise impossible(fact, f"give {here.hops} numbers below {here.relations}")
    if also != "nothing":
        within("the hops of a world in which more is edited beside the chains", here.hops, 2, 2)
    draft = Draft(here, relations, avoid)
    subjects = draft.subjects(facts, rng, known=familiarity == "real", among=among)
    ways = subjects[:, None]
    for hop in range(here.hops):
        change = answers if hop == here.hops - 1 else bridges
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
    here: World, facts: int, *, rng: np.random.Generator, **wanted: Any
) -> tuple[Edit, Edit]:
    """Return two edits that differ in one thing: whether the old bridges are edited too.

    Parameters
    ----------
    here : World
        What the base knows; two hops.
    facts : int
        How many chains.
    rng : Generator
        Chooses the entities.
    **wanted : object
        Further arguments of `edit`; for the cases named below real entities and fresh bridges.

    Returns
    -------
    two Edits
        The same chains and the same first adapter. The second adapter teaches twice as many
        facts: in the first edit also those of unrelated bridges (case A), in the second those of
        the chains' old bridges (case B).
    """
    seed = int(rng.integers(2**63))
    one, two = (
        edit(here, facts, rng=np.random.default_rng(seed), also=also, **wanted)
        for also in ("other", "old")
    )
    return one, two


def pairs(
    here: World, count: int, facts: int, *, rng: np.random.Generator, **wanted: Any
) -> tuple[Edit, ...]:
    """Return edits on entities of their own, to be reused beside each other.

    Parameters
    ----------
    here : World
        What the base knows.
    count : int
        How many edits: each gives a pair of adapters A→B, B→C.
    facts : int
        Chains of each.
    rng : Generator
        Chooses the entities.
    **wanted : object
        Further arguments of `edit`.

    Returns
    -------
    tuple of Edit
        Each from the facts of `here` alone. No two claim an entity: all subjects, bridges old or
        new and new answers differ; an old answer of one may be a new answer of another.

    Raises
    ------
    ImpossibleError
        If the entities do not suffice for all.
    """
    within("count", count, 1)
    drawn: list[Edit] = [*wanted.pop("avoid", ())]
    given = len(drawn)
    for _ in range(count):
        drawn.append(edit(here, facts, rng=rng, avoid=drawn, **wanted))
    return tuple(drawn[given:])
