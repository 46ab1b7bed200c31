"""Splits by structure: what is held out differs in kind from what is trained, not by chance."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from loratheory.tasks._error import impossible, one_of
from loratheory.tasks.word_problems._pools import Pool
from loratheory.tasks.word_problems._skills import SKILLS, known_skills
from loratheory.tasks.word_problems._template import Template

SPLITS = ("pair", "template", "depth", "wording")
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


def by_pair(
    here: Pool,
    pairs: Sequence[Sequence[str]],
    *,
    coverage: int | float = 0,
    rng: np.random.Generator | None = None,
) -> Split:
    """Return the pool with the templates in which certain two skills meet held out.

    Parameters
    ----------
    here : Pool
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
    known_skills(tuple(skill for pair in pairs for skill in pair), here.prime)
    wanted = frozenset(p for pair in pairs for p in combinations(sorted(pair, key=SKILLS.index), 2))
    if any(len(set(pair)) != 2 for pair in pairs):
        fact = f"the pairs are {', '.join(' and '.join(pair) for pair in pairs)}"
        raise impossible(fact, "name two different skills in each")
    if not 0 <= coverage < 1 or (coverage and rng is None):
        fact = f"coverage is {coverage:g} and rng is {'' if rng else 'not '}given"
        raise impossible(fact, "ask for a fraction from 0 to below 1, with a generator above 0")
    meeting = [each for each in here.templates if each.pairs & wanted]
    known = round(coverage * len(meeting))
    taught = set() if rng is None else {meeting[k] for k in rng.permutation(len(meeting))[:known]}
    out = [each for each in meeting if each not in taught]
    names = " or ".join("+".join(pair) for pair in sorted(wanted))
    apart = ("problems", "templates") if known else ("problems", "templates", "pairs")
    return replace(_parted("pair", here, out, f"pair {names}"), apart=apart, pairs=wanted)


def by_template(here: Pool, share: int | float = 0.2, *, rng: np.random.Generator) -> Split:
    """Return the pool with a share of its templates held out, at least one."""
    if not 0 < share < 1:
        fact = f"a share of {share:g} is to be held out"
        raise impossible(fact, "ask for a fraction between 0 and 1")
    count = max(round(share * len(here.templates)), 1)
    chosen = rng.permutation(len(here.templates))[:count].tolist()
    return _parted("template", here, [here.templates[k] for k in chosen], f"{share:g} of templates")


def by_depth(here: Pool, deepest: int) -> Split:
    """Return the pool with all templates held out that are deeper than the deepest trained one."""
    out = [each for each in here.templates if each.depth > deepest]
    made = _parted("depth", here, out, f"depth above {deepest}")
    return replace(made, apart=("problems", "templates", "depths"))


def by_wording(here: Pool, wordings: Collection[int]) -> Split:
    """Return the pool in some of its wordings, all others trained; the templates stay the same."""
    out = tuple(k for k in here.wordings if k in wordings)
    rest = tuple(k for k in here.wordings if k not in wordings)
    _some("wording", rest, out, f"wordings {sorted(wordings)}")
    parts = replace(here, wordings=rest), replace(here, wordings=out)
    return Split("wording", *parts, ("problems", "wordings"))


def split(here: Pool, by: str, *, rng: np.random.Generator) -> Split:
    """Return the pool split in one way, with about a fifth held out.

    Parameters
    ----------
    here : Pool
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
        return by_template(here, rng=rng)
    if by == "depth":
        return by_depth(here, max(each.depth for each in here.templates) - 1)
    if by == "wording":
        return by_wording(here, [int(rng.choice(here.wordings))])
    pairs = sorted(set().union(*(each.pairs for each in here.templates)))
    if not pairs:
        fact = "no two skills meet in any template, so this split leaves no problem for testing"
        raise impossible(fact, "name two skills or more, and allow two steps or more")
    chosen = rng.permutation(len(pairs))[: max(round(len(pairs) / 5), 1)].tolist()
    return by_pair(here, [pairs[k] for k in chosen])


def _parted(by: str, here: Pool, out: Sequence[Template], what: str) -> Split:
    held = set(out)
    rest, kept = (
        tuple(each for each in here.templates if (each in held) == inside)
        for inside in (False, True)
    )
    _some(by, rest, kept, what)
    parts = replace(here, templates=rest), replace(here, templates=kept)
    return Split(by, *parts, ("problems", "templates"))


def _some(by: str, rest: Sequence[object], out: Sequence[object], what: str) -> None:
    if not rest or not out:
        fact = f"holding out {what}, this split leaves no problem for"
        fact = f"{fact} {'testing' if rest else 'training'}"
        raise impossible(fact, f"hold out another {by}, or draw on a larger pool")
