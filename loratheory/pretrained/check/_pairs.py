"""What the theorems say of several adapters in one module: floors, ranks, factors, cross-talk."""

from collections.abc import Iterator, Sequence

import numpy as np

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import (
    LowRank,
    array_namespace,
    double,
    largest_cosine,
    project,
    rank,
    total,
)
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.shapes import Float64
from loratheory.theorems.libraries import interference_angle
from loratheory.theorems.merging import (
    covariance_floor,
    factor_mean_residual,
    merge_floor,
    rank_subadditivity,
)

Inputs = Float64[np.ndarray, "t n"] | None


def of_weights(module: str, names: Sequence[str], updates: Sequence[LowRank]) -> Iterator[Reading]:
    """Yield what weights alone decide: the merge floor, the rank of the sum, the factors' mean.

    Parameters
    ----------
    module : str
        Where.
    names : sequence of str
        What to call the adapters.
    updates : sequence of LowRank
        One an adapter, all of positive width.

    Yields
    ------
    Reading
        The merge floor is put to the best merge there is at the widest adapter's rank: tight. The
        factors' mean is put to no correction at all, so that the value is what it misses.
    """
    place = Place(module, " + ".join(names))
    most = max(low.width for low in updates)
    case = merge_floor.Case(tuple(updates), most)
    best = merge(
        [Adapter.of({module: low}) for low in updates],
        "svd",
        weights=[1 / len(updates)] * len(updates),
        rank=most,
    )[module]
    yield judged(merge_floor.THEOREM, case, best, place, lambda: "", f"at rank {most}")
    ranks = tuple(rank(low, rank_subadditivity.SURE) for low in updates)
    if all(ranks):
        rows, columns = rank_subadditivity.spans(tuple(updates))
        spanned = rank_subadditivity.Case(ranks, rows, columns)
        said = f"ranks {', '.join(map(str, ranks))} span {rows} rows and {columns} columns together"
        yield judged(rank_subadditivity.THEOREM, spanned, tuple(updates), place, lambda: said, said)
    widths = [low.width for low in updates]
    label = factor_mean_residual.THEOREM.label
    if len(set(widths)) > 1:
        note = f"needs factors of one width; they have {', '.join(map(str, widths))}"
        yield place.reading(label, None, None, "not applicable", note)
        return
    means = factor_mean_residual.Case(tuple(updates), (1 / len(updates),) * len(updates), 0)
    nothing = LowRank(updates[0].up[:, :0], updates[0].down[:0, :])
    yield judged(factor_mean_residual.THEOREM, means, nothing, place, lambda: "", "uncorrected")


def of_inputs(
    module: str, names: Sequence[str], updates: Sequence[LowRank], x: Inputs
) -> Iterator[Reading]:
    """Yield what depends on the module's real inputs: the covariance floor, and cross-talk.

    Parameters
    ----------
    module : str
        Where.
    names : sequence of str
        What to call the adapters.
    updates : sequence of LowRank
        One an adapter, all of positive width.
    x : (t, n) array or None
        What the base feeds the module, a token a row; without it the key is the loudest there is.

    Yields
    ------
    Reading
        The covariance floor is put to the merge that is best without data; cross-talk to what the
        reader reads of the worst input.
    """
    if x is not None:
        most = max(low.width for low in updates)
        inputs = (x.T / len(x) ** 0.5,) * len(updates)
        case = covariance_floor.Case(tuple(updates), inputs, most)
        best = merge_floor.attain(merge_floor.Case(tuple(updates), most))
        place = Place(module, " + ".join(names))
        note = f"the data-free optimum of rank {most} on {len(x)} tokens"
        yield judged(covariance_floor.THEOREM, case, best, place, lambda: "", note)
    for i, reader in enumerate(updates):
        for j, other in enumerate(updates):
            if i != j:
                yield _crosstalk(Place(module, f"{names[i]} ← {names[j]}"), reader, other, x)


def _crosstalk(place: Place, reader: LowRank, other: LowRank, x: Inputs) -> Reading:
    """What `other` answers to the part of each input that `reader` reads, at the worst token."""
    case = interference_angle.Case(reader, other)
    space = case.spaces[0]
    if x is None:
        key = np.linalg.svd(other @ space)[2][:1, :].T
        note = "no inputs known: the loudest key"
        return judged(
            interference_angle.THEOREM,
            case,
            interference_angle.Answer(other, space @ key),
            place,
            lambda: _spaces(case),
            note,
        )
    read = project(x.T, space).T
    length, whole = np.linalg.norm(read, axis=1), np.linalg.norm(x, axis=1)
    ratio = np.linalg.norm((read @ other.down.T) @ other.up.T, axis=1) / np.maximum(length, 1e-300)
    worst = int(np.argmax(ratio))
    answered = np.linalg.norm((x @ other.down.T) @ other.up.T, axis=1) / np.maximum(whole, 1e-300)
    share = float(np.median((length / np.maximum(whole, 1e-300)) ** 2))
    note = (
        f"{100 * share:.2g} % of an input's energy lies in the rows read (median of {len(x)} "
        f"tokens); on whole inputs the answer is up to {answered.max():.3g} of their length"
    )
    answer = interference_angle.Answer(other, read[worst : worst + 1, :].T)
    return judged(interference_angle.THEOREM, case, answer, place, lambda: _spaces(case), note)


def _spaces(case: interference_angle.Case) -> str:
    return f"the smallest angle between rows has cosine {largest_cosine(*case.spaces):.3g}"


def doubled(updates: Sequence[LowRank]) -> list[LowRank]:
    """The same updates in float64."""
    return [low.map(double) for low in updates]


def summed(updates: Sequence[LowRank], weights: Sequence[float]) -> LowRank:
    """Their weighted sum, in NumPy."""
    low = total(list(updates), list(weights))
    return low.map(array_namespace(low.up).asarray)
