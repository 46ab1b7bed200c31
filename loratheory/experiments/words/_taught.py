"""All adapters of some cases on one base, and the problems that they are to solve."""

from collections.abc import Sequence
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
    joint, composed : Lora
        What learned both lessons, and what learned the target; twice as wide.
    """

    known: Bases
    cases: tuple[Case, ...]
    first: Lora
    second: Lora
    joint: Lora
    composed: Lora

    @property
    def seed(self) -> int:
        """Of the base."""
        return self.known.seeds[0]

    def acting(self) -> dict[str, Adapt | None]:
        """What each rule adds to the base, then what the ceilings add."""
        rules = acting(self.known, self.first, self.second)
        return {**rules, "joint": self.joint, "composed": self.composed}

    def asked(self, count: int) -> list[Problems]:
        """Return so many problems of each case's target."""
        return [
            drawn([linked(case.pair)], count, np.random.default_rng([self.seed, 16, k]))
            for k, case in enumerate(self.cases)
        ]


def taught(known: Bases, cases: Sequence[Case], size: Size) -> Taught:
    """Return the adapters of these cases; equal lessons are learned once.

    Parameters
    ----------
    known : Bases
        One model.
    cases : sequence of Case
        What is shared, and what is asked.
    size : Size
        Of the adapters.

    Returns
    -------
    Taught
        From the cache or trained.
    """

    def _each(lessons: Sequence[Lesson], wider: int) -> Lora:
        different = list(dict.fromkeys(lessons))
        found = adapters(known, different, size, wider=wider)
        return picked(found, [different.index(lesson) for lesson in lessons])

    count = len(cases)
    skills = _each([case.lessons[k] for k in (0, 1) for case in cases], 1)
    whole = _each([*(case.joint for case in cases), *(case.composed for case in cases)], 2)
    return Taught(
        known,
        tuple(cases),
        *(x.of(slice(k * count, (k + 1) * count)) for x in (skills, whole) for k in (0, 1)),
    )
