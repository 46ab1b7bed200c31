"""What a row of tokens asks, read back from the tokens alone."""

from dataclasses import dataclass

from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._world import IDENTITY, NOTHING, PAD, THINK, World


@dataclass(frozen=True)
class Clause:
    """An entity and the relations that are followed from it.

    Attributes
    ----------
    subject : int
        A token.
    path : tuple of (hop, relation)
        In the order in which they are followed, each relation by its number.
    backwards : bool
        Whether they are followed from their values to their subjects.
    identity : bool
        Whether the entity itself is asked for.
    """

    subject: int
    path: tuple[tuple[int, int], ...]
    backwards: bool = False
    identity: bool = False


@dataclass(frozen=True)
class Reading:
    """A row.

    Attributes
    ----------
    question : Clause
        What is asked; a canary is a clause without relations.
    aside : tuple of Clause
        What stands before it without being asked.
    bridges : tuple of int
        Tokens of the entities to be named on the way to the answer, if they are to be named.
    answer : int
        A token, or -1.
    """

    question: Clause
    aside: tuple[Clause, ...]
    bridges: tuple[int, ...]
    answer: int


def readings(here: World, prompts: Prompts) -> list[Reading]:
    """Return what each row asks.

    Parameters
    ----------
    here : World
        Whose tokens they are.
    prompts : Prompts
        Not stacked.

    Returns
    -------
    list of Reading
        One per row.

    Raises
    ------
    ImpossibleError
        If a row is none that this package makes.
    """
    columns = (prompts.tokens, prompts.targets, prompts.asked, prompts.answer)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [_reading(here, *row) for row in rows]


def _reading(here: World, row: list[int], targets: list[int], asked: int, answer: int) -> Reading:
    asking = [token for token in row[: asked + 1] if token not in (PAD, THINK)]
    if asking and asking[0] in here.relation_tokens:
        asking.reverse()
    clauses: list[list[int]] = []
    for token in asking:
        if token == IDENTITY or token in here.relation_tokens:
            if not clauses:
                fact = f"the row {row} has no subject"
                raise impossible(fact, "give rows that this package made")
            clauses[-1].append(token)
        else:
            clauses.append([token])
    if not clauses:
        fact = f"the row {row} asks nothing"
        raise impossible(fact, "give rows that this package made")
    *aside, question = (_clause(here, tokens) for tokens in clauses)
    named = [token for token in targets[asked:] if token != NOTHING]
    return Reading(question, tuple(aside), tuple(named[:-1]), answer)


def _clause(here: World, tokens: list[int]) -> Clause:
    subject, *rest = tokens
    if IDENTITY in rest:
        return Clause(subject, (), identity=True)
    codes = [here.relation_tokens.index(token) for token in rest]
    size = here.hops * here.relations
    path = tuple(divmod(code % size, here.relations) for code in codes)
    return Clause(subject, path, backwards=any(code >= size for code in codes))
