r"""The interpolating merge: on the inputs that an adapter reads, do what that adapter does."""

from collections.abc import Sequence

from loratheory.adapters._exact import cut
from loratheory.adapters._options import SAME, Options, strong, widened
from loratheory.lowrank import Array, LowRank, array_namespace, row_space
from loratheory.shapes import Float


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

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.
    weights : list of float
        One an adapter.
    options : Options
        ``ridge`` is used, and ``rank`` where given.

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
    bases = [row_space(low) for low in updates]
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
    return cut(LowRank(xp.concat(images, axis=1) @ (right.T * inverse), left.T), options)


def interpolation_condition(updates: Sequence[LowRank]) -> float:
    r"""Return how much the interpolating merge amplifies what leaks between row spaces.

    Parameters
    ----------
    updates : list of (m, n) LowRank
        One an adapter.

    Returns
    -------
    float
        Largest over smallest singular value of the stacked row bases, at least 1; 1 for
        orthogonal row spaces. Directions that coincide up to 1e-8 count as one. Costs
        ``O((m + n) R^2)``, ``R`` the total width.
    """
    sigma = _frames([row_space(low) for low in updates])[1]
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
