"""All solution templates of some skills, up to four steps."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

from loratheory.tasks._error import within
from loratheory.tasks.word_problems._skills import FORMS, GIVEN, SKILLS, code, known_skills
from loratheory.tasks.word_problems._template import Node, Template, canonical

MOST_STEPS = 4


def templates(skills: Sequence[str], steps: int) -> tuple[Template, ...]:
    """Return every template with exactly so many steps, each of one of these skills.

    Parameters
    ----------
    skills : sequence of str
        Of `SKILLS`; a template need not have all of them.
    steps : int
        From 1 to 4. All seven skills have 9, 130 and 2,993 templates of one, two and three steps;
        name few for four: add, rate and percent have 1,336 such templates already.

    Returns
    -------
    tuple of Template
        Sorted. Quantities may be used again, but no step takes one quantity twice.

    Raises
    ------
    ImpossibleError
        If a skill is unknown.
    """
    known_skills(tuple(skills), 0)
    within("steps", steps, 1, MOST_STEPS)
    return _all(tuple(sorted(set(skills), key=SKILLS.index)), steps)


@cache
def _all(skills: tuple[str, ...], steps: int) -> tuple[Template, ...]:
    graphs: set[tuple[Node, ...]] = {()}
    for left in reversed(range(steps)):
        graphs = {grown for graph in graphs for grown in _grown(graph, skills, left)}
    return tuple(sorted({canonical(graph, len(graph) - 1)[0] for graph in graphs}))


def _grown(
    graph: tuple[Node, ...], skills: tuple[str, ...], left: int
) -> Iterator[tuple[Node, ...]]:
    """The graph with one more step, of quantities that are there or of new given ones.

    Only if at most `left` quantities are then needed by nothing, beside the last: each further step
    can take up one of them, and the last step needs all.
    """
    new = len(graph)
    loose = set(range(new)) - {k for _, inputs in graph for k in inputs}
    for skill in skills:
        for quantities, _ in FORMS[skill]:
            for chosen in product(range(new + 1), repeat=quantities):
                old = {k for k in chosen if k < new}
                fresh = chosen.count(new)
                if len(old) + fresh < quantities or len(loose - old) > left:
                    continue
                numbers = iter(range(new, new + fresh))
                inputs = tuple(next(numbers) if k == new else k for k in chosen)
                yield (*graph, *((GIVEN, ()),) * fresh, (code(skill), inputs))
