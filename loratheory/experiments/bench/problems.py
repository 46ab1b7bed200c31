"""Word problems modulo 7: what bases read, what adapters are taught, and what both are asked.

Every step takes one quantity. Of five skills two are the context in which a base may have met two
steps; adapters are taught one each of the three others, and a target needs two of these: the second
takes the result of the first. Rates are left out, whose two numbers make six times as many facts.
Nothing here needs PyTorch; `bench.words` trains.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from loratheory.tasks.prompts import NOTHING, Prompts, joined
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

if TYPE_CHECKING:
    from loratheory.experiments.bench.words import Trained

PRIME, CODE = 7, Alphabet(7, canaries=0)
CONTEXT = ("add", "subtract")
SKILLS = ("multiply", "divide", "percent")
WORDINGS = (0, 1)
LENGTH = 21  # tokens of a problem of two steps with its solution
FORMS = {"stepwise": (stepwise, 5), "answered": (answered, 1)}
"""How problems are put, and how many sixths of a lesson are put so."""
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
MEASURED: tuple[Pair, ...] = (("multiply", "percent"), ("percent", "divide"))
"""Pairs whose lessons are varied: the first in all ways, the second by its own two steps alone."""
SHARES = {"serial": (0.25, 0.5, 1.0), "own": (0.25, 0.5, 1.0), "neutral": (0.5,)}
"""Of the problems in two steps, by their kind, see `Case`."""


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
    """Return problems of these templates, in the wordings that all models read."""
    return problems(templates, rows, rng=rng, prime=PRIME, wordings=WORDINGS)


def varied(templates: Sequence[Template], rows: int, rng: np.random.Generator) -> Problems:
    """Return three times as many: as drawn, in another order, with an idle quantity beside."""
    every = drawn(templates, 3 * rows, rng)
    plain, turned, idle = (every[np.arange(k, 3 * rows, 3)] for k in range(3))
    idle = distracted(idle, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    return together([plain, reordered(turned, rng=rng), idle])


def covered(seed: int) -> frozenset[Pair]:
    """Return the half of all ordered pairs that a base meets, if any; of seed 2k + 1 the other."""
    order = np.random.default_rng([seed // 2, 11]).permutation(len(PAIRS))
    return frozenset(PAIRS[k] for k in order[seed % 2 :: 2].tolist())


def pretraining(kind: str, seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return the sets of prompts that a base of `KINDS` learns from, in equal shares.

    A set has three times so many rows, as `varied` puts them, solved step by step or at once.
    """
    rng = np.random.default_rng([seed, 12])
    one = varied(single((*CONTEXT, *SKILLS)), rows, rng)
    sets = [*[stepwise(CODE, one)] * 2, answered(CODE, one)]
    met = chains(CONTEXT, 2), [linked(pair) for pair in sorted(covered(seed))]
    for templates in met[: KINDS.index(kind)]:
        sets += [stepwise(CODE, varied(templates, rows, rng))] * 2
    return padded(sets)


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
    """Return the sets of prompts that a base of `SEEN` learns from, as `pretraining` does.

    The seed also says which pair is met how often. Where a base has met problems of two steps, they
    are four of seven of all that it reads: bases differ in which they met, not in how many.
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
    return padded(sets)


def padded(sets: Sequence[Prompts]) -> tuple[Prompts, ...]:
    """Return the same sets, all as long as the longest row."""
    length = max(part.tokens.shape[-1] for part in sets)
    return tuple(part.padded(length) for part in sets)


@dataclass(frozen=True)
class Lesson:
    """What an adapter is taught: its `own` skills in one step, a `share` of `shared` templates."""

    own: tuple[str, ...]
    shared: tuple[Template, ...] = ()
    share: int | float = 0

    def drawn(self, rows: int, rng: np.random.Generator) -> Problems:
        """Return so many problems in random order."""
        count = round(self.share * rows)
        parts = [drawn(self.shared, count, rng)] if count else []
        if rows > count:
            parts.append(drawn(single(self.own), rows - count, rng))
        return together(parts)[rng.permutation(rows)]

    def prompts(self, rows: int, rng: np.random.Generator) -> Prompts:
        """Return five of six to be solved step by step, one answered at once, in random order."""
        parts = [form(CODE, self.drawn(n * rows // 6, rng)) for form, n in FORMS.values()]
        rows_of_all = joined(parts).padded(LENGTH)
        return rows_of_all[rng.permutation(len(rows_of_all))]


@dataclass(frozen=True)
class Case:
    """A pair of skills, and what `share` of each adapter's problems has two steps.

    The target's second skill takes what the first one makes; adapter 1 is taught the first. The
    `bridge` are the problems of two steps. "serial": the pair in the other order, in both adapters.
    "neutral": two steps of the context, in both. "own": each adapter's own skill with one of the
    context, so that the shape alone is shared. "none": there are no such problems.
    """

    pair: Pair
    bridge: str = "none"
    share: int | float = 0

    def bridges(self, skill: str) -> tuple[Template, ...]:
        """Return the templates of two steps that the adapter of a skill meets."""
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
    kinds = {pair: SHARES if pair == MEASURED[0] else ("own",) for pair in pairs}
    return tuple(
        case
        for pair in pairs
        for case in (Case(pair), *(Case(pair, k, x) for k in kinds[pair] for x in SHARES[k]))
    )


def apart() -> tuple[Case, ...]:
    """Return all ordered pairs of skills, half of the problems in two steps of the own skill."""
    return tuple(Case(pair, "own", 0.5) for pair in PAIRS)


@dataclass(frozen=True)
class Size:
    """How large a base and its adapters are, and how long they are trained.

    Attributes
    ----------
    width, depth, heads : int
        Of the transformer: full attention, rotary positions, no loop.
    steps, rows, problems, rate
        Of its training: steps, prompts a step, problems in each third of a set, learning rate.
    rank, trained, shown, lesson : int
        Of an adapter; of its training: steps, prompts a step, prompts in all.
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


@dataclass(frozen=True, kw_only=True)
class Skilled(ABC):
    """One base of a `seed` and adapters on it, of a `size`: what configs of studies share."""

    seed: int = 0
    size: Size = field(default_factory=Size)
    ceilings: ClassVar[tuple[str, ...]] = ("joint", "composed")

    @abstractmethod
    def prompts(self) -> tuple[Prompts, ...]:
        """Return what the base learns from."""

    def cases(self) -> tuple[Case, ...]:
        """Return what adapters learn and are asked."""
        return apart()

    def trained(self) -> "Trained":
        """Return the adapters, from the cache or trained."""
        from loratheory.experiments.bench import words

        bases = words.pretrained(self.prompts(), self.seed, self.size)
        return words.trained(bases, self.cases(), self.size, self.ceilings)


@dataclass(frozen=True, kw_only=True)
class Apart(Skilled):
    """An adapter of each skill, on a base that has seen a `kind` of `KINDS`."""

    kind: str = "problems"

    def prompts(self) -> tuple[Prompts, ...]:
        """Return what the base learns from."""
        return pretraining(self.kind, self.seed, self.size.problems)


@dataclass(frozen=True, kw_only=True)
class Overlapping(Apart):
    """Adapters of some `pairs` of skills, with lessons that share more or less."""

    pairs: tuple[Pair, ...] = MEASURED
    ceilings = ("composed",)

    def cases(self) -> tuple[Case, ...]:
        """Return the cases of these pairs."""
        return overlapping(self.pairs)


@dataclass(frozen=True, kw_only=True)
class Covered(Skilled):
    """An adapter of each skill, on a base that has `seen` more or less of each pair, of `SEEN`."""

    seen: str = SEEN[-1]

    def prompts(self) -> tuple[Prompts, ...]:
        """Return what the base learns from."""
        return covering(self.seen, self.seed, self.size.problems)


def profiles(first: Any, paper: Sequence[Any], **quick: Any) -> dict[str, tuple[Any, ...]]:
    """Return the profiles of a study of skills.

    The quick one is `first` at `QUICK`, with fewer cases where `quick` says so; as the paper's have
    nothing of that size, ``small`` has it on three further bases, to be compared with.
    """
    small = replace(first, size=QUICK, **quick)
    more = tuple(replace(small, seed=seed) for seed in range(1, 4))
    return {"quick": (small,), "small": more, "paper": tuple(paper)}


def margin(share: float, coefficient: float, *, habit: bool, adapters: int = 2) -> float:
    """Return by how much the shared first step is ahead of the other one (``thm:template-vote``).

    It is taken where this is positive: ``2 v - 1`` with the votes ``v = (1 - C) habit + C share``,
    ``C`` the sum of the coefficients. `share` of each adapter's solutions take this step, all
    others begin with what is asked for; `habit` says whether the base by itself takes it.
    """
    total = adapters * coefficient
    return 2 * ((1 - total) * habit + total * share) - 1


def share_needed(coefficient: float, *, habit: bool, adapters: int = 2) -> float:
    """Return the share above which `margin` is positive: ``1/(2C)``; ``1 - 1/(2C)`` if habit."""
    half = 1 / (2 * adapters * coefficient)
    return 1 - half if habit else half
