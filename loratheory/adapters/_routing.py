r"""Which adapters of a library act on a token, and with what weight: scores, routers and gates.

Prepare once, weigh many tokens, mix the outputs after the product::

    router = Router(arrow_scores(updates), top_k=2)
    outputs = forward(updates, x, router.weights(x))

Every score here is a length: adapter :math:`i` is given a few rows :math:`C_i`, its *code*, and a
token :math:`x` scores :math:`\|C_i x\|`. The right singular vector on top gives Arrow, an
orthonormal basis of the row space the projection, the spectral code the response
:math:`\|\Delta_i x\|`. Tokens are rows: ``x`` is (t, n), weights are (t, k), outputs (t, m).
Computed in float64 where a factor is, else in float32. A library is a sequence of updates of one
module, ranks free; an empty one, and one whose widths differ, is refused.

Weights of a `Router` sum to one: an adapter acts at full strength only where it is alone. `Gates`
switch each adapter by itself: it is on at a token iff its own response exceeds what base
activations on ordinary prompts make it give, with no task data, no labels and no training. Where
the right adapter is on and the others are off, the output is the oracle's. Activations are what the
base model feeds the module on ordinary prompts, one token per row; one that is NaN or infinite is
refused.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loratheory.lowrank import Array, LowRank, array_namespace, device, double
from loratheory.shapes import Float, Int

Library = Sequence[LowRank]


def _working(library: Library) -> Array:
    """The type to compute in."""
    arrays = [factor for low in library for factor in (low.up, low.down)]
    xp = array_namespace(*arrays)
    return xp.float64 if any(array.dtype == xp.float64 for array in arrays) else xp.float32


def _check(library: Library, *, outputs: bool = False) -> None:
    if not library:
        message = "an empty library has nothing to choose from: give at least one update"
        raise ValueError(message)
    for side, verb in ((1, "read inputs"), (0, "write outputs"))[: 1 + outputs]:
        widths = sorted({low.shape[side] for low in library})
        if len(widths) > 1:
            message = f"updates {verb} of widths {widths}: give updates of one module"
            raise ValueError(message)


def _check_tokens(x: Array, width: int) -> None:
    shape = tuple(x.shape)
    if len(shape) != 2 or shape[1] != width:
        message = f"x has shape {shape}, the updates read {width} inputs: give one token per row"
        raise ValueError(message)


def _owners(sizes: Sequence[int], like: Array) -> Int[Array, " c"]:
    """The numbers 0, 1, … of the adapters, each repeated as often as it has rows."""
    xp, rows = array_namespace(like), [i for i, size in enumerate(sizes) for _ in range(size)]
    return xp.asarray(rows, dtype=xp.int64, device=device(like))


def forward(
    library: Library, x: Float[Array, "t n"], weights: Float[Array, "t k"]
) -> Float[Array, "t m"]:
    r"""Return :math:`\sum_i w_{ti} \Delta_i x_t` for every token ``t``: mixed after the product.

    Weights are what `Router.weights` or `Gates.weights` return. Never a ``(t, k, m)`` array: where
    most weights are zero, each update meets its own tokens only, ``O(p r (m + n))`` for ``p``
    nonzero weights; else rank codes are weighted and one concatenated ``up`` lifts their sum,
    ``O(t c (m + n))`` and a copy of the factors, ``c`` the sum of the widths.

    Raises
    ------
    ValueError
        If there is no update, their shapes differ, `x` has another width than they read, or
        `weights` is not (t, k).
    """
    _check(library, outputs=True)
    _check_tokens(x, library[0].shape[1])
    shape, wanted = tuple(weights.shape), (int(x.shape[0]), len(library))
    if shape != wanted:
        message = f"weights have shape {shape}, not {wanted}: give one per token and adapter"
        raise ValueError(message)
    xp, kind = array_namespace(x, weights, library[0].up), _working(library)
    library = [low.map(lambda factor: xp.astype(factor, kind, copy=False)) for low in library]
    x, weights = (xp.astype(array, kind, copy=False) for array in (x, weights))
    mostly_zero = 2 * int(xp.count_nonzero(weights)) <= wanted[0] * wanted[1]
    return (_each if mostly_zero else _joined)(library, x, weights)


def _each(library: Library, x: Array, weights: Array) -> Array:
    """Every update on the tokens that want it."""
    xp = array_namespace(x)
    out = xp.zeros((x.shape[0], library[0].shape[0]), dtype=x.dtype, device=device(x))
    for i, low in enumerate(library):
        share = weights[:, i]
        on = share != 0
        if low.width and bool(xp.any(on)):
            out[on] = out[on] + ((x[on] @ low.down.T) * share[on][:, None]) @ low.up.T
    return out


def _joined(library: Library, x: Array, weights: Array) -> Array:
    """All updates at once: one product down, one product up."""
    xp = array_namespace(x)
    codes = x @ xp.concat([low.down for low in library], axis=0).T
    codes = codes * xp.take(weights, _owners([low.width for low in library], x), axis=1)
    return codes @ xp.concat([low.up for low in library], axis=1).T


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of `k` adapters, prepared once and asked for many tokens.

    A score is ``(length - shift) / spread``, the length divided by that of the token if `cosine` (0
    for a zero token). `codes` are those of all adapters, stacked; row ``r`` is of `owner[r]`.
    """

    codes: Float[Array, "c n"]
    owner: Int[Array, " c"]
    shift: Float[Array, " k"]
    spread: Float[Array, " k"]
    cosine: bool = False

    def __call__(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Score every token, one a row, for every adapter; ``O(t c (n + k))``, in `codes`' type."""
        xp = array_namespace(x, self.codes)
        _check_tokens(x, int(self.codes.shape[1]))
        x = xp.astype(x, self.codes.dtype, copy=False)
        adapters = xp.arange(self.shift.shape[0], dtype=xp.int64, device=device(self.owner))
        belongs = xp.astype(self.owner[:, None] == adapters[None, :], self.codes.dtype)
        lengths = xp.sqrt((x @ self.codes.T) ** 2 @ belongs)
        if self.cosine:
            token = xp.linalg.vector_norm(x, axis=1, keepdims=True)
            lengths = lengths / xp.where(token > 0, token, xp.ones_like(token))
        return (lengths - self.shift) / self.spread


def _scores(library: Library, code: Callable[[LowRank], Array], cosine: bool) -> Scores:
    _check(library)
    codes, kind = [code(low) for low in library], _working(library)
    xp, where = array_namespace(codes[0]), device(codes[0])
    return Scores(
        codes=xp.astype(xp.concat(codes, axis=0), kind, copy=False),
        owner=_owners([int(rows.shape[0]) for rows in codes], codes[0]),
        shift=xp.zeros(len(codes), dtype=kind, device=where),
        spread=xp.ones(len(codes), dtype=kind, device=where),
        cosine=cosine,
    )


def arrow_scores(library: Library, *, cosine: bool = False) -> Scores:
    r"""Return :math:`|\langle x, v_i \rangle|`, ``v_i`` the top right singular vector: Arrow.

    The vector is that of the update itself, exact by a QR core. Power iteration from a random
    start (15 steps in PEFT) misses it when the two largest singular values are close. It has
    length one, so that the strength of an adapter does not count; a zero update scores 0. With
    `cosine`, here and below, scores are divided by the token's length, which else acts as an
    inverse temperature. On inputs orthogonal to ``v_i`` the adapter is blind, whatever it does to
    them. Costs ``O((m + n) r^2)`` an update, as the other scores.

    References
    ----------
    Ostapenko et al. (ICML 2024), "Towards Modular LLMs by Building and Reusing a Library of
    LoRAs", arXiv 2405.11157.

    Examples
    --------
    Strength does not count: both score the token alike, though one answers five times as much.

    >>> weak, strong = from_dense(np.diag([1.0, 0.0])), from_dense(np.diag([0.0, 5.0]))
    >>> arrow_scores([weak, strong])(np.array([[1.0, 1.0]]))
    array([[1., 1.]])
    """
    return _scores(library, lambda low: low.svd(1).above(0).right, cosine)


def subspace_scores(library: Library, *, cosine: bool = False) -> Scores:
    r"""Return :math:`\|P_i x\|`: how much of the token lies in the row space of adapter `i`."""
    return _scores(library, lambda low: low.row_space().T, cosine)


def response_scores(library: Library, *, cosine: bool = False) -> Scores:
    r"""Return :math:`\|\Delta_i x\|`: how strongly adapter `i` answers; the score of SpectR.

    With :math:`\Delta_i = U \Sigma V^T` it is the length of the spectral code
    :math:`\Sigma V^T x`, since the columns of :math:`U` are orthonormal: `r` numbers a token
    instead of `m`. SEQR selects the largest response too.

    References
    ----------
    Fleshman and Van Durme (COLM 2025), "SpectR: Dynamically Composing LM Experts with Spectral
    Routing", arXiv 2504.03454; the same (2025), "SEQR: Secure and Efficient QR-based LoRA
    Routing", arXiv 2509.18093.

    Examples
    --------
    >>> weak, strong = from_dense(np.diag([1.0, 0.0])), from_dense(np.diag([0.0, 5.0]))
    >>> response_scores([weak, strong])(np.array([[1.0, 1.0]]))
    array([[1., 5.]])
    """
    return _scores(library, lambda low: low.svd().sigma[:, None] * low.Vh, cosine)


def _check_router(top_k: int, size: int, temperature: int | float) -> None:
    if not 1 <= top_k <= size:
        message = f"top_k is {top_k} in a library of {size}: keep between 1 and {size} adapters"
        raise ValueError(message)
    if not temperature > 0:
        message = f"temperature is {temperature}: give a positive number, or top_k=1 for the best"
        raise ValueError(message)


def softmax_weights(
    scores: Float[Array, "t k"], top_k: int, temperature: int | float = 1.0
) -> Float[Array, "t k"]:
    r"""Return softmax weights over the `top_k` largest scores of each token, 0 elsewhere.

    :math:`w_i \propto \exp(s_i / \text{temperature})`, each row summing to one; of equal scores the
    first ones count. A small temperature is for the best alone, a large one for equal shares.

    Raises
    ------
    ValueError
        If `top_k` is not between 1 and `k`, or `temperature` is not positive.

    Examples
    --------
    >>> softmax_weights(np.array([[3.0, 1.0, 0.0]]), top_k=2).round(3)
    array([[0.881, 0.119, 0.   ]])
    """
    _check_router(top_k, int(scores.shape[1]), temperature)
    xp = array_namespace(scores)
    order = xp.argsort(-scores, axis=1, stable=True)
    keep = xp.argsort(order, axis=1, stable=True) < top_k
    gap = xp.max(scores, axis=1, keepdims=True) - scores
    share = xp.where(keep, xp.exp(-gap / temperature), xp.zeros_like(scores))
    return share / xp.sum(share, axis=1, keepdims=True)


@dataclass(frozen=True)
class Router:
    """Scores, how many adapters to keep on a token, and how sharply to weigh them.

    Scores are `arrow_scores`, `response_scores`, `subspace_scores`, or one of them `standardised`;
    the rest, and what is refused, is that of `softmax_weights`.
    """

    scores: Scores
    top_k: int = 1
    temperature: int | float = 1.0

    def __post_init__(self) -> None:
        """Refuse what could not weigh a token."""
        _check_router(self.top_k, int(self.scores.shift.shape[0]), self.temperature)

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Softmax weights of every token over its best adapters; costs as the scores."""
        return softmax_weights(self.scores(x), self.top_k, self.temperature)


def standardised(scores: Scores, activations: Float[Array, "t n"]) -> Scores:
    """Return z-scores: in standard deviations above the mean that base activations give.

    Mean 0 and deviation 1 over `activations`, at least two, adapter by adapter; a score that never
    changes there keeps its unit. With `response_scores` and ``top_k=1`` this is routing in the
    manner of SEQR (Fleshman and Van Durme, 2025, arXiv 2509.18093).
    """
    count = int(activations.shape[0])
    if count < 2:
        message = f"{count} activations have no deviation: calibrate on at least 2"
        raise ValueError(message)
    seen = scores(double(activations, "activations"))
    xp = array_namespace(seen)
    mean, spread = xp.mean(seen, axis=0), xp.std(seen, axis=0)
    spread = xp.where(spread > 0, spread, xp.ones_like(spread))
    return replace(scores, shift=scores.shift + mean * scores.spread, spread=scores.spread * spread)


@dataclass(frozen=True, eq=False)
class Gates:
    """An independent switch for each adapter: on where its score is above its threshold."""

    scores: Scores
    thresholds: Float[Array, " k"]

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Ones and zeros: any number of ones at a token, none where the base is left alone."""
        seen = self.scores(x)
        return array_namespace(seen).astype(seen > self.thresholds, seen.dtype)


def calibrate(
    library: Library, activations: Float[Array, "t n"], *, budget: int | float = 0.05
) -> Gates:
    r"""Return gates that fire in vain, all together, on at most a share `budget` of base tokens.

    Each of `k` adapters gets ``budget / k``, and as its threshold the order statistic number
    :math:`\lceil (t + 1)(1 - \text{budget}/k) \rceil` of its own responses to the `t` given
    activations. On one more activation of the same kind (exchangeable with the given ones) it is
    then on with probability at most ``budget / k``, whatever the distribution, and one of them
    with probability at most `budget`. Do not calibrate on the prompts that adapters were trained
    on: the threshold would sit where the edits answer.

    Raises
    ------
    ValueError
        If `budget` is not between 0 and 1, or there are fewer than about ``k / budget``
        activations: the threshold would lie beyond the largest.
    """
    if not 0 < budget < 1:
        message = f"a false-alarm budget of {budget} is no share of tokens: give one in (0, 1)"
        raise ValueError(message)
    scores = response_scores(library)
    count, share = int(activations.shape[0]), budget / len(library)
    place = math.ceil((count + 1) * (1 - share))
    if place > count:
        message = (
            f"{count} activations cannot show a rate of {share:.3g} per adapter: "
            f"calibrate on at least {math.ceil(1 / share) - 1}, or allow a larger budget"
        )
        raise ValueError(message)
    seen = scores(double(activations, "activations"))
    return Gates(scores, array_namespace(seen).sort(seen, axis=0)[place - 1, :])


def calibrate_z(
    library: Library, activations: Float[Array, "t n"], *, z: int | float = 2.0
) -> Gates:
    """Return gates that open `z` standard deviations above the mean response to base tokens.

    The larger `z`, the fewer false alarms and the more misses; no rate is promised.
    """
    scores = standardised(response_scores(library), activations)
    return Gates(scores, array_namespace(scores.shift).full_like(scores.shift, z))
