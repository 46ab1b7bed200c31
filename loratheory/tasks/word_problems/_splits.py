"""Splits by structure, and checks that training and held-out problems share nothing of a kind.

The held-out problems differ in structure from the trained ones, not only by random choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.tasks import impossible, one_of, within
from loratheory.tasks._proof import Claim, proved
from loratheory.tasks.word_problems._perturbed import distracted
from loratheory.tasks.word_problems._problems import Problems, keys
from loratheory.tasks.word_problems._sampling import Pool
from loratheory.tasks.word_problems._skills import SKILLS, known_skills

SPLITS = {
    "pair": ("problems", "templates", "pairs"),
    "template": ("problems", "templates"),
    "depth": ("problems", "templates", "depths"),
    "wording": ("problems", "wordings"),
}
"""For each split the things, keys of `contents`, that problems of its two parts never share."""
Pair = tuple[str, str]


@dataclass(frozen=True)
class Split:
    """A pool in two parts.

    Attributes
    ----------
    by : str
        The name of the split, one of `SPLITS`.
    trained, held_out : Pool
        The parts.
    apart : tuple of str
        Keys of `contents` that problems of the two parts never share, if all are drawn as distinct.
    pairs : frozenset of (str, str)
        The pairs of skills that are held out.
    """

    by: str
    trained: Pool
    held_out: Pool
    apart: tuple[str, ...]
    pairs: frozenset[Pair] = frozenset()


def split(
    pool: Pool, by: str, *, rng: np.random.Generator, pairs: Sequence[Sequence[str]] = ()
) -> Split:
    """Split a pool in two; raises `ImpossibleError` if a part would be empty.

    Held out are, by "pair", all templates that contain both skills of one of `pairs`, by default of
    a fifth of all pairs; by "template", a fifth of the templates; by "depth", the deepest ones; by
    "wording", one of the wordings of all templates. A fifth is at least one.
    """
    one_of("split", by, tuple(SPLITS))
    templates, held = pool.templates, frozenset[Pair]()
    if by == "wording":
        out = rng.choice(pool.wordings)
        ways = [tuple(k for k in pool.wordings if (k == out) == test) for test in (False, True)]
        trained, tested = (replace(pool, wordings=way) for way in ways)
    else:
        if by == "pair":
            held = _pairs(pool, pairs, rng)
            chosen = {each for each in templates if each.pairs & held}
        elif by == "template":
            order = rng.permutation(len(templates)).tolist()
            chosen = {templates[k] for k in order[: max(round(0.2 * len(order)), 1)]}
        else:
            deepest = max(each.depth for each in templates)
            chosen = {each for each in templates if each.depth == deepest}
        trained = replace(pool, templates=tuple(t for t in templates if t not in chosen))
        tested = replace(pool, templates=tuple(t for t in templates if t in chosen))
    for part, what in ((trained, "training"), (tested, "testing")):
        if not part.templates or not part.wordings:
            fact = f"holding out a {by}, this split leaves no problem for {what}"
            raise impossible(fact, f"hold out another {by}, or draw on a larger pool")
    return Split(by, trained, tested, SPLITS[by], held)


def _pairs(pool: Pool, pairs: Sequence[Sequence[str]], rng: np.random.Generator) -> frozenset[Pair]:
    """The pairs of skills to hold out, each in the order of `SKILLS`."""
    known_skills(tuple(skill for pair in pairs for skill in pair) or SKILLS[:1], pool.prime)
    if any(len({*pair}) != 2 for pair in pairs):
        fact = f"the pairs are {', '.join(' and '.join(pair) for pair in pairs)}"
        raise impossible(fact, "name two different skills in each")
    if pairs:
        return frozenset((a, b) for a, b in (sorted(p, key=SKILLS.index) for p in pairs))
    every = sorted(set().union(*(each.pairs for each in pool.templates)))
    if not every:
        fact = "no two skills meet in any template, so this split leaves no problem for testing"
        raise impossible(fact, "name two skills or more, and allow two steps or more")
    chosen = rng.permutation(len(every))[: max(round(len(every) / 5), 1)].tolist()
    return frozenset(every[k] for k in chosen)


def contents(problems: Problems) -> dict[str, frozenset[object]]:
    """Return what a set contains, by kind, found from its columns however it was drawn.

    ``problems``: their `keys`, which ignore the wording. ``templates``: codes. ``pairs``: two
    skills in one problem. ``depths``: lengths of the longest chain of steps. ``wordings``: of
    questions and of all sentences, distracting ones included.
    """
    templates = {template for template, _ in problems.forms()[0]}
    wordings = (problems.wordings[problems.present], problems.asking)
    return {
        "problems": frozenset(keys(problems)),
        "templates": frozenset(template.code for template in templates),
        "pairs": frozenset(pair for template in templates for pair in template.pairs),
        "depths": frozenset(template.depth for template in templates),
        "wordings": frozenset(np.concatenate(wordings).tolist()),
    }


def proved_disjoint(parts: Split, trained: Problems, held_out: Problems) -> int:
    """Check the claims of `Split.apart` on problems drawn from its parts, perturbed or not.

    Returns how many claims were checked.

    Raises
    ------
    LeakError
        If a claim fails; the message names what the two sets share.
    """
    names = ("the trained", "the held-out problems")
    one, other = contents(trained), contents(held_out)
    if parts.pairs:  # other pairs may be in both
        one["pairs"] &= parts.pairs
    return proved([Claim(names, one, other, parts.apart)])


def sets(
    parts: Split,
    rows: int,
    *,
    rng: np.random.Generator,
    distractors: int = 0,
    skills: Sequence[str] | None = None,
) -> dict[str, Problems]:
    """Return distinct problems of both parts of a split, "train" and "test", checked to be apart.

    A fifth of the `rows` problems, at least one, are held out; `rows` is 2 or more. Each problem
    gets `distractors` quantities by `distracted`. Raises `ImpossibleError` if too few distinct
    problems exist.
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
