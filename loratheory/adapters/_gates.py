r"""Calibrated gates: each adapter is on at full strength or off, independently of the others.

An adapter is on at a token iff its own response :math:`\|\Delta_i x\|` exceeds what base
activations on ordinary prompts make it give: no task data, no labels, no training. Where the right
adapter is on and the others are off, the output is the oracle's.
"""

import math
from dataclasses import dataclass, replace

from loratheory.adapters._scores import Scores, response_scores
from loratheory.adapters._shelf import Updates
from loratheory.lowrank import Array, array_namespace, double
from loratheory.shapes import Float


def standardised(scores: Scores, activations: Float[Array, "t n"]) -> Scores:
    """Return z-scores: in standard deviations above the mean that base activations give.

    With `response_scores` and ``top_k=1`` this is routing in the manner of SEQR (Fleshman and
    Van Durme, 2025, arXiv 2509.18093).

    Parameters
    ----------
    scores : Scores
        Any scores of a shelf.
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
    """An independent switch for each adapter of a shelf.

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
