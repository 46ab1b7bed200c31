r"""The identity plus rank `k` is a product of `k` simple factors, singular or not.

**Statement.** Every matrix :math:`1 + A B^\top`, with :math:`A` and :math:`B` of size :math:`d
\times k`, is a product of :math:`k` factors :math:`1 + u v^\top`.

**Proof.** Let :math:`C = 1 + B^\top A`. If :math:`C = 0`, the matrix is :math:`\prod_i (1 + a_i
b_i^\top)`, as :math:`b_i^\top a_j = 0` off the diagonal. Else let :math:`C z = \sigma w` be its
leading singular pair, :math:`c = z^\top w`, and :math:`y = (z \pm w) / (1 \pm c)` with the sign of
:math:`c`, so that :math:`y^\top z = 1` and :math:`y^\top C z = \pm\sigma \ne 0`. The factor
:math:`S = 1 + A z\, y^\top B^\top` has determinant :math:`\pm\sigma`, and :math:`(1 + A B^\top)
S^{-1} = 1 + A (1 - z y^\top) B^\top S^{-1}` has inner width :math:`k - 1`: induct. :math:`\square`
"""

from loratheory.lowrank import Array, LowRank, array_namespace

ZERO = 1e-10  # a core this small, beside entries of order one, is the zero core of the proof


def simple_factors(low: LowRank) -> list[tuple[Array, Array]]:
    """Columns ``(u, v)`` with ``1 + low = ... (1 + u2 v2.T) (1 + u1 v1.T)``, one per width."""
    xp = array_namespace(low.up)
    a, b_t, factors = low.up, low.down, []
    while (k := a.shape[1]) > 0:
        one = xp.eye(k, dtype=xp.float64, device=a.device)
        left, sigma, right = xp.linalg.svd(one + b_t @ a)
        z, w = right[:1, :].T, left[:, :1]
        c = float((z.T @ w)[0, 0])
        regular, sign = float(sigma[0]) > ZERO, 1.0 if c >= 0 else -1.0
        y = (z + sign * w) / (1 + sign * c) if regular else z
        u, v_t = a @ z, y.T @ b_t
        factors.append((u, v_t.T))
        if regular:
            b_t = b_t - ((b_t @ u) / (sign * sigma[0])) @ v_t
        rest = xp.linalg.qr(y, mode="complete")[0][:, 1:]
        a, b_t = a @ rest, rest.T @ (b_t - z @ (y.T @ b_t))
    return factors


def chain(low: LowRank, count: int, rank: int) -> list[LowRank]:
    """Updates of width `rank` at most, ``1 + low = (1 + last) ... (1 + first)``."""
    xp = array_namespace(low.up)
    factors, steps = simple_factors(low), []
    for index in range(count):
        up, down = low.up[:, :0], low.down[:0, :]
        for u, v in factors[index * rank : (index + 1) * rank]:
            row = v.T + (v.T @ up) @ down  # what v reads after the factors before it
            up, down = xp.concat([up, u], axis=1), xp.concat([down, row], axis=0)
        steps.append(LowRank(up, down))
    return steps


def factor_route(weights: tuple[Array, ...], paid: LowRank, rank: int) -> tuple[LowRank, ...]:
    """Updates of width `rank` at most that add `paid` to the product of invertible weights."""
    xp, product = array_namespace(paid.up), weights[0]
    for weight in weights[1:]:
        product = weight @ product
    steps = chain(LowRank(xp.linalg.solve(product, paid.up), paid.down), len(weights), rank)
    before, updates = xp.eye(product.shape[0], dtype=xp.float64, device=product.device), []
    for weight, step in zip(weights, steps, strict=True):
        after = weight @ before
        updates.append(LowRank(after @ step.up, xp.linalg.solve(before.T, step.down.T).T))
        before = after
    return tuple(updates)
