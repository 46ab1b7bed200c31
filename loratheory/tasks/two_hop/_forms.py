"""The forms in which a question can be put: plainly, step by step, relations first, backwards."""

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._questions import Questions, along
from loratheory.tasks.two_hop._world import NOTHING, THINK, World


def plain(here: World, questions: Questions) -> Prompts:
    """Return ``x r1 … rh``: every bridge is a target where its relation was read, then the answer.

    Parameters
    ----------
    here : World
        Whose facts are true.
    questions : Questions
        One hop (``x r1 -> y``, ``y r2 -> z``) or several (``x r1 r2 -> z``).

    Returns
    -------
    Prompts
        Rows of ``h + 1`` tokens; `Prompts.final` drops the loss on the bridges.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this world.
    """
    subject, *passed = _tokens(here, questions)
    relations = _relations(here, questions)
    kind = "single" if questions.hops == 1 else "chain"
    return _rows([subject, *relations], [None, *passed], kind)


def thought(here: World, questions: Questions, *, marked: bool = False) -> Prompts:
    """Return ``x r1 … rh``, then the bridges spelt out one by one, then the answer.

    Parameters
    ----------
    here : World
        Whose facts are true.
    questions : Questions
        Several hops.
    marked : bool
        Put the token "think" before the first bridge: needed where a model is also trained on
        `plain` chains, which want the answer at the same place.

    Returns
    -------
    Prompts
        The first bridge is wanted at `asked`, the answer at `position`.
    """
    subject, *passed = _tokens(here, questions)
    question = [subject, *_relations(here, questions)]
    question += [np.full_like(subject, THINK)] * marked
    silent = [None] * (len(question) - 1)
    tokens = [*question, *passed[:-1]]
    return _rows(tokens, [*silent, *passed], "thought", asked=len(question) - 1)


def relations_first(here: World, questions: Questions) -> Prompts:
    """Return ``rh … r1 x``, as in "the r2 of the r1 of x"; the answer is the only target."""
    subject, *passed = _tokens(here, questions)
    tokens = [*_relations(here, questions)[::-1], subject]
    return _rows(tokens, [*[None] * questions.hops, passed[-1]], "relations first")


def inverted(here: World, questions: Questions) -> Prompts:
    """Return the reversed questions: from the answer back to the subject by inverse relations.

    Parameters
    ----------
    here : World
        Whose facts are true; each must have one subject only.
    questions : Questions
        The forward questions.

    Returns
    -------
    Prompts
        ``z r2^-1 r1^-1 -> x`` with the bridge as a target on the way.

    Raises
    ------
    ImpossibleError
        If two entities have the same value, so that a reversed question has two answers.
    """
    for hop, relations in enumerate(questions.relations.T, start=questions.start):
        for relation in np.unique(relations).tolist():
            held = here.maps[hop, relation][here.maps[hop, relation] != NOTHING]
            if len(np.unique(held)) < len(held):
                fact = f"relation {relation} of hop {hop} sends two entities to one"
                raise impossible(fact, "reverse questions in a world of permutations")
    *passed, answer = _tokens(here, questions)
    relations = _relations(here, questions, inverse=True)[::-1]
    return _rows([answer, *relations], [None, *passed[::-1]], "inverted")


def _tokens(here: World, questions: Questions) -> list[Int64[np.ndarray, " q"]]:
    passed = along(here, questions)
    if (passed == NOTHING).any():
        row = int((passed == NOTHING).any(axis=1).argmax())
        fact = f"entity {questions.subjects[row]} of level {questions.start} has no such fact"
        raise impossible(fact, "ask about known entities, or in the world after an edit")
    return [here.entity(questions.start + k, column) for k, column in enumerate(passed.T)]


def _relations(
    here: World, questions: Questions, *, inverse: bool = False
) -> list[Int64[np.ndarray, " q"]]:
    token = here.inverse if inverse else here.relation
    return [token(questions.start + k, column) for k, column in enumerate(questions.relations.T)]


def _rows(
    tokens: list[Int64[np.ndarray, " q"]],
    targets: list[Int64[np.ndarray, " q"] | None],
    kind: str,
    asked: int | None = None,
) -> Prompts:
    none = np.full_like(tokens[0], NOTHING)
    last = len(tokens) - 1 if asked is None else asked
    return Prompts(
        np.stack(tokens, axis=1),
        np.stack([none if target is None else target for target in targets], axis=1),
        np.full_like(tokens[0], last),
        kind,
    )
