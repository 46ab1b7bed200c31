"""The proof that an edit's sets are disjoint as claimed.

An adapter for A→B and one for B→C must meet in the entities of B, and the answer to the two-hop
question is an answer of the second one: what must not leak depends on the two sets.
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
    """Return what a set contains, read from its tokens alone, whatever made it.

    ``prompts``: questions without their answers. ``pairs``: two entities that stand in one row,
    as a token or a target. ``answers``: targets. ``entities``: wherever they stand. ``canaries``:
    tokens that should mark one set only.
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
    """Refuse a claim that two sets have nothing in common, or none of these keys of `contents`.

    Raises
    ------
    LeakError
        Naming what they share, and the sets by these names.
    """
    proved([Claim(names, contents(world, one), contents(world, other), tuple(of))])


def proved_disjoint(
    edit: Edit, lessons: Lessons, trials: Trials, base: Sequence[Prompts] = ()
) -> int:
    """Check all that is claimed of an edit's sets; return how many things were compared.

    What the adapter of one hop is taught shares no prompt, entity pair or answer with any data of
    another hop's. No adapter but A→C sees an edited question, or the pair that it asks for.
    Rehearsed facts and examples have no entity in common with the edited questions. No canary
    marks two sets. No pair that is taught or asked is in the base's data, if these are given.

    Raises
    ------
    LeakError
        Naming the first two sets that share something, and what.
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
