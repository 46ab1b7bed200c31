"""What two sets of problems share, and proofs that they share nothing of what they should not."""

from typing import NamedTuple

from loratheory.tasks._error import LeakError
from loratheory.tasks.word_problems._bridges import Lessons
from loratheory.tasks.word_problems._keys import keys
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._structural import Split


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
    """Return what two sets have in common.

    Parameters
    ----------
    one, other : Problems
        However they were drawn and perturbed.

    Returns
    -------
    Leaks
        Found in their graphs alone, whatever the pools they were drawn from.
    """
    return Leaks(*(a & b for a, b in zip(_held(one), _held(other), strict=True)))


def _held(here: Problems) -> Leaks:
    found = {template for template, _ in here.forms()[0]}
    return Leaks(
        frozenset(keys(here)),
        frozenset(template.code for template in found),
        frozenset(pair for template in found for pair in template.pairs),
        frozenset(template.depth for template in found),
        frozenset([*here.wordings[here.told].tolist(), *here.asking.tolist()]),
    )


def proved_disjoint(parts: Split, trained: Problems, held_out: Problems) -> int:
    """Check all that a split claims of problems drawn from its parts.

    Parameters
    ----------
    parts : Split
        Whose `apart` names what is claimed.
    trained, held_out : Problems
        Drawn from its pools, perturbed or not.

    Returns
    -------
    int
        How many claims hold: all.

    Raises
    ------
    LeakError
        Naming what the two share.
    """
    found = leaks(trained, held_out)
    for part in parts.apart:
        shared = getattr(found, part)
        _nothing("trained", "held-out", part, shared & parts.pairs if part == "pairs" else shared)
    return len(parts.apart)


def proved_apart(made: Lessons, first: Problems, second: Problems, target: Problems) -> int:
    """Check all that is claimed of two adapters' data and their target.

    Parameters
    ----------
    made : Lessons
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
    both = {each.code for each in made.shared}
    for name, mine in (("first", first), ("second", second)):
        found = leaks(mine, target)
        _nothing(f"{name} adapter's", "target", "problems", found.problems)
        _nothing(f"{name} adapter's", "target", "templates", found.templates)
        own = {each for each, _ in mine.forms()[0] if each.code not in both}
        meet = frozenset(each.code for each in own if each.skills.issuperset(made.skills))
        _nothing(f"{name} adapter's", "other adapter's skill in", "templates", meet)
    found = leaks(first, second)
    _nothing("first adapter's", "second adapter's", "problems", found.problems)
    _nothing("first adapter's", "second adapter's", "templates", found.templates - both)
    return 8


def _nothing(one: str, other: str, what: str, shared: frozenset[object]) -> None:
    if shared:
        some = ", ".join(sorted(map(str, shared))[:3])
        message = (
            f"the {one} and the {other} problems share {len(shared)} {what} ({some}"
            f"{' …' if len(shared) > 3 else ''}); leave them out of one, or claim less"
        )
        raise LeakError(message)
