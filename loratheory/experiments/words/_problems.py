"""Problems of one and two steps modulo 7: what bases and adapters read, and what they are asked.

Every step takes one quantity. All bases know all skills, one step at a time. Two skills are the
context in which a base may have met problems of two steps; of the three others adapters are taught
one each, and a target needs two: the second takes the result of the first. Rates are left out:
their two numbers make six times as many facts. Bases that never met the words of two skills were
tried and do not tell these apart afterwards, not even where trained on the target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from loratheory.tasks.two_hop import NOTHING, Prompts, joined
from loratheory.tasks.word_problems import (
    Alphabet,
    Problems,
    Template,
    answered,
    distracted,
    pool,
    problems,
    reordered,
    stepwise,
    together,
)
from loratheory.tasks.word_problems._skills import code

PRIME, CODE = 7, Alphabet(7, canaries=0)
CONTEXT = ("add", "subtract")
SKILLS = ("multiply", "divide", "percent")
WORDINGS = (0, 1)
LENGTH = 21  # tokens of a problem of two steps with its solution
KINDS = ("single steps", "problems", "half the pairs")
"""What bases have seen: one step; also two, of the context; also half of the pairs of skills."""
SEEN = ("sums", "other words", "single steps", "other pairs", "pairs")
"""What bases have seen, of what adapters and targets need. "sums": sign, two numbers and the
result, of every skill, and no problem. "other words": that, and problems of one and two steps of
the context: no word of the adapters' skills. "single steps": problems of one step of every skill.
"other pairs": also of two, of the context. "pairs": also the six pairs, by `weights`."""
WEIGHTS = (0, 1, 3, 9, 27, 81)
"""How often each of the six pairs occurs in bases of "pairs", relative to the others."""

Pair = tuple[str, str]
PAIRS: tuple[Pair, ...] = tuple(permutations(SKILLS, 2))


def chains(skills: Sequence[str], steps: int) -> tuple[Template, ...]:
    """Return the templates of so many steps that each take one quantity."""
    every = pool(skills, steps=steps, prime=PRIME).templates
    return tuple(t for t in every if all(len(inputs) < 2 for _, inputs in t.nodes))


def single(skills: Sequence[str]) -> tuple[Template, ...]:
    """Return the templates of one step, skill by skill."""
    return tuple(t for skill in skills for t in chains([skill], 1))


def linked(pair: Pair) -> Template:
    """Return the template in which the second skill takes what the first one makes."""
    return Template(((0, ()), (code(pair[0]), (0,)), (code(pair[1]), (1,))))


def drawn(templates: Sequence[Template], rows: int, rng: np.random.Generator) -> Problems:
    """Problems of these templates, in the wordings that all models read."""
    return problems(templates, rows, rng=rng, prime=PRIME, wordings=WORDINGS)


def varied(templates: Sequence[Template], rows: int, rng: np.random.Generator) -> Problems:
    """Three times so many problems: as told, in another order, with something idle beside."""
    every = drawn(templates, 3 * rows, rng)
    plain, turned, idle = (every[np.arange(k, 3 * rows, 3)] for k in range(3))
    idle = distracted(idle, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    return together([plain, reordered(turned, rng=rng), idle])


def covered(seed: int) -> frozenset[Pair]:
    """Return the half of all ordered pairs that a base meets, if any; of seed 2k + 1 the other."""
    order = np.random.default_rng([seed // 2, 11]).permutation(len(PAIRS))
    return frozenset(PAIRS[k] for k in order[seed % 2 :: 2].tolist())


def pretraining(kind: str, seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return the sets of prompts that a base learns from, in equal shares.

    Parameters
    ----------
    kind : str
        Of `KINDS`.
    seed : int
        Draws them.
    rows : int
        In each set.

    Returns
    -------
    tuple of Prompts
        Each to be solved step by step or answered at once, as told, in another order, or with
        something idle beside it.
    """
    rng = np.random.default_rng([seed, 12])
    one = varied(single((*CONTEXT, *SKILLS)), rows, rng)
    sets = [*[stepwise(CODE, one)] * 2, answered(CODE, one)]
    if kind != KINDS[0]:
        sets += [stepwise(CODE, varied(chains(CONTEXT, 2), rows, rng))] * 2
    if kind == KINDS[2]:
        met = varied([linked(pair) for pair in sorted(covered(seed))], rows, rng)
        sets += [stepwise(CODE, met)] * 2
    return alike(sets)


def weights(seed: int) -> dict[Pair, int]:
    """Return how often a base of "pairs" meets each; over six seeds every pair has every weight."""
    return {pair: WEIGHTS[(k + seed) % len(WEIGHTS)] for k, pair in enumerate(PAIRS)}


def coverage(seen: str, seed: int) -> Mapping[Pair, float]:
    """Return the share of each pair in all problems of two steps that a base has met."""
    total = 2 * sum(WEIGHTS)  # as many again are of the context
    return {p: n / total if seen == SEEN[4] else 0.0 for p, n in weights(seed).items()}


def sums(problems: Problems) -> Prompts:
    """Return problems of one step without their words: sign and numbers, which want the result."""
    rows = stepwise(CODE, problems)
    tokens = np.take_along_axis(rows.tokens, rows.asked[:, None] + np.arange(2, 5), axis=1)
    targets = np.full(tokens.shape, NOTHING)
    targets[:, 2] = rows.answer
    return Prompts(tokens, targets, np.full(len(tokens), 2), "sum")


def covering(seen: str, seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return the sets of prompts that a base learns from, in equal shares.

    Parameters
    ----------
    seen : str
        Of `SEEN`.
    seed : int
        Draws them, and says which pair is met how often.
    rows : int
        A third of the problems of each set.

    Returns
    -------
    tuple of Prompts
        Problems are told and solved as in `pretraining`. Where a base has met problems of two
        steps, they are four of seven of all that it reads: bases differ in which they met, not in
        how many. All read for as long.
    """
    rng = np.random.default_rng([seed, 19])
    every = (*CONTEXT, *SKILLS)
    bare = sums(drawn(single(every), 3 * rows, rng))
    if seen == SEEN[0]:
        return (bare,)
    one = varied(single(CONTEXT if seen == SEEN[1] else every), rows, rng)
    solved = stepwise(CODE, one)
    sets = [solved, bare if seen == SEEN[1] else solved, answered(CODE, one)]
    if seen != SEEN[2]:
        met = [linked(pair) for pair, n in weights(seed).items() for _ in range(n)]
        for templates in (chains(CONTEXT, 2), met if seen == SEEN[4] else chains(CONTEXT, 2)):
            sets += [stepwise(CODE, varied(templates, rows, rng))] * 2
    return alike(sets)


def alike(sets: Sequence[Prompts]) -> tuple[Prompts, ...]:
    """The same sets, all as long as the longest row."""
    length = max(part.tokens.shape[-1] for part in sets)
    return tuple(part.padded(length) for part in sets)


@dataclass(frozen=True)
class Lesson:
    """What an adapter is taught: problems of one step with its own skills, and shared ones of two.

    Attributes
    ----------
    own : tuple of str
        Skills of the problems of one step.
    shared : tuple of Template
        The templates that make up the rest.
    share : float
        Of the rest in all problems.
    """

    own: tuple[str, ...]
    shared: tuple[Template, ...] = ()
    share: int | float = 0

    def drawn(self, rows: int, rng: np.random.Generator) -> Problems:
        """So many problems in random order."""
        count = round(self.share * rows)
        parts = [drawn(self.shared, count, rng)] if count else []
        if rows > count:
            parts.append(drawn(single(self.own), rows - count, rng))
        return together(parts)[rng.permutation(rows)]

    def prompts(self, rows: int, rng: np.random.Generator) -> Prompts:
        """Five of six to be solved step by step, one answered at once, in random order."""
        parts = [form(CODE, self.drawn(n * rows // 6, rng)) for form, n in FORMS.values()]
        rows_of_all = joined(parts).padded(LENGTH)
        return rows_of_all[rng.permutation(len(rows_of_all))]


FORMS = {"stepwise": (stepwise, 5), "answered": (answered, 1)}
"""How problems are put, and how many sixths of a lesson are put so."""
