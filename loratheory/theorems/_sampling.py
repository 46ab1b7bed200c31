"""What sampling leaves to chance: allowances for frequencies and for moments of samples."""

import math
from collections.abc import Callable
from typing import Any

from loratheory.lowrank import Array, array_namespace

DOUBT = 1e-9  # how rarely sampling alone may exceed the allowance of a frequency
SIGMAS = 10.0  # standard errors of a moment beyond which a sample is refused


def frequency_room(probability: float, trials: int) -> float:
    """How far a frequency strays from its probability, but for one time in a billion."""
    from scipy.stats import binom  # slow to import

    ends = binom.ppf([DOUBT / 2, 1 - DOUBT / 2], trials, probability) / trials
    return float(max(abs(ends - probability)))


def sampled(bound: Callable[[Any], float]) -> Callable[[Any], float]:
    """What sampling leaves where a case says how many trials have a probability of `bound`."""
    return lambda case: frequency_room(bound(case), case.trials)


def standard_normal(entries: Array) -> bool:
    """Whether second and fourth moments of the entries are a standard normal's."""
    xp, count = array_namespace(entries), math.prod(entries.shape)
    second, fourth = (float(xp.sum(entries**power)) / count for power in (2, 4))
    near = abs(second - 1) <= SIGMAS * (2 / count) ** 0.5
    return near and abs(fourth - 3) <= SIGMAS * (96 / count) ** 0.5
