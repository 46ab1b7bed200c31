"""Which two adapters are to solve which problems, and what they have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.experiments.words._problems import CONTEXT, PAIRS, Lesson, Pair, chains, linked
from loratheory.tasks.word_problems import Template

LEVELS = (0.25, 0.5, 1.0)
BRIDGES = ("serial", "neutral")
MEASURED: tuple[Pair, ...] = (("multiply", "percent"), ("percent", "divide"))
"""Pairs whose adapters share templates; proxies were looked at on the first alone."""


@dataclass(frozen=True)
class Case:
    """A pair of skills, and what share of each adapter's problems both have.

    Attributes
    ----------
    pair : tuple of str
        The target's second skill takes what the first one makes; adapter 1 is taught the first.
    bridge : str
        The shared template of two steps. "serial": the pair in the other order. "neutral": two
        steps of the context. "none": nothing is shared.
    overlap : float
        The share.
    """

    pair: Pair
    bridge: str = "none"
    overlap: int | float = 0

    @property
    def shared(self) -> tuple[Template, ...]:
        """The templates that both adapters meet."""
        if self.bridge == "serial":
            return (linked(self.pair[::-1]),)
        return chains(CONTEXT, 2) if self.bridge == "neutral" else ()

    @property
    def lessons(self) -> tuple[Lesson, Lesson]:
        """Of the adapter of each skill."""
        one, two = (Lesson((skill,), self.shared, self.overlap) for skill in self.pair)
        return one, two

    @property
    def joint(self) -> Lesson:
        """Both lessons at once."""
        return Lesson(tuple(sorted(self.pair)), self.shared, self.overlap)

    @property
    def composed(self) -> Lesson:
        """The target itself, in both orders."""
        one, two = sorted((self.pair, self.pair[::-1]))
        return Lesson((), (linked(one), linked(two)), 1)


def overlapping(pairs: Sequence[Pair] = MEASURED) -> tuple[Case, ...]:
    """Return the cases that differ in what is shared."""
    return tuple(
        case
        for pair in pairs
        for case in (Case(pair), *(Case(pair, b, share) for b in BRIDGES for share in LEVELS))
    )


def apart() -> tuple[Case, ...]:
    """Return all ordered pairs of skills, with nothing shared."""
    return tuple(Case(pair) for pair in PAIRS)
