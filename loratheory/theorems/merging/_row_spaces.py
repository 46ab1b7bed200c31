"""Libraries of adapters with independent row spaces, and the frame that their bases make."""

import numpy as np

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal
from loratheory.shapes import Float

DEPENDENT = 1e-8  # a direction this weak in a frame of unit columns is taken to be shared


def library(rng: np.random.Generator, size: int) -> tuple[LowRank, ...]:
    """Draw 1 to 4 adapters of rank 1 to 3 whose row spaces are independent.

    They are orthogonal or oblique; the adapters' sizes are between 1e-6 and 1e6.
    """
    ranks = rng.integers(1, 4, int(rng.integers(1, 5)))
    wide, magnitude = int(ranks.sum()), 10.0 ** int(rng.integers(-6, 7))
    m, n = int(ranks.max() + rng.integers(0, size + 1)), wide + int(rng.integers(0, size + 1))
    spread = 10.0 ** (rng.uniform(-1, 0, wide) * float(rng.choice([0.0, 1.0])))
    reads = (orthonormal(rng, n, wide) * spread) @ orthonormal(rng, wide, wide).T
    blocks = np.split(reads, np.cumsum(ranks)[:-1].tolist(), axis=1)
    ups = [
        magnitude * orthonormal(rng, m, r) * 10.0 ** rng.uniform(-1, 0, r) for r in ranks.tolist()
    ]
    return tuple(LowRank(up, rows.T) for up, rows in zip(ups, blocks, strict=True))


def frame(updates: tuple[LowRank, ...]) -> Float[Array, "n k"]:
    """Return orthonormal bases of the adapters' row spaces, concatenated as columns."""
    bases = [low.row_space() for low in updates]
    return array_namespace(bases[0]).concat(bases, axis=1)


def images(updates: tuple[LowRank, ...]) -> Float[Array, "m k"]:
    """Return each adapter's outputs on the basis of its own row space, concatenated as columns."""
    answers = [low @ low.row_space() for low in updates]
    return array_namespace(answers[0]).concat(answers, axis=1)


def interpolated(updates: tuple[LowRank, ...]) -> LowRank:
    """Return the interpolating merge that ``MERGE_METHODS["interpolate"]`` makes of the updates."""
    return MERGE_METHODS["interpolate"].rule(list(updates), [1.0] * len(updates), Options())


def worst(columns: Float[Array, "n k"]) -> float:
    """Return the largest singular value of `columns` over the least that is not zero.

    It is 1 where there are no columns.
    """
    if columns.shape[1] == 0:
        return 1.0
    sigma = array_namespace(columns).linalg.svdvals(columns)
    top = float(sigma[0])
    return top / min(float(s) for s in sigma if float(s) > DEPENDENT * top)


def independent(columns: Float[Array, "n k"]) -> bool:
    """Return whether the columns are linearly independent."""
    n, k = columns.shape
    if k == 0:
        return True
    sigma = array_namespace(columns).linalg.svdvals(columns)
    return k <= n and float(sigma[-1]) > DEPENDENT * float(sigma[0])
