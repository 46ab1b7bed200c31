"""All adapters of some cases on one base, and the problems that they are to solve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.experiments.reuse._bases import Bases
from loratheory.experiments.words._bases import adapters
from loratheory.experiments.words._cases import Case
from loratheory.experiments.words._problems import Lesson, drawn, linked
from loratheory.experiments.words._reuse import acting, picked
from loratheory.experiments.words._size import Size
from loratheory.tasks.word_problems import Problems
from loratheory.toy.transformer import Adapt, Lora


@dataclass(frozen=True, eq=False)
class Taught:
    """Adapters of one base, a replica each case.

    Attributes
    ----------
    known : Bases
        One model.
    cases : tuple of Case
        ``E`` of them.
    first, second : Lora
        The adapter of each skill.
    ceilings : mapping of str to Lora
        `composed`, what learned the target, and, where wanted, `joint`, what learned both lessons;
        twice as wide.
    """

    known: Bases
    cases: tuple[Case, ...]
    first: Lora
    second: Lora
    ceilings: Mapping[str, Lora]

    @property
    def seed(self) -> int:
        """Of the base."""
        return self.known.seeds[0]

    def acting(self) -> dict[str, Adapt | None]:
        """What each rule adds to the base, then what the ceilings add."""
        return {**acting(self.known, self.first, self.second), **self.ceilings}

    def only(self, case: int) -> "Taught":
        """Return one case alone."""
        here = slice(case, case + 1)
        above = {name: adapter.of(here) for name, adapter in self.ceilings.items()}
        one, two = self.first.of(here), self.second.of(here)
        return Taught(self.known, self.cases[here], one, two, above)

    def asked(self, count: int, *, draw: int = 16) -> list[Problems]:
        """Return so many problems of each case's target; of another draw, others."""
        return [
            drawn([linked(case.pair)], count, np.random.default_rng([self.seed, draw, k]))
            for k, case in enumerate(self.cases)
        ]


def taught(
    known: Bases, cases: Sequence[Case], size: Size, ceilings: Sequence[str] = ("composed",)
) -> Taught:
    """Return the adapters of these cases; equal lessons are learned once.

    Parameters
    ----------
    known : Bases
        One model.
    cases : sequence of Case
        What is shared, and what is asked.
    size : Size
        Of the adapters.
    ceilings : sequence of str
        Of ``joint`` and ``composed``.

    Returns
    -------
    Taught
        From the cache or trained.
    """

    def _each(lessons: Sequence[Lesson], wider: int) -> Lora:
        different = list(dict.fromkeys(lessons))
        found = adapters(known, different, size, wider=wider)
        return picked(found, [different.index(lesson) for lesson in lessons])

    skills = _each([case.lessons[k] for k in (0, 1) for case in cases], 1)
    whole = _each([getattr(case, name) for name in ceilings for case in cases], 2)
    count = len(cases)

    def _part(adapter: Lora, place: int) -> Lora:
        return adapter.of(slice(place * count, (place + 1) * count))

    above = {name: _part(whole, place) for place, name in enumerate(ceilings)}
    return Taught(known, tuple(cases), _part(skills, 0), _part(skills, 1), above)
