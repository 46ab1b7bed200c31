"""One block of pairs: some adapters against some others, module by module, both ways at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loratheory.adapters import Adapter, read
from loratheory.experiments.engine import ExperimentError, Row
from loratheory.shapes import Float64


@dataclass(frozen=True)
class Block:
    """Two groups of a shelf.

    Attributes
    ----------
    shelf : str
        The folder.
    state : str
        Digest of what lay there when the sweep began.
    size : int
        Adapters in a group.
    first, second : int
        Which groups; equal for the pairs within one.
    """

    shelf: str
    state: str
    size: int
    first: int
    second: int


@dataclass(frozen=True, eq=False)
class Side:
    """The updates of one module in one group, ranks filled up with zeros.

    Attributes
    ----------
    left : (a, m, r) array
        Left singular vectors.
    sigma : (a, r) array
        Singular values; all zero where an adapter leaves the module alone.
    right : (a, r, n) array
        Right singular vectors.
    """

    left: Float64[np.ndarray, "a m r"]
    sigma: Float64[np.ndarray, "a r"]
    right: Float64[np.ndarray, "a r n"]


def members(home: Path) -> list[str]:
    """The adapters in a folder, by name, in order."""
    return sorted(file.parent.name for file in home.glob("*/adapter_config.json"))


def cell(config: Block) -> list[Row]:
    """Return a row for each ordered pair of the block.

    Parameters
    ----------
    config : Block
        Which pairs.

    Returns
    -------
    list of dict
        Places of `reader` and `other` in the sorted shelf; how many `modules` both change; the
        `worst` and the median `typical` of what `other` answers to a unit key of `reader`, in units
        of the reader's own largest answer (``thm:interference-angle``); the Frobenius `cosine` of
        the whole updates. Costs a thin decomposition an adapter and module, then products of
        ``r × r`` cores a pair; one module of both groups is in memory at a time.
    """
    home = Path(config.shelf)
    names = members(home)
    groups = [range(len(names))[g * config.size : (g + 1) * config.size]
              for g in (config.first, config.second)]  # fmt: skip
    sides = [[read(home / names[i]) for i in group] for group in groups]
    heard: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    inner = np.zeros((len(groups[0]), len(groups[1])))
    energy = [np.zeros(len(group)) for group in groups]
    modules = dict.fromkeys(name for side in sides for adapter in side for name in adapter)
    for module in modules:
        _same_shape(module, [adapter for side in sides for adapter in side if module in adapter])
        found = [_side(module, side) for side in sides]
        for total, side in zip(energy, found, strict=True):
            total += (side.sigma**2).sum(axis=1)
        answers, product = _pairs(*found)
        inner += product
        for kept, answer in zip(heard, answers, strict=True):
            kept.append(answer)
    norms = np.sqrt(np.outer(*energy))
    cosine = np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0)
    one, two = (np.stack(answers) for answers in heard)
    rows = []
    for a, i in enumerate(groups[0]):
        for b, j in enumerate(groups[1]):
            if i < j:
                rows += [_row(i, j, one[:, a, b], cosine[a, b]),
                         _row(j, i, two[:, a, b], cosine[a, b])]  # fmt: skip
    return rows


def _same_shape(module: str, shelf: Sequence[Adapter]) -> None:
    """Refuse adapters of different base models."""
    for adapter in shelf[1:]:
        if adapter.shapes[module] != shelf[0].shapes[module]:
            message = (
                f"{module} has shape {shelf[0].shapes[module]} in {shelf[0].info.name} and "
                f"{adapter.shapes[module]} in {adapter.info.name}: keep adapters of one base model "
                "on a shelf"
            )
            raise ExperimentError(message)


def _side(module: str, side: Sequence[Adapter]) -> Side:
    lows = [adapter.get(module) for adapter in side]
    parts = [None if low is None else low.svd() for low in lows]
    shape = next(iter(adapter.shapes[module] for adapter in side if module in adapter), (0, 0))
    rank = max([part.sigma.shape[0] for part in parts if part is not None], default=0)
    left, right = np.zeros((len(side), shape[0], rank)), np.zeros((len(side), rank, shape[1]))
    sigma = np.zeros((len(side), rank))
    for i, part in enumerate(parts):
        if part is not None:
            r = part.sigma.shape[0]
            left[i, :, :r], sigma[i, :r], right[i, :r] = part
    return Side(left, sigma, right)


def _pairs(
    one: Side, two: Side
) -> tuple[tuple[Float64[np.ndarray, "a b"], Float64[np.ndarray, "a b"]], np.ndarray]:
    """Relative answers of the second to the first, of the first to the second; inner products."""
    shape = len(one.sigma), len(two.sigma)
    if not one.sigma.size or not two.sigma.size:
        nothing = np.full(shape, np.nan)
        return (nothing, nothing), np.zeros(shape)
    rows = np.einsum("arn,bsn->abrs", one.right, two.right, optimize=True)
    columns = np.einsum("amr,bms->abrs", one.left, two.left, optimize=True)
    own, other = one.sigma[:, None, :, None], two.sigma[None, :, None, :]
    inner = (own * rows * columns * other).sum(axis=(2, 3))
    to_first = np.linalg.svd(_read(own) * rows * other, compute_uv=False)[..., 0]
    to_second = np.linalg.svd(own * rows * _read(other), compute_uv=False)[..., 0]
    tops = one.sigma[:, :1], two.sigma[:, :1].T
    both = (tops[0] > 0) & (tops[1] > 0)
    return tuple(
        np.where(both, answer / np.where(top > 0, top, 1.0), np.nan)
        for answer, top in zip((to_first, to_second), tops, strict=True)
    ), inner  # type: ignore[return-value]


def _read(sigma: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Ones for directions that are read, zeros for those filled up or of no size."""
    top = sigma.max(axis=(2, 3), keepdims=True)
    return np.asarray(sigma > 1e-12 * top, dtype=float)


def _row(reader: int, other: int, answers: Float64[np.ndarray, " l"], cosine: float) -> Row:
    heard = answers[~np.isnan(answers)]
    return {
        "reader": reader,
        "other": other,
        "modules": len(heard),
        "worst": float(heard.max()) if len(heard) else 0.0,
        "typical": float(np.median(heard)) if len(heard) else 0.0,
        "cosine": float(cosine),
    }
