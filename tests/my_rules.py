"""Rules that somebody else might write, good and bad, for the tests of their report card."""

import numpy as np

from loratheory.adapters import Router, response_norms
from loratheory.lowrank import LowRank

NUMBER = 3


def half(updates, weights):
    up = np.concatenate([w / 2 * low.up for w, low in zip(weights, updates, strict=True)], axis=1)
    return LowRank(up, np.concatenate([low.down for low in updates]))


def largest(updates, activations):  # noqa: ARG001
    return Router(response_norms(updates))


def first(updates, weights):  # noqa: ARG001
    return updates[0]


def three(updates, weights, extra):  # noqa: ARG001
    return updates[0]


def swapped(weights, updates):  # noqa: ARG001
    return updates[0]


def raising(updates, weights):  # noqa: ARG001
    return weights[7]


class Weights:
    """Weighs tokens by whatever it is given."""

    def __init__(self, make):
        self.weights = make


def everything(updates, activations):  # noqa: ARG001
    return Weights(lambda x: np.ones((len(x), len(updates))))


def relative(updates, activations):
    """Obeys no law: knows the batch, the order, the factors and the length of a token."""
    size = np.abs(activations).mean()

    def _weights(x):
        parts = [np.abs(x @ low.down.T).sum(axis=1) / size for low in updates]
        found = np.stack(parts, axis=1) * np.arange(1, len(updates) + 1)
        return found - found.mean()

    return Weights(_weights)
