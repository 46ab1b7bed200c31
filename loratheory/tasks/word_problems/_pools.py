"""Pools: which solution templates a problem may have, and in which wordings it may be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from loratheory.tasks._error import impossible, within
from loratheory.tasks.word_problems._enumeration import MOST_STEPS, templates
from loratheory.tasks.word_problems._filling import sensible
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sampling import WORDINGS, blank, problems
from loratheory.tasks.word_problems._skills import known_skills
from loratheory.tasks.word_problems._template import Template


@dataclass(frozen=True)
class Pool:
    """What problems may be drawn from.

    Attributes
    ----------
    templates : tuple of Template
        All different.
    prime : int
        What numbers are counted modulo; 0 for positive whole numbers.
    wordings : tuple of int
        Below 4.
    """

    templates: tuple[Template, ...]
    prime: int = 0
    wordings: tuple[int, ...] = tuple(range(WORDINGS))

    def drawn(
        self,
        rows: int,
        *,
        rng: np.random.Generator,
        distinct: bool = False,
        avoid: Problems | None = None,
    ) -> Problems:
        """Return as many problems, as `problems` draws them."""
        return problems(
            self.templates,
            rows,
            rng=rng,
            prime=self.prime,
            wordings=self.wordings,
            distinct=distinct,
            avoid=avoid,
        )

    def sampled(self, count: int, *, rng: np.random.Generator) -> "Pool":
        """Return a pool of so many of the templates; refused if there are not so many."""
        if not 1 <= count <= len(self.templates):
            fact = f"{count} templates are wanted of {len(self.templates)}"
            raise impossible(fact, "ask for fewer, name more skills, or allow more steps")
        chosen = np.sort(rng.permutation(len(self.templates))[:count]).tolist()
        return Pool(tuple(self.templates[k] for k in chosen), self.prime, self.wordings)


def pool(
    skills: Sequence[str],
    *,
    steps: int | Sequence[int] = 2,
    prime: int = 0,
    together: Sequence[str] = (),
) -> Pool:
    """Return the pool of all templates of some skills that have problems.

    Parameters
    ----------
    skills : sequence of str
        Of `SKILLS`; no other skill occurs.
    steps : int or sequence of int
        How many, from 1 to 4.
    prime : int
        3, 5, 7, 11 or 13; 0 for positive whole numbers, where templates are left out whose
        problems two thousand draws do not find: "a third of a, less a" leaves nothing.
    together : sequence of str
        Skills that all must occur in each template.

    Returns
    -------
    Pool
        In all wordings.

    Raises
    ------
    ImpossibleError
        If a skill is unknown or no template is left.
    """
    known_skills((*skills, *together), prime)
    counts = [steps] if isinstance(steps, int) else [*steps]
    for count in counts:
        within("steps", count, 1, MOST_STEPS)
    found = [
        each
        for count in sorted(set(counts))
        for each in (templates if prime else _whole)(tuple(skills), count)
        if each.skills.issuperset(together)
    ]
    if not found:
        asked = f"{' and '.join(map(str, counts))} steps of {', '.join(skills)}"
        both = f" has {' and '.join(together)} together" if together else " has problems"
        fact = f"no template with {asked}{both}"
        raise impossible(fact, "allow more steps, or name fewer skills that must occur together")
    return Pool(tuple(found), prime)


@cache
def _whole(skills: tuple[str, ...], steps: int) -> tuple[Template, ...]:
    """The templates that have problems in whole numbers."""
    every = templates(skills, steps)
    rng = np.random.default_rng(0)
    made = blank(every, np.arange(len(every)), prime=0, wordings=[0], rng=rng)
    good = np.flatnonzero(sensible(made, rng=rng)).tolist()
    return tuple(every[k] for k in good)
