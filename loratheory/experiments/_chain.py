"""A world of two hops in which some facts were edited, as a chain of two reads."""

from dataclasses import dataclass

import numpy as np

from loratheory.toy import Chain, Hop, chain


@dataclass(frozen=True, eq=False)
class World:
    """Entities x, y and z; the base knows ``x -> y`` and ``y -> z``, the edits change some of both.

    Two reads with random keys, `first` of all x and `second` of all y; `values` of each y, as the
    first read writes it. Each edit changes so many facts: of the x numbered below `edited` the y
    changes from their own number to that plus `edited`; of these new y the z changes likewise
    again, so that no entity that an old answer leads to was edited.
    """

    model: Chain
    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    edited: int

    def answers(self, c1: float, c2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits on the edited prompts: of hop 1 alone, of hop 2 alone, and of both hops."""
        x, new = self.first[:, : self.edited], slice(self.edited, 2 * self.edited)
        hop_1 = np.linalg.pinv(self.values) @ self.model.read(0, x, c1)
        hop_2 = self.model.read(1, self.second[:, new], c2)
        return hop_1, hop_2, self.model.output(x, (c1, c2))


def world(rng: np.random.Generator, *, size: int, entities: int, edited: int) -> World:
    """Draw one; it needs ``size >= entities >= 3 * edited`` to be exact."""
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
    """Return the least margin of each column's answer over all others."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))
