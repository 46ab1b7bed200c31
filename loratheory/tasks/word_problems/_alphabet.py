"""The tokens of problems modulo a prime.

Token layout, the same for all problems modulo one prime::

    0 padding   1 "what is"   2 "step by step, what is"
    3 …         canaries
    then        words: of each skill one per wording
    then        signs: of each skill the one that solutions write
    then        numbers 0 … prime - 1
    then        names
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible, within
from loratheory.tasks.two_hop import PAD as PAD
from loratheory.tasks.two_hop import Prompts
from loratheory.tasks.word_problems._sampling import ENTITIES, WORDINGS
from loratheory.tasks.word_problems._skills import PRIMES, SKILLS, known_skills

ASK, SOLVE = 1, 2
NAMES = tuple("ABCDEFGHIJKL")
_SPECIAL = 3
Number = TypeVar("Number", int, Int64[np.ndarray, "..."])


@dataclass(frozen=True)
class Alphabet:
    """What the tokens mean.

    Attributes
    ----------
    prime : int
        How many numbers there are.
    canaries : int
        Tokens that belong to no problem.
    """

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
        return self._names_from + ENTITIES

    @property
    def numbers(self) -> range:
        """The tokens of all numbers: what may answer a question."""
        return range(self._numbers_from, self._names_from)

    @property
    def _signs_from(self) -> int:
        return _SPECIAL + self.canaries + len(SKILLS) * WORDINGS

    @property
    def _numbers_from(self) -> int:
        return self._signs_from + len(SKILLS)

    @property
    def _names_from(self) -> int:
        return self._numbers_from + self.prime

    def canary(self, number: int) -> int:
        """The token of one canary."""
        within("the number of a canary", number, 0, self.canaries - 1)
        return _SPECIAL + number

    def word(self, skill: Number, wording: Number) -> Number:
        """The token, or tokens, by which a problem tells a step of the skill with this code."""
        return _SPECIAL + self.canaries + (skill - 1) * WORDINGS + wording

    def sign(self, skill: Number) -> Number:
        """The token, or tokens, of a skill in solutions, however it was told."""
        return self._signs_from + skill - 1

    def number(self, value: Number) -> Number:
        """The token of a number, or the tokens of many."""
        return self._numbers_from + value

    def name(self, entity: Number) -> Number:
        """The token of a name, or the tokens of many."""
        return self._names_from + entity

    def spelt(self, tokens: Int64[np.ndarray, " t"]) -> str:
        """Return a row in signs that can be read: ``A is``, ``rate/2``, ``rate``, ``5``.

        Parameters
        ----------
        tokens : (t,) array of int
            One row; padding is left out, as is -1.

        Returns
        -------
        str
            With spaces between.
        """
        words = [f"{skill}/{k}" for skill in SKILLS for k in range(WORDINGS)]
        marks = [f"canary-{k}" for k in range(self.canaries)]
        numbers = [str(value) for value in range(self.prime)]
        every = ["", "?", "?:", *marks, *words, *SKILLS, *numbers, *NAMES]
        return " ".join(every[token] for token in tokens.tolist() if token > PAD)

    def marked(self, prompts: Prompts, canary: int) -> Prompts:
        """Return the prompts and a last row of one canary, on which no loss is taken."""
        edge = [(0, 1), (0, 0)]
        tokens = np.pad(prompts.tokens, edge, constant_values=PAD)
        tokens[-1, 0] = self.canary(canary)
        targets = np.pad(prompts.targets, edge, constant_values=-1)
        return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)
