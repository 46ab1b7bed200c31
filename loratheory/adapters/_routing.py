r"""Which adapters of a library act on a token, and with what weight: routers and gates.

Prepare once, weigh many tokens, mix the outputs after the product::

    router = Router(arrow_scores(updates), top_k=2)
    outputs = forward(updates, x, router.weights(x))

Weights of a `Router` sum to one: an adapter acts at full strength only where it is alone. `Gates`
switch each adapter by itself: it is on at a token iff its own response :math:`\|\Delta_i x\|`
exceeds what base activations on ordinary prompts make it give, with no task data, no labels and no
training. Where the right adapter is on and the others are off, the output is the oracle's.
Activations are what the base model feeds the module on ordinary prompts, one token per row; one
that is NaN or infinite is refused.
"""

import math
from dataclasses import dataclass, replace

from loratheory.adapters._scores import Library, Scores, response_scores
from loratheory.lowrank import Array, array_namespace, double
from loratheory.shapes import Float


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

    :math:`w_i \propto \exp(s_i / \text{temperature})`, each row summing to one; of equal scores the
    first ones count. A small temperature is for the best alone, a large one for equal shares.

    Raises
    ------
    ValueError
        If `top_k` is not between 1 and `k`, or `temperature` is not positive.
    """
    _check(top_k, int(scores.shape[1]), temperature)
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
        _check(self.top_k, int(self.scores.shift.shape[0]), self.temperature)

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
