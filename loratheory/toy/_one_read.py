"""One weight matrix, read once: adapters merged into it add up, they do not compose."""

from dataclasses import dataclass

from loratheory.lowrank import Array, LowRank


@dataclass(frozen=True, eq=False)
class Merge:
    """A weight with adapters merged into it, each with its own coefficient.

    Attributes
    ----------
    weight : LowRank
        The base.
    adapters : tuple of LowRank
        Updates of the same shape.
    coefficients : tuple of float
        One per adapter.
    """

    weight: LowRank
    adapters: tuple[LowRank, ...]
    coefficients: tuple[float, ...]

    def parts(self, key: Array) -> tuple[Array, ...]:
        """What the base and each scaled adapter say about ``(d,)`` or ``(d, c)`` keys."""
        pairs = zip(self.coefficients, self.adapters, strict=True)
        return self.weight @ key, *(weight * (low @ key) for weight, low in pairs)

    def logits(self, key: Array) -> Array:
        """What the merged weight says: the sum of the parts."""
        base, *rest = self.parts(key)
        return sum(rest, base)
