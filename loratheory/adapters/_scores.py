r"""How strongly each adapter of a library answers to a token, and all their answers mixed.

Every score here is a length: adapter :math:`i` is given a few rows :math:`C_i`, its *code*, and a
token :math:`x` scores :math:`\|C_i x\|`. The right singular vector on top gives Arrow, an
orthonormal basis of the row space the projection, the spectral code the response
:math:`\|\Delta_i x\|`. Tokens are rows: ``x`` is (t, n), weights are (t, k), outputs (t, m).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.lowrank import Array, LowRank, array_namespace, device
from loratheory.shapes import Float, Int

Updates = Sequence[LowRank]


def working(*arrays: Array) -> Array:
    """The type to compute in: float64 where one of the arrays has it, else float32."""
    xp = array_namespace(*arrays)
    return xp.float64 if any(array.dtype == xp.float64 for array in arrays) else xp.float32


def check_inputs(updates: Updates) -> None:
    """Refuse an empty library and updates that read inputs of different widths."""
    if not updates:
        message = "an empty library has nothing to choose from: give at least one update"
        raise ValueError(message)
    widths = sorted({low.shape[1] for low in updates})
    if len(widths) > 1:
        message = f"updates read inputs of widths {widths}: give updates of one module"
        raise ValueError(message)


def check_tokens(x: Array, width: int) -> None:
    """Refuse tokens that are not rows of the library's input width."""
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
        message = f"updates write outputs of widths {outputs}: give updates of one module"
        raise ValueError(message)
    check_tokens(x, updates[0].shape[1])
    shape, wanted = tuple(weights.shape), (int(x.shape[0]), len(updates))
    if shape != wanted:
        message = f"weights have shape {shape}, not {wanted}: give one per token and adapter"
        raise ValueError(message)
    xp = array_namespace(x, weights, updates[0].up)
    kept = working(*(factor for low in updates for factor in (low.up, low.down)))
    library = [low.map(lambda factor: xp.astype(factor, kept, copy=False)) for low in updates]
    x, weights = (xp.astype(array, kept, copy=False) for array in (x, weights))
    mostly_zero = 2 * int(xp.count_nonzero(weights)) <= wanted[0] * wanted[1]
    return (_each if mostly_zero else _joined)(library, x, weights)


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


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of `k` adapters, prepared once and asked for many tokens.

    Attributes
    ----------
    codes : (c, n) array
        The codes of all adapters, stacked.
    owner : (c,) array of int
        Which adapter a row of `codes` belongs to.
    shift, spread : (k,) array
        The score is ``(length - shift) / spread``.
    cosine : bool
        Whether lengths are divided by that of the token; 0 for a zero token.
    """

    codes: Float[Array, "c n"]
    owner: Int[Array, " c"]
    shift: Float[Array, " k"]
    spread: Float[Array, " k"]
    cosine: bool = False

    def __call__(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Score every token for every adapter.

        Parameters
        ----------
        x : (t, n) array
            One token per row; computed in the type of `codes`.

        Returns
        -------
        (t, k) array
            Costs ``O(t c (n + k))`` and a ``(t, c)`` array.

        Raises
        ------
        ValueError
            If `x` has another width than the updates.
        """
        xp = array_namespace(x, self.codes)
        check_tokens(x, int(self.codes.shape[1]))
        x = xp.astype(x, self.codes.dtype, copy=False)
        adapters = xp.arange(self.shift.shape[0], dtype=xp.int64, device=device(self.owner))
        belongs = xp.astype(self.owner[:, None] == adapters[None, :], self.codes.dtype)
        lengths = xp.sqrt((x @ self.codes.T) ** 2 @ belongs)
        if self.cosine:
            token = xp.linalg.vector_norm(x, axis=1, keepdims=True)
            lengths = lengths / xp.where(token > 0, token, xp.ones_like(token))
        return (lengths - self.shift) / self.spread


def _stacked(codes: list[Array], updates: Updates, cosine: bool) -> Scores:
    xp, where = array_namespace(codes[0]), device(codes[0])
    kept = working(*(factor for low in updates for factor in (low.up, low.down)))
    return Scores(
        codes=xp.astype(xp.concat(codes, axis=0), kept, copy=False),
        owner=owners([int(code.shape[0]) for code in codes], codes[0]),
        shift=xp.zeros(len(codes), dtype=kept, device=where),
        spread=xp.ones(len(codes), dtype=kept, device=where),
        cosine=cosine,
    )


def arrow_scores(updates: Updates, *, cosine: bool = False) -> Scores:
    r"""Return :math:`|\langle x, v_i \rangle|`, ``v_i`` the top right singular vector: Arrow.

    The vector is that of the update itself, exact by a QR core. Power iteration from a random
    start (15 steps in PEFT) misses it when the two largest singular values are close. It has
    length one, so that the strength of an adapter does not count; the score is not divided by
    the token's length unless asked: that length then acts as an inverse temperature. On inputs
    orthogonal to ``v_i`` the adapter is blind, whatever it does to them.

    Parameters
    ----------
    updates : sequence of LowRank
        The updates of one module, ranks free.
    cosine : bool
        Divide by the length of the token; the order of the adapters stays.

    Returns
    -------
    Scores
        Costs ``O((m + n) r^2)`` an update; a zero update scores 0.

    Raises
    ------
    ValueError
        If there is no update or their input widths differ; so for the other scores.

    References
    ----------
    Ostapenko et al. (ICML 2024), "Towards Modular LLMs by Building and Reusing a Library of
    LoRAs", arXiv 2405.11157.
    """
    check_inputs(updates)
    bases = [low.row_space() for low in updates]
    return _stacked([q[:, : min(1, int(q.shape[1]))].T for q in bases], updates, cosine)


def subspace_scores(updates: Updates, *, cosine: bool = False) -> Scores:
    r"""Return :math:`\|P_i x\|`: how much of the token lies in what adapter `i` reads.

    Parameters
    ----------
    updates : sequence of LowRank
        The updates of one module, ranks free.
    cosine : bool
        Divide by the length of the token; the order of the adapters stays.

    Returns
    -------
    Scores
        ``P_i`` projects on the row space; costs ``O((m + n) r^2)`` an update.
    """
    check_inputs(updates)
    return _stacked([low.row_space().T for low in updates], updates, cosine)


def response_scores(updates: Updates, *, cosine: bool = False) -> Scores:
    r"""Return :math:`\|\Delta_i x\|`: how strongly adapter `i` answers; the score of SpectR.

    With :math:`\Delta_i = U \Sigma V^T` it is the length of the spectral code
    :math:`\Sigma V^T x`, since the columns of :math:`U` are orthonormal: `r` numbers a token
    instead of `m`. SEQR selects the largest response too.

    Parameters
    ----------
    updates : sequence of LowRank
        The updates of one module, ranks free.
    cosine : bool
        Divide by the length of the token; the order of the adapters stays.

    Returns
    -------
    Scores
        Costs ``O((m + n) r^2)`` an update.

    References
    ----------
    Fleshman and Van Durme (COLM 2025), "SpectR: Dynamically Composing LM Experts with Spectral
    Routing", arXiv 2504.03454; the same (2025), "SEQR: Secure and Efficient QR-based LoRA
    Routing", arXiv 2509.18093.
    """
    check_inputs(updates)
    parts = [low.svd() for low in updates]
    return _stacked([part.sigma[:, None] * part.right for part in parts], updates, cosine)
