r"""Steering an invertible linear network as near to a target as rank allows.

Two constructions reach the same product; `steer` takes the better one. Simple factors always exist.
But they need the inverses of long products, which cost every digit in a deep network. The layer
sweep inverts no long product, and works wherever the updated products stay invertible on the way.

**Simple factors.** Every matrix :math:`1 + A B^\top`, with :math:`A` and :math:`B` of size :math:`d
\times k`, is a product of :math:`k` factors :math:`1 + u v^\top`, singular or not.

**Proof.** Let :math:`C = 1 + B^\top A`. If :math:`C = 0`, then :math:`b_i^\top a_j = 0` for
:math:`i \ne j`, and the matrix is :math:`\prod_i (1 + a_i b_i^\top)`. Otherwise let :math:`C z =
\sigma w` be the leading singular pair of :math:`C`, let :math:`c = z^\top w`, and let :math:`y = (z
\pm w) / (1 \pm c)` with the sign of :math:`c`. Then :math:`y^\top z = 1` and :math:`y^\top C z =
\pm\sigma \ne 0`. So the factor :math:`S = 1 + A z\, y^\top B^\top` has the determinant
:math:`\pm\sigma`. Further, :math:`(1 + A B^\top) S^{-1} = 1 + A (1 - z y^\top) B^\top S^{-1}`, and
:math:`1 - z y^\top` has rank :math:`k - 1`. So this matrix has inner width :math:`k - 1`, and
induction ends the proof. :math:`\square`

**Layer sweep.** Let the layers before `l` be updated, with product :math:`P`, and those after it be
frozen, with product :math:`A`. Let :math:`E = T - A W_l P` have rank :math:`k`, and let `A` and `P`
be invertible. For :math:`X = A^{-1} E P^{-1}`, choose `R` columns :math:`u` in its range and `R`
columns :math:`v` in its row space with :math:`v^\top X^+ u` invertible. The update :math:`\Delta =
u (v^\top X^+ u)^{-1} v^\top` of layer `l` then leaves a missing part of rank :math:`k - R`.

**Proof.** Write :math:`u = X a` and :math:`v^\top = b^\top X`. Then :math:`\Delta = X a (b^\top X
a)^{-1} b^\top X`, which is Wedderburn's rank reduction. The matrix :math:`X - \Delta` vanishes on
the kernel of `X` and on the columns of `a`, which are independent of it. What is missing now is
:math:`A (X - \Delta) P`. :math:`\square`

**No long product is inverted.** Let `F` and `H` be orthonormal bases of :math:`\{u : A u \perp \ker
E^\top\}` and of :math:`(P \ker E)^\perp`. In these bases :math:`X` is the inverse of :math:`H^\top
P E^+ A F`. Every layer settles `R` more outputs, :math:`v^\top P E^+`, and `R` more inputs,
:math:`E^+ A u`. The part that is still missing keeps its least singular value or gains, as an
inverse Schur complement does.

**Which directions.** A product of frozen layers loses directions exponentially in its depth, and a
lost direction takes large updates to restore later. So :math:`v` are the directions that the frozen
layer is about to lose: :math:`W_l^\top` times the last `R` left singular vectors of :math:`W_l P`.
The columns :math:`u` are those that :math:`v` reaches best. Every step sees the rounded layers
before it, so later layers correct the rounding of earlier ones. The determinant limits every
choice: :math:`\det T / \det M` is the product of the factors that all updates contribute. Where `P`
becomes singular (a singular target, or a structured one), the sweep no longer pays off. Compare
both constructions before use.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense
from loratheory.theorems._arrays import condition_number, eye, norm

FREE = 1e-14  # beside target and product, a singular value this small need not be paid for
LOST = 1e-15  # beside what it is made of, a gain this small is rounding
ZERO = 1e-10  # a core this small, beside entries of order one, is the zero core of the proof


@dataclass(frozen=True, eq=False)
class Steered:
    """Updates, and the factor by which they may amplify rounding of target and product."""

    updates: tuple[LowRank, ...]
    condition: float


def steer(weights: tuple[Array, ...], target: Array, rank: int) -> Steered:
    """Return updates that add to the product the leading part of what it lacks of the target.

    `rank` is the largest width of an update; the better of the two constructions is taken.
    """
    xp, product = array_namespace(target), product_of(weights)
    missing = target - product
    size = norm(target) + norm(product)
    # Only the directions that are really missing are paid for: rounding noise is not rank.
    owed = int(xp.count_nonzero(xp.linalg.svdvals(missing) > FREE * size))
    paid = from_dense(missing, min(rank * len(weights), owed))
    swept, factored = layer_sweep(weights, paid, rank), factor_route(weights, paid, rank)
    goal, worst = product + paid.dense(), inverses(weights)
    if _error(weights, swept, goal) > _error(weights, factored, goal):
        return Steered(factored, worst)
    return Steered(swept, min(worst, 1.0 + growth(weights, swept) / size))


def inverses(weights: tuple[Array, ...]) -> float:
    """Return the product of the weights' condition numbers; a singular weight counts as 1.

    By so much the inverses of all weights may amplify rounding errors.
    """
    return math.prod(c for c in map(condition_number, weights) if c < math.inf)


def product_of(layers: Iterable[Array]) -> Array:
    """Return the product of the layers, first layer first."""
    return reduce(lambda done, layer: layer @ done, layers)


def adapted(weights: tuple[Array, ...], updates: Sequence[LowRank]) -> list[Array]:
    """Return the layers with their updates added, first layer first."""
    return [weight + low.dense() for weight, low in zip(weights, updates, strict=True)]


def _error(weights: tuple[Array, ...], updates: tuple[LowRank, ...], goal: Array) -> float:
    return norm(product_of(adapted(weights, updates)) - goal)


def simple_factors(low: LowRank) -> list[tuple[Array, Array]]:
    """Return columns u and v with ``1 + low == ... (1 + u2 v2.T) (1 + u1 v1.T)``, one per width."""
    xp = array_namespace(low.up)
    a, b_t, factors = low.up, low.down, []
    while (k := a.shape[1]) > 0:
        # The names are those of the proof: C z = sigma w, and y with y.z = 1.
        left, sigma, right = xp.linalg.svd(eye(a, k) + b_t @ a)
        z, w = right[:1, :].T, left[:, :1]
        c = float((z.T @ w)[0, 0])
        regular, sign = float(sigma[0]) > ZERO, 1.0 if c >= 0 else -1.0
        y = (z + sign * w) / (1 + sign * c) if regular else z
        u, v_t = a @ z, y.T @ b_t
        factors.append((u, v_t.T))
        if regular:  # B' S^-1, by Sherman and Morrison: S is the identity plus rank one
            b_t = b_t - ((b_t @ u) / (sign * sigma[0])) @ v_t
        # What is left reads only the complement of y, where 1 - z y' has one dimension less.
        rest = xp.linalg.qr(y, mode="complete")[0][:, 1:]
        a, b_t = a @ rest, rest.T @ (b_t - z @ (y.T @ b_t))
    return factors


def chain(low: LowRank, count: int, rank: int) -> list[LowRank]:
    """Return `count` updates of width at most `rank` that together do what `low` does.

    They obey ``1 + low == (1 + last) ... (1 + first)``.
    """
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
    """Return updates of width at most `rank` that add `paid` to the product of the weights."""
    xp, product = array_namespace(paid.up), product_of(weights)
    # M + paid = M (1 + M^-1 paid), and the second factor is split over the layers.
    steps = chain(LowRank(xp.linalg.solve(product, paid.up), paid.down), len(weights), rank)
    before, updates = eye(product, product.shape[0]), []
    for weight, step in zip(weights, steps, strict=True):
        after = weight @ before  # M_l; the update is M_l (S_l - 1) M_{l-1}^-1
        updates.append(LowRank(after @ step.up, xp.linalg.solve(before.T, step.down.T).T))
        before = after
    return tuple(updates)


def layer_sweep(weights: tuple[Array, ...], paid: LowRank, rank: int) -> tuple[LowRank, ...]:
    """Return updates of width at most `rank` that, in general, add `paid` to the product.

    The weights are invertible, first layer first; `paid` has full rank, its width, of at most
    ``rank * len(weights)``. Costs ``O(D**3)`` a layer, about eight decompositions.
    """
    afters, left = products_after(weights), paid.width
    goal, before = afters[0] @ weights[0] + paid.dense(), afters[-1]  # afters[-1] is 1
    # Whatever `paid` does not write, or does not read, is right from the start.
    settled = _Settled(_complement(paid.up), _complement(paid.down.T))
    updates = [LowRank(paid.up[:, :0], paid.down[:0, :])] * len(weights)
    for index, (weight, after) in enumerate(zip(weights, afters, strict=True)):
        share = -(-left // (len(weights) - index))  # an early end would let the rest decay
        if share == 0:
            break
        missing = goal - after @ (weight @ before)
        step = _step(weight, after, before, missing, settled, min(share, rank))
        if step is None:
            break
        updates[index], settled = step
        before, left = (weight + updates[index].dense()) @ before, left - updates[index].width
    return tuple(updates)


def products_after(weights: tuple[Array, ...]) -> list[Array]:
    """Return the product of all layers after the first, of all after the second, and so on."""
    products = [eye(weights[-1], weights[-1].shape[0])]
    for weight in weights[:0:-1]:
        products.insert(0, products[0] @ weight)
    return products


@dataclass(frozen=True, eq=False)
class _Settled:
    """Orthonormal outputs that are right for every input, and inputs whose output is right."""

    outputs: Array
    inputs: Array


def _step(
    weight: Array, after: Array, before: Array, missing: Array, settled: _Settled, rank: int
) -> tuple[LowRank, _Settled] | None:
    """Return an update that makes `rank` more outputs and inputs right, and what is right then.

    None is returned where rounding has lost these directions.
    """
    xp, d = array_namespace(missing), missing.shape[0]
    # Bases of what is not settled yet: at the output (out), at the input (into), and as seen from
    # this layer, which reaches `out` through the layers after it (F) and is read from `into` (H).
    out, into = _complement(settled.outputs), _complement(settled.inputs)
    reached, read = _complement(after.T @ settled.outputs), _complement(before @ settled.inputs)
    # v: what this layer is about to lose, within the directions that may still be read.
    lost = xp.linalg.svd(weight @ before)[0][:, d - rank :]
    chosen = xp.linalg.qr(read.T @ (weight.T @ lost))[0]
    core, states = out.T @ missing @ into, chosen.T @ (read.T @ before @ into)
    # v' P E^+ and A F: their product is v' X^+ u for every u in the basis, and its singular
    # vectors pick the u that v reaches best.
    answers, effects = xp.linalg.solve(core.T, states.T).T, out.T @ after @ reached
    turn, gain, best = xp.linalg.svd(answers @ effects, full_matrices=False)
    # u (v' X^+ u)^-1 v' is out of reach where the gain is rounding.
    if float(gain[rank - 1]) * norm(missing) <= LOST * (norm(before) * norm(after)):
        return None
    done = into @ xp.linalg.solve(core, effects @ best.T)
    outputs = xp.concat([settled.outputs, out @ answers.T], axis=1)
    inputs = xp.concat([settled.inputs, done], axis=1)
    settled = _Settled(xp.linalg.qr(outputs)[0], xp.linalg.qr(inputs)[0])
    return LowRank(reached @ (best.T / gain), (read @ (chosen @ turn)).T), settled


def _complement(columns: Array) -> Array:
    """Return an orthonormal basis of all that is orthogonal to the given independent columns."""
    xp, (d, width) = array_namespace(columns), columns.shape
    if width == 0:
        return eye(columns, d)
    return xp.linalg.qr(columns, mode="complete")[0][:, width:]


def growth(weights: tuple[Array, ...], updates: tuple[LowRank, ...]) -> float:
    """Return how much rounding error the layers add to the output, summed over layers.

    The unit is one machine epsilon.
    """
    total, before = 0.0, products_after(weights)[-1]
    pairs = zip(adapted(weights, updates), products_after(weights), strict=True)
    for layer, after in pairs:
        # an error made in this layer passes through all layers after it
        total += norm(after) * norm(layer) * norm(before)
        before = layer @ before
    return total
