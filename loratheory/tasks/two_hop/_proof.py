"""Checks that the data sets of an edit are disjoint as claimed.

Adapters for A→B and for B→C have the entities of B in common, and two-hop answers are answers of
the second adapter: what two sets must not share depends on the sets.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product

import numpy as np

from loratheory.tasks._proof import Claim, Contents, proved
from loratheory.tasks.prompts import NOTHING, Prompts
from loratheory.tasks.two_hop._data import Lessons, Trials
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._world import World

KINDS = ("prompts", "pairs", "answers", "entities", "canaries")


def contents(world: World, prompts: Prompts) -> Contents:
    """Return what a set contains, by kind, read from its tokens alone.

    ``prompts``: questions without their answers. ``pairs``: two entities in one row, as tokens or
    targets. ``answers``: targets. ``entities``: all, as tokens or targets. ``canaries``: tokens
    that should mark one set only.
    """
    entities = {*range(world.level(0).start, world.vocabulary)}
    canaries = {world.canary(number) for number in range(world.canaries)}
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
    """Check that two sets share nothing of these kinds, which are keys of `contents`.

    Raises
    ------
    LeakError
        If they do; the message has the `names` of the sets and what they share.
    """
    proved([Claim(names, contents(world, one), contents(world, other), tuple(of))])


def proved_disjoint(
    edit: Edit, lessons: Lessons, trials: Trials, base: Sequence[Prompts] = ()
) -> int:
    """Check all claims about the sets of an edit; return how many comparisons were made.

    What the adapter of one hop learns shares no prompt, entity pair or answer with the data of
    another hop. Only the direct adapter (A→C) sees an edited question, or its subject with its
    answer. Rehearsed facts and examples share no entity with the edited questions. No canary marks
    two sets. The data of the base, if given, contain no pair that is taught or asked.

    Raises
    ------
    LeakError
        If a claim fails; the message names the first two sets that share something, and what.
    """
    return proved(_claims(edit.before, lessons, trials, base))


def _claims(
    world: World, lessons: Lessons, trials: Trials, base: Sequence[Prompts]
) -> Iterator[Claim]:
    def _sets(parts: Mapping[str, Prompts]) -> dict[str, Contents]:
        return {name: contents(world, part) for name, part in parts.items()}

    hops = {f"hop {number + 1}": lesson for number, lesson in enumerate(lessons.hops)}
    every = {**hops, "joint": lessons.joint, "bridged": lessons.bridged, "direct": lessons.direct}
    taught = _sets({name: lesson.taught for name, lesson in hops.items()})
    read = _sets({name: lesson.prompts for name, lesson in every.items()})
    asked, questions = "the edited questions", contents(world, trials.questions)
    shown = np.arange(len(lessons.joint.taught), len(lessons.bridged.taught))
    examples, rehearsed = lessons.bridged.taught[shown], lessons.direct.rehearsed
    for one, other in permutations(hops, 2):
        kinds = ("prompts", "pairs", "answers", "canaries")
        yield Claim((one, other), taught[one], read[other], kinds)
    for name in [*hops, "joint", "bridged"]:
        yield Claim((name, asked), read[name], questions, ("prompts", "pairs"))
    for name, rows in _sets({"the examples": examples, "the rehearsed facts": rehearsed}).items():
        yield Claim((name, asked), rows, questions, KINDS)
    for one, other in combinations(every, 2):
        yield Claim((one, other), read[one], read[other], ("canaries",))
    for part, (name, rows) in product(base, {**taught, asked: questions}.items()):
        yield Claim(("pretraining", name), contents(world, part), rows, ("pairs", "canaries"))
