"""Worlds of facts for the tests of tasks: one by hand, others small enough to search."""

import numpy as np

from loratheory.tasks.two_hop import World, world


def three() -> World:
    """Three entities a level: x0 x1 x2 -> y1 y2 y0 and y0 y1 y2 -> z2 z0 z1.

    Tokens: 19 20 relations, 21 22 not used, 23 … 25 x, 26 … 28 y, 29 … 31 z.
    """
    return World(np.array([[[1, 2, 0]], [[2, 0, 1]]]), entities=3)


def some(seed: int, **wanted: int) -> tuple[World, np.random.Generator]:
    """A small world and a generator for what is drawn from it."""
    return world(seed, **{"entities": 40, "spare": 12, **wanted}), np.random.default_rng(seed)


def walked(here: World, start: int, subject: int, path: tuple[int, ...]) -> list[int]:
    """The entities on a path, one fact after another."""
    passed = [subject]
    for hop, relation in enumerate(path, start=start):
        passed.append(here.maps[hop][relation].tolist()[passed[-1]] if passed[-1] >= 0 else -1)
    return passed
