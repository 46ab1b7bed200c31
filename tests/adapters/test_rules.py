"""Merge rules in closed form: dense arithmetic, hand examples and PEFT's own rules."""

import numpy as np
import pytest
import torch
from hypothesis import given
from peft import LoraConfig, get_peft_model
from peft.utils import merge_utils
from strategies import seeds

from loratheory.adapters import METHODS, MergeError, Options
from loratheory.adapters._entrywise import elected
from loratheory.lowrank import (
    LowRank,
    gaussian,
    orthonormal,
    with_spectrum,
)

# sum, mean, cat, task and svd against dense arithmetic and NumPy's SVD.


def drawn(seed):
    """Updates of differing widths, some of width 0, and weights of either sign."""
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 7, 3).tolist()
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, int(rng.integers(0, 4)), scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


def dense_sum(updates, weights):
    return np.einsum("k,kmn->mn", weights, np.stack([low.up @ low.down for low in updates]))


@given(seeds)
def test_sum_cat_task_and_mean_are_the_dense_arithmetic(seed):
    updates, weights, scale, _ = drawn(seed)
    ones = [1.0] * len(updates)
    for name, used, share in (
        ("sum", ones, 1),
        ("cat", weights, 1),
        ("task", weights, 1),
        ("mean", ones, 1 / len(updates)),
    ):
        merged = METHODS[name].rule(updates, used, Options()).dense()
        np.testing.assert_allclose(merged, share * dense_sum(updates, used), atol=1e-12 * scale)


@given(seeds)
def test_svd_is_the_dense_truncation_of_the_weighted_sum(seed):
    updates, weights, scale, rng = drawn(seed)
    rank = int(rng.integers(1, 6))
    merged = METHODS["svd"].rule(updates, weights, Options(rank=rank))
    sigma = np.linalg.svd(dense_sum(updates, weights), compute_uv=False)
    lost = np.linalg.norm(dense_sum(updates, weights) - merged.dense())
    assert merged.width <= rank
    assert lost == pytest.approx(np.linalg.norm(sigma[rank:]), rel=1e-9, abs=1e-12 * scale)


def test_a_merge_within_the_rank_is_left_as_it_is():
    low = LowRank(np.eye(3)[:, :2], np.eye(2, 4))
    np.testing.assert_array_equal(METHODS["svd"].rule([low], [1.0], Options(rank=2)).up, low.up)
    assert METHODS["svd"].rule([low], [1.0], Options(rank=1)).width == 1


def test_the_weighted_sum_cancels_by_hand():
    low = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 0.0]]))
    merged = METHODS["cat"].rule([low, low], [0.7, -0.2], Options()).dense()
    np.testing.assert_allclose(merged, [[1.5, 0.0], [3.0, 0.0]], atol=1e-15)


# factor-mean and factor-linear: what they lose, cross terms, and how the gauge moves them.


def drawn_factorwise(seed):
    rng = np.random.default_rng(seed)
    m, n, r, k = rng.integers(1, 5, 4).tolist()
    return [gaussian(rng, m, n, r) for _ in range(k)], rng.standard_normal(k).tolist(), rng


@given(seeds)
def test_factor_mean_misses_the_mean_by_the_factors_covariance(seed):
    """The mean of products less the product of means, from centred factors."""
    updates, _, _ = drawn_factorwise(seed)
    ups, downs = np.stack([x.up for x in updates]), np.stack([x.down for x in updates])
    covariance = np.mean((ups - ups.mean(0)) @ (downs - downs.mean(0)), axis=0)
    merged = METHODS["factor-mean"].rule(updates, [1.0] * len(updates), Options()).dense()
    np.testing.assert_allclose(np.mean(ups @ downs, axis=0) - merged, covariance, atol=1e-12)


@given(seeds)
def test_factor_linear_is_the_weighted_sum_plus_cross_terms(seed):
    updates, weights, _ = drawn_factorwise(seed)
    expected = sum(
        np.sqrt(abs(v * w)) * np.sign(w) * (x.up @ y.down)
        for x, v in zip(updates, weights, strict=True)
        for y, w in zip(updates, weights, strict=True)
    )
    merged = METHODS["factor-linear"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "factor"), [("factor-mean", 1.0), ("factor-linear", 9.0)])
def test_three_copies_by_hand(name, factor):
    low = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 1.0]]))
    merged = METHODS[name].rule([low] * 3, [1.0] * 3, Options()).dense()
    np.testing.assert_allclose(merged, factor * low.dense(), rtol=1e-14)


@pytest.mark.parametrize("name", ["factor-mean", "factor-linear"])
def test_turning_the_factors_of_one_adapter_moves_the_merge_by_order_one(name):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 20, 20, 4) for _ in range(2)]
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    moved = [updates[0].regauged(turn), updates[1]]
    np.testing.assert_allclose(moved[0].dense(), updates[0].dense(), atol=1e-13)
    one, other = (METHODS[name].rule(x, [1.0, 1.0], Options()).dense() for x in (updates, moved))
    assert np.linalg.norm(one - other) > 0.3 * np.linalg.norm(one)


def test_different_ranks_are_refused_and_width_zero_counts_as_zero():
    rng = np.random.default_rng(1)
    wide, thin, none = (gaussian(rng, 3, 3, r) for r in (2, 1, 0))
    with pytest.raises(MergeError, match=r"layer\.q has factors of inner sizes \[1, 2\]"):
        METHODS["factor-mean"].rule([wide, thin], [1.0, 1.0], Options("layer.q"))
    merged = METHODS["factor-mean"].rule([wide, none], [1.0, 1.0], Options()).dense()
    np.testing.assert_allclose(merged, wide.dense() / 4, atol=1e-14)


# iso and tsv against dense decompositions, and what they do to spectra.


def drawn_spectral(seed):
    """Updates in general position, with total width at most min(m, n)."""
    rng = np.random.default_rng(seed)
    k, r = rng.integers(1, 4, 2).tolist()
    m, n = (k * r + rng.integers(0, 5, 2)).tolist()
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, r, scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


@given(seeds)
def test_iso_gives_every_direction_of_the_sum_the_mean_strength(seed):
    updates, weights, scale, _ = drawn_spectral(seed)
    dense = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    left, sigma, right = np.linalg.svd(dense, full_matrices=False)
    keep = sum(low.width for low in updates)
    expected = sigma[:keep].mean() * left[:, :keep] @ right[:keep]
    merged = METHODS["iso"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-8 * scale)


def test_iso_of_orthonormal_edits_by_hand():
    """Strengths 1, 2, 3: all become 2; the published code would give 6 / 8 on rank 8."""
    rng = np.random.default_rng(0)
    left, right = orthonormal(rng, 8, 3), orthonormal(rng, 9, 3)
    edits = [LowRank(left[:, [i]] * (i + 1), right[:, [i]].T) for i in range(3)]
    merged = METHODS["iso"].rule(edits, [1.0] * 3, Options())
    np.testing.assert_allclose(merged.S, [2.0] * 3)
    np.testing.assert_allclose(merged.dense(), 2 * left @ right.T, atol=1e-14)


def test_iso_ignores_directions_that_only_rounding_made():
    low = with_spectrum(np.random.default_rng(0), 7, 6, [3.0, 1.0])
    merged = METHODS["iso"].rule([low, low, low], [1.0, 1.0, -1.0], Options())
    assert merged.width == 2
    np.testing.assert_allclose(merged.S, [2.0, 2.0])


def whitened(frames):
    """Nearest matrix with orthonormal columns, by the inverse root of the Gram matrix."""
    values, vectors = np.linalg.eigh(frames.T @ frames)
    return frames @ (vectors / np.sqrt(values)) @ vectors.T


@given(seeds)
def test_tsv_is_the_published_formula(seed):
    updates, weights, scale, _ = drawn_spectral(seed)
    parts = [np.linalg.svd(low.dense(), full_matrices=False) for low in updates]
    share = min(updates[0].shape) // len(updates)
    keep = [min(low.width, share) for low in updates]
    left = np.hstack([u[:, :r] for (u, _, _), r in zip(parts, keep, strict=True)])
    right = np.vstack([v[:r] for (_, _, v), r in zip(parts, keep, strict=True)])
    sigma = np.concatenate(
        [w * s[:r] for (_, s, _), w, r in zip(parts, weights, keep, strict=True)]
    )
    if max(np.linalg.cond(left), np.linalg.cond(right)) > 1e4:
        return
    expected = whitened(left) * sigma @ whitened(right.T).T
    merged = METHODS["tsv"].rule(updates, weights, Options()).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-7 * scale)


def test_tsv_leaves_orthogonal_adapters_alone_and_keeps_every_strength():
    rng = np.random.default_rng(0)
    left, right = orthonormal(rng, 9, 4), orthonormal(rng, 8, 4)
    pair = [LowRank(left[:, :2], right[:, :2].T), LowRank(3 * left[:, 2:], right[:, 2:].T)]
    merged = METHODS["tsv"].rule(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), sum(low.dense() for low in pair), atol=1e-14)
    mixed = [gaussian(rng, 9, 8, 2) for _ in range(2)]
    merged = METHODS["tsv"].rule(mixed, [1.0, 1.0], Options())
    before = np.sort(np.concatenate([low.S for low in mixed]))
    np.testing.assert_allclose(np.sort(merged.S), before)


@pytest.mark.parametrize("moved", [False, True])
def test_tsv_of_copies_is_the_adapter_in_whatever_factors(moved):
    low = gaussian(np.random.default_rng(0), 9, 8, 2)
    copy = LowRank(low.up @ [[2.0, 1.0], [0.0, 1.0]], [[0.5, -0.5], [0.0, 1.0]] @ low.down)
    merged = METHODS["tsv"].rule([low, copy if moved else low], [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), low.dense(), atol=1e-12)


def test_tsv_takes_each_adapters_share_of_the_smaller_side():
    rng = np.random.default_rng(0)
    pair = [with_spectrum(rng, 4, 5, [5.0, 4.0, 0.1]), with_spectrum(rng, 4, 5, [3.0, 2.0, 0.2])]
    merged = METHODS["tsv"].rule(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.S, [5.0, 4.0, 3.0, 2.0])
    assert METHODS["tsv"].rule(pair, [1.0, 1.0], Options(rank=1)).width == 1


@pytest.mark.parametrize("name", ["iso", "tsv"])
def test_zero_updates_merge_to_zero(name):
    rng = np.random.default_rng(0)
    for nothing in (gaussian(rng, 3, 4, 0), 0.0 * gaussian(rng, 3, 4, 2)):
        merged = METHODS[name].rule([nothing] * 2, [1.0, 1.0], Options())
        np.testing.assert_array_equal(merged.dense(), np.zeros((3, 4)))


# interpolate: the identities of the interpolating merge, its price, its relatives.


interpolate = METHODS["interpolate"].rule


def interpolation_condition(updates):
    """Largest over smallest singular value of the stacked row bases."""
    return np.linalg.cond(np.hstack([low.row_space() for low in updates]))


def drawn_interpolate(seed):
    """Updates with independent row spaces, and weights."""
    rng = np.random.default_rng(seed)
    k, r = rng.integers(1, 4, 2).tolist()
    n, m = int(k * r + rng.integers(3, 9)), int(rng.integers(r, 9))
    scale = 10.0 ** rng.integers(-6, 7)
    updates = [gaussian(rng, m, n, r, scale) for _ in range(k)]
    return updates, rng.standard_normal(k).tolist(), scale, rng


def projector(low):
    """Onto the row space, by the dense pseudo-inverse."""
    return np.linalg.pinv(low.dense(), rcond=1e-10) @ low.dense()


@given(seeds)
def test_it_acts_as_each_adapter_on_the_row_space_of_that_adapter(seed):
    updates, weights, scale, rng = drawn_interpolate(seed)
    merged, room = interpolate(updates, weights, Options()), interpolation_condition(updates)
    for low, weight in zip(updates, weights, strict=True):
        inputs = low.down.T @ rng.standard_normal((low.width, 4))
        inputs /= np.linalg.norm(inputs)
        np.testing.assert_allclose(
            merged @ inputs, weight * (low @ inputs), atol=1e-10 * scale * room**2
        )


@given(seeds)
def test_it_is_the_sum_times_the_inverse_of_the_summed_projectors(seed):
    """And no other matrix that acts so is smaller: it is zero off all row spaces."""
    updates, weights, scale, _ = drawn_interpolate(seed)
    total = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    projectors = sum(projector(low) for low in updates)
    merged, room = interpolate(updates, weights, Options()), interpolation_condition(updates)
    expected = total @ np.linalg.pinv(projectors, rcond=1e-10)
    np.testing.assert_allclose(merged.dense(), expected, atol=1e-9 * scale * room**4)


@given(seeds)
def test_regmean_with_data_inside_the_row_spaces_is_the_same_merge(seed):
    """(sum D_j G_j)(sum G_j)^+ for random Gram matrices G_j supported on the row spaces."""
    updates, _, scale, rng = drawn_interpolate(seed)
    grams = []
    for low in updates:
        data = low.row_space() @ (np.eye(low.width) + 0.3 * rng.random((low.width, low.width)))
        grams.append(data @ data.T)
    top = sum(low.dense() @ gram for low, gram in zip(updates, grams, strict=True))
    merged = interpolate(updates, [1.0] * len(updates), Options()).dense()
    room = np.linalg.cond(np.hstack([low.row_space() for low in updates])) ** 4
    expected = top @ np.linalg.pinv(sum(grams), rcond=1e-9)
    if room < 1e8:
        np.testing.assert_allclose(merged, expected, atol=1e-8 * scale * room)


@given(seeds)
def test_where_no_merge_fits_it_is_the_least_squares_one(seed):
    """Row spaces that must intersect, against NumPy's least squares on all basis inputs."""
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 4, 5, 2) for _ in range(3)]
    inputs = np.hstack([low.row_space() for low in updates])
    outputs = np.hstack([low @ low.row_space() for low in updates])
    expected = np.linalg.lstsq(inputs.T, outputs.T, rcond=1e-10)[0].T
    merged = interpolate(updates, [1.0] * 3, Options()).dense()
    if np.linalg.cond(inputs) < 1e4:
        np.testing.assert_allclose(merged, expected, atol=1e-6)


@given(seeds)
def test_a_ridge_is_relative_to_the_largest_eigenvalue(seed):
    updates, weights, scale, rng = drawn_interpolate(seed)
    ridge = float(rng.choice([1e-3, 0.1, 1.0]))
    total = sum(w * low.dense() for low, w in zip(updates, weights, strict=True))
    projectors = sum(projector(low) for low in updates)
    top = np.linalg.eigvalsh(projectors)[-1]
    expected = total @ np.linalg.inv(projectors + ridge * top * np.eye(len(projectors)))
    merged = interpolate(updates, weights, Options(ridge=ridge)).dense()
    np.testing.assert_allclose(merged, expected, atol=1e-9 * scale / ridge)


@given(seeds)
def test_the_price_is_bounded_by_the_condition(seed):
    updates, weights, _, _ = drawn_interpolate(seed)
    merged = interpolate(updates, weights, Options()).dense()
    smallest = np.linalg.svd(np.hstack([x.row_space() for x in updates]), compute_uv=False)[-1]
    parts = [abs(w) * np.linalg.norm(x.dense(), 2) for x, w in zip(updates, weights, strict=True)]
    bound = np.sqrt(len(updates)) * max(parts) / smallest
    assert np.linalg.norm(merged, 2) <= bound * (1 + 1e-9)


def test_copies_in_other_factors_are_recognised():
    rng = np.random.default_rng(0)
    low = gaussian(rng, 7, 9, 3)
    copies = [low.regauged(rng.standard_normal((3, 3))) for _ in range(3)]
    merged = interpolate(copies, [1.0] * 3, Options())
    np.testing.assert_allclose(merged.dense(), low.dense(), atol=1e-12)
    assert merged.width == 3


def test_orthogonal_row_spaces_make_it_the_sum_and_zero_updates_make_it_zero():
    rng = np.random.default_rng(0)
    frame = orthonormal(rng, 8, 4)
    pair = [LowRank(rng.standard_normal((5, 2)), frame[:, i : i + 2].T) for i in (0, 2)]
    merged = interpolate(pair, [1.0, 1.0], Options())
    np.testing.assert_allclose(merged.dense(), sum(x.dense() for x in pair), atol=1e-13)
    assert interpolate(pair, [1.0, 1.0], Options(rank=1)).width == 1
    nothing = gaussian(rng, 5, 8, 0)
    np.testing.assert_array_equal(
        interpolate([nothing], [1.0], Options()).dense(), np.zeros((5, 8))
    )


# Our rules and PEFT's on one small module: where they agree, and where they are known not to.


WIDE, OUT, RANK = 7, 6, 2


def peft_model():
    """Two adapters of one scale on one linear map, with random factors."""
    torch.manual_seed(0)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["0"])
    model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(WIDE, OUT).double()), config, "one")
    model.add_adapter("two", config)
    layer = model.base_model.model[0]
    for name in ("one", "two"):
        for part in (layer.lora_A[name], layer.lora_B[name]):
            torch.nn.init.normal_(part.weight)
    return model, layer


def update(layer, name):
    """The effective update in float64, its scale in the first factor."""
    up, down = layer.lora_B[name].weight, layer.lora_A[name].weight
    return LowRank(
        layer.scaling[name] * up.detach().double().numpy(), down.detach().double().numpy()
    )


@pytest.mark.parametrize("weights", [[0.7, 0.3], [1.5, -0.5]])
@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("cat", "cat", Options()),
        ("svd", "svd", Options(rank=2)),
        ("linear", "factor-linear", Options()),
        ("magnitude_prune_svd", "magnitude", Options(rank=2, density=0.5)),
    ],
)
def test_peft_agrees(kind, name, options, weights):
    model, layer = peft_model()
    extra = {"svd_rank": 2} if "svd" in kind else {}
    if "prune" in kind:
        extra["density"] = 0.5
    model.add_weighted_adapter(["one", "two"], weights, "merged", combination_type=kind, **extra)
    ours = METHODS[name].rule([update(layer, x) for x in ("one", "two")], weights, options)
    np.testing.assert_allclose(update(layer, "merged").dense(), ours.dense(), atol=1e-4)


def test_ties_agrees_for_equal_weights():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 5, 4))
    theirs = merge_utils.ties([torch.tensor(one), torch.tensor(two)], torch.ones(2), density=0.5)
    pair = [LowRank(np.eye(5), x) for x in (one, two)]
    ours = METHODS["ties"].rule(pair, [1.0, 1.0], Options(density=0.5))
    np.testing.assert_allclose(ours.dense(), theirs.numpy(), atol=1e-6)


def test_peft_elects_signs_before_weights_and_divides_by_the_head_count():
    """Known differences, by hand: PEFT loses (1, 3) - (1, -3) where we keep what agrees."""
    one, two = np.array([[1.0, 3.0]]), np.array([[2.0, -3.0]])
    tensors = [torch.tensor(one), torch.tensor(two)]

    def peft(weights):
        mask = merge_utils.calculate_majority_sign_mask(torch.stack(tensors))
        parts = torch.stack([w * x for w, x in zip(weights, tensors, strict=True)])
        return merge_utils.disjoint_merge(parts, mask).numpy()

    np.testing.assert_allclose(peft([1.0, -1.0]), [[-0.5, 3.0]])
    np.testing.assert_allclose(elected([one, two], [1.0, -1.0]), [[-2.0, 3.0]])
    np.testing.assert_allclose(peft([0.5, 0.5]), [[0.75, 1.5]])
    np.testing.assert_allclose(elected([one, two], [0.5, 0.5]), [[1.5, 0.0]])
