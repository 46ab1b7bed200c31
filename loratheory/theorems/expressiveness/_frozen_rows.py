"""The law of the rows of a frozen random factor, as nodes and weights that integrate it exactly.

A mean over Gaussian rows of a polynomial of degree five or less is a finite sum over nodes, so that
a statement about second moments of an adapter with a frozen factor can be checked without sampling.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.lowrank import Array, array_namespace, device, orthonormal
from loratheory.theorems._arrays import eye


@dataclass(frozen=True, eq=False)
class Rows:
    """Quadrature nodes (P, n), weights (P,); `drawn` rows are independent, others repeat them."""

    nodes: Array
    weights: Array
    drawn: int

    def like(self, array: Array) -> "Rows":
        """Return the same nodes and weights in the array library and on the device of `array`."""
        xp, place = array_namespace(array), device(array)
        nodes, weights = (xp.asarray(part, device=place) for part in (self.nodes, self.weights))
        return Rows(nodes, weights, self.drawn)

    def moments(self, read: Array, query: Array) -> tuple[float, float]:
        """Return mean and mean square of ``(read . a)(a . query)`` over the law of a row ``a``."""
        xp = array_namespace(self.nodes)
        product = (self.nodes @ read) * (self.nodes @ query)
        return float(xp.sum(self.weights * product)), float(xp.sum(self.weights * product**2))

    @property
    def standard(self) -> bool:
        """Whether second and fourth moments are those of independent standard normal entries."""
        xp, (count, n) = array_namespace(self.nodes), self.nodes.shape
        one = eye(self.nodes, n)
        pairs = xp.reshape(self.nodes[:, :, None] * self.nodes[:, None, :], (count, n * n))
        fourth = xp.reshape((self.weights[:, None] * pairs).T @ pairs, (n, n, n, n))
        wanted = (  # Isserlis: the sum over the three pairings of four indices
            one[:, :, None, None] * one[None, None, :, :]
            + one[:, None, :, None] * one[None, :, None, :]
            + one[:, None, None, :] * one[None, :, :, None]
        )
        second = (self.weights[:, None] * self.nodes).T @ self.nodes
        close = xp.all(xp.abs(fourth - wanted) <= 1e-9) & xp.all(xp.abs(second - one) <= 1e-9)
        return bool(close)


def gaussian_rows(n: int, drawn: int, turn: np.ndarray | None = None) -> Rows:
    """Return nodes and weights that integrate polynomials of degree up to five over normal rows.

    The rule is Stroud and Secrest's (1963); the matrix `turn` rotates its nodes.
    """
    one = np.eye(n)
    first, other = np.triu_indices(n, 1)
    corners = np.concatenate([one[first] + one[other], one[first] - one[other]])
    corners = np.concatenate([corners, -corners]) * np.sqrt((n + 2) / 2)
    axes = np.concatenate([one, -one]) * np.sqrt(n + 2)
    shares = [2 / (n + 2)], [(4 - n) / (2 * (n + 2) ** 2)] * 2 * n, [(n + 2) ** -2] * len(corners)
    nodes = np.concatenate([np.zeros((1, n)), axes, corners])
    return Rows(nodes if turn is None else nodes @ turn, np.concatenate(shares), drawn)


def lattice_rows(n: int, drawn: int) -> Rows:
    """Return the rule for normal rows that has three Gauss–Hermite nodes on each axis."""
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * n, indexing="ij"), axis=-1).reshape(-1, n)
    weights = np.prod(np.where(grid == 0, 2 / 3, 1 / 6), axis=1)
    return Rows(np.sqrt(3) * grid, weights, drawn)


def attain(case: Any) -> Rows:
    """Return nodes and weights that stand for the Gaussian law of the frozen factor's rows.

    Sums over them are exact means of polynomials of degree up to five. The case has a `query` of
    the rows' length and the factor's `rank`.
    """
    return gaussian_rows(int(case.query.shape[0]), case.rank).like(case.query)


def rival(case: Any, rng: np.random.Generator) -> Rows:
    """Return other nodes that give the same means: three on each axis, or rotated at random."""
    n = int(case.query.shape[0])
    if n <= 4 and rng.random() < 0.5:
        return lattice_rows(n, case.rank)
    return gaussian_rows(n, case.rank, orthonormal(rng, n, n))
