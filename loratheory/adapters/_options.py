"""What every merge rule is given beside the updates and their weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.adapters._error import AdapterError
from loratheory.lowrank import Array, LowRank, array_namespace, double
from loratheory.shapes import Float

NEGLIGIBLE = 1e-12
"""A singular value below this share of the largest counts as zero."""

SAME = 1e-8
"""Unit directions closer than this count as one: rounding cannot tell them apart reliably."""


class MergeError(AdapterError):
    """A merge was asked for that cannot be carried out as stated."""


@dataclass(frozen=True)
class Options:
    """The settings of one merge, for one module.

    Attributes
    ----------
    module : str
        Its name, for messages and for the random stream.
    space : str
        Where an entrywise rule looks at entries: ``full``, ``knots`` or ``core``.
    rank : int or None
        Truncate the result to this rank; None keeps everything.
    density : float
        Share of entries kept, in (0, 1].
    ridge : float
        Relative ridge of the interpolating merge.
    seed : int
        Where the random rules start.
    """

    module: str = "update"
    space: str = "full"
    rank: int | None = None
    density: int | float = 1.0
    ridge: int | float = 0.0
    seed: int = 0

    def generator(self, position: int) -> np.random.Generator:
        """Random stream of the adapter at `position`: the same in whatever order modules come."""
        return np.random.default_rng([self.seed, position, *self.module.encode()])


Rule = Callable[[Sequence[LowRank], Sequence[float], Options], LowRank]
"""``rule(updates, weights, options)``: the merged update of one module."""


def widened(updates: Sequence[LowRank]) -> list[LowRank]:
    """The same updates in float64."""
    return [low.map(double) for low in updates]


def strong(sigma: Float[Array, " k"], tolerance: float = NEGLIGIBLE) -> int:
    """How many of these descending singular values exceed `tolerance` times the largest."""
    if not sigma.shape[0]:
        return 0
    return int(array_namespace(sigma).count_nonzero(sigma > tolerance * float(sigma[0])))
