"""Array functions that witnesses and hypotheses of several theorems use."""

import math
from collections.abc import Iterable

import numpy as np

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    count_above,
    device,
    gaussian,
    project,
)
from loratheory.theorems._theorem import SAFETY


def eye(like: Array, size: int) -> Array:
    """Return an identity matrix in the array library, dtype and device of `like`."""
    return array_namespace(like).eye(size, dtype=like.dtype, device=device(like))


def beside(like: Array, values: Array) -> Array:
    """Return these values in the array library, dtype and device of `like`."""
    return array_namespace(like).asarray(values, dtype=like.dtype, device=device(like))


def norm(array: Array) -> float:
    """Return the Euclidean norm of a vector or the Frobenius norm of a matrix."""
    linalg = array_namespace(array).linalg
    return float(linalg.matrix_norm(array) if array.ndim == 2 else linalg.vector_norm(array))


def lead(scores: Array) -> float:
    """Return the first score less the largest other one."""
    return float(scores[0] - array_namespace(scores).max(scores[1:]))


def largest(array: Array) -> float:
    """Return the largest magnitude of an entry."""
    return float(array_namespace(array).max(abs(array)))


def spectral_norm(matrix: Array) -> float:
    """Return the largest singular value of a matrix."""
    return float(array_namespace(matrix).linalg.svdvals(matrix)[0])


def condition_number(matrix: Array) -> float:
    """Return the largest singular value over the least one, or ``inf`` if that is 0."""
    sigma = array_namespace(matrix).linalg.svdvals(matrix)
    return float(sigma[0]) / float(sigma[-1]) if float(sigma[-1]) > 0 else math.inf


def condition_on_span(matrix: Array, clear: float) -> float:
    """Return the largest singular value over the least that exceeds `clear` times the largest.

    It is 1 where there are no columns.
    """
    sigma = array_namespace(matrix).linalg.svdvals(matrix) if matrix.shape[1] else matrix[0, :]
    kept = count_above(sigma, clear)
    return float(sigma[0] / sigma[kept - 1]) if kept else 1.0


def share_true(hits: Array) -> float:
    """Return the share of entries of a Boolean array that are true."""
    return int(array_namespace(hits).count_nonzero(hits)) / math.prod(hits.shape)


def sum_to_one(weights: Array, axis: int | None = None) -> bool:
    """Whether weights along an axis, or all of them, are at least 0 and sum to one."""
    xp = array_namespace(weights)
    return float(xp.min(weights)) >= 0 and largest(xp.sum(weights, axis=axis) - 1) <= SAFETY


def is_orthonormal(frame: Array) -> bool:
    """Whether the columns of a frame, or of each of a stack of frames, are orthonormal."""
    gram = array_namespace(frame).matrix_transpose(frame) @ frame
    return largest(gram - eye(frame, frame.shape[-1])) <= SAFETY


def read_outside(low: LowRank, basis: Array) -> LowRank:
    """Return an update without what it reads of a space, given by its orthonormal basis (n, k)."""
    return LowRank(low.up, low.down - project(low.down.T, basis).T)


def add_outside(rng: np.random.Generator, low: LowRank, basis: Array, size: float) -> LowRank:
    """Return an update plus a random one of rank 2 that reads nothing of a space.

    The space is given by its orthonormal basis (n, k); entries are of this size.
    """
    return low + read_outside(gaussian(rng, *low.shape, 2, size), basis)


def perturb(rng: np.random.Generator, best: LowRank, rank: int) -> LowRank:
    """Return a random update of this rank, or `best` with the entries of its `up` perturbed.

    The random update's magnitude is between 1e-6 and 1e6; entries are perturbed by 1e-12 to 1 of
    their size.
    """
    # next to the best a wrong constant shows first
    size = 10.0 ** int(rng.integers(-12, 1))
    if rng.random() < 0.5:
        return gaussian(rng, *best.shape, rank, 10.0 ** int(rng.integers(-6, 7)))
    return LowRank(best.up * (1 + size * rng.standard_normal(best.up.shape)), best.down)


def harmonic_frame(count: int, dimension: int) -> np.ndarray:
    """Return a tight frame of unit vectors: columns (dimension, count), with rows of equal length.

    ``1 <= dimension <= count``; the rows are cosines and sines at multiples of one angle.
    """
    if dimension == count:
        return np.eye(count)
    phase = 2 * np.pi * np.outer(np.arange(1, dimension // 2 + 1), np.arange(count)) / count
    even = np.concatenate([np.cos(phase), np.sin(phase)]) * np.sqrt(2 / dimension)
    # an odd dimension takes one more row: the fastest wave of an even count, or a constant
    last = (-1.0) ** np.arange(count) if count % 2 == 0 else np.ones(count)
    return np.concatenate([even, np.tile(last * dimension**-0.5, (dimension % 2, 1))])


def nearest_columns(rng: np.random.Generator, one: Array, two: Array) -> tuple[Array, Array]:
    """Return unit columns of two spans at their least angle, found by projecting in turn."""
    first, second = one @ rng.standard_normal((one.shape[1], 1)), two[:, :1]
    for _ in range(60):
        first = first / np.linalg.norm(first)
        near = two @ np.linalg.lstsq(two, first, rcond=None)[0]
        # at right angles any column will do
        if np.linalg.norm(near) <= SAFETY:
            break
        second = near / np.linalg.norm(near)
        # each projection brings the pair nearer
        first = one @ np.linalg.lstsq(one, second, rcond=None)[0]
    return first / np.linalg.norm(first), second / np.linalg.norm(second)


def disturb(rng: np.random.Generator, best: Iterable[LowRank]) -> tuple[LowRank, ...]:
    """Return updates near the `best`, perturbed by 1e-12 to 1, or noise of that size alone.

    Only their columns `up` are disturbed, so that they keep their ranks.
    """
    # next to the best a wrong constant shows first
    nudge, keep = 10.0 ** int(rng.integers(-12, 1)), float(rng.integers(2))
    updates = []
    for low in best:
        noise = nudge * rng.standard_normal(low.up.shape)
        updates.append(LowRank(keep * low.up + noise, low.down))
    return tuple(updates)


def fit_alternating(
    rng: np.random.Generator,
    wanted: Array,
    rank: int,
    reads: Array | None = None,
    writes: Array | None = None,
) -> LowRank:
    """Fit ``writes @ update @ reads`` to `wanted` by alternating least squares over both factors.

    `reads` (n, N) and `writes` (q, m) are identities by default. No singular values are computed,
    so that the result checks bounds that were derived from them.
    """

    def _solved(matrix: Array, right: Array) -> Array:
        return np.linalg.lstsq(matrix, right, rcond=1e-10)[0]

    after = np.eye(len(wanted)) if writes is None else writes
    before = np.eye(wanted.shape[1]) if reads is None else reads
    # each factor in turn is a linear least-squares problem
    up, down = rng.standard_normal((after.shape[1], rank)), np.zeros((rank, len(before)))
    for _ in range(30 if rank else 0):
        down = _solved(before.T, _solved(after @ up, wanted).T).T
        up = _solved(after, _solved((down @ before).T, wanted.T).T)
    return LowRank(up, down)
