"""Draw word problems modulo 7: pretraining sets, adapters' training sets, and targets.

There are five skills. Each adapter is trained on one of the three skills in `SKILLS`; a target
needs two skills, the second applied to the result of the first. Pretraining may have problems of
two steps of the skills in `CONTEXT`. This module does not need PyTorch; training is in `words`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np

from loratheory.tasks import word_problems as tasks
from loratheory.tasks.prompts import NOTHING, Prompts, joined
from loratheory.tasks.word_problems import problems

PRIME, CODE = 7, tasks.Alphabet(7)
CONTEXT = ("add", "subtract")
SKILLS = ("multiply", "divide", "percent")
WORDINGS = (0, 1)
LENGTH = 21  # tokens of a problem of two steps with its solution
FORMS = {"stepwise": (tasks.stepwise, 5), "answered": (tasks.answered, 1)}
"""The forms of a problem, and the sixths of a training set in each form."""
SEEN = ("sums", "other words", "single steps", "pairs")
"""The pretraining of bases. "sums": sign, two numbers and result, of every skill. "other words":
these sums, and problems of one and two steps of `CONTEXT`, without words of the adapters' skills.
"single steps": problems of one step of every skill. "pairs": also problems of two steps of
`CONTEXT`, and the six pairs with the frequencies of `weights`."""
WEIGHTS = (0, 1, 3, 9, 27, 81)
"""The relative frequencies of the six pairs in bases of "pairs"."""

Pair = tuple[str, str]
PAIRS: tuple[Pair, ...] = tuple(permutations(SKILLS, 2))
MEASURED: tuple[Pair, ...] = (("multiply", "percent"), ("percent", "divide"))
"""Pairs with varied training sets: the first with all bridges of `Case`, the second with "own"."""
SHARES = {"serial": (0.25, 0.5, 1.0), "own": (0.25, 0.5, 1.0), "neutral": (0.5,)}
"""Shares of two-step problems in a training set, by the `bridge` of `Case`."""


def chains(skills: Sequence[str], steps: int) -> tuple[tasks.Template, ...]:
    """Return the templates of `steps` steps by these skills."""
    return tasks.pool(skills, steps=steps, prime=PRIME)


def single(skills: Sequence[str]) -> tuple[tasks.Template, ...]:
    """Return the templates of one step, skill by skill."""
    return tuple((skill,) for skill in skills)


def drawn(
    templates: Sequence[tasks.Template], rows: int, rng: np.random.Generator
) -> tasks.Problems:
    """Draw problems of these templates in the trained wordings."""
    return problems(templates, rows, rng=rng, prime=PRIME, wordings=WORDINGS)


def reordered(problems: tasks.Problems, rng: np.random.Generator) -> tasks.Problems:
    """Reorder the sentences of problems; answers stay.

    Every order but the present order is equally likely, so steps may precede their inputs.
    """
    order, left = problems.order.copy(), np.arange(len(problems))
    while len(left):
        luck = np.where(problems.present[left], rng.random((len(left), order.shape[1])), 2.0)
        # Absent sentences stay last.
        order[left] = luck.argsort(axis=1, kind="stable")
        left = left[(order[left] == problems.order[left]).all(axis=1)]
    return replace(problems, order=order)


def varied(
    templates: Sequence[tasks.Template], rows: int, rng: np.random.Generator
) -> tasks.Problems:
    """Draw ``3 * rows`` problems: unchanged, reordered, and with a distractor."""
    every = drawn(templates, 3 * rows, rng)
    unchanged, turned, idle = (every[np.arange(k, 3 * rows, 3)] for k in range(3))
    idle = tasks.distract(idle, 1, rng=rng, skills=CONTEXT, wordings=WORDINGS)
    return tasks.together([unchanged, reordered(turned, rng), idle])


def pretraining(seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return prompts of one step of every skill and of two steps of `CONTEXT`, in equal shares.

    Each set has ``3 * rows`` problems of `varied`, all in stepwise form or all in answered form.
    """
    rng = np.random.default_rng([seed, 12])
    one = varied(single((*CONTEXT, *SKILLS)), rows, rng)
    two = varied(chains(CONTEXT, 2), rows, rng)
    solved = tasks.stepwise(CODE, one)
    return padded([solved, solved, tasks.answered(CODE, one), *[tasks.stepwise(CODE, two)] * 2])


def weights(seed: int) -> dict[Pair, int]:
    """Return each pair's frequency in a base of "pairs"; six seeds give a pair every weight."""
    return {pair: WEIGHTS[(k + seed) % len(WEIGHTS)] for k, pair in enumerate(PAIRS)}


def coverage(seen: str, seed: int) -> Mapping[Pair, float]:
    """Return each pair's share of all two-step problems in pretraining."""
    total = 2 * sum(WEIGHTS)  # half of the problems are of the context
    return {p: n / total if seen == SEEN[3] else 0.0 for p, n in weights(seed).items()}


def sums(problems: tasks.Problems) -> Prompts:
    """Encode problems of one step as sums: sign and numbers, with the result as the target."""
    rows = tasks.stepwise(CODE, problems)
    tokens = np.take_along_axis(rows.tokens, rows.asked[:, None] + np.arange(2, 5), axis=1)
    targets = np.full(tokens.shape, NOTHING)
    targets[:, 2] = rows.answer
    return Prompts(tokens, targets, np.full(len(tokens), 2), "sum")


def covering(seen: str, seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return the pretraining sets of a base of `SEEN`, in equal shares.

    The seed also decides the frequency of each pair. Problems of two steps, if any, are 4/7 of all
    prompts, so that bases differ in the problems and not in their number.
    """
    rng = np.random.default_rng([seed, 19])
    every = (*CONTEXT, *SKILLS)
    bare = sums(drawn(single(every), 3 * rows, rng))
    if seen == SEEN[0]:
        return (bare,)
    one = varied(single(CONTEXT if seen == SEEN[1] else every), rows, rng)
    solved = tasks.stepwise(CODE, one)
    # Three sets of one step, so that bases differ in the problems and not in their number.
    sets = [solved, bare if seen == SEEN[1] else solved, tasks.answered(CODE, one)]
    if seen != SEEN[2]:
        met = [chains(CONTEXT, 2)] * 2
        if seen == SEEN[3]:
            met[1] = sum(((pair,) * n for pair, n in weights(seed).items()), ())
        for templates in met:
            sets += [tasks.stepwise(CODE, varied(templates, rows, rng))] * 2
    return padded(sets)


def padded(sets: Sequence[Prompts]) -> tuple[Prompts, ...]:
    """Pad all sets to the length of the longest row."""
    length = max(part.tokens.shape[-1] for part in sets)
    return tuple(part.padded(length) for part in sets)


@dataclass(frozen=True)
class TrainingSet:
    """An adapter's training set: a `share` of `shared` templates, the rest `own` single steps."""

    own: tuple[str, ...]
    shared: tuple[tasks.Template, ...] = ()
    share: int | float = 0

    def drawn(self, rows: int, rng: np.random.Generator) -> tasks.Problems:
        """Draw `rows` problems in random order, a `share` of them from `shared` templates."""
        count = round(self.share * rows)
        parts = [drawn(self.shared, count, rng)] if count else []
        if rows > count:
            parts.append(drawn(single(self.own), rows - count, rng))
        return tasks.together(parts)[rng.permutation(rows)]

    def prompts(self, rows: int, rng: np.random.Generator) -> Prompts:
        """Draw `rows` prompts, 5/6 in stepwise form and 1/6 in answered form."""
        parts = [form(CODE, self.drawn(n * rows // 6, rng)) for form, n in FORMS.values()]
        rows_of_all = joined(parts).padded(LENGTH)
        return rows_of_all[rng.permutation(len(rows_of_all))]


@dataclass(frozen=True)
class Case:
    """A pair of skills, with the `share` of two-step problems in each adapter's training set.

    Adapter 1 is trained on the first skill, adapter 2 on the second skill; the target applies the
    second skill to the result of the first. `bridge` is the kind of two-step problems. "serial":
    the pair in the other order, for both adapters. "neutral": two steps of `CONTEXT`, for both.
    "own": the adapter's own skill, twice or with a skill of `CONTEXT`, so that only the template's
    length is shared. "none": no two-step problems.
    """

    pair: Pair
    bridge: str = "none"
    share: int | float = 0

    def bridges(self, skill: str) -> tuple[tasks.Template, ...]:
        """Return the two-step templates in the training set of a skill's adapter."""
        if self.bridge == "serial":
            return (self.pair[::-1],)
        if self.bridge == "own":
            return tuple(t for t in chains((skill, *CONTEXT), 2) if {*t} - {*CONTEXT})
        return chains(CONTEXT, 2) if self.bridge == "neutral" else ()

    @property
    def training_sets(self) -> tuple[TrainingSet, TrainingSet]:
        """The training sets of the first and of the second adapter."""
        one, two = (TrainingSet((s,), self.bridges(s), self.share) for s in self.pair)
        return one, two

    @property
    def joint(self) -> TrainingSet:
        """One training set with the content of both training sets."""
        one, two = sorted(self.pair)
        shared = dict.fromkeys(self.bridges(one) + self.bridges(two))
        return TrainingSet((one, two), tuple(shared), self.share)

    @property
    def composed(self) -> TrainingSet:
        """A training set of the target itself, in both orders of the skills."""
        one, two = sorted((self.pair, self.pair[::-1]))
        return TrainingSet((), (one, two), 1)


def overlapping(pairs: Sequence[Pair] = MEASURED) -> tuple[Case, ...]:
    """Return, for each pair, cases with different two-step problems and a case without them."""
    cases = []
    for pair in pairs:
        cases.append(Case(pair))
        for kind in SHARES if pair == MEASURED[0] else ("own",):
            cases += [Case(pair, kind, share) for share in SHARES[kind]]
    return tuple(cases)


@dataclass(frozen=True)
class Size:
    """The size of a base and its adapters, and the length of their training.

    Attributes
    ----------
    width, depth, heads : int
        The size of the transformer, which has full attention, rotary positions and no loop.
    steps, rows, problems, rate
        Pretraining steps, prompts per step, problems in each third of a set, learning rate.
    rank, trained, shown, lesson : int
        An adapter's rank, training steps, prompts per step, and prompts in its training set.
    asked : int
        The number of problems of each target.
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


QUICK = Size(steps=400, rows=48, trained=30)
"""The size of quick runs: the base has only begun to learn single steps."""


@dataclass(frozen=True, kw_only=True)
class Skilled:
    """The config part of a base, with its `seed` and `size`."""

    seed: int = 0
    size: Size = field(default_factory=Size)


@dataclass(frozen=True, kw_only=True)
class Overlapping(Skilled):
    """Adapters for `pairs` of skills with different shares of shared templates.

    The pretraining of the base has problems of one and of two steps.
    """

    pairs: tuple[Pair, ...] = MEASURED


@dataclass(frozen=True, kw_only=True)
class Covered(Skilled):
    """An adapter of each skill, on a base with the pretraining `seen`, one of `SEEN`."""

    seen: str = SEEN[-1]
