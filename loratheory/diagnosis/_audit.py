"""What a merge gave away, in weights: two distances, each beside the floor no merge can beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loratheory.adapters import Adapter, Aligned, Lazy
from loratheory.lowrank import LowRank, array_namespace, grams, total
from loratheory.theorems.expressiveness.rank_floor import Tasks, bound


@dataclass(frozen=True)
class ModuleAudit:
    """Squared distances of one merged module; the sums over modules are those of the adapter."""

    module: str
    width: int  #: Of the merged factors: the rank that the merge spends at most.
    energy: float  #: Squared norm of the weighted sum.
    to_sum: float  #: Squared distance to the weighted sum,
    sum_floor: float  #: and its least value at this rank (Eckart–Young).
    to_adapters: float  #: Mean squared distance to the adapters,
    adapters_floor: float  #: and its floor at this rank (``thm:merge-floor``).


def audit(
    name: str, merged: LowRank, updates: Sequence[LowRank], weights: Sequence[float]
) -> ModuleAudit:
    """Compare one merged update with the updates that it was made of and their weighted sum.

    Distances come from inner products, right to rounding of the norms; costs ``O((m + n) c^2)``,
    ``c`` the sum of the widths (a few thin QRs where that exceeds a side of the matrix).
    """
    one = [*updates]
    target = total(one, list(weights))
    if target.width + merged.width > min(merged.shape):
        return _apart(name, merged, one, target)
    count, width = len(one), merged.width
    if _same(merged, target):  # what is merged is the sum: nothing new to multiply
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


def _less(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(one, other, strict=True)]


def _same(one: LowRank, other: LowRank) -> bool:
    """Whether the factors are equal, entry by entry."""
    if one.width != other.width:
        return False
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
) -> Adapter:
    """Return `merged` such that each module, when looked up, is also handed to `note` as an audit.

    `weights` are those of the weighted sum to compare with; a module that an adapter of `library`
    lacks counts as zero. Nothing is computed until modules are looked up.
    """

    def _make(name: str) -> LowRank:
        low = merged[name]
        note(audit(name, low, library.updates(name), weights))
        return low

    return replace(merged, modules=Lazy(tuple(merged), _make))
