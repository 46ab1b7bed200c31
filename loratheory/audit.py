"""How far a merge lies from its adapters, and the least distance possible at its rank."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product, starmap
from operator import attrgetter

import numpy as np

from loratheory.adapters import Adapter, Aligned
from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    concatenated,
    device,
    double,
    thin_svd,
    total,
)

# relative: singular values of inputs below it are rounding
SAME = 1e-8


@dataclass(frozen=True)
class ModuleAudit:
    """Squared Frobenius distances of one merged module; they add up over the modules."""

    module: str
    width: int  #: Inner size of the merged factors: the largest rank that the merge can have.
    energy: float  #: Squared norm of the weighted sum.
    to_sum: float  #: Squared distance from the merge to the weighted sum.
    sum_floor: float  #: The least `to_sum` that this rank allows (Eckart–Young).
    to_adapters: float  #: Mean squared distance from the merge to the adapters.
    adapters_floor: float  #: The least `to_adapters` that this rank allows (``thm:merge-floor``).
    input_energy: float | None = None  #: Squared outputs of the weighted adapters on given inputs.
    input_error: float | None = None  #: Squared error of the merge there, summed over adapters.
    input_floor: float | None = None  #: The least that this rank allows (``thm:fisher-floor``).


def audit(
    name: str, merged: LowRank, updates: Sequence[LowRank], weights: Sequence[float]
) -> ModuleAudit:
    """Return how far one merged update is from its adapters' updates and their weighted sum.

    Squared distances are exact to rounding of the squared norms. Costs ``O((m + n) R^2)`` with the
    total width ``R`` of the updates and the merge, and ``O(R^3)`` for the singular values.
    """
    lows, moved, start, count = [*updates, merged], [], 0, len(updates)
    # rules that add return the weighted sum itself, and then there is nothing new to multiply
    adds = merged.width == sum(map(attrgetter("width"), updates))
    if adds and _equal(merged, total([*updates], weights)):
        lows.pop()
    together = concatenated(lows, [1] * len(lows))
    # a Gram matrix is cheaper than a QR, and norms and singular values depend on nothing else
    up, down = _match_gram(together.up), _match_gram(together.down.T)
    for low in lows:
        own = slice(start, start + low.width)
        moved.append(LowRank(up[:, own], down[:, own].T))
        start = own.stop
    products = np.array(list(starmap(LowRank.inner, product(moved, moved))))
    unit = np.eye(len(moved))
    tasks, products = unit[:count], products.reshape(unit.shape)
    wanted, mean = np.asarray(weights) @ tasks, tasks.mean(axis=0)
    made = unit[-1] if len(moved) > count else wanted

    def _square(rows: Array) -> float:
        """Mean squared norm of combinations with these coefficients: a quadratic form in them."""
        return float(np.maximum(0.0, np.mean(np.sum(rows @ products * rows, axis=-1))))

    target, middle = total(moved[:count], weights), total(moved[:count]) / count
    return ModuleAudit(
        name,
        merged.width,
        energy=_square(wanted),
        to_sum=_square(made - wanted),
        sum_floor=target.tail_energy(merged.width),
        to_adapters=_square(made - tasks),
        adapters_floor=_square(mean - tasks) + middle.tail_energy(merged.width),
    )


def _equal(one: LowRank, other: LowRank) -> bool:
    """Whether factors of one width are equal, entry by entry."""
    xp = array_namespace(one.up, other.up)
    return bool(xp.all(one.up == other.up)) and bool(xp.all(one.down == other.down))


def _match_gram(columns: Array) -> Array:
    """Return as few-rowed a matrix as possible with the inner products of these columns."""
    if columns.shape[0] <= columns.shape[1]:
        return columns
    xp = array_namespace(columns)
    values, vectors = xp.linalg.eigh(columns.T @ columns)
    return xp.sqrt(xp.clip(values, 0.0, None))[:, None] * vectors.T


def audit_on_inputs(
    found: ModuleAudit,
    merged: LowRank,
    updates: Sequence[LowRank],
    weights: Sequence[float],
    roots: Sequence[Array],
) -> ModuleAudit:
    """Return the audit `found` with its three fields on inputs of given second moments filled in.

    There is one root for each adapter; ``root.T @ root`` is the second moment of its inputs. Costs
    a thin decomposition of the roots; no dense update is formed.
    """
    like = double(merged.up)
    xp, answers, error = array_namespace(like), [], 0.0
    roots = [xp.asarray(root, dtype=like.dtype, device=device(like)) for root in roots]
    for low, weight, root in zip(updates, weights, roots, strict=True):
        wanted = (weight * low).map(double)
        answers.append(LowRank(wanted.up, wanted.down @ root.T))
        error += (LowRank(merged.up, merged.down @ root.T) - answers[-1]).norm ** 2
    energy = sum(low.norm**2 for low in answers)
    # what one linear map of the inputs can answer is the part on the axes of all roots together
    axes, reached, start = thin_svd(xp.concat(roots, axis=0)).above(SAME).left, [], 0
    for low in answers:
        own = slice(start, start + low.shape[1])
        reached.append(LowRank(low.up, low.down @ axes[own, :]))
        start = own.stop
    seen = total(reached)
    floor = max(0.0, energy - seen.norm**2) + seen.tail_energy(merged.width)
    return replace(found, input_energy=energy, input_error=error, input_floor=floor)


def audit_on_lookup(
    merged: Adapter,
    library: Aligned,
    weights: Sequence[float],
    note: Callable[[ModuleAudit], None],
    moments: Callable[[str], Sequence[Array]] | None = None,
) -> Adapter:
    """Return `merged` unchanged, except that looking up a module calls `note` with its audit.

    `weights` are those of the weighted sum to compare with; a module that an adapter of `library`
    lacks counts as zero. ``moments(module)`` gives a root of the second moment of the module's
    inputs for each adapter. Nothing is computed until a module is looked up.
    """

    def _make(name: str) -> LowRank:
        low, updates = merged[name], library.updates(name)
        found = audit(name, low, updates, weights)
        if moments:
            found = audit_on_inputs(found, low, updates, weights, moments(name))
        note(found)
        return low

    return Adapter(_make, merged.shapes, merged.info)
