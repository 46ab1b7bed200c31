"""Problems as columns: graphs of quantities with their numbers, and how they are told.

Also functions of these columns: which problems are the same, sets put together, and what two sets
have in common.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible
from loratheory.tasks.word_problems._skills import ABSENT, GIVEN, Node, Template, canonical

Key = tuple[str, tuple[int, ...]]
EMPTY = {"skills": ABSENT, "inputs": -1, "numbers": -1, "values": -1, "names": -1, "wordings": -1}
"""The value of each column in places where a problem has no more quantities."""


@dataclass(frozen=True, eq=False)
class Problems:
    """One problem a row; quantities stand in an order in which inputs come first. Read-only.

    Attributes
    ----------
    prime : int
        Numbers are counted modulo this prime; 0 for positive whole numbers.
    skills : (n, q) array of int
        The code of the skill that makes each quantity; 0 if it is given, -1 if there is none.
    inputs : (n, q, 2) array of int
        The quantities from which each is computed; -1 for none.
    numbers : (n, q, 2) array of int
        The numbers in each quantity's sentence: its own if it is given, else those its skill takes.
    values : (n, q) array of int
        The value of each quantity.
    names, wordings : (n, q) arrays of int
        The owner of each quantity, and the wording of its sentence.
    order : (n, q) array of int
        The quantities in the order in which they are told.
    asked, asking, scenes : (n,) arrays of int
        The quantity asked for, the wording of the question, and the scene (such as farms and cows).
    excluded : mapping of str to int
        How many draws were thrown away for these problems, by reason.
    """

    prime: int
    skills: Int64[np.ndarray, "n q"]
    inputs: Int64[np.ndarray, "n q 2"]
    numbers: Int64[np.ndarray, "n q 2"]
    values: Int64[np.ndarray, "n q"]
    names: Int64[np.ndarray, "n q"]
    wordings: Int64[np.ndarray, "n q"]
    order: Int64[np.ndarray, "n q"]
    asked: Int64[np.ndarray, " n"]
    asking: Int64[np.ndarray, " n"]
    scenes: Int64[np.ndarray, " n"]
    excluded: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _columns():
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return self.asked.shape[0]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Problems":
        """Return the problems in these rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _columns()})

    @property
    def answers(self) -> Int64[np.ndarray, " n"]:
        """The value of the quantity asked for in each problem."""
        return np.take_along_axis(self.values, self.asked[:, None], axis=1)[:, 0]

    @property
    def present(self) -> Bool[np.ndarray, "n q"]:
        """Which places hold a quantity."""
        return self.skills != ABSENT

    @property
    def needed(self) -> Bool[np.ndarray, "n q"]:
        """Which quantities the answer depends on; all others distract."""
        rows = np.arange(len(self))
        needed = np.zeros(self.skills.shape, dtype=bool)
        needed[rows, self.asked] = True
        for quantity in reversed(range(self.skills.shape[1])):
            for k in self.inputs[:, quantity].T:
                uses = needed[:, quantity] & (k >= 0)
                needed[rows[uses], k[uses]] = True
        return needed

    @property
    def distractors(self) -> Int64[np.ndarray, " n"]:
        """How many quantities the answer does not depend on."""
        return (self.present & ~self.needed).sum(axis=1)

    @property
    def solution(self) -> Int64[np.ndarray, "n q"]:
        """The quantities to compute one after another, with -1 behind them.

        The next one is always the first in the order told that is needed and has known inputs.
        """
        rows, width = np.arange(len(self)), self.skills.shape[1]
        place = np.argsort(self.order, axis=1)
        known = self.skills == GIVEN
        wanted = self.needed & ~known
        steps = np.full(self.skills.shape, -1)
        for step in range(width):
            ready = wanted & ~known
            for k in np.moveaxis(self.inputs, 2, 0):
                ready &= (k < 0) | np.take_along_axis(known, np.maximum(k, 0), axis=1)
            first = np.where(ready, place, width).argmin(axis=1)
            left = ready.any(axis=1)
            steps[left, step] = first[left]
            known[rows[left], first[left]] = True
        return steps

    def forms(self) -> tuple[list[tuple[Template, tuple[tuple[int, ...], ...]]], Any]:
        """Return the result of `canonical` for each graph that occurs, and each problem's graph."""
        inputs = self.inputs.reshape(len(self), 2 * self.skills.shape[1])
        flat = np.concatenate([self.skills, inputs, self.asked[:, None]], axis=1)
        _, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        return [canonical(self._graph(k), int(self.asked[k])) for k in first.tolist()], which

    def _graph(self, row: int) -> list[Node]:
        """The quantities of one problem with their skills and inputs."""
        columns = zip(self.skills[row].tolist(), self.inputs[row].tolist(), strict=True)
        return [(skill, tuple(k for k in inputs if k >= 0)) for skill, inputs in columns]

    @property
    def templates(self) -> tuple[Template, ...]:
        """The solution template of each problem."""
        forms, which = self.forms()
        return tuple(forms[k][0] for k in which.tolist())


def _columns() -> list[str]:
    """The names of the arrays."""
    return [each.name for each in fields(Problems) if each.name not in ("prime", "excluded")]


def keys(problems: Problems) -> list[Key]:
    """Return a key for each problem: equal for one problem told in two ways, different otherwise.

    A key is the template's code with the numbers of the problem in the template's order, the least
    such tuple where the graph has symmetries. Distractors are ignored.
    """
    forms, which = problems.forms()
    made: list[Key] = []
    for form, numbers in zip(which.tolist(), problems.numbers, strict=True):
        template, orders = forms[form]
        made.append((template.code, min(tuple(numbers[[*o]].ravel().tolist()) for o in orders)))
    return made


def together(parts: Sequence[Problems]) -> Problems:
    """Return the problems of all parts, one part after another; excluded draws are added up.

    Raises `ImpossibleError` if there are no parts, or they are modulo different primes.
    """
    primes = {part.prime for part in parts}
    if len(primes) != 1:
        fact = f"problems modulo {sorted(primes)} do not mix" if primes else "there are no problems"
        raise impossible(fact, "give at least one set, all of one kind of numbers")
    width = max(part.skills.shape[1] for part in parts)
    wide = [padded(part, width) for part in parts]
    lost = sum((Counter(part.excluded) for part in parts), Counter[str]())
    arrays = {name: np.concatenate([getattr(part, name) for part in wide]) for name in _columns()}
    return Problems(prime=primes.pop(), **arrays, excluded={**lost})


def padded(problems: Problems, width: int) -> Problems:
    """The same problems, with room for more quantities."""
    more = width - problems.skills.shape[1]
    grown: dict[str, Any] = {
        name: np.pad(array, [(0, 0), (0, more), (0, 0)][: array.ndim], constant_values=empty)
        for name, empty in EMPTY.items()
        for array in [getattr(problems, name)]
    }
    behind = np.tile(np.arange(width - more, width), (len(problems), 1))
    return replace(problems, **grown, order=np.concatenate([problems.order, behind], axis=1))


def template_overlap(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return the overlap of two sets of solutions: 1 minus the total variation of their templates.

    Each set lists the template of every solution, or its code, as in the column ``template`` of
    exported files. The overlap is the sum over templates of the smaller of the two shares: 0 iff no
    template is in both, 1 iff all have equal shares. Raises `ImpossibleError` for an empty set.

    Examples
    --------
    >>> template_overlap(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    0.5
    """
    _some(first, second)
    one, two = Counter(first), Counter(second)
    return sum(min(one[each] / len(first), two[each] / len(second)) for each in one)


def shape_share(taught: Sequence[Template], asked: Sequence[Template]) -> float:
    """Return the share of training solutions whose shape occurs among the problems to be solved.

    `taught` and `asked` list a template for each solution; shapes are graphs without the skills.
    This share is the ``ρ`` of ``thm:template-vote`` where the shape decides on the next step.
    """
    _some(taught, asked)
    shapes = {each.shape for each in set(asked)}
    counts = Counter(taught)
    return sum(n for each, n in counts.items() if each.shape in shapes) / len(taught)


def _some(first: Sequence[Hashable], second: Sequence[Hashable]) -> None:
    if not first or not second:
        fact = f"sets of {len(first)} and {len(second)} solutions have no overlap to speak of"
        raise impossible(fact, "give at least one solution each")
