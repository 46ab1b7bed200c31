r"""The merge methods, one row each in `MERGE_METHODS`, and `merge`, which applies one by module.

A rule makes one (m, n) update of several: ``rule(updates, weights, options)`` is given one update
and one weight for each adapter (1 for rules without weights) and the settings of the merge. Each
row of the table has the rule, its formula, its source and its cost; the rules stand above it.

* *Rules in closed form* act on whole updates, through their factors.
* *Entrywise rules* (ties, dare, …) first sparsify every update with a filter (`keep_largest` or
  `drop_at_random`), then combine them by entry (`weighted_sum` or `elect_signs`). They act on
  coordinates in a *space*: the update itself (`full`) or KnOTS (`knots`).
* *Rules on factors* are kept as warnings: :math:`B A` and :math:`(B G)(G^{-1} A)` are the same
  update for every invertible :math:`G`, but these rules treat them differently (**gauge
  dependent**), and even in a fixed gauge the product of means is not the mean of products
  (``thm:factor-mean-residual``).

Sections: settings, rules in closed form, entrywise rules, rules on factors, the table, merge,
second moments.
"""

import math
import os
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, mul
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from array_api_compat import is_numpy_array

from loratheory.adapters.adapter import (
    Adapter,
    AdapterError,
    AdapterOrPath,
    Aligned,
    Lazy,
    aligned,
    refusal,
)
from loratheory.adapters.peft_io import header, load, read_all
from loratheory.arguments import suggest
from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    device,
    double,
    finite,
    from_dense,
    thin_svd,
    total,
    triangle,
    truncate,
)
from loratheory.shapes import Float

# Settings.


class DisjointWarning(UserWarning):
    """Adapters that are merged change no module in common."""


class MergeError(AdapterError):
    """A merge cannot be carried out with the arguments given; the message says why."""


def _refuse(message: str) -> NoReturn:
    raise MergeError(message)


# A singular value below this share of the largest counts as zero.
NEGLIGIBLE = 1e-12

# Unit vectors closer than this count as the same: rounding cannot tell them apart reliably.
SAME = 1e-8


@dataclass(frozen=True)
class Options:
    """The settings of one merge, for one module."""

    module: str = "update"  #: The module's name, for messages and for the random stream.
    space: str = "full"  #: Coordinates of entrywise rules: ``full`` or ``knots``.
    rank: int | None = None  #: Largest rank of the result; None truncates nothing.
    density: int | float = 1.0  #: Share of entries kept, in (0, 1].
    ridge: int | float = 0.0  #: Relative ridge of the interpolating merge and of RegMean.
    moments: tuple[Array, ...] = ()  #: For each adapter a (k, n) root of its second moment.
    seed: int = 0  #: Seed of rules that draw at random.

    def generator(self, position: int) -> np.random.Generator:
        """Return the random stream of the adapter at `position`, fixed by seed and module name."""
        return np.random.default_rng([self.seed, position, *self.module.encode()])

    def limit(self, low: LowRank) -> LowRank:
        """Return `low` truncated to the rank, if one is given; `low` itself may be overwritten."""
        if self.rank is None or low.width <= self.rank:
            return low
        return truncate(low, self.rank)


Roots = Mapping[str, Any]  # no array: a run-time check of one value would load it
Updates = Sequence[LowRank]
Weights = Sequence[float]
# ``rule(updates, weights, options)``: the merged update of one module.
Rule = Callable[[Updates, Weights, Options], LowRank]


# Rules in closed form.


def in_double(updates: Updates) -> list[LowRank]:
    """Return the updates in float64, in which all rules compute."""
    return [low.map(double) for low in updates]


def weighted_total(updates: Updates, weights: Weights, options: Options) -> LowRank:
    """Return the matrix of the given rank nearest to the weighted sum, without its (m, n) array.

    Without a rank it is the sum; its width is the sum of the widths, or the smaller side.
    """
    return options.limit(total(list(updates), weights))


def mean(updates: Updates, weights: Weights, _: Options) -> LowRank:
    """Return the update nearest to all in weighted mean squared distance (``thm:merge-floor``)."""
    return total(list(updates), (np.asarray(weights) / sum(weights)).tolist())


def chebyshev(updates: Updates, _: Weights, __: Options) -> LowRank:
    """Return the centre of the smallest ball that contains all updates.

    It is a convex combination of the updates, found from inner products alone; of two, the mean.
    Its largest distance to an adapter is the least of all merges made without data
    (``thm:minimax-merge``).
    """
    updates = in_double(updates)
    gram = np.empty((len(updates), len(updates)))
    for i, low in enumerate(updates):
        for j, other in enumerate(updates):
            gram[i, j] = low.inner(other)
    return total(updates, enclosing_weights(gram).tolist())


def enclosing_weights(gram: Float[Array, "k k"]) -> Float[Array, " k"]:
    """Return convex weights of the centre of the smallest ball around points, from inner products.

    In each round the farthest point joins those on the sphere, and the centre is solved for; if a
    weight would become negative, the step stops where it is zero and that point is left out. This
    is exact up to rounding after about k rounds, O(k^4). The number of rounds is limited, which
    matters only if squares underflow.
    """
    k = len(gram)
    # Of size 1, and with a little height of its own for each point, so that each solution exists.
    gram = gram / (np.diagonal(gram).max() or 1.0) + 1e-13 * np.eye(k)
    energies, weights, chosen = np.diagonal(gram), np.eye(k)[0], [0]
    for _ in range(10 * k):
        # Squared, less the constant squared norm of the centre.
        distances = energies - 2 * gram @ weights
        far = int(np.argmax(distances))
        if distances[far] - distances[chosen].max() <= 1e-12:
            break
        chosen.append(far)
        while True:
            # The centre is equally far from all chosen points: Lagrange's conditions.
            one = np.ones((len(chosen), 1))
            system = np.block([[2 * gram[np.ix_(chosen, chosen)], one], [one.T, np.zeros((1, 1))]])
            solution = np.linalg.solve(system, np.append(energies[chosen], 1.0))[:-1]
            before = weights[chosen]
            # A weight that would become negative stops the step where it is zero.
            falling = solution <= 0
            step = min([1.0, *(before[falling] / (before - solution)[falling])])
            moved = before + step * (solution - before)
            weights = np.zeros(k)
            weights[chosen] = np.maximum(moved, 0)
            if not falling.any():
                break
            chosen = np.flatnonzero(weights > 1e-15).tolist()
    return weights / weights.sum()


def iso(updates: Updates, weights: Weights, _: Options) -> LowRank:
    r"""Return the weighted sum with each nonzero singular value replaced by their mean.

    The published code averages over all :math:`\min(m, n)` singular values and fills the null space
    with arbitrary pairs of directions; that suits task vectors of full rank, but shrinks adapters
    strongly and adds noise. Here singular values below 1e-12 of the largest do not count, so that
    the nuclear norm is kept. The rule is discontinuous where the rank changes.
    """
    # Values that are mere rounding must not be raised to the mean.
    left, sigma, right = total(list(updates), weights).svd().above(NEGLIGIBLE)
    if not sigma.shape[0]:
        return LowRank(left, right)
    return LowRank(float(array_namespace(sigma).mean(sigma)) * left, right)


def tsv(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the sum of all singular triples :math:`U_j \Sigma_j V_j^\top`, made orthonormal.

    As published, each update contributes its :math:`\min(m, n) / K` strongest triples, at least
    one; most adapters have no more. Where vectors of different adapters coincide (up to 1e-8) the
    polar factor, which makes them orthonormal, is not unique; the one taken here adds no new
    direction, so that copies of one adapter merge to that adapter.
    """
    share = max(1, min(updates[0].shape) // len(updates))
    lefts, sigmas, rights = [], [], []
    for low, weight in zip(updates, weights, strict=True):
        left, sigma, right = low.svd().above(NEGLIGIBLE).leading(share)
        lefts.append(left)
        sigmas.append(weight * sigma)
        rights.append(right.T)
    xp = array_namespace(sigmas[0])
    # Only here do the adapters meet: their directions are moved apart as little as possible.
    left, right = _polar(xp.concat(lefts, axis=1)), _polar(xp.concat(rights, axis=1))
    return options.limit(LowRank(left * xp.concat(sigmas), right.T))


def _polar(frames: Float[Array, "m c"]) -> Float[Array, "m c"]:
    """The partial isometry nearest to these columns, zero where they are dependent."""
    if 0 in frames.shape:
        return frames
    left, _, right = thin_svd(frames).above(SAME)
    return left @ right


def interpolate(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the least matrix that acts as :math:`w_j \Delta_j` on each row space :math:`S_j`.

    With orthonormal bases :math:`Q_j` of the row spaces and projectors :math:`P_j`,

    .. math::
        \Delta^* = [w_1 \Delta_1 Q_1 \dots w_K \Delta_K Q_K]\,[Q_1 \dots Q_K]^+
                 = \Big(\sum_j w_j \Delta_j\Big) \Big(\sum_j P_j\Big)^+ .

    Where the row spaces are not independent it minimises
    :math:`\sum_j \|(\Delta - w_j \Delta_j) Q_j\|_F^2`. With a ridge :math:`\lambda` the second
    inverse becomes :math:`(\sum_j P_j + \lambda \mu I)^{-1}`, :math:`\mu` the largest eigenvalue of
    :math:`\sum_j P_j`. An adapter of weight zero is not left out: the merge then does nothing on
    its row space. ``thm:interpolation-price`` says how large the merge can become. When the row
    spaces are independent, RegMean without shrinkage on data that fill them and the fixed point of
    least norm of WUDI-Merging are this matrix.
    """
    bases, images = [], []
    for low, weight in zip(in_double(updates), weights, strict=True):
        basis = low.row_space()
        bases.append(basis)
        images.append(weight * (low @ basis))
    xp = array_namespace(bases[0])
    image = xp.concat(images, axis=1)
    # Directions that adapters share up to rounding count once, or the inverse would be arbitrary.
    left, sigma, right = thin_svd(xp.concat(bases, axis=1)).above(SAME)
    if not sigma.shape[0]:
        return LowRank(image[:, :0], left.T)
    # The pseudo-inverse of all bases side by side, damped where row spaces nearly coincide.
    inverse = sigma / (sigma**2 + options.ridge * float(sigma[0]) ** 2)
    return options.limit(LowRank(image @ (right.T * inverse), left.T))


def regmean(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the merge that is nearest to each adapter on that adapter's own inputs.

    With the second moments :math:`M_j = R_j^\top R_j` of the inputs, from roots :math:`R_j`, it is
    :math:`(\sum_j w_j \Delta_j M_j) (\sum_j M_j)^+`, which minimises :math:`\sum_j
    \operatorname{tr}(\Delta - w_j \Delta_j) M_j (\Delta - w_j \Delta_j)^\top`
    (``thm:fisher-floor``) and is 0 orthogonally to all inputs. A ridge :math:`\lambda` adds to each
    :math:`M_j` the mean of its diagonal times :math:`\lambda`: on directions without inputs the
    merge is then a mean of the updates, and similar inputs cannot make it arbitrarily large. With a
    rank, it minimises the same among matrices of that rank.
    No dense update or moment is formed.
    """
    updates = in_double(updates)
    xp, (_, n) = array_namespace(updates[0].up), updates[0].shape
    place = {"dtype": updates[0].up.dtype, "device": device(updates[0].up)}
    roots = [xp.asarray(root, **place) for root in options.moments]
    shares = [options.ridge * float(xp.sum(root**2)) / max(n, 1) for root in roots]
    # The axes in which anybody has inputs; beside them only the ridges count.
    left, sigma, right = thin_svd(xp.concat(roots, axis=0)).above(SAME)
    seen, unseen, start = [], [], 0
    for low, weight, root, share in zip(updates, weights, roots, shares, strict=True):
        stop = start + int(root.shape[0])
        rows = low.down @ right.T
        answers = (low.down @ root.T) @ left[start:stop, :] * sigma
        seen.append(weight * (answers + share * rows))
        unseen.append(weight * share * (low.down - rows @ right))
        start = stop
    spectrum, rest = (sigma**2 + sum(shares)) ** 0.5, sum(shares) ** 0.5 or 1.0
    white = xp.concat(seen, axis=0) / spectrum @ right + xp.concat(unseen, axis=0) / rest
    # Where inputs are white, the nearest matrix of a rank is also the best on the inputs.
    ups = xp.concat(list(map(attrgetter("up"), updates)), axis=1)
    kept = options.limit(LowRank(ups, white))
    rows = kept.down @ right.T
    return LowRank(kept.up, rows / spectrum @ right + (kept.down - rows @ right) / rest)


# Entrywise rules. A space gives an orthonormal frame U of outputs with D_j = U X_j for every update
# D_j; the rule merges the coordinates X_j into one array X, and the merged update is U X.

# Entries of all updates together that are combined at once: few enough for a processor's cache.
BLOCK = 2**19

Sparsify = Callable[[Array, int | float, np.random.Generator], Array]
Combine = Callable[[Sequence[Array], Weights], Array]


def keep_largest(update: Array, density: int | float, _: np.random.Generator) -> Array:
    """Return the share `density` of an update's entries with largest magnitude, 0 elsewhere.

    It keeps all entries that are at least as large as the k-th largest, with
    ``k = max(1, floor(density * size))``. Entries equal to it up to rounding are all kept (PEFT
    keeps an arbitrary choice of them).
    """
    xp = array_namespace(update)
    sizes = abs(update)
    flat = xp.reshape(sizes, (-1,))
    count = int(flat.shape[0])
    # Rounding must not make 0.29 · 100 entries 28.
    place = count - max(1, math.floor(density * count + 1e-9))
    # NumPy's partition takes a tenth of the time that sorting takes.
    flat = np.partition(flat, place) if is_numpy_array(flat) else xp.sort(flat)
    # Entries of a factored product that are equal differ by rounding.
    least = float(flat[place]) * (1 - 1e-12)
    return xp.where(sizes >= least, update, xp.zeros_like(update))


def drop_at_random(update: Array, density: int | float, rng: np.random.Generator) -> Array:
    """Return each entry with probability `density`, divided by `density`, and else 0.

    The result is unbiased; an entry ``x`` gets variance ``x^2 (1 - density) / density``.
    """
    xp = array_namespace(update)
    mask = xp.asarray(rng.random(tuple(update.shape)) < density, device=device(update))
    return xp.where(mask, update / density, xp.zeros_like(update))


def weighted_sum(blocks: Sequence[Array], weights: Weights) -> Array:
    """Return the weighted sum of arrays."""
    return sum(map(mul, weights, blocks))


def elect_signs(blocks: Sequence[Array], weights: Weights) -> Array:
    r"""Return the entrywise weighted mean of those arrays whose sign agrees with the sum (TIES).

    With :math:`s = \mathrm{sign} \sum_j w_j x_j` and the agreeing adapters
    :math:`A = \{j : \mathrm{sign}(w_j x_j) = s \ne 0\}`, each entry is
    :math:`\sum_A w_j x_j / \sum_A |w_j|`, so that an entry which only one adapter has is not
    averaged down; it is 0 where the weighted sum vanishes, as in the paper's formula. Terms and
    sums below 1e-12 of :math:`\sum_j |w_j x_j|` count as 0: otherwise an entry that is zero up to
    the rounding of a factored product would agree, and halve the entries it meets.

    Tools differ once weights are unequal or negative. PEFT chooses the signs before it applies the
    weights and divides by the *number* of agreeing adapters; mergekit chooses them on weighted
    updates and divides by :math:`\sum_A w_j`, which negative weights can cancel.
    """
    xp = array_namespace(*blocks)
    total = weighted_sum(blocks, weights)
    sizes = weighted_sum(list(map(abs, blocks)), list(map(abs, weights)))
    floor = NEGLIGIBLE * sizes
    zero, one = xp.zeros_like(total), xp.ones_like(total)
    # Election: the sign of the weighted sum, none where the votes cancel.
    sign = xp.where(abs(total) > floor, xp.sign(total), zero)
    # Merge: the mean over those who voted for the winner.
    top, bottom = zero, zero
    for block, weight in zip(blocks, weights, strict=True):
        vote = weight * block
        agrees = sign * vote > floor
        top = top + xp.where(agrees, vote, zero)
        bottom = bottom + xp.where(agrees, abs(weight) * one, zero)
    # Where nobody agrees the sum is zero, and so is the mean.
    return top / xp.where(bottom > 0, bottom, one)


# The coordinates of each update, and the frame U; None stands for 1.
Coordinates = tuple[list[LowRank], Array | None]


def full(updates: Updates) -> Coordinates:
    """Return the updates themselves as their coordinates; costs nothing."""
    return list(updates), None


def knots(updates: Updates) -> Coordinates:
    r"""Return KnOTS coordinates :math:`X_j = \Sigma V_j^\top = U^\top \Delta_j`, (k, n).

    :math:`U` holds the left singular vectors of :math:`[\Delta_1 \dots \Delta_K]` that belong to
    positive singular values: they span all outputs. With :math:`A_j^\top = P_j T_j` (QR) the stack
    is :math:`[B_1 T_1^\top \dots B_K T_K^\top]` times a block-diagonal matrix of orthonormal rows,
    so that the SVD of an (m, R) array gives them, ``R`` the total width, in ``O((m + n) R^2)``; a
    dense SVD would cost ``O(K m^2 n)``. Unless singular values coincide, the coordinates are unique
    up to signs, which do not change what the rules here return.

    References
    ----------
    Stoica et al., *Model merging with SVD to tie the KnOTS* (ICLR 2025, arXiv 2410.19735).
    """
    xp = array_namespace(updates[0].up)
    # Orthonormal rows on the right change neither left vectors nor singular values.
    parts = [low.up @ triangle(low.down.T).T for low in updates if low.width]
    stack = xp.concat(parts, axis=1) if parts else updates[0].up
    left = thin_svd(stack).above(NEGLIGIBLE).left
    return [LowRank(left.T @ low.up, low.down) for low in updates], left


SPACES: dict[str, Callable[[Updates], Coordinates]] = {"full": full, "knots": knots}


def entrywise(sparsify: Sparsify, combine: Combine) -> Rule:
    """Return the merge rule that filters the updates' coordinates and combines them by entry.

    In the full space it costs ``O(m n R)`` to form entries, ``O(K m n)`` to filter, and the cost of
    `from_dense` to return to factors, since masks destroy low rank. In `knots` the arrays are
    ``(R, n)``, with ``R`` the total width of ``K`` updates: nothing of size (m, n) is formed, and
    the merged array needs no decomposition.
    """

    def _rule(updates: Updates, weights: Weights, options: Options) -> LowRank:
        cores, left = SPACES[options.space](in_double(updates))
        merged = _merge_entries(sparsify, combine, cores, weights, options)
        # In the full space masks have destroyed low rank, and only an SVD gives factors back.
        if left is None:
            rank = None if options.rank is None else min(options.rank, *merged.shape)
            return from_dense(merged, rank)
        return options.limit(LowRank(left, merged))

    return _rule


def _merge_entries(
    sparsify: Sparsify, combine: Combine, cores: Updates, weights: Weights, options: Options
) -> Float[Array, "p q"]:
    """The merged coordinates."""
    p, q = cores[0].shape
    if not p or not q:
        return cores[0].dense()
    kept, merged = [], []
    for place, core in enumerate(cores):
        kept.append(sparsify(core.dense(), options.density, options.generator(place)))
    # A block of rows at a time, since a combination makes many arrays of the size of its inputs.
    step = max(1, BLOCK // (len(cores) * q))
    for start in range(0, p, step):
        block = [array[start : min(start + step, p), :] for array in kept]
        merged.append(combine(block, weights))
    return array_namespace(cores[0].up).concat(merged, axis=0)


# Rules on factors.


def factor_mean(updates: Updates, weights: Weights, options: Options) -> LowRank:
    r"""Return the product of averaged factors, as when adapter files are averaged by tensor.

    Each adapter's own product has the coefficient :math:`1/k^2`, not :math:`1/k`, and there are
    cross terms :math:`B_i A_j`. This and `factor_linear` raise MergeError where widths differ.
    """
    # Both sums get 1/k, and so each adapter's own product 1/k^2.
    share = (np.asarray(weights) / len(updates)).tolist()
    return _sum_factors(updates, share, share, options)


def factor_linear(updates: Updates, weights: Weights, options: Options) -> LowRank:
    """Return the product of two weighted sums of factors: the weighted sum plus all cross terms.

    Each weight's sign goes to the second factor. It equals PEFT's ``linear`` if all adapters have
    the same scale, which PEFT splits between the factors while here it is part of the first.
    """
    root = np.sqrt(np.abs(weights))
    return _sum_factors(updates, root.tolist(), np.copysign(root, weights).tolist(), options)


def _sum_factors(updates: Updates, ups: Weights, downs: Weights, options: Options) -> LowRank:
    """Sum the factors with their own coefficients."""
    widths = sorted({low.width for low in updates if low.width})
    if len(widths) > 1:
        fact = f"{options.module} has factors of inner sizes {widths}"
        remedy = "choose cat, svd or mean, which add the updates themselves"
        _refuse(f"{fact}: a rule that adds factors needs equal ranks; {remedy}")
    updates = in_double(updates)
    (m, n), width = updates[0].shape, widths[0] if widths else 0
    xp = array_namespace(updates[0].up)
    place = {"dtype": updates[0].up.dtype, "device": device(updates[0].up)}
    # An adapter without the module has width 0 and adds nothing to either sum.
    up, down = xp.zeros((m, width), **place), xp.zeros((width, n), **place)
    for low, left, right in zip(updates, ups, downs, strict=True):
        if low.width:
            up, down = up + left * low.up, down + right * low.down
    return LowRank(up, down)


# The table.


@dataclass(frozen=True)
class Method:
    """One way to merge adapters: ``rule(updates, weights, options)`` merges one module.

    In `formula`, D are updates, w weights, B and A the factors `up` and `down`. `cost` counts
    arithmetic operations for each module, with R the total width and K the number of adapters.
    """

    name: str
    rule: Rule
    formula: str
    reference: str
    cost: str
    #: Which arguments it takes of ``weights, rank, space, density, ridge, moments, rng``.
    options: frozenset[str] = frozenset()
    #: Those that must be given. Entrywise rules also need `rank`, but only in the full space.
    required: frozenset[str] = frozenset()

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces in which it can merge; only entrywise rules have more than ``full``."""
        return tuple(SPACES) if "space" in self.options else ("full",)

    def needs(self, space: str) -> frozenset[str]:
        """Return the arguments that must be given in this space."""
        dense = "space" in self.options and space == "full"
        return self.required | {"rank"} if dense else self.required


# The rules, by the name of the method; what is said of each is in ``methods.toml``.
RULES: dict[str, Rule] = {
    "sum": weighted_total,
    "mean": mean,
    "chebyshev": chebyshev,
    "cat": weighted_total,
    "svd": weighted_total,
    "ties": entrywise(keep_largest, elect_signs),
    "dare": entrywise(drop_at_random, weighted_sum),
    "dare-ties": entrywise(drop_at_random, elect_signs),
    "magnitude": entrywise(keep_largest, weighted_sum),
    "iso": iso,
    "tsv": tsv,
    "interpolate": interpolate,
    "regmean": regmean,
    "factor-mean": factor_mean,
    "factor-linear": factor_linear,
}


def _read_methods() -> dict[str, Method]:
    """The table of all methods: their rules with what the file says of them."""
    text = Path(__file__).with_name("methods.toml").read_text(encoding="utf-8")
    methods = {}
    for name, row in tomllib.loads(text).items():
        for key in ("options", "required"):
            row[key] = frozenset(row.get(key, ()))
        methods[name] = Method(name, RULES[name], **row)
    return methods


MERGE_METHODS = _read_methods()


# Merge.


def merge(
    adapters: Sequence[AdapterOrPath] | Aligned,
    method: str = "mean",
    *,
    weights: Sequence[int | float] | None = None,
    rank: int | None = None,
    coefficient: int | float = 1.0,
    space: str = "full",
    density: int | float | None = None,
    ridge: int | float | None = None,
    moments: Sequence[Roots] | None = None,
    rng: np.random.Generator | None = None,
    any_base: bool = False,
) -> Adapter:
    """Return one adapter that is a merge of several.

    Parameters
    ----------
    adapters : list of Adapter or path, or Aligned
        At least one. An adapter that lacks a module counts as zero there.
    method : str
        A name in `MERGE_METHODS`, which holds each method's formula, cost and options.
    weights : list of float, optional
        One for each adapter, by default 1; negative weights subtract. The mean divides by their
        sum.
    rank : int, optional
        Largest rank of a merged module.
    coefficient : float
        Multiplies the result of any method.
    space : str
        Coordinates in which entrywise rules act: ``full`` or ``knots``.
    density : float, optional
        Share of entries that entrywise rules keep, in (0, 1].
    ridge : float, optional
        Ridge of `interpolate` and `regmean`, relative to the matrix it is added to; 0 by default.
    moments : list of mappings, optional
        For `regmean`: one mapping for each adapter, or one for all, from a module to a (k, n) array
        whose ``root.T @ root`` is the second moment of the module's inputs
        (`loratheory.pretrained.attach.collect_moments` computes them, `read_moments` reads them).
    rng : numpy.random.Generator, optional
        Required by rules that draw at random, ignored by others. One number is drawn from it at
        once; the result does not depend on the order in which modules are looked up.
    any_base : bool
        Merge adapters although they name different base models.

    Returns
    -------
    Adapter
        Lazy: at each look-up the module is loaded from every adapter and merged in float64; it is
        not cached. Its configuration has the keys on which all adapters agree.

    Raises
    ------
    MergeError
        If the method is unknown, or an argument is missing, not taken by it, or out of range.
    AdapterError
        If an adapter cannot be read, or the adapters do not fit each other.

    Warns
    -----
    DisjointWarning
        If no module is changed by two adapters.

    Examples
    --------
    >>> pair = [f"tests/data/{name}" for name in ("persons", "mascots")]
    >>> merged = merge(pair, "svd", weights=[0.7, 0.3], rank=6)
    >>> len(merged), merged["model.layers.10.self_attn.q_proj"].rank
    (90, 6)
    """
    given: dict[str, Any] = {"weights": weights, "rank": rank, "density": density, "rng": rng}
    given |= {"ridge": ridge, "moments": moments, "coefficient": coefficient}
    given = {name: value for name, value in given.items() if value is not None}
    chosen = check_options(method, space, given)
    library = adapters if isinstance(adapters, Aligned) else aligned(read_all(adapters), any_base)
    changing = [one for one in library.adapters if len(one)]
    if len(changing) > 1 and sum(map(len, changing)) == len(library.shapes):
        one, two, *_ = changing
        facts = f"{one.info.name} changes {next(iter(one))}, {two.info.name} {next(iter(two))}"
        warnings.warn(DISJOINT.format(facts), DisjointWarning, stacklevel=3)
    factors = [1.0] * len(library.adapters) if weights is None else list(map(float, weights))
    if len(factors) != len(library.adapters) or not all(map(math.isfinite, factors)):
        _refuse(f"weights are {factors}: give {len(library.adapters)} finite ones, one an adapter")
    # Checked before any module is merged.
    if method == "mean" and not sum(factors) > 0:
        _refuse(f"weights of a mean are {factors}: give some whose sum is above 0, or use cat")
    seen = roots(moments, library) if moments is not None else lambda _: ()
    options = Options(
        space=space,
        rank=rank,
        density=given.get("density", Options.density),
        ridge=given.get("ridge", Options.ridge),
        # Drawn now, so that the order in which modules are looked up does not matter.
        seed=0 if rng is None else int(rng.integers(2**63)),
    )

    def _merged(module: str) -> LowRank:
        # Refused by adapter and module: a rule would name only the factor.
        updates = library.updates(module)
        for low, adapter in zip(updates, library.adapters, strict=True):
            finite(low.up, f"{adapter.info.name}, {module}, first factor")
            finite(low.down, f"{adapter.info.name}, {module}, second factor")
        local = replace(options, module=module, moments=seen(module))
        low = chosen.rule(updates, factors, local)
        return low if coefficient == 1 else low * coefficient

    return Adapter(_merged, library.shapes, library.info)


DISJOINT = (
    "no module is changed by two adapters ({}), so the merge only puts them side by side: see that "
    "their modules are named as in one model"
)
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rank": (lambda rank: rank >= 1, "a merged module needs rank 1 or more"),
    "coefficient": (math.isfinite, "give a finite number"),
    "density": (lambda share: 0 < share <= 1, "give a share of entries above 0 and at most 1"),
    "ridge": (lambda ridge: 0 <= ridge < math.inf, "give a finite number that is not negative"),
}
LINEAR = (
    "PEFT's linear adds the factors A and B apart, which mixes adapters (B of one, A of another), "
    "and is factor-linear here: cat adds the updates with their weights, and mean averages them"
)
_ADVICE = {
    "moments": "second moments of the inputs (--moments FILE per adapter, or `collect_moments`)",
    "rank": "the largest rank of the result, such as rank=16 (--rank 16)",
    "density": "the share of entries to keep, such as density=0.2 (--density .2)",
    "rng": "a source of randomness, such as rng=numpy.random.default_rng(0)",
}


def check_options(name: str, space: str, given: Mapping[str, Any]) -> Method:
    """Return the method; refuse values out of range, what it ignores, and what is missing."""
    if name not in MERGE_METHODS:
        hint = suggest(name, MERGE_METHODS, f"choose one of {', '.join(MERGE_METHODS)}")
        _refuse(f"there is no merge method {name!r}; {LINEAR if name == 'linear' else hint}")
    method = MERGE_METHODS[name]
    if space not in method.spaces:
        spaces = ", ".join(method.spaces)
        _refuse(f"{name} does not work in space {space!r}: choose one of {spaces}")
    for value, (accepts, remedy) in _RANGES.items():
        if value in given and not accepts(given[value]):
            _refuse(f"{value} is {given[value]}: {remedy}")
    for unused in sorted(given.keys() - method.options - {"rng", "coefficient"}):
        takes = ", ".join(sorted(method.options - {"rng"})) or "no options"
        instead = ", or add with weights by cat" if unused == "weights" else ""
        _refuse(f"{name} takes no {unused}: leave it out{instead} (it takes {takes})")
    if missing := sorted(method.needs(space) - given.keys()):
        advice = ", and ".join(map(_ADVICE.__getitem__, missing))
        _refuse(f"{name} in space {space!r} needs {' and '.join(missing)}: give {advice}")
    return method


# Second moments of inputs, which regmean needs. The second moment of inputs x is the mean of x x',
# an (n, n) matrix; it is kept as a *root*, a (k, n) array with ``root.T @ root`` equal to it.


class Moments(Lazy[Any]):
    """A mapping from modules to (k, n) roots of second moments in a file, loaded at look-up."""

    def __init__(self, name: str, load: Callable[[str], Array], shapes: dict[str, Any]) -> None:
        super().__init__(load, shapes)
        self.name = name


def read_moments(file: str | os.PathLike[str]) -> Moments:
    """Return the second moments of modules' inputs in a safetensors file.

    Parameters
    ----------
    file : path
        A safetensors file of a (k, n) root for each module.

    Returns
    -------
    Moments
        For each module a (k, n) root; ``root.T @ root`` is the second moment. Only the header is
        read now, and a root at each look-up.

    Raises
    ------
    AdapterError
        If there is no such file, or it is damaged.
    """
    tensors = header(Path(file))
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return Moments(str(file), lambda module: load(tensors[module]), shapes)


def roots(moments: Sequence[Roots], library: Aligned) -> Callable[[str], tuple[Array, ...]]:
    """Check that moments fit a library; return a function from a module to its adapters' roots.

    Raises
    ------
    AdapterError
        If there is neither one mapping for all adapters nor one for each, a module has no root or
        one of another width, or is an embedding. These checks load no numbers.
    """
    count = len(library.adapters)
    if len(moments) not in (1, count):
        place, fact = "moments", f"{len(moments)} are given for {count} adapters"
        raise refusal(place, fact, "give one an adapter, in their order, or one for all")
    named = [(getattr(given, "name", f"moments {i}"), given) for i, given in enumerate(moments, 1)]
    collect = "collect them with loratheory.pretrained.attach.collect_moments"
    remedy = f"{collect} on these adapters and their base"
    for name, given in named:
        # A file knows its shapes from its header; arrays in memory are asked.
        shapes = getattr(given, "shapes", None) or {m: tuple(x.shape) for m, x in given.items()}
        for module, (_, n) in library.shapes.items():
            if module in library.info.embeddings:
                fact = f"{module} is an embedding, whose inputs are no vectors"
                raise refusal(name, fact, "choose another method for adapters of embeddings")
            if module not in shapes:
                raise refusal(name, f"it has no second moment of {module}", remedy)
            if len(shapes[module]) != 2 or shapes[module][1] != n:
                fact = f"{module} has inputs of {n} entries, and the root shape {shapes[module]}"
                raise refusal(name, fact, remedy)
    # One mapping stands in for every adapter.
    one_each = named * (count if len(moments) == 1 else 1)
    return lambda module: tuple(double(g[module], f"{name}, {module}") for name, g in one_each)
