"""Which adapters of a large library disturb which: all pairs, in blocks, by any executor.

The command ``loratheory interfere`` makes the sweep of a user's folder; it has no profiles.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loratheory.adapters import Adapter, read, same_base
from loratheory.experiments.engine import Experiment, ExperimentError, Row
from loratheory.shapes import Float64

Factors = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one module in ``a`` adapters left singular vectors ``(a, m, r)``, values ``(a, r)`` and right
vectors ``(a, r, n)``, filled up with zeros."""


@dataclass(frozen=True)
class Block:
    """Two groups of a library.

    Attributes
    ----------
    folder : str
        Of the library.
    state : str
        Digest of what lay there when the sweep began.
    size : int
        Adapters in a group.
    first, second : int
        Which groups; equal for the pairs within one.
    """

    folder: str
    state: str
    size: int
    first: int
    second: int


def members(folder: Path) -> list[str]:
    """Return the names of the adapters in a folder, in order."""
    return sorted(file.parent.name for file in folder.glob("*/adapter_config.json"))


def sweep(folder: Path, block: int = 50, *, any_base: bool = False) -> Experiment:
    """Return the sweep over all pairs of adapters in a folder.

    Parameters
    ----------
    folder : Path
        Each adapter in a folder of its own below it; on a cluster, where all workers see it.
    block : int
        How many adapters a cell holds against how many others.
    any_base : bool
        Whether different base models' names may pass; different shapes never do.

    Returns
    -------
    Experiment
        Its only profile is ``all``: a cell for each pair of groups, so that a kill loses little.

    Raises
    ------
    ExperimentError
        If there are fewer than two adapters, or the name of one has a newline or is no UTF-8.
    AdapterError
        If a folder is no adapter, or two name different base models.
    """
    home = folder.resolve()
    names = members(home)
    if len(names) < 2:
        message = f"{folder} holds {len(names)} adapters: name a folder with at least two below it"
        raise ExperimentError(message)
    for name in names:
        if not name.isprintable():  # one that is no UTF-8 holds surrogates, which are not either
            message = f"{folder} holds {name!r}, which fits on no line of names.txt: rename it"
            raise ExperimentError(message)
    if not any_base:
        same_base([replace(read(home / name), modules={}, shapes={}) for name in names])
    digest = hashlib.sha256()
    for name in names:  # sizes and ages: another library has other cells
        for file in sorted((home / name).glob("adapter_model*")):
            state = file.stat()
            digest.update(f"{name}/{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    groups = range(-(-len(names) // block))
    pairs = [(first, second) for first in groups for second in groups[first:]]
    cells = tuple(Block(str(home), digest.hexdigest()[:16], block, *pair) for pair in pairs)
    document = "**Question.** Which adapters of a library disturb which?"
    return Experiment(__name__, document, cell, {"all": cells}, {"all": len(cells)})


def cell(config: Block) -> list[Row]:
    """Return a row for each ordered pair of the block.

    Returns
    -------
    list of dict
        Places of `reader` and `other` in the sorted library; how many `modules` both change; the
        `worst` and the median `typical` of what `other` answers to a unit key of `reader`, in units
        of the reader's own largest answer (``thm:interference-angle``); the Frobenius `cosine` of
        the whole updates. Costs a thin decomposition an adapter and module, then products of
        ``r × r`` cores a pair; one module of both groups is in memory at a time.
    """
    home = Path(config.folder)
    names = members(home)
    starts = (config.first * config.size, config.second * config.size)
    groups = [range(len(names))[start : start + config.size] for start in starts]
    sides = [[read(home / names[i]) for i in group] for group in groups]
    both = [adapter for side in sides for adapter in side]
    answers: list[tuple[np.ndarray, np.ndarray]] = []
    inner = np.zeros((len(groups[0]), len(groups[1])))
    energy = [np.zeros(len(group)) for group in groups]
    for module in dict.fromkeys(name for adapter in both for name in adapter):
        shape = _shape(module, both)
        one, two = (_factors(module, shape, side) for side in sides)
        for total, (_, sigma, _) in zip(energy, (one, two), strict=True):
            total += (sigma**2).sum(axis=1)
        to_first, to_second, product = _pairs(one, two)
        answers.append((to_first, to_second))
        inner += product
    norms = np.sqrt(np.outer(*energy))
    cosine = np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0)
    rows: list[Row] = []
    for a, i in enumerate(groups[0]):
        for b, j in enumerate(groups[1]):
            if i < j:
                for reader, other, way in ((i, j, 0), (j, i, 1)):
                    each = np.array([pair[way][a, b] for pair in answers])
                    rows.append(_row(reader, other, each[~np.isnan(each)], cosine[a, b]))
    return rows


def _row(reader: int, other: int, answers: Float64[np.ndarray, " l"], cosine: float) -> Row:
    worst, typical = (answers.max(), np.median(answers)) if len(answers) else (0.0, 0.0)
    return {
        "reader": reader,
        "other": other,
        "modules": len(answers),
        "worst": float(worst),
        "typical": float(typical),
        "cosine": float(cosine),
    }


def _shape(module: str, library: Sequence[Adapter]) -> tuple[int, int]:
    """The shape of a module in all adapters that change it; different base models are refused."""
    changed = [adapter for adapter in library if module in adapter]
    first = changed[0]
    for adapter in changed:
        if adapter.shapes[module] != first.shapes[module]:
            message = (
                f"{module} has shape {first.shapes[module]} in {first.info.name} and "
                f"{adapter.shapes[module]} in {adapter.info.name}: keep adapters of one base model "
                "in a folder"
            )
            raise ExperimentError(message)
    return first.shapes[module]


def _factors(module: str, shape: tuple[int, int], side: Sequence[Adapter]) -> Factors:
    parts = {a: adapter[module].svd() for a, adapter in enumerate(side) if module in adapter}
    rank = max((part.sigma.shape[0] for part in parts.values()), default=0)
    left, right = np.zeros((len(side), shape[0], rank)), np.zeros((len(side), rank, shape[1]))
    sigma = np.zeros((len(side), rank))
    for a, part in parts.items():
        r = part.sigma.shape[0]
        left[a, :, :r], sigma[a, :r], right[a, :r] = part
    return left, sigma, right


def _pairs(one: Factors, two: Factors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relative answers of the second to the first and of the first to the second; inner products.

    NaN where one of them is zero or leaves the module alone.
    """
    (left, sigma, right), (other_left, other_sigma, other_right) = one, two
    if not sigma.size or not other_sigma.size:
        nothing = np.full((len(sigma), len(other_sigma)), np.nan)
        return nothing, nothing, np.zeros_like(nothing)
    rows = np.einsum("arn,bsn->abrs", right, other_right, optimize=True)
    columns = np.einsum("amr,bms->abrs", left, other_left, optimize=True)
    own, other = sigma[:, None, :, None], other_sigma[None, :, None, :]
    inner = (own * rows * columns * other).sum(axis=(2, 3))
    to_first = np.linalg.svd(_directions(own) * rows * other, compute_uv=False)[..., 0]
    to_second = np.linalg.svd(own * rows * _directions(other), compute_uv=False)[..., 0]
    tops = np.broadcast_arrays(sigma[:, :1], other_sigma[:, :1].T)
    some = (tops[0] > 0) & (tops[1] > 0)
    relative = [
        np.divide(answer, top, out=np.full(some.shape, np.nan), where=some)
        for answer, top in zip((to_first, to_second), tops, strict=True)
    ]
    return relative[0], relative[1], inner


def _directions(sigma: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Ones for directions that are read, zeros for those filled up or of no size."""
    return np.asarray(sigma > 1e-12 * sigma.max(axis=(2, 3), keepdims=True), dtype=float)
