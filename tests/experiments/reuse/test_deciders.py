"""Routers by name: their choices from dense matrices, their weights by hand."""

import numpy as np

from loratheory.experiments.reuse._deciders import STEPS, deciders, power_scores
from loratheory.lowrank import LowRank


def drawn(count=4, seed=0):
    rng = np.random.default_rng(seed)
    parts = [(rng.standard_normal((12, 3)), rng.standard_normal((3, 9))) for _ in range(count)]
    return [LowRank(*each) for each in parts]


def test_power_prototypes_are_powers_of_the_gram_matrix_on_a_random_start():
    updates, x = drawn(), np.random.default_rng(1).standard_normal((5, 9))
    start, expected = np.random.default_rng([0, 7]), []
    for low in updates:
        dense = np.asarray(low.up @ low.down)
        v = np.linalg.matrix_power(dense.T @ dense, STEPS) @ start.standard_normal(9)
        expected.append(abs(x @ v) / np.linalg.norm(v))
    np.testing.assert_allclose(power_scores(updates)(x), np.stack(expected, axis=1), rtol=1e-8)


def test_every_rule_weighs_tokens_as_its_name_says():
    updates, x = drawn(), np.random.default_rng(2).standard_normal((400, 9))
    given = {name: decide(updates, x).weights(x) for name, decide in deciders(0.3).items()}
    dense = [np.asarray(low.up @ low.down) for low in updates]
    norms = np.stack([np.linalg.norm(x @ d.T, axis=1) for d in dense], axis=1)
    tops = np.stack([abs(x @ np.linalg.svd(d)[2][0]) for d in dense], axis=1)
    parts = [np.linalg.norm(x @ np.linalg.svd(d)[2][:3].T, axis=1) for d in dense]
    scores = {
        "arrow": tops,
        "subspace": np.stack(parts, axis=1),
        "norm": norms,
        "norm, z": (norms - norms.mean(0)) / norms.std(0),
    }
    for name, found in scores.items():
        np.testing.assert_array_equal(given[name].argmax(axis=1), found.argmax(axis=1))
        assert set(np.unique(given[name])) == {0.0, 1.0}
    np.testing.assert_allclose(given["uniform"], 0.25, atol=1e-6)
    soft = np.exp(norms - norms.max(axis=1, keepdims=True))
    np.testing.assert_allclose(given["norm, soft"], soft / soft.sum(axis=1, keepdims=True))
    assert ((given["arrow, peft"] > 0).sum(axis=1) == 3).all()
    assert ((given["arrow, power"] > 0).sum(axis=1) == 1).all()
    assert 0.2 < given["gates"].sum(axis=1).mean() <= 0.3
