"""Who learned what; controls by dense norms."""

import numpy as np
import pytest
import torch
from synthetic import TRAINING, small, trained_library

from loratheory.toy.transformer import Lora
from paper.studies._shared.answers import answer_margins
from paper.studies._shared.rows import expert
from paper.studies._shared.training import alike, library, norms


def test_edited_chains_were_held_out_and_pairs_share_no_entity():
    found = trained_library()
    for replica, (one, other) in enumerate(zip(*found.edits, strict=True)):
        held = set(found.bases.splits[replica // 2].held_out.subjects.tolist())
        assert set(one.routes[:, 0].tolist()) <= held
        assert not (one.touched() & other.touched()).any()


def test_each_adapter_learns_what_its_pair_is_asked():
    found = trained_library(steps=25, rate=0.05, rank=4, scale=4.0, sets=1)
    known = found.bases

    def _gain(prompts, adapter):
        return float(
            (answer_margins(known, prompts, adapter) - answer_margins(known, prompts)).mean()
        )

    for p, asked in enumerate(found.trials):
        for j in range(2):
            facts = [one.hops[j] for one in asked]
            own = _gain(facts, found.pairs[p][j])
            assert own > 1
            assert own > _gain(facts, found.pairs[1 - p][j]) + 0.5
            assert own > _gain(facts, found.pairs[p][1 - j]) + 0.5
    # The expert's adapters sit in attention, where so few steps teach less.
    asked = [one.questions for one in found.trials[0]]
    assert _gain(asked, expert(found)) > 0.2


def test_an_adapter_depends_on_its_base_and_repetition_alone():
    both, alone = trained_library(), library(small((102,)), TRAINING)
    for pair, single in zip(both.pairs, alone.pairs, strict=True):
        for adapter, one in zip(pair, single, strict=True):
            assert adapter.scale == one.scale == TRAINING.scale
            for name, x in one.tensors().items():
                torch.testing.assert_close(adapter.tensors()[name][2:], x, atol=1e-6, rtol=1e-4)
    start = [adapter.down["layers.0.mlp.in"] for adapter in both.adapters]
    assert all(not torch.allclose(a, b, atol=0.1) for a in start for b in start if a is not b)


def random_lora(replicas=6):
    rng = np.random.default_rng(0)
    shapes = {"a": (5, 3), "b": (4, 7)}
    up = {n: torch.tensor(rng.standard_normal((replicas, m, 2))) for n, (m, _) in shapes.items()}
    down = {n: torch.tensor(rng.standard_normal((replicas, 2, k))) for n, (_, k) in shapes.items()}
    return Lora(up, down, 2.0)


def test_norms_are_those_of_the_dense_updates():
    given = random_lora()
    for name, found in norms(given).items():
        dense = 2.0 * given.up[name] @ given.down[name]
        assert found.numpy() == pytest.approx(torch.linalg.matrix_norm(dense).numpy())


def test_random_adapters_have_the_norms_of_the_trained_and_nothing_else():
    given = random_lora()
    for seed in (0, 1):
        found = alike(given, seed)
        for name in given.up:
            one, two = (2.0 * x.up[name] @ x.down[name] for x in (given, found))
            sizes = [torch.linalg.matrix_norm(x).numpy() for x in (one, two)]
            assert sizes[0] == pytest.approx(sizes[1])
            assert abs(float((one * two).sum() / (one * one).sum())) < 0.5
    assert not torch.equal(alike(given, 0).up["a"], alike(given, 1).up["a"])
    assert torch.equal(alike(given, 1).up["a"], alike(given, 1).up["a"])
