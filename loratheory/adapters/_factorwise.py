r"""Merges of the factors instead of the updates: kept as warnings.

:math:`B A` and :math:`(B G)(G^{-1} A)` are the same update for every invertible :math:`G`, but
these rules treat them differently: **gauge dependent**, and even in a fixed gauge the product of
means is not the mean of products (``thm:factor-mean-residual``).
"""

import math
from collections.abc import Sequence

from loratheory.adapters._options import MergeError, Options, widened
from loratheory.lowrank import LowRank, array_namespace, device


def factor_mean(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the product of the mean factors, :math:`\bar B \bar A`; gauge dependent.

    What averaging the tensors of adapter files one by one gives (the default of some routing
    libraries): each adapter's own product enters with :math:`1/k^2`, not :math:`1/k`, beside
    cross terms :math:`B_i A_j`.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter, all of one width; an update of width 0 counts as zero factors.
    weights : list of float
        Taken to be 1 each: a mean has no weights.
    options : Options
        ``module`` is used, for the message.

    Returns
    -------
    LowRank
        Of the adapters' common width. Costs ``O((m + n) R)``, ``R`` the total width.

    Raises
    ------
    MergeError
        If the widths differ.

    References
    ----------
    FedEx-LoRA (ACL 2025, arXiv 2410.09432) states what is lost.
    """
    share = [weight / len(updates) for weight in weights]
    return _summed(updates, share, share, options)


def factor_linear(
    updates: Sequence[LowRank], weights: Sequence[float], options: Options
) -> LowRank:
    r"""Return PEFT's `linear`: :math:`(\sum_i \sqrt{|w_i|} B_i)(\sum_j \pm\sqrt{|w_j|} A_j)`.

    Gauge dependent. The signs of the weights go to the second factor. Equal to PEFT where
    all adapters have one scale; PEFT splits each scale between the factors, here it sits in
    the first.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter, all of one width; an update of width 0 counts as zero factors.
    weights : list of float
        One an adapter.
    options : Options
        ``module`` is used, for the message.

    Returns
    -------
    LowRank
        :math:`\sum_i w_i B_i A_i` plus all cross terms. Costs ``O((m + n) R)``, ``R`` the total
        width.

    Raises
    ------
    MergeError
        If the widths differ.

    References
    ----------
    PEFT 0.21, ``add_weighted_adapter(combination_type="linear")``.
    """
    root = [math.sqrt(abs(weight)) for weight in weights]
    signed = [math.copysign(side, weight) for side, weight in zip(root, weights, strict=True)]
    return _summed(updates, root, signed, options)


def _summed(
    updates: Sequence[LowRank], ups: Sequence[float], downs: Sequence[float], options: Options
) -> LowRank:
    """Sum the factors with their own coefficients."""
    widths = sorted({low.width for low in updates if low.width})
    if len(widths) > 1:
        message = (
            f"{options.module} has factors of inner sizes {widths}: a rule that adds factors needs "
            "equal ranks; choose cat, svd or mean, which add the updates themselves"
        )
        raise MergeError(message)
    updates = widened(updates)
    (m, n), width = updates[0].shape, widths[0] if widths else 0
    xp = array_namespace(updates[0].up)
    place = {"dtype": updates[0].up.dtype, "device": device(updates[0].up)}
    up, down = xp.zeros((m, width), **place), xp.zeros((width, n), **place)
    for low, left, right in zip(updates, ups, downs, strict=True):
        if low.width:
            up, down = up + left * low.up, down + right * low.down
    return LowRank(up, down)
