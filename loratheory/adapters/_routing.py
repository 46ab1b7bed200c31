r"""Which adapters of a library act on a token, and with what weight: routers and gates.

Prepare once, weigh many tokens, mix the outputs after the product::

    router = Router(arrow_scores(updates), top_k=2)
    outputs = forward(updates, x, router.weights(x))

Weights of a `Router` sum to one: an adapter acts at full strength only where it is alone. `Gates`
switch each adapter by itself: it is on at a token iff its own response :math:`\|\Delta_i x\|`
exceeds what base activations on ordinary prompts make it give, with no task data, no labels and no
training. Where the right adapter is on and the others are off, the output is the oracle's.
"""

import math
from dataclasses import dataclass, replace

from loratheory.adapters._scores import Scores, Updates, response_scores, working
from loratheory.lowrank import Array, array_namespace, device, double
from loratheory.shapes import Float, Int


def _kept(scores: Float[Array, "t k"], top_k: int) -> Array:
    """Return where the `top_k` largest scores of each token are, as booleans; ties go left."""
    xp = array_namespace(scores)
    order = xp.argsort(scores, axis=1, descending=True, stable=True)
    return xp.argsort(order, axis=1, stable=True) < top_k


def _check(top_k: int, size: int, temperature: int | float) -> None:
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

    Parameters
    ----------
    scores : (t, k) array
        A score per token and adapter.
    top_k : int
        How many adapters act on a token.
    temperature : float
        Scores are divided by it: small for the best alone, large for equal shares.

    Returns
    -------
    (t, k) array
        :math:`w_i \propto \exp(s_i / \text{temperature})`; each row sums to one. Costs a sort
        of each row.

    Raises
    ------
    ValueError
        If `top_k` is not between 1 and `k`, or `temperature` is not positive.
    """
    _check(top_k, int(scores.shape[1]), temperature)
    xp = array_namespace(scores)
    keep = _kept(scores, top_k)
    gap = xp.max(scores, axis=1, keepdims=True) - scores
    share = xp.where(keep, xp.exp(-gap / temperature), xp.zeros_like(scores))
    return share / xp.sum(share, axis=1, keepdims=True)


@dataclass(frozen=True)
class Router:
    """Scores, how many adapters to keep, and how sharply to weigh them.

    Attributes
    ----------
    scores : Scores
        `arrow_scores`, `response_scores`, `subspace_scores`, or one of them `standardised`.
    top_k : int
        How many adapters act on a token.
    temperature : float
        As in `softmax_weights`.

    Raises
    ------
    ValueError
        If `top_k` is not between 1 and the size of the library, or `temperature` not positive.
    """

    scores: Scores
    top_k: int = 1
    temperature: int | float = 1.0

    def __post_init__(self) -> None:
        """Refuse what could not weigh a token."""
        _check(self.top_k, int(self.scores.shift.shape[0]), self.temperature)

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Softmax weights of every token over its best adapters; costs as the scores."""
        return softmax_weights(self.scores(x), self.top_k, self.temperature)


def uniform_weights(x: Float[Array, "t n"], size: int) -> Float[Array, "t k"]:
    """Equal weights ``1 / size`` for every token: the exact mean of the updates."""
    if size < 1:
        message = f"a library of {size} has nothing to weigh: give at least one update"
        raise ValueError(message)
    xp = array_namespace(x)
    return xp.full((x.shape[0], size), 1 / size, dtype=working(x), device=device(x))


def oracle_weights(index: Int[Array, " t"], size: int) -> Float[Array, "t k"]:
    """Return weight one for the adapter that each token is known to need, zero for the others.

    Parameters
    ----------
    index : (t,) array of int
        The right adapter of each token; -1 leaves the token to the base.
    size : int
        How many adapters.

    Returns
    -------
    (t, k) array
        In float64: what the other rules are measured against.

    Raises
    ------
    ValueError
        If an index names no adapter.
    """
    xp = array_namespace(index)
    low, high = (int(xp.min(index)), int(xp.max(index))) if index.shape[0] else (0, 0)
    if low < -1 or high >= size:
        message = f"indices run from {low} to {high} in a library of {size}: use -1 to {size - 1}"
        raise ValueError(message)
    adapters = xp.arange(size, dtype=index.dtype, device=device(index))
    return xp.astype(index[:, None] == adapters[None, :], xp.float64)


def standardised(scores: Scores, activations: Float[Array, "t n"]) -> Scores:
    """Return z-scores: in standard deviations above the mean that base activations give.

    With `response_scores` and ``top_k=1`` this is routing in the manner of SEQR (Fleshman and
    Van Durme, 2025, arXiv 2509.18093).

    Parameters
    ----------
    scores : Scores
        Any scores of a library.
    activations : (t, n) array
        What the base model feeds the module on ordinary prompts, one token per row.

    Returns
    -------
    Scores
        Mean 0 and deviation 1 over `activations`, adapter by adapter (a score that never
        changes there keeps its unit). Costs one call.

    Raises
    ------
    ValueError
        If there are fewer than two activations, or their width is wrong.
    NotFiniteError
        If one of them is NaN or infinite.
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
    """An independent switch for each adapter of a library.

    Attributes
    ----------
    scores : Scores
        What is compared.
    thresholds : (k,) array
        An adapter is on where its score is above.
    """

    scores: Scores
    thresholds: Float[Array, " k"]

    def weights(self, x: Float[Array, "t n"]) -> Float[Array, "t k"]:
        """Switch every adapter on or off at every token.

        Parameters
        ----------
        x : (t, n) array
            One token per row.

        Returns
        -------
        (t, k) array
            Ones and zeros; any number of ones in a row, none where the base is left alone.
            Costs as the scores.

        Raises
        ------
        ValueError
            If `x` has another width than the updates.
        """
        seen = self.scores(x)
        return array_namespace(seen).astype(seen > self.thresholds, seen.dtype)


def calibrate(
    updates: Updates, activations: Float[Array, "t n"], *, budget: int | float = 0.05
) -> Gates:
    r"""Return gates that fire in vain, all together, on at most a share `budget` of base tokens.

    Each of `k` adapters gets ``budget / k``, and as its threshold the order statistic number
    :math:`\lceil (t + 1)(1 - \text{budget}/k) \rceil` of its own responses to the `t` given
    activations. On one more activation of the same kind (exchangeable with the given ones) it is
    then on with probability at most ``budget / k``, whatever the distribution, and one of them
    with probability at most `budget`.

    Parameters
    ----------
    updates : sequence of LowRank
        The updates of one module, ranks free.
    activations : (t, n) array
        What the base model feeds the module on ordinary prompts, one token per row; not the
        prompts that the adapters were trained on.
    budget : float
        Between 0 and 1.

    Returns
    -------
    Gates
        Costs the scores of `t` tokens and a sort of each column.

    Raises
    ------
    ValueError
        If `budget` is not between 0 and 1, or there are fewer than about ``k / budget``
        activations: the threshold would lie beyond the largest.
    NotFiniteError
        If an activation is NaN or infinite.
    """
    if not 0 < budget < 1:
        message = f"a false-alarm budget of {budget} is no share of tokens: give one in (0, 1)"
        raise ValueError(message)
    scores = response_scores(updates)
    count, share = int(activations.shape[0]), budget / len(updates)
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
    updates: Updates, activations: Float[Array, "t n"], *, z: int | float = 2.0
) -> Gates:
    """Return gates that open `z` standard deviations above the mean response to base tokens.

    Parameters
    ----------
    updates : sequence of LowRank
        The updates of one module, ranks free.
    activations : (t, n) array
        What the base model feeds the module on ordinary prompts, one token per row.
    z : float
        The larger, the fewer false alarms and the more misses; no rate is promised.

    Returns
    -------
    Gates
        On `standardised` responses. Costs the scores of `t` tokens.

    Raises
    ------
    ValueError
        If there are fewer than two activations.
    NotFiniteError
        If an activation is NaN or infinite.
    """
    scores = standardised(response_scores(updates), activations)
    return Gates(scores, array_namespace(scores.shift).full_like(scores.shift, z))
