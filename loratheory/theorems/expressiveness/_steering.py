"""Steering an invertible linear network as near to a target as rank allows, with its conditioning.

Two constructions reach the same product. Simple factors always exist, but need the inverses of long
products; the layer sweep needs none, wherever the adapted products stay invertible on the way.
"""

from dataclasses import dataclass
from functools import reduce

from loratheory.lowrank import Array, LowRank, array_namespace, from_dense
from loratheory.theorems.expressiveness._layer_sweep import growth, layer_sweep
from loratheory.theorems.expressiveness._simple_factors import factor_route

FREE = 1e-14  # beside target and product, a singular value this small need not be paid for


@dataclass(frozen=True, eq=False)
class Steered:
    """Updates, and how much of the precision of target and product they may cost."""

    updates: tuple[LowRank, ...]
    condition: float


def steered(weights: tuple[Array, ...], target: Array, rank: int) -> Steered:
    """The better of the two constructions for the target's leading distance."""
    xp, product = array_namespace(target), _product(weights)
    missing = target - product
    size = float(xp.linalg.matrix_norm(target) + xp.linalg.matrix_norm(product))
    owed = int(xp.count_nonzero(xp.linalg.svdvals(missing) > FREE * size))
    paid = from_dense(missing, min(rank * len(weights), owed))
    swept, factored = layer_sweep(weights, paid, rank), factor_route(weights, paid, rank)
    goal, worst = product + paid.dense(), inverses(weights)
    if _error(weights, swept, goal) > _error(weights, factored, goal):
        return Steered(factored, worst)
    return Steered(swept, min(worst, 1.0 + growth(weights, swept) / size))


def inverses(weights: tuple[Array, ...]) -> float:
    """What inverting every weight may cost: their condition numbers' product, singular ones 1."""
    worst = 1.0
    for weight in weights:
        sigma = array_namespace(weight).linalg.svdvals(weight)
        worst *= float(sigma[0]) / float(sigma[-1]) if float(sigma[-1]) else 1.0
    return worst


def _product(layers: tuple[Array, ...]) -> Array:
    return reduce(lambda done, layer: layer @ done, layers)


def _error(weights: tuple[Array, ...], updates: tuple[LowRank, ...], goal: Array) -> float:
    adapted = tuple(w + low.dense() for w, low in zip(weights, updates, strict=True))
    return float(array_namespace(goal).linalg.matrix_norm(_product(adapted) - goal))
