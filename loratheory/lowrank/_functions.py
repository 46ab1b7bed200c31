"""The views and methods of one `LowRank` as functions, under the names that earlier code uses."""

from loratheory.lowrank._array import Array
from loratheory.lowrank._factored import LowRank, Svd
from loratheory.shapes import Float


def svd(low: LowRank, rank: int | None = None) -> Svd:
    """See `LowRank.svd`."""
    return low.svd(rank)


def singular_values(low: LowRank) -> Float[Array, " k"]:
    """See `LowRank.S`."""
    return low.S


def frobenius(low: LowRank) -> float:
    """See `LowRank.norm`."""
    return low.norm


def spectral(low: LowRank) -> float:
    """See `LowRank.spectral_norm`."""
    return low.spectral_norm


def nuclear(low: LowRank) -> float:
    """See `LowRank.nuclear_norm`."""
    return low.nuclear_norm


def rank(low: LowRank, tolerance: int | float | None = None) -> int:
    """See `LowRank.rank` and, with a tolerance, `LowRank.rank_at`."""
    return low.rank if tolerance is None else low.rank_at(tolerance)


def stable_rank(low: LowRank) -> float:
    """See `LowRank.stable_rank`."""
    return low.stable_rank


def effective_rank(low: LowRank) -> float:
    """See `LowRank.effective_rank`."""
    return low.effective_rank


def tail_energy(low: LowRank, rank: int) -> float:
    """See `LowRank.tail_energy`."""
    return low.tail_energy(rank)


def row_space(low: LowRank, tolerance: int | float | None = None) -> Float[Array, "n k"]:
    """See `LowRank.row_space`."""
    return low.row_space(tolerance)


def column_space(low: LowRank, tolerance: int | float | None = None) -> Float[Array, "m k"]:
    """See `LowRank.column_space`."""
    return low.column_space(tolerance)


def balanced(low: LowRank) -> LowRank:
    """See `LowRank.balanced`."""
    return low.balanced()


def regauge(low: LowRank, gauge: Float[Array, "r r"]) -> LowRank:
    """See `LowRank.regauged`."""
    return low.regauged(gauge)
