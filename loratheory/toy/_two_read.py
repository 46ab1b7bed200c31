r"""Memories read one after another: the model in which two hops can compose.

Each read is a linear map that sends the key of an entity to the value of the next one; a bridge
turns that value into the key of the following read. All maps are kept in factors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float


def interpolating(
    keys: Float[Array, "d n"], values: Float[Array, "m n"], start: LowRank | None = None
) -> LowRank:
    """Return the map nearest to `start` in Frobenius norm that sends each key to its value.

    Keys are linearly independent columns, not necessarily orthogonal. Without a start the map has
    the least norm, ``values @ pinv(keys)``. It is what gradient descent on the squared error
    reaches from `start`; on dependent keys the least-squares fit. The width grows by ``n``; costs
    ``O(d n^2)``.
    """
    inverse = array_namespace(keys).linalg.pinv(keys, rtol=None)
    if start is None:
        return LowRank(values, inverse)
    return start + LowRank(values - start @ keys, inverse)


def miss(low: LowRank, keys: Float[Array, "d n"], values: Float[Array, "m n"]) -> float:
    """How far a map is from sending keys to values: largest error over largest value.

    The error itself where all values are zero.
    """
    xp = array_namespace(values)
    error, scale = (float(xp.max(xp.abs(x))) for x in (low @ keys - values, values))
    return error / (scale or 1.0)


@dataclass(frozen=True, eq=False)
class Hop:
    """What one read knows and what an edit of strength 1 makes of it.

    Attributes
    ----------
    keys : (d, n) array
        One column per entity that the read may meet.
    old : (m, n) array
        The values that the base holds; a zero column where it holds none.
    new : (m, n) array
        The values after the edit; equal to `old` where nothing is edited.
    """

    keys: Float[Array, "d n"]
    old: Float[Array, "m n"]
    new: Float[Array, "m n"]


def branching(keys: Float[Array, "d n"], values: Float[Array, "m v"], *, known: bool = True) -> Hop:
    """Return the hop whose first ``v - n`` entities are edited away from values of their own.

    Entity ``i`` goes to column ``i`` of the values; an edited one went to column ``n + i`` before
    where the base held old facts (`known`), to zero else. All values are distinct.
    """
    xp, n = array_namespace(keys), int(keys.shape[1])
    edited = int(values.shape[1]) - n
    before = values[:, n:] if known else xp.zeros_like(values[:, n:])
    return Hop(keys, xp.concat([before, values[:, edited:n]], axis=1), values[:, :n])


@dataclass(frozen=True, eq=False)
class Chain:
    r"""The map :math:`k \mapsto (W_K + c_K\Delta_K)\,Q_{K-1}\cdots Q_1\,(W_1 + c_1\Delta_1)\,k`.

    Attributes
    ----------
    memories : tuple of LowRank
        The `K` base reads :math:`W_j`; the last one writes logits.
    bridges : tuple of LowRank
        The ``K - 1`` maps :math:`Q_j` from the values of one read to the keys of the next.
    edits : tuple of LowRank
        The updates :math:`\Delta_j`, one per read: adapters, or any merge of adapters.
    """

    memories: tuple[LowRank, ...]
    bridges: tuple[LowRank, ...]
    edits: tuple[LowRank, ...]

    def read(self, hop: int, keys: Array, coefficient: int | float) -> Array:
        """What read number `hop` (from 0) returns on these keys, its edit merged so strongly."""
        return self.memories[hop] @ keys + coefficient * (self.edits[hop] @ keys)

    def output(self, keys: Array, coefficients: Sequence[int | float]) -> Array:
        """Return the logits after all reads; costs ``O(d n)`` a read and key.

        For ``(d,)`` or ``(d, c)`` keys of the first read; coefficients are merge weight times
        strength of the edit, one per read.
        """
        state = self.read(0, keys, coefficients[0])
        for hop, bridge in enumerate(self.bridges, start=1):
            state = self.read(hop, bridge @ state, coefficients[hop])
        return state


def chain(
    hops: Sequence[Hop],
    values: Sequence[Float[Array, "d _"]],
    fit: Callable[[Array, Array], LowRank] = interpolating,
) -> Chain:
    """Return the chain that holds these hops, exact if keys and values are linearly independent.

    `values` has, for every hop but the first, the value of each of its entities, in the order of
    its keys: the bridge before that hop sends each value to that key. ``fit(keys, values)`` makes
    every map from its pairs. Refused if there is not one frame of values between each two hops.

    Examples
    --------
    Both facts edited to the share .55; the answers are the new one, an untouched one, that of the
    old bridge, and the old one of the new bridge.

    >>> first = branching(np.eye(3)[:, :2], np.eye(3), known=True)
    >>> second = branching(np.eye(3), np.eye(4), known=True)
    >>> chain([first, second], [np.eye(3)]).output(np.eye(3)[:, 0], (0.55, 0.55)).round(4)
    array([0.3025, 0.    , 0.45  , 0.2475])
    """
    if len(values) != len(hops) - 1:
        message = f"{len(hops)} hops need {len(hops) - 1} frames of values, not {len(values)}"
        raise ValueError(message)
    return Chain(
        memories=tuple(fit(hop.keys, hop.old) for hop in hops),
        bridges=tuple(fit(v, hop.keys) for v, hop in zip(values, hops[1:], strict=True)),
        edits=tuple(fit(hop.keys, hop.new - hop.old) for hop in hops),
    )
