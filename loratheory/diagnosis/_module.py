"""Numbers of one module: the spectrum of one adapter there, and how several interfere there."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loratheory.adapters import MERGE_METHODS, Adapter, Aligned, Options, interference
from loratheory.lowrank import EPS, Array, LowRank, double, grams, in_common_frames, signs, total


@dataclass(frozen=True)
class ModuleSpectrum:
    """The singular values `sigma` of one module's update, and numbers computed from them.

    `energy` is the squared Frobenius norm, `spectral` the spectral norm; the others have the names
    that they have in `LowRank`.
    """

    module: str
    outputs: int
    inputs: int
    width: int
    rank: int
    energy: float
    spectral: float
    stable_rank: float
    effective_rank: float
    sigma: tuple[float, ...]


def spectra(adapter: Adapter) -> Iterator[ModuleSpectrum]:
    """Yield the spectrum of each module in order, with one module in memory at a time.

    Costs as `LowRank.svd` for each.

    Examples
    --------
    >>> first = next(spectra(lt.read_adapter("tests/data/persons")))
    >>> first.module, first.rank, round(first.spectral, 2)
    ('model.layers.0.mlp.down_proj', 4, 3.77)
    """
    for name in adapter:
        low = adapter[name]
        sigma = tuple(float(value) for value in low.S)
        yield ModuleSpectrum(
            module=name,
            outputs=low.shape[0],
            inputs=low.shape[1],
            width=low.width,
            rank=low.rank,
            energy=math.fsum(value**2 for value in sigma),
            spectral=low.spectral_norm,
            stable_rank=low.stable_rank,
            effective_rank=low.effective_rank,
            sigma=sigma,
        )


def layer_of(module: str) -> int | None:
    """Return the layer number in a module's name, its first numeric part; None if there is none."""
    number = re.search(r"(?:^|\.)(\d{1,9})(?:\.|$)", module)
    return int(number[1]) if number else None


def kind_of(module: str) -> str:
    """Return a module's name without its layer number, which is the same in all layers."""
    return re.sub(r"(?:^|(?<=\.))\d+(?=\.|$)", "*", module)


CLEAR = 1e-6  # a gap that inner products show for certain


@dataclass(frozen=True)
class ModuleDiagnosis:
    """Numbers of one module that tell about merging and routing the adapters in it."""

    module: str
    outputs: int
    inputs: int
    ranks: tuple[int, ...]  #: Numerical rank of each adapter, 0 where it leaves the module alone.
    pair: tuple[int, int]  #: The adapters (reader, other) with the largest relative cross-talk.
    row_cosine: float  #: Largest cosine between the row spaces of this pair.
    crosstalk: float
    """Largest output norm of `other` on unit inputs from the row space of `reader`, divided by the
    spectral norm of `reader`."""
    ceiling: float  #: Upper bound of `crosstalk` (``thm:interference-angle``).
    energy: float  #: Mean squared norm of the adapters here.
    floors: tuple[tuple[int, float], ...]
    """Pairs of a rank and the least mean squared distance to the adapters that a merge of this rank
    can have, divided by `energy` (``thm:merge-floor``)."""
    gauge_gap: float | None
    """Relative distance between the products of averaged factors, once of the factors as stored and
    once of balanced ones; None where the widths differ (``thm:factor-mean-residual``)."""
    arrow_gap: tuple[float, ...]
    """``1 - sigma_2 / sigma_1`` of each adapter: how well defined its Arrow prototype, the first
    right singular vector, is."""
    arrow_blind: tuple[float, ...]
    """Share of each adapter's energy outside its prototype (``thm:arrow-blind-spot``)."""
    prototype_cosine: float  #: Largest absolute cosine between the prototypes of two adapters.


def examined(library: Aligned) -> Iterator[ModuleDiagnosis]:
    """Yield the numbers of each module; an adapter that lacks a module counts as zero there.

    Costs two QRs for each module, ``O((m + n) R^2)`` with the total width ``R``; everything else is
    computed in their coordinates, where no side is longer than ``R``.
    """
    for name in library.shapes:
        yield examined_module(name, library.updates(name))


def examined_module(name: str, updates: list[LowRank]) -> ModuleDiagnosis:
    """Return the numbers of one module from its updates, one for each adapter (may be width 0)."""
    outputs, inputs = updates[0].shape
    tolerance = max(outputs, inputs) * EPS
    updates, back = in_common_frames(updates)
    table = interference(updates, tolerance)
    own = [float(value) for value in table.crosstalk.diagonal()]
    pairs = [(i, j) for i in range(len(own)) for j in range(len(own)) if i != j and own[i]]
    i, j = max(pairs, key=lambda p: table.crosstalk[p] / own[p[0]], default=(0, 0))
    spectra = [[float(s) for s in low.S] for low in updates]
    changed = [low for low in updates if low.width]
    energies = [sum(s**2 for s in sigma) for sigma in spectra]
    energy = sum(s**2 for sigma in spectra for s in sigma) / len(spectra)
    return ModuleDiagnosis(
        module=name,
        outputs=outputs,
        inputs=inputs,
        ranks=tuple(low.rank_at(tolerance) for low in updates),
        pair=(i, j),
        row_cosine=float(table.row_cosine[i, j]) if pairs else 0.0,
        crosstalk=float(table.crosstalk[i, j]) / own[i] if pairs else 0.0,
        ceiling=float(table.bound[i, j]) / own[i] if pairs else 0.0,
        energy=energy,
        floors=_floors(updates, energy),
        gauge_gap=_gauge_gap(changed, tolerance, back),
        arrow_gap=tuple(
            1.0 - ([*sigma, 0.0][1] / sigma[0]) if sigma and sigma[0] else 0.0 for sigma in spectra
        ),
        arrow_blind=tuple(
            sum(s**2 for s in sigma[1:]) / size if size else 0.0
            for sigma, size in zip(spectra, energies, strict=True)
        ),
        prototype_cosine=_prototype_cosine(changed),
    )


def _floors(updates: list[LowRank], energy: float) -> tuple[tuple[int, float], ...]:
    """The merge floor at 1, 2, 4, … and at the rank where no truncation is left."""
    even_weights = [1 / len(updates)] * len(updates)
    if sum(low.width for low in updates) <= min(updates[0].shape):
        tail = [float(value) for value in grams(updates).energies(even_weights)]
    else:  # their mean is narrower than all of them side by side
        tail = [float(value) ** 2 for value in total(updates, even_weights).S]
    disagreement = max(0.0, energy - sum(tail))
    steps = [2**power for power in range(max(len(tail), 1).bit_length()) if 2**power < len(tail)]
    return tuple(
        (rank, (disagreement + sum(tail[rank:])) / energy if energy else 0.0)
        for rank in [*steps, len(tail)]
    )


def _gauge_gap(
    updates: list[LowRank], tolerance: float, back: Callable[[Array], Array]
) -> float | None:
    """How much a factor mean depends on how the same updates were written down."""
    forms = [low.balanced(tolerance) for low in updates]
    turns = [signs(back(form.up)) for form in forms]  # the balanced form has them right there
    forms = [
        LowRank(form.up * turn, turn[:, None] * form.down)
        for form, turn in zip(forms, turns, strict=True)
    ]
    if len({low.width for low in updates}) != 1 or len({form.width for form in forms}) != 1:
        return None
    stored, canonical = (
        MERGE_METHODS["factor-mean"].rule(written, [1.0] * len(written), Options()).map(double)
        for written in (updates, forms)
    )
    products = grams([stored, canonical])
    size = max(products.squared([1, 0]), products.squared([0, 1])) ** 0.5
    gap = products.squared([1, -1]) ** 0.5 / size if size else 0.0
    return gap if gap > CLEAR or not size else (stored - canonical).norm / size


def _prototype_cosine(updates: list[LowRank]) -> float:
    """How alike the two most alike Arrow prototypes are."""
    tops = [low.Vh[:1, :] for low in updates]
    pairs = [(p, q) for number, p in enumerate(tops) for q in tops[:number]]
    return max((abs(float((p @ q.T)[0, 0])) for p, q in pairs), default=0.0)
