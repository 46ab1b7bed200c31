"""Entrywise rules: filters and elections on plain arrays, spaces, and both together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.adapters import METHODS, Options, _entrywise, knots_basis
from loratheory.adapters._entrywise import SPACES, added, drop, elected, trim
from loratheory.lowrank import LowRank, from_dense, gaussian, with_spectrum

# trim, drop, elect: against counts, by hand, and their laws on plain arrays.


rng0 = np.random.default_rng(0)


@given(seeds)
def test_trim_keeps_exactly_the_largest_entries(seed):
    """Against a full argsort, over every density on a grid that floats only nearly represent."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 8, 2).tolist()
    array = rng.standard_normal((m, n)) * 10.0 ** rng.integers(-6, 7)
    kept = int(rng.integers(1, m * n + 1))
    out = trim(iter(np.array_split(array, min(m, 3))), kept / (m * n), rng0)(array)
    order = np.argsort(-np.abs(array), axis=None)
    expected = np.zeros(m * n)
    expected[order[:kept]] = array.flat[order[:kept]]
    np.testing.assert_array_equal(out.ravel(), expected)


def test_trim_keeps_all_equals_at_the_cut_and_never_nothing():
    array = np.array([[1.0, -2.0, 2.0, 0.5]])
    np.testing.assert_array_equal(trim(iter([array]), 0.25, rng0)(array), [[0, -2, 2, 0]])
    np.testing.assert_array_equal(trim(iter([array]), 0.01, rng0)(array), [[0, -2, 2, 0]])
    lone = np.array([[3.0, 1.0]])
    np.testing.assert_array_equal(trim(iter([lone]), 0.01, rng0)(lone), [[3, 0]])


def test_drop_is_unbiased_with_the_variance_of_bernoulli_masks():
    """Mean x and variance x² (1-p)/p, within five standard errors over 40,000 draws."""
    p, count = 0.3, 40_000
    out = drop(iter([]), p, np.random.default_rng(3))(np.full((count, 1), 2.0))
    assert set(np.unique(out)) == {0.0, 2.0 / p}
    deviation = 2.0 * np.sqrt((1 - p) / p)
    assert np.mean(out) == pytest.approx(2.0, abs=5 * deviation / np.sqrt(count))
    assert np.std(out) == pytest.approx(deviation, rel=0.03)


@given(seeds)
def test_drop_does_not_depend_on_the_blocks(seed):
    array = np.random.default_rng(seed).standard_normal((6, 5))
    whole = drop(iter([]), 0.5, np.random.default_rng(seed))(array)
    keep = drop(iter([]), 0.5, np.random.default_rng(seed))
    parts = np.concatenate([keep(block) for block in (array[:1], array[1:4], array[4:])])
    np.testing.assert_array_equal(whole, parts)


@given(seeds)
def test_election_entry_by_entry(seed):
    """A loop over entries, in words: who agrees with the sum; their weighted mean."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    arrays = [rng.integers(-2, 3, (3, 4)).astype(float) for _ in range(k)]
    weights = rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0], k).tolist()
    expected = np.zeros((3, 4))
    for place in np.ndindex(3, 4):
        votes = [w * x[place] for w, x in zip(weights, arrays, strict=True)]
        winner = np.sign(sum(votes))
        agree = [j for j, vote in enumerate(votes) if winner and np.sign(vote) == winner]
        if agree:
            expected[place] = sum(votes[j] for j in agree) / sum(abs(weights[j]) for j in agree)
    np.testing.assert_allclose(elected(arrays, weights), expected, atol=1e-14)


def test_election_by_hand():
    one, other = np.array([[2.0, 1.0, 0.0, 1.0]]), np.array([[-1.0, 3.0, 4.0, -1.0]])
    np.testing.assert_array_equal(elected([one, other], [1.0, 1.0]), [[2, 2, 4, 0]])
    np.testing.assert_array_equal(elected([one, other], [1.0, -1.0]), [[1.5, -3, -4, 1]])
    np.testing.assert_array_equal(elected([one, other], [1.0, 0.0]), one)


def test_rounding_has_no_vote():
    """A zero written as 1e-17 neither halves what it agrees with nor decides a tie."""
    one, dust = np.array([[2.0, 1.0]]), np.array([[1e-17, -1.0 + 2e-16]])
    np.testing.assert_array_equal(elected([one, dust], [1.0, 1.0]), [[2.0, 0.0]])


def test_added_is_the_weighted_sum():
    arrays = [np.ones((2, 2)), np.full((2, 2), 3.0)]
    np.testing.assert_array_equal(added(arrays, [2.0, -1.0]), -np.ones((2, 2)))


# KnOTS and Core Space coordinates against dense stacks, without losing anything.


def drawn(seed):
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 8, 3).tolist()
    return [
        gaussian(rng, m, n, int(rng.integers(0, 4)), 10.0 ** rng.integers(-3, 4)) for _ in range(k)
    ]


@given(seeds)
def test_knots_singular_values_are_those_of_the_dense_stack(seed):
    updates = drawn(seed)
    stack = np.concatenate([low.dense() for low in updates], axis=1)
    expected = np.linalg.svd(stack, compute_uv=False)
    left, sigma = knots_basis(updates)
    padded = np.zeros_like(expected)
    padded[: len(sigma)] = sigma
    np.testing.assert_allclose(padded, expected, atol=1e-10 * (1e-300 + expected[0]))
    np.testing.assert_allclose(left.T @ left, np.eye(len(sigma)), atol=1e-12)


@given(seeds)
def test_knots_coordinates_are_sigma_times_the_right_vectors(seed):
    """Row norms over all adapters are the singular values: the coordinates are S V'."""
    updates = drawn(seed)
    cores = np.concatenate([core.dense() for core in SPACES["knots"](updates).cores], axis=1)
    sigma = knots_basis(updates)[1]
    np.testing.assert_allclose(
        cores @ cores.T, np.diag(sigma**2), atol=1e-11 * (1e-300 + max(sigma, default=0) ** 2)
    )


@pytest.mark.parametrize("space", ["full", "knots", "core"])
@given(seed=seeds)
def test_no_update_loses_anything_in_any_space(space, seed):
    updates = drawn(seed)
    room = 1e-11 * sum(np.linalg.norm(low.dense()) for low in updates) + 1e-300
    coordinates = SPACES[space](updates)
    for low, core in zip(updates, coordinates.cores, strict=True):
        back = coordinates.update(core.dense())
        np.testing.assert_allclose(back.dense(), low.dense(), atol=room)


@pytest.mark.parametrize(("space", "shape"), [("knots", (4, 60)), ("core", (4, 4))])
def test_coordinates_are_as_small_as_promised(space, shape):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 50, 60, 2) for _ in range(2)]
    assert {core.shape for core in SPACES[space](updates).cores} == {shape}
    twice = [updates[0], updates[0] * 2.0]
    assert SPACES[space](twice).cores[0].shape[0] == 2


def test_the_full_space_comes_back_at_the_rank_asked_for():
    rng = np.random.default_rng(0)
    low = with_spectrum(rng, 5, 4, [3.0, 2.0, 1.0])
    back = SPACES["full"]([low]).update(low.dense(), 2)
    assert back.width == 2
    assert np.linalg.norm(back.dense() - low.dense()) == pytest.approx(1.0)
    assert SPACES["full"]([low]).update(low.dense(), 9).width == 4


def test_the_knots_basis_is_the_same_in_every_gauge_and_the_core_basis_is_not():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 9, 8, 2) for _ in range(2)]
    moved = [low.regauged(rng.standard_normal((2, 2))) for low in updates]
    seen = {}
    for space in ("knots", "core"):
        one, other = (np.abs(SPACES[space](x).left) for x in (updates, moved))
        seen[space] = np.linalg.norm(one - other)
    assert seen["knots"] < 1e-10
    assert seen["core"] > 0.1


def test_updates_of_width_zero_have_empty_coordinates():
    nothing = LowRank(np.zeros((3, 0)), np.zeros((0, 4)))
    for space in ("knots", "core"):
        coordinates = SPACES[space]([nothing, nothing])
        assert coordinates.update(coordinates.cores[0].dense()).shape == (3, 4)


# ties, magnitude, dare, dare-ties in every space against dense references.


RULES = ("ties", "magnitude", "dare", "dare-ties")


def drawn_entrywise(seed, space):
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
    updates, weights, options = drawn_entrywise(seed, space)
    merged = METHODS[name].rule(updates, weights, options).dense()
    np.testing.assert_allclose(merged, published(name, updates, weights, options), atol=1e-9)


@pytest.mark.parametrize("space", ["knots", "core"])
@settings(max_examples=25)
@given(seed=seeds)
def test_dare_in_a_space_keeps_every_coordinate_or_drops_it(space, seed):
    """With one adapter: coordinates of the merge are 0 or 1/p times those of the update."""
    updates, _, options = drawn_entrywise(seed, space)
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
    updates, weights, options = drawn_entrywise(seed, "full")
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
