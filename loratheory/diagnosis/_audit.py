"""What a merge gave away, in weights: two distances, each beside the floor no merge can beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loratheory.adapters import Adapter, Aligned, Lazy
from loratheory.lowrank import LowRank, frobenius, tail_energy, total
from loratheory.theorems import merge_floor


@dataclass(frozen=True)
class ModuleAudit:
    """Squared distances of one merged module; the sums over modules are those of the adapter.

    Attributes
    ----------
    width : int
        Width of the merged factors: the rank that the merge spends at most.
    energy : float
        Squared norm of the weighted sum.
    to_sum, sum_floor : float
        Squared distance to the weighted sum, and its least value at this rank (Eckart–Young).
    to_adapters, adapters_floor : float
        Mean squared distance to the adapters, and its floor at this rank (``thm:merge-floor``).
    """

    module: str
    width: int
    energy: float
    to_sum: float
    sum_floor: float
    to_adapters: float
    adapters_floor: float


def audit(
    name: str, merged: LowRank, updates: Sequence[LowRank], weights: Sequence[float]
) -> ModuleAudit:
    """Compare one merged update with what it stands for; costs a few thin QRs."""
    target = total(list(updates), list(weights))
    case = merge_floor.Case(tuple(updates), merged.width)
    return ModuleAudit(
        module=name,
        width=merged.width,
        energy=frobenius(target) ** 2,
        to_sum=frobenius(merged - target) ** 2,
        sum_floor=tail_energy(target, merged.width),
        to_adapters=merge_floor.measure(case, merged),
        adapters_floor=merge_floor.bound(case),
    )


def audited(
    merged: Adapter,
    shelf: Aligned,
    weights: Sequence[float],
    note: Callable[[ModuleAudit], None],
) -> Adapter:
    """Return `merged` such that each module, when looked up, is also handed to `note` as an audit.

    Parameters
    ----------
    merged : Adapter
        The result of a merge; it may be lazy and stays so.
    shelf : Aligned
        What was merged; a module that one adapter lacks counts as zero.
    weights : sequence of float
        Of the weighted sum to compare with.
    note : callable
        Called once a module, e.g. ``audits.append``.

    Returns
    -------
    Adapter
        The same modules; nothing is computed until they are looked up.
    """

    def _make(name: str) -> LowRank:
        low = merged[name]
        note(audit(name, low, shelf.updates(name), weights))
        return low

    return replace(merged, modules=Lazy(tuple(merged), _make))
