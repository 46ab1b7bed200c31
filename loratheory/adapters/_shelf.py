"""Several updates of one module side by side: every adapter's output, mixed token by token.

Tokens are rows: ``x`` is (t, n), weights are (t, k), outputs (t, m).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int

from loratheory.lowrank import Array, LowRank, array_namespace, device

Updates = Sequence[LowRank]


def working(*arrays: Array) -> Array:
    """The type to compute in: float64 where one of the arrays has it, else float32."""
    xp = array_namespace(*arrays)
    return xp.float64 if any(array.dtype == xp.float64 for array in arrays) else xp.float32


def check_inputs(updates: Updates) -> None:
    """Refuse an empty shelf and updates that read inputs of different widths."""
    if not updates:
        message = "an empty shelf has nothing to choose from: give at least one update"
        raise ValueError(message)
    widths = sorted({low.shape[1] for low in updates})
    if len(widths) > 1:
        message = f"updates read inputs of widths {widths}: put updates of one module on a shelf"
        raise ValueError(message)


def check_tokens(x: Array, width: int) -> None:
    """Refuse tokens that are not rows of the shelf's input width."""
    shape = tuple(x.shape)
    if len(shape) != 2 or shape[1] != width:
        message = f"x has shape {shape}, the updates read {width} inputs: give one token per row"
        raise ValueError(message)


def owners(sizes: Sequence[int], like: Array) -> Int[Array, " c"]:
    """The numbers 0, 1, … of the adapters, each repeated as often as it has rows."""
    rows = [i for i, size in enumerate(sizes) for _ in range(size)]
    return array_namespace(like).asarray(
        rows, dtype=array_namespace(like).int64, device=device(like)
    )


@dataclass(frozen=True, eq=False)
class Shelf:
    """The updates of one module, their factors concatenated once; ranks may differ.

    Attributes
    ----------
    up : (m, c) array
        All output factors, ``c`` the sum of the widths.
    down : (c, n) array
        All input factors.
    owner : (c,) array of int
        Which adapter a row of `down` belongs to.
    size : int
        How many adapters.
    """

    up: Float[Array, "m c"]
    down: Float[Array, "c n"]
    owner: Int[Array, " c"]
    size: int

    def outputs(self, x: Float[Array, "t n"], weights: Float[Array, "t k"]) -> Float[Array, "t m"]:
        r"""Return :math:`\sum_i w_{ti} \Delta_i x_t` for every token ``t``.

        Parameters
        ----------
        x : (t, n) array
            One token per row.
        weights : (t, k) array
            What `Router.weights` or `Gates.weights` return.

        Returns
        -------
        (t, m) array
            The outputs mixed after the product, in the type of the factors: the rank codes
            ``down @ x`` are weighted, then one ``up`` lifts their sum. Costs
            ``O(t c (m + n))`` and a ``(t, c)`` array, never ``(t, k, m)``.

        Raises
        ------
        ValueError
            If `x` has another width than the updates, or `weights` is not (t, k).
        """
        check_tokens(x, int(self.down.shape[1]))
        wanted = (int(x.shape[0]), self.size)
        if tuple(weights.shape) != wanted:
            shape = tuple(weights.shape)
            message = f"weights have shape {shape}, not {wanted}: give one per token and adapter"
            raise ValueError(message)
        xp = array_namespace(x, weights, self.up)
        codes = xp.astype(x, self.down.dtype, copy=False) @ self.down.T
        each = xp.astype(weights, self.down.dtype, copy=False)
        return (codes * xp.take(each, self.owner, axis=1)) @ self.up.T


def shelf(updates: Updates) -> Shelf:
    """Return the updates of one module with their factors concatenated.

    Parameters
    ----------
    updates : sequence of LowRank
        At least one, all of one shape, ranks free.

    Returns
    -------
    Shelf
        A copy of all factors, ``c (m + n)`` numbers, float64 if one of them is, else float32.

    Raises
    ------
    ValueError
        If there is no update or their shapes differ.
    """
    check_inputs(updates)
    outputs = sorted({low.shape[0] for low in updates})
    if len(outputs) > 1:
        message = f"updates write outputs of widths {outputs}: put updates of one module on a shelf"
        raise ValueError(message)
    kept = working(*(factor for low in updates for factor in (low.up, low.down)))
    xp = array_namespace(updates[0].up)
    ups = [xp.astype(low.up, kept, copy=False) for low in updates]
    downs = [xp.astype(low.down, kept, copy=False) for low in updates]
    owner = owners([low.width for low in updates], updates[0].down)
    return Shelf(xp.concat(ups, axis=1), xp.concat(downs, axis=0), owner, len(updates))


def forward(
    updates: Updates, x: Float[Array, "t n"], weights: Float[Array, "t k"]
) -> Float[Array, "t m"]:
    """Return every token's weighted sum of outputs; ``shelf(updates).outputs(x, weights)``.

    Parameters
    ----------
    updates : sequence of LowRank
        At least one, all of one shape, ranks free.
    x : (t, n) array
        One token per row.
    weights : (t, k) array
        A weight per token and adapter.

    Returns
    -------
    (t, m) array
        As `Shelf.outputs`; keep the `shelf` where many batches follow.
    """
    return shelf(updates).outputs(x, weights)
