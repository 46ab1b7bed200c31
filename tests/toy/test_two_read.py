"""_two_read: what the least-norm maps hold, and what a chain computes."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import gaussian
from loratheory.toy import branching, chain, interpolating, miss


@given(seeds)
def test_interpolation_is_exact_and_nearest_to_its_start(seed):
    """Any other exact map differs from the start by at least as much."""
    rng = np.random.default_rng(seed)
    keys, values = rng.standard_normal((7, 3)), 5 * rng.standard_normal((4, 3))
    start, wild = gaussian(rng, 4, 7, 2), gaussian(rng, 4, 7, 4)
    for origin in (None, start):
        best, other = interpolating(keys, values, origin), interpolating(keys, values, wild)
        base = 0 if origin is None else origin.dense()
        assert np.abs(best.dense() @ keys - values).max() < 1e-10
        assert np.linalg.norm(best.dense() - base) <= np.linalg.norm(other.dense() - base)


def test_miss_is_relative():
    low, keys = interpolating(np.eye(2), 4 * np.eye(2)), np.eye(2)
    assert miss(low, keys, np.array([[4.0, 0], [0, 5.0]])) == pytest.approx(0.2)


def test_branching_by_hand():
    hop = branching(np.eye(3), np.eye(4))
    assert hop.old.argmax(axis=0).tolist() == [3, 1, 2]
    assert hop.new.argmax(axis=0).tolist() == [0, 1, 2]
    assert branching(np.eye(3), np.eye(4), known=False).old[:, 0].tolist() == [0, 0, 0, 0]
    every = branching(np.eye(2), np.eye(4))
    assert every.old.argmax(axis=0).tolist() == [2, 3]


@given(seeds)
def test_a_chain_is_the_product_of_its_dense_matrices(seed):
    rng = np.random.default_rng(seed)
    keys = [rng.standard_normal((6, 2 + j)) for j in range(3)]
    values = [rng.standard_normal((6, 3 + j)) for j in range(2)]
    model = chain(
        [branching(*pair) for pair in zip(keys, [*values, np.eye(5)], strict=True)], values
    )
    weights = rng.uniform(-2, 2, 3).tolist()
    steps = []
    for j, c in enumerate(weights):
        steps += [model.bridges[j - 1].dense()] if j else []
        steps.append(model.memories[j].dense() + c * model.edits[j].dense())
    dense = reduce(lambda done, step: step @ done, steps)
    found = model.output(keys[0], weights)
    assert found == pytest.approx(dense @ keys[0], rel=1e-9, abs=1e-9 * np.abs(found).max())


def test_joints_and_hops_must_match():
    with pytest.raises(ValueError, match="1 hops need 0 frames of values, not 1"):
        chain([branching(np.eye(2), np.eye(3))], [np.eye(2)])


@pytest.mark.parametrize(("weight", "token"), [(1.0, 0), (0.0, 2)])
def test_whole_edits_replace_old_answers(weight, token):
    """With no edit the first old value leads to the token of its own entity."""
    keys, values = (np.eye(3)[:, :1], np.eye(3)[:, :2]), (2 * np.eye(3)[:, :2],)
    model = chain(
        [branching(keys[0], values[0]), branching(keys[1], np.eye(3)[:, [0, 2, 1]])], values
    )
    assert model.output(keys[0][:, 0], (weight, weight)) == pytest.approx(np.eye(3)[token])
