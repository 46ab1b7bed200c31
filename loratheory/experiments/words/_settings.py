"""Which two adapters are to solve which problems, on which base: settings of the studies of skills.

Nothing here needs PyTorch. A base has seen single steps or more; an adapter is taught one skill and
a share of problems in two steps; the target is a problem that needs both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loratheory.experiments.words._problems import (
    CONTEXT,
    KINDS,
    PAIRS,
    SEEN,
    Lesson,
    Pair,
    chains,
    linked,
)
from loratheory.tasks.word_problems import Template

if TYPE_CHECKING:
    from loratheory.experiments.words._models import Trained

SHARES = {"serial": (0.25, 0.5, 1.0), "own": (0.25, 0.5, 1.0), "neutral": (0.5,)}
"""Of the problems in two steps, by their kind, see `Case`."""
MEASURED: tuple[Pair, ...] = (("multiply", "percent"), ("percent", "divide"))
"""Pairs whose lessons are varied: the first in all ways, the second by its own two steps alone."""


@dataclass(frozen=True)
class Size:
    """How large a base and its adapters are, and how long they are trained.

    Attributes
    ----------
    width, depth, heads : int
        Of the transformer: full attention, rotary positions, no loop.
    steps, rows, problems : int
        Of its training: steps, prompts a step, problems in each third of a set.
    rate : float
        Of its training.
    rank : int
        Of an adapter.
    trained, shown, lesson : int
        Of an adapter's training: steps, prompts a step, prompts in all.
    asked : int
        Problems of each target.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    steps: int = 1000
    rows: int = 64
    problems: int = 1500
    rate: float = 2e-3
    rank: int = 8
    trained: int = 120
    shown: int = 24
    lesson: int = 1536
    asked: int = 64


SIZES = {KINDS[0]: Size(steps=700), KINDS[1]: Size(), KINDS[2]: Size()}
"""What the paper's tables are made with: single steps are learned sooner."""
QUICK = Size(steps=400, rows=48, trained=30)
"""A base that has begun to learn single steps, and as few steps for adapters."""
SMALL = range(1, 4)
"""Seeds of the bases on which the setting of quick profiles is measured too, to be compared."""


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
    cases = []
    for pair in pairs:
        kinds = SHARES if pair == MEASURED[0] else ("own",)
        cases += [
            Case(pair),
            *(Case(pair, kind, share) for kind in kinds for share in SHARES[kind]),
        ]
    return tuple(cases)


def apart() -> tuple[Case, ...]:
    """Return all ordered pairs of skills, half of the problems in two steps of the own skill."""
    return tuple(Case(pair, "own", 0.5) for pair in PAIRS)


@dataclass(frozen=True)
class Overlapping:
    """One base, and adapters of some pairs of skills with lessons that share more or less.

    Attributes
    ----------
    kind : str
        What the base has seen, of `KINDS`.
    seed : int
        Of the base.
    pairs : tuple of pair of str
        Skills of the adapters; the second takes what the first makes.
    size : Size
        Of all.
    """

    kind: str = "problems"
    seed: int = 0
    pairs: tuple[Pair, ...] = MEASURED
    size: Size = field(default_factory=Size)

    def trained(self) -> "Trained":
        """Return the adapters, from the cache or trained."""
        from loratheory.experiments.words._models import base, trained

        return trained(base(self.kind, self.seed, self.size), overlapping(self.pairs), self.size)


@dataclass(frozen=True)
class Apart:
    """One base, and an adapter of each skill on it.

    Attributes
    ----------
    kind : str
        What the base has seen, of `KINDS`.
    seed : int
        Of the base.
    size : Size
        Of all.
    """

    kind: str = "problems"
    seed: int = 0
    size: Size = field(default_factory=Size)

    def trained(self) -> "Trained":
        """Return the adapters of all pairs, from the cache or trained."""
        from loratheory.experiments.words._models import base, trained

        bases = base(self.kind, self.seed, self.size)
        return trained(bases, apart(), self.size, ("joint", "composed"))


@dataclass(frozen=True)
class Covered:
    """One base that has met each pair of skills more or less often, an adapter of each skill on it.

    Attributes
    ----------
    seen : str
        What the base has seen, of `SEEN`.
    seed : int
        Of the base; says how often it met each pair.
    size : Size
        Of all.
    """

    seen: str = SEEN[-1]
    seed: int = 0
    size: Size = field(default_factory=Size)

    def trained(self) -> "Trained":
        """Return the adapters of all pairs, from the cache or trained."""
        from loratheory.experiments.words._models import pretrained, trained
        from loratheory.experiments.words._problems import covering

        sets = covering(self.seen, self.seed, self.size.problems)
        bases = pretrained(sets, self.seed, self.size)
        return trained(bases, apart(), self.size, ("joint", "composed"))


def margin(
    share: int | float, coefficient: int | float, *, habit: bool, adapters: int = 2
) -> float:
    """Return by how much the shared first step is ahead of the other one, by ``thm:template-vote``.

    Where it is positive, that step is taken.

    Parameters
    ----------
    share : float
        Of each adapter's solutions take it; all others begin with what is asked for.
    coefficient : float
        Of each adapter.
    habit : bool
        Whether the base by itself takes it, or always begins with what is asked for.
    adapters : int
        How many.

    Returns
    -------
    float
        ``2 v - 1`` with the votes ``v = (1 - C) habit + C share`` and ``C`` the sum of the
        coefficients: all adapters and the base are asked by one and the same key.
    """
    total = adapters * coefficient
    return 2 * ((1 - total) * habit + total * share) - 1


def share_needed(coefficient: int | float, *, habit: bool, adapters: int = 2) -> float:
    """Return the share above which `margin` is positive: ``1/(2C)``; ``1 - 1/(2C)`` if habit."""
    half = 1 / (2 * adapters * coefficient)
    return 1 - half if habit else half
