r"""Which adapters of a library act on a token, and with what weight: scores, routers and gates.

A router is prepared once for a library and then gives weights for any number of tokens; `forward`
adds up the weighted outputs of the updates::

    router = Router(arrow_scores(updates), top_k=2)
    outputs = forward(updates, x, router.weights(x))

Every score here is a length: adapter :math:`i` has a matrix :math:`C_i` of a few rows, its *code*,
and its score at a token :math:`x` is :math:`\|C_i x\|`. With the first right singular vector as
code this is Arrow, with an orthonormal basis of the row space it is the norm of the projection, and
with the spectral code the response norm :math:`\|\Delta_i x\|`. Tokens are rows: ``x`` is (t, n),
weights are (t, k), outputs (t, m). Computations are in float64 if a factor is, else in float32. A
library is a sequence of updates of one module, of any ranks, and is not empty.

The weights of a `Router` sum to one, so that an adapter acts at full strength only where it is
alone. `Gates` switch each adapter separately: it is on at a token iff its response norm exceeds a
threshold, set from its responses to base activations without task data, labels or training. Where
exactly the right adapter is on, the output is as if it had been chosen by hand. Activations are the
inputs of the module in the base model on ordinary prompts, one token per row; NaN or infinite ones
are refused.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, device, double
from loratheory.shapes import Float, Int

Library = Sequence[LowRank]


def _working(library: Library) -> Array:
    """The type to compute in."""
    # One float64 factor makes all computations float64; narrower types than float32 lose digits.
    for low in library:
        xp = array_namespace(low.up, low.down)
        if xp.float64 in (low.up.dtype, low.down.dtype):
            return xp.float64
    return xp.float32


def forward(
    library: Library, x: Float[Array, "t n"], weights: Float[Array, "t k"]
) -> Float[Array, "t m"]:
    r"""Return the weighted sum of the updates' outputs, :math:`\sum_i w_{ti} \Delta_i x_t`.

    `weights` are those of `Router.weights` or `Gates.weights`. Each update is applied only to the
    tokens that use it, ``O(p r (m + n))`` for ``p`` nonzero weights; no ``(t, k, m)`` array is
    formed.

    Raises
    ------
    ValueError
        If there is not one weight for each token and adapter.
    """
    given, wanted = tuple(weights.shape), (int(x.shape[0]), len(library))
    # One row, or columns too many, would be taken in silence.
    if given != wanted:
        message = f"weights have shape {given}, not {wanted}: give one per token and adapter"
        raise ValueError(message)
    xp, kind = array_namespace(x, weights, library[0].up), _working(library)
    x, weights = (xp.astype(array, kind, copy=False) for array in (x, weights))
    out = xp.zeros((x.shape[0], library[0].shape[0]), dtype=kind, device=device(x))
    for i, low in enumerate(library):
        share = weights[:, i]
        on = share != 0
        if low.width and bool(xp.any(on)):
            up, down = (xp.astype(factor, kind, copy=False) for factor in (low.up, low.down))
            out[on] = out[on] + ((x[on] @ down.T) * share[on][:, None]) @ up.T
    return out


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of `k` adapters, prepared once; a call computes them for tokens.

    `codes` holds the codes of all adapters, stacked; row ``r`` belongs to adapter ``owner[r]``. A
    score is ``(length - shift) / spread``, where `length` is the norm of code times token.
    """

    codes: Float[Array, "c n"]
    owner: Int[Array, " c"]
    shift: Float[Array, " k"]
    spread: Float[Array, " k"]

    def __call__(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Return each adapter's score at each token; ``O(t c (n + k))``, in the type of `codes`."""
        xp = array_namespace(x, self.codes)
        x = xp.astype(x, self.codes.dtype, copy=False)
        adapters = xp.arange(self.shift.shape[0], dtype=xp.int64, device=device(self.owner))
        # Squares of all rows are added up by owner in one product.
        belongs = xp.astype(self.owner[:, None] == adapters[None, :], self.codes.dtype)
        lengths = xp.sqrt((x @ self.codes.T) ** 2 @ belongs)
        return (lengths - self.shift) / self.spread


def _scores(library: Library, code: Callable[[LowRank], Array]) -> Scores:
    codes, kind = list(map(code, library)), _working(library)
    xp, where = array_namespace(codes[0]), device(codes[0])
    sizes = [int(rows.shape[0]) for rows in codes]
    return Scores(
        codes=xp.astype(xp.concat(codes, axis=0), kind, copy=False),
        owner=xp.asarray(np.repeat(np.arange(len(codes)), sizes), device=where),
        shift=xp.zeros(len(codes), dtype=kind, device=where),
        spread=xp.ones(len(codes), dtype=kind, device=where),
    )


def arrow_scores(library: Library) -> Scores:
    r"""Return Arrow's scores :math:`|\langle x, v_i \rangle|`, ``v_i`` of length one.

    ``v_i`` is the first right singular vector of update `i`, from an exact decomposition; power
    iteration from a random start (15 steps in PEFT) misses it when the two largest singular values
    are close. The strength of an adapter does not count, but a zero update scores 0. An input
    orthogonal to ``v_i`` scores 0, whatever the adapter does to it. Costs ``O((m + n) r^2)`` for
    each update, as the other scores do.

    References
    ----------
    Ostapenko et al. (ICML 2024), "Towards Modular LLMs by Building and Reusing a Library of
    LoRAs", arXiv 2405.11157.

    Examples
    --------
    Strength does not count: both give the token the same score, though one output is five times as
    large.

    >>> weak, strong = from_dense(np.diag([1.0, 0.0])), from_dense(np.diag([0.0, 5.0]))
    >>> arrow_scores([weak, strong])(np.array([[1.0, 1.0]]))
    array([[1., 1.]])
    """
    return _scores(library, lambda low: low.svd(1).above(0).right)


def subspace_scores(library: Library) -> Scores:
    r"""Return :math:`\|P_i x\|`, the norm of a token's projection onto the row space of `i`."""
    return _scores(library, lambda low: low.row_space().T)


def response_norms(library: Library) -> Scores:
    r"""Return the response norms :math:`\|\Delta_i x\|`: the norm of the output of update `i`.

    They are the scores of SpectR; SEQR also selects the largest. With
    :math:`\Delta_i = U \Sigma V^T` it is the norm of :math:`\Sigma V^T x`, since the columns of
    :math:`U` are orthonormal: `r` numbers for each token instead of `m`.

    References
    ----------
    Fleshman and Van Durme (COLM 2025), "SpectR: Dynamically Composing LM Experts with Spectral
    Routing", arXiv 2504.03454; the same (2025), "SEQR: Secure and Efficient QR-based LoRA
    Routing", arXiv 2509.18093.

    Examples
    --------
    >>> weak, strong = from_dense(np.diag([1.0, 0.0])), from_dense(np.diag([0.0, 5.0]))
    >>> response_norms([weak, strong])(np.array([[1.0, 1.0]]))
    array([[1., 5.]])
    """
    return _scores(library, lambda low: low.svd().sigma[:, None] * low.Vh)


def softmax_weights(
    scores: Float[Array, "t k"], top_k: int, temperature: int | float = 1.0
) -> Float[Array, "t k"]:
    r"""Return softmax weights over the `top_k` largest scores of each token, 0 elsewhere.

    :math:`w_i \propto \exp(s_i / \text{temperature})`, and each row sums to one; among equal scores
    the first ones are kept. A small temperature gives all weight to the best, a large one equal
    weights.

    Raises
    ------
    ValueError
        If `top_k` is not between 1 and `k`, or `temperature` is not positive.

    Examples
    --------
    >>> softmax_weights(np.array([[3.0, 1.0, 0.0]]), top_k=2).round(3)
    array([[0.881, 0.119, 0.   ]])
    """
    size = int(scores.shape[1])
    if not 1 <= top_k <= size:
        message = f"top_k is {top_k} in a library of {size}: keep between 1 and {size} adapters"
        raise ValueError(message)
    if not temperature > 0:
        message = f"temperature is {temperature}: give a positive number, or top_k=1 for the best"
        raise ValueError(message)
    xp = array_namespace(scores)
    # Ranks, by sorting twice; stable, so that among equal scores the first is kept.
    order = xp.argsort(-scores, axis=1, stable=True)
    keep = xp.argsort(order, axis=1, stable=True) < top_k
    # Exponents are at most 0 and cannot overflow.
    gap = xp.max(scores, axis=1, keepdims=True) - scores
    share = xp.where(keep, xp.exp(-gap / temperature), xp.zeros_like(scores))
    return share / xp.sum(share, axis=1, keepdims=True)


@dataclass(frozen=True)
class Router:
    """A router: softmax weights over the `top_k` adapters with the largest scores at a token.

    `scores` come from `arrow_scores`, `response_norms`, `subspace_scores`, or one of them
    `standardised`. `top_k`, `temperature` and errors are those of `softmax_weights`.
    """

    scores: Scores
    top_k: int = 1
    temperature: int | float = 1.0

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Return the weights of the adapters at each token; costs as much as the scores."""
        return softmax_weights(self.scores(x), self.top_k, self.temperature)


def standardised(scores: Scores, activations: Float[Array, "t n"]) -> Scores:
    """Return z-scores: each adapter's score minus its mean, divided by its standard deviation.

    Mean and deviation are those over the base's `activations`, at least two; a score that is
    constant there is not divided. With `response_norms` and ``top_k=1`` this is routing in the
    manner of SEQR (Fleshman and Van Durme, 2025, arXiv 2509.18093).
    """
    count = int(activations.shape[0])
    if count < 2:
        message = f"{count} activations have no deviation: calibrate on at least 2"
        raise ValueError(message)
    seen = scores(double(activations, "activations"))
    xp = array_namespace(seen)
    mean, spread = xp.mean(seen, axis=0), xp.std(seen, axis=0)
    # A constant score still varies by rounding.
    rounding = 64 * xp.finfo(seen.dtype).eps * xp.max(xp.abs(seen), axis=0)
    spread = xp.where(spread > rounding, spread, xp.ones_like(spread))
    # Scores that are z-scores already have a mean and a deviation to be put on top.
    return replace(scores, shift=scores.shift + mean * scores.spread, spread=scores.spread * spread)


@dataclass(frozen=True, eq=False)
class Gates:
    """A switch for each adapter, which is on at a token where its score is above its threshold."""

    scores: Scores
    thresholds: Float[Array, " k"]

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Return 1 for each adapter that is on at a token, of which there may be none, else 0."""
        seen = self.scores(x)
        return array_namespace(seen).astype(seen > self.thresholds, seen.dtype)


def calibrate(
    library: Library, activations: Float[Array, "t n"], *, budget: int | float = 0.05
) -> Gates:
    r"""Return gates of which any is on at an ordinary token with probability at most `budget`.

    The threshold of each of the `k` adapters is the order statistic number
    :math:`\lceil (t + 1)(1 - \text{budget}/k) \rceil` of its own response norms on the `t` given
    activations. On one more activation that is exchangeable with them, whatever their distribution,
    a gate is on with probability at most ``budget / k``, and any of them with probability at most
    `budget`. Do not calibrate on prompts that the adapters were trained on: the thresholds would
    then be as large as the responses that should open the gates.

    Raises
    ------
    ValueError
        If `budget` is not between 0 and 1, or there are fewer than about ``k / budget``
        activations, so that the threshold would lie beyond the largest response.
    """
    if not 0 < budget < 1:
        message = f"a false-alarm budget of {budget} is no share of tokens: give one in (0, 1)"
        raise ValueError(message)
    scores = response_norms(library)
    count, share = int(activations.shape[0]), budget / len(library)
    # The rank of one more response among all is uniform: no law of the responses is assumed.
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
    """Return gates that open `z` standard deviations above the mean response to base activations.

    A larger `z` gives fewer false alarms and more misses, at rates that are not guaranteed.
    """
    scores = standardised(response_norms(library), activations)
    return Gates(scores, array_namespace(scores.shift).full_like(scores.shift, z))
