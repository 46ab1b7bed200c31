"""What one module says: every number by dense arithmetic, of base weights and of adapters."""

from math import acos, cos, degrees

import numpy as np
import pytest
import torch
from causal import network

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, ModelError
from loratheory.pretrained.check import (
    ALIKE,
    Basis,
    Module,
    ask_arrow_blind_spot,
    ask_arrow_margin,
    ask_covariance_floor,
    ask_crosstalk,
    ask_factor_mean,
    ask_merge_floor,
    ask_summed_rank,
    compute_basis,
    find_intruders,
    measure_noise,
    read_weight,
)
from loratheory.pretrained.models import maps

# Adapters: what theorems say of them, asked of a module of 7 outputs and 9 inputs


def module(updates, x=None):
    x = np.random.default_rng(1).standard_normal((20, 9)) if x is None else x
    return Module("m", np.zeros(updates[0].shape), ("one", "two"), tuple(updates), x)


def pair(*widths):
    rng = np.random.default_rng(0)
    return [gaussian(rng, 7, 9, width) for width in widths]


def best_of_rank(matrix, rank):
    left, sigma, right = np.linalg.svd(matrix)
    return left[:, :rank] * sigma[:rank] @ right[:rank]


def test_the_floor_is_met_and_the_rank_adds_up():
    updates = pair(2, 3)
    dense = [low.dense() for low in updates]
    best = best_of_rank(sum(dense) / 2, 3)
    [reading] = ask_merge_floor(module(updates))
    assert reading.outcome == "tight"
    assert reading.value == pytest.approx(sum(((best - one) ** 2).sum() for one in dense) / 2)
    assert (reading.note, reading.about) == ("at rank 3", "one + two")
    [reading] = ask_summed_rank(module(updates))
    assert (reading.value, reading.outcome) == (np.linalg.matrix_rank(sum(dense)), "tight")


def test_the_mean_of_factors_is_judged_where_there_is_one():
    [reading] = ask_factor_mean(module(pair(2, 3)))
    assert (reading.outcome, reading.bound) == ("not applicable", None)
    assert reading.note.endswith("they have 2, 3")
    one, two = updates = pair(2, 2)
    [reading] = ask_factor_mean(module(updates))
    factors = (one.up + two.up) / 2 @ ((one.down + two.down) / 2)
    assert reading.value == pytest.approx((((one.dense() + two.dense()) / 2 - factors) ** 2).sum())
    assert reading.outcome == "tight"


def test_the_covariance_floor_is_below_what_the_data_free_optimum_does():
    dense, x = [low.dense() for low in pair(2, 3)], module(pair(2, 3)).inputs
    [reading] = ask_covariance_floor(module(pair(2, 3)))
    best = best_of_rank(sum(dense) / 2, 3)
    error = np.mean([((x @ (best - one).T) ** 2).sum(axis=1).mean() for one in dense])
    assert reading.value == pytest.approx(error)
    assert reading.outcome == "holds"


def test_crosstalk_is_that_of_the_worst_token_as_far_as_the_reader_reads_it():
    updates = pair(2, 3)
    x, readings = module(updates).inputs, [*ask_crosstalk(module(updates))]
    assert [reading.about for reading in readings] == ["one ← two", "two ← one"]
    for reading, (reader, other) in zip(readings, (updates, updates[::-1]), strict=True):
        frame = np.linalg.qr(reader.down.T)[0]
        read = x @ frame @ frame.T
        answers = np.linalg.norm(read @ other.dense().T, axis=1) / np.linalg.norm(read, axis=1)
        full = np.linalg.norm(x @ other.dense().T, axis=1) / np.linalg.norm(x, axis=1)
        share = np.median((read**2).sum(axis=1) / (x**2).sum(axis=1))
        assert reading.value == pytest.approx(answers.max())
        assert reading.outcome == "holds"
        assert reading.note.startswith(f"{100 * share:.2g} % of an input's energy")
        assert f"up to {full.max():.3g} of" in reading.note
    eye = np.eye(9)
    apart = [LowRank(np.eye(7)[:, :2], eye[:2]), LowRank(np.eye(7)[:, :3], eye[2:5])]
    assert [round(r.value, 12) for r in ask_crosstalk(module(apart))] == [0, 0]


def test_arrows_nearest_token_leads_by_at_least_what_the_theorem_says():
    updates, x = pair(2, 2), module(pair(2, 2)).inputs
    tops = [np.linalg.svd(low.dense())[2][0] for low in updates]
    x = np.concatenate([x, [0.05 * x[0] + 3 * top for top in tops]])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for i, reading in enumerate(ask_arrow_margin(module(updates, x))):
        own, other = (np.abs(unit @ tops[j]) for j in (i, 1 - i))
        near = int(own.argmax())
        between, angle = acos(abs(tops[0] @ tops[1])), acos(own[near])
        assert reading.about == ("one", "two")[i]
        assert reading.outcome in ("holds", "tight")
        assert reading.value == pytest.approx(own[near] - other[near])
        assert reading.bound == pytest.approx(own[near] - cos(between - angle))
        safe = (np.arccos(own) < between / 2).mean()
        assert f"{degrees(angle):.0f}° from the prototype" in reading.note
        assert f"{100 * safe:.2g} % of tokens are within half" in reading.note
    flat = [LowRank(np.eye(3)[:, :1], np.array([r])) for r in ([1.0, 0, 0], [0.8, 0.6, 0])]
    silent, _ = ask_arrow_margin(module(flat, np.array([[0.1, 0.0, 1.0]])))
    assert silent.outcome == "not applicable"  # beyond the other prototype
    assert "84° from the prototype" in silent.note


def test_orthonormal_edits_meet_arrows_blind_spot_exactly_and_others_are_outside():
    eye = np.eye(8)
    updates = [LowRank(np.eye(6)[:, :3] * [3.0, 2, 1], eye[3 * i : 3 * i + 3]) for i in range(2)]
    [reading] = ask_arrow_blind_spot(module(updates, np.ones((1, 8))))
    assert reading.outcome == "tight"
    assert reading.value == pytest.approx(1 / 3 + (2 / 3) / 2)
    unseen = 100 * (4 + 1) / (9 + 4 + 1)  # of an input that meets all keys alike
    assert f"of real answers {unseen:.2g} %, {unseen:.2g} % comes" in reading.note
    frames = [np.linalg.qr(low.down.T)[0] for low in pair(2, 2)]
    [reading] = ask_arrow_blind_spot(module(pair(2, 2)))
    assert reading.outcome == "not applicable"
    assert f"meet at cosine {np.linalg.norm(frames[0].T @ frames[1], 2):.2g};" in reading.note


# Base weights: singular vectors from the cache, noise, intruders


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (6, 6)])
def test_the_frame_and_the_values_are_those_of_a_dense_decomposition(shape):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours, exact = compute_basis(matrix), dense_basis(matrix.astype(float))
    assert np.allclose(ours.sigma, exact.sigma, atol=1e-6)
    assert np.allclose(np.abs(ours.frame.T @ exact.frame), np.eye(min(shape)), atol=1e-5)


def test_a_weight_is_decomposed_once_and_anew_where_the_file_is_damaged(monkeypatch, tmp_path):
    matrix = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    first, decompose = compute_basis(matrix), np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", None)
    assert np.array_equal(first.frame, compute_basis(matrix.copy()).frame)
    for other in (matrix * np.float32(1.5), matrix.reshape(8, 5), matrix.astype(np.float64)):
        with pytest.raises(TypeError):
            compute_basis(other)
    [file] = tmp_path.glob("cache/bases/*/*.safetensors")
    monkeypatch.setattr(np.linalg, "eigh", decompose)
    for damaged in (file.read_bytes()[:100], b""):
        file.write_bytes(damaged)
        assert np.array_equal(compute_basis(matrix).frame, first.frame)
    monkeypatch.setenv("LORATHEORY_CACHE", str(file))  # no folder, so that nothing can be kept
    assert np.array_equal(compute_basis(matrix).sigma, first.sigma)


@pytest.mark.parametrize(
    ("kind", "name"), [("llama", "layers.0.mlp.up_proj"), ("gpt2", "h.0.mlp.c_fc")]
)
def test_weights_are_outputs_by_inputs_whatever_the_layout(kind, name, base):
    [place] = [place for each, place in maps(base(kind)).items() if each.endswith(name)]
    matrix, x = read_weight(place, name), torch.randn(3, place.shape[1])
    bias = 0 if place.module.bias is None else place.module.bias
    assert matrix.shape == place.shape
    assert np.allclose(x.numpy() @ matrix.T, place.module(x) - bias, atol=1e-5)


def test_a_weight_that_is_not_finite_is_refused_by_name():
    place = maps(Model(network("llama")))["lm_head"]
    place.module.weight[2, 1] = torch.nan
    with pytest.raises(ModelError, match="lm_head: not every entry of its weight is finite; mend"):
        read_weight(place, "lm_head")


@pytest.mark.parametrize("shape", [(300, 300), (200, 600), (600, 200)])
def test_noise_is_noise_at_any_size(shape):
    seen = measure_noise(1e3 * np.random.default_rng(0).standard_normal(shape))
    assert (seen.spikes, seen.energy) == (0, 0)
    assert seen.kurtosis == pytest.approx(3, abs=0.1)
    assert seen.top == pytest.approx(seen.edge, rel=0.03)
    assert seen.spread == pytest.approx(1e3, rel=0.01)


def test_what_is_planted_in_noise_is_counted_with_its_energy():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((200, 400))
    left, right = (np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in (200, 400))
    seen = measure_noise(matrix + 60 * left @ right.T)
    assert seen.spikes == 2
    assert seen.energy == pytest.approx(2 * 60**2 / (2 * 60**2 + 200 * 400), abs=0.02)
    assert measure_noise(rng.uniform(-1, 1, (50, 50))).kurtosis == pytest.approx(1.8, abs=0.1)
    both = measure_noise(matrix), measure_noise(matrix, np.linalg.svd(matrix, compute_uv=False))
    assert np.allclose(*([*vars(seen).values()] for seen in both))


def dense_basis(matrix):
    """In full precision, by the dense decomposition."""
    left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    return Basis(left if matrix.shape[0] <= matrix.shape[1] else right.T.copy(), sigma)


@pytest.mark.parametrize("shape", [(80, 130), (130, 80), (90, 90), (9, 14), (14, 9)])
def test_intruders_are_those_of_the_dense_sum(shape):
    rng = np.random.default_rng(sum(shape))
    matrix = rng.standard_normal(shape) @ np.diag(1 / np.arange(1, shape[1] + 1))
    update = gaussian(rng, *shape, 3, 0.3)
    ours, first = find_intruders(matrix, dense_basis(matrix), update, top=5)
    left, _, _ = np.linalg.svd(matrix + update.dense(), full_matrices=False)
    cosines = np.abs(np.linalg.svd(matrix, full_matrices=False)[0].T @ left[:, :5]).max(axis=0)
    assert np.allclose(ours, cosines, atol=1e-7)
    assert abs(first @ left[:, 0]) == pytest.approx(1, abs=1e-9)


def test_a_strong_edit_intrudes_and_a_weak_one_does_not():
    rng = np.random.default_rng(0)
    matrix, one = rng.standard_normal((100, 100)) / 10, rng.standard_normal((100, 1)) / 10
    edits = [s * LowRank(one, one.T) for s in (0, 6)]
    found = [find_intruders(matrix, dense_basis(matrix), edit)[0] for edit in edits]
    assert [(cosines < ALIKE).sum() for cosines in found] == [0, 1]
