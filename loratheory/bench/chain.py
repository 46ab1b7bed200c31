"""A world of two hops with some edited facts, as a chain of two linear memories."""

from dataclasses import dataclass

import numpy as np

from loratheory.toy import Hop, LinearChain, chain


@dataclass(frozen=True, eq=False)
class World:
    """Entities x, y and z; the base knows ``x -> y`` and ``y -> z``, the edits change some of both.

    The first read has the random keys `first`, one for each x, and writes the `values` of the y;
    the second has the keys `second`, one for each y. At first ``x_i`` leads to ``y_i`` and ``y_i``
    to ``z_i``. With ``m = edited``, edit 1 lets ``x_i`` lead to ``y_(i+m)`` for ``i < m``, and
    edit 2 lets these new y lead to ``z_(i+2m)``. So the old bridges keep their facts.
    """

    model: LinearChain
    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    edited: int

    def answers(self, c1: float, c2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return edited prompts' logits for hop 1, hop 2 and both, at these coefficients."""
        x, new = self.first[:, : self.edited], slice(self.edited, 2 * self.edited)
        hop_1 = np.linalg.pinv(self.values) @ self.model.read(0, x, c1)
        hop_2 = self.model.read(1, self.second[:, new], c2)
        return hop_1, hop_2, self.model.output(x, (c1, c2))


def world(rng: np.random.Generator, *, size: int, entities: int, edited: int) -> World:
    """Draw a world; its memories are exact if ``size >= entities >= 3 * edited``."""
    first, second, values = rng.standard_normal((3, size, entities))
    identity, number = np.eye(entities), np.arange(entities)
    new_y, new_z = number.copy(), number.copy()
    new_y[:edited] += edited
    new_z[edited : 2 * edited] += edited
    hops = (
        Hop(first, values, values[:, new_y]),
        Hop(second, identity, identity[:, new_z]),
    )
    return World(chain(hops, (values,)), values, first, second, edited)


def margin(logits: np.ndarray, answers: np.ndarray) -> float:
    """Return the least margin, over the columns, of the column's answer over all others."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))
