r"""Adapting a deep linear network layer by layer without losing digits.

**Statement.** Let the layers before `l` be adapted, with product :math:`P`, and those after it be
frozen, with product :math:`A`; let :math:`E = T - A W_l P` have rank :math:`k`, and `A`, `P` be
invertible. For :math:`X = A^{-1} E P^{-1}` and `R` columns :math:`u` in its range and :math:`v` in
its row space with :math:`v^\top X^+ u` invertible, the update :math:`\Delta = u (v^\top X^+ u)^{-1}
v^\top` of layer `l` leaves a missing part of rank :math:`k - R`.

**Proof.** With :math:`u = X a` and :math:`v^\top = b^\top X`, :math:`\Delta = X a (b^\top X a)^{-1}
b^\top X`: Wedderburn's rank reduction. :math:`X - \Delta` vanishes on the kernel of `X` and on `a`,
independent of it, and what is missing now is :math:`A (X - \Delta) P`. :math:`\square`

**No long product is inverted.** In orthonormal bases `F` of :math:`\{u : A u \perp \ker E^\top\}`
and `H` of :math:`(P \ker E)^\perp`, :math:`X` is the inverse of :math:`H^\top P E^+ A F`. Every
layer settles `R` more outputs, :math:`v^\top P E^+`, and inputs, :math:`E^+ A u`; what is missing
between the others keeps its least singular value or gains, as an inverse Schur complement does.

**Which directions.** A product of frozen layers loses directions exponentially in its depth, and
what is lost is dear to restore later. So :math:`v` are the directions the frozen layer is about to
lose, :math:`W_l^\top` times the last `R` left singular vectors of :math:`W_l P`, and :math:`u` what
they reach best. Every step sees the rounded layers before it, so later layers pay back what earlier
ones rounded. The determinant limits what any choice can do: :math:`\det T / \det M` is the product
of what all updates gain. Where `P` becomes singular (a singular target, or a structured one) the
sweep stops paying: compare before use.
"""

from dataclasses import dataclass

from loratheory.lowrank import Array, LowRank, array_namespace

LOST = 1e-15  # beside what it is made of, a gain this small is rounding


def layer_sweep(weights: tuple[Array, ...], paid: LowRank, rank: int) -> tuple[LowRank, ...]:
    """Updates of width `rank` at most that, in general, add `paid` to the product.

    Parameters
    ----------
    weights : tuple of (D, D) arrays
        Frozen and invertible, first layer first.
    paid : LowRank, (D, D)
        Of full rank, its width, which is at most ``rank * len(weights)``.
    rank : int
        What each layer may spend.

    Returns
    -------
    tuple of LowRank
        One a layer. Cost: ``O(D**3)`` a layer, about eight decompositions.
    """
    afters, left = products_after(weights), paid.width
    goal, before = afters[0] @ weights[0] + paid.dense(), afters[-1]
    settled = _Settled(_complement(paid.up), _complement(paid.down.T))
    updates = [LowRank(paid.up[:, :0], paid.down[:0, :])] * len(weights)
    for index, (weight, after) in enumerate(zip(weights, afters, strict=True)):
        share = -(-left // (len(weights) - index))  # an early end would let the rest decay
        if share == 0:
            break
        missing = goal - after @ (weight @ before)
        found = _step(weight, after, before, missing, settled, min(share, rank))
        if found is None:
            break
        updates[index], settled = found
        before, left = (weight + updates[index].dense()) @ before, left - updates[index].width
    return tuple(updates)


def products_after(weights: tuple[Array, ...]) -> list[Array]:
    """What the layers after the first one, after the second one, … compute together."""
    xp, last = array_namespace(weights[0]), weights[-1]
    found = [xp.eye(last.shape[0], dtype=xp.float64, device=last.device)]
    for weight in weights[:0:-1]:
        found.insert(0, found[0] @ weight)
    return found


@dataclass(frozen=True, eq=False)
class _Settled:
    """Orthonormal columns: outputs that are right for every input, inputs whose output is right."""

    outputs: Array
    inputs: Array


def _step(
    weight: Array, after: Array, before: Array, missing: Array, settled: _Settled, rank: int
) -> tuple[LowRank, _Settled] | None:
    """Settle `rank` more outputs and inputs; None where what they need is lost already."""
    xp, d = array_namespace(missing), missing.shape[0]
    out, into = _complement(settled.outputs), _complement(settled.inputs)
    reached, read = _complement(after.T @ settled.outputs), _complement(before @ settled.inputs)
    lost = xp.linalg.svd(weight @ before)[0][:, d - rank :]
    chosen = xp.linalg.qr(read.T @ (weight.T @ lost))[0]
    core, states = out.T @ missing @ into, chosen.T @ (read.T @ before @ into)
    answers, effects = xp.linalg.solve(core.T, states.T).T, out.T @ after @ reached
    turn, gain, best = xp.linalg.svd(answers @ effects, full_matrices=False)
    norm = xp.linalg.matrix_norm
    if float(gain[rank - 1] * norm(missing)) <= LOST * float(norm(before) * norm(after)):
        return None
    done = into @ xp.linalg.solve(core, effects @ best.T)
    outputs = xp.concat([settled.outputs, out @ answers.T], axis=1)
    inputs = xp.concat([settled.inputs, done], axis=1)
    settled = _Settled(xp.linalg.qr(outputs)[0], xp.linalg.qr(inputs)[0])
    return LowRank(reached @ (best.T / gain), (read @ (chosen @ turn)).T), settled


def _complement(columns: Array) -> Array:
    """Orthonormal columns at right angles to the given ones, which are independent."""
    xp, (d, width) = array_namespace(columns), columns.shape
    if width == 0:
        return xp.eye(d, dtype=xp.float64, device=columns.device)
    return xp.linalg.qr(columns, mode="complete")[0][:, width:]


def growth(weights: tuple[Array, ...], updates: tuple[LowRank, ...]) -> float:
    """The rounding each layer adds to the output in units of its precision, summed."""
    xp, total = array_namespace(weights[0]), 0.0
    norm, before = xp.linalg.matrix_norm, products_after(weights)[-1]
    for weight, after, low in zip(weights, products_after(weights), updates, strict=True):
        layer = weight + low.dense()
        total += float(norm(after) * norm(layer) * norm(before))
        before = layer @ before
    return total
