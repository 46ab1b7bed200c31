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

    Keys are linearly independent columns, not necessarily orthogonal; dependent ones give the
    least-squares fit. Without `start` the map is ``values @ pinv(keys)``, of least norm. Gradient
    descent on the squared error from `start` reaches the same map. The width grows by ``n``; costs
    ``O(d n^2)``.
    """
    inverse = array_namespace(keys).linalg.pinv(keys, rtol=None)
    if start is None:
        return LowRank(values, inverse)
    return start + LowRank(values - start @ keys, inverse)


def miss(low: LowRank, keys: Float[Array, "d n"], values: Float[Array, "m n"]) -> float:
    """Return the largest error of a map that should send keys to values, over the largest value.

    Returns the error itself where all values are zero.
    """
    xp = array_namespace(values)
    error, scale = (float(xp.max(xp.abs(x))) for x in (low @ keys - values, values))
    return error / (scale or 1.0)


@dataclass(frozen=True, eq=False)
class Hop:
    """The facts of one read before an edit, and after it at coefficient 1.

    Attributes
    ----------
    keys : (d, n) array
        One column per entity that the read may meet.
    old : (m, n) array
        The base's value of each key; a zero column where it has none.
    new : (m, n) array
        The value of each key after the edit; equal to `old` where nothing is edited.
    """

    keys: Float[Array, "d n"]
    old: Float[Array, "m n"]
    new: Float[Array, "m n"]


def branching(keys: Float[Array, "d n"], values: Float[Array, "m v"], *, known: bool = True) -> Hop:
    """Return a hop whose first ``v - n`` entities are edited, each with an old value of its own.

    After the edit entity ``i`` has column ``i`` of the values. Before it, an edited entity had
    column ``n + i`` if the base held old facts (`known`), else zero. All values are distinct.
    """
    xp, n = array_namespace(keys), int(keys.shape[1])
    edited = int(values.shape[1]) - n
    before = values[:, n:] if known else xp.zeros_like(values[:, n:])
    return Hop(keys, xp.concat([before, values[:, edited:n]], axis=1), values[:, :n])


@dataclass(frozen=True, eq=False)
class LinearChain:
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
        """Return the output of read `hop` (from 0) on these keys, its edit at this coefficient."""
        return self.memories[hop] @ keys + coefficient * (self.edits[hop] @ keys)

    def output(self, keys: Array, coefficients: Sequence[int | float]) -> Array:
        """Return the logits after all reads; costs ``O(d n)`` a read and key.

        `keys` are ``(d,)`` or ``(d, c)`` keys of the first read. `coefficients` has for each read
        the merge coefficient times the strength of the edit.
        """
        state = self.read(0, keys, coefficients[0])
        for hop, bridge in enumerate(self.bridges, start=1):
            state = self.read(hop, bridge @ state, coefficients[hop])
        return state


def chain(
    hops: Sequence[Hop],
    values: Sequence[Float[Array, "d _"]],
    fit: Callable[[Array, Array], LowRank] = interpolating,
) -> LinearChain:
    """Return the chain that holds these hops, exact if keys and values are linearly independent.

    `values` has, for every hop but the first, an array with the value of each of its entities, in
    the order of its keys: the bridge before that hop sends each value to that key. ``fit(keys,
    values)`` makes every map. Raises `ValueError` unless there is one array for each of these hops.

    Examples
    --------
    Both edits act with coefficient .55. The four logits are of the new answer, an untouched one,
    the answer of the old bridge, and the new bridge's old answer.

    >>> first = branching(np.eye(3)[:, :2], np.eye(3), known=True)
    >>> second = branching(np.eye(3), np.eye(4), known=True)
    >>> chain([first, second], [np.eye(3)]).output(np.eye(3)[:, 0], (0.55, 0.55)).round(4)
    array([0.3025, 0.    , 0.45  , 0.2475])
    """
    if len(values) != len(hops) - 1:
        message = f"{len(hops)} hops need {len(hops) - 1} frames of values, not {len(values)}"
        raise ValueError(message)
    return LinearChain(
        memories=tuple(fit(hop.keys, hop.old) for hop in hops),
        bridges=tuple(fit(v, hop.keys) for v, hop in zip(values, hops[1:], strict=True)),
        edits=tuple(fit(hop.keys, hop.new - hop.old) for hop in hops),
    )
