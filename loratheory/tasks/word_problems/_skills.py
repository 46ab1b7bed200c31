"""Skills, each an operation of one step; and solution templates, graphs of which step feeds which.

========  ===========================  ==================================
skill     operands                     result
========  ===========================  ==================================
add       two quantities, or one and   x + y
          a number
subtract  likewise                     x − y
multiply  a quantity and a number      x · y
divide    a quantity and a number      x ÷ y, exact
compare   two quantities               by how much they differ, abs(x − y)
rate      a quantity and two numbers   x ÷ y · z: z for every y of x
percent   a quantity and a number      x · y ÷ 100
========  ===========================  ==================================

Numbers are positive and whole, or counted modulo a prime. Two problems have the same template if
the graphs of the quantities that their answers need are isomorphic. Owners, numbers and the order
of sentences do not matter, nor does the order of two quantities that are added or compared.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, product
from typing import Any

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible, within

SKILLS = ("add", "subtract", "multiply", "divide", "compare", "rate", "percent")
ABSENT, GIVEN = -1, 0
FORMS = {
    "add": ((2, 0), (1, 1)),
    "subtract": ((2, 0), (1, 1)),
    "multiply": ((1, 1),),
    "divide": ((1, 1),),
    "compare": ((2, 0),),
    "rate": ((1, 2),),
    "percent": ((1, 1),),
}
"""Quantities and numbers that a step of each skill takes."""

SYMMETRIC = ("add", "compare")
"""Skills for which the order of two quantities does not matter."""

PRIMES = (0, 2, 3, 5, 7, 11, 13)
"""0 stands for positive whole numbers."""

LARGEST = 9999
FAULTS = (
    "none",
    "nothing or less is left",
    "not a whole number",
    "no difference to speak of",
    f"more than {LARGEST}",
    "division by zero modulo the prime",
    "a factor of zero forgets the quantity",
    "a ratio that is not in lowest terms",
)
MOST_STEPS = 4
Numbers = Int64[np.ndarray, " n"]
Node = tuple[int, tuple[int, ...]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def code(skill: str) -> int:
    """The number of a skill in arrays; 0 is a given quantity, -1 the absence of one."""
    return SKILLS.index(skill) + 1


def possible(prime: int) -> tuple[str, ...]:
    """Return the skills possible modulo a prime: all, but percent only where 100 is not 0."""
    return tuple(skill for skill in SKILLS if skill != "percent" or prime not in (2, 5))


def known_skills(skills: tuple[str, ...], prime: int) -> None:
    """Refuse skills and primes that are unknown or do not go together."""
    unknown = [skill for skill in skills if skill not in SKILLS]
    if unknown or not skills:
        names = ", ".join(map(repr, unknown))
        fact = f"unknown skills: {names}" if unknown else "no skill is named"
        raise impossible(fact, f"choose from {', '.join(SKILLS)}")
    if prime not in PRIMES:
        fact = f"numbers modulo {prime} are asked for"
        raise impossible(fact, f"choose a prime of {PRIMES[1:]}, or 0 for positive whole numbers")
    if "percent" in skills and prime in (2, 5):
        fact = f"100 is 0 modulo {prime}, so nothing can be a percentage"
        raise impossible(fact, "leave percent out, or choose 3, 7, 11 or 13")


TERMS: dict[str, Callable[[Any, Any, Any], tuple[Any, Any, Any]]] = {
    "add": lambda x, y, _: (x + y, 1, 1),
    "subtract": lambda x, y, _: (x - y, 1, 1),
    "multiply": lambda x, y, _: (x * y, 1, 1),
    "divide": lambda x, y, _: (x, y, 1),
    "compare": lambda x, y, _: (abs(x - y), 1, 1),
    "rate": lambda x, y, z: (x, y, z),
    "percent": lambda x, y, _: (x * y, 100, 1),
}
"""What a step computes: the first of these, divided by the second, times the third."""


def applied(
    skills: Numbers, x: Numbers, y: Numbers, z: Numbers, prime: int
) -> tuple[Numbers, Numbers]:
    """What a step of each row's skill makes of its operands, and the number of what is wrong.

    Operands stand in the order of the table, and what a skill does not take is not read. A result
    with one of the `FAULTS` means nothing.
    """
    result, fault = np.zeros_like(x), np.zeros_like(x)
    inverse = np.array([pow(k, -1, prime) if k else 0 for k in range(prime)])
    for number, skill in enumerate(SKILLS, start=1):
        rows = np.flatnonzero(skills == number)
        first, second, third = x[rows], y[rows], z[rows]
        over, under, times = TERMS[skill](first, second, third)
        if prime:
            result[rows] = over * inverse[under % prime] * times % prime
            factor = {"multiply": second, "percent": second, "rate": third}.get(skill)
            forgets = 0 if factor is None else 6 * (factor == 0)
            fault[rows] = np.where(under % prime == 0, 5, forgets)
        else:
            result[rows] = value = over // under * times
            nothing = 3 if skill == "compare" else 1
            unreduced = (skill == "rate") & (np.gcd(second, third) > 1)
            faults = [over % under != 0, unreduced, value <= 0, value > LARGEST]
            fault[rows] = np.select(faults, [2, 7, nothing, 4], 0)
    return result, fault


def proposed(skills: Numbers, prime: int, *, rng: np.random.Generator) -> Int64[np.ndarray, "n 2"]:
    """Numbers for steps of these skills, drawn without a look at the quantities.

    Uniform over what may be said: given quantities up to 120, differences up to 20, factors up to
    9, shares that are multiples of 5 percent; modulo a prime, anything. The second column is for
    rates, "z for every y", where it differs from the first.
    """
    if prime:
        return rng.integers(prime, size=(len(skills), 2))
    least = np.array([2, 1, 1, 2, 2, 0, 2, 1])[skills]
    above = np.array([121, 21, 21, 10, 10, 1, 10, 20])[skills]
    first = rng.integers(least, above)
    second = rng.integers(1, 9, size=len(skills))
    first = np.where(skills == code("percent"), 5 * first, first)
    return np.stack([first, second + (second >= first)], axis=1)


@dataclass(frozen=True, order=True)
class Template:
    """A graph of quantities in its canonical order.

    Attributes
    ----------
    nodes : tuple of (int, tuple of int)
        For each quantity the code of its skill, 0 if it is given, and its inputs, which all come
        before it. The last quantity is asked for, and depends on all others.
    """

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        steps = [
            f"{letter} = {SKILLS[skill - 1]}({', '.join(_LETTERS[k] for k in inputs)})"
            for letter, (skill, inputs) in zip(_LETTERS, self.nodes, strict=False)
            if skill
        ]
        return "; ".join(steps)

    @cached_property
    def code(self) -> str:
        """Twelve hexadecimal digits, equal for isomorphic graphs and no others."""
        return hashlib.sha256(repr(self.nodes).encode()).hexdigest()[:12]

    @property
    def steps(self) -> int:
        """How many quantities are computed."""
        return sum(skill > 0 for skill, _ in self.nodes)

    @cached_property
    def depth(self) -> int:
        """The longest chain of steps, each of which needs the one before."""
        depths: list[int] = []
        for skill, inputs in self.nodes:
            depths.append((skill > 0) + max((depths[k] for k in inputs), default=0))
        return depths[-1]

    @cached_property
    def skills(self) -> frozenset[str]:
        """The skills that occur."""
        return frozenset(SKILLS[skill - 1] for skill, _ in self.nodes if skill)

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """All pairs of different skills that occur, each in the order of `SKILLS`."""
        return frozenset(combinations(sorted(self.skills, key=SKILLS.index), 2))

    @property
    def shape(self) -> "Template":
        """The graph with every skill replaced by addition of as many quantities."""
        bare = [(int(skill > 0), inputs) for skill, inputs in self.nodes]
        return canonical(bare, len(bare) - 1)[0]


def canonical(nodes: Sequence[Node], asked: int) -> tuple[Template, tuple[tuple[int, ...], ...]]:
    """The template of what one quantity needs, and the orders of `nodes` that give it.

    The template is the least of all graphs that depth-first walks from `asked` write down, one for
    each choice of the first of two quantities that are added or compared: ``2 ** choices`` walks.
    There is more than one order where the graph has symmetries. Inputs come first in `nodes`, as in
    `Template`; what `asked` does not need is left out.
    """
    symmetric = {code(skill) for skill in SYMMETRIC}
    free = [k for k, (skill, inputs) in enumerate(nodes) if skill in symmetric and inputs[1:]]
    written: dict[tuple[Node, ...], list[tuple[int, ...]]] = {}
    for turns in product((1, -1), repeat=len(free)):
        made_of = [inputs for _, inputs in nodes]
        for k, turn in zip(free, turns, strict=True):
            made_of[k] = made_of[k][::turn]
        walked = _walk(made_of, asked)
        place = {node: number for number, node in enumerate(walked)}
        graph = tuple((nodes[k][0], tuple(place[j] for j in made_of[k])) for k in walked)
        orders = written.setdefault(graph, [])
        if walked not in orders:
            orders.append(walked)
    least = min(written)
    return Template(least), tuple(written[least])


def _walk(made_of: Sequence[tuple[int, ...]], asked: int) -> tuple[int, ...]:
    """What is asked and all it needs: inputs before what is made of them, each once."""
    walked: list[int] = []
    front = [asked]
    while front:
        left = [k for k in made_of[front[-1]] if k not in walked]
        if left:
            front.append(left[0])
        else:
            walked.append(front.pop())
    return tuple(walked)


def templates(skills: Sequence[str], steps: int) -> tuple[Template, ...]:
    """Return every template with exactly `steps` steps, each by one of these skills, sorted.

    Quantities may be used again, but no step takes one quantity twice; a template need not have all
    of the skills. `steps` is 1 to 4: all seven skills have 9, 130 and 2,993 templates of one, two
    and three steps; give few skills for four, where add, rate and percent have 1,336 already.

    Examples
    --------
    >>> [str(template) for template in templates(["subtract"], steps=1)]
    ['c = subtract(a, b)', 'b = subtract(a)']
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
