"""Merges that act on singular values and vectors, in factors."""

from collections.abc import Sequence

from loratheory.adapters._exact import cut
from loratheory.adapters._options import SAME, Options, strong
from loratheory.lowrank import Array, LowRank, array_namespace, svd, total
from loratheory.shapes import Float


def iso(updates: Sequence[LowRank], weights: Sequence[float], options: Options) -> LowRank:
    r"""Return the weighted sum with its nonzero singular values made equal to their mean.

    :math:`\sum_j w_j \Delta_j = U \Sigma V^\top \mapsto \bar\sigma U V^\top`. The published code
    averages over all :math:`\min(m, n)` singular values and fills null directions with arbitrary
    pairs: right for full-rank task vectors, a strong shrinkage plus noise for adapters. Here
    only what is there counts; singular values below 1e-12 of the largest are not.

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
        Of the rank of the sum, its nuclear norm unchanged, all its singular values equal. Costs
        ``O((m + n) R^2 + R^3)``, ``R`` the total width. Discontinuous where the rank changes.

    References
    ----------
    Marczak et al., *No task left behind* (Iso-C; ICML 2025, arXiv 2502.04959).
    """
    del options
    left, sigma, right = svd(total(list(updates), weights))
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

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.
    weights : list of float
        One an adapter, folded into its singular values; published: one coefficient for all. An
        adapter of weight zero still bends the vectors of the others.
    options : Options
        ``rank`` is used where given.

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
        left, sigma, right = svd(low)
        keep = min(share, strong(sigma))
        lefts.append(left[:, :keep])
        sigmas.append(weight * sigma[:keep])
        rights.append(right[:keep, :].T)
    xp = array_namespace(lefts[0])
    left, right = _polar(xp.concat(lefts, axis=1)), _polar(xp.concat(rights, axis=1))
    return cut(LowRank(left * xp.concat(sigmas), right.T), options)


def _polar(frames: Float[Array, "m c"]) -> Float[Array, "m c"]:
    """The partial isometry nearest to these columns, zero where they are dependent."""
    if 0 in frames.shape:
        return frames
    left, sigma, right = array_namespace(frames).linalg.svd(frames, full_matrices=False)
    keep = strong(sigma, SAME)
    return left[:, :keep] @ right[:keep, :]
