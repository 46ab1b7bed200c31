"""What the witnesses and the hypotheses of several theorems share."""

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, device, gaussian
from loratheory.theorems._theorem import SAFETY


def eye(like: Array, size: int) -> Array:
    """An identity in the array library and on the device of `like`."""
    return array_namespace(like).eye(size, dtype=like.dtype, device=device(like))


def is_orthonormal(frame: Array, room: float = SAFETY) -> bool:
    """Whether the columns of a frame, or of each of a stack of frames, are orthonormal."""
    xp = array_namespace(frame)
    gram = xp.matrix_transpose(frame) @ frame
    return float(xp.max(xp.abs(gram - eye(frame, frame.shape[-1])))) <= room


def nudged(rng: np.random.Generator, best: LowRank, rank: int, decades: int = 6) -> LowRank:
    """A random update of this rank, over so many decades up and down, or `best` a little off."""
    size = 10.0 ** int(rng.integers(-12, 1))
    if rng.random() < 0.5:
        return gaussian(rng, *best.shape, rank, 10.0 ** int(rng.integers(-decades, decades + 1)))
    return LowRank(best.up * (1 + size * rng.standard_normal(best.up.shape)), best.down)


def alternating(
    rng: np.random.Generator,
    wanted: Array,
    rank: int,
    reads: Array | None = None,
    writes: Array | None = None,
    steps: int = 30,
) -> LowRank:
    """Alternating least squares for ``writes @ update @ reads``: no singular value is ever taken.

    Identities stand where `reads` (n, N) or `writes` (q, m) is not given.
    """

    def _solved(matrix: Array, right: Array) -> Array:
        return np.linalg.lstsq(matrix, right, rcond=1e-10)[0]

    after = np.eye(len(wanted)) if writes is None else writes
    before = np.eye(wanted.shape[1]) if reads is None else reads
    up, down = rng.standard_normal((after.shape[1], rank)), np.zeros((rank, len(before)))
    for _ in range(steps if rank else 0):
        down = _solved(before.T, _solved(after @ up, wanted).T).T
        up = _solved(after, _solved((down @ before).T, wanted.T).T)
    return LowRank(up, down)
