"""Several updates of one module side by side: every adapter's output, mixed token by token.

Tokens are rows: ``x`` is (t, n), weights are (t, k), outputs (t, m).
"""

from collections.abc import Sequence

from loratheory.lowrank import Array, LowRank, array_namespace, device
from loratheory.shapes import Float, Int

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


def forward(
    updates: Updates, x: Float[Array, "t n"], weights: Float[Array, "t k"]
) -> Float[Array, "t m"]:
    r"""Return :math:`\sum_i w_{ti} \Delta_i x_t` for every token ``t``: mixed after the product.

    Parameters
    ----------
    updates : sequence of LowRank
        At least one, all of one shape, ranks free.
    x : (t, n) array
        One token per row.
    weights : (t, k) array
        What `Router.weights` or `Gates.weights` return; zeros cost next to nothing.

    Returns
    -------
    (t, m) array
        In float64 if a factor is, else in float32. Never a ``(t, k, m)`` array: where most
        weights are zero, each update meets its own tokens only, ``O(p r (m + n))`` for ``p``
        nonzero weights; else rank codes are weighted and one concatenated ``up`` lifts their
        sum, ``O(t c (m + n))`` and a copy of the factors, ``c`` the sum of the widths.

    Raises
    ------
    ValueError
        If there is no update, their shapes differ, `x` has another width than they read, or
        `weights` is not (t, k).
    """
    check_inputs(updates)
    outputs = sorted({low.shape[0] for low in updates})
    if len(outputs) > 1:
        message = f"updates write outputs of widths {outputs}: put updates of one module on a shelf"
        raise ValueError(message)
    check_tokens(x, updates[0].shape[1])
    shape, wanted = tuple(weights.shape), (int(x.shape[0]), len(updates))
    if shape != wanted:
        message = f"weights have shape {shape}, not {wanted}: give one per token and adapter"
        raise ValueError(message)
    xp = array_namespace(x, weights, updates[0].up)
    kept = working(*(factor for low in updates for factor in (low.up, low.down)))
    shelf = [low.map(lambda factor: xp.astype(factor, kept, copy=False)) for low in updates]
    x, weights = (xp.astype(array, kept, copy=False) for array in (x, weights))
    mostly_zero = 2 * int(xp.count_nonzero(weights)) <= wanted[0] * wanted[1]
    return (_each if mostly_zero else _joined)(shelf, x, weights)


def _each(updates: Updates, x: Array, weights: Array) -> Array:
    """Every update on the tokens that want it."""
    xp = array_namespace(x)
    out = xp.zeros((x.shape[0], updates[0].shape[0]), dtype=x.dtype, device=device(x))
    for i, low in enumerate(updates):
        share = weights[:, i]
        on = share != 0
        if low.width and bool(xp.any(on)):
            out[on] = out[on] + ((x[on] @ low.down.T) * share[on][:, None]) @ low.up.T
    return out


def _joined(updates: Updates, x: Array, weights: Array) -> Array:
    """All updates at once: one product down, one product up."""
    xp = array_namespace(x)
    owner = owners([low.width for low in updates], x)
    codes = x @ xp.concat([low.down for low in updates], axis=0).T
    codes = codes * xp.take(weights, owner, axis=1)
    return codes @ xp.concat([low.up for low in updates], axis=1).T
