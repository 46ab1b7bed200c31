"""Proof that an edit's sets are disjoint in all that they should be.

An adapter for A→B and one for B→C must meet in the entities of B, and the answer to the two-hop
question is an answer of the second one: what must not leak depends on the two sets.
"""

from collections.abc import Sequence
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np

from loratheory.tasks.two_hop._disjoint import PARTS, claimed_disjoint
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._lessons import Lessons
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._trials import Trials

_NEW = ("pairs", "canaries")


class Claim(NamedTuple):
    """Two sets have nothing of some kinds in common.

    Attributes
    ----------
    names : two str
        What the sets are called.
    one, other : Prompts
        The sets.
    of : tuple of str
        Fields of `Leaks`.
    """

    names: tuple[str, str]
    one: Prompts
    other: Prompts
    of: tuple[str, ...]


def claims(
    edit: Edit, studied: Lessons, asked: Trials, base: Sequence[Prompts] = ()
) -> tuple[Claim, ...]:
    """Return all that is claimed of an edit's sets.

    Parameters
    ----------
    edit : Edit
        What was drawn.
    studied : Lessons
        Its training sets.
    asked : Trials
        Its tests.
    base : sequence of Prompts
        What the base was trained on, if that is to be compared.

    Returns
    -------
    tuple of Claim
        What the adapter of one hop is told shares no prompt, entity pair or answer with any data
        of another hop's. No adapter but A→C sees an edited chain, or the pair that it asks for.
        Rehearsed facts and examples have no entity in common with the edited chains. No canary
        marks two sets. Unless old facts are kept, no pair that is told or asked is in the base's
        data.
    """
    hops = [(f"hop {number + 1}", lesson) for number, lesson in enumerate(studied.hops)]
    indirect = [*hops, ("joint", studied.joint), ("bridged", studied.bridged)]
    asking, rehearsed = ("the edited chains", asked.chains), studied.direct.kept
    examples = studied.bridged.told[np.arange(len(studied.joint.told), len(studied.bridged.told))]
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
        for (a, one), (b, other) in combinations([*indirect, ("direct", studied.direct)], 2)
    ]
    if (edit.edited().sum(axis=(1, 2)) > 0).all():
        told = [*((name, lesson.told) for name, lesson in hops), asking]
        made += [
            Claim(("pretraining", name), part, rows, _NEW)
            for part, (name, rows) in product(base, told)
        ]
    return tuple(made)


def proved_disjoint(
    edit: Edit, studied: Lessons, asked: Trials, base: Sequence[Prompts] = ()
) -> int:
    """Check every one of the `claims`.

    Parameters
    ----------
    edit : Edit
        What was drawn.
    studied : Lessons
        Its training sets.
    asked : Trials
        Its tests.
    base : sequence of Prompts
        What the base was trained on, if that is to be compared.

    Returns
    -------
    int
        How many claims hold: all.

    Raises
    ------
    LeakError
        Naming the first two sets that share something, and what.
    """
    made = claims(edit, studied, asked, base)
    for claim in made:
        claimed_disjoint(edit.before, claim.one, claim.other, of=claim.of, names=claim.names)
    return len(made)
