"""How far a merge lies from its adapters, beside the least distance possible at its rank."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loratheory.adapters import Adapter, Aligned, Lazy
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

SAME = 1e-8  # relative: singular values of inputs below it are rounding


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
    target = total(one, list(weights))
    if sum(low.width for low in one) + width > min(merged.shape):
        case = Tasks(tuple(one), width)
        return ModuleAudit(
            name,
            width,
            energy=target.norm**2,
            to_sum=(merged - target).norm ** 2,
            sum_floor=target.tail_energy(width),
            to_adapters=case.error(merged),
            adapters_floor=bound(case),
        )
    if width == target.width and _equal(merged, target):  # nothing new to multiply
        products, made = grams(one), [float(weight) for weight in weights]
    else:
        products, made = grams([*one, merged]), [0.0] * count + [1.0]
    rest = [0.0] * (len(made) - count)
    mean, wanted = [1 / count] * count + rest, [*weights, *rest]
    spread = away = 0.0
    for place in range(count):
        # each distance is a quadratic form of coefficients of the updates
        task = [float(place == other) for other in range(len(made))]
        spread += products.squared(_subtract(task, mean)) / count
        away += products.squared(_subtract(made, task)) / count
    return ModuleAudit(
        name,
        width,
        energy=products.squared(wanted),
        to_sum=products.squared(_subtract(made, wanted)),
        sum_floor=products.tail(wanted, width),
        to_adapters=away,
        adapters_floor=spread + products.tail(mean, width),
    )


def _subtract(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(one, other, strict=True)]


def _equal(one: LowRank, other: LowRank) -> bool:
    """Whether factors of one width are equal, entry by entry."""
    xp = array_namespace(one.up)
    return bool(xp.all(one.up == other.up)) and bool(xp.all(one.down == other.down))


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
    axes, start, reached = thin_svd(xp.concat(roots, axis=0)).above(SAME).left, 0, []
    for low in answers:
        end = start + low.shape[1]
        reached.append(LowRank(low.up, low.down @ axes[start:end, :]))
        start = end
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
        low = merged[name]
        updates = library.updates(name)
        found = audit(name, low, updates, weights)
        if moments:
            found = audit_on_inputs(found, low, updates, weights, moments(name))
        note(found)
        return low

    return replace(merged, modules=Lazy(tuple(merged), _make))
