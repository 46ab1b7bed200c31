"""What leaks from one set to another, and a refusal where a claim says that nothing does."""

from collections.abc import Sequence
from typing import NamedTuple

from loratheory.tasks._error import LeakError, one_of
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


def leaks(here: World, one: Prompts, other: Prompts) -> Leaks:
    """Return what two sets have in common.

    Parameters
    ----------
    here : World
        Whose tokens they are.
    one, other : Prompts
        Not stacked.

    Returns
    -------
    Leaks
        Found in the tokens alone, whatever the sets were made from.
    """
    return Leaks(*(a & b for a, b in zip(_held(here, one), _held(here, other), strict=True)))


def claimed_disjoint(
    here: World,
    one: Prompts,
    other: Prompts,
    *,
    of: Sequence[str] = PARTS,
    names: tuple[str, str] = ("one set", "another"),
) -> None:
    """Refuse a claim that two sets have nothing in common.

    Parameters
    ----------
    here : World
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
    found = leaks(here, one, other)
    for part in of:
        one_of("a part of the claim", part, PARTS)
        shared = sorted(getattr(found, part))
        if shared:
            some = ", ".join(" ".join(map(str, tokens)) for tokens in shared[:3])
            message = (
                f"{names[0]} and {names[1]} share {len(shared)} {part} (tokens {some}"
                f"{' …' if len(shared) > 3 else ''}); leave them out of one, or claim less"
            )
            raise LeakError(message)


def _held(here: World, prompts: Prompts) -> Leaks:
    entities = range(here.level(0).start, here.level(here.hops).stop)
    canaries = {here.canary(number) for number in range(here.canaries)}
    questions, pairs, answers, seen = set(), set(), set(), set()
    rows = zip(
        prompts.tokens.tolist(), prompts.targets.tolist(), prompts.asked.tolist(), strict=True
    )
    for tokens, targets, asked in rows:
        question = tuple(token for token in tokens[: asked + 1] if token != PAD)
        wanted = {token for token in targets if token != NOTHING}
        questions.add(question)
        answers |= {(token,) for token in wanted}
        seen |= {*tokens, *wanted}
        inside = sorted({token for token in {*tokens, *wanted} if token in entities})
        pairs |= {(a, b) for number, a in enumerate(inside) for b in inside[number + 1 :]}
    return Leaks(
        frozenset(questions),
        frozenset(pairs),
        frozenset(answers),
        frozenset((token,) for token in seen if token in entities),
        frozenset((token,) for token in seen & canaries),
    )
