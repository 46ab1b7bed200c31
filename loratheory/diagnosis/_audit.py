"""How far a merge lies from its adapters, beside the least distance possible at its rank."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loratheory.adapters import Adapter, Aligned, Lazy
from loratheory.adapters.merging import SAME
from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    device,
    double,
    grams,
    thin_svd,
    total,
)
from loratheory.theorems.expressiveness.rank_floor import Tasks, bound


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

    Distances come from inner products, exact to rounding of the norms. Costs ``O((m + n) c^2)``,
    ``c`` the sum of the widths, or a few thin QRs where ``c`` exceeds a side of the matrix.
    """
    one, count, width = [*updates], len(updates), merged.width
    wide = sum(low.width for low in one)
    if wide + width > min(merged.shape):
        return _apart(name, merged, one, total(one, list(weights)))
    if width == wide and _same(merged, total(one, list(weights))):  # nothing new to multiply
        products, made = grams(one), [float(weight) for weight in weights]
    else:
        products, made = grams([*one, merged]), [0.0] * count + [1.0]
    rest = [0.0] * (len(made) - count)
    mean, wanted = [1 / count] * count + rest, [*weights, *rest]
    each = [[float(i == j) for i in range(len(made))] for j in range(count)]
    spread = sum(products.squared(_less(task, mean)) for task in each) / count
    return ModuleAudit(
        module=name,
        width=width,
        energy=products.squared(wanted),
        to_sum=products.squared(_less(made, wanted)),
        sum_floor=products.tail(wanted, width),
        to_adapters=sum(products.squared(_less(made, task)) for task in each) / count,
        adapters_floor=spread + products.tail(mean, width),
    )


def on_inputs(
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
    target = [weight * low for low, weight in zip(updates, weights, strict=True)]
    target = [low.map(double) for low in target]
    xp = array_namespace(target[0].up)
    place = {"dtype": target[0].up.dtype, "device": device(target[0].up)}
    roots = [xp.asarray(root, **place) for root in roots]
    answers = [LowRank(low.up, low.down @ x.T) for low, x in zip(target, roots, strict=True)]
    made = [LowRank(merged.up, merged.down @ x.T) for x in roots]
    energy = sum(low.norm**2 for low in answers)
    axes, start, reached = thin_svd(xp.concat(roots, axis=0)).above(SAME).left, 0, []
    for low in answers:  # what one linear map of the inputs can say: the part on their axes
        end = start + low.shape[1]
        reached.append(LowRank(low.up, low.down @ axes[start:end, :]))
        start = end
    seen = total(reached)
    return replace(
        found,
        input_energy=energy,
        input_error=sum((one - low).norm ** 2 for one, low in zip(made, answers, strict=True)),
        input_floor=max(0.0, energy - seen.norm**2) + seen.tail_energy(merged.width),
    )


def _less(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(one, other, strict=True)]


def _same(one: LowRank, other: LowRank) -> bool:
    """Whether factors of one width are equal, entry by entry."""
    pairs = ((one.up, other.up), (one.down, other.down))
    return all(bool(array_namespace(a, b).all(a == b)) for a, b in pairs)


def _apart(name: str, merged: LowRank, updates: list[LowRank], target: LowRank) -> ModuleAudit:
    """The same by decompositions, where the widths add up to more than a side."""
    case = Tasks(tuple(updates), merged.width)
    return ModuleAudit(
        module=name,
        width=merged.width,
        energy=target.norm**2,
        to_sum=(merged - target).norm ** 2,
        sum_floor=target.tail_energy(merged.width),
        to_adapters=case.error(merged),
        adapters_floor=bound(case),
    )


def audited(
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
        low = merged[name]
        updates = library.updates(name)
        found = audit(name, low, updates, weights)
        note(on_inputs(found, low, updates, weights, moments(name)) if moments else found)
        return low

    return replace(merged, modules=Lazy(tuple(merged), _make))
