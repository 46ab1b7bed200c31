"""Routing: which adapters of a shelf act on a token, and with what weight.

Prepare once, weigh many tokens, mix the outputs after the product::

    router = Router(arrow_scores(updates), top_k=2)
    outputs = forward(updates, x, router.weights(x))

Weights of a `Router` sum to one: an adapter acts at full strength only where it is alone. Gates
(`calibrate`) switch each adapter by itself instead.
"""

from dataclasses import dataclass

from loratheory.adapters._scores import Scores
from loratheory.adapters._shelf import working
from loratheory.lowrank import Array, array_namespace, device
from loratheory.shapes import Float, Int


def _kept(scores: Float[Array, "t k"], top_k: int) -> Array:
    """Return where the `top_k` largest scores of each token are, as booleans; ties go left."""
    xp = array_namespace(scores)
    order = xp.argsort(scores, axis=1, descending=True, stable=True)
    return xp.argsort(order, axis=1, stable=True) < top_k


def _check(top_k: int, size: int, temperature: int | float) -> None:
    if not 1 <= top_k <= size:
        message = f"top_k is {top_k} on a shelf of {size}: keep between 1 and {size} adapters"
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
        If `top_k` is not between 1 and the size of the shelf, or `temperature` not positive.
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
        message = f"a shelf of {size} has nothing to weigh: give at least one update"
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
        message = f"indices run from {low} to {high} on a shelf of {size}: use -1 to {size - 1}"
        raise ValueError(message)
    adapters = xp.arange(size, dtype=index.dtype, device=device(index))
    return xp.astype(index[:, None] == adapters[None, :], xp.float64)
