"""_basis: the shorter side's singular vectors, worked out once for each weight."""

import numpy as np
import pytest
import torch
from causal import network

from loratheory.pretrained import Model, ModelError, maps
from loratheory.pretrained.check import _weights


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (6, 6)])
def test_the_frame_and_the_values_are_those_of_a_dense_decomposition(shape):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = _weights.basis(matrix)
    left, sigma, right = np.linalg.svd(matrix.astype(float), full_matrices=False)
    exact = left if shape[0] <= shape[1] else right.T
    assert np.allclose(found.sigma, sigma, atol=1e-6)
    assert np.allclose(np.abs(found.frame.T @ exact), np.eye(min(shape)), atol=1e-5)


def test_a_weight_is_decomposed_once_and_another_one_anew(monkeypatch, room):
    matrix = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    first = _weights.basis(matrix)
    monkeypatch.setattr(np.linalg, "eigh", lambda _: 1 / 0)
    again = _weights.basis(matrix.copy())
    assert np.array_equal(first.frame, again.frame)
    assert np.array_equal(first.sigma, again.sigma)
    for other in (matrix * np.float32(1.5), matrix.reshape(8, 5), matrix.astype(np.float64)):
        with pytest.raises(ZeroDivisionError):
            _weights.basis(other)
    assert len(list((room / "bases").iterdir())) == 1


def test_a_damaged_file_is_made_anew_and_a_cache_that_cannot_be_written_is_done_without(
    room, monkeypatch
):
    matrix = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    first = _weights.basis(matrix)
    [file] = room.glob("bases/*/*.safetensors")
    for damaged in (file.read_bytes()[:100], b""):
        file.write_bytes(damaged)
        assert np.array_equal(_weights.basis(matrix).frame, first.frame)
        assert len(file.read_bytes()) > 100
    (room / "file").write_text("")
    monkeypatch.setenv("LORATHEORY_CACHE", str(room / "file"))
    assert np.array_equal(_weights.basis(matrix).frame, first.frame)


def test_weights_are_outputs_by_inputs_whatever_the_layout():
    for kind, name in (
        ("llama", "model.layers.0.mlp.up_proj"),
        ("gpt2", "transformer.h.0.mlp.c_fc"),
    ):
        place = maps(Model(network(kind)))[name]
        matrix, x = _weights.weight(place), torch.randn(3, place.shape[1])
        bias = 0 if place.module.bias is None else place.module.bias
        assert matrix.shape == place.shape
        assert np.allclose(x.numpy() @ matrix.T, place.module(x) - bias, atol=1e-5)


def test_a_weight_that_is_elsewhere_is_refused():
    place = maps(Model(network("llama").to("meta")))["lm_head"]
    with pytest.raises(ModelError, match="lm_head: its weight is not in memory; load"):
        _weights.weight(place, "lm_head")


def test_a_weight_that_is_not_finite_is_refused_by_name():
    place = maps(Model(network("llama")))["lm_head"]
    place.module.weight[2, 1] = torch.nan
    with pytest.raises(ModelError, match="lm_head: not every entry of its weight is finite; mend"):
        _weights.weight(place, "lm_head")
