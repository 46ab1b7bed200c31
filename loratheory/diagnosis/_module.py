"""One module of a shelf of adapters: overlap, floors, gauge and what a router could see."""

from collections.abc import Iterator
from dataclasses import dataclass

from loratheory.adapters import Adapter, Aligned, interference, merge
from loratheory.lowrank import (
    EPS,
    LowRank,
    balanced,
    double,
    frobenius,
    singular_values,
    svd,
    total,
)
from loratheory.theorems import merge_floor


@dataclass(frozen=True)
class ModuleDiagnosis:
    """What the weights of one module say about merging and routing its adapters.

    Attributes
    ----------
    outputs, inputs : int
        Shape of the updates.
    ranks : tuple of int
        Numerical rank of each adapter here, 0 where it leaves the module alone.
    pair : tuple of int
        The adapters (reader, other) whose relative cross-talk is the largest.
    row_cosine : float
        Largest cosine between the row spaces of that pair.
    crosstalk, ceiling : float
        The most that `other` answers to a unit key of `reader`, and its bound
        (``thm:interference-angle``), both in units of the reader's own largest answer.
    energy : float
        Mean squared norm of the adapters here.
    floors : tuple of (int, float)
        Rank, and the least mean squared distance to the adapters that a merge of this rank can
        have, in units of their mean energy (``thm:merge-floor``).
    gauge_gap : float or None
        Relative distance between two factor means of the same updates, as stored and balanced;
        None where the widths differ and a factor mean does not exist
        (``thm:factor-mean-residual``).
    arrow_gap : tuple of float
        ``1 - sigma_2 / sigma_1`` of each adapter: how well defined its Arrow prototype is.
    arrow_blind : tuple of float
        Share of each adapter's energy outside its prototype, where Arrow's own score is 0
        (``thm:arrow-blind-spot``).
    prototype_cosine : float
        Largest absolute cosine between two prototypes.
    """

    module: str
    outputs: int
    inputs: int
    ranks: tuple[int, ...]
    pair: tuple[int, int]
    row_cosine: float
    crosstalk: float
    ceiling: float
    energy: float
    floors: tuple[tuple[int, float], ...]
    gauge_gap: float | None
    arrow_gap: tuple[float, ...]
    arrow_blind: tuple[float, ...]
    prototype_cosine: float


def examined(shelf: Aligned) -> Iterator[ModuleDiagnosis]:
    """Examine module by module; a module that one adapter lacks counts as zero there.

    Parameters
    ----------
    shelf : Aligned
        At least two adapters for one base model.

    Yields
    ------
    ModuleDiagnosis
        Costs some thin decompositions, ``O((m + n) R^2)`` with the total width ``R``.
    """
    for name in shelf.shapes:
        yield examined_module(name, shelf.updates(name))


def examined_module(name: str, updates: list[LowRank]) -> ModuleDiagnosis:
    """Examine the updates of one module, one an adapter, width 0 where there is none."""
    table = interference(updates)
    own = [float(value) for value in table.crosstalk.diagonal()]
    pairs = [(i, j) for i in range(len(own)) for j in range(len(own)) if i != j and own[i]]
    i, j = max(pairs, key=lambda p: table.crosstalk[p] / own[p[0]], default=(0, 0))
    spectra = [[float(s) for s in singular_values(low)] for low in updates]
    return ModuleDiagnosis(
        module=name,
        outputs=updates[0].shape[0],
        inputs=updates[0].shape[1],
        ranks=tuple(_rank(sigma, max(updates[0].shape)) for sigma in spectra),
        pair=(i, j),
        row_cosine=float(table.row_cosine[i, j]) if pairs else 0.0,
        crosstalk=float(table.crosstalk[i, j]) / own[i] if pairs else 0.0,
        ceiling=float(table.bound[i, j]) / own[i] if pairs else 0.0,
        energy=sum(frobenius(low) ** 2 for low in updates) / len(updates),
        floors=_floors(updates),
        gauge_gap=_gauge_gap([low for low in updates if low.width]),
        arrow_gap=tuple(_gap(sigma) for sigma in spectra),
        arrow_blind=tuple(_blind(sigma) for sigma in spectra),
        prototype_cosine=_prototype_cosine([low for low in updates if low.width]),
    )


def _rank(sigma: list[float], side: int) -> int:
    return sum(value > side * EPS * sigma[0] for value in sigma)


def _gap(sigma: list[float]) -> float:
    """How far the second singular value lies below the first, relative to it."""
    if not sigma or not sigma[0]:
        return 0.0
    return 1.0 - (sigma[1] / sigma[0] if len(sigma) > 1 else 0.0)


def _blind(sigma: list[float]) -> float:
    """Share of the energy beyond the first singular direction."""
    energy = sum(value**2 for value in sigma)
    return sum(value**2 for value in sigma[1:]) / energy if energy else 0.0


def _floors(updates: list[LowRank]) -> tuple[tuple[int, float], ...]:
    """The merge floor at 1, 2, 4, … and at the rank where no truncation is left."""
    energy = sum(frobenius(low) ** 2 for low in updates) / len(updates)
    mean = total(updates) / len(updates)
    tail = [float(value) ** 2 for value in singular_values(mean)]
    disagreement = merge_floor.bound(merge_floor.Case(tuple(updates), rank=len(tail)))
    steps = [2**power for power in range(max(len(tail), 1).bit_length()) if 2**power < len(tail)]
    return tuple(
        (rank, (disagreement + sum(tail[rank:])) / energy if energy else 0.0)
        for rank in [*steps, len(tail)]
    )


def _gauge_gap(updates: list[LowRank]) -> float | None:
    """How much a factor mean depends on how the same updates were written down."""
    if len({low.width for low in updates}) != 1:
        return None
    forms = [balanced(low) for low in updates]
    if len({form.width for form in forms}) != 1:
        return None
    stored, canonical = _factor_mean(updates), _factor_mean(forms)
    size = max(frobenius(stored), frobenius(canonical))
    return frobenius(stored.map(double) - canonical) / size if size else 0.0


def _factor_mean(updates: list[LowRank]) -> LowRank:
    return merge([Adapter.of({"here": low}) for low in updates], "factor-mean")["here"]


def _prototype_cosine(updates: list[LowRank]) -> float:
    """How alike the two most alike Arrow prototypes are."""
    tops = [svd(low).right[:1, :] for low in updates]
    pairs = [(p, q) for number, p in enumerate(tops) for q in tops[:number]]
    return max((abs(float((p @ q.T)[0, 0])) for p, q in pairs), default=0.0)
