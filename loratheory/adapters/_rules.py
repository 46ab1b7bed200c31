r"""Merge rules in closed form: of the updates themselves, and of their factors as a warning.

A rule makes one (m, n) update of several: ``rule(updates, weights, options)`` is given one update
and one weight an adapter (1 each where it takes none) and the settings of the merge. Costs are
arithmetic, with ``R`` for the total width. Rules of entries are in `_entrywise`.

The last two act on factors instead of updates and are kept as warnings: :math:`B A` and
:math:`(B G)(G^{-1} A)` are the same update for every invertible :math:`G`, but they treat them
differently (**gauge dependent**), and even in a fixed gauge the product of means is not the mean of
products (``thm:factor-mean-residual``).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.adapters._adapter import AdapterError
from loratheory.lowrank import Array, LowRank, array_namespace, device, double, total, truncate
from loratheory.shapes import Float


class MergeError(AdapterError):
    """A merge was asked for that cannot be carried out as stated."""


NEGLIGIBLE = 1e-12
"""A singular value below this share of the largest counts as zero."""

SAME = 1e-8
"""Unit directions closer than this count as one: rounding cannot tell them apart reliably."""


@dataclass(frozen=True)
class Options:
    """The settings of one merge, for one module.

    Attributes
    ----------
    module : str
        Its name, for messages and for the random stream.
    space : str
        Where an entrywise rule looks at entries: ``full``, ``knots`` or ``core``.
    rank : int or None
        Truncate the result to this rank; None keeps everything.
    density : float
        Share of entries kept, in (0, 1].
    ridge : float
        Relative ridge of the interpolating merge.
    seed : int
        Where the random rules start.
    """

    module: str = "update"
    space: str = "full"
    rank: int | None = None
    density: int | float = 1.0
    ridge: int | float = 0.0
    seed: int = 0

    def generator(self, position: int) -> np.random.Generator:
        """Random stream of the adapter at `position`: the same in whatever order modules come."""
        return np.random.default_rng([self.seed, position, *self.module.encode()])


Rule = Callable[[Sequence[LowRank], Sequence[float], Options], LowRank]
"""``rule(updates, weights, options)``: the merged update of one module."""


def widened(updates: Sequence[LowRank]) -> list[LowRank]:
    """The same updates in float64."""
    return [low.map(double) for low in updates]


def strong(sigma: Float[Array, " k"], tolerance: float = NEGLIGIBLE) -> int:
    """How many of these descending singular values exceed `tolerance` times the largest."""
    if not sigma.shape[0]:
        return 0
    return int(array_namespace(sigma).count_nonzero(sigma > tolerance * float(sigma[0])))


def weighted_sum(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the weighted sum :math:`\sum_j w_j \Delta_j`, exact: the rules `sum`, `cat`, `task`.

    One function under the names that users know. `sum` takes no weights. `cat` is the weighted
    sum kept as concatenated factors, PEFT's combination type of that name. `task` is task
    arithmetic, :math:`\lambda \sum_j w_j \Delta_j`, where the coefficient of the merge is
    :math:`\lambda`; for low-rank updates it is `cat` with scaled weights.

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

    Returns
    -------
    LowRank
        The nearest matrix of that rank to the weighted sum, in balanced factors. Costs
        ``O((m + n) R^2 + R^3)``, ``R`` the total width; PEFT's `svd` forms the (m, n) sum.

    References
    ----------
    Eckart and Young (1936).
    """
    return limited(weighted_sum(updates, weights, options), options)


def limited(low: LowRank, options: Options) -> LowRank:
    """Truncate a matrix of the caller's own, which is lost, to ``options.rank`` if one is given."""
    if options.rank is None or low.width <= options.rank:
        return low
    return truncate(low, options.rank, overwrite=True)


def iso(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the weighted sum with its nonzero singular values made equal to their mean.

    :math:`\sum_j w_j \Delta_j = U \Sigma V^\top \mapsto \bar\sigma U V^\top`. The published code
    averages over all :math:`\min(m, n)` singular values and fills null directions with arbitrary
    pairs: right for full-rank task vectors, a strong shrinkage plus noise for adapters. Here
    only what is there counts; singular values below 1e-12 of the largest are not.

    Returns
    -------
    LowRank
        Of the rank of the sum, its nuclear norm unchanged, all its singular values equal. Costs
        ``O((m + n) R^2 + R^3)``, ``R`` the total width. Discontinuous where the rank changes.

    References
    ----------
    Marczak et al., *No task left behind* (Iso-C; ICML 2025, arXiv 2502.04959).
    """
    del options
    left, sigma, right = total(list(updates), weights).svd()
    keep = strong(sigma)
    if not keep:
        return LowRank(left[:, :0], right[:0, :])
    level = float(array_namespace(sigma).mean(sigma[:keep]))
    return LowRank(level * left[:, :keep], right[:keep, :])


def tsv(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the TSV merge: all singular triples kept, their vectors made orthonormal.

    With :math:`\Delta_j = U_j \Sigma_j V_j^\top`, the merge is
    :math:`\hat U \,\mathrm{diag}(w_j \Sigma_j)\, \hat V^\top`, where :math:`\hat U` is the nearest
    partial isometry (polar factor) of :math:`[U_1 \dots U_K]` and :math:`\hat V` of
    :math:`[V_1 \dots V_K]`. As published, each update brings at most its :math:`\min(m, n) / K`
    strongest triples (but at least one), which most adapters stay below.

    Returns
    -------
    LowRank
        Width at most ``R``, the total width. Where vectors of different adapters coincide (up to
        1e-8) the polar factor is not unique; this one adds no direction of its own, so that
        copies of one adapter merge to that adapter. Costs ``O((m + n) R^2 + R^3)``.

    References
    ----------
    Gargiulo et al., *Task singular vectors* (CVPR 2025, arXiv 2412.00081).
    """
    share = max(1, min(updates[0].shape) // len(updates))
    lefts, sigmas, rights = [], [], []
    for low, weight in zip(updates, weights, strict=True):
        left, sigma, right = low.svd()
        keep = min(share, strong(sigma))
        lefts.append(left[:, :keep])
        sigmas.append(weight * sigma[:keep])
        rights.append(right[:keep, :].T)
    xp = array_namespace(lefts[0])
    left, right = _polar(xp.concat(lefts, axis=1)), _polar(xp.concat(rights, axis=1))
    return limited(LowRank(left * xp.concat(sigmas), right.T), options)


def _polar(frames: Float[Array, "m c"]) -> Float[Array, "m c"]:
    """The partial isometry nearest to these columns, zero where they are dependent."""
    if 0 in frames.shape:
        return frames
    left, sigma, right = array_namespace(frames).linalg.svd(frames, full_matrices=False)
    keep = strong(sigma, SAME)
    return left[:, :keep] @ right[:keep, :]


def interpolate(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the least matrix that acts as :math:`w_j \Delta_j` on each row space :math:`S_j`.

    With orthonormal bases :math:`Q_j` of the row spaces and projectors :math:`P_j`,

    .. math::
        \Delta^* = [w_1 \Delta_1 Q_1 \dots w_K \Delta_K Q_K]\,[Q_1 \dots Q_K]^+
                 = \Big(\sum_j w_j \Delta_j\Big) \Big(\sum_j P_j\Big)^+ .

    It exists whenever the row spaces are independent; otherwise :math:`\Delta^*` minimises
    :math:`\sum_j \|(\Delta - w_j \Delta_j) Q_j\|_F^2`. With a ridge :math:`\lambda` the second
    inverse becomes :math:`(\sum_j P_j + \lambda \mu I)^{-1}`, :math:`\mu` the largest eigenvalue of
    :math:`\sum_j P_j`.

    **Price.** On an input ``k`` of adapter ``i`` the error is :math:`\Delta^* (I - P_i) k`, and
    :math:`\|\Delta^*\| \le \sqrt K \max_j \|w_j \Delta_j\| / \sigma_{\min}([Q_1 \dots Q_K])`; see
    `interpolation_condition`. An adapter of weight zero is not left out: the merge then does
    nothing on its row space.

    Returns
    -------
    LowRank
        Width at most ``R``, the sum of the ranks. Costs ``O((m + n) R^2 + R^3)``.

    References
    ----------
    Label ``thm:interpolating-merge``. The rule itself is old: RegMean (Jin et
    al., ICLR 2023, arXiv 2212.09849) with any data inside the row spaces, and WUDI-Merging (arXiv
    2503.08099) at its fixed point, are this matrix when the row spaces are independent.
    """
    updates = widened(updates)
    bases = [low.row_space() for low in updates]
    images = [
        weight * (low @ basis) for low, basis, weight in zip(updates, bases, weights, strict=True)
    ]
    xp = array_namespace(bases[0])
    left, sigma, right = _frames(bases)
    keep = strong(sigma, SAME)
    left, sigma, right = left[:, :keep], sigma[:keep], right[:keep, :]
    if not keep:
        return LowRank(xp.concat(images, axis=1)[:, :0], left.T)
    inverse = sigma / (sigma**2 + options.ridge * float(sigma[0]) ** 2)
    return limited(LowRank(xp.concat(images, axis=1) @ (right.T * inverse), left.T), options)


def interpolation_condition(updates: Sequence[LowRank]) -> float:
    r"""Return how much the interpolating merge amplifies what leaks between row spaces.

    Returns
    -------
    float
        Largest over smallest singular value of the stacked row bases, at least 1; 1 for
        orthogonal row spaces. Directions that coincide up to 1e-8 count as one. Costs
        ``O((m + n) R^2)``, ``R`` the total width.
    """
    sigma = _frames([low.row_space() for low in updates])[1]
    keep = strong(sigma, SAME)
    return float(sigma[0]) / float(sigma[keep - 1]) if keep else 1.0


def _frames(bases: Sequence[Array]) -> tuple[Float[Array, "n k"], Float[Array, " k"], Array]:
    """SVD of the stacked bases, also where there is nothing to decompose."""
    xp = array_namespace(bases[0])
    stack = xp.concat(bases, axis=1)
    if 0 in stack.shape:
        return stack[:, :0], stack[0, :0], stack.T[:, :0]
    left, sigma, right = xp.linalg.svd(stack, full_matrices=False)
    return left, sigma, right


def factor_mean(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the product of the mean factors, :math:`\bar B \bar A`; gauge dependent.

    What averaging the tensors of adapter files one by one gives (the default of some routing
    libraries): each adapter's own product enters with :math:`1/k^2`, not :math:`1/k`, beside
    cross terms :math:`B_i A_j`.

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
