"""What every theorem is owed beside its own checks, and how tests run over its draws.

An *example* takes nothing; it yields cases with the bound that paper or exact arithmetic gives. A
*symmetry* takes a drawn case and a generator; it yields changed cases with the factor by which the
bound must change. A *road* takes the same and yields cases with the bound found another way: a
formula in dense arrays, exact fractions, a limit. Pairs (witness, value) may follow the bound. An
*attack* yields cases with the best value that the theorem's adversary must reach in a few starts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import Theorem, theorem


def theorem_of(what):
    """The theorem that a module states, or that has this label."""
    return theorem(what) if isinstance(what, str) else what.THEOREM


@dataclass(frozen=True)
class Owed:
    """One such function of a theorem, and how exactly it agrees with the theorem's own bound.

    `rel` is relative to the bound, `room` to the theorem's scale (times its condition if
    `conditioned`); `size` is the largest dimension that is drawn, about.
    """

    theorem: Theorem[Any, Any]
    function: Callable[..., Any]
    rel: float = 1e-9
    room: float = 1e-11
    conditioned: bool = False
    size: int = 8
    tight: bool = True
    starts: int = 1

    def __str__(self) -> str:
        return f"{self.theorem.label}: {self.function.__name__.replace('_', ' ')}"

    def draw(self, rng):
        """What the function yields for a random case."""
        return self.function(self.theorem.draw(rng, self.size), rng)

    def agrees(self, case, expected, *witnesses):
        """Assert that the bound is as expected, and that the construction still meets it."""
        theorem = self.theorem
        near = partial(pytest.approx, rel=self.rel, abs=self.room * self.size_of(case))
        assert theorem.bound(case) == near(expected)
        if self.tight and theorem.attain and theorem.status != "refuted":
            assert theorem.check(case, theorem.attain(case)).tight
        for witness, value in witnesses:
            assert theorem.measure(case, witness) == near(value)

    def size_of(self, case):
        """The scale of rounding errors in this case."""
        scale = self.theorem.scale(case)
        return scale * self.theorem.condition(case) if self.conditioned else scale


Collected = dict[str, Owed]  # by name, as pytest may import a test file twice
EXAMPLES, SYMMETRIES, ROADS, ATTACKS = Collected(), Collected(), Collected(), Collected()


def _collected(where):
    def of(what, **how):
        def kept(function):
            owed = Owed(theorem_of(what), function, **how)
            where[str(owed)] = owed
            return function

        return kept

    return of


kinds = (EXAMPLES, SYMMETRIES, ROADS, ATTACKS)
example, symmetry, road, attack = (_collected(where) for where in kinds)


def over(test):
    """Run a test over generators."""

    def run(seed):
        test(np.random.default_rng(seed))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return settings(max_examples=8)(given(seed=seeds)(run))


def integers(rng, rows, columns, most=3):
    """A SymPy matrix of small integers."""
    return sympy.Matrix(rows, columns, rng.integers(-most, most + 1, rows * columns).tolist())


def floats(matrix):
    """A SymPy matrix in floating point."""
    return np.array(matrix, dtype=float)


# Adapters and frames that several chapters use

SILENT = LowRank(np.zeros((2, 1)), np.ones((1, 2)))  # an adapter before any training
LINES = np.array([[1.0, 0.0], [0.6, 0.8]])


def lines(outputs, rows=LINES):
    """Two adapters of rank one that read the rows and write these columns."""
    outputs = np.array(outputs, float)
    return tuple(LowRank(outputs[:, [i]], rows[[i]]) for i in range(2))


def moved(updates, rng, factor=1.0):
    """The same adapters in another order, turned on both sides; and the turns."""
    m, n = updates[0].shape
    left, right = factor * orthonormal(rng, m, m), orthonormal(rng, n, n)
    changed = [LowRank(left @ low.up, low.down @ right.T) for low in reversed(updates)]
    gauge = orthonormal(rng, changed[0].width, changed[0].width)
    return (changed[0].regauged(gauge), *changed[1:]), left, right


def basis_of(rng, n):
    """Any invertible map of the inputs."""
    return 2 * np.eye(n) + orthonormal(rng, n, n) / 2
