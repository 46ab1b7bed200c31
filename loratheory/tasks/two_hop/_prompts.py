"""Prompts: rows of tokens with the token to predict at each position, in each form of a question.

A question can be put plainly, with its bridges written out, with its relations first, or backwards.
Beside the questions there are identity prompts, distractors before a row, and a canary after all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible
from loratheory.tasks.two_hop._world import (
    IDENTITY,
    NOTHING,
    PAD,
    THINK,
    Questions,
    World,
    along,
)

Tokens = Int64[np.ndarray, " q"]


@dataclass(frozen=True, eq=False)
class Prompts:
    """Rows to train on or to be asked, padded on the right; leading axes stack replicas.

    Attributes
    ----------
    tokens : (..., rows, length) array of int, read-only
        What the model reads.
    targets : (..., rows, length) array of int, read-only
        What it should say after reading up to each position; -1 where no loss is taken.
    asked : (..., rows) array of int, read-only
        The last position of the question proper. The answer is at `position`, which is the same
        except where bridges are written out.
    kind : str
        What they are, for tables and error messages.
    """

    tokens: Int64[np.ndarray, "*batch rows length"]
    targets: Int64[np.ndarray, "*batch rows length"]
    asked: Int64[np.ndarray, "*batch rows"]
    kind: str

    def __post_init__(self) -> None:
        for array in (self.tokens, self.targets, self.asked):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.tokens.shape[-2]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Prompts":
        """These rows of every replica."""
        tokens, targets = self.tokens[..., rows, :], self.targets[..., rows, :]
        return Prompts(tokens, targets, self.asked[..., rows], self.kind)

    @property
    def position(self) -> Int64[np.ndarray, "*batch rows"]:
        """The position of the answer: the last one with a target, -1 in a row without any."""
        places = np.arange(self.tokens.shape[-1])
        return np.where(self.targets != NOTHING, places, -1).max(axis=-1, initial=-1)

    @property
    def answer(self) -> Int64[np.ndarray, "*batch rows"]:
        """The token that answers the question, -1 in a row without targets."""
        last = np.maximum(self.position, 0)[..., None]
        return np.take_along_axis(self.targets, last, axis=-1)[..., 0]

    def final(self) -> "Prompts":
        """The same rows with a loss on the answer alone, none on the bridges."""
        keep = np.arange(self.tokens.shape[-1]) == self.position[..., None]
        targets = np.where(keep, self.targets, NOTHING)
        return Prompts(self.tokens, targets, self.asked, self.kind)

    def padded(self, length: int) -> "Prompts":
        """The same rows, `length` tokens long."""
        more = length - self.tokens.shape[-1]
        if more < 0:
            fact = f"rows of {self.tokens.shape[-1]} tokens cannot be padded to {length}"
            raise impossible(fact, "ask for a length that holds the longest row")
        edges = [(0, 0)] * (self.tokens.ndim - 1) + [(0, more)]
        tokens = np.pad(self.tokens, edges, constant_values=PAD)
        targets = np.pad(self.targets, edges, constant_values=NOTHING)
        return Prompts(tokens, targets, self.asked, self.kind)


def joined(parts: Sequence[Prompts], kind: str | None = None) -> Prompts:
    """Return the rows of all parts, one part after another, padded to the longest.

    Leading axes, if any, are the same in all; the kind is those of the parts with a plus between
    them where none is given.
    """
    _some(parts)
    length = max(part.tokens.shape[-1] for part in parts)
    wide = [part.padded(length) for part in parts]
    return Prompts(
        np.concatenate([part.tokens for part in wide], axis=-2),
        np.concatenate([part.targets for part in wide], axis=-2),
        np.concatenate([part.asked for part in wide], axis=-1),
        kind or "+".join(dict.fromkeys(part.kind for part in parts)),
    )


def stacked(parts: Sequence[Prompts]) -> Prompts:
    """Return one replica per part along a new first axis: one request from several seeds.

    Raises
    ------
    ImpossibleError
        If there are no parts, or their shapes differ.
    """
    _some(parts)
    shapes = sorted({part.tokens.shape for part in parts})
    if len(shapes) > 1:
        fact = f"prompts of shapes {', '.join(map(str, shapes))} do not stack"
        raise impossible(fact, "draw sets of one size and pad them to one length")
    return Prompts(
        np.stack([part.tokens for part in parts]),
        np.stack([part.targets for part in parts]),
        np.stack([part.asked for part in parts]),
        parts[0].kind,
    )


def _some(parts: Sequence[Prompts]) -> None:
    if not parts:
        fact = "there are no prompts to put together"
        raise impossible(fact, "give at least one set")


def plain(world: World, questions: Questions) -> Prompts:
    """Return ``x r1 … rh``: every bridge is a target where its relation was read, then the answer.

    Parameters
    ----------
    world : World
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
        If a question has no answer in this world; so do the other forms.
    """
    subject, *passed = _tokens(world, questions)
    relations = _relations(world, questions)
    kind = "single" if questions.hops == 1 else "chain"
    return _rows([subject, *relations], [None, *passed], kind)


def thought(world: World, questions: Questions, *, marked: bool = False) -> Prompts:
    """Return ``x r1 … rh``, then the bridges written out one by one, then the answer.

    Parameters
    ----------
    world : World
        Whose facts are true.
    questions : Questions
        Several hops.
    marked : bool
        Put the token "think" before the first bridge: needed where a model is also trained on
        `plain` questions of several hops, which want the answer at the same place.

    Returns
    -------
    Prompts
        The first bridge is wanted at `asked`, the answer at `position`.
    """
    subject, *passed = _tokens(world, questions)
    question = [subject, *_relations(world, questions)]
    question += [np.full_like(subject, THINK)] * marked
    silent = [None] * (len(question) - 1)
    tokens = [*question, *passed[:-1]]
    return _rows(tokens, [*silent, *passed], "thought", asked=len(question) - 1)


def relations_first(world: World, questions: Questions) -> Prompts:
    """Return ``rh … r1 x``, as in "the r2 of the r1 of x"; the answer is the only target."""
    subject, *passed = _tokens(world, questions)
    tokens = [*_relations(world, questions)[::-1], subject]
    return _rows(tokens, [*[None] * questions.hops, passed[-1]], "relations first")


def inverted(world: World, questions: Questions) -> Prompts:
    """Return the reversed questions: from the answer back to the subject by inverse relations.

    Parameters
    ----------
    world : World
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
            images = world.maps[hop, relation][world.maps[hop, relation] != NOTHING]
            if len(np.unique(images)) < len(images):
                fact = f"relation {relation} of hop {hop} sends two entities to one"
                raise impossible(fact, "reverse questions in a world of permutations")
    *passed, answer = _tokens(world, questions)
    relations = _relations(world, questions, inverse=True)[::-1]
    return _rows([answer, *relations], [None, *passed[::-1]], "inverted")


def _tokens(world: World, questions: Questions) -> list[Tokens]:
    """Of each level that the questions pass, the tokens of their entities."""
    passed = along(world, questions)
    if (passed == NOTHING).any():
        row = int((passed == NOTHING).any(axis=1).argmax())
        fact = f"entity {questions.subjects[row]} of level {questions.start} has no such fact"
        raise impossible(fact, "ask about known entities, or in the world after an edit")
    return [world.entity(questions.start + k, column) for k, column in enumerate(passed.T)]


def _relations(world: World, questions: Questions, *, inverse: bool = False) -> list[Tokens]:
    token = world.inverse if inverse else world.relation
    return [token(questions.start + k, column) for k, column in enumerate(questions.relations.T)]


def _rows(
    tokens: list[Tokens], targets: list[Tokens | None], kind: str, asked: int | None = None
) -> Prompts:
    none = np.full_like(tokens[0], NOTHING)
    last = len(tokens) - 1 if asked is None else asked
    return Prompts(
        np.stack(tokens, axis=1),
        np.stack([none if target is None else target for target in targets], axis=1),
        np.full_like(tokens[0], last),
        kind,
    )


def identities(world: World, level: int, entities: Int64[np.ndarray, " k"]) -> Prompts:
    """Return ``e id -> e``: what makes a token familiar without telling any fact about it."""
    tokens = world.entity(level, entities)
    rows = np.stack([tokens, np.full_like(tokens, IDENTITY)], axis=1)
    targets = np.stack([np.full_like(tokens, NOTHING), tokens], axis=1)
    return Prompts(rows, targets, np.ones_like(tokens), "identity")


def distracted(world: World, prompts: Prompts, *, rng: np.random.Generator) -> Prompts:
    """Return the prompts, two tokens longer: an entity and a relation of another stand before each.

    Parameters
    ----------
    world : World
        Its relations of the first hop are those that distract.
    prompts : Prompts
        Two rows or more, none stacked, that begin with their subjects.
    rng : Generator
        Chooses whose subject stands before whom: never a row's own.
    """
    rows = len(prompts)
    subjects = prompts.tokens[:, 0]
    if len(np.unique(subjects)) < 2:
        fact = f"{rows} prompts about one subject cannot distract each other"
        raise impossible(fact, "give prompts about at least two subjects")
    # Of a random order of all subjects, the first that is not the row's own.
    other = rng.permuted(np.tile(subjects, (rows, 1)), axis=1)
    other = other[np.arange(rows), (other != subjects[:, None]).argmax(axis=1)]
    relation = world.relation(0, rng.integers(world.relations, size=rows))
    before = np.stack([other, relation], axis=1)
    return Prompts(
        np.concatenate([before, prompts.tokens], axis=1),
        np.concatenate([np.full_like(before, NOTHING), prompts.targets], axis=1),
        prompts.asked + 2,
        f"distracted {prompts.kind}",
    )


def marked(world: World, prompts: Prompts, canary: int) -> Prompts:
    """Return the prompts and a last row of one canary, on which no loss is taken."""
    return with_last_row(prompts, world.canary(canary))


def with_last_row(prompts: Prompts, token: int) -> Prompts:
    """The prompts and a row that holds one token and has no target."""
    edge = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edge, constant_values=PAD)
    tokens[-1, 0] = token
    targets = np.pad(prompts.targets, edge, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)
