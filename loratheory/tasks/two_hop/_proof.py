"""What leaks from one set to another, and the proof that an edit's sets are disjoint as claimed.

An adapter for A→B and one for B→C must meet in the entities of B, and the answer to the two-hop
question is an answer of the second one: what must not leak depends on the two sets.
"""

from collections.abc import Sequence
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np

from loratheory.tasks import nothing_shared, one_of
from loratheory.tasks.two_hop._data import Lessons, Trials
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._world import NOTHING, PAD, World

PARTS = ("prompts", "pairs", "answers", "entities", "canaries")
_Tokens = frozenset[tuple[int, ...]]


class Leaks(NamedTuple):
    """What two sets have in common, as tokens; all empty where they are disjoint.

    Attributes
    ----------
    prompts : frozenset
        Questions, without their answers.
    pairs : frozenset
        Two entities that stand in one row, as a token or a target, in either order.
    answers : frozenset
        Tokens that are targets.
    entities : frozenset
        Tokens of entities, wherever they stand.
    canaries : frozenset
        Tokens that should mark one set only.
    """

    prompts: _Tokens
    pairs: _Tokens
    answers: _Tokens
    entities: _Tokens
    canaries: _Tokens


def leaks(world: World, one: Prompts, other: Prompts) -> Leaks:
    """Return what two sets have in common, read from their tokens alone, whatever made them."""
    held = (_held(world, one), _held(world, other))
    return Leaks(*(a & b for a, b in zip(*held, strict=True)))


def claimed_disjoint(
    world: World,
    one: Prompts,
    other: Prompts,
    *,
    of: Sequence[str] = PARTS,
    names: tuple[str, str] = ("one set", "another"),
) -> None:
    """Refuse a claim that two sets have nothing in common.

    Parameters
    ----------
    world : World
        Whose tokens they are.
    one, other : Prompts
        Not stacked.
    of : sequence of str
        Which fields of `Leaks` must be empty.
    names : two str
        What the sets are called in the message.

    Raises
    ------
    LeakError
        Naming what they share.
    """
    shared = leaks(world, one, other)
    for part in of:
        one_of("a part of the claim", part, PARTS)
        tokens = [" ".join(map(str, row)) for row in sorted(getattr(shared, part))]
        nothing_shared(" and ".join(names), part, tokens, "tokens ")


def _held(world: World, prompts: Prompts) -> Leaks:
    """What one set has, in the fields of what it could share."""
    entities = range(world.level(0).start, world.level(world.hops).stop)
    canaries = {world.canary(number) for number in range(world.canaries)}
    questions, pairs, answers, seen = set(), set(), set(), set()
    columns = (prompts.tokens.tolist(), prompts.targets.tolist(), prompts.asked.tolist())
    for tokens, targets, asked in zip(*columns, strict=True):
        wanted = {token for token in targets if token != NOTHING}
        questions.add(tuple(token for token in tokens[: asked + 1] if token != PAD))
        answers |= {(token,) for token in wanted}
        seen |= {*tokens, *wanted}
        inside = sorted(token for token in {*tokens, *wanted} if token in entities)
        pairs |= {*combinations(inside, 2)}
    return Leaks(
        frozenset(questions),
        frozenset(pairs),
        frozenset(answers),
        frozenset((token,) for token in seen if token in entities),
        frozenset((token,) for token in seen & canaries),
    )


class Claim(NamedTuple):
    """Two sets, what they are called, and the fields of `Leaks` that must be empty."""

    names: tuple[str, str]
    one: Prompts
    other: Prompts
    of: tuple[str, ...]


def claims(
    edit: Edit, lessons: Lessons, trials: Trials, base: Sequence[Prompts] = ()
) -> tuple[Claim, ...]:
    """Return all that is claimed of an edit's sets.

    What the adapter of one hop is told shares no prompt, entity pair or answer with any data of
    another hop's. No adapter but A→C sees an edited question, or the pair that it asks for.
    Rehearsed facts and examples have no entity in common with the edited questions. No canary
    marks two sets. Unless old facts are kept, no pair that is told or asked is in the base's data.

    Parameters
    ----------
    edit : Edit
        What was drawn.
    lessons : Lessons
        Its training sets.
    trials : Trials
        Its tests.
    base : sequence of Prompts
        What the base was trained on, if that is to be compared.
    """
    hops = [(f"hop {number + 1}", lesson) for number, lesson in enumerate(lessons.hops)]
    indirect = [*hops, ("joint", lessons.joint), ("bridged", lessons.bridged)]
    asking, rehearsed = ("the edited chains", trials.chains), lessons.direct.kept
    examples = lessons.bridged.told[np.arange(len(lessons.joint.told), len(lessons.bridged.told))]
    of = ("prompts", "pairs", "answers", "canaries")
    made = [
        Claim((a, b), one.told, other.prompts, of) for (a, one), (b, other) in permutations(hops, 2)
    ]
    made += [
        Claim((name, asking[0]), lesson.prompts, asking[1], ("prompts", "pairs"))
        for name, lesson in indirect
    ]
    made += [
        Claim(("the examples", asking[0]), examples, asking[1], PARTS),
        Claim(("the rehearsed facts", asking[0]), rehearsed, asking[1], PARTS),
    ]
    made += [
        Claim((a, b), one.prompts, other.prompts, ("canaries",))
        for (a, one), (b, other) in combinations([*indirect, ("direct", lessons.direct)], 2)
    ]
    if (edit.edited().sum(axis=(1, 2)) > 0).all():
        told = [*((name, lesson.told) for name, lesson in hops), asking]
        made += [
            Claim(("pretraining", name), part, rows, ("pairs", "canaries"))
            for part, (name, rows) in product(base, told)
        ]
    return tuple(made)


def proved_disjoint(
    edit: Edit, lessons: Lessons, trials: Trials, base: Sequence[Prompts] = ()
) -> int:
    """Check every one of the claims about an edit's sets, and return how many hold: all.

    Parameters
    ----------
    edit : Edit
        What was drawn.
    lessons : Lessons
        Its training sets.
    trials : Trials
        Its tests.
    base : sequence of Prompts
        What the base was trained on, if that is to be compared.

    Raises
    ------
    LeakError
        Naming the first two sets that share something, and what.
    """
    made = claims(edit, lessons, trials, base)
    for claim in made:
        claimed_disjoint(edit.before, claim.one, claim.other, of=claim.of, names=claim.names)
    return len(made)
