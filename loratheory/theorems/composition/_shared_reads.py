"""Linked reads that several adapters edit, one owner per fact."""

from dataclasses import dataclass

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.toy import Hop, branching


@dataclass(frozen=True, eq=False)
class Reads:
    """Frames of keys and values, and for each read which adapter owns which edited entity."""

    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]
    owners: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def edited(self) -> int:
        """Entities 0 … edited - 1 are edited in every read."""
        return sum(len(owned) for owned in self.owners[0])

    @property
    def hops(self) -> list[Hop]:
        """The facts of each read; the last one writes one-hot tokens."""
        last = self.keys[-1]
        tokens = last.shape[1] + self.edited
        one_hot = array_namespace(last).eye(tokens, dtype=last.dtype, device=last.device)
        pairs = zip(self.keys, (*self.values, one_hot), strict=True)
        return [branching(keys, frame) for keys, frame in pairs]

    @property
    def edits(self) -> list[list[tuple[Array, Array]]]:
        """For each read and adapter: the keys it edits, and the change of value at each."""
        xp = array_namespace(self.keys[0])
        return [
            [
                (
                    xp.stack([hop.keys[:, e] for e in owned], axis=1),
                    xp.stack([hop.new[:, e] - hop.old[:, e] for e in owned], axis=1),
                )
                for owned in read
            ]
            for hop, read in zip(self.hops, self.owners, strict=True)
        ]
