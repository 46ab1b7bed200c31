"""Which two adapters are to solve which problems, and what they were taught beside their skill."""

from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.experiments.words._problems import CONTEXT, PAIRS, Lesson, Pair, chains, linked
from loratheory.tasks.word_problems import Template

SHARES = {"serial": (0.25, 0.5, 1.0), "own": (0.25, 0.5, 1.0), "neutral": (0.5,)}
"""Of the problems in two steps, by their kind, see `Case`."""
MEASURED: tuple[Pair, ...] = (("multiply", "percent"), ("percent", "divide"))
"""Pairs whose lessons are varied: the first in all ways, the second by its own two steps alone."""


@dataclass(frozen=True)
class Case:
    """A pair of skills, and what share of each adapter's problems has two steps.

    Attributes
    ----------
    pair : tuple of str
        The target's second skill takes what the first one makes; adapter 1 is taught the first.
    bridge : str
        The problems of two steps. "serial": the pair in the other order, in both adapters.
        "neutral": two steps of the context, in both. "own": each adapter's own skill with one of
        the context, so that the shape alone is shared. "none": there are no such problems.
    share : float
        Of these problems.
    """

    pair: Pair
    bridge: str = "none"
    share: int | float = 0

    def bridges(self, skill: str) -> tuple[Template, ...]:
        """The templates of two steps that the adapter of a skill meets."""
        if self.bridge == "serial":
            return (linked(self.pair[::-1]),)
        if self.bridge == "own":
            return tuple(t for t in chains((skill, *CONTEXT), 2) if t.skills - {*CONTEXT})
        return chains(CONTEXT, 2) if self.bridge == "neutral" else ()

    @property
    def lessons(self) -> tuple[Lesson, Lesson]:
        """Of the adapter of each skill."""
        one, two = (Lesson((s,), self.bridges(s), self.share) for s in self.pair)
        return one, two

    @property
    def joint(self) -> Lesson:
        """Both lessons at once."""
        both = sorted(self.pair)
        shared = dict.fromkeys(t for skill in both for t in self.bridges(skill))
        return Lesson(tuple(both), tuple(shared), self.share)

    @property
    def composed(self) -> Lesson:
        """The target itself, in both orders."""
        one, two = sorted((self.pair, self.pair[::-1]))
        return Lesson((), (linked(one), linked(two)), 1)


def overlapping(pairs: Sequence[Pair] = MEASURED) -> tuple[Case, ...]:
    """Return the cases that differ in their problems of two steps, and one without any a pair."""
    found = []
    for pair in pairs:
        kinds = SHARES if pair == MEASURED[0] else ("own",)
        found += [
            Case(pair),
            *(Case(pair, kind, share) for kind in kinds for share in SHARES[kind]),
        ]
    return tuple(found)


def apart() -> tuple[Case, ...]:
    """Return all ordered pairs of skills, half of the problems in two steps of the own skill."""
    return tuple(Case(pair, "own", 0.5) for pair in PAIRS)
