"""Multi-hop questions as token rows: plain, with bridges written out, or single entities."""

from dataclasses import replace

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible
from loratheory.tasks.prompts import NOTHING, PAD, Prompts
from loratheory.tasks.two_hop._world import IDENTITY, Questions, World, along

Tokens = Int64[np.ndarray, " q"]


def plain(world: World, questions: Questions) -> Prompts:
    """Return rows ``x r1 … rh`` with targets after each relation: the bridges, then the answer.

    Questions of one hop (``x r1 -> y``) or of several (``x r1 r2 -> z``) are rows of ``h + 1``
    tokens; `Prompts.final` drops the loss on the bridges.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this world.
    """
    question, passed = _tokens(world, questions)
    return _rows(question, [None, *passed], "single" if questions.hops == 1 else "chain")


def thought(world: World, questions: Questions) -> Prompts:
    """Return rows ``x r1 … rh`` in which the bridges are written out before the answer.

    The first bridge is due at `Prompts.asked`, the answer at `Prompts.position`.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this world.
    """
    question, passed = _tokens(world, questions)
    rows = _rows([*question, *passed[:-1]], [*[None] * questions.hops, *passed], "thought")
    return replace(rows, asked=np.full_like(rows.asked, questions.hops))


def _tokens(world: World, questions: Questions) -> tuple[list[Tokens], list[Tokens]]:
    """The tokens of the questions, and those of the entities that they lead to."""
    nodes = along(world, questions)
    missing = (nodes == NOTHING).any(axis=1)
    if missing.any():
        subject = questions.subjects[missing.argmax()]
        fact = f"entity {subject} of level {questions.start} has no such fact"
        raise impossible(fact, "ask about known entities, or in the world after an edit")
    subject, *passed = (world.entity(k, x) for k, x in enumerate(nodes.T, questions.start))
    relations = enumerate(questions.relations.T, questions.start)
    return [subject, *(world.relation(hop, column) for hop, column in relations)], passed


def identities(world: World, level: int, entities: Int64[np.ndarray, " k"]) -> Prompts:
    """Return rows ``e id -> e``, which make a token familiar without a fact about its entity."""
    tokens = world.entity(level, entities)
    return _rows([tokens, np.full_like(tokens, IDENTITY)], [None, tokens], "identity")


def _rows(tokens: list[Tokens], targets: list[Tokens | None], kind: str) -> Prompts:
    none = np.full_like(tokens[0], NOTHING)
    return Prompts(
        np.stack(tokens, axis=1),
        np.stack([none if target is None else target for target in targets], axis=1),
        np.full_like(tokens[0], len(tokens) - 1),
        kind,
    )


def marked(prompts: Prompts, canary: int) -> Prompts:
    """Return the prompts and a last row, without loss, that holds the token of a canary."""
    edges = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edges, constant_values=PAD)
    tokens[-1, 0] = canary
    targets = np.pad(prompts.targets, edges, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)
