"""_scores: the rank of a real head's change, against dense scores of every head."""

import numpy as np
import pytest
import torch
from causal import network

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, maps
from loratheory.pretrained.check._heads import heads, of_scores

Q, K = (f"model.layers.0.self_attn.{part}_proj" for part in "qk")


@pytest.fixture(scope="module")
def llama():
    model = Model(network("llama"))
    return model, maps(model)


def test_shared_keys_go_with_their_own_queries(llama):
    found = heads(*llama)["model.layers.0.self_attn"]
    assert [(a.start, a.stop, b.start, b.stop) for a, b in found] == [(0, 8, 0, 8), (8, 16, 0, 8)]
    assert {rows.module for pair in found for rows in pair} == {Q, K}


def test_fused_maps_are_cut_into_heads():
    model = Model(network("gpt2"))
    found = heads(model, maps(model))["transformer.h.1.attn.c_attn"]
    assert [(a.start, a.stop, b.start, b.stop) for a, b in found] == [
        (0, 8, 16, 24), (8, 16, 24, 32),
    ]  # fmt: skip


def test_models_without_queries_and_keys_of_that_name_have_none():
    model = Model(torch.nn.Sequential(torch.nn.Linear(3, 3)))
    assert heads(model, maps(model)) == {}


def test_ranks_are_those_of_dense_scores(llama):
    model, known = llama
    rng = np.random.default_rng(0)
    q, k = (gaussian(rng, known[name].shape[0], 16, 2) for name in (Q, K))
    empty = [LowRank(low.up[:, :0], low.down[:0]) for low in (q, k)]
    updates = {Q: [q, empty[0]], K: [empty[1], k]}
    block = "model.layers.0.self_attn"
    found = [*of_scores(block, heads(model, known)[block], known, ("a", "b"), updates)]
    assert [(r.about, r.bound, r.outcome) for r in found] == [
        ("a", 2, "tight"), ("b", 2, "tight"), ("a + b", 4, "tight"),
    ]  # fmt: skip
    base = [known[name].module.weight.double().numpy() for name in (Q, K)]
    moved = [one + low.dense() for one, low in zip(base, (q, k), strict=True)]
    for head in (slice(0, 8), slice(8, 16)):
        change = moved[0][head].T @ moved[1] - base[0][head].T @ base[1]
        assert np.linalg.matrix_rank(change, tol=1e-8) == 4


def test_an_adapter_wider_than_a_head_is_cut_to_it(llama):
    model, known = llama
    low = gaussian(np.random.default_rng(0), 16, 16, 12)
    block = "model.layers.0.self_attn"
    (found,) = of_scores(block, heads(model, known)[block], known, ("a",), {Q: [low]})
    assert (found.bound, found.value, found.outcome) == (8, 8, "tight")
