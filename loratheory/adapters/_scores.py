r"""How strongly each adapter of a shelf answers to a token, before anything is decided.

Every score here is a length: adapter :math:`i` is given a few rows :math:`C_i`, its *code*, and a
token :math:`x` scores :math:`\|C_i x\|`. The right singular vector on top gives Arrow, an
orthonormal basis of the row space the projection, the spectral code the response
:math:`\|\Delta_i x\|`. Tokens are rows: ``x`` is (t, n).
"""

from dataclasses import dataclass

from loratheory.adapters._shelf import Updates, check_inputs, check_tokens, owners, working
from loratheory.lowrank import Array, array_namespace, device, row_space, svd
from loratheory.shapes import Float, Int


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
    bases = [row_space(low) for low in updates]
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
    return _stacked([row_space(low).T for low in updates], updates, cosine)


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
    parts = [svd(low) for low in updates]
    return _stacked([part.sigma[:, None] * part.right for part in parts], updates, cosine)
