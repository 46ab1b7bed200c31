"""Splits and lessons by structure, and proofs that what is kept apart shares nothing.

What is held out differs in kind from what is trained, not by chance. Lessons are pools for two
adapters with a skill each, a target that needs both, and templates that the two may share.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from loratheory.tasks import impossible, nothing_shared, one_of, within
from loratheory.tasks.word_problems._perturbed import distracted
from loratheory.tasks.word_problems._problems import Problems, keys
from loratheory.tasks.word_problems._sampling import Pool, pool
from loratheory.tasks.word_problems._skills import SKILLS, Template, known_skills

SPLITS = ("pair", "template", "depth", "wording")
BRIDGES = ("serial", "parallel", "neutral")
Pair = tuple[str, str]


@dataclass(frozen=True)
class Split:
    """A pool in two parts.

    Attributes
    ----------
    by : str
        Of `SPLITS`.
    trained, held_out : Pool
        The parts.
    apart : tuple of str
        What problems of one part never share with problems of the other: fields of `Leaks`, if the
        problems of both are drawn as distinct ones.
    pairs : frozenset of (str, str)
        The pairs of skills that are held out.
    """

    by: str
    trained: Pool
    held_out: Pool
    apart: tuple[str, ...]
    pairs: frozenset[Pair] = frozenset()


def split(pool: Pool, by: str, *, rng: np.random.Generator) -> Split:
    """Return the pool split in one way, with about a fifth held out.

    Parameters
    ----------
    pool : Pool
        What is split.
    by : str
        "pair": a fifth of the pairs of skills, at least one. "template": a fifth of the templates.
        "depth": the greatest depth. "wording": one of the wordings.
    rng : Generator
        Chooses what is held out.

    Returns
    -------
    Split
        As `by_pair`, `by_template`, `by_depth` or `by_wording` makes it.
    """
    one_of("split", by, SPLITS)
    if by == "template":
        return by_template(pool, rng=rng)
    if by == "depth":
        return by_depth(pool, max(each.depth for each in pool.templates) - 1)
    if by == "wording":
        return by_wording(pool, [int(rng.choice(pool.wordings))])
    pairs = sorted(set().union(*(each.pairs for each in pool.templates)))
    if not pairs:
        fact = "no two skills meet in any template, so this split leaves no problem for testing"
        raise impossible(fact, "name two skills or more, and allow two steps or more")
    chosen = rng.permutation(len(pairs))[: max(round(len(pairs) / 5), 1)].tolist()
    return by_pair(pool, [pairs[k] for k in chosen])


def by_pair(
    pool: Pool,
    pairs: Sequence[Sequence[str]],
    *,
    coverage: int | float = 0,
    rng: np.random.Generator | None = None,
) -> Split:
    """Return the pool with the templates in which certain two skills meet held out.

    Parameters
    ----------
    pool : Pool
        With such templates and others.
    pairs : sequence of (str, str)
        Two different skills each, in any order.
    coverage : float
        The fraction of these templates that are trained all the same.
    rng : Generator, optional
        Chooses them; needed if there are some.

    Returns
    -------
    Split
        At coverage 0 no two skills of a pair ever occur in one trained problem.

    Raises
    ------
    ImpossibleError
        If a part would be empty.
    """
    known_skills(tuple(skill for pair in pairs for skill in pair), pool.prime)
    wanted = frozenset(p for pair in pairs for p in combinations(sorted(pair, key=SKILLS.index), 2))
    if any(len(set(pair)) != 2 for pair in pairs):
        fact = f"the pairs are {', '.join(' and '.join(pair) for pair in pairs)}"
        raise impossible(fact, "name two different skills in each")
    if not 0 <= coverage < 1 or (coverage and rng is None):
        fact = f"coverage is {coverage:g} and rng is {'' if rng else 'not '}given"
        raise impossible(fact, "ask for a fraction from 0 to below 1, with a generator above 0")
    meeting = [each for each in pool.templates if each.pairs & wanted]
    covered = round(coverage * len(meeting))
    order = [] if rng is None else rng.permutation(len(meeting))[:covered].tolist()
    trained = {meeting[k] for k in order}
    out = [each for each in meeting if each not in trained]
    names = " or ".join("+".join(pair) for pair in sorted(wanted))
    apart = ("problems", "templates") if covered else ("problems", "templates", "pairs")
    return replace(_parted("pair", pool, out, f"pair {names}"), apart=apart, pairs=wanted)


def by_template(pool: Pool, share: int | float = 0.2, *, rng: np.random.Generator) -> Split:
    """Return the pool with a share of its templates held out, at least one."""
    if not 0 < share < 1:
        fact = f"a share of {share:g} is to be held out"
        raise impossible(fact, "ask for a fraction between 0 and 1")
    count = max(round(share * len(pool.templates)), 1)
    chosen = rng.permutation(len(pool.templates))[:count].tolist()
    return _parted("template", pool, [pool.templates[k] for k in chosen], f"{share:g} of templates")


def by_depth(pool: Pool, deepest: int) -> Split:
    """Return the pool with all templates held out that are deeper than the deepest trained one."""
    out = [each for each in pool.templates if each.depth > deepest]
    made = _parted("depth", pool, out, f"depth above {deepest}")
    return replace(made, apart=("problems", "templates", "depths"))


def by_wording(pool: Pool, wordings: Collection[int]) -> Split:
    """Return the pool in some of its wordings, all others trained; the templates stay the same."""
    out = tuple(k for k in pool.wordings if k in wordings)
    rest = tuple(k for k in pool.wordings if k not in wordings)
    _both("wording", rest, out, f"wordings {sorted(wordings)}")
    parts = replace(pool, wordings=rest), replace(pool, wordings=out)
    return Split("wording", *parts, ("problems", "wordings"))


def _parted(by: str, pool: Pool, out: Sequence[Template], what: str) -> Split:
    held = set(out)
    rest = tuple(each for each in pool.templates if each not in held)
    kept = tuple(each for each in pool.templates if each in held)
    _both(by, rest, kept, what)
    parts = replace(pool, templates=rest), replace(pool, templates=kept)
    return Split(by, *parts, ("problems", "templates"))


def _both(by: str, rest: Sequence[object], out: Sequence[object], what: str) -> None:
    if not rest or not out:
        fact = f"holding out {what}, this split leaves no problem for"
        fact = f"{fact} {'testing' if rest else 'training'}"
        raise impossible(fact, f"hold out another {by}, or draw on a larger pool")


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
    pair: Pair, bridge: str, context: Sequence[str], steps: Sequence[int], prime: int
) -> tuple[Template, ...]:
    if bridge == "neutral":
        return pool(context, steps=steps, prime=prime).templates
    both = [max(steps)] if max(steps) < 2 else [k for k in steps if k > 1]
    meeting = pool((*pair, *context), steps=both, prime=prime, together=pair).templates
    linked = {pair, pair[::-1]}
    return tuple(each for each in meeting if bool(each.links & linked) == (bridge == "serial"))


def _some(
    templates: Sequence[Template],
    barred: set[Template],
    count: int,
    rng: np.random.Generator,
    what: str,
) -> tuple[Template, ...]:
    """So many of the templates, none of those barred."""
    free = [each for each in templates if each not in barred]
    if len(free) < count:
        fact = f"{count} {what} templates are wanted of {len(free)}"
        raise impossible(
            fact, "take fewer for each adapter, allow more steps, or widen the context"
        )
    return tuple(free[k] for k in rng.permutation(len(free))[:count].tolist())


class Leaks(NamedTuple):
    """What two sets have in common; all empty where they are disjoint.

    Attributes
    ----------
    problems : frozenset
        The same problems, however they are told: `keys`.
    templates : frozenset
        Codes of solution templates.
    pairs : frozenset
        Two skills in one problem.
    depths : frozenset
        Longest chains of steps.
    wordings : frozenset
        Wordings of sentences, among them those that distract, and of questions.
    """

    problems: frozenset[object]
    templates: frozenset[object]
    pairs: frozenset[object]
    depths: frozenset[object]
    wordings: frozenset[object]


def leaks(one: Problems, other: Problems) -> Leaks:
    """Return what two sets have in common, found in their graphs alone, however they were drawn."""
    return Leaks(*(a & b for a, b in zip(_held(one), _held(other), strict=True)))


def _held(problems: Problems) -> Leaks:
    templates = {template for template, _ in problems.forms()[0]}
    return Leaks(
        frozenset(keys(problems)),
        frozenset(template.code for template in templates),
        frozenset(pair for template in templates for pair in template.pairs),
        frozenset(template.depth for template in templates),
        frozenset([*problems.wordings[problems.told].tolist(), *problems.asking.tolist()]),
    )


def proved_disjoint(parts: Split, trained: Problems, held_out: Problems) -> int:
    """Check all that a split claims of problems drawn from its parts, perturbed or not.

    Returns
    -------
    int
        How many claims hold: all of `Split.apart`.

    Raises
    ------
    LeakError
        Naming what the two share.
    """
    shared = leaks(trained, held_out)
    for part in parts.apart:
        of_part = getattr(shared, part)
        _nothing("trained", "held-out", part, of_part & parts.pairs if part == "pairs" else of_part)
    return len(parts.apart)


def proved_apart(lessons: Lessons, first: Problems, second: Problems, target: Problems) -> int:
    """Check all that is claimed of two adapters' data and their target.

    Parameters
    ----------
    lessons : Lessons
        Whose pools the problems were drawn from.
    first, second, target : Problems
        The adapters' training sets, and what the merge is asked.

    Returns
    -------
    int
        How many claims hold: all. Neither adapter has a problem or a template of the target; the
        adapters have no problem in common; the templates they have in common are shared ones;
        in no other template of theirs do both skills meet.

    Raises
    ------
    LeakError
        Naming the sets and what they share.
    """
    both = {each.code for each in lessons.shared}
    for name, mine in (("first", first), ("second", second)):
        shared = leaks(mine, target)
        _nothing(f"{name} adapter's", "target", "problems", shared.problems)
        _nothing(f"{name} adapter's", "target", "templates", shared.templates)
        own = {each for each, _ in mine.forms()[0] if each.code not in both}
        meet = frozenset(each.code for each in own if each.skills.issuperset(lessons.skills))
        _nothing(f"{name} adapter's", "other adapter's skill in", "templates", meet)
    shared = leaks(first, second)
    _nothing("first adapter's", "second adapter's", "problems", shared.problems)
    _nothing("first adapter's", "second adapter's", "templates", shared.templates - both)
    return 8


def _nothing(one: str, other: str, what: str, shared: frozenset[object]) -> None:
    nothing_shared(f"the {one} and the {other} problems", what, sorted(map(str, shared)))


def sets(
    parts: Split,
    rows: int,
    *,
    rng: np.random.Generator,
    distractors: int = 0,
    skills: Sequence[str] | None = None,
) -> dict[str, Problems]:
    """Return distinct problems of both parts of a split, proved apart.

    Parameters
    ----------
    parts : Split
        What is trained and what is held out.
    rows : int
        Problems in all, two at least; a fifth of them, one at least, are held out.
    rng : Generator
        Draws them.
    distractors : int
        Quantities to add to each problem.
    skills : sequence of str, optional
        Of the steps among these; any where not given.

    Returns
    -------
    dict of str to Problems
        "train" and "test".

    Raises
    ------
    ImpossibleError
        If too few distinct problems exist.
    """
    within("problems in all", rows, 2)
    held = max(rows // 5, 1)
    train = parts.trained.drawn(rows - held, rng=rng, distinct=True)
    test = parts.held_out.drawn(held, rng=rng, distinct=True, avoid=train)
    train, test = (
        distracted(part, distractors, rng=rng, skills=skills, wordings=source.wordings)
        for part, source in ((train, parts.trained), (test, parts.held_out))
    )
    proved_disjoint(parts, train, test)
    return {"train": train, "test": test}
