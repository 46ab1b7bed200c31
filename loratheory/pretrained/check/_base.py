"""What a base weight alone says, and where an adapter's direction intrudes into it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loratheory.lowrank import LowRank, svd
from loratheory.pretrained.check._basis import Basis, basis
from loratheory.pretrained.check._gaussian import Noise, noise
from loratheory.pretrained.check._intruders import intruders
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.shapes import Float
from loratheory.theorems.merging import intruder_threshold

LABEL = intruder_threshold.THEOREM.label


@dataclass(frozen=True, eq=False)
class Frozen:
    """A base weight, with what is only worked out once asked for.

    Attributes
    ----------
    matrix : (m, n) array
        The weight.
    adapted : bool
        Whether its singular vectors are needed, and kept in the cache.
    """

    matrix: Float[np.ndarray, "m n"]
    adapted: bool = True

    @cached_property
    def noise(self) -> Noise:
        """How Gaussian it is."""
        return noise(self.matrix, self.basis.sigma if self.adapted else None)

    @cached_property
    def basis(self) -> Basis:
        """Its singular vectors, from the cache where they are there."""
        return basis(self.matrix)


def of_spectrum(module: str, frozen: Frozen) -> Reading:
    """Return the weight's largest singular value beside the edge of Marchenko and Pastur.

    Parameters
    ----------
    module : str
        Where.
    frozen : Frozen
        The base weight.

    Returns
    -------
    Reading
        Measured, not judged: that a weight is Gaussian is a hypothesis, not a theorem.
    """
    seen = frozen.noise
    note = (
        f"{seen.spikes} singular values beyond noise hold {100 * seen.energy:.2g} % of the squared "
        f"norm; distance to the law {seen.distance:.2f}, kurtosis {seen.kurtosis:.3g} (normal: 3)"
    )
    return Place(module, "base").reading(LABEL, seen.edge, seen.top, "measured", note)


def of_intruders(
    module: str,
    names: Sequence[str],
    updates: Sequence[LowRank],
    frozen: Frozen,
    coefficient: float,
) -> Iterator[Reading]:
    """Yield how far each adapter's strongest direction becomes the weight's own strongest.

    Parameters
    ----------
    module : str
        Where.
    names : sequence of str
        What to call the adapters.
    updates : sequence of LowRank
        One an adapter, float64.
    frozen : Frozen
        The base weight.
    coefficient : float
        Of each adapter in a merge; below 1 each is read alone and with it.

    Yields
    ------
    Reading
        The bound is the squared overlap in a Gaussian base. The value is that of the top left
        singular vector of the adapted weight with the adapter's own, from `intruders`.
    """
    for name, low in zip(names, updates, strict=True):
        for c in sorted({1.0, coefficient}, reverse=True):
            yield _intruder(Place(module, name if c == 1 else f"{c:g} × {name}"), low, frozen, c)


def _intruder(place: Place, low: LowRank, frozen: Frozen, coefficient: float) -> Reading:
    (m, n), seen, part = low.shape, frozen.noise, svd(low, 1)
    found = intruders(frozen.matrix, frozen.basis, coefficient * low)
    overlap = float(part.left[:, 0] @ found.loudest) ** 2
    size = seen.spread * max(m, n) ** 0.5 or 1.0
    case = intruder_threshold.Case(float(part.sigma[0]) / size, coefficient, n)
    note = (
        f"{found.count()} of the top {len(found.cosines)} directions are not the base's; the "
        f"adapter's largest singular value is {case.merged:.2g} times the noise level"
    )
    needs = f"a square base, this is {m} × {n}"
    if m == n:
        whole = np.asarray(frozen.matrix, np.float64)[None] / size
        sample = intruder_threshold.Sample(whole, part.left.T, part.right)
        known = intruder_threshold.THEOREM.assumptions
        missing = [each.text for each in known if not each.holds(case, sample)]
        if not missing:
            return judged(intruder_threshold.THEOREM, case, sample, place, lambda: "", note)
        kind = f"kurtosis {seen.kurtosis:.3g}, {seen.spikes} singular values beyond noise"
        needs = f"{missing[0]}; {kind}"
    bound = intruder_threshold.bound(case)
    return place.reading(LABEL, bound, overlap, "not applicable", f"needs {needs}; {note}")
