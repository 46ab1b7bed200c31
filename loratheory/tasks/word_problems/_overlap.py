"""What two training sets have in common, read off their solutions: no model, no answers."""

from collections import Counter
from collections.abc import Hashable, Sequence

from loratheory.tasks._error import impossible
from loratheory.tasks.word_problems._template import Template


def template_overlap(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return the share of solutions that two sets have in common, template by template.

    Parameters
    ----------
    first, second : sequence of Template, or of their codes
        One a solution: `Problems.templates`, or the column ``template`` of exported files.

    Returns
    -------
    float
        The sum over all templates of the smaller of their two shares: 1 minus the total variation
        distance; 0 iff no template is in both, 1 iff all have equal shares. Of two sets that have
        their templates equally often it is `Lessons.overlap`.

    Raises
    ------
    ImpossibleError
        If a set is empty.
    """
    _some(first, second)
    one, two = Counter(first), Counter(second)
    return sum(min(one[each] / len(first), two[each] / len(second)) for each in one)


def shape_share(taught: Sequence[Template], asked: Sequence[Template]) -> float:
    """Return how many of the solutions taught have the shape of one that is asked for.

    Parameters
    ----------
    taught : sequence of Template
        One a solution of a training set.
    asked : sequence of Template
        Those of the problems that are to be solved.

    Returns
    -------
    float
        The share of `taught` whose graph, skills forgotten, is that of some template of `asked`:
        the ``ρ`` of ``thm:template-vote`` where the shape is what decides on the next step.

    Raises
    ------
    ImpossibleError
        If one of them is empty.
    """
    _some(taught, asked)
    shapes = {each.shape for each in set(asked)}
    counts = Counter(taught)
    return sum(n for each, n in counts.items() if each.shape in shapes) / len(taught)


def _some(first: Sequence[Hashable], second: Sequence[Hashable]) -> None:
    if not first or not second:
        fact = f"sets of {len(first)} and {len(second)} solutions have no overlap to speak of"
        raise impossible(fact, "give at least one solution each")
