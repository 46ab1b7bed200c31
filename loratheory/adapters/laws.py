r"""Algebraic laws of merge rules, and a computed table of which rule obeys which.

A rule is a function :math:`f(X; w)` of the updates :math:`X` and weights :math:`w`. So that the
laws are about the rule itself, nothing is truncated, except by `svd`, whose rank is that of one
adapter. The density is one half, and a rule that draws at random uses the same stream every time.
Rules without weights are tested without them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.adapters.merging import MERGE_METHODS, Method, Options
from loratheory.lowrank import Array, LowRank
from loratheory.shapes import Float

SHAPE, RANK, COUNT = (9, 8), 2, 3

Dense = Float[Array, "m n"]


@dataclass(frozen=True, eq=False)
class LawCase:
    """A merge method in a space, and random updates and weights that `seed` determines."""

    method: Method
    space: str
    seed: int

    @property
    def weights(self) -> list[float]:
        """Positive and negative weights, away from 0 and 1; all 1 if the method takes none."""
        if "weights" not in self.method.options:
            return [1.0] * COUNT
        return [0.7, -0.4, 1.3]

    def updates(self, stream: int = 0) -> list[LowRank]:
        """Return independent random updates of equal rank; another `stream` gives others."""
        rng = np.random.default_rng([self.seed, stream])
        (m, n), r = SHAPE, RANK
        draw = rng.standard_normal
        return [LowRank(draw((m, r)), draw((r, n))) for _ in range(COUNT)]

    def merge(
        self,
        updates: Sequence[LowRank],
        weights: Sequence[float] | None = None,
        order: Sequence[int] = range(COUNT),
    ) -> Dense:
        """Return the merged update, dense; the i-th update gets the moments number ``order[i]``."""
        # The exact rank, or none at all: a truncation would be a law of its own.
        rank = None
        if "rank" in self.method.needs(self.space):
            rank = RANK if "rank" in self.method.required else min(SHAPE)
        options = Options("law", self.space, rank, density=0.5, seed=self.seed)
        if "moments" in self.method.options:
            square = (COUNT, SHAPE[1], SHAPE[1])
            roots = np.random.default_rng([self.seed, 3]).standard_normal(square)
            options = replace(options, moments=tuple(roots[list(order)]))
        chosen = self.weights if weights is None else weights
        return self.method.rule(updates, chosen, options).dense()


def distance(one: Dense, other: Dense) -> float:
    """Return the Frobenius distance divided by the larger norm; 0 if both are zero."""
    size = max(np.linalg.norm(one), np.linalg.norm(other))
    return float(np.linalg.norm(one - other) / size) if size else 0.0


def exact(case: LawCase) -> float:
    """f(X; w) = Σ_j w_j X_j, divided by Σ_j w_j or k if the method is a mean."""
    shares = {"mean": 1 / sum(case.weights), "factor-mean": 1 / COUNT}
    share = shares.get(case.method.name, 1.0)
    updates = case.updates()
    terms = [w * low.dense() for w, low in zip(case.weights, updates, strict=True)]
    return distance(case.merge(updates), share * sum(terms))


def linear(case: LawCase) -> float:
    """f(aX + bY; w) = a f(X; w) + b f(Y; w), the sums in balanced form."""
    (a, b), xs, ys = (0.6, -1.7), case.updates(), case.updates(1)
    sums = [(a * x + b * y).balanced() for x, y in zip(xs, ys, strict=True)]
    return distance(case.merge(sums), a * case.merge(xs) + b * case.merge(ys))


def idempotent(case: LawCase) -> float:
    """Copies of one adapter give it back, all weights 1 or all 1/k."""
    # Means give the adapter back at weights 1, sums at weights 1/k.
    copies = [case.updates()[0]] * COUNT
    takes = "weights" in case.method.options
    choices = ([1.0] * COUNT, [1 / COUNT] * COUNT) if takes else ([1.0] * COUNT,)
    return min(distance(case.merge(copies, choice), copies[0].dense()) for choice in choices)


def gauge_invariant(case: LawCase) -> float:
    """Other factors (BG, G⁻¹A) of the same updates change nothing."""
    updates, rng = case.updates(), np.random.default_rng([case.seed, 2])
    moved = [low.regauged(np.eye(RANK) + rng.random((RANK, RANK))) for low in updates]
    return distance(case.merge(updates), case.merge(moved))


def permutation_invariant(case: LawCase) -> float:
    """The order of the adapters, each with its weight, does not matter."""
    updates = case.updates()
    return distance(case.merge(updates), case.merge(updates[::-1], case.weights[::-1], (2, 1, 0)))


def zero_weight_drops(case: LawCase) -> float:
    """A last adapter of weight zero might as well not be there."""
    updates, weights = case.updates(), case.weights
    shorter = case.merge(updates[:-1], weights[:-1], (0, 1))
    return distance(case.merge(updates, [*weights[:-1], 0.0]), shorter)


def sign_respected(case: LawCase) -> float:
    """Changing the sign of a weight is changing the sign of its update."""
    updates, weights = case.updates(), case.weights
    flipped = case.merge(updates, [-weights[0], *weights[1:]])
    return distance(flipped, case.merge([-updates[0], *updates[1:]]))


def scale_equivariant(case: LawCase) -> float:
    """f(aX; w) = a f(X; w) for every number a, one for all adapters."""
    updates, rng = case.updates(), np.random.default_rng([case.seed, 2])
    # Over twelve decades, so that no absolute tolerance hides in a rule.
    a = float(rng.choice([-1.0, 1.0]) * 10 ** rng.uniform(-6, 6))
    return distance(case.merge([low * a for low in updates]) / a, case.merge(updates))


def low_rank_kept(case: LawCase) -> float:
    """The rank of the merge is at most the sum of the ranks: the first excess singular value."""
    sigma = np.linalg.svd(case.merge(case.updates()), compute_uv=False)
    return float(sigma[RANK * COUNT] / (sigma[0] or 1.0))


# Each law by its short name: a function of a case that is 0 up to rounding where the law holds.
LAWS: dict[str, Callable[[LawCase], float]] = {
    "exact": exact,
    "linear": linear,
    "idempotent": idempotent,
    "gauge": gauge_invariant,
    "permutation": permutation_invariant,
    "zero weight": zero_weight_drops,
    "sign": sign_respected,
    "scale": scale_equivariant,
    "low rank": low_rank_kept,
}

# A law whose relative gap is at most this counts as holding: the rest is rounding.
HOLDS = 1e-9


@dataclass(frozen=True)
class Cell:
    """Whether one law holds for one method in one space."""

    holds: bool | None  #: None where the law has no meaning for the method.
    reason: str = ""  #: Why it has none.
    seed: int | None = None  #: ``LawCase(method, space, seed)`` is a counterexample.
    gap: float = 0.0  #: The largest relative gap seen.


@dataclass(frozen=True)
class Row:
    """All laws for one method in one space: a cell for each law, in the order of `LAWS`."""

    method: str
    space: str
    cells: Mapping[str, Cell]


def laws(draws: int = 2) -> tuple[Row, ...]:
    """Return which laws hold, as one row for each merge method and space.

    A law holds where the gap is within rounding (`HOLDS`) in each of `draws` random cases;
    otherwise its cell has the seed of a counterexample. Costs well under a second.
    Raises ValueError if `draws` is below 1.

    Examples
    --------
    >>> mean = next(row for row in laws(draws=1) if row.method == "mean")
    >>> mean.cells["idempotent"].holds, mean.cells["low rank"].holds
    (True, True)
    """
    if draws < 1:
        message = f"draws is {draws}, which checks nothing: give 1 or more"
        raise ValueError(message)
    rows = []
    for method in MERGE_METHODS.values():
        for space in method.spaces:
            cells = {law: _cell(method, space, law, draws) for law in LAWS}
            rows.append(Row(method.name, space, cells))
    return tuple(rows)


def _cell(method: Method, space: str, law: str, draws: int) -> Cell:
    """Decide one law by drawing cases."""
    if law in ("zero weight", "sign") and "weights" not in method.options:
        return Cell(None, f"{method.name} takes no weights")
    worst = 0.0
    for seed in range(draws):
        # One counterexample decides.
        gap = LAWS[law](LawCase(method, space, seed))
        if gap > HOLDS:
            return Cell(False, "", seed, gap)
        worst = max(worst, gap)
    return Cell(True, "", None, worst)
