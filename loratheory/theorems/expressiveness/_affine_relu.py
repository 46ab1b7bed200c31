r"""Biases that keep the hidden units of a ReLU network active on a ball, so that it stays affine.

With :math:`P_l` the product of the first :math:`l` layers and :math:`c_l` the row norms of
:math:`P_l` times the radius, the biases :math:`c_l - A_l c_{l-1}` give the :math:`l`-th ReLU
:math:`P_l x + c_l`, and :math:`|(P_l x)_i| \le c_{l,i}` for every :math:`x` in the ball.
"""

from itertools import pairwise

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float


def adapted(weights: tuple[Array, ...], updates: tuple[LowRank, ...]) -> list[Array]:
    """The layers with their updates added, first layer first."""
    return [weight + low.dense() for weight, low in zip(weights, updates, strict=True)]


def partial_products(layers: list[Array]) -> list[Array]:
    """What the first one, two, … layers compute together."""
    found = layers[:1]
    for layer in layers[1:]:
        found.append(layer @ found[-1])
    return found


def row_norms(matrix: Float[Array, "m n"]) -> Float[Array, " m"]:
    """Euclidean length of each row: the largest value of that unit on the unit ball."""
    return array_namespace(matrix).linalg.vector_norm(matrix, axis=1)


def opening_biases(
    layers: list[Array], radius: int | float, offset: Float[Array, " d"]
) -> tuple[Array, ...]:
    """Biases that keep the hidden units active on the ball and leave `offset` at the end."""
    reach = [radius * row_norms(product) for product in partial_products(layers)[:-1]]
    levels = pairwise([0 * offset, *reach, offset])
    return tuple(
        after - layer @ before for layer, (before, after) in zip(layers, levels, strict=True)
    )


def spare_room(
    layers: list[Array], biases: tuple[Array, ...], radius: int | float, offset: Float[Array, " d"]
) -> float:
    """How far the hidden units stay above 0 on the ball; less what the end misses `offset` by."""
    xp, level, spare = array_namespace(offset), 0 * offset, []
    for layer, bias, product in zip(layers, biases, partial_products(layers), strict=True):
        level = layer @ level + bias
        spare.append(float(xp.min(level - radius * row_norms(product))))
    return min([-float(xp.max(xp.abs(level - offset))), *spare[:-1]])
