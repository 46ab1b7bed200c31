"""Samples of keys and queries, and whether they are of the law a theorem assumes.

A hypothesis about a law can only be tested on a sample: each predicate compares moments with their
expectation and refuses what is ten standard errors off, which chance does not do.
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._arrays import eye
from loratheory.theorems._sampling import SIGMAS


@dataclass(frozen=True, eq=False)
class Sample:
    """Trials of one adapter and one query each: keys (N, D, n) and queries (N, D)."""

    keys: Array
    queries: Array

    @property
    def keys_are_standard(self) -> bool:
        """Whether squared and mixed moments of the keys are those of independent ones."""
        xp = array_namespace(self.keys)
        trials, width, facts = self.keys.shape
        gram = xp.sum(xp.matrix_transpose(self.keys) @ self.keys, axis=0)
        one = eye(gram, facts)
        allowed = SIGMAS * (1 + one) * math.sqrt(trials * width)
        return bool(xp.all(xp.abs(gram - trials * width * one) <= allowed))

    @property
    def queries_are_foreign(self) -> bool:
        """Whether the queries are uncorrelated with each key."""
        xp = array_namespace(self.keys)
        common = xp.sum(self.keys * self.queries[:, :, None], axis=(0, 1))
        lengths = float(xp.sum(self.queries**2))
        return bool(xp.all(xp.abs(common) <= SIGMAS * math.sqrt(lengths)))

    @property
    def lengths_are_standard(self) -> bool:
        """Whether mean and variance of the queries' squared lengths are a chi-squared's."""
        xp = array_namespace(self.queries)
        trials, d = self.queries.shape
        off = xp.sum(self.queries**2, axis=1) - d
        mean, spread = float(xp.mean(off)), float(xp.mean(off**2)) / (2 * d) - 1
        steps = math.sqrt(2 * d / trials), math.sqrt((2 + 12 / d) / trials)
        return abs(mean) <= SIGMAS * steps[0] and abs(spread) <= SIGMAS * steps[1]


def gaussian_sample(rng: np.random.Generator, trials: int, width: int, facts: int) -> Sample:
    """Independent standard normal keys and queries."""
    keys = rng.standard_normal((trials, width, facts))
    return Sample(keys, rng.standard_normal((trials, width)))
