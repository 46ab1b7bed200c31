"""What Arrow's router sees of real hidden states: margins to its prototypes, and its blind spot."""

from collections.abc import Iterator, Sequence
from math import acos, degrees

import numpy as np

from loratheory.lowrank import LowRank, largest_cosine, svd
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.shapes import Float64
from loratheory.theorems.routing import arrow_blind_spot, arrow_margin


def of_routing(
    module: str,
    names: Sequence[str],
    updates: Sequence[LowRank],
    x: Float64[np.ndarray, "t n"],
) -> Iterator[Reading]:
    """Yield Arrow's margin for the token nearest to each prototype, then its blind spot.

    Parameters
    ----------
    module : str
        Where.
    names : sequence of str
        What to call the adapters.
    updates : sequence of LowRank
        One an adapter, at least two, of positive rank.
    x : (t, n) array
        Inputs of the module, a token a row, none zero.

    Yields
    ------
    Reading
        Where the margin's bound is negative the theorem holds and promises nothing. The blind spot
        takes each adapter's right singular vectors for the keys that it edits.
    """
    parts = [svd(low) for low in updates]
    tops = np.stack([part.right[0, :] for part in parts], axis=1)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for i, name in enumerate(names):
        order = [i, *(j for j in range(len(names)) if j != i)]
        yield _margin(Place(module, name), tops[:, order], [parts[j].sigma[0] for j in order], unit)
    facts = min(int((part.sigma > 1e-9 * part.sigma[0]).sum()) for part in parts)
    case = arrow_blind_spot.Case(
        tuple(part.right[:facts, :].T for part in parts),
        tuple(part.sigma[:facts] for part in parts),
    )
    crossing = max(
        largest_cosine(one, two) for k, one in enumerate(case.keys) for two in case.keys[:k]
    )
    seen = ", ".join(
        f"{100 * _unseen(low, part.right[:1, :], x):.2g} %"
        for low, part in zip(updates, parts, strict=True)
    )
    note = (
        f"keys of different adapters meet at cosine {crossing:.2g}; of real answers {seen} comes "
        "from directions that Arrow does not look at (medians)"
    )
    place = Place(module, " + ".join(names))
    yield judged(arrow_blind_spot.THEOREM, case, tuple(updates), place, lambda: note, note)


def _margin(
    place: Place,
    tops: Float64[np.ndarray, "n k"],
    sizes: Sequence[float],
    unit: Float64[np.ndarray, "t n"],
) -> Reading:
    """The lead of the first prototype on the token nearest to it."""
    cosines = np.abs(unit @ tops[:, 0])
    nearest = int(np.argmax(cosines))
    angle = acos(min(1.0, float(cosines[nearest])))
    case = arrow_margin.Case(tops, tuple(map(float, sizes)), angle)
    between = acos(max(case.cosines))
    safe = float((np.arccos(np.minimum(cosines, 1.0)) < arrow_margin.safe_angle(between)).mean())
    note = (
        f"the nearest of {len(unit)} tokens is {degrees(angle):.0f}° from the prototype, another "
        f"prototype {degrees(between):.0f}°; {100 * safe:.2g} % of tokens are within half of that"
    )
    return judged(arrow_margin.THEOREM, case, unit[nearest], place, lambda: note, note)


def _unseen(low: LowRank, top: Float64[np.ndarray, "1 n"], x: Float64[np.ndarray, "t n"]) -> float:
    """Median share of an answer's energy that does not come from the top direction."""
    whole = (((x @ low.down.T) @ low.up.T) ** 2).sum(axis=1)
    seen = (((x @ top.T @ top @ low.down.T) @ low.up.T) ** 2).sum(axis=1)
    return float(np.median(1 - seen / np.maximum(whole, 1e-300)))
