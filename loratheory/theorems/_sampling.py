"""How far sampled frequencies and moments may differ from their expectations by chance.

A hypothesis about a distribution can only be tested on a sample: each predicate compares sample
moments with their expectations and is false where they differ by ten standard errors or more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.theorems._arrays import eye, largest

DOUBT = 1e-9  # how rarely sampling alone may exceed the allowance of a frequency
SIGMAS = 10.0  # standard errors of a moment beyond which a sample is refused


def allow_for_sampling(bound: Callable[[Any], float]) -> Callable[[Any], float]:
    """Return the `noise` of a theorem whose value is a frequency in ``case.trials`` trials.

    The probability of each trial is ``bound(case)``. Chance moves the frequency farther than the
    noise once in a billion runs.
    """

    def _room(case: Any) -> float:
        from scipy.stats import binom  # slow to import

        probability = bound(case)
        # the interval outside which a frequency falls once in a billion runs
        ends = binom.ppf([DOUBT / 2, 1 - DOUBT / 2], case.trials, probability) / case.trials
        return float(max(abs(ends - probability)))

    return _room


def standard_normal(entries: Array) -> bool:
    """Whether second and fourth moments of the entries are a standard normal's, but for chance."""
    xp, count = array_namespace(entries), math.prod(entries.shape)
    second, fourth = (float(xp.sum(entries**power)) / count for power in (2, 4))
    near = abs(second - 1) <= SIGMAS * (2 / count) ** 0.5
    return near and abs(fourth - 3) <= SIGMAS * (96 / count) ** 0.5


def unit_vectors(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return independent uniform directions: vectors of length one along the last axis."""
    # normal vectors have no preferred direction
    free = rng.standard_normal(shape)
    return free / np.linalg.norm(free, axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Sample:
    """N trials, each with one query (N, D) and one adapter, given by its n keys (N, D, n)."""

    keys: Array
    queries: Array

    @property
    def keys_are_standard(self) -> bool:
        """Whether second moments of the keys agree with those of independent standard normals."""
        xp = array_namespace(self.keys)
        trials, width, facts = self.keys.shape
        # second moments of all keys, added up over the trials
        gram = xp.sum(xp.matrix_transpose(self.keys) @ self.keys, axis=0)
        one = eye(gram, facts)
        allowed = SIGMAS * (1 + one) * math.sqrt(trials * width)
        return bool(xp.all(xp.abs(gram - trials * width * one) <= allowed))

    @property
    def queries_are_foreign(self) -> bool:
        """Whether the queries are uncorrelated with the keys, but for chance."""
        xp = array_namespace(self.keys)
        common = xp.sum(self.keys * self.queries[:, :, None], axis=(0, 1))
        lengths = float(xp.sum(self.queries**2))
        return largest(common) <= SIGMAS * math.sqrt(lengths)

    @property
    def lengths_are_standard(self) -> bool:
        """Whether mean and variance of the queries' squared norms agree with a chi-squared's."""
        xp = array_namespace(self.queries)
        trials, d = self.queries.shape
        # a chi-squared variable of d degrees has variance 2 d and fourth moment 12 d² + 48 d
        off = xp.sum(self.queries**2, axis=1) - d
        mean, spread = float(xp.mean(off)), float(xp.mean(off**2)) / (2 * d) - 1
        steps = math.sqrt(2 * d / trials), math.sqrt((2 + 12 / d) / trials)
        return abs(mean) <= SIGMAS * steps[0] and abs(spread) <= SIGMAS * steps[1]


def gaussian_sample(rng: np.random.Generator, trials: int, width: int, facts: int) -> Sample:
    """Return a sample whose keys and queries are independent standard normals."""
    keys = rng.standard_normal((trials, width, facts))
    return Sample(keys, rng.standard_normal((trials, width)))
