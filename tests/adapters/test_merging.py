"""Merge methods: each in each space against its formula written densely, a grid, examples, PEFT."""

import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import array_api_strict
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from loratheory.adapters import (
    MERGE_METHODS,
    Adapter,
    AdapterError,
    Info,
    MergeError,
    Options,
    merge,
    merging,
)
from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    from_dense,
    gaussian,
    orthonormal,
    with_spectrum,
)
from loratheory.theorems.expressiveness import rank_floor

CELLS = [(name, space) for name, method in MERGE_METHODS.items() for space in method.spaces]
EQUAL_WIDTHS = ("ties", "magnitude", "dare", "dare-ties", "tsv", "factor-mean", "factor-linear")
ENTRYWISE = [cell for cell in CELLS if cell[0] in EQUAL_WIDTHS[:4]]
TAKES_RANK = [cell for cell in CELLS if "rank" in MERGE_METHODS[cell[0]].options]


def apply(name, updates, weights=None, **options):
    weights = [1.0] * len(updates) if weights is None else weights
    return MERGE_METHODS[name].rule(updates, weights, Options(**options))


def drawn(name, seed):
    """One to three updates over twelve decades, of equal width where the rule needs it, weights."""
    rng = np.random.default_rng([seed, *name.encode()])
    k, r = rng.integers(1, 4, 2).tolist()
    m, n = (k * r + rng.integers(0, 5, 2)).tolist()
    widths = [r] * k if name in EQUAL_WIDTHS else rng.integers(0, r + 1, k).tolist()
    scale = 10.0 ** rng.integers(-6, 7)
    weights = [1.0] * k
    if "weights" in MERGE_METHODS[name].options:
        weights = rng.standard_normal(k).tolist()
    return [gaussian(rng, m, n, width, scale) for width in widths], weights, scale


# The formulas of `MERGE_METHODS`, written densely.


def weighted(arrays, weights):
    return np.einsum("k,kmn->mn", weights, np.stack(arrays))


def in_space(updates, space):
    """Dense coordinates by dense decompositions: the stack's SVD."""
    dense = [low.dense() for low in updates]
    if space == "full":
        return np.eye(len(dense[0])), dense
    left, sigma, _ = np.linalg.svd(np.concatenate(dense, axis=1), full_matrices=False)
    left = left[:, sigma > 1e-11 * sigma[0]]
    return left, [left.T @ x for x in dense]


def trimmed(x, density):
    keep = max(1, int(np.floor(density * x.size + 1e-9)))
    return np.where(np.abs(x) >= np.sort(np.abs(x).ravel())[-keep] * (1 - 1e-11), x, 0.0)


def disjoint_mean(arrays, weights):
    votes = np.stack([w * x for w, x in zip(weights, arrays, strict=True)])
    size = np.abs(votes).sum(axis=0)
    winner = np.sign(np.where(np.abs(votes.sum(axis=0)) > 1e-11 * size, votes.sum(axis=0), 0))
    agree = (np.sign(np.where(np.abs(votes) > 1e-11 * size, votes, 0)) == winner) & (winner != 0)
    share = (agree * np.abs(weights)[:, None, None]).sum(axis=0)
    return (votes * agree).sum(axis=0) / np.where(share > 0, share, 1.0)


def by_entries(name, updates, weights, options):
    left, arrays = in_space(updates, options.space)
    if name in ("ties", "magnitude"):
        arrays = [trimmed(x, options.density) for x in arrays]
    else:
        masks = [options.generator(j).random(x.shape) for j, x in enumerate(arrays)]
        pairs = zip(arrays, masks, strict=True)
        arrays = [x * (mask < options.density) / options.density for x, mask in pairs]
    combine = disjoint_mean if name in ("ties", "dare-ties") else weighted
    return left @ combine(arrays, weights)


def truncated(dense, rank):
    left, sigma, right = np.linalg.svd(dense, full_matrices=False)
    return left[:, :rank] * sigma[:rank] @ right[:rank]


def flattened(dense):
    left, sigma, right = np.linalg.svd(dense, full_matrices=False)
    keep = (sigma > 1e-11 * sigma[0]).sum()
    return sigma[:keep].mean() * left[:, :keep] @ right[:keep] if keep else dense


def whitened(frames):
    """Nearest matrix with orthonormal columns, by the inverse root of the Gram matrix."""
    values, vectors = np.linalg.eigh(frames.T @ frames)
    return frames @ (vectors / np.sqrt(values)) @ vectors.T


def singular(updates, weights):
    parts = [np.linalg.svd(low.dense(), full_matrices=False) for low in updates]
    keep = min(updates[0].width, min(updates[0].shape) // len(updates))
    left = whitened(np.hstack([u[:, :keep] for u, _, _ in parts]))
    right = whitened(np.vstack([v[:keep] for _, _, v in parts]).T)
    sigma = [weight * s[:keep] for (_, s, _), weight in zip(parts, weights, strict=True)]
    return left * np.concatenate(sigma) @ right.T


def projector(low):
    """Onto the row space, by the dense pseudo-inverse."""
    return np.linalg.pinv(low.dense(), rcond=1e-10) @ low.dense()


def interpolated(updates, weights, ridge):
    summed = sum(projector(low) for low in updates)
    top = np.linalg.eigvalsh(summed)[-1]
    inverse = np.linalg.pinv(summed + ridge * top * np.eye(len(summed)), rcond=1e-10)
    return weighted([low.dense() for low in updates], weights) @ inverse


def seen(updates, seed):
    """Roots of second moments, of fewer rows than inputs or of more, one an adapter."""
    rng, n = np.random.default_rng([seed, 7]), updates[0].shape[1]
    return tuple(rng.standard_normal((int(rng.integers(0, 2 * n)), n)) for _ in updates)


def regressed(updates, weights, roots, ridge):
    """Least squares over all inputs at once; with a ridge the normal equations."""
    moments = [root.T @ root for root in roots]
    eye = np.eye(len(moments[0]))
    moments = [m + ridge * np.trace(m) / len(m) * eye for m in moments]
    answers = weighted([low.dense() @ m for low, m in zip(updates, moments, strict=True)], weights)
    if ridge:
        return answers @ np.linalg.pinv(sum(moments), rcond=1e-10)
    outputs = [w * (low @ x.T) for low, x, w in zip(updates, roots, weights, strict=True)]
    return np.linalg.lstsq(np.vstack(roots), np.hstack(outputs).T, rcond=1e-8)[0].T


def enclosed(arrays):
    """Of all balls with one to three of the points on their equator, the least that holds all."""
    points, balls = np.stack([array.ravel() for array in arrays]), []
    for size in (1, 2, 3):
        for first, *others in combinations(points, size):
            sides = np.array([other - first for other in others]).reshape(-1, len(first))
            middle = np.linalg.lstsq(2 * sides, np.sum(sides**2, axis=1), rcond=1e-9)[0]
            radius = np.linalg.norm(points - first - middle, axis=1).max()
            balls.append((radius, len(balls), first + middle))
    return min(balls)[2].reshape(arrays[0].shape)


def formula(name, updates, weights, options):
    dense = weighted([low.dense() for low in updates], weights)
    ups, downs = ([getattr(low, side) for low in updates] for side in ("up", "down"))
    root, sign = np.sqrt(np.abs(weights)), np.sign(weights)
    return {
        "mean": lambda: dense / sum(weights),
        "chebyshev": lambda: enclosed([low.dense() for low in updates]),
        "svd": lambda: truncated(dense, options.rank),
        "iso": lambda: flattened(dense),
        "tsv": lambda: singular(updates, weights),
        "interpolate": lambda: interpolated(updates, weights, options.ridge),
        "regmean": lambda: regressed(updates, weights, options.moments, options.ridge),
        "factor-mean": lambda: np.mean(ups, axis=0) @ np.mean(downs, axis=0),
        "factor-linear": lambda: weighted(ups, root) @ weighted(downs, root * sign),
        **dict.fromkeys(("sum", "cat"), lambda: dense),
    }.get(name, lambda: by_entries(name, updates, weights, options))()


@pytest.mark.parametrize(("name", "space"), CELLS)
def test_each_rule_is_its_formula(name, space):
    for seed in range(6):
        updates, weights, scale = drawn(name, seed)
        density, ridge = (0.2, 0.5, 1.0)[seed % 3], (0.0, 1e-3, 0.3)[seed % 3]
        options = Options(
            "layer", space, 2 if name == "svd" else None, density=density, ridge=ridge, seed=seed
        )
        if "moments" in MERGE_METHODS[name].options:
            options = replace(options, moments=seen(updates, seed))
        merged = MERGE_METHODS[name].rule(updates, weights, options)
        expected = formula(name, updates, weights, options)
        np.testing.assert_allclose(merged.dense(), expected, rtol=1e-6, atol=1e-7 * scale)


# Method × space × array library × what is done to the updates.

BACKENDS = {
    "numpy": np.asarray,
    "single": lambda array: array.astype(np.float32),
    "torch": torch.asarray,
    "strict": array_api_strict.asarray,
}
TWICE = {  # what two copies of an adapter with equal singular values make of it, all entries kept
    **dict.fromkeys(("sum", "cat", "svd", "magnitude", "dare", "iso"), 2),
    **dict.fromkeys(("mean", "chebyshev", "ties", "dare-ties", "tsv", "interpolate"), 1),
    "regmean": 1,
    "factor-mean": 1,
    "factor-linear": 4,
}
CASES = ("numpy's", "zero", "one", "equal", "scale", "rotate", "gauge")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "space"), CELLS)
def test_what_is_done_to_the_updates_is_done_to_the_merge(name, space, backend, case):
    """In double precision, and without changing what was given."""
    rng, method = np.random.default_rng(0), MERGE_METHODS[name]
    pair = [gaussian(rng, 9, 8, 2).map(np.float32).map(np.float64) for _ in range(2)]
    roots = tuple(rng.standard_normal((2, 5, 8)))

    def merged(updates, roots=roots, density=0.5, move=BACKENDS[backend]):
        given = [low.map(move) for low in updates]
        kept = [low.map(lambda array: np.asarray(array).copy()) for low in given]
        options = Options("layer", space, 8, density=density, seed=1)
        if "moments" in method.options:
            options = replace(options, moments=roots[: len(updates)], ridge=0.1)
        low = method.rule(given, [1.0] * len(given), options)
        assert "float64" in str(low.up.dtype)
        assert type(low.up) is type(given[0].up)
        for before, after in zip(kept, given, strict=True):
            np.testing.assert_array_equal(np.asarray(after.up), before.up)
            np.testing.assert_array_equal(np.asarray(after.down), before.down)
        return np.asarray(low.dense())

    def near(one, other):
        size = 1 + abs(other).max()
        room = 1e-6 if backend == "single" and case not in ("numpy's", "one") else 1e-11
        np.testing.assert_allclose(one, other, rtol=0, atol=room * size)

    usual = merged(pair)
    assert abs(usual).max() > 0.1
    if case == "numpy's":
        near(usual, merged(pair, move=np.asarray))
    elif case == "zero":
        for nothing in (gaussian(rng, 9, 8, 0), 0.0 * pair[0]):
            np.testing.assert_array_equal(merged([nothing] * 2), np.zeros((9, 8)))
    elif case == "one" and name != "iso":
        near(merged(pair[:1], density=1.0), pair[0].dense())
    elif case == "equal":
        flat = with_spectrum(rng, 9, 8, [2.0, 2.0])
        near(merged([flat] * 2, (roots[0],) * 2, 1.0), TWICE[name] * flat.dense())
    elif case == "scale":
        near(merged([-7.0 * low for low in pair]), -7.0 * usual)
    elif case == "rotate" and "space" not in method.options:
        left, right = orthonormal(rng, 9, 9), orthonormal(rng, 8, 8)
        moved = [LowRank(left @ low.up, low.down @ right) for low in pair]
        near(merged(moved, tuple(root @ right for root in roots)), left @ usual @ right)
    elif case == "gauge":
        gauges = rng.standard_normal((2, 2, 2)) + 2 * np.eye(2)
        moved = merged([low.regauged(g) for low, g in zip(pair, gauges, strict=True)])
        if name.startswith("factor"):
            assert np.linalg.norm(moved - usual) > 1e-3
        else:
            near(moved, usual)


@pytest.mark.parametrize(("name", "space"), TAKES_RANK)
def test_a_rank_is_kept_by_the_best_truncation(name, space):
    updates = [gaussian(np.random.default_rng(0), 9, 8, 2) for _ in range(2)]
    how = {"space": space, "density": 0.5, "moments": (np.eye(8),) * 2}
    free = apply(name, updates, **how).dense()
    kept = apply(name, updates, rank=1, **how)
    assert kept.width == 1
    np.testing.assert_allclose(kept.dense(), truncated(free, 1), atol=1e-12)


# Filters and elections by hand, and what blocks of rows may not change.


def test_filters_and_elections_by_hand():
    array, rng = np.array([[1.0, -2.0, 2.0, 0.5]]), np.random.default_rng(0)
    for density in (0.25, 0.01):  # equals are all kept, and never nothing
        kept = merging.keep_largest(array, density, rng)
        np.testing.assert_array_equal(kept, [[0, -2, 2, 0]])
    one, other = np.array([[2.0, 1.0, 0.0, 1.0]]), np.array([[-1.0, 3.0, 4.0, -1.0]])
    np.testing.assert_array_equal(merging.elect_signs([one, other], [1.0, 1.0]), [[2, 2, 4, 0]])
    np.testing.assert_array_equal(
        merging.elect_signs([one, other], [1.0, -1.0]), [[1.5, -3, -4, 1]]
    )
    np.testing.assert_array_equal(merging.elect_signs([one, other], [1.0, 0.0]), one)
    dust = np.array([[1e-17, -1.0 + 2e-16, 0.0, 0.0]])  # rounding has no vote
    np.testing.assert_array_equal(
        merging.elect_signs([one, dust], [1.0, 1.0]), [[2.0, 0.0, 0.0, 1.0]]
    )


def test_chebyshev_of_a_right_angle_is_half_its_longest_side_and_copies_do_not_count():
    """Sides of 6 and 8; a fourth point within, and the corner twenty times."""
    rows = [[0.0, 0.0]] * 20 + [[6.0, 0.0], [0.0, 8.0], [1.0, 1.0]]
    centre = apply("chebyshev", [LowRank(np.eye(1), np.array([row])) for row in rows])
    np.testing.assert_allclose(centre.dense(), [[3.0, 4.0]], atol=1e-10)


def test_dare_is_unbiased_with_the_variance_of_bernoulli_masks():
    """Mean x and variance x² (1-p)/p of an entry; of an output, summed over w² D² x²."""
    rng, p, count = np.random.default_rng(1), 0.4, 20_000
    row, x = rng.standard_normal((1, 12)), rng.standard_normal(12)
    low = LowRank(np.ones((count, 1)), row)
    thinned = apply("dare", [low], [-2.0], density=p, seed=5)
    entries = thinned.dense()
    seen = np.unique(abs(entries[:, 0]).round(9))
    np.testing.assert_allclose(seen, [0.0, abs(2 * row[0, 0] / p)], atol=1e-8)
    expected = 4 * (1 - p) / p * float((row**2 @ x**2)[0])
    room = 5 * np.sqrt(expected / count)
    assert (entries @ x).mean() == pytest.approx(-2 * float((row @ x)[0]), abs=room)
    assert (entries @ x).var() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("name", "space"), ENTRYWISE)
def test_blocks_of_rows_do_not_change_the_merge(name, space, monkeypatch):
    updates, weights, scale = drawn(name, 4)
    whole = apply(name, updates, weights, space=space, density=0.4).dense()
    for block in (1, 7, 40):
        monkeypatch.setattr(merging, "BLOCK", block)
        parts = apply(name, updates, weights, space=space, density=0.4).dense()
        np.testing.assert_allclose(parts, whole, atol=1e-12 * scale)


def test_knots_coordinates_are_small():
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 50, 60, 2) for _ in range(2)]
    assert {core.shape for core in merging.knots(updates)[0]} == {(4, 60)}
    assert merging.knots([updates[0], updates[0] * 2.0])[0][0].shape[0] == 2


def test_an_adapter_without_modules_adds_nothing():
    low = gaussian(np.random.default_rng(0), 3, 4, 2)
    merged = merge([Adapter.of({}), Adapter.of({"a": low})], "sum")
    np.testing.assert_allclose(merged["a"].dense(), low.dense())


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_ties_on_disjoint_supports_is_the_sum_of_the_trimmed_updates(density):
    """Its squared error to the adapters is K times the least there is, and no edit is lost."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        owner = rng.integers(3, size=(6, 7))
        dense = [np.where(owner == k, rng.standard_normal((6, 7)), 0.0) for k in range(3)]
        weights = rng.uniform(0.5, 2, 3).tolist()
        merged = apply("ties", list(map(from_dense, dense)), weights, density=density).dense()
        total = sum(trimmed(part, density) for part in dense)
        np.testing.assert_allclose(merged, total, atol=1e-12)
        if density == 1.0:
            error = sum(np.sum((merged - part) ** 2) for part in dense)
            floor = sum(np.sum((total / 3 - part) ** 2) for part in dense)
            assert error == pytest.approx(3 * floor)


# The rules in closed form by hand, and where they are not unique.


def test_a_merge_within_the_rank_is_left_as_it_is():
    low = LowRank(np.eye(3)[:, :2], np.eye(2, 4))
    np.testing.assert_array_equal(apply("svd", [low], rank=2).up, low.up)
    merged = apply("cat", [low, low], [0.7, -0.2]).dense()
    np.testing.assert_allclose(merged, 0.5 * low.dense(), atol=1e-15)


def test_factor_rules_need_equal_widths_and_nothing_counts_as_any_width():
    rng = np.random.default_rng(1)
    wide, thin, none = (gaussian(rng, 3, 3, r) for r in (2, 1, 0))
    for name, share in (("factor-mean", 4), ("factor-linear", 1)):
        with pytest.raises(MergeError, match=r"layer\.q has factors of inner sizes \[1, 2\]"):
            apply(name, [wide, thin], module="layer.q")
        lone = apply(name, [wide, none]).dense()
        np.testing.assert_allclose(lone, wide.dense() / share, atol=1e-14)


def test_iso_counts_no_direction_that_only_rounding_made():
    low = with_spectrum(np.random.default_rng(0), 7, 6, [3.0, 1.0])
    np.testing.assert_allclose(apply("iso", [low] * 3, [1.0, 1.0, -1.0]).S, [2.0, 2.0])


def test_tsv_takes_each_adapters_share_of_the_smaller_side():
    rng = np.random.default_rng(0)
    pair = [with_spectrum(rng, 4, 5, [5.0, 4.0, 0.1]), with_spectrum(rng, 4, 5, [3.0, 2.0, 0.2])]
    np.testing.assert_allclose(apply("tsv", pair).S, [5.0, 4.0, 3.0, 2.0])


def test_regmean_keeps_a_rank_as_the_floor_does():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        updates, roots = [gaussian(rng, 6, 7, 2) for _ in range(3)], rng.random((3, 4, 7))
        case = rank_floor.Weighted(tuple(updates), tuple(r.T for r in roots), (np.eye(6),) * 3, 2)
        assert rank_floor.FISHER.check(
            case, apply("regmean", updates, rank=2, moments=tuple(roots))
        ).tight


@pytest.mark.parametrize("name", ["tsv", "interpolate"])
def test_copies_in_other_factors_are_recognised(name):
    rng = np.random.default_rng(0)
    low = gaussian(rng, 9, 8, 2)
    merged = apply(name, [low, *(low.regauged(rng.standard_normal((2, 2))) for _ in range(2))])
    np.testing.assert_allclose(merged.dense(), low.dense(), atol=1e-11)


# Our rules and PEFT's on one small module: where they agree, and where they are known not to.


def peft_model():
    """Two adapters of one scale on one linear map, with random factors."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["0"])
    model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(7, 6).double()), config, "one")
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
    ours = MERGE_METHODS[name].rule([update(layer, x) for x in ("one", "two")], weights, options)
    np.testing.assert_allclose(update(layer, "merged").dense(), ours.dense(), atol=1e-4)


# `merge`: lazy, deterministic, module by module.

SETTINGS = {
    "interpolate": {"ridge": 0.5},
    "regmean": {"moments": [{name: np.eye(5)[:4] + 0.3 for name in "qvo"}], "ridge": 0.1},
    "svd": {"rank": 2},
    "ties": {"rank": 3, "density": 0.4},
    "magnitude": {"rank": 3, "density": 0.4},
    "dare": {"rank": 3, "density": 0.4},
    "dare-ties": {"rank": 3, "density": 0.4},
}


def library(rng, xp=np, modules=("q", "v", "o"), rank=2):
    """Two adapters over the same modules of several shapes."""
    return [
        Adapter.of(
            {
                name: gaussian(rng, 6 + place, 5, rank).map(xp.asarray)
                for place, name in enumerate(modules)
            },
            Info(f"adapter {number}"),
        )
        for number in range(2)
    ]


@pytest.mark.parametrize("name", MERGE_METHODS)
def test_each_module_is_merged_by_the_rule_and_scaled(name):
    adapters, options = library(np.random.default_rng(0)), SETTINGS.get(name, {})
    weights = [0.7, -0.3] if "weights" in MERGE_METHODS[name].options else None
    merged = merge(
        adapters, name, weights=weights, coefficient=-3.0, rng=np.random.default_rng(1), **options
    )
    seed = int(np.random.default_rng(1).integers(2**63))
    if "moments" in options:
        options = options | {"moments": (options["moments"][0]["q"],) * 2}
    for module in ("o", "q", "v"):
        updates = [adapter[module] for adapter in adapters]
        expected = MERGE_METHODS[name].rule(
            updates, weights or [1.0, 1.0], Options(module, seed=seed, **options)
        )
        np.testing.assert_allclose(merged[module].dense(), -3 * expected.dense(), atol=1e-13)
        assert merged.shapes[module] == merged[module].shape == updates[0].shape
    assert list(merged) == ["q", "v", "o"]


def test_nothing_is_loaded_before_it_is_looked_up_and_only_that_module():
    seen, (first, second) = [], library(np.random.default_rng(0))
    lazy = Adapter(lambda name: seen.append(name) or first[name], first.shapes, first.info)
    merged = merge([lazy, second], "mean")
    assert (len(merged), seen) == (3, [])
    merged["v"]
    assert seen == ["v"]


def test_random_rules_depend_on_the_generator_and_the_module_alone():
    low = LowRank(np.ones((6, 1)), np.ones((1, 6)))
    adapters = [Adapter.of({"a": low, "b": low})] * 2
    one, again, other = (
        merge(adapters, "dare", rank=6, density=0.5, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    first = {name: one[name].dense() for name in ("a", "b")}
    for name in ("b", "a", "b"):
        np.testing.assert_array_equal(again[name].dense(), first[name])
    assert np.abs(first["a"] - first["b"]).max() > 1
    assert np.abs(first["a"] - other["a"].dense()).max() > 1


def test_a_module_that_one_adapter_lacks_counts_as_zero_there():
    first, second = library(np.random.default_rng(0))
    less = Adapter.of({"v": second["v"]}, second.info)
    merged = merge([less, first], "mean")
    assert list(merged) == ["v", "q", "o"]
    np.testing.assert_allclose(merged["q"].dense(), first["q"].dense() / 2)
    for name in MERGE_METHODS:
        options = SETTINGS.get(name, {})
        lone = merge([less, first], name, rng=np.random.default_rng(0), **options)
        assert np.all(np.isfinite(lone["q"].dense()))


def test_not_a_number_is_refused_by_adapter_module_and_place():
    first, second = library(np.random.default_rng(0))
    up = first["q"].up.copy()
    up[2, 1] = np.nan
    broken = Adapter.of({"q": LowRank(up, first["q"].down)}, Info("mine"))
    with pytest.raises(
        NotFiniteError, match=r"mine, q, first factor holds nan at position \[2, 1\]"
    ):
        merge([second, broken], "sum")["q"]


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ({"method": "average"}, "'average'"),
        ({"method": "sum", "weights": [1.0, 2.0]}, "takes no weights"),
        ({"method": "cat", "rank": 4}, "takes no rank"),
        ({"method": "ties", "density": 0.2, "rank": 2, "ridge": 0.1}, "takes no ridge"),
        ({"method": "svd"}, "needs rank"),
        ({"method": "ties", "density": 0.2}, "needs rank"),
        ({"method": "ties", "space": "knots"}, "needs density"),
        ({"method": "dare", "space": "knots", "density": 0.2}, "needs rng"),
        ({"method": "regmean"}, "needs moments"),
        ({"method": "mean", "space": "knots"}, "'knots'"),
        ({"method": "cat", "weights": [1.0]}, r"\[1\.0\]"),
        ({"method": "cat", "weights": [1.0, float("inf")]}, "inf"),
        ({"method": "ties", "density": 0.0, "rank": 2}, "density is 0.0"),
        ({"method": "ties", "density": float("nan"), "rank": 2}, "density is nan"),
        ({"method": "svd", "rank": 0}, "rank is 0"),
        ({"method": "interpolate", "ridge": -1.0}, "ridge is -1.0"),
        ({"method": "sum", "coefficient": float("inf")}, "coefficient is inf"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_loaded(arguments, fact):
    def unread(_):
        pytest.fail("a module was loaded")

    first, second = library(np.random.default_rng(0))
    lazy = Adapter(unread, first.shapes, first.info)
    with pytest.raises(MergeError, match=fact):
        merge([lazy, second], **arguments)
    with pytest.raises(AdapterError):
        merge([], "sum")


def test_a_small_merge_loads_no_library_that_it_does_not_need():
    """SciPy, torch and all of NumPy at once take longer to load than such a merge takes."""
    code = (
        "import sys, numpy; from loratheory.adapters import Adapter, merge\n"
        "from loratheory.lowrank import LowRank\n"
        "one = Adapter.of({'q': LowRank(numpy.ones((9, 2)), numpy.ones((2, 8)))})\n"
        "assert merge([one, one], 'svd', rank=1)['q'].width == 1\n"
        "print({'scipy', 'torch', 'pandas', 'numpy.f2py', 'socket'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
