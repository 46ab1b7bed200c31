"""Digits that survive: the published construction against the one used here."""

import numpy as np
import pytest

from loratheory.experiments.construction_digits import Config, cell, drawn, published
from loratheory.theorems.expressiveness import depth_budget


def test_the_published_formula_is_right_on_paper():
    """On identities of one layer each, layer by layer one axis."""
    case = depth_budget.Case((np.eye(2), np.eye(2)), np.diag([3.0, 5.0]), rank=1)
    first, second = published(case)
    assert np.allclose(first, np.diag([1.0, 5.0]))
    assert np.allclose(second, np.diag([3.0, 1.0]))


def test_its_layers_spend_their_rank_and_reach_the_target():
    rng = np.random.default_rng(0)
    case = depth_budget.Case(tuple(rng.standard_normal((3, 6, 6))), np.eye(6), rank=2)
    layers = published(case)
    ranks = [np.linalg.matrix_rank(a - w) for a, w in zip(layers, case.weights, strict=True)]
    assert ranks == [2, 2, 2]
    assert np.allclose(np.linalg.multi_dot(layers[::-1]), np.eye(6), atol=1e-7)


def test_depth_costs_the_published_formula_its_digits_and_not_the_sweep():
    rows = cell(Config(shapes=((16, 2), (16, 8)), draws=3, seed=1))
    assert [(r["width"], r["depth"], r["rank"], r["network"]) for r in rows] == [
        (16, 2, 8, 0),
        (16, 2, 8, 1),
        (16, 8, 2, 0),
        (16, 8, 2, 1),
    ]
    shallow, deep = rows[:2], rows[2:]
    assert max(row["published"] for row in shallow) < -11
    assert min(row["published"] for row in deep) > -8
    assert all(row["sweep"] <= row["worst"] < -10 for row in rows)
    assert all(row["worst"] < row["condition"] - 14 for row in rows)


def test_a_network_as_target_has_lost_directions_and_one_layer_has_not():
    for seed in range(3):
        dense, network = (drawn(np.random.default_rng(seed), 16, 10, kind) for kind in (0, 1))
        assert np.linalg.cond(dense.target) < 1e4 < 1e7 < np.linalg.cond(network.target)
        assert len(dense.weights) == len(network.weights) == 10
        assert dense.rank == network.rank == 2
        assert np.std(dense.weights) * 4 == pytest.approx(1, abs=0.05)
