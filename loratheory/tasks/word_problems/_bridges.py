"""Two adapters with a skill each, a target that needs both, and templates that the two share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.tasks._error import impossible, one_of, within
from loratheory.tasks.word_problems._pools import Pool, pool
from loratheory.tasks.word_problems._template import Template

BRIDGES = ("serial", "parallel", "neutral")


@dataclass(frozen=True)
class Lessons:
    """What two adapters are trained on, and what their merge is asked.

    Attributes
    ----------
    first, second : Pool
        Of equally many templates: those of each adapter's own skill, and the shared ones.
    target : Pool
        Templates in which both skills meet; neither adapter has any of them.
    shared : tuple of Template
        What both adapters have.
    skills : tuple of two str
        Of the first and of the second adapter.
    """

    first: Pool
    second: Pool
    target: Pool
    shared: tuple[Template, ...]
    skills: tuple[str, str]

    @property
    def overlap(self) -> float:
        """The fraction of each adapter's templates that the other has too."""
        both = set(self.first.templates) & set(self.second.templates)
        return len(both) / len(self.first.templates)


def lessons(
    first: str,
    second: str,
    *,
    rng: np.random.Generator,
    overlap: int | float = 0,
    count: int = 8,
    bridge: str = "serial",
    context: Sequence[str] = ("add",),
    steps: Sequence[int] = (1, 2, 3),
    target: int = 2,
    prime: int = 0,
) -> Lessons:
    """Return templates for a pair of adapters, some of them in common.

    Parameters
    ----------
    first, second : str
        Two different skills.
    rng : Generator
        Chooses the templates. The target does not depend on it.
    overlap : float
        The fraction of shared templates, such as 0, 1/4, 1/2 or 1, of `count`.
    count : int
        Templates of each adapter.
    bridge : str
        What is shared. "serial": both skills, one of which takes a result of the other.
        "parallel": both, and neither takes a result of the other at once. "neutral": skills of
        the context alone; sharing is then no help with the pair itself.
    context : sequence of str
        Skills that any template may use beside its own; the target does not.
    steps : sequence of int
        How many steps the adapters' templates have.
    target : int
        How many steps the target has.
    prime : int
        What numbers are counted modulo; 0 for positive whole numbers.

    Returns
    -------
    Lessons
        Draw equally many problems of each pool for adapters of equal size.

    Raises
    ------
    ImpossibleError
        If too few templates exist, or the overlap of `count` is not a whole number.
    """
    one_of("bridge", bridge, BRIDGES)
    within("the templates of an adapter", count, 1)
    if first == second or {first, second} & {*context}:
        fact = f"the skills are {first} and {second}, beside {', '.join(context) or 'none'}"
        raise impossible(fact, "name two different skills, neither of which is in the context")
    common = round(overlap * count)
    if not 0 <= overlap <= 1 or abs(common - overlap * count) > 1e-9:
        fact = f"an overlap of {overlap:g} is not a number of {count} templates"
        raise impossible(fact, "ask for a fraction from 0 to 1 with that denominator")
    pair = (first, second)
    asked = pool(pair, steps=target, prime=prime, together=pair)
    barred = set(asked.templates)
    shared = _some(_bridges(pair, bridge, context, steps, prime), barred, common, rng, bridge)
    own = []
    for skill in pair:
        pure = pool((skill, *context), steps=steps, prime=prime, together=(skill,)).templates
        own.append(_some(pure, barred, count - common, rng, skill))
    one, two = (Pool(tuple(sorted({*part, *shared})), prime) for part in own)
    return Lessons(one, two, asked, shared, pair)


def _bridges(
    pair: tuple[str, str], bridge: str, context: Sequence[str], steps: Sequence[int], prime: int
) -> tuple[Template, ...]:
    if bridge == "neutral":
        return pool(context, steps=steps, prime=prime).templates
    both = [max(steps)] if max(steps) < 2 else [k for k in steps if k > 1]
    found = pool((*pair, *context), steps=both, prime=prime, together=pair).templates
    linked = {pair, pair[::-1]}
    return tuple(each for each in found if bool(each.links & linked) == (bridge == "serial"))


def _some(
    found: Sequence[Template],
    barred: set[Template],
    count: int,
    rng: np.random.Generator,
    what: str,
) -> tuple[Template, ...]:
    """So many of the templates, none of those barred."""
    free = [each for each in found if each not in barred]
    if len(free) < count:
        fact = f"{count} {what} templates are wanted of {len(free)}"
        raise impossible(
            fact, "take fewer for each adapter, allow more steps, or widen the context"
        )
    return tuple(free[k] for k in rng.permutation(len(free))[:count].tolist())
