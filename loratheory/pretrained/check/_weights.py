r"""A base weight's singular vectors, its likeness to noise, and an adapter's intruder dimensions.

**Noise.** Entries of variance :math:`s^2` give singular values between :math:`s(\sqrt n - \sqrt m)`
and :math:`s(\sqrt n + \sqrt m)` (Marchenko and Pastur). Larger ones, by more than chance, are
structure, for which ``thm:intruder-threshold`` makes no claim.

**Intruders** are found without decomposing the adapted weight. Let the base have the left singular
vectors :math:`U` and no more outputs than inputs (else all is transposed). In these coordinates
:math:`(W + \Delta)(W + \Delta)^\top` is :math:`\Sigma^2` plus rank :math:`2r`, so that a product
with it costs ``O(k r)``: Lanczos iteration finds the few eigenvectors that are looked at, and their
entries are the cosines with the base's own directions.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError

from loratheory.lowrank import LowRank
from loratheory.pretrained._model import Map, failure
from loratheory.shapes import Float, Float64
from loratheory.store import cache_folder, draft

CHANCE = 5.0  # Tracy-Widom units above the edge that noise does not reach
GRID = 2000  # points at which the law of Marchenko and Pastur is integrated
TOP, ALIKE = 10, 0.5
SMALL = 64  # up to this size a dense decomposition is quicker than Lanczos iteration
CLEAR = 1e-6  # a base direction this weak, relative to the strongest, is not compared with


def weight(place: Map, name: str = "a weight") -> Float[np.ndarray, "m n"]:
    """Return a weight matrix, outputs × inputs, on the CPU, as float32 unless it is float64.

    Raises `ModelError` if it was offloaded and is not in memory, or an entry is not finite.
    """
    import torch

    stored = place.module.weight.detach()
    if stored.is_meta:
        remedy = "load the model without offloading, or name other layers"
        raise failure(name, "its weight is not in memory", remedy)
    kind = torch.float64 if stored.dtype == torch.float64 else torch.float32
    matrix: Float[np.ndarray, "m n"] = stored.to("cpu", kind).numpy()
    if not np.isfinite(matrix).all():
        remedy = "mend or replace the model's files: no theorem speaks of such a weight"
        raise failure(name, "not every entry of its weight is finite", remedy)
    return matrix if isinstance(place.module, torch.nn.Linear) else matrix.T


@dataclass(frozen=True, eq=False)
class Basis:
    """The singular vectors of a base weight on its shorter side, and its singular values.

    The columns of `frame` are the left vectors if there are no more outputs than inputs, else the
    right ones; the others follow from the weight and are not stored.
    """

    frame: Float64[np.ndarray, "k k"]  # orthonormal, k = min(m, n)
    sigma: Float64[np.ndarray, " k"]  # descending


def basis(matrix: Float[np.ndarray, "m n"]) -> Basis:
    """Return a base weight's singular vectors on its shorter side, from the cache if there.

    The cache key is a digest of the weight, so that revisions of a model are told apart. Costs the
    eigenvectors of its smaller Gram matrix once, ``O(m n k)``, and ``4 k^2`` bytes of disk, in
    float32; later the digest and reading the file. A damaged file is made anew; if the cache cannot
    be written, on a full disk for instance, nothing is stored.
    """
    from safetensors.numpy import load_file, save_file

    block = np.ascontiguousarray(matrix)
    digest = hashlib.blake2b(f"{block.dtype} {block.shape}".encode(), digest_size=16)
    digest.update(block.data.cast("B"))
    file = cache_folder() / "bases" / digest.hexdigest() / "basis.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        parts = load_file(file)
        return Basis(parts["frame"].astype(np.float64), parts["sigma"])
    squared, vectors = np.linalg.eigh(_gram(matrix))
    parts = {
        "frame": np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32),
        "sigma": np.sqrt(np.maximum(squared[::-1], 0.0)),
    }
    with suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft(file) as path:
            save_file(parts, path)
    return Basis(parts["frame"].astype(np.float64), parts["sigma"])


def _gram(matrix: Float[np.ndarray, "m n"]) -> Float64[np.ndarray, "k k"]:
    """The Gram matrix of the shorter side, in float64."""
    wide = np.asarray(matrix, np.float64)
    return wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide


@dataclass(frozen=True)
class Noise:
    """A weight compared with a Gaussian matrix of the same shape and norm."""

    spread: float  # root mean square of the entries
    kurtosis: float  # fourth moment over the squared second: 3 for a normal law
    edge: float  # largest singular value of the Gaussian matrix, in the limit
    top: float  # largest singular value of the weight
    distance: float  # Kolmogorov's, of the squared singular values from Marchenko and Pastur's law
    spikes: int  # how many singular values are beyond what noise reaches
    energy: float  # their share of the squared norm


def noise(
    matrix: Float[np.ndarray, "m n"], sigma: Float64[np.ndarray, " k"] | None = None
) -> Noise:
    """Return how a weight's spectrum compares with that of pure noise.

    Costs the eigenvalues of its smaller Gram matrix, ``O(m n min(m, n))``, unless its singular
    values, descending, are given.

    References
    ----------
    Marchenko and Pastur (1967); Johnstone, *Annals of Statistics* 29 (2001), for the edge.
    """
    m, n = sorted(matrix.shape)
    squares = np.asarray(matrix, np.float64) ** 2
    second, fourth = float(squares.mean()), float((squares**2).mean())
    squared = (
        np.maximum(np.linalg.eigvalsh(_gram(matrix)), 0.0) if sigma is None else sigma[::-1] ** 2
    )
    low, high = (1 - (m / n) ** 0.5) ** 2, (1 + (m / n) ** 0.5) ** 2
    roots = (n - 1) ** 0.5 + m**0.5
    unit = roots * (1 / max(n - 1, 1) ** 0.5 + 1 / m**0.5) ** (1 / 3)
    beyond = squared > second * (roots**2 + CHANCE * unit)
    return Noise(
        spread=second**0.5,
        kurtosis=fourth / second**2 if second else 0.0,
        edge=(second * n * high) ** 0.5,
        top=float(squared[-1]) ** 0.5,
        distance=_distance(squared / (second * n or 1.0), low, high, m / n),
        spikes=int(beyond.sum()),
        energy=float(squared[beyond].sum() / squared.sum()) if second else 0.0,
    )


def _distance(values: Float[np.ndarray, " m"], low: float, high: float, ratio: float) -> float:
    """The largest gap between the values' distribution and the law's, from both sides of a step."""
    angle = np.linspace(0, np.pi, GRID)  # in which the density has no edge to resolve
    points = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    half = (high - low) / 2 * np.sin(angle)
    speed = half**2 / (2 * np.pi * ratio * np.maximum(points, 1e-12))
    share = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle))])
    law = np.interp(values, points, share / share[-1])
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(law - steps[:-1]).max(), np.abs(law - steps[1:]).max()))


@dataclass(frozen=True, eq=False)
class Intruders:
    """The top singular directions of an adapted weight."""

    sigma: Float64[np.ndarray, " top"]  # its singular values, descending
    cosines: Float64[np.ndarray, " top"]  # of left singular vectors, the largest with the base's
    first: Float64[np.ndarray, " m"]  # the first of these vectors

    def count(self, alike: float = ALIKE) -> int:
        """Return how many resemble no direction of the base: their cosine is below `alike`."""
        return int((self.cosines < alike).sum())


def intruders(
    matrix: Float[np.ndarray, "m n"], base: Basis, update: LowRank, top: int = TOP
) -> Intruders:
    """Return the top directions of an adapted weight and how alike each is to one of the base.

    `matrix` is the base weight, `base` its singular vectors, `update` what an adapter adds (NumPy).
    Errors are about the square root of the precision in which `base` was stored. Costs ``O(m n r)``
    once, then ``O(k r)`` a step of Lanczos iteration; no decomposition of an (m, n) matrix.

    References
    ----------
    Shuttleworth et al. (arXiv 2410.21228).
    """
    wide, sigma = matrix.shape[0] <= matrix.shape[1], base.sigma
    near, far = (update.up, update.down.T) if wide else (update.down.T, update.up)
    through = (matrix if wide else matrix.T) @ far.astype(matrix.dtype)  # what the base makes of it
    own, cross = (base.frame.T @ part.astype(np.float64) for part in (near, through))
    inner = far.T.astype(np.float64) @ far

    def _squared(y: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """The smaller Gram matrix of the adapted weight, in the base's coordinates."""
        y = y.ravel()
        codes = own.T @ y
        return sigma**2 * y + cross @ codes + own @ (cross.T @ y + inner @ codes)

    values, vectors = _top(_squared, len(sigma), min(top, len(sigma)))
    strength = np.sqrt(np.maximum(values, 0.0))
    first = base.frame @ vectors[:, 0]
    if wide:
        return Intruders(strength, np.abs(vectors).max(axis=0), first)
    safe = np.where(strength > 0, strength, 1.0)
    clear = sigma > CLEAR * sigma[0]
    seen = (sigma[:, None] ** 2 * vectors + cross @ (own.T @ vectors))[clear]
    cosines = np.abs(seen / sigma[clear, None] / safe).max(axis=0)
    left = (matrix @ first + update.up @ (update.down @ first)) / safe[0]
    return Intruders(strength, cosines, left.astype(np.float64))


def _top(squared: object, size: int, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Its largest eigenvalues, descending, and their vectors."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=squared, dtype=np.float64)
    if size <= max(SMALL, 4 * keep + 2):
        values, vectors = np.linalg.eigh(operator @ np.eye(size))
    else:
        start = 1.0 + np.arange(size) / size
        values, vectors = eigsh(operator, k=keep, v0=start, ncv=4 * keep + 2)
    order = np.argsort(values)[::-1][:keep]
    return values[order], vectors[:, order]
