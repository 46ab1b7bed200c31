"""ties, magnitude, dare, dare-ties in every space against dense references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.adapters import METHODS, Options, _entrywise
from loratheory.lowrank import LowRank, from_dense, gaussian

RULES = ("ties", "magnitude", "dare", "dare-ties")


def drawn(seed, space):
    """Updates in general position, weights, and options without truncation."""
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(3, 9, 3).tolist()
    updates = [gaussian(rng, m, n, int(rng.integers(1, 3))) for _ in range(k % 3 + 1)]
    weights = rng.standard_normal(len(updates)).tolist()
    density = float(rng.choice([0.2, 0.5, 1.0]))
    return updates, weights, Options("layer", space, density=density, seed=seed)


def in_space(updates, space):
    """Dense coordinates by dense decompositions: the stack's SVD, the factor stacks' SVDs."""
    dense = [low.up @ low.down for low in updates]
    (m, n), left, right = dense[0].shape, None, None
    if space == "full":
        return np.eye(m), dense, np.eye(n)
    if space == "knots":
        left, sigma, _ = np.linalg.svd(np.concatenate(dense, axis=1), full_matrices=False)
        left, right = left[:, sigma > 1e-11 * sigma[0]], np.eye(n)
    else:
        left, sigma, _ = np.linalg.svd(np.hstack([x.up for x in updates]), full_matrices=False)
        left = left[:, sigma > 1e-11 * sigma[0]]
        _, sigma, right = np.linalg.svd(np.vstack([x.down for x in updates]), full_matrices=False)
        right = right[sigma > 1e-11 * sigma[0]]
    return left, [left.T @ x @ right.T for x in dense], right


def trimmed(x, density):
    keep = max(1, int(np.floor(density * x.size + 1e-9)))
    return np.where(np.abs(x) >= np.sort(np.abs(x).ravel())[-keep] * (1 - 1e-11), x, 0.0)


def thinned(arrays, options):
    return [
        x * (options.generator(j).random(x.shape) < options.density) / options.density
        for j, x in enumerate(arrays)
    ]


def disjoint_mean(arrays, weights):
    votes = np.stack([w * x for w, x in zip(weights, arrays, strict=True)])
    winner = np.sign(np.round(votes.sum(axis=0), 11))
    agree = (np.sign(np.round(votes, 11)) == winner) & (winner != 0)
    share = (agree * np.abs(weights)[:, None, None]).sum(axis=0)
    return (votes * agree).sum(axis=0) / np.where(share > 0, share, 1.0)


def published(name, updates, weights, options):
    left, arrays, right = in_space(updates, options.space)
    if name in ("ties", "magnitude"):
        arrays = [trimmed(x, options.density) for x in arrays]
    else:
        arrays = thinned(arrays, options)
    if name in ("ties", "dare-ties"):
        merged = disjoint_mean(arrays, weights)
    else:
        merged = sum(w * x for w, x in zip(weights, arrays, strict=True))
    return left @ merged @ right


@pytest.mark.parametrize("space", ["full", "knots", "core"])
@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25)
@given(seed=seeds)
def test_each_rule_is_the_published_formula(name, space, seed):
    updates, weights, options = drawn(seed, space)
    merged = METHODS[name].rule(updates, weights, options).dense()
    np.testing.assert_allclose(merged, published(name, updates, weights, options), atol=1e-9)


@pytest.mark.parametrize("space", ["knots", "core"])
@settings(max_examples=25)
@given(seed=seeds)
def test_dare_in_a_space_keeps_every_coordinate_or_drops_it(space, seed):
    """With one adapter: coordinates of the merge are 0 or 1/p times those of the update."""
    updates, _, options = drawn(seed, space)
    left, (before,), right = in_space(updates[:1], space)
    merged = METHODS["dare"].rule(updates[:1], [1.0], options).dense()
    after = left.T @ merged @ right.T
    kept = np.abs(after * options.density - before) < 1e-9
    assert np.all(kept | (np.abs(after) < 1e-9))
    mask = options.generator(0).random(before.shape) < options.density
    np.testing.assert_array_equal(kept | (np.abs(before) < 1e-9), mask | (np.abs(before) < 1e-9))


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=15)
@given(seed=seeds, block=st.integers(1, 60))
def test_blocks_of_rows_do_not_change_the_merge(name, seed, block):
    updates, weights, options = drawn(seed, "full")
    whole = METHODS[name].rule(updates, weights, options).dense()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_entrywise, "BLOCK", block)
        parts = METHODS[name].rule(updates, weights, options).dense()
    np.testing.assert_allclose(parts, whole, atol=1e-12)


@pytest.mark.parametrize("space", ["full", "knots", "core"])
def test_truncation_to_a_rank_is_the_best_one(space):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 9, 8, 2) for _ in range(2)]
    free = METHODS["ties"].rule(updates, [1.0, 1.0], Options("x", space, density=0.5)).dense()
    cut = METHODS["ties"].rule(updates, [1.0, 1.0], Options("x", space, 1, density=0.5))
    sigma = np.linalg.svd(free, compute_uv=False)
    assert cut.width == 1
    assert np.linalg.norm(cut.dense() - free) == pytest.approx(np.linalg.norm(sigma[1:]))


def test_masks_of_dare_make_full_rank():
    low = gaussian(np.random.default_rng(0), 20, 20, 2)
    merged = METHODS["dare"].rule([low], [1.0], Options("x", density=0.5)).dense()
    assert np.linalg.matrix_rank(merged) == 20


def test_ties_does_not_average_lone_entries_down():
    """Two adapters that write to different outputs: the merge is their sum, not their mean."""
    rows = np.random.default_rng(0).standard_normal((10, 20))
    top, bottom = np.concatenate([rows, 0 * rows]), np.concatenate([0 * rows, rows])
    pair = [from_dense(top), from_dense(bottom)]
    merged = METHODS["ties"].rule(pair, [1.0, 1.0], Options("x", density=1.0)).dense()
    np.testing.assert_allclose(merged, top + bottom, atol=1e-12)


def test_dare_output_has_the_variance_of_the_theory():
    """Var of an output is (1-p)/p sum_l w² D_l² x_l²: 20,000 equal rows give as many draws."""
    rng, p, count = np.random.default_rng(1), 0.4, 20_000
    row, x = rng.standard_normal((1, 12)), rng.standard_normal(12)
    low = LowRank(np.ones((count, 1)), row)
    outputs = METHODS["dare"].rule([low], [-2.0], Options("x", density=p, seed=5)) @ x
    expected = 4 * (1 - p) / p * float((row**2 @ x**2)[0])
    assert outputs.var() == pytest.approx(expected, rel=0.05)
    assert outputs.mean() == pytest.approx(
        -2 * float((row @ x)[0]), abs=5 * np.sqrt(expected / count)
    )


@pytest.mark.parametrize("space", ["full", "knots", "core"])
def test_updates_without_entries_merge_to_zero(space):
    nothing = gaussian(np.random.default_rng(0), 3, 4, 0)
    merged = METHODS["ties"].rule([nothing, nothing], [1.0, 1.0], Options("x", space))
    np.testing.assert_array_equal(merged.dense(), np.zeros((3, 4)))
