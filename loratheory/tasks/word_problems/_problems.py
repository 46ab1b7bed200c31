"""Problems as columns: graphs of quantities with their numbers, and how they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks.word_problems._skills import ABSENT, GIVEN
from loratheory.tasks.word_problems._template import Node, Template, canonical

Table = Int64[np.ndarray, "n q"]


@dataclass(frozen=True, eq=False)
class Problems:
    """One problem a row; quantities stand in an order in which inputs come first.

    Attributes
    ----------
    prime : int
        What numbers are counted modulo; 0 for positive whole numbers.
    skills : (n, q) array of int, read-only
        The code of the skill that makes each quantity; 0 if it is given, -1 if there is none.
    inputs : (n, q, 2) array of int, read-only
        The quantities that it is made of; -1 for none.
    numbers : (n, q, 2) array of int, read-only
        The numbers that are said with it: its own if it is given, then those its skill takes.
    values : (n, q) array of int, read-only
        How many there are.
    names, wordings : (n, q) arrays of int, read-only
        Who has them, and how that is said.
    order : (n, q) array of int, read-only
        The quantities as they are told one after another.
    asked, asking, scenes : (n,) arrays of int, read-only
        The quantity asked for, the wording of that question, and what it is all about.
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
        for name in columns():
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return self.asked.shape[0]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Problems":
        """These problems."""
        return replace(self, **{name: getattr(self, name)[rows] for name in columns()})

    @property
    def answers(self) -> Int64[np.ndarray, " n"]:
        """The value of what is asked for."""
        return np.take_along_axis(self.values, self.asked[:, None], axis=1)[:, 0]

    @property
    def told(self) -> Bool[np.ndarray, "n q"]:
        """Which quantities there are."""
        return self.skills != ABSENT

    @property
    def needed(self) -> Bool[np.ndarray, "n q"]:
        """Which quantities the answer depends on; all others distract."""
        rows = np.arange(len(self))
        found = np.zeros(self.skills.shape, dtype=bool)
        found[rows, self.asked] = True
        for quantity in reversed(range(self.skills.shape[1])):
            for k in self.inputs[:, quantity].T:
                uses = found[:, quantity] & (k >= 0)
                found[rows[uses], k[uses]] = True
        return found

    @property
    def distractors(self) -> Int64[np.ndarray, " n"]:
        """How many quantities the answer does not depend on."""
        return (self.told & ~self.needed).sum(axis=1)

    @property
    def solution(self) -> Table:
        """Quantities to compute one after another, -1 behind them.

        Always the first that is needed, in the order in which they are told, of those whose
        inputs are known.
        """
        rows, width = np.arange(len(self)), self.skills.shape[1]
        place = np.argsort(self.order, axis=1)
        known = self.skills == GIVEN
        wanted = self.needed & ~known
        found = np.full(self.skills.shape, -1)
        for step in range(width):
            ready = wanted & ~known
            for k in np.moveaxis(self.inputs, 2, 0):
                ready &= (k < 0) | np.take_along_axis(known, np.maximum(k, 0), axis=1)
            first = np.where(ready, place, width).argmin(axis=1)
            left = ready.any(axis=1)
            found[left, step] = first[left]
            known[rows[left], first[left]] = True
        return found

    def graph(self, row: int) -> list[Node]:
        """The quantities of one problem with their skills and inputs."""
        columns = zip(self.skills[row].tolist(), self.inputs[row].tolist(), strict=True)
        return [(skill, tuple(k for k in inputs if k >= 0)) for skill, inputs in columns]

    def forms(self) -> tuple[list[tuple[Template, tuple[tuple[int, ...], ...]]], Any]:
        """What `canonical` says of each graph that occurs, and which of them each problem has."""
        flat = np.concatenate(
            [self.skills, self.inputs.reshape(len(self), 2 * self.skills.shape[1])], axis=1
        )
        flat = np.concatenate([flat, self.asked[:, None]], axis=1)
        _, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        return [canonical(self.graph(k), int(self.asked[k])) for k in first.tolist()], which

    @property
    def templates(self) -> tuple[Template, ...]:
        """The solution template of each problem."""
        forms, which = self.forms()
        return tuple(forms[k][0] for k in which.tolist())


def columns() -> list[str]:
    """The names of the arrays."""
    return [each.name for each in fields(Problems) if each.name not in ("prime", "excluded")]
