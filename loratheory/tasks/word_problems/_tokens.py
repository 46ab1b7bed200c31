"""Problems modulo a prime as rows of tokens, to be answered at once or step by step.

Token layout, the same for all problems modulo one prime::

    0 padding   1 "what is"   2 "step by step, what is"
    3 …         canaries
    then        words: for each skill one per wording
    then        signs: for each skill the one that solutions use
    then        numbers 0 … prime - 1
    then        names

A given quantity is told by its name and number; a step by its name, the word of its skill and its
operands, names or numbers; in the last two wordings the name comes last. Then comes the question.
A line of the solution has the name, the sign of the skill, the operands as numbers, the result::

    A 3   B rate/0 A 2 5   C add/1 A B   ?: C   B rate 3 2 5 4   C add 3 4 0

Three steps take at most 40 tokens if nothing distracts.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible, within
from loratheory.tasks.prompts import PAD, Prompts
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sampling import ENTITIES, WORDINGS
from loratheory.tasks.word_problems._skills import GIVEN, PRIMES, SKILLS, known_skills

ASK, SOLVE = 1, 2
NAMES = tuple("ABCDEFGHIJKL")
_SPECIAL = 3
Number = TypeVar("Number", int, Int64[np.ndarray, "..."])


@dataclass(frozen=True)
class Alphabet:
    """The meaning of tokens, for numbers modulo `prime` and `canaries` that are in no problem."""

    prime: int
    canaries: int = 16

    def __post_init__(self) -> None:
        known_skills(("add",), self.prime)
        if not self.prime:
            fact = "whole numbers have no tokens of their own"
            raise impossible(fact, f"draw problems modulo a prime of {PRIMES[1:]}")
        within("canaries", self.canaries, 0)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.numbers.stop + ENTITIES

    @property
    def numbers(self) -> range:
        """The tokens of all numbers: the candidates for answers."""
        start = self.sign(len(SKILLS) + 1)
        return range(start, start + self.prime)

    def word(self, skill: Number, wording: Number) -> Number:
        """The token, or tokens, of a skill (by its code) in problems of this wording."""
        return _SPECIAL + self.canaries + (skill - 1) * WORDINGS + wording

    def sign(self, skill: Number) -> Number:
        """The token, or tokens, of a skill in solutions, whatever the wording of the problem."""
        return _SPECIAL + self.canaries + len(SKILLS) * WORDINGS + skill - 1

    def number(self, value: Number) -> Number:
        """The token of a number, or the tokens of many."""
        return self.numbers.start + value

    def name(self, entity: Number) -> Number:
        """The token of a name, or the tokens of many."""
        return self.numbers.stop + entity

    def written(self, tokens: Int64[np.ndarray, " t"]) -> str:
        """Return one row as readable signs with spaces between: ``A is``, ``rate/2``, ``5``.

        Padding and -1 are left out.
        """
        words = [f"{skill}/{k}" for skill in SKILLS for k in range(WORDINGS)]
        canaries = [f"canary-{k}" for k in range(self.canaries)]
        numbers = [str(value) for value in range(self.prime)]
        every = ["", "?", "?:", *canaries, *words, *SKILLS, *numbers, *NAMES]
        return " ".join(every[token] for token in tokens.tolist() if token > PAD)


def answered(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems, modulo the alphabet's prime, as prompts with the answer as only target.

    The answer is due where the question ends.
    """
    question, asked = _question(code, problems, ASK)
    answers = code.number(problems.answers)[:, None]
    targets = np.where(np.arange(question.shape[1]) == asked[:, None], answers, -1)
    return Prompts(question, targets, asked, "answer")


def stepwise(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems, modulo the alphabet's prime, as prompts with a line to write for each step.

    From the end of the question on each next token is a target; the last is the answer. Lines come
    in the order of `Problems.solution`, which the question determines.
    """
    question, asked = _question(code, problems, SOLVE)
    rows = _compact(np.concatenate([question, _lines(code, problems)], axis=1))
    places = np.arange(rows.shape[1])
    length = (rows != PAD).sum(axis=1)[:, None]
    after = np.roll(rows, -1, axis=1)
    targets = np.where((places >= asked[:, None]) & (places < length - 1), after, -1)
    tokens = _where(places < length - 1, rows)
    return Prompts(tokens[:, :-1], targets[:, :-1], asked, "stepwise")


def _question(
    code: Alphabet, problems: Problems, ask: int
) -> tuple[Int64[np.ndarray, "n t"], Int64[np.ndarray, " n"]]:
    """All that is told and what is asked, and where that ends."""
    if code.prime != problems.prime:
        kind = f"modulo {problems.prime}" if problems.prime else "in whole numbers"
        fact = f"problems {kind} have no tokens among those modulo {code.prime}"
        raise impossible(fact, "take the alphabet of their prime")
    rows = np.arange(len(problems))
    name, given = code.name(problems.names), problems.skills == GIVEN
    word = np.where(given, PAD, code.word(problems.skills, problems.wordings))
    inputs = code.name(problems.names[rows[:, None, None], problems.inputs])
    takes = _takes(problems.inputs, inputs, code, problems.numbers)
    first = given | (problems.wordings < WORDINGS // 2)
    block = np.stack([_where(first, name), word, *takes, _where(~first, name)], axis=2)
    block = _where(problems.present[:, :, None], block)
    sentences = np.take_along_axis(block, problems.order[:, :, None], axis=1)
    asked = code.name(problems.names[rows, problems.asked])
    asking = np.stack([np.full_like(asked, ask), asked], axis=1)
    row = _compact(np.concatenate([sentences.reshape(len(problems), -1), asking], axis=1))
    return row, (row != PAD).sum(axis=1) - 1


def _lines(code: Alphabet, problems: Problems) -> Int64[np.ndarray, "n t"]:
    """A line for each step of the solution."""
    step, rows = problems.solution, np.arange(len(problems))[:, None]
    value = code.number(problems.values)
    inputs = problems.inputs[rows, step]
    takes = _takes(inputs, value[rows[..., None], inputs], code, problems.numbers[rows, step])
    head = [code.name(problems.names[rows, step]), code.sign(problems.skills[rows, step])]
    block = np.stack([*head, *takes, value[rows, step]], axis=2)
    return _where((step >= 0)[:, :, None], block).reshape(len(problems), -1)


def _takes(
    inputs: Int64[np.ndarray, "n q 2"],
    tokens: Int64[np.ndarray, "n q 2"],
    code: Alphabet,
    numbers: Int64[np.ndarray, "n q 2"],
) -> list[Int64[np.ndarray, "n q"]]:
    """The tokens of the inputs that there are, then of the numbers that there are."""
    shown = (_where(inputs >= 0, tokens), _where(numbers >= 0, code.number(numbers)))
    return [column for pair in shown for column in np.moveaxis(pair, 2, 0)]


def _where(
    shown: Bool[np.ndarray, "..."], tokens: Int64[np.ndarray, "..."]
) -> Int64[np.ndarray, "..."]:
    return np.where(shown, tokens, PAD)


def _compact(rows: Int64[np.ndarray, "n t"]) -> Int64[np.ndarray, "n u"]:
    """The rows without padding but at their ends, no longer than the longest needs."""
    moved = np.take_along_axis(rows, np.argsort(rows == PAD, axis=1, kind="stable"), axis=1)
    return moved[:, : int((moved != PAD).sum(axis=1).max(initial=1))]
