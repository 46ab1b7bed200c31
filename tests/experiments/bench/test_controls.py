"""Controls: another edit set's adapters, and random ones of equal norms."""

import numpy as np
import pytest
import torch

from loratheory.experiments.bench.training import alike, exchanged, norms
from loratheory.toy.transformer import Lora


def drawn(replicas=6):
    rng = np.random.default_rng(0)
    shapes = {"a": (5, 3), "b": (4, 7)}
    up = {n: torch.tensor(rng.standard_normal((replicas, m, 2))) for n, (m, _) in shapes.items()}
    down = {n: torch.tensor(rng.standard_normal((replicas, 2, k))) for n, (_, k) in shapes.items()}
    return Lora(up, down, 2.0)


def test_adapters_move_to_the_next_set_of_the_same_base():
    found, given = exchanged(drawn(), 3), drawn()
    for one, two in ((found.up, given.up), (found.down, given.down)):
        for name in two:
            for base in (0, 3):
                for number in range(3):
                    source = base + (number - 1) % 3
                    assert torch.equal(one[name][base + number], two[name][source])


def test_norms_are_those_of_the_dense_updates():
    given = drawn()
    for name, found in norms(given).items():
        dense = 2.0 * given.up[name] @ given.down[name]
        assert found.numpy() == pytest.approx(torch.linalg.matrix_norm(dense).numpy())


def test_random_adapters_have_the_norms_of_the_trained_and_nothing_else():
    given = drawn()
    for seed in (0, 1):
        found = alike(given, seed)
        for name in given.up:
            one, two = (2.0 * x.up[name] @ x.down[name] for x in (given, found))
            sizes = [torch.linalg.matrix_norm(x).numpy() for x in (one, two)]
            assert sizes[0] == pytest.approx(sizes[1])
            assert abs(float((one * two).sum() / (one * one).sum())) < 0.5
    assert not torch.equal(alike(given, 0).up["a"], alike(given, 1).up["a"])
    assert torch.equal(alike(given, 1).up["a"], alike(given, 1).up["a"])
