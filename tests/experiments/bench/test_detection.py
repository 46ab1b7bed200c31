"""Misses, false alarms and leaks: by hand where the switches are set by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reused import cache as cache
from reused import loud, taught, update

from loratheory.experiments.bench.answers import scores
from loratheory.experiments.bench.library import acting
from loratheory.experiments.bench.rules import everything, routed
from loratheory.experiments.bench.weights import detection, leak
from loratheory.toy.transformer import Site


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return loud(taught())


def marked(site, x):
    """Weights that tell pair, hop, loop and position apart."""
    rows = torch.arange(x.shape[1]) % 3
    place = torch.arange(4) / 100 + site.loop / 10
    return (place + rows[:, None] / 1000).expand(len(x), -1, -1)


def silent(shelf):
    """The same library, nothing added by any adapter."""
    pairs = tuple(tuple(a.map(torch.zeros_like) for a in pair) for pair in shelf.pairs)
    return replace(shelf, pairs=pairs)


def test_the_right_adapter_is_looked_for_at_its_own_read(shelf):
    found = detection(shelf, acting(silent(shelf), lambda it: everything(it, marked)))
    first = [0.00 + 0.001, 0.02 + 0.001]  # adapters 0 and 2 in loop 0 at position 1
    second = [0.01 + 0.1 + 0.002, 0.03 + 0.1 + 0.002]  # adapters 1 and 3 in loop 1 at position 2
    right = np.mean(first) + np.mean(second)
    every = (0.06 + 4 * 0.001) + (0.06 + 4 * 0.102)
    np.testing.assert_allclose(found["misses"], 2 - right, rtol=1e-5)
    np.testing.assert_allclose(found["false_alarms"], every - right, rtol=1e-5)


def test_uniform_weights_miss_three_quarters(shelf):
    class Even:
        def weights(self, x):
            return torch.full((len(x), 4), 0.25)

    found = detection(shelf, acting(shelf, routed(lambda *_: Even())))
    np.testing.assert_allclose(found["misses"], 2 * 0.75)
    np.testing.assert_allclose(found["false_alarms"], 2 * 0.75)


def test_the_leak_is_what_a_dense_projector_leaves(shelf):
    found = leak(shelf)
    for e in range(4):
        parts = []
        for pair, asked in zip(shelf.pairs, shelf.trials, strict=True):
            keys = {}

            def seen(site, x, pair=pair, keys=keys):
                keys[site] = x
                return pair[site.loop](site, x)

            scores(shelf.bases, [one.questions for one in asked], seen)
            for hop in (0, 1):
                low = update(pair[hop], "layers.0.mlp.in", e)
                project = torch.linalg.pinv(low) @ low
                key = keys[Site("mlp.in", hop, 0)][e].double().reshape(-1, 3, 16)[:, hop + 1]
                out = key - key @ project
                parts.append((out.norm(dim=1) / key.norm(dim=1)).mean())
        assert found[e] == pytest.approx(float(np.mean(parts)), rel=1e-4)
