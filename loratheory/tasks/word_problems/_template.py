"""Solution templates: which step feeds which, up to what no solution depends on.

Two problems have one template if the graphs of what their answers need are isomorphic: who has
what, which numbers are named and in which order it is told make no difference, nor does the order
of two quantities that are added or compared.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

from loratheory.tasks.word_problems._skills import SKILLS, SYMMETRIC, code

Node = tuple[int, tuple[int, ...]]
_SYMMETRIC = frozenset(code(skill) for skill in SYMMETRIC)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, order=True)
class Template:
    """A graph of quantities in its canonical order.

    Attributes
    ----------
    nodes : tuple of (int, tuple of int)
        Of each quantity the code of its skill, 0 if it is given, and the quantities that it is
        made of, all of which come before it. The last one is asked for, and needs all others.
    """

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        said = [
            f"{letter} = {SKILLS[skill - 1]}({', '.join(_LETTERS[k] for k in inputs)})"
            for letter, (skill, inputs) in zip(_LETTERS, self.nodes, strict=False)
            if skill
        ]
        return "; ".join(said)

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
        """Two different skills that occur, in the order of `SKILLS`."""
        return frozenset(combinations(sorted(self.skills, key=SKILLS.index), 2))

    @cached_property
    def links(self) -> frozenset[tuple[str, str]]:
        """The skill of a step, and that of a step which takes its result."""
        return frozenset(
            (SKILLS[self.nodes[k][0] - 1], SKILLS[skill - 1])
            for skill, inputs in self.nodes
            for k in inputs
            if self.nodes[k][0]
        )

    @property
    def shape(self) -> "Template":
        """The graph with all skills forgotten but how many quantities each takes, as additions."""
        bare = [(int(skill > 0), inputs) for skill, inputs in self.nodes]
        return canonical(bare, len(bare) - 1)[0]


def canonical(nodes: Sequence[Node], asked: int) -> tuple[Template, tuple[tuple[int, ...], ...]]:
    """Return the template of what one quantity needs.

    Parameters
    ----------
    nodes : sequence of (int, tuple of int)
        As in `Template`, in any order in which inputs come first.
    asked : int
        Which of them is asked for; what it does not need is left out.

    Returns
    -------
    Template
        The least of all graphs that depth-first walks from `asked` write down, one for each
        choice of the first of two quantities that are added or compared.
    tuple of tuple of int
        The orders of `nodes` in which these walks meet them: more than one where the graph has
        symmetries. Cost: ``2 ** (such choices)`` walks.
    """
    free = [k for k, (skill, inputs) in enumerate(nodes) if skill in _SYMMETRIC and inputs[1:]]
    found: dict[tuple[Node, ...], list[tuple[int, ...]]] = {}
    for turns in product((1, -1), repeat=len(free)):
        ways = [inputs for _, inputs in nodes]
        for k, turn in zip(free, turns, strict=True):
            ways[k] = ways[k][::turn]
        walked = _walk(ways, asked)
        place = {node: number for number, node in enumerate(walked)}
        told = tuple((nodes[k][0], tuple(place[j] for j in ways[k])) for k in walked)
        orders = found.setdefault(told, [])
        if walked not in orders:
            orders.append(walked)
    least = min(found)
    return Template(least), tuple(found[least])


def _walk(ways: Sequence[tuple[int, ...]], asked: int) -> tuple[int, ...]:
    """What is asked and all it needs: inputs before what is made of them, each once."""
    walked: list[int] = []
    front = [asked]
    while front:
        left = [k for k in ways[front[-1]] if k not in walked]
        if left:
            front.append(left[0])
        else:
            walked.append(front.pop())
    return tuple(walked)
