"""Merges that are linear in the updates, and the best approximation of one at a given rank."""

from collections.abc import Sequence

from loratheory.adapters._options import Options
from loratheory.lowrank import LowRank, total, truncate


def weighted_sum(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the weighted sum :math:`\sum_j w_j \Delta_j`, exact: the rules `sum`, `cat`, `task`.

    One function under the names that users know. `sum` takes no weights. `cat` is the weighted
    sum kept as concatenated factors, PEFT's combination type of that name. `task` is task
    arithmetic, :math:`\lambda \sum_j w_j \Delta_j`, where the coefficient of the merge is
    :math:`\lambda`; for low-rank updates it is `cat` with scaled weights.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.
    weights : list of float
        One an adapter.
    options : Options
        None is used.

    Returns
    -------
    LowRank
        Equal to the sum; width the sum of the widths, compressed only where that exceeds what
        an (m, n) matrix can need. Costs ``O((m + n) R)``, ``R`` the total width.

    References
    ----------
    Ilharco et al., *Editing models with task arithmetic* (ICLR 2023, arXiv 2212.04089).
    """
    del options
    return total(list(updates), weights)


def mean(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the mean :math:`\frac1k \sum_j \Delta_j` of the updates, exact.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.
    weights : list of float
        Taken to be 1 each: a mean has no weights.
    options : Options
        None is used.

    Returns
    -------
    LowRank
        The update nearest to all in mean squared distance (``thm:merge-floor``). Costs
        ``O((m + n) R)``, ``R`` the total width.

    References
    ----------
    Wortsman et al., *Model soups* (ICML 2022, arXiv 2203.05482), for whole models.
    """
    return weighted_sum(updates, weights, options) / len(updates)


def truncated(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the best approximation of :math:`\sum_j w_j \Delta_j` of rank at most ``rank``.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.
    weights : list of float
        One an adapter.
    options : Options
        ``rank`` is used.

    Returns
    -------
    LowRank
        The nearest matrix of that rank to the weighted sum, in balanced factors. Costs
        ``O((m + n) R^2 + R^3)``, ``R`` the total width; PEFT's `svd` forms the (m, n) sum.

    References
    ----------
    Eckart and Young (1936).
    """
    return cut(weighted_sum(updates, weights, options), options)


def cut(low: LowRank, options: Options) -> LowRank:
    """Truncate a matrix of the caller's own, which is lost, to ``options.rank`` if one is given.

    Costs as `loratheory.lowrank.svd`.
    """
    if options.rank is None or low.width <= options.rank:
        return low
    return truncate(low, options.rank, overwrite=True)
