"""Which adapters of a large library disturb which: all pairs, in blocks, by any executor.

The command ``loratheory interfere`` makes the sweep of a user's folder; it has no profiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, aligned, read_adapter
from loratheory.adapters.peft_io import located
from loratheory.experiments.engine import Experiment, ExperimentError, Row
from loratheory.shapes import Float64
from loratheory.store import content_hash

Factors = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Singular value decompositions of one module in ``a`` adapters: left vectors ``(a, m, r)``, values
``(a, r)`` and right vectors ``(a, r, n)``, padded with zeros."""


@dataclass(frozen=True)
class Block:
    """Two `groups` of a library, as paths of adapters, and how many adapters come before each.

    The `state` is a digest of the files when the sweep began.
    """

    state: str
    groups: tuple[tuple[str, ...], tuple[str, ...]]
    starts: tuple[int, int]


def members(
    places: Sequence[Path],
    subfolder: str = "",
    revision: str | None = None,
    *,
    download: bool = False,
) -> dict[str, Path]:
    """Return the paths of a library's adapters, by name and sorted.

    A library is one folder that contains folders of adapters, or a list of adapters. Other
    arguments are passed to `read`.

    Raises
    ------
    ExperimentError
        If there are fewer than two adapters, one is named twice, or a name has a newline or is not
        UTF-8.
    AdapterError
        If an adapter does not exist.
    """
    inner = Path(subfolder) / "adapter_config.json"
    if len(places) == 1 and places[0].is_dir() and not (places[0] / inner).exists():
        home = places[0].resolve()
        below = [path for path in home.iterdir() if (path / inner).exists()]
        found = {path.name: path / subfolder for path in sorted(below)}
    else:
        names = [str(place) for place in places]
        if twice := next((name for name in names if names.count(name) > 1), None):
            message = f"{twice} is named twice: name each adapter once"
            raise ExperimentError(message)
        how: Any = {"subfolder": subfolder, "revision": revision, "download": download}
        found = {name: located(name, **how).resolve() for name in names}
    if len(found) < 2:
        remedy = "name a folder with at least two below it, or two adapters"
        message = f"{places[0]} holds {len(found)} adapters: {remedy}"
        raise ExperimentError(message)
    for name in found:
        if not name.isprintable():  # one that is no UTF-8 holds surrogates, which are not either
            message = f"{places[0]} holds {name!r}, which fits on no line of names.txt: rename it"
            raise ExperimentError(message)
    return found


def sweep(
    library: Mapping[str, Path],
    block: int = 50,
    *,
    any_base: bool = False,
) -> Experiment:
    """Return the experiment that compares all pairs of the adapters that `members` found.

    Its only profile is ``all``: a cell for each pair of groups of `block` adapters, so that little
    is lost if it is stopped. Raises `AdapterError` if a file is no adapter, or if adapters name
    their modules in different ways or name different base models; `any_base` allows the last, but
    shapes must always agree.
    """
    places = [*library.values()]
    headers = (read_adapter(place) for place in places)
    aligned([replace(one, modules={}, shapes={}) for one in headers], any_base=any_base)
    # sizes and ages: another library has other cells
    files = [
        (name, file)
        for name, place in library.items()
        for file in ([place] if place.is_file() else sorted(place.glob("adapter_model*")))
    ]
    states = [(name, file.name, file.stat()) for name, file in files]
    state = content_hash([(*at, one.st_size, one.st_mtime_ns) for *at, one in states], digits=16)
    starts = range(0, len(places), block)
    groups = {start: tuple(map(str, places[start : start + block])) for start in starts}
    cells = tuple(
        Block(state, (groups[one], groups[two]), (one, two))
        for one, two in combinations_with_replacement(starts, 2)
    )
    document = "**Question.** Which adapters of a library disturb which?"
    return Experiment(__name__, document, cell, {"all": cells}, {"all": len(cells)})


def cell(config: Block) -> list[Row]:
    """Return a row for each ordered pair of adapters in the block.

    `reader` and `other` are their numbers in the sorted library; `modules` counts the modules that
    both change. `worst` and `typical` are the largest and the median, over modules, of the largest
    output norm of `other` on a unit input in the row space of `reader`, in units of the largest
    output norm of `reader` itself (``thm:interference-angle``). `cosine` is the Frobenius cosine of
    the whole updates. Costs a thin decomposition per adapter and module, then products of ``r × r``
    cores per pair; one module of both groups is in memory at a time.
    """
    sides = [[read_adapter(place) for place in group] for group in config.groups]
    groups = [
        range(start, start + len(group))
        for start, group in zip(config.starts, config.groups, strict=True)
    ]
    both = [adapter for side in sides for adapter in side]
    answers, inner = list[np.ndarray](), np.zeros([len(group) for group in groups])
    energy = [np.zeros(len(group)) for group in groups]
    for module in dict.fromkeys(name for adapter in both for name in adapter):
        shape = _shape(module, both)
        one, two = (factors(module, shape, side) for side in sides)
        for total, (_, sigma, _) in zip(energy, (one, two), strict=True):
            total += (sigma**2).sum(axis=1)
        *both_ways, together = relative(one, two)
        answers.append(np.array(both_ways))
        inner += together
    norms = np.sqrt(np.outer(*energy))
    cosine = np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0)
    rows: list[Row] = []
    for (a, i), (b, j) in product(*map(enumerate, groups)):
        if i < j:
            for way, (reader, other) in enumerate(((i, j), (j, i))):
                each = np.array([pair[way, a, b] for pair in answers])
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
    first, *others = (adapter for adapter in library if module in adapter)
    for adapter in others:
        if adapter.shapes[module] != first.shapes[module]:
            shapes = f"{first.shapes[module]} in {first.info.name} and {adapter.shapes[module]}"
            fact = f"{module} has shape {shapes} in {adapter.info.name}"
            message = f"{fact}: keep adapters of one base model in a folder"
            raise ExperimentError(message)
    return first.shapes[module]


def factors(module: str, shape: tuple[int, int], side: Sequence[Adapter]) -> Factors:
    """Return the singular value decompositions of one module in some adapters, side by side."""
    parts = {a: adapter[module].svd() for a, adapter in enumerate(side) if module in adapter}
    rank = max((part.sigma.shape[0] for part in parts.values()), default=0)
    left, right = np.zeros((len(side), shape[0], rank)), np.zeros((len(side), rank, shape[1]))
    sigma = np.zeros((len(side), rank))
    for a, part in parts.items():
        r = part.sigma.shape[0]
        left[a, :, :r], sigma[a, :r], right[a, :r] = part
    return left, sigma, right


def relative(one: Factors, two: Factors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by pairs the relative cross-talk to the first, that to the second, and inner products.

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
    sides = (_directions(own) * rows * other, own * rows * _directions(other))
    answers = [np.linalg.svd(side, compute_uv=False)[..., 0] for side in sides]
    tops = np.broadcast_arrays(sigma[:, :1], other_sigma[:, :1].T)
    with np.errstate(invalid="ignore", divide="ignore"):
        some = np.where((tops[0] > 0) & (tops[1] > 0), 1.0, np.nan)
        to_first, to_second = (
            some * answer / top for answer, top in zip(answers, tops, strict=True)
        )
    return to_first, to_second, inner


def _directions(sigma: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Ones for directions that are read, zeros for those filled up or of no size."""
    return np.asarray(sigma > 1e-12 * sigma.max(axis=(2, 3), keepdims=True), dtype=float)
